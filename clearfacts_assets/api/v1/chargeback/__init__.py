"""``/chargeback``: what ``clearfacts chargeback`` does, for programs; a file a kind of thing."""

from __future__ import annotations

from clearfacts_assets.api.v1.chargeback import (
    charges,
    exceptions,
    imports,
    journals,
    periods,
    reconcile,
    registry,
    review,
    sources,
)

ROUTERS = tuple(
    one.router for one in (periods, charges, review, imports, reconcile, registry, exceptions, sources, journals)
)
