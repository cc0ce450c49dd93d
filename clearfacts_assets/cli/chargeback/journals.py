"""``export-journal``, ``journals``: what statements say, as the general ledger posts it; each statement once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import (
    AsJson,
    By,
    ForPeriod,
    MaybePeriod,
    Reason,
    ledger,
    now,
    told,
    who,
)
from clearfacts_assets.cli.console import fail, instant, print_json, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.journals.batches import Asked, Done
    from clearfacts_assets.storage.chargeback.journals.booking import JournalService

app = typer.Typer(
    help="Journals: batches for the general ledger, balanced, numbered. What has left is never changed, only reversed."
)

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="the journal's, as J-2025-03-0001")]
Format = Annotated[str | None, typer.Option("-f", "--format", help="of the file; the setting journals.format else")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="file or folder; else the setting journals.drop, else this folder"),
]
Currency = Annotated[str | None, typer.Option("--currency", help="only in this one")]
On = Annotated[str | None, typer.Option("--date", help="accounting date, as 2025-03-31")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be written, and write nothing")]
Draft = Annotated[bool, typer.Option("--draft", help="keep it as a draft, without a file: journals export sends it")]


def export_journal(
    period: ForPeriod,
    format_: Format = None,
    output: Output = None,
    currency: Currency = None,
    on: On = None,
    draft: Draft = False,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Write the journal of a month's issued statements that are in none yet, a file a currency. Never twice."""
    asked = _asked(actor, currency=currency, on=on, draft=draft, dry_run=dry_run)
    _make(format_, output, as_json, lambda service: service.export(period, asked))


