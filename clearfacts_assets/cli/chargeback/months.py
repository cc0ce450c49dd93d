"""``month``, ``reconcile``, ``show``: a whole month on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.periods import print_lines, print_totals
from clearfacts_assets.cli.chargeback.shared import AsJson, ForPeriod, MaybePeriod, count_of, ledger, now, told
from clearfacts_assets.cli.console import fail, print_json, print_table, say


def month(period: MaybePeriod = None, as_json: AsJson = False) -> None:
    """One screen: what is missing in this month, and the next command to type."""
    from clearfacts_assets.chargeback.model import period_of
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import way_to_due
    from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, PeriodRepository
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository
    from clearfacts_assets.storage.chargeback.summaries import line_totals

    engine = ledger()
    repository = PeriodRepository(engine)
    with told():
        chosen = period_of(period) if period else _latest(repository)
        try:
            state, totals = repository.get(chosen).state, repository.totals(chosen)
        except NoSuchPeriod:
            state, totals = "not begun", {}
        imports = ImportRepository(engine).list(period=chosen, limit=1000)
        ways, lines = way_to_due(engine, chosen), line_totals(engine, chosen)
    brought = {one.source for one in imports}
    missing = [one["name"] for one in RegistryRepository(engine).sources() if one["name"] not in brought]
    waiting = sum(one.flagged_charges for one in totals.values())
    refused = sum(one.refused for one in imports if not one.withdrawn_at)
    after = _next(chosen, state, waiting, missing, bool(totals))
    if as_json:
        told_of = {currency: one.as_result() for currency, one in totals.items()}
        print_json(
            {
                "period": chosen,
                "state": state,
                "missing_sources": missing,
                "waiting": waiting,
                "refused": refused,
                "imports": len(imports),
                "totals": told_of,
                "lines": lines,
                "due": [one.as_result() for one in ways],
                "next": after,
            }
        )
        return
    facts = [
        ("state", state),
        ("imports", len(imports)),
        ("sources without an import", ", ".join(missing) or "none"),
        ("refused rows", refused),
        ("charges that wait", waiting),
    ]
    print_table(f"Month {chosen}", ("", ""), facts)
    for currency, one in totals.items():
        print_totals(currency, one)
    print_lines(lines)
    _print_ways(ways, chosen)
    for command in after:
        say(f"Next: {command}")


def _print_ways(ways: Sequence[Any], period: str) -> None:
    for one in ways:
        print_table(
            f"From charges to statements, {one.currency}, {period}",
            ("", one.currency),
            one.rows(),
            right=(one.currency,),
            wide=True,
        )


def _latest(repository: Any) -> str:
    """The oldest period that is not finalized, else this month."""
    waiting = sorted(one.name for one in repository.list() if one.state != "finalized")
    return waiting[0] if waiting else now().strftime("%Y-%m")


def _next(period: str, state: str, waiting: int, missing: list[str], any_charges: bool) -> list[str]:
    command = "clearfacts chargeback"
    if state == "finalized":
        return [f"{command} periods verify"]
    if not any_charges:
        return [f"{command} ingest FILE... -p {period}"]
    if state == "open":
        found = [f"{command} ingest FILE... -s {one} -p {period}" for one in missing]
        found += [f"{command} review list -p {period}"] if waiting else []
        return found or [f"{command} reconcile -p {period}", f"{command} periods close {period}"]
    return [f"{command} review list -p {period}"] if waiting else [f"{command} periods finalize {period}"]


def reconcile(period: ForPeriod, as_json: AsJson = False) -> None:
    """From the provider's total to what is due and to statements: every difference named. Exit code 1 where any
    is left over."""
    from clearfacts_assets.money import plain
    from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import way_to_due
    from clearfacts_assets.storage.chargeback.summaries import line_totals, reconciliation

    with told():
        engine = ledger()
        found, notes, balanced = reconciliation(engine, period)
        ways, lines = way_to_due(engine, period, complete=True), line_totals(engine, period)
        balanced = balanced and not any(one.unexplained for one in ways)
    if as_json:
        print_json(
            {
                "period": period,
                "sources": [one.as_result() for one in found],
                "lines": lines,
                "due": [one.as_result() for one in ways],
                "findings": notes,
                "balanced": balanced,
            }
        )
    for one in () if as_json else found:
        rows = [("exported by the provider (BilledCost)", plain(one.exported))]
        rows += [(name, plain(amount)) for name, amount in one.steps]
        rows += [(f"due, on basis {one.basis}", plain(one.due)), ("unexplained", plain(one.unexplained))]
        print_table(
            f"{one.source}, {one.currency}, {period}", ("", one.currency), rows, right=(one.currency,), wide=True
        )
        print_table(
            "By invoice",
            ("invoice", "issuer", "exported", "charges", "difference"),
            [(i["invoice_id"], i["issuer"], i["exported"], i["charges"], i["difference"]) for i in one.invoices],
            right=("exported", "charges", "difference"),
            wide=True,
        )
        if one.refused_rows:
            say(f"Refused: {count_of(one.refused_rows, 'row')}, whose amounts are in neither sum.")
    print_lines({} if as_json else lines)
    _print_ways(() if as_json else ways, period)
    for currency, flags in () if as_json else notes.items():
        say(f"Flags, {currency}: " + ", ".join(f"{code} {count}" for code, count in flags.items()))
    if not balanced:
        raise typer.Exit(1)


def show(
    pi: Annotated[str, typer.Argument(help="the investigator: an address, or another of the person's names")],
    period: MaybePeriod = None,
    as_json: AsJson = False,
) -> None:
    """What one investigator is charged."""
    from clearfacts_assets.chargeback.model import period_of
    from clearfacts_assets.storage.chargeback.comparing import of_investigator
    from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import dues_of_investigator
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    engine = ledger()
    with told():
        email = RegistryRepository(engine).load().person(pi.strip().lower())
        found = of_investigator(engine, email, period_of(period) if period else None)
        dues = dues_of_investigator(engine, email, period)
    if as_json:
        print_json({"pi_email": email, "period": period, "charges": found, "due": dues})
    else:
        _print_charges(email, found)
        _print_dues(email, dues)
    if not (found or dues):
        fail(
            f"{email} is charged nothing{f' in {period}' if period else ''}: "
            "`clearfacts chargeback investigators list` shows who is known, and by which other names"
        )


def _print_charges(email: str, found: Sequence[dict[str, Any]]) -> None:
    columns = ("period", "project_id", "fund_org", "service", "status", "charges", "listed", "amount", "currency")
    rows = [[one[name] for name in columns] for one in found]
    if rows:
        print_table(f"Charges of {email}", columns, rows, right=("charges", "listed", "amount"), wide=True)


def _print_dues(email: str, dues: Sequence[dict[str, Any]]) -> None:
    columns = ("period", "project_id", "fund_org", "cost", "paid_by_others", "due", "currency", "statement")
    rows = [[one[name] for name in columns] for one in dues]
    if rows:
        title = f"Due from {email}, by ledger lines"
        print_table(title, columns, rows, right=("cost", "paid_by_others", "due"), wide=True)
