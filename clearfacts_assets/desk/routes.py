"""All pages of the desk, for the application that serves them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from clearfacts_assets.desk import (
    budgets,
    charges,
    credits,
    customers,
    dashboard,
    delegates,
    deliveries,
    emails,
    exceptions,
    imports,
    invoices,
    issuing,
    journals,
    overrides,
    periods,
    preferences,
    rates,
    registry,
    review,
    sources,
    statements,
    users,
)

# Own addresses come before /desk/statements/{number} and /desk/emails/{mail_id}.
_PAGES = (
    *(dashboard, periods, charges, review, imports, registry, overrides, exceptions, sources, issuing, statements),
    *(delegates, emails, journals, customers, rates, credits, budgets, deliveries, invoices, preferences, users),
)
ROUTES: list[BaseRoute] = [route for one in _PAGES for route in one.router.routes] + list(dashboard.last.routes)
