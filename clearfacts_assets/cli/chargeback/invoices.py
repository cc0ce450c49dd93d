"""``invoices``: statements of external customers as Peppol invoices, and the way of one from its rows to Clearfacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ForPeriod, MaybePeriod, ledger, now, told, who
from clearfacts_assets.cli.console import fail, print_json, print_table, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

app = typer.Typer(help="Invoices: statements of external customers as Peppol invoices and credit notes.")
ROWS_SHOWN = 10  # charges of a trace for people; JSON has all


@app.command()
def make(
    period: ForPeriod,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be made, and make nothing")] = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Make what is missing for a month. Exit code 1 where a statement lacks something; the others are made."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker

    configured = load()
    maker = InvoiceMaker(ledger(), configured.customers, configured.invoice_folder)
    try:
        with told():
            found = maker.make(period, actor=who(actor), now=now(), dry_run=dry_run).as_result()
    except OSError as error:
        fail(f"{error.filename or 'a file'} cannot be written ({error.strerror}): nothing was made")
    if as_json:
        print_json(found)
    else:
        _documents(found["documents"])
        say(f"{found['unchanged']} statements unchanged, {found['internal']} of internal funds.")
        for one in found["problems"]:
            say(one["problem"], style="red")
        if not dry_run:
            folder = configured.invoice_folder / period
            say(f"They lie in {folder}; the invoice source statements takes them from there.")
    if found["problems"]:
        raise typer.Exit(1)


@app.command("list")
def list_(period: MaybePeriod = None, as_json: AsJson = False) -> None:
    """Invoices and credit notes, oldest first."""
    from clearfacts_assets.storage.chargeback.invoicing.making import StatementInvoiceRepository

    found = StatementInvoiceRepository(ledger()).list(period)
    if as_json:
        print_json({"invoices": found})
    else:
        _documents(list(found))


def _documents(found: list[dict[str, Any]]) -> None:
    columns = ("number", "kind", "statement", "version", "customer", "net", "vat", "gross", "currency", "names")
    rows = [[one[name] for name in columns] for one in found]
    print_table("Invoices", columns, rows, right=("version", "net", "vat", "gross"), wide=True)


@app.command()
def trace(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="the statement's, as S-2025-03-0001")],
    as_json: AsJson = False,
) -> None:
    """The way of a statement: rows of exports, charges, printed cents, journals, invoices, their deliveries."""
    engine = ledger()
    with told():
        way = _way(engine, number)
    if as_json:
        print_json(way)
        return
    one = way["statement"]
    say(f"{number}, version {one['version']}, {one['state']}: {one['due']} {one['currency']} of {one['subject']}")
    rows = [(row["file"], row["line"], row["charge_id"], row["service"], row["fund"], row["exact"], row["cents"])
            for row in way["rows"][:ROWS_SHOWN]]  # fmt: skip
    columns = ("file", "line", "charge", "service", "fund", "exact", "cents")
    print_table(f"Rows of exports ({len(way['rows'])})", columns, rows, right=("line", "charge", "exact", "cents"),
                wide=True)  # fmt: skip
    journals = [(each["number"], each["state"], each["amount"]) for each in way["journals"]]
    print_table("Journals", ("number", "state", "amount"), journals, right=("amount",))
    invoices = [
        (each["number"], each["kind"], each["gross"], each["delivery"]["state"], each["delivery"]["document_id"])
        for each in way["invoices"]
    ]
    print_table("Invoices", ("number", "kind", "gross", "delivery", "id there"), invoices, right=("gross",))


def _way(engine: Engine, number: str) -> dict[str, Any]:
    from clearfacts_assets.storage.chargeback.invoicing.making import StatementInvoiceRepository
    from clearfacts_assets.storage.chargeback.invoicing.tracing import journals_of, rows_of
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    statement = StatementRepository(engine).get(number)
    invoices = [
        one | {"delivery": _delivery(engine, one["sha256"])}
        for one in StatementInvoiceRepository(engine).list(None, number)
    ]
    return {
        "statement": {name: statement[name] for name in ("number", "version", "state", "subject", "project", "due",
                                                         "exact", "currency", "pdf_sha256")},
        "rows": rows_of(engine, statement["id"]),
        "journals": journals_of(engine, number),
        "invoices": invoices,
    }  # fmt: skip


def _delivery(engine: Engine, sha256: str) -> dict[str, Any]:
    """What became of the document in the other system; the two meet in its content."""
    from sqlalchemy import select

    from clearfacts_assets.storage.database import reading
    from clearfacts_assets.storage.invoices.tables import Delivery

    query = select(Delivery.state, Delivery.document_id, Delivery.reason).where(Delivery.content_sha256 == sha256)
    with reading(engine) as connection:
        row = connection.execute(query).mappings().first()
    return dict(row) if row else {"state": "not delivered yet", "document_id": None, "reason": None}
