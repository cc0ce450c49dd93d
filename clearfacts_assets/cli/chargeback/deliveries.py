"""``ingest`` and ``conformance``: what a person drops into chargeback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, MaybePeriod, count_of, ledger, now, readable, told, who
from clearfacts_assets.cli.console import err, fail, print_json, print_table, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.chargeback.ports import Outcome
    from clearfacts_assets.storage.chargeback.importing import ImportRequest

Files = Annotated[list[Path], typer.Argument(help="the files of one delivery: .csv, .csv.gz or .parquet")]


def ingest(
    files: Files,
    source: Annotated[
        str | None, typer.Option("-s", "--source", help="where it comes from; else told by the file's name")
    ] = None,
    period: MaybePeriod = None,
    append: Annotated[
        bool,
        typer.Option("--append/--snapshot", help="add to what is there; by default a delivery is all of its month"),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would change")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="import nothing where a row is refused")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="also withdraw more than the settings allow unasked")] = False,
    fail_on_refusals: Annotated[
        bool, typer.Option("--fail-on-refusals", help="import the rest, and end with exit code 1")
    ] = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Import cost exports as one delivery: all of it or nothing. The same files again change nothing.

    Exit code 1: nothing was imported (--strict with refused rows, more to withdraw than allowed without --yes, an
    empty or broken file), or rows were refused and --fail-on-refusals is given.
    """
    from clearfacts_assets.chargeback.model import FileRefused, Mode
    from clearfacts_assets.storage.chargeback.importing import ImportRequest, outcome_as_result

    with told():
        try:
            wanted = ImportRequest(
                source, period, Mode.APPEND if append else Mode.SNAPSHOT, dry_run=dry_run, strict=strict, confirmed=yes
            )
            outcome, named = _import(files, wanted, actor)
        except FileRefused as error:
            if not as_json:
                raise
            why = {"import_id": None, "applied": False, "why": str(error), "refusals": [error.refusal.as_result()]}
            print_json(why)
            raise typer.Exit(1) from None
    if as_json:
        print_json(outcome_as_result(outcome, named))
    else:
        _print(outcome, named, dry_run)
    failed = not outcome.applied and not (dry_run and outcome.differences)
    if failed or not (outcome.rows or outcome.notes) or (outcome.refused and fail_on_refusals):
        raise typer.Exit(1)


def _import(files: Sequence[Path], wanted: ImportRequest, actor: str | None) -> tuple[Outcome, str]:
    from clearfacts_assets.chargeback.ingest.source_detection import SourceUnknown
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.importing import import_files

    readable(*files)
    try:
        engine = ledger()
        configured = load()
        outcome, named = import_files(
            engine, files, wanted, configured.chargeback, usage=configured.rates.usage, actor=who(actor), now=now()
        )
    except SourceUnknown as error:
        fail(f"{error} with -s", code=2)
    if outcome.applied and not outcome.unchanged:
        show_in_catalogue(engine, outcome)
    return outcome, named


def show_in_catalogue(engine: Engine, outcome: Outcome) -> None:
    """Dagster's catalogue shows the import at once, where Dagster was ever started here. Where it was not, or its
    storage does not answer, the sensor ledger_changes shows it later."""
    from clearfacts_assets.home import dagster_was_started

    if outcome.import_id is None or not dagster_was_started():
        return
    from clearfacts_assets.chargeback.defs.catalogue import show

    try:
        show(engine, outcome.import_id)
    except Exception as error:  # noqa: BLE001 - the charges are imported, whatever becomes of the catalogue
        say(f"Dagster's catalogue does not show it yet ({type(error).__name__}); it will.", console=err)


def _print(outcome: Outcome, source: str, dry_run: bool) -> None:
    rows = [
        (one.period if one.posted == one.period else f"{one.period}, billed in {one.posted}", kind, change.rows, money)
        for one in outcome.differences
        for kind, change in one.changes.items()
        if change.rows
        for money in [_money(change)]
    ]
    if rows:
        print_table("Difference", ("period", "", "rows", "money"), rows, right=("rows",), wide=True)
    if outcome.refusals:
        print_table(
            f"Refused: {count_of(outcome.refused, 'row')}",
            ("file", "line", "code", "why"),
            [(one.file, one.line, one.code, one.message) for one in outcome.refusals[:20]],
            right=("line",),
        )
    for note in outcome.notes:
        say(note)
    if outcome.unchanged:
        say(f"These files are what was imported last (import {outcome.import_id}): nothing changes.")
    elif outcome.applied:
        came = f"{count_of(outcome.rows, 'row')}, {outcome.refused} refused"
        say(f"Imported from {source}: {came} (import {outcome.import_id}).")
        if outcome.refused:
            say(f"Mend them: clearfacts chargeback refusals export {outcome.import_id} -o refused.csv")
    elif dry_run and outcome.differences:
        say("Nothing was imported: --dry-run.")
    else:
        say(f"Nothing was imported: {outcome.why or 'there is no row in it'}.")


def _money(change: Any) -> str:
    from clearfacts_assets.money import plain

    currencies = sorted({*change.before, *change.after})
    pairs = [(one, change.before.get(one), change.after.get(one)) for one in currencies]
    return "; ".join(
        f"{plain(after if after is not None else before)} {currency}"
        if before is None or after is None or before == after
        else f"{plain(before)} -> {plain(after)} {currency}"
        for currency, before, after in pairs
    )


def conformance(file: Path, as_json: AsJson = False) -> None:
    """What a cost export says against FOCUS. Nothing is imported; exit code 1 where something was found."""
    from clearfacts_assets.chargeback.ingest.conformance import examine

    readable(file)
    with told():
        report = examine(file)
    if as_json:
        print_json(report.as_result())
    else:
        told_of = {
            "data set": report.dataset,
            "FOCUS version": report.version,
            "read as": report.dialect,
            "rows": report.rows,
            "mandatory columns missing": ", ".join(report.missing) or "none",
            "columns that FOCUS does not know": ", ".join(report.unknown) or "none",
        }
        print_table(file.name, ("", ""), told_of.items())
        print_table(
            "Findings",
            ("line", "rule", "what"),
            [(one["line"], one["rule"], one["message"]) for one in report.findings],
            right=("line",),
        )
    if report.findings or report.missing:
        raise typer.Exit(1)
