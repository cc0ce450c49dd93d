"""``statements`` and ``statement_emails``: a month's PDFs and the mails that bring them, with checks and tables.

(No postponed annotations here: Dagster reads them as they are.)
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.ledger_lines import LEDGER_LINES
from clearfacts_assets.chargeback.defs.partitions import MONTHS
from clearfacts_assets.chargeback.defs.statement_views import (
    ACCOUNTED_FOR,
    EMAILS,
    EVERY_STATEMENT_WAS_MADE,
    STATEMENTS,
    TIES_OUT,
    of_emails,
    of_statements,
    preview,
    was_made,
)
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.notifications.statement_mails import enqueue_and_send, mail_options_of, previews
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.chargeback.issuing.configured_issuer import generate
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance


@dg.asset(
    partitions_def=MONTHS,
    deps=[LEDGER_LINES],
    group_name="chargeback",
    owners=["team:research-computing"],
    pool="ledger",
    check_specs=[TIES_OUT, EVERY_STATEMENT_WAS_MADE],
)
def statements(context: dg.AssetExecutionContext, database: DatabaseResource) -> Iterator[dg.MaterializeResult[None]]:
    """Each investigator's statement for each project and currency, and what sponsors paid, of a month that is closed.
    Once more issues nothing anew; what has changed since makes another version.
    """
    engine, month, now = database.engine(), context.partition_key, datetime.now(UTC)
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    kinds = (StatementKind.INVESTIGATOR, StatementKind.SPONSOR)
    try:
        said = settings.load().statements
        made = [generate(engine, said, month, kind, Issuance(actor, now)) for kind in kinds]
    except ChargebackError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    metadata, checks = of_statements(engine, month)
    counts = {
        "issued": sum(len(one.new) for one in made),
        "corrected": sum(len(one.corrected) for one in made),
        "unchanged": sum(one.unchanged for one in made),
        "without a glyph": sum(len(one.stand_ins) for one in made),
    }
    yield dg.MaterializeResult(metadata=counts | metadata, check_results=[*checks, was_made(made)])


@dg.asset(
    partitions_def=MONTHS,
    deps=[STATEMENTS],
    group_name="chargeback",
    owners=["team:research-computing"],
    pool="ledger",
    check_specs=[ACCOUNTED_FOR],
)
def statement_emails(
    context: dg.AssetExecutionContext, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """One mail an investigator with all that stands and was in no mail yet, handed to the mail server. Once more sends
    nothing twice; without a mail server the mails wait.
    """
    engine, month, now = database.engine(), context.partition_key, datetime.now(UTC)
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    try:
        configured = settings.load()
        first = next(previews(engine, configured, month, now), None)
        found = enqueue_and_send(engine, configured, month, actor=actor, clock=lambda: datetime.now(UTC))
    except ChargebackError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    metadata, checks = of_emails(engine, month, mail_options_of(configured))
    counts = {"new mails": found["wanted"], "handed over now": found.get("sent", 0)}
    stopped = {"stopped": found["stopped"]} if found.get("stopped") else {}
    shown = {"preview": preview(first[1])} if first else {}
    yield dg.MaterializeResult(metadata=counts | stopped | shown | metadata, check_results=checks)


issue_of_statements = dg.define_asset_job(
    "issue_of_statements",
    selection=dg.AssetSelection.assets(LEDGER_LINES, STATEMENTS),
    description="Applies the rules to a month that is closed, and issues its statements. Nothing is sent.",
)
sending_of_statements = dg.define_asset_job(
    "sending_of_statements",
    selection=dg.AssetSelection.assets(EMAILS),
    description="Sends a month's statements that were in no mail yet, one mail an investigator.",
)
