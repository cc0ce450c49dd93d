"""The one folder of all embedded state: our database, Dagster's databases, files and logs."""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from pathlib import Path

from clearfacts_assets.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]


class HomeUnusable(Exception):
    """The folder of CLEARFACTS_HOME cannot be made, or is not this user's."""


def prepare(configured: Settings) -> Path:
    """Make the folder, readable by its owner only, and point Dagster to its part of it. Returns Dagster's part.

    A DAGSTER_HOME that is set already wins: on Kubernetes the Helm chart sets it. Raises HomeUnusable.
    """
    dagster_home = configured.home.resolve() / "dagster"
    try:
        dagster_home.mkdir(mode=0o700, parents=True, exist_ok=True)
        configured.home.chmod(0o700)
        shutil.copyfile(packaged("dagster.yaml"), dagster_home / "dagster.yaml")
    except OSError as error:
        raise HomeUnusable(
            f"the folder {configured.home.resolve()} cannot be used: {error.strerror}: {error.filename}. It is to be a "
            f"folder that belongs to the user who runs this (number {os.getuid()}); CLEARFACTS_HOME names another one"
        ) from error
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home))
    os.environ["CLEARFACTS_HOME"] = str(configured.home.resolve())  # for child processes, whatever folder they start in
    return Path(os.environ["DAGSTER_HOME"])


def dagster_was_started() -> bool:
    """Whether Dagster keeps events here already: its SQLite files are there, or somebody else made its home."""
    home = Path(os.environ["DAGSTER_HOME"]) if "DAGSTER_HOME" in os.environ else None
    if home is None or not home.is_dir():
        return False
    ours = Path(os.environ.get("CLEARFACTS_HOME", "")) / "dagster"
    return home.resolve() != ours.resolve() or (home / "history").is_dir()


def dagster_home() -> Path:
    """Dagster's folder, after :func:`prepare`."""
    return Path(os.environ["DAGSTER_HOME"])


def packaged(name: str) -> Path:
    """``dagster.yaml`` or ``workspace.yaml``: at the project's top level, or inside an installed package."""
    beside = PROJECT / name
    return beside if beside.is_file() else Path(str(files("clearfacts_assets") / name))
