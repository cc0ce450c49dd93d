"""``credits``, ``pools`` and ``budgets``: who pays for others, who shares what nobody's tag covers, what funds have
left."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ForPeriod, MaybePeriod, ledger, now, told
from clearfacts_assets.cli.chargeback.wording import For, From, Note, Order, Payer, Terms, To, add_rule, scope_of
from clearfacts_assets.cli.console import fail, print_json, print_table, say

credits = typer.Typer(help="Credits: prepayments, grants to new investigators, what sponsors pay up to a cap.")
pools = typer.Typer(help="Pools: cost that is shared by rule, and what is left of it.")
budgets = typer.Typer(help="Budgets of funds: spent, left, burn, and when awards end.")

Name = Annotated[str, typer.Argument(help="its name")]


@credits.command("add")
def add_credit(
    name: Name,
    payer: Payer,
    amount: Annotated[str, typer.Option("--amount", help="how much there is in a window")],
    currency: Annotated[str, typer.Option("--currency", help="of the amount")],
    window: Annotated[str, typer.Option("--window", help="once, month or year")] = "once",
    per: Annotated[str, typer.Option("--per", help="all together, or each person, project, fund, institution")] = "all",
    percent: Annotated[str, typer.Option("--percent", help="of what it covers, up to the amount")] = "100",
    months: Annotated[int, typer.Option("--months", help="only so many months from a person's first one")] = 0,
    carry: Annotated[bool, typer.Option("--carry/--lapse", help="what a window leaves is there in the next")] = False,
    prepayment: Annotated[bool, typer.Option("--prepayment", help="it was paid in advance, and works last")] = False,
    year_begins: Annotated[int, typer.Option("--year-begins", min=1, max=12, help="the year's first month")] = 1,
    order: Order = 100,
    scope: For = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Somebody pays what it covers until the amount is used up."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind

    said: dict[str, Any] = {
        "payer": payer,
        "amount": amount,
        "currency": currency.upper(),
        "window": window,
        "per": per,
        "percent": "" if percent == "100" else percent,
        "months": months or "",
        "carry": carry or "",
        "prepayment": prepayment or "",
        "year_begins": "" if year_begins == 1 else year_begins,
        "order": "" if order == 100 else order,
        "scope": scope_of(scope),
    }
    add_rule(RuleKind.CREDIT, name, said, Terms(valid_from, valid_to, note), actor, as_json)


@credits.command("list")
def list_credits(period: MaybePeriod = None, as_json: AsJson = False) -> None:
    """Every credit, and what is left of it in a month's window."""
    _credits(None, period, as_json)


@credits.command("show")
def show_credit(name: Name, period: MaybePeriod = None, as_json: AsJson = False) -> None:
    """One credit: what it paid, month by month, for whom."""
    _credits(name, period, as_json)


@credits.command("statement")
def statement(
    payer: Annotated[str | None, typer.Argument(help="the sponsor; else all who pay for others")] = None,
    period: MaybePeriod = None,
    as_json: AsJson = False,
) -> None:
    """A sponsor's own statement: what it paid, for whom, by which rule."""
    from clearfacts_assets.storage.chargeback.rates.balances import paid_by, sums_by_currency

    with told():
        found = paid_by(ledger(), payer, _period(period))
    totals = sums_by_currency(found)
    if as_json:
        print_json({"payer": payer, "period": period, "totals": totals, "rows": found})
    else:
        columns = ("payer", "period", "kind", "rule", "pi_email", "project_id", "lines", "amount", "currency")
        rows = [[one[name] for name in columns] for one in found]
        print_table("Paid for others", columns, rows, right=("lines", "amount"), wide=True)
        for currency, amount in totals.items():
            say(f"Together {amount} {currency}.")
    if not found:
        raise typer.Exit(1)


