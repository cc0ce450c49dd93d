"""Where `clearfacts serve` has Dagster's definitions loaded: in a process of its own, or by a code server."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

from clearfacts_assets.cli.serve import workspace_file
from clearfacts_assets.settings import ServeSettings, Settings

PROJECT = Path(__file__).resolve().parents[2]


def test_the_workspace_that_is_set_is_served_and_our_own_otherwise(tmp_path: Path) -> None:
    assert workspace_file(Settings()) == PROJECT / "workspace.yaml"
    chosen = tmp_path / "workspace.yaml"
    assert workspace_file(Settings(serve=ServeSettings(workspace=chosen))) == chosen


def test_the_chart_has_the_version_of_the_product() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    chart = yaml.safe_load((PROJECT / "helm" / "clearfacts" / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (version, version)
