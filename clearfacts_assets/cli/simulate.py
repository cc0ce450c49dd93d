"""``clearfacts simulate``: the other side of the demo and of the tests, as one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from clearfacts_assets.cli.console import fail, print_json_line


def simulate(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8090,
    seed: Annotated[int, typer.Option(help="the same seed gives the same invoices")] = 1,
    per_day: Annotated[int, typer.Option(min=0, help="invoices that the ERP has a day")] = 40,
    broken_share: Annotated[float, typer.Option(min=0, max=1, help="share of deliberately broken ones")] = 0.05,
    duplicate_share: Annotated[float, typer.Option(min=0, max=1, help="share of duplicates")] = 0.03,
    latency_ms: Annotated[float, typer.Option(min=0, help="milliseconds before every answer")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="file that keeps what was accepted (JSON lines); read again at the start")
    ] = None,
) -> None:
    """A Java backend, a Clearfacts and a Slack over real HTTP, and a mail server, with invoices made up from a seed.

    The first line of output is JSON: the address, and the settings that point the product there. docs/simulator.md
    tells how to look at what was accepted and how to ask for faults.
    """
    from clearfacts_assets.simulator.app import Options
    from clearfacts_assets.simulator.server import serve

    def announce(url: str, environment: dict[str, str]) -> None:
        print_json_line({"url": url, "pid": os.getpid(), "environment": environment})

    options = Options(seed, per_day, broken_share, duplicate_share, latency_ms / 1000, state)
    try:
        serve(host, port, options, announce)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port, or 0 for a free one")
    except ValueError as error:
        fail(str(error), code=2)
