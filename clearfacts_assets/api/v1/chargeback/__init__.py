"""``/chargeback``: what ``clearfacts chargeback`` does, for programs; a file a kind of thing."""

from __future__ import annotations

from clearfacts_assets.api.v1.chargeback import (
    charges,
    credits,
    disputes,
    emails,
    exceptions,
    imports,
    issuing,
    journals,
    overrides,
    periods,
    rates,
    reconcile,
    registry,
    review,
    rules,
    sources,
    statements,
)

_CHARGES = (periods, charges, review, imports, reconcile, registry, exceptions, overrides, sources)
_BILLS = (rates, rules, credits, statements, issuing, emails, disputes, journals)
ROUTERS = tuple(one.router for one in (*_CHARGES, *_BILLS))
