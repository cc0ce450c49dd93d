"""``clearfacts audit``: who changed what, and whether the log is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.console import fail, instant, out, print_json, print_more, print_table

app = typer.Typer(help="The audit log: who changed what.", no_args_is_help=True)

LONGEST_ID = 16  # characters of a resource's id, and
LONGEST_CHANGE = 120  # of what changed, that the table shows

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(
    action: Annotated[str | None, typer.Option(help="only these, e.g. user.disabled")] = None,
    resource_type: Annotated[str | None, typer.Option(help="only about these, e.g. delivery")] = None,
    resource_id: Annotated[str | None, typer.Option(help="only about this one")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most entries shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Changes, newest first."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts import audit
    from clearfacts_assets.storage.database import open_engine

    page = audit.entries(
        open_engine(ready().business_database_url),
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        limit=limit,
        cursor=cursor,
    )
    if as_json:
        print_json({"entries": [asdict(entry) for entry in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "Changes",
        ("when", "who", "what", "of", "change"),
        [
            (
                instant(entry.created_at),
                entry.details.get("actor"),
                entry.action,
                (entry.resource_id or "")[:LONGEST_ID],
                _change(entry.details),
            )
            for entry in page.items
        ],
        whole=("when", "what"),
    )
    print_more(page.next_cursor)


@app.command()
def verify(
    contains: Annotated[
        str | None, typer.Option(help="a head that was printed earlier: it must still be in the log")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole log: was an entry changed, removed or put in between? Exit code 1 if so.

    Keep the head that is printed somewhere else; with --contains it proves later that nothing was cut off the end.
    """
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts import audit
    from clearfacts_assets.storage.database import open_engine

    found = audit.verify(open_engine(ready().business_database_url), contains=contains)
    if as_json:
        print_json(asdict(found))
        if found.broken:
            raise typer.Exit(1)
        return
    if found.broken:
        fail(f"the audit log is broken at entry {found.broken.position}: {found.broken.problem}")
    out.print(f"The audit log is whole: {found.entries} entries. Head: {found.head}", highlight=False, soft_wrap=True)


def _change(details: Mapping[str, Any]) -> str:
    """What became of what, and why, in a few words; --json shows all of it."""
    before, after = details.get("before") or {}, details.get("after") or {}
    words = [
        f"{name}: {_plain(before[name])} → {_plain(value)}" if name in before else f"{name}: {_plain(value)}"
        for name, value in after.items()
    ]
    words += [f"reason: {details['reason']}"] if "reason" in details else []
    text = ", ".join(words)
    return text if len(text) <= LONGEST_CHANGE else f"{text[:LONGEST_CHANGE]} ..."


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
