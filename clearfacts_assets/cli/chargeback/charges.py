"""``charges``: look at them, a page at a time, one in full, or all of them in a file."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.chargeback.charge_selection import (
    Choice,
    Filter,
    InSource,
    InStatus,
    OfFund,
    OfPi,
    OfProject,
    WithFlag,
)
from clearfacts_assets.cli.chargeback.shared import AsJson, MaybePeriod, count_of, ledger, told
from clearfacts_assets.cli.console import fail, print_json, print_more, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.charges import ChargeRepository

app = typer.Typer(help="Charges.")

SHOWN = ("id", "period", "status", "pi_email", "project_id", "fund_org", "service", "amount", "currency", "flags")
Columns = Annotated[str | None, typer.Option("--columns", help="which, with commas; `charges show` names them all")]


@app.command("list")
def list_(
    period: MaybePeriod = None,
    source: InSource = None,
    status: InStatus = None,
    flag: WithFlag = None,
    pi: OfPi = None,
    project: OfProject = None,
    fund: OfFund = None,
    search: Filter = None,
    columns: Columns = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most charges shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Charges in the order in which they came."""
    from clearfacts_assets.storage.chargeback.summaries import plain_cell

    shown = _columns(columns)
    with told():
        which = Choice(period, (), source, flag, pi, project, fund, search).filter(status or ())
        page = _repository().list(which, limit=limit, cursor=cursor)
    if as_json:
        print_json({"charges": list(page.items), "next_cursor": page.next_cursor})
        return
    rows = [[plain_cell(one[name]) for name in shown] for one in page.items]
    print_table("Charges", shown, rows, right=[one for one in ("id", "amount") if one in shown], wide=True)
    print_more(page.next_cursor)


@app.command()
def show(
    charge_id: Annotated[int, typer.Argument(help="the charge's id")],
    as_json: AsJson = False,
) -> None:
    """One charge: its tags, the record that it comes from, and what was decided."""
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.summaries import plain_cell

    with told():
        one = _repository().show(charge_id)
        header, record = ImportRepository(ledger()).original(one.pop("import_file"), one.pop("row"))
    if as_json:
        print_json(one | {"original": {"header": header, "record": record}})
        return
    print_table(
        f"Charge {charge_id}",
        ("", ""),
        [(name, plain_cell(value)) for name, value in one.items() if name not in ("decisions", "override")],
    )
    if one["override"]:
        say(one["override"]["words"].capitalize() + ".")
    print_table(
        "Decisions",
        ("at", "what", "by", "note"),
        [(d["at"], d["verdict"], d["actor"], d["note"]) for d in one["decisions"]],
    )
    say(f"\nThe record, as it stands in {one['file']}, line {one['line']}:\n{record}")


@app.command()
def export(
    period: MaybePeriod = None,
    source: InSource = None,
    status: InStatus = None,
    flag: WithFlag = None,
    pi: OfPi = None,
    project: OfProject = None,
    fund: OfFund = None,
    columns: Columns = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="the file to write; else standard output")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """All charges that are asked for, as CSV. Texts that a spreadsheet would run are made harmless."""
    from clearfacts_assets.storage.chargeback.charges import COLUMNS
    from clearfacts_assets.storage.chargeback.summaries import charge_rows

    shown = _columns(columns) if columns else tuple(COLUMNS)
    count = 0
    with told():
        which = Choice(period, (), source, flag, pi, project, fund).filter(status or ())
        file = output.open("w", newline="", encoding="utf-8") if output else sys.stdout
        try:
            for count, row in enumerate(charge_rows(ledger(), which, shown)):  # noqa: B007
                csv.writer(file).writerow(row)
        finally:
            if output:
                file.close()
    if as_json and output:
        print_json({"charges": count, "file": str(output)})
    elif output:
        say(f"Written to {output}: {count_of(count, 'charge')}.")


def _columns(columns: str | None) -> tuple[str, ...]:
    from clearfacts_assets.storage.chargeback.charges import COLUMNS

    wanted = tuple(one.strip() for one in columns.split(",")) if columns else SHOWN
    if unknown := [one for one in wanted if one not in COLUMNS]:
        fail(f"there is no column {', '.join(unknown)}: {', '.join(COLUMNS)}", code=2)
    return wanted


def _repository() -> ChargeRepository:
    from clearfacts_assets.storage.chargeback.charges import ChargeRepository

    return ChargeRepository(ledger())
