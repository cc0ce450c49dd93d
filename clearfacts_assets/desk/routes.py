"""All pages of the desk, for the application that serves them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from clearfacts_assets.desk import (
    budgets,
    charges,
    dashboard,
    deliveries,
    imports,
    invoices,
    periods,
    rates,
    registry,
    review,
    statements,
    users,
)

_PAGES = (
    dashboard,
    periods,
    charges,
    review,
    imports,
    registry,
    statements,
    rates,
    budgets,
    deliveries,
    invoices,
    users,
)
ROUTES: list[BaseRoute] = [route for one in _PAGES for route in one.router.routes] + list(dashboard.last.routes)
