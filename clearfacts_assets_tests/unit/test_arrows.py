"""The arrows of the cluster against the code: what sensors, schedules and assets are given is what their pods reach.

Needs no helm; that the policies open these arrows and no others is held by ``test_chart_network.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml

from clearfacts_assets.definitions import defs
from clearfacts_assets.notifications.channels import CHANNELS

TABLE = Path(__file__).resolve().parents[2] / "helm" / "clearfacts" / "files" / "arrows.yaml"
CHANNEL_PLACES = {"slack": "internet", "email": "mail"}
PLACES = {  # of each resource that is handed to them
    "database": {"postgresql"},
    "source": {"erp"},
    "clearfacts": {"internet"},
    "slack": {CHANNEL_PLACES[kind] for kind in CHANNELS},  # who tells people of something tells them by every channel
    "validation": set(),
    "io_manager": set(),
}


def sensors_and_schedules(repository: dg.RepositoryDefinition) -> list[set[str]]:
    """What each is given that the code server runs."""
    return [set(one.required_resource_keys) for one in (*repository.sensor_defs, *repository.schedule_defs)]


def assets(repository: dg.RepositoryDefinition) -> list[set[str]]:
    """What each is given that runs in a run's pod."""
    return [set(one.required_resource_keys) for one in repository.assets_defs_by_key.values()]


@pytest.mark.parametrize(("pod", "given"), [("code", sensors_and_schedules), ("run", assets)], ids=["code", "run"])
def test_a_pod_may_reach_what_its_code_is_given_and_nothing_else(
    pod: str, given: Callable[[dg.RepositoryDefinition], list[set[str]]]
) -> None:
    needed = {place for keys in given(defs.get_repository_def()) for key in keys for place in PLACES[key]}
    arrows = yaml.safe_load(TABLE.read_text("utf-8"))["arrows"]
    assert {arrow["to"] for arrow in arrows if arrow["from"] == pod} == needed