@pools.command("add")
def add_pool(
    name: Name,
    method: Annotated[str, typer.Option("--method", help="proportional, even or fixed")] = "proportional",
    scope: For = None,
    base: Annotated[
        list[str] | None, typer.Option("--base", help="in proportion to what: as --for; else all other cost")
    ] = None,
    recipient: Annotated[
        list[str] | None, typer.Option("--recipient", help="PI,PROJECT,FUND or PI,PROJECT,FUND=40%; else everybody")
    ] = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """What --for covers is shared by those who have cost, or by those who are named."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind

    said = {
        "method": method,
        "scope": scope_of(scope),
        "base": scope_of(base),
        "recipients": [_recipient(one) for one in recipient or ()],
    }
    add_rule(RuleKind.POOL, name, said, Terms(valid_from, valid_to, note), actor, as_json)


@pools.command("show")
def show_pools(period: ForPeriod, as_json: AsJson = False) -> None:
    """What pools took, whom they gave it to, and what is left on them."""
    from clearfacts_assets.storage.chargeback.rates.pools import pools_of

    with told():
        found = pools_of(ledger(), _period(period) or "")
    if as_json:
        print_json(found)
        return
    shown = ("pool", "currency", "taken", "given", "left")
    print_table("Pools", shown, [[one[name] for name in shown] for one in found["pools"]], right=shown[2:])
    columns = ("pool", "pi_email", "project_id", "fund_org", "amount", "currency")
    rows = [[one[name] for name in columns] for one in found["given"]]
    print_table("Given to", columns, rows, right=("amount",), wide=True)


@budgets.command("list")
def list_budgets(as_json: AsJson = False) -> None:
    """Every fund with a budget or an award's end."""
    from clearfacts_assets.storage.chargeback.rates.spending import budgets_of

    found = [one.as_result() for one in budgets_of(ledger(), now().date())]
    if as_json:
        print_json({"budgets": found})
        return
    columns = ("fund_org", "name", "budget", "spent", "left", "percent", "burn", "months_left", "currency", "award_end")
    right = ("budget", "spent", "left", "percent", "burn", "months_left")
    print_table("Budgets", columns, [[one[name] for name in columns] for one in found], right=right, wide=True)


@budgets.command("check")
def check_budgets(as_json: AsJson = False) -> None:
    """Put into the outbox what has to be told: thresholds that were passed, awards that end. Each is told once."""
    from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
    from clearfacts_assets.settings import load

    told_of = tell_of_budgets(ledger(), load(), now=now())
    if as_json:
        print_json({"told": told_of})
    else:
        say(f"{told_of} notices are in the outbox." if told_of else "There is nothing new to tell.")


def _credits(name: str | None, period: str | None, as_json: bool) -> None:
    from clearfacts_assets.storage.chargeback.rates.balances import credits as found_credits

    month = _period(period) or now().strftime("%Y-%m")
    with told():
        found = found_credits(ledger(), month, name)
    if as_json:
        print_json({"period": month, "credits": found})
        return
    rows = [
        (one["name"], one["payer"], one["amount"], one["window"], each["of"] or one["per"], each["used"], each["left"])
        for one in found
        for each in one["balances"] or [{"of": "", "used": "", "left": ""}]
    ]
    columns = ("credit", "payer", "amount", "window", "for", "used", "left")
    print_table(f"Credits, {month}", columns, rows, right=("amount", "used", "left"), wide=True)


def _period(text: str | None) -> str | None:
    from clearfacts_assets.chargeback.model import BadPeriod, period_of

    try:
        return period_of(text) if text else None
    except BadPeriod as error:
        fail(str(error), code=2)


def _recipient(text: str) -> dict[str, str]:
    who, _, part = text.partition("=")
    names = [one.strip() for one in who.split(",")]
    if len(names) != 3:
        fail(f"--recipient {text!r}: write PI,PROJECT,FUND", code=2)
    said = dict(zip(("pi_email", "project_id", "fund_org"), names, strict=True))
    return said | ({"part": part} if part else {})
