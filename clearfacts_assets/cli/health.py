"""``clearfacts health``: whether everything answers that the nightly run needs, asked now, and by which way."""

from __future__ import annotations

from typing import Annotated

import typer

from clearfacts_assets.cli.console import print_json, print_table


def health(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Ask the ERP, the destination, Slack and the database now. Exit code 1 if one does not answer as it should."""
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.health.probes import ask
    from clearfacts_assets.health.systems import questions, ways
    from clearfacts_assets.invoices.defs import resources
    from clearfacts_assets.resources import slack
    from clearfacts_assets.settings import load

    asked = questions(
        open_database(),
        resources.source(),
        resources.clearfacts(),
        slack(),
        correlation_id="",
    )
    way = ways(load())
    verdicts = [ask(system, question, way.get(system, "")) for system, question in asked.items()]
    if as_json:
        print_json(
            [
                {
                    "system": one.system,
                    "healthy": one.healthy,
                    "message": one.message,
                    "latency_seconds": one.latency,
                    "way": one.way or None,
                }
                for one in verdicts
            ]
        )
    else:
        print_table(
            "Health",
            ("system", "answers", "seconds", "way", "message"),
            [
                (one.system, "yes" if one.healthy else "NO", f"{one.latency:.2f}", one.way, one.message)
                for one in verdicts
            ],
            right=("seconds",),
            whole=("system", "answers"),
        )
    if not all(one.healthy for one in verdicts):
        raise typer.Exit(1)
