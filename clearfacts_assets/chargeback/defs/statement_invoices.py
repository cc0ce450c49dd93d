"""``statement_invoices``: a month's statements of external customers as Peppol documents, validated, for the pipeline.

(No postponed annotations here: Dagster reads them as they are.)
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.partitions import MONTHS
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG
from clearfacts_assets.resources import DatabaseResource, ValidationResource
from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker, InvoiceShelf

STATEMENT_INVOICES = "statement_invoices"
ACCEPTED = dg.AssetCheckSpec(
    "every_document_is_accepted",
    asset=STATEMENT_INVOICES,
    description="Each invoice and credit note passes every layer of validation that the delivery pipeline asks.",
)
ALL_MADE = dg.AssetCheckSpec(
    "every_external_statement_has_its_invoice",
    asset=STATEMENT_INVOICES,
    description="No statement of an external customer lacks a party, an address or a VAT number for its invoice.",
)
_COLUMNS = ("number", "kind", "statement", "customer", "net", "vat", "gross", "currency", "names")


@dg.asset(
    name=STATEMENT_INVOICES,
    partitions_def=MONTHS,
    deps=["statements"],
    group_name="chargeback",
    owners=["team:research-computing"],
    kinds={"xml"},
    pool="ledger",
    check_specs=[ACCEPTED, ALL_MADE],
)
def statement_invoices(
    context: dg.AssetExecutionContext, database: DatabaseResource, validation: ValidationResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Issued statements of institutions with an external rate class as invoices or credit notes, the statement's PDF in
    each. What was corrected is credited as a whole and asked for anew. Once more makes nothing anew. The invoice source
    `statements` takes them to Clearfacts."""
    engine, month, known = database.engine(), context.partition_key, settings.load()
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    try:
        maker = InvoiceMaker(engine, known.customers, known.invoice_folder)
        made = maker.make(month, actor=actor, now=datetime.now(UTC))
    except (ChargebackError, OSError) as error:
        raise dg.Failure(f"No invoice was made. {error}", allow_retries=False) from None
    shelf = InvoiceShelf(engine)
    documents, contents = shelf.list(month), shelf.contents(month)
    reports = dict(validation.validator().validate_many(contents))
    wrong = [
        (name, report.decision.value, "; ".join(each.message for each in report.findings))
        for name, report in reports.items()
        if report.decision.value != "accept"
    ]
    columns = dict.fromkeys(_COLUMNS, "string")
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(documents),
            "made now": len(made.documents),
            "of internal funds, and never invoiced": made.internal,
            "documents": table(columns, [[one[name] for name in _COLUMNS] for one in documents]),
            "folder": str(known.invoice_folder / month),
            "look": f"clearfacts chargeback invoices list -p {month}",
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=ACCEPTED.name,
                passed=not wrong,
                metadata={"refused": table(dict.fromkeys(("number", "decision", "why"), "string"), wrong)},
            ),
            dg.AssetCheckResult(
                check_name=ALL_MADE.name,
                passed=not made.problems,
                metadata={"lacking": table({"statement": "string", "problem": "string"}, made.problems)},
            ),
        ],
    )


invoicing_of_statements = dg.define_asset_job(
    "invoicing_of_statements",
    selection=dg.AssetSelection.assets(STATEMENT_INVOICES),
    description="Makes Peppol invoices of a month's statements of external customers; each version once.",
)
