"""``gl_journal``: a month's journals in a currency, exported and shown, with checks that the general ledger would ask.

(No postponed annotations here: Dagster reads them as they are.)
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.partitions import MONTHS
from clearfacts_assets.chargeback.journals.model import NothingToPost
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import EXACT
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG, trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.chargeback.journals.batch_options import batch_options_of
from clearfacts_assets.storage.chargeback.journals.batches import Asked, Done
from clearfacts_assets.storage.chargeback.journals.booking import JournalService
from clearfacts_assets.storage.chargeback.journals.checking import Checked, CheckResult, check
from clearfacts_assets.storage.chargeback.journals.ending_accruals import accruals_to_end
from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository
from clearfacts_assets.storage.chargeback.journals.statements import currencies

GL_JOURNAL, CURRENCIES = "gl_journal", "currencies"
MONTHS_AND_CURRENCIES = dg.MultiPartitionsDefinition(
    {"month": MONTHS, "currency": dg.DynamicPartitionsDefinition(name=CURRENCIES)}
)

BALANCES = dg.AssetCheckSpec(
    "every_journal_balances",
    asset=GL_JOURNAL,
    description="Debit is credit in each batch, to the cent, and each says what it said when it was made.",
)
TIES = dg.AssetCheckSpec(
    "provider_to_ledger_leaves_nothing",
    asset=GL_JOURNAL,
    description="From the provider's bill over charges and statements to journals each difference has a name.",
)
ALL_BOOKED = dg.AssetCheckSpec(
    "nothing_waits_to_be_booked",
    asset=GL_JOURNAL,
    description="Each issued statement is in a journal as it stands, no accrual stands, and nothing was refused.",
)


class JournalChoice(dg.Config):
    """What is done: take back accruals of months that are over, export what is in no journal yet, in a format; and
    transfer what was corrected since."""

    accruals: bool = True
    export: bool = True
    transfer: bool = False
    format: str = ""


@dg.asset(
    name=GL_JOURNAL,
    partitions_def=MONTHS_AND_CURRENCIES,
    deps=["statements"],
    group_name="chargeback",
    owners=["team:research-computing"],
    kinds={"csv"},
    pool="ledger",
    check_specs=[BALANCES, TIES, ALL_BOOKED],
)
def gl_journal(
    context: dg.AssetExecutionContext, config: JournalChoice, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """The month's issued statements as a journal for the general ledger; what is in one is never exported again.

    Accruals of this month and earlier ones are taken back first, once their month is over. Files go to the folder
    `journals.drop`, else to `journals` in the home folder. Configuration: `accruals`, `export` and `transfer` say what
    is done, `format` is another one than the settings'. Without anything to do it shows what there is.
    """
    keys = dg.MultiPartitionKey(_dimensions(context.partition_key)).keys_by_dimension
    month, currency = keys["month"], keys["currency"]
    engine, done = database.engine(), list[str]()
    configured = settings.load()
    try:
        options = batch_options_of(
            configured.journals, format=config.format, default=Path(configured.home) / "journals"
        )
        service, asked = JournalService(engine, options), _asked(context, currency)
        steps: list[tuple[bool, Callable[[], list[Done]]]] = [
            (config.accruals, lambda: service.end_accruals(asked, up_to=month)),
            (config.export, lambda: service.export(month, asked)),
            (config.transfer, lambda: service.transfer(month, asked)),
        ]
        for wanted, make in steps:
            done += _done(context, make) if wanted else []
        verdict = check(engine, month)
    except (ChargebackError, LookupError, OSError) as error:
        raise dg.Failure(f"No journal was written. {error}", allow_retries=False) from None
    (one,) = [each for each in verdict.currencies if each.currency == currency] or [Checked(currency)]
    yield dg.MaterializeResult(
        metadata=_told(engine, month, one, verdict, done), check_results=list(_checks(engine, month, one, verdict))
    )


def _dimensions(key: str) -> dict[str, str]:
    """``USD|2025-03``: dimensions in the order of their names."""
    currency, _, month = key.partition("|")
    return {"currency": currency, "month": month}


def _asked(context: dg.AssetExecutionContext, currency: str) -> Asked:
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    return Asked(actor, datetime.now(UTC), currency)


def _done(context: dg.AssetExecutionContext, make: Callable[[], list[Done]]) -> list[str]:
    try:
        return [path.name for one in make() for path in one.files]
    except NothingToPost as nothing:
        context.log.info(str(nothing))
        return []


def _told(engine: Engine, month: str, one: Checked, verdict: CheckResult, files: Sequence[str]) -> dict[str, Any]:
    batches = JournalRepository(engine).list(month, currency=one.currency, limit=100_000)
    columns = ("number", "kind", "state", "accounting_date", "lines", "debit", "credit", "file_name")
    steps = [("exported by the providers", one.exported), *((step.name, step.amount) for step in one.steps)]
    return {
        "dagster/row_count": sum(row["lines"] for row in batches),
        "written now": ", ".join(files) or "nothing",
        f"charged to funds, {one.currency}": float(one.journal),
        "journals": table(
            {name: "int" if name == "lines" else "string" for name in columns},
            [[row[name] for name in columns] for row in batches],
        ),
        "by fund": table(
            {"fund": "string", "debit": "string", "credit": "string", "net": "string"},
            [(fund, debit, credit, EXACT.subtract(debit, credit)) for fund, debit, credit in
             JournalRepository(engine).by_fund(month, one.currency)],
        ),
        "from the provider to the ledger": table(
            {"step": "string", "amount": "string"}, [*steps, ("charged to funds by journals", one.journal)]
        ),
        "in suspense": table({"closed fund": "string", "booked on": "string"}, verdict.suspended.items()),
        "look": f"clearfacts chargeback journals check -p {month}",
    }  # fmt: skip


def _checks(engine: Engine, month: str, one: Checked, verdict: CheckResult) -> Iterator[dg.AssetCheckResult]:
    problems = table({"problem": "string"}, [(each,) for each in verdict.problems])
    yield dg.AssetCheckResult(check_name=BALANCES.name, passed=not verdict.problems, metadata={"problems": problems})
    yield dg.AssetCheckResult(
        check_name=TIES.name,
        passed=not one.left,
        metadata={"left over": str(one.left), "look": f"clearfacts chargeback journals check -p {month}"},
    )
    yield dg.AssetCheckResult(
        check_name=ALL_BOOKED.name,
        passed=not verdict.waiting,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"waiting": table({"what": "string"}, [(each,) for each in verdict.waiting])},
    )


export_of_journals = dg.define_asset_job(
    "export_of_journals",
    selection=dg.AssetSelection.assets(GL_JOURNAL),
    description="Exports a month's journals in a currency; each statement once.",
)


@dg.sensor(name="journal_currencies", minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def journal_currencies(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """A currency in which statements were issued is a partition of journals by itself."""
    known = set(context.instance.get_dynamic_partitions(CURRENCIES))
    new = [one for one in currencies(database.engine()) if one not in known]
    add = dg.DynamicPartitionsDefinition(name=CURRENCIES).build_add_request(new)
    return dg.SensorResult(dynamic_partitions_requests=[add] if new else [])


@dg.sensor(
    name="accruals_over",
    job=export_of_journals,
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def accruals_over(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Takes back each accrual that has left, once its month is over: dated on the first day of the next one, once."""
    with traced_tick("accruals_over"):
        return accruals_due(database.engine(), datetime.now(UTC))


def accruals_due(engine: Engine, now: datetime) -> dg.SensorResult:
    """One look: a run for each accrual that is to be taken back. A run that failed is asked for again the next day."""
    due = accruals_to_end(engine, now.date())
    config = {"ops": {GL_JOURNAL: {"config": {"accruals": True, "export": False, "transfer": False}}}}
    requests = [
        dg.RunRequest(
            run_key=f"{one['number']}-{now:%Y-%m-%d}",
            partition_key=dg.MultiPartitionKey({"currency": one["currency"], "month": one["period"]}),
            run_config=config,
            tags={TRIGGERED_BY_TAG: "accruals_over", **trace_tags()},
        )
        for one in due
    ]
    add = dg.DynamicPartitionsDefinition(name=CURRENCIES).build_add_request(sorted({one["currency"] for one in due}))
    skip = None if due else "no accrual of a month that is over stands"
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=[add] if due else [], skip_reason=skip)