@app.command()
def transfer(
    period: ForPeriod,
    format_: Format = None,
    output: Output = None,
    currency: Currency = None,
    on: On = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Move costs of statements that were corrected after they had been booked: the old out, the new in."""
    asked = _asked(actor, currency=currency, on=on, dry_run=dry_run)
    _make(format_, output, as_json, lambda service: service.transfer(period, asked))


@app.command()
def accrue(
    period: ForPeriod,
    format_: Format = None,
    output: Output = None,
    currency: Currency = None,
    on: On = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Write what a month without statements will cost. Once the month is over it is taken back by itself, on the first
    day of the next one."""
    asked = _asked(actor, currency=currency, on=on, dry_run=dry_run)
    _make(format_, output, as_json, lambda service: service.accrue(period, asked))


@app.command("reverse-accruals")
def reverse_accruals(
    format_: Format = None,
    output: Output = None,
    currency: Currency = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Take back the accruals of all months that are over, each on the first day of the next month. Dagster does it by
    itself, and so does export-journal; once more makes nothing."""
    asked = _asked(actor, currency=currency, dry_run=dry_run)
    _make(
        format_,
        output,
        as_json,
        lambda service: service.end_accruals(asked),
        "No accrual of a month that is over stands.",
    )


@app.command()
def reverse(
    number: Number,
    reason: Reason,
    format_: Format = None,
    output: Output = None,
    on: On = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Take a journal back by its exact negative; its statements are free for another one. A draft only goes."""
    asked = _asked(actor, on=on, dry_run=dry_run, reason=reason)
    _make(format_, output, as_json, lambda service: service.reverse(number, asked))


@app.command()
def export(
    number: Number, format_: Format = None, output: Output = None, actor: By = None, as_json: AsJson = False
) -> None:
    """Write a journal's file again; a draft leaves by that."""
    asked = _asked(actor)
    _make(format_, output, as_json, lambda service: [service.rewrite(number, asked)])


@app.command("list")
def list_(period: MaybePeriod = None, currency: Currency = None, as_json: AsJson = False) -> None:
    """All journals, oldest first."""
    from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository

    found = JournalRepository(ledger()).list(period, currency=currency, limit=100_000)
    if as_json:
        print_json({"journals": found})
        return
    columns = ("number", "kind", "state", "period", "accounting_date", "lines", "debit", "credit", "currency")
    rows = [[one[name] for name in columns] for one in found]
    print_table("Journals", columns, rows, right=("lines", "debit", "credit"), wide=True)


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """One journal: its lines, the statements that it books, what happened, what the general ledger answered."""
    from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository

    with told():
        one = JournalRepository(ledger()).whole(number)
    if as_json:
        print_json(one)
        return
    names = ("kind", "state", "period", "accounting_date", "fiscal_year", "fiscal_period", "reverses", "file_name",
             "posted_reference", "sha256")  # fmt: skip
    print_table(f"Journal {number}", ("", ""), [(name.replace("_", " "), one[name]) for name in names])
    lines = [
        (line["number"], line["fund_org"], line["account"], *_sides(line), line["statement"], line["description"])
        for line in one["entries"]
    ]
    columns = ("line", "fund", "account", "debit", "credit", "statement", "description")
    print_table(f"Lines, {one['currency']}", columns, lines, right=("line", "debit", "credit"), wide=True)
    for fund, to in one["suspended"].items():
        say(f"{fund} is closed: its lines are on {to}", style="yellow")
    booked = [(each["number"], each["version"], each["amount"], each["released_by"]) for each in one["statements"]]
    print_table("Statements", ("number", "version", "amount", "released by"), booked, right=("version", "amount"))
    happened = [(instant(each["at"]), each["event"], each["actor"], each["reason"]) for each in one["events"]]
    print_table("What happened", ("at", "what", "by", "why"), happened)
    if one["answers"]:
        answers = [(instant(each["at"]), each["line"] or "", each["verdict"], each["message"])
                   for each in one["answers"]]  # fmt: skip
        print_table("The general ledger's answers", ("at", "line", "verdict", "message"), answers)


@app.command()
def posted(
    number: Annotated[str | None, typer.Argument(metavar="[NUMBER]", help="the journal; or a file by --answer")] = None,
    answer: Annotated[
        Path | None,
        typer.Option("--answer", exists=True, dir_okay=False, help="CSV of the general ledger: journal, line, status"),
    ] = None,
    reference: Annotated[str, typer.Option("--reference", help="the general ledger's own number of it")] = "",
    reason: Annotated[str, typer.Option("--reason", help="why; it is kept")] = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Write down that the general ledger posted a journal, or what it answered. Exit code 1 where lines are refused."""
    from clearfacts_assets.chargeback.journals.answers import read_answers
    from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository, posted_by_hand

    if (number is None) == (answer is None):
        fail("name a journal, or the general ledger's answer by --answer", code=2)
    with told():
        said = read_answers(answer.read_bytes()) if answer else posted_by_hand(number or "", reference)
        found = JournalRepository(ledger()).answered(said, actor=who(actor), now=now(), reason=reason)
    if as_json:
        print_json(found)
    else:
        for one in found["posted"]:
            say(f"{one} is posted.")
        for one, refused in found["refused"].items():
            for line in refused:
                say(f"{one}, line {line['line'] or '–'} is refused: {line['message']}", style="red")
            say(f"Take it back, mend what is wrong, export anew: clearfacts chargeback journals reverse {one}")
    if found["refused"]:
        raise typer.Exit(1)


@app.command()
def check(period: ForPeriod, as_json: AsJson = False) -> None:
    """From the provider's bill to the general ledger, every difference named. Exit code 1 where anything is left over,
    bent, or waits for somebody."""
    from clearfacts_assets.storage.chargeback.journals.checking import check as look

    with told():
        found = look(ledger(), period)
    if as_json:
        print_json(found.as_result())
    else:
        for one in found.currencies:
            rows = [
                ("exported by the providers", one.exported),
                *((step.name, step.amount) for step in one.steps),
                ("charged to funds by journals", one.journal),
                ("left over", one.left),
            ]
            from clearfacts_assets.money import plain

            print_table(
                f"{period}, {one.currency}", ("", one.currency), [(name, plain(amount)) for name, amount in rows],
                right=(one.currency,), wide=True,
            )  # fmt: skip
        for fund, to in found.suspended.items():
            say(f"{fund} is closed: its lines are on {to}", style="yellow")
        for problem in found.problems:
            say(problem, style="red")
        for waits in found.waiting:
            say(f"Waits: {waits}", style="yellow")
        if found.done:
            say("All ties, and nothing waits.")
    if not found.done:
        raise typer.Exit(1)


def _asked(
    actor: str | None,
    *,
    currency: str | None = None,
    on: str | None = None,
    draft: bool = False,
    dry_run: bool = False,
    reason: str = "",
) -> Asked:
    from clearfacts_assets.storage.chargeback.journals.batches import Asked

    try:
        day = date.fromisoformat(on) if on else None
    except ValueError:
        fail(f"{on!r} is no day: write 2025-03-31", code=2)
    return Asked(who(actor), now(), currency, day, draft, dry_run, reason)


def _make(
    format_: str | None,
    output: Path | None,
    as_json: bool,
    make: Callable[[JournalService], Sequence[Done]],
    nothing: str = "It had not left: nothing has to be taken back.",
) -> None:
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.journals.batch_options import batch_options_of
    from clearfacts_assets.storage.chargeback.journals.booking import JournalService

    try:
        options = batch_options_of(load().journals, format=format_ or "", output=output, default=Path())
    except LookupError as error:
        fail(str(error.args[0]), code=2)
    with told(), _writable():
        done = make(JournalService(ledger(), options))
    if as_json:
        print_json({"journals": [one.as_result() for one in done]})
        return
    columns = ("number", "kind", "state", "accounting date", "lines", "debit", "credit", "currency")
    rows = [
        (head.number, head.kind, one.state, head.accounting_date, len(one.journal.lines), one.journal.debit,
         one.journal.credit, head.currency)
        for one in done for head in [one.journal.header]
    ]  # fmt: skip
    print_table("Journals", columns, rows, right=("lines", "debit", "credit"), wide=True)
    for one in done:
        for fund, to in one.journal.suspended.items():
            say(f"{fund} is closed: its lines are on {to}", style="yellow")
        for path in one.files:
            say(str(path))
    if not done:
        say(nothing)


@contextmanager
def _writable() -> Iterator[None]:
    """A file that cannot be written is one sentence; nothing was kept then."""
    try:
        yield
    except OSError as error:
        fail(f"{error.filename or 'the file'} cannot be written ({error.strerror}): nothing was exported")


def _sides(line: dict[str, Any]) -> tuple[str, str]:
    return (line["amount"], "") if line["side"] == "D" else ("", line["amount"])
