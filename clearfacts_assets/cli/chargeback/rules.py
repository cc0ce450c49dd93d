"""``rules``: what is split, marked up, free or subsidised; applied to a month, and explained line by line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ForPeriod, ledger, now, told, who
from clearfacts_assets.cli.chargeback.wording import (
    For,
    From,
    Note,
    Order,
    Payer,
    Terms,
    To,
    add_rule,
    day_of,
    print_versions,
    scope_of,
    tell_version,
)
from clearfacts_assets.cli.console import fail, print_json, print_table, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.storage.chargeback.rates.rule_runs import RunResult

app = typer.Typer(
    help="Rules, in one order: price, markup, split, pool, allowance, subsidy, credit, prepayment, rounding. "
    "Each writes lines of its own into the ledger."
)

Name = Annotated[str, typer.Argument(help="the rule's name")]
Percent = Annotated[str, typer.Option("--percent", help="so many percent")]


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option("--kind", help="only of this kind")] = None, as_json: AsJson = False
) -> None:
    """All versions of all rules."""
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

    print_versions("Rules", RuleRepository(ledger()).list(_kind(kind) if kind else None), as_json)


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="markup, split, pool, allowance, subsidy, credit, minimum_bill ...")],
    name: Name,
    definition: Annotated[str, typer.Option("--definition", help="what it says, as JSON; see docs/rates.md")],
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Any rule, worded as JSON."""
    try:
        said = json.loads(definition)
    except json.JSONDecodeError as error:
        fail(f"--definition is no JSON: {error}", code=2)
    if not isinstance(said, dict):
        fail("--definition is a JSON object", code=2)
    add_rule(_kind(kind), name, said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command()
def markup(
    name: Name,
    percent: Percent,
    scope: For = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Percent on top of the price."""
    said = {"percent": percent, "scope": scope_of(scope)}
    add_rule(_kind("markup"), name, said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command()
def split(
    name: Name,
    part: Annotated[list[str] | None, typer.Option("--part", help="FUND=1/3, FUND=40% ...; exactly 100 %")] = None,
    amount: Annotated[list[str] | None, typer.Option("--amount", help="FUND=500.00 of a month, in this order")] = None,
    rest: Annotated[str | None, typer.Option("--rest", help="the fund that takes what amounts leave")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="of the amounts")] = None,
    scope: For = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Over several funds: by parts, or by amounts. FUND may be FUND/ACCOUNT."""
    parts = [{**_fund(key), "part": value} for key, value in map(_pair, part or ())]
    parts += [{**_fund(key), "amount": value} for key, value in map(_pair, amount or ())]
    if rest:
        parts.append(_fund(rest))
    said = {"scope": scope_of(scope), "parts": parts, "currency": currency}
    add_rule(_kind("split"), name, said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command()
def allowance(
    name: Name,
    payer: Payer,
    quantity: Annotated[str, typer.Option("--quantity", help="so much of it is free in a month")],
    unit: Annotated[str, typer.Option("--unit", help="TiB-month, core-hour ...")],
    per: Annotated[str, typer.Option("--per", help="for each project, person, fund, institution, or all")] = "project",
    scope: For = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """So much of a service is free in each month."""
    said = {"payer": payer, "quantity": quantity, "unit": unit, "per": per, "scope": scope_of(scope)}
    add_rule(_kind("allowance"), name, said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command()
def subsidy(
    name: Name,
    payer: Payer,
    percent: Percent,
    order: Order = 100,
    scope: For = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Somebody bears a percentage."""
    said = {"payer": payer, "percent": percent, "order": order, "scope": scope_of(scope)}
    add_rule(_kind("subsidy"), name, said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command("minimum-bill")
def minimum_bill(
    amount: Annotated[str, typer.Argument(help="bills below it are carried forward: 5.00")],
    currency: Annotated[str, typer.Option("--currency")],
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Bills that are too small are carried forward to the next month."""
    said = {"amount": amount, "currency": currency}
    add_rule(_kind("minimum_bill"), currency.upper(), said, Terms(valid_from, valid_to, note), actor, as_json)


@app.command()
def approve(
    version: Annotated[int, typer.Argument(help="the version's id")], actor: By = None, as_json: AsJson = False
) -> None:
    """Approve what somebody else wrote: a rate or a rule."""
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

    with told():
        found = RuleRepository(ledger()).approve(version, actor=who(actor), now=now())
    tell_version(found, as_json)


@app.command()
def end(
    kind: Annotated[str, typer.Argument(help="the rule's kind")],
    name: Name,
    day: Annotated[str, typer.Option("--from", help="the first day on which it says nothing")],
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """From a day on a rule or rate says nothing."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

    said: dict[str, Any] = {"actor": who(actor), "now": now(), "note": note, "two_people": load().rates.two_people}
    with told():
        found = RuleRepository(ledger()).end(_kind(kind), name, day_of(day), **said)
    tell_version(found, as_json)


@app.command()
def run(
    period: ForPeriod,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same figures; nothing is written")] = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Apply the rules to a month: only what differs is written. A finalized month stays as it is."""
    from clearfacts_assets.storage.chargeback.rates.rule_runs import apply_rules

    engine = ledger()
    with told():
        results = apply_rules(engine, period, actor=who(actor), now=now(), dry_run=dry_run)
    if not dry_run and any(one.run_id for one in results):
        _tell_of_budgets(engine)
    if as_json:
        print_json({**results[0].as_result(), "dry_run": dry_run, "later": [one.as_result() for one in results[1:]]})
        return
    for one in results:
        _print_run(one)
    if dry_run:
        say("Nothing was written: --dry-run.")


@app.command()
def explain(charge_id: Annotated[int, typer.Argument(help="the charge's id")], as_json: AsJson = False) -> None:
    """The way of one charge from list to due: every line, who bears it, and by which rule."""
    from clearfacts_assets.storage.chargeback.rates.explaining import explain as explained

    with told():
        found = explained(ledger(), charge_id)
    if as_json:
        print_json(found)
        return
    what = f"{found['service']}, {found['currency']}, {found['period']}"
    print_table(
        f"Charge {charge_id}: {what}",
        ("share", "step", "what", "amount", "then", "borne by", "rule", ""),
        [
            (one["share"], one["step"], one["kind"], one["amount"], one["then"], one["payer"], one["rule"], one["note"])
            for one in found["lines"]
        ],
        right=("share", "amount", "then"),
        wide=True,
    )
    say(f"List {found['list']}, due {found['due']} {found['currency']}.")
    for payer, amount in found["payers"].items():
        say(f"{payer} pays {amount} {found['currency']}.")


def _tell_of_budgets(engine: Engine) -> None:
    from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
    from clearfacts_assets.settings import load

    tell_of_budgets(engine, load(), now=now())


def _print_run(one: RunResult) -> None:
    if one.frozen:
        say(f"{one.period} is finalized: its lines stay as they are.")
    for currency, told_of in one.totals.items():
        if currency == "findings":
            continue
        rows = [(name, told_of[name]) for name in _SHOWN if name in told_of]
        rows += [(f"  {name} pays", amount) for name, amount in told_of["payers"].items()]
        rows += [(f"  left on pool {pool['pool']}", pool["left"]) for pool in told_of["pools"]]
        print_table(f"{one.period}, {currency}", ("", currency), rows, right=(currency,), wide=True)
    for found in one.findings:
        say(f"{found['code']}: {found['message']} ({found['count']} charges)")
    changed = f"{one.added} lines written, {one.withdrawn} withdrawn" if one.run_id else "nothing has changed"
    say(f"{one.period}: {one.charges} charges, {changed}.")


_SHOWN = (
    "list",
    "discount",
    "markup",
    "pool",
    "allowance",
    "subsidy",
    "credit",
    "prepayment",
    "rounding",
    "carried",
    "due",
)


def _kind(text: str) -> Any:
    from clearfacts_assets.chargeback.rates.definitions import RuleKind

    try:
        return RuleKind(text)
    except ValueError:
        fail(f"there is no kind of rule {text!r}: {', '.join(RuleKind)}", code=2)


def _pair(text: str) -> tuple[str, str]:
    first, sign, second = text.rpartition("=")
    if not sign or not first:
        fail(f"{text!r}: write FUND=VALUE", code=2)
    return first, second


def _fund(text: str) -> dict[str, str]:
    fund, _, account = text.partition("/")
    return {"fund_org": fund} | ({"account_code": account} if account else {})
