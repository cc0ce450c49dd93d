"""``clearfacts chargeback``: from cost exports to charges that can be defended to the cent."""

from __future__ import annotations

import typer

from clearfacts_assets.cli.chargeback import (
    budgets,
    charges,
    credits,
    deliveries,
    demo,
    disputes,
    emails,
    imports,
    invoices,
    journals,
    months,
    overrides,
    periods,
    rates,
    registry,
    review,
    rules,
    settings_import,
    sources,
    statements,
)

app = typer.Typer(
    help="Chargeback: cost exports become charges, attributed, reviewed and finalized. "
    "Exit codes: 0 done, 1 not done or something was found, 2 the call itself was wrong."
)
app.command()(months.month)
app.command()(deliveries.ingest)
app.add_typer(imports.app, name="imports")
app.add_typer(imports.refusals, name="refusals")
app.command()(deliveries.conformance)
app.add_typer(periods.app, name="periods")
app.add_typer(sources.app, name="sources")
app.add_typer(charges.app, name="charges")
app.add_typer(review.app, name="review")
app.add_typer(registry.investigators, name="investigators")
app.add_typer(registry.projects, name="projects")
registry.funds.command("spending")(budgets.spending)
app.add_typer(registry.funds, name="funds")
app.add_typer(registry.exceptions, name="exceptions")
app.add_typer(overrides.app, name="overrides")
app.add_typer(rates.app, name="rates")
app.add_typer(rules.app, name="rules")
app.add_typer(credits.credits, name="credits")
app.add_typer(credits.pools, name="pools")
app.add_typer(credits.budgets, name="budgets")
app.command()(months.reconcile)
app.command()(months.show)
app.command()(statements.generate)
app.add_typer(statements.app, name="statements")
app.add_typer(emails.app, name="emails")
app.add_typer(disputes.app, name="disputes")
app.command("export-journal")(journals.export_journal)
app.add_typer(journals.app, name="journals")
app.add_typer(invoices.app, name="invoices")
app.add_typer(settings_import.app, name="settings")
app.command()(demo.demo)
