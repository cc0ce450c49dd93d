"""``overrides``: who pays for a resource, whatever its tags say, from when to when, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.chargeback.shared import (
    AsJson,
    By,
    Reason,
    count_of,
    entries_in,
    ledger,
    now,
    say_who_pays_now,
    told,
    who,
)
from clearfacts_assets.cli.console import fail, print_json, print_table

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.overriding import OverrideRepository

app = typer.Typer(
    help="Overrides by resource: they come before tags. What they leave out the project's entry fills, then the tags."
)

From = Annotated[str, typer.Option("--from", help="first day, as 2025-03-01; by default always")]
To = Annotated[str, typer.Option("--to", help="the day after the last one")]


@app.command("list")
def list_(
    resource: Annotated[str | None, typer.Option("--resource", help="only of this one, as it was given")] = None,
    as_json: AsJson = False,
) -> None:
    """All of them, oldest first."""
    found = _repository().list(resource)
    if as_json:
        print_json({"overrides": found})
        return
    columns = ("id", "resource", "pi_email", "project_id", "fund_org", "valid_from", "valid_to", "actor", "reason")
    print_table("Overrides", columns, [[one[name] for name in columns] for one in found], right=("id",), wide=True)


@app.command()
def add(
    resource: Annotated[str, typer.Argument(help="a resource id, or a pattern: vm-genome-*")],
    reason: Reason,
    pi_email: Annotated[str, typer.Option(help="who pays")] = "",
    project_id: Annotated[str, typer.Option(help="for which project")] = "",
    fund_org: Annotated[str, typer.Option(help="from which fund")] = "",
    account_code: Annotated[str, typer.Option(help="the account in the general ledger")] = "",
    cost_center: Annotated[str, typer.Option(help="the cost center")] = "",
    valid_from: From = "",
    valid_to: To = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Say who pays for a resource. An exact id comes before a pattern; of several the last one counts."""
    from clearfacts_assets.chargeback.attribution.entries import BadEntry, checked

    said = {
        "resource": resource.strip(),
        "pi_email": pi_email,
        "project_id": project_id,
        "fund_org": fund_org,
        "account_code": account_code,
        "cost_center": cost_center,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "reason": reason,
    }
    try:
        entry = checked("overrides", said)
    except BadEntry as error:
        fail(str(error), code=2)
    with told():
        (id_,) = _repository().add([entry], actor=who(actor), now=now())
    say_who_pays_now({"id": id_}, f"Override {id_} of {resource}", as_json)


@app.command()
def end(
    override_id: Annotated[int, typer.Argument(metavar="ID")],
    valid_to: Annotated[str, typer.Option("--to", help="the day after its last one")],
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """From a day on the tags count again."""
    from clearfacts_assets.chargeback.attribution.entries import BadEntry, day_of

    try:
        day = day_of(valid_to)
    except BadEntry as error:
        fail(str(error), code=2)
    with told():
        _repository().end(override_id, day, actor=who(actor), now=now())
    say_who_pays_now({"id": override_id}, f"Override {override_id} ends", as_json)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV: resource, pi_email, project_id, fund_org, ..., valid_from, valid_to, reason")
    ],
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Many at once: all of them or none. The same file again lays nothing down."""
    rows = entries_in(file, "overrides")
    with told():
        ids = _repository().add(rows, actor=who(actor), now=now())
    say_who_pays_now({"rows": len(ids)}, f"{count_of(len(ids), 'row')} of {file.name}", as_json)


def _repository() -> OverrideRepository:
    from clearfacts_assets.storage.chargeback.overriding import OverrideRepository

    return OverrideRepository(ledger())
