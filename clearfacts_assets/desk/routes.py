"""All pages of the desk, for the application that serves them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from clearfacts_assets.desk import (
    budgets,
    charges,
    dashboard,
    deliveries,
    emails,
    exceptions,
    imports,
    invoices,
    issuing,
    journals,
    periods,
    preferences,
    rates,
    registry,
    review,
    sources,
    statements,
    users,
)

# Statements' own addresses come before /desk/statements/{number}.
_PAGES = (
    *(dashboard, periods, charges, review, imports, registry, exceptions, sources, issuing, statements, emails),
    *(journals, rates, budgets, deliveries, invoices, preferences, users),
)
ROUTES: list[BaseRoute] = [route for one in _PAGES for route in one.router.routes] + list(dashboard.last.routes)
