"""``statement_invoices``: a month's statements of external customers as Peppol documents, validated, for the pipeline.

(No postponed annotations here: Dagster reads them as they are.)
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.partitions import MONTHS
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.customer_settings import CustomerSettings
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG, trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource, ValidationResource
from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker, StatementInvoiceRepository
from clearfacts_assets.storage.chargeback.invoicing.months import finalized_statements

STATEMENT_INVOICES = "statement_invoices"
BY_ITSELF = "statements_finalized"
EVERY, MOST_MONTHS = 900, 12  # seconds between two looks; months that one look asks for
_AS_OF = "statements as of"  # on a materialization: which versions it was made of, and by which settings
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
    engine, month, configured = database.engine(), context.partition_key, settings.load()
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    as_of = _stands(engine, configured.customers, month)
    try:
        maker = InvoiceMaker(engine, configured.customers, configured.invoice_folder)
        made = maker.make(month, actor=actor, now=datetime.now(UTC))
    except (ChargebackError, OSError) as error:
        raise dg.Failure(f"No invoice was made. {error}", allow_retries=False) from None
    repository = StatementInvoiceRepository(engine)
    documents, contents = repository.list(month), repository.contents(month)
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
            "folder": str(configured.invoice_folder / month),
            _AS_OF: as_of.get(month, "none"),
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


@dg.sensor(
    name=BY_ITSELF,
    job=invoicing_of_statements,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def statements_finalized(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Makes invoices of each finalized month from the setting customers.invoiced_from on, and again after a statement
    of it was corrected or voided, or the settings of customers changed. The night's run takes them to Clearfacts."""
    with traced_tick(BY_ITSELF):
        return invoices_due(context.instance, database.engine(), settings.load().customers, datetime.now(UTC))


def invoices_due(
    instance: dg.DagsterInstance, engine: Engine, customers: CustomerSettings, now: datetime
) -> dg.SensorResult:
    """One look: a run for each month that is not shown as it stands. One that failed is asked for again a day later."""
    if not customers.invoiced_from:
        return dg.SensorResult(skip_reason="customers.invoiced_from is empty: invoices are made when somebody asks")
    due = {month: said for month, said in _stands(engine, customers).items() if not _is_shown(instance, month, said)}
    requests = [
        dg.RunRequest(
            run_key=f"{month}-{said}-{now:%Y-%m-%d}",
            partition_key=month,
            tags={TRIGGERED_BY_TAG: BY_ITSELF, **trace_tags()},
        )
        for month, said in list(due.items())[:MOST_MONTHS]
    ]
    return dg.SensorResult(run_requests=requests, skip_reason=None if due else "every finalized month is invoiced")


def _stands(engine: Engine, customers: CustomerSettings, month: str | None = None) -> dict[str, str]:
    """What invoices are made of: the versions that stand, and the settings."""
    said = hashlib.sha256(customers.model_dump_json().encode()).hexdigest()[:12]
    found = finalized_statements(engine, customers.invoiced_from, month)
    return {name: f"{versions}-{said}" for name, versions in found.items() if MONTHS.has_partition_key(name)}


def _is_shown(instance: dg.DagsterInstance, month: str, said: str) -> bool:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(STATEMENT_INVOICES), asset_partitions=[month]), limit=1
    )
    shown = [one.asset_materialization for one in found.records]
    return any(one is not None and _AS_OF in one.metadata and one.metadata[_AS_OF].value == said for one in shown)
