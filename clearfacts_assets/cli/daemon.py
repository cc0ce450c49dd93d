"""``clearfacts daemon``: what starts the nightly run, the runs of the UI, and the sensors."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def daemon() -> None:
    """Run Dagster's daemon with these settings. One beside each `clearfacts serve`; stops on SIGINT or SIGTERM."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.home import packaged
    from clearfacts_assets.telemetry.lines import joined

    if ready().log_format == "json":
        joined()  # Dagster's own lines have another form
    program = Path(sys.executable).with_name("dagster-daemon")  # Dagster's command, installed beside our interpreter
    command = [sys.executable, str(program), "run", "-w", str(packaged("workspace.yaml"))]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, no shell
