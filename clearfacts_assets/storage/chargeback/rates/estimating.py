"""What a wish would cost, before subsidies and credits. Nothing is written."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.rates.book import Version
from clearfacts_assets.chargeback.rates.definitions import INTERNAL, Rate
from clearfacts_assets.chargeback.rates.pricing import price
from clearfacts_assets.money import BadAmount, parse_amount, plain, rounded
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository


class BadWish(ChargebackError):
    """A wish that cannot be understood."""


class NoRate(ChargebackError):
    """Nothing says what this costs."""


def estimate(
    engine: Engine,
    service: str,
    quantity: str,
    *,
    day: str,
    unit: str | None = None,
    rate_class: str | None = None,
    pi: str | None = None,
) -> dict[str, Any]:
    """As JSON shows it. Without a class it is the investigator's, or internal. Raises BadWish, NoRate, UnitMismatch."""
    version, chosen = _rate(engine, service, day, rate_class, pi)
    rate = version.definition
    assert isinstance(rate, Rate)  # noqa: S101 - it was looked up among the rates
    try:
        found = price(version, Decimal(parse_amount(quantity)), unit or rate.unit, day[:7])
        cost = rounded(found.amount, rate.currency)
    except BadAmount as error:
        raise BadWish("quantity {quantity!r}: {error}", quantity=quantity, error=error) from None
    except InvalidOperation:
        raise BadWish("quantity {quantity!r} at this price has too many digits", quantity=quantity) from None
    return {
        "service": service,
        "rate_class": chosen,
        "day": day,
        "rate_version": version.id,
        "quantity": plain(found.quantity),
        "unit": rate.unit,
        "list": plain(found.list),
        "discount": plain(found.amount - found.list),
        "cost": plain(cost),
        "currency": rate.currency,
    }


def _rate(engine: Engine, service: str, day: str, rate_class: str | None, pi: str | None) -> tuple[Version, str]:
    """The version that holds, and the class that it is for."""
    book = RuleRepository(engine).book()
    if rate_class is None and pi is not None:
        registry = RegistryRepository(engine).load()
        email = registry.person(pi.strip().lower())
        institution = next((one.institution for one in registry.investigators if one.email == email), "")
        rate_class = book.rate_class(institution, email, day)
    chosen = rate_class or INTERNAL
    version = book.rate(service, chosen, day)
    if version is None:
        raise NoRate(
            "{service} has no {chosen} rate on {day}: clearfacts chargeback rates list",
            service=service,
            chosen=chosen,
            day=day,
        )
    return version, chosen
