"""``clearfacts invoices``: single invoices, what was found in them and where they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from clearfacts_assets.cli.console import fail, instant, print_json, print_more, print_table

if TYPE_CHECKING:
    from clearfacts_assets.storage.invoices.invoice_views import InvoiceRecord
    from clearfacts_assets.storage.invoices.invoices import InvoiceRepository

app = typer.Typer(help="Invoices: what each job saw of each invoice, and did with it.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(
    job: Annotated[UUID | None, typer.Option(help="only this job's")] = None,
    status: Annotated[str | None, typer.Option(help="pending, sent, failed or duplicate")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="most invoices shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Invoices, newest first."""
    page = _open().list(job_id=job, status=status, limit=limit, cursor=cursor)
    if as_json:
        print_json({"invoices": [asdict(record) for record in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "Invoices",
        ("invoice", "status", "amount", "supplier", "reason"),
        [(one.invoice_id, one.status, _amount(one), one.supplier, one.error_message) for one in page.items],
        right=("amount",),
        whole=("invoice", "status"),
    )
    print_more(page.next_cursor)


@app.command()
def show(
    invoice: Annotated[str, typer.Argument(help="the ERP's id (its newest row), or a row's own id")],
    document: Annotated[bool, typer.Option("--document", help="print the UBL document and nothing else")] = False,
    as_json: AsJson = False,
) -> None:
    """One invoice, with its findings and its delivery."""
    detail = _open().get(_row_id(invoice) or invoice)
    if detail is None:
        fail(f"no job has seen an invoice {invoice}: `clearfacts invoices list` shows them")
    if document:
        if detail.document is None:
            fail("this row holds no document: the same content was delivered before, or none came")
        typer.echo(detail.document)
        return
    if as_json:
        print_json({**asdict(detail.record), "report": detail.report})
        return
    _print(detail.record, detail.report or {})


def _print(record: InvoiceRecord, report: dict[str, Any]) -> None:
    facts = [
        ("status", record.status),
        ("reason", record.error_message),
        ("number", record.number),
        ("issued", record.issue_date),
        ("supplier", record.supplier),
        ("customer", record.customer),
        ("amount", _amount(record)),
        ("day", record.partition_key),
        ("changed in the ERP", instant(record.source_updated_at)),
        ("validation", record.decision),
        ("delivery", record.delivery_state),
        ("answer", record.clearfacts_response),
        ("processed", instant(record.processed_at)),
        ("SHA-256", record.content_sha256),
        ("job", record.job_id),
        ("row", record.id),
    ]
    print_table(f"Invoice {record.invoice_id}", ("", ""), [(name, value) for name, value in facts if value])
    findings = report.get("findings", [])
    if findings:
        print_table(
            "Findings",
            ("rule", "severity", "line", "what"),
            [(one["rule"], one["severity"], one.get("line"), one.get("hint") or one["message"]) for one in findings],
            right=("line",),
        )


def _amount(record: InvoiceRecord) -> str:
    return f"{record.payable_amount:f} {record.currency}" if record.payable_amount is not None else ""


def _row_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _open() -> InvoiceRepository:
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.storage.invoices.invoices import InvoiceRepository

    return InvoiceRepository(open_database())
