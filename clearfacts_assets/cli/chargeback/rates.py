"""``rates``: what in-house services cost, for whom, from when; and what a wish would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ledger, now, told
from clearfacts_assets.cli.chargeback.wording import From, Note, Terms, To, add_rule, day_of, print_versions
from clearfacts_assets.cli.console import fail, print_json, print_table

app = typer.Typer(help="Rate cards: prices of in-house services. What was used once is never changed.")

Service = Annotated[str, typer.Argument(help="the service, as its charges name it: 'HPC cpu'")]
RateClass = Annotated[str, typer.Option("--class", help="internal, external_academic, commercial, or a word of yours")]
Unit = Annotated[str, typer.Option("--unit", help="core-hour, GPU-hour, TiB-month, token ...")]
Currency = Annotated[str | None, typer.Option("--currency", help="of the price; else the one of the settings")]


@app.command()
def add(
    service: Service,
    unit: Unit,
    price: Annotated[str, typer.Option("--price", help="for one unit, or for as many as --per says")],
    currency: Currency = None,
    rate_class: RateClass = "internal",
    per: Annotated[str, typer.Option("--per", help="units that the price is for: 1000000 (tokens)")] = "1",
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="QUANTITY=PRICE: beyond so many units in a month")
    ] = None,
    tiers_per: Annotated[str, typer.Option(help="whose units count: project, person, fund, institution, all")] = "",
    minimum: Annotated[str | None, typer.Option("--minimum", help="the least that one charge costs")] = None,
    valid_from: From = None,
    valid_to: To = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """A price from a day on. A price that is there already is not changed: this is its next version."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind
    from clearfacts_assets.settings import load

    tiers = [dict(zip(("from", "price"), _pair(one), strict=True)) for one in tier or ()]
    definition = {
        "service": service,
        "unit": unit,
        "currency": (currency or load().chargeback.currency).upper(),
        "price": price,
        "rate_class": rate_class,
        "per": "" if per == "1" else per,
        "tiers": tiers,
        "tiers_per": tiers_per,
        "minimum": minimum,
    }
    if not definition["currency"]:
        fail("in which currency? --currency USD, or set chargeback.currency", code=2)
    add_rule(RuleKind.RATE, f"{service} / {rate_class}", definition, Terms(valid_from, valid_to, note), actor, as_json)


@app.command("list")
def list_(
    service: Annotated[str | None, typer.Option("--service", help="only this one")] = None, as_json: AsJson = False
) -> None:
    """All versions of all prices, and of who belongs to which class."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

    repository = RuleRepository(ledger())
    found = [*repository.list(RuleKind.RATE), *repository.list(RuleKind.RATE_CLASS)]
    if service is not None:
        found = [one for one in found if one["definition"].get("service") == service]
    print_versions("Rates", found, as_json)


@app.command("class")
def class_(
    institution: Annotated[str, typer.Argument(help="as the registry names it, or a domain: example.com")],
    rate_class: Annotated[str, typer.Argument(help="internal, external_academic, commercial ...")],
    valid_from: From = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Which class an institution's people are charged by. Everybody else is internal."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind

    definition = {"institution": institution, "rate_class": rate_class}
    add_rule(RuleKind.RATE_CLASS, institution, definition, Terms(valid_from, None, note), actor, as_json)


@app.command()
def estimate(
    service: Service,
    quantity: Annotated[str, typer.Argument(help="how much: 10000")],
    unit: Annotated[str | None, typer.Option("--unit", help="of the quantity; else the rate's own")] = None,
    day: Annotated[str | None, typer.Option("--day", help="on which day; else today")] = None,
    rate_class: Annotated[str | None, typer.Option("--class", help="for this class")] = None,
    pi: Annotated[str | None, typer.Option("--pi", help="for this investigator's class")] = None,
    as_json: AsJson = False,
) -> None:
    """What a wish would cost, before subsidies and credits. Nothing is written."""
    from clearfacts_assets.storage.chargeback.rates.estimating import BadWish
    from clearfacts_assets.storage.chargeback.rates.estimating import estimate as estimated

    on = day_of(day) or now().strftime("%Y-%m-%d")
    with told():
        try:
            result = estimated(ledger(), service, quantity, day=on, unit=unit, rate_class=rate_class, pi=pi)
        except BadWish as error:
            fail(str(error), code=2)
    if as_json:
        print_json(result)
        return
    print_table("Estimate", ("", ""), [(name.replace("_", " "), value) for name, value in result.items()])


def _pair(text: str) -> tuple[str, str]:
    first, sign, second = text.partition("=")
    if not sign:
        fail(f"--tier {text!r}: write QUANTITY=PRICE", code=2)
    return first, second
