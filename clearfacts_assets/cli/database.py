"""``clearfacts db``: bring our database to the version that this program needs."""

from __future__ import annotations

from typing import Annotated

import typer

from clearfacts_assets.cli.console import out, print_json

app = typer.Typer(help="The business database.", no_args_is_help=True)


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="version to reach")] = "head",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Create or upgrade the tables. Safe to repeat; data is kept."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage import migrate

    configured = ready()
    before = migrate.current(configured.business_database_url)
    migrate.upgrade(configured.business_database_url, revision, alert_channel=configured.slack.channel)
    after = migrate.current(configured.business_database_url)
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        out.print(f"The database is at version {after}; nothing to do.")
    else:
        out.print(f"The database went from version {before or 'none'} to {after}.")
