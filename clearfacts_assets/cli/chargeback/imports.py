"""``imports`` and ``refusals``: what came in, how it is taken back, and what was refused and can be mended."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, MaybePeriod, Reason, count_of, ledger, now, told, who
from clearfacts_assets.cli.console import instant, print_json, print_table, say

app = typer.Typer(help="Imports: one line a delivery.")
refusals = typer.Typer(help="Rows that were refused: write them to a file, mend it, import it alone.")

Id = Annotated[int, typer.Argument(help="the import's number")]


@app.command("list")
def list_(
    period: MaybePeriod = None,
    source: Annotated[str | None, typer.Option("-s", "--source", help="only of this source")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most imports shown")] = 50,
    as_json: AsJson = False,
) -> None:
    """Imports, newest first."""
    from clearfacts_assets.storage.chargeback.imports import ImportRepository

    found = ImportRepository(ledger()).list(period=period, source=source, limit=limit)
    if as_json:
        print_json({"imports": [_as_result(one) for one in found]})
        return
    print_table(
        "Imports",
        ("import", "at", "source", "mode", "periods", "rows", "refused", "by", ""),
        [
            (
                one.id,
                instant(one.at),
                one.source,
                one.mode,
                ", ".join(sorted(one.difference)),
                one.rows,
                one.refused,
                one.actor,
                "withdrawn" if one.withdrawn_at else "",
            )
            for one in found
        ],
        right=("import", "rows", "refused"),
        wide=True,
    )


@app.command()
def show(import_id: Id, as_json: AsJson = False) -> None:
    """One import: its files, and what it changed."""
    from clearfacts_assets.storage.chargeback.imports import ImportRepository

    with told():
        one = ImportRepository(ledger()).show(import_id)
    if as_json:
        print_json(_as_result(one) | {"files": list(one.files)})
        return
    print_table(
        f"Import {one.id}", ("", ""), [(key, value) for key, value in _as_result(one).items() if key != "difference"]
    )
    print_table(
        "Files",
        ("name", "rows", "refused", "FOCUS", "read as", "sha256"),
        [(f["name"], f["rows"], f["refused"], f["version"], f["dialect"], f["sha256"][:12]) for f in one.files],
        right=("rows", "refused"),
    )
    rows = [
        (period, kind, change["rows"], _money(change["before"]), _money(change["after"]))
        for period, kinds in one.difference.items()
        for kind, change in kinds.items()
        if isinstance(change, dict) and change["rows"]
    ]
    print_table("What it changed", ("period", "", "rows", "before", "after"), rows, right=("rows",), wide=True)


@app.command()
def withdraw(import_id: Id, reason: Reason, actor: By = None, as_json: AsJson = False) -> None:
    """Take back all that an import brought. What it replaced comes back by importing that again."""
    from clearfacts_assets.storage.chargeback.imports import ImportRepository

    with told():
        gone = ImportRepository(ledger()).withdraw(import_id, reason=reason, actor=who(actor), now=now())
    if as_json:
        print_json({"import_id": import_id, "withdrawn": gone})
    else:
        say(f"Withdrawn: {count_of(gone, 'charge')} of import {import_id}.")


@refusals.command()
def export(
    import_id: Id,
    output: Annotated[Path, typer.Option("-o", "--output", help="the file to write")],
    as_json: AsJson = False,
) -> None:
    """Write the refused rows that nobody has mended, with their original header, and four columns that say why."""
    from clearfacts_assets.chargeback.ingest.canonical import SAID_OF_REFUSALS
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.summaries import refused_rows

    engine, rows = ledger(), 0
    with told():
        repository = ImportRepository(engine)
        record = repository.show(import_id)
        found = record.refused
        mended = found - sum(1 for _ in repository.refusals(import_id, mended=False))
        with output.open("w", newline="", encoding="utf-8") as file:
            for cells in refused_rows(engine, import_id):
                csv.writer(file).writerow(cells)
                rows += cells[-4:] != list(SAID_OF_REFUSALS)
    if as_json:
        print_json({"import_id": import_id, "refused": found, "mended": mended, "written": rows, "file": str(output)})
        return
    say(f"Written to {output}: {rows} of {count_of(found, 'refused row')}.")
    if mended:
        say(f"{mended} of them were mended already: charges stand for them, and they are left out.")
    if rows:
        month = f" -p {record.period}" if record.period else ""
        say(f"Mend it, then: clearfacts chargeback refusals retry {output} -s {record.source}{month}")


@refusals.command()
def retry(
    file: Annotated[Path, typer.Argument(help="the mended file")],
    source: Annotated[str, typer.Option("-s", "--source", help="the source that the rows come from")],
    period: MaybePeriod = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Import a mended file alone: its rows are added to what is there."""
    from clearfacts_assets.cli.chargeback.deliveries import ingest

    ingest([file], source, period, True, False, False, False, False, actor, as_json)


def _money(amounts: Mapping[str, str]) -> str:
    return "; ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items()))


def _as_result(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__ if name != "files"}
