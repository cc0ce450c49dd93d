"""``clearfacts retention`` and ``clearfacts holds``: what is older than it has to be, and what stays all the same."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from clearfacts_assets.cli.actor import terminal
from clearfacts_assets.cli.console import fail, instant, out, print_json, print_table

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
holds = typer.Typer(help="Legal holds: what must not be deleted, however old it is.", no_args_is_help=True)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be deleted")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is older than the settings retention.* say, but for what is held or not settled."""
    from dagster import DagsterInstance

    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.home import dagster_home
    from clearfacts_assets.installation.places import Places
    from clearfacts_assets.installation.retention import Retention
    from clearfacts_assets.storage.database import open_engine

    configured = ready()
    engine = open_engine(configured.business_database_url)
    with DagsterInstance.get() as instance:
        places = Places.of(configured, dagster_home())
        found = Retention(engine, instance, places, configured.retention, terminal()).apply(
            dry_run=dry_run, now=datetime.now(UTC)
        )
    if as_json:
        print_json({"dry_run": dry_run, "kinds": [asdict(one) for one in found]})
        return
    print_table(
        "Older than it has to be" if dry_run else "Deleted",
        ("what", "from before", "may go", "held", "deleted", "bytes"),
        [(one.kind.value, instant(one.before), one.found, one.held, one.deleted, one.bytes) for one in found],
        right=("may go", "held", "deleted", "bytes"),
        whole=("what", "from before"),
    )


@holds.command()
def place(
    name: Annotated[str, typer.Argument(help="what the hold is called, e.g. the case's number")],
    reason: Annotated[str, typer.Option(help="why; it stands in the audit log")],
    kind: Annotated[
        str | None, typer.Option(help="documents, audit, runs, logs or sessions; everything where it is left out")
    ] = None,
    party: Annotated[str | None, typer.Option(help="part of a name or identifier; documents alone")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="documents dated from this day")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="documents dated to this day")] = None,
    as_json: AsJson = False,
) -> None:
    """Let nothing of this be deleted until the hold is released."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts.holds import Hold, HoldProblem, Kept
    from clearfacts_assets.storage.accounts.holds import place as placed
    from clearfacts_assets.storage.database import open_engine

    if kind is not None and kind not in set(Kept):
        fail(f"there is no kind {kind!r}: {', '.join(Kept)}", code=2)
    days = [None if one is None else one.date() for one in (since, until)]
    hold = Hold(name, None if kind is None else Kept(kind), party, days[0], days[1], reason)
    try:
        placed(open_engine(ready().business_database_url), hold, actor=terminal(), now=datetime.now(UTC))
    except HoldProblem as error:
        fail(str(error))
    if as_json:
        print_json({"name": name, "in_force": True})
    else:
        out.print(f"The hold {name} is in force.", highlight=False, markup=False)


@holds.command()
def release(
    name: Annotated[str, typer.Argument(help="the hold")],
    reason: Annotated[str, typer.Option(help="why; it stands in the audit log")],
    as_json: AsJson = False,
) -> None:
    """Let go what the hold kept."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts.holds import HoldProblem
    from clearfacts_assets.storage.accounts.holds import release as released
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(ready().business_database_url)
    try:
        released(engine, name, reason=reason, actor=terminal(), now=datetime.now(UTC))
    except HoldProblem as error:
        fail(str(error))
    if as_json:
        print_json({"name": name, "in_force": False})
    else:
        out.print(f"The hold {name} is released.", highlight=False, markup=False)


@holds.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every hold there was, in the order of placing."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts.holds import all_holds
    from clearfacts_assets.storage.database import open_engine

    found = all_holds(open_engine(ready().business_database_url))
    if as_json:
        print_json({"holds": [asdict(one) for one in found]})
        return
    print_table(
        "Holds",
        ("name", "of", "party", "from", "to", "why", "placed", "released"),
        [
            (
                one.name,
                one.kind.value if one.kind else "everything",
                one.party,
                one.since,
                one.until,
                one.reason,
                instant(one.placed_at),
                instant(one.released_at),
            )
            for one in found
        ],
        whole=("name", "placed", "released"),
    )
