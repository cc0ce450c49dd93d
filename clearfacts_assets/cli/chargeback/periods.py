"""``periods``: the months, from open to finalized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, Reason, count_of, ledger, now, told, who
from clearfacts_assets.cli.console import instant, print_json, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.chargeback.lifecycle import Event
    from clearfacts_assets.storage.chargeback.periods import PeriodRecord
    from clearfacts_assets.storage.chargeback.totals import Totals

app = typer.Typer(help="Periods: open, closed, finalized. A finalized period never changes again.")

Name = Annotated[str, typer.Argument(metavar="PERIOD", help="the month, as 2025-03")]
Note = Annotated[str, typer.Option("--reason", "-n", "--note", help="why; it is kept")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All periods, newest first."""
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository

    found = PeriodRepository(ledger()).list()
    if as_json:
        print_json({"periods": [_as_result(one) for one in found]})
        return
    print_table(
        "Periods",
        ("period", "state", "since", "hash"),
        [(one.name, one.state, instant(one.changed_at), (one.hash or "")[:16]) for one in found],
        whole=("period", "state", "since"),
    )


@app.command()
def show(period: Name, as_json: AsJson = False) -> None:
    """One period: its totals, a currency at a time, and what was done to it."""
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository
    from clearfacts_assets.storage.chargeback.summaries import line_totals, period_summary

    engine = ledger()
    with told():
        repository = PeriodRepository(engine)
        record, totals = repository.get(period), repository.totals(period)
        events = repository.events(period)
    if as_json:
        print_json(period_summary(engine, period) | {"events": events})
        return
    print_table(
        f"Period {period}: {record.state}",
        ("", ""),
        [("since", instant(record.changed_at)), ("hash", record.hash or "–")],
    )
    for currency, one in totals.items():
        print_totals(currency, one)
    print_lines(line_totals(engine, period))
    print_table(
        "What was done",
        ("at", "what", "by", "why"),
        [(instant(one["at"]), one["event"], one["actor"], one["reason"]) for one in events],
        whole=("at", "what"),
    )


def print_totals(currency: str, one: Totals) -> None:
    """The totals of one currency; the amounts by source are on each source's own cost basis."""
    from clearfacts_assets.money import plain

    bases = {source["name"]: source["basis"] for source in _sources()}
    names = ("list", "discount", "billed", "amount", "flagged", "rejected", "not_billed", "due")
    print_table(
        f"{currency}: {count_of(one.charges, 'charge')}",
        ("", currency),
        [(name.replace("_", " "), plain(getattr(one, name))) for name in names],
        right=(currency,),
        wide=True,
    )
    print_table(
        "By source",
        ("source", "cost basis", currency),
        [(name, bases.get(name, "billed"), plain(value)) for name, value in sorted(one.by_source.items())],
        right=(currency,),
        wide=True,
    )
    if one.flags:
        print_table("Flags", ("flag", "charges"), sorted(one.flags.items()), right=("charges",))


def print_lines(lines: Mapping[str, Mapping[str, str]]) -> None:
    """What rules made of the charges, from list price to what is due, a currency at a time."""
    for currency, one in lines.items():
        rows = list(one.items())
        print_table(f"By the rules, {currency}", ("", currency), rows, right=(currency,), wide=True)


@app.command("open")
def open_(period: Name, actor: By = None, as_json: AsJson = False) -> None:
    """Begin a period before anything is imported for it."""
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository

    with told():
        record = PeriodRepository(ledger()).open(period, actor=who(actor), now=now())
    _done(record, as_json)


@app.command()
def close(period: Name, reason: Note = "", actor: By = None, as_json: AsJson = False) -> None:
    """No more imports; charges can still be reviewed."""
    from clearfacts_assets.chargeback.lifecycle import Event

    _change(period, Event.CLOSE, reason, actor, as_json)


@app.command()
def reopen(period: Name, reason: Reason, actor: By = None, as_json: AsJson = False) -> None:
    """Open a closed period again, for a reason."""
    from clearfacts_assets.chargeback.lifecycle import Event

    _change(period, Event.REOPEN, reason, actor, as_json)


@app.command()
def finalize(period: Name, reason: Note = "", actor: By = None, as_json: AsJson = False) -> None:
    """Seal a closed period for ever. What comes late for it is billed in the next open one."""
    from clearfacts_assets.chargeback.lifecycle import Event

    _change(period, Event.FINALIZE, reason, actor, as_json)


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Compute the hash of every finalized period anew. Exit code 1 where one does not hold."""
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository

    found = list(PeriodRepository(ledger()).verify())
    broken = [one for one in found if one.problem]
    if as_json:
        print_json({"periods": [asdict(one) for one in found], "broken": len(broken)})
    elif not found:
        say("No period is finalized yet: there is nothing to verify.")
    else:
        rows = [(one.period, one.rows, one.hash[:16], one.problem or "holds") for one in found]
        print_table("Finalized periods", ("period", "charges", "hash", ""), rows, right=("charges",))
    if broken:
        raise typer.Exit(1)


def _change(period: str, event: Event, reason: str, actor: str | None, as_json: bool) -> None:
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository

    with told():
        record = PeriodRepository(ledger()).change(
            period, event, actor=who(actor), now=now(), reason=reason, two_people=load().chargeback.two_people
        )
    _done(record, as_json)


def _done(record: Any, as_json: bool) -> None:
    if as_json:
        print_json(_as_result(record))
    else:
        say(f"{record.name} is {record.state}." + (f" Its hash: {record.hash}" if record.hash else ""))


def _as_result(record: PeriodRecord) -> dict[str, Any]:
    from clearfacts_assets.storage.chargeback.summaries import period_as_result

    return period_as_result(record)


def _sources() -> Sequence[dict[str, Any]]:
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    return RegistryRepository(ledger()).sources()
