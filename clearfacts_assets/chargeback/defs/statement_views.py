"""What Dagster's catalogue says of a month's statements and mails: the same after a run and after a command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.chargeback.defs.views import MONTHS_DRAWN, Metadata, spending_views
from clearfacts_assets.chargeback.model import months_up_to
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailState
from clearfacts_assets.chargeback.statements.mailing import OutgoingMail, bodies
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.storage.chargeback.issuing.due_charges import history
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated
from clearfacts_assets.storage.chargeback.issuing.mail_rows import MailOptions
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository
from clearfacts_assets.storage.database import reading

STATEMENTS, EMAILS = "statements", "statement_emails"
ALL = 1_000_000
STANDS = ("proposed", "issued")
# For a person to decide or to mend: no program brings these mails any further.
STUCK = (MailState.HELD, MailState.UNKNOWN, MailState.REFUSED, MailState.BOUNCED)

TIES_OUT = dg.AssetCheckSpec(
    "statements_are_the_ledgers_due",
    asset=STATEMENTS,
    description="In each currency the sum of the statements that stand is the sum of the ledger's lines, exactly.",
)
EVERY_STATEMENT_WAS_MADE = dg.AssetCheckSpec(
    "every_statement_was_made", asset=STATEMENTS, description="No statement failed while it was set."
)
ACCOUNTED_FOR = dg.AssetCheckSpec(
    "every_mail_is_accounted_for",
    asset=EMAILS,
    description=(
        "Each statement that stands is in a mail, and each mail was taken by a server, dropped by a person, or waits "
        "for its time: none is refused, in doubt, without an address, or came back."
    ),
)


def of_statements(engine: Engine, month: str) -> tuple[Metadata, list[dg.AssetCheckResult]]:
    """What stands in a month, and whether it is what the ledger says is due."""
    repository = StatementRepository(engine)
    standing = list(repository.list(StatementFilter(month, states=STANDS), limit=ALL))
    ours = [one for one in standing if one["kind"] == "investigator"]
    ties = repository.tie_out(month)
    with reading(engine) as connection:
        months = list(months_up_to(month, MONTHS_DRAWN))
        spent = [(one[3], one[4], one[1], one[2], one[5]) for one in history(connection, month, months)]
    names = ("number", "version", "state", "subject", "project", "currency")
    sums = ("listed", "discount", "subsidy", "credit", "due")
    columns = dict.fromkeys((*names, *sums), "string") | {"version": "int"}
    tied = [(one.currency, one.statements, one.printed, one.ledger, one.rounding) for one in ties]
    kinds = {"currency": "string", "statements": "int", "printed": "string", "ledger": "string", "rounding": "string"}
    others = [(one["kind"], one["number"], one["subject"], one["due"], one["currency"]) for one in standing]
    metadata: Metadata = {
        "dagster/row_count": len(ours),
        **{f"due, {one.currency}": float(one.printed) for one in ties},
        "statements and the ledger": table(kinds, tied),
        "statements": table(columns, [[one[name] for name in columns] for one in ours]),
        "sponsors and departments": table(
            dict.fromkeys(("kind", "number", "whose", "amount", "currency"), "string"),
            [one for one in others if one[0] != "investigator"],
        ),
        **spending_views(spent, month, "Due on statements"),
        "look": f"clearfacts chargeback statements list -p {month}",
    }
    verdict = dg.AssetCheckResult(
        check_name=TIES_OUT.name,
        passed=all(one.balanced and not one.rounding for one in ties),
        metadata={"partition": month, "statements and the ledger": table(kinds, tied)},
    )
    return metadata, [verdict]


def was_made(made: Sequence[Generated]) -> dg.AssetCheckResult:
    """Whether each statement was set, and whose was not and why."""
    problems = [problem for one in made for problem in one.problems]
    return dg.AssetCheckResult(
        check_name=EVERY_STATEMENT_WAS_MADE.name,
        passed=not problems,
        metadata={"problems": table({"whose": "string", "why": "string"}, problems)},
    )


def of_emails(engine: Engine, month: str, options: MailOptions) -> tuple[Metadata, list[dg.AssetCheckResult]]:
    """Where a month's mails stand, and whether each is accounted for."""
    box = MailBox(engine)
    mails = [one for one in box.list(period=month) if one["test"] == options.test]
    left = box.would_send(month, options)
    states = Counter(str(one["state"]) for one in mails)
    stuck = [one for one in mails if MailState(one["state"]) in STUCK]
    columns = ("id", "recipient", "state", "subject")
    shown = dict.fromkeys(columns, "string")
    counts = table({"state": "string", "mails": "int"}, sorted(states.items()))
    metadata: Metadata = {
        "dagster/row_count": len(mails),
        "statements in no mail yet": sum(len(those) for those in left.values()),
        "states": counts,
        "mails": table(shown, [[one[name] for name in columns] for one in mails]),
        "look": f"clearfacts chargeback emails list -p {month}",
    }
    verdict = dg.AssetCheckResult(
        check_name=ACCOUNTED_FOR.name,
        passed=not stuck and not left,
        metadata={
            "partition": month,
            "states": counts,
            "for a person": table(shown, [[one[name] for name in columns] for one in stuck]),
            "in no mail": table(shown | {}, [("", email, "", f"{len(those)}") for email, those in left.items()]),
        },
    )
    return metadata, [verdict]


def preview(outgoing: OutgoingMail) -> dg.MetadataValue[str]:
    """The first new mail as text."""
    text, _ = bodies(outgoing)
    return dg.MetadataValue.md(f"**{outgoing.subject}**\n\n```\n{text.replace('```', chr(39) * 3)}\n```")
