"""The tables of rates and rules: rules with immutable versions, runs, and the lines that they write."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base
from clearfacts_assets.storage.types import Json, Words

Identifier = BigInteger().with_variant(Integer, "sqlite")
LIVE = text("withdrawn_run IS NULL")
OF_RULES = text("withdrawn_run IS NULL AND rule_version IS NOT NULL")

CARRIED = text("withdrawn_run IS NULL AND kind = 'carried'")


class BillingRule(Base):
    """A rule by its kind and name. What it says stands in its versions."""

    __tablename__ = "billing_rules"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))


class RuleVersion(Base):
    """What a rule says in a span of days. Never changed: whoever wants something else adds a version. It counts once
    it is approved, which is noted once."""

    __tablename__ = "billing_rule_versions"
    __table_args__ = (UniqueConstraint("rule_id", "number"),)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("billing_rules.id"), index=True)
    number: Mapped[int]
    valid_from: Mapped[str] = mapped_column(String(10), default="")
    valid_to: Mapped[str] = mapped_column(String(10), default="")
    definition: Mapped[dict[str, Any]] = mapped_column(Json)
    note: Mapped[str] = mapped_column(Words, default="")
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(Words)
    approved_at: Mapped[datetime | None]


class LedgerRun(Base):
    """The rules, applied to a period: by whom, to what, what it changed. Only runs that change something are kept."""

    __tablename__ = "ledger_runs"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(ForeignKey("billing_periods.name"), index=True)
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
    version: Mapped[str] = mapped_column(String(40))  # of this program
    inputs: Mapped[str] = mapped_column(String(64))  # hash of the charges and rules that it read
    charges: Mapped[int] = mapped_column(BigInteger)
    added: Mapped[int] = mapped_column(BigInteger)
    withdrawn: Mapped[int] = mapped_column(BigInteger)
    totals: Mapped[dict[str, Any]] = mapped_column(Json)


class LedgerLine(Base):
    """One effect of one rule on one share of one charge; see ``chargeback.rates.model.Line``. Never changed or deleted;
    a later run may withdraw it, while its period is not finalized."""

    __tablename__ = "ledger_lines"
    __table_args__ = (
        Index(
            "uq_ledger_lines_place",
            "period",
            "charge_id",
            "share",
            "position",
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        ),
        Index("ix_ledger_lines_rule", "rule_version", "period", sqlite_where=OF_RULES, postgresql_where=OF_RULES),
        Index("ix_ledger_lines_carried", "period", sqlite_where=CARRIED, postgresql_where=CARRIED),
        Index("ix_ledger_lines_attribution", "period", "attribution", sqlite_where=LIVE, postgresql_where=LIVE),
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(String(7))
    run_id: Mapped[int] = mapped_column(Identifier)
    charge_id: Mapped[int] = mapped_column(Identifier)  # 0: of a bill, and of no charge
    share: Mapped[int]
    position: Mapped[int]
    step: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str] = mapped_column(String(12))
    rule_version: Mapped[int | None] = mapped_column(Identifier)
    payer: Mapped[str] = mapped_column(Text)
    attribution: Mapped[bytes] = mapped_column(LargeBinary(16))
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[Decimal]
    note: Mapped[str] = mapped_column(Text)
    withdrawn_run: Mapped[int | None] = mapped_column(Identifier)


class LedgerSums(Base):
    """What a period's live lines come to, kept by the run that wrote them as its last step. Triggers take it away as
    soon as anybody else adds a line or withdraws one; without it all lines are added up."""

    __tablename__ = "ledger_sums"

    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    last_charge: Mapped[int] = mapped_column(Identifier)  # those after it are looked at one by one
    sums: Mapped[list[Any]] = mapped_column(Json)  # [currency, whether rules may price the charge, kind, amount]


class MovedCharge(Base):
    """A charge whose standing moved after the sums of its period were kept. Triggers note it, the next run forgets."""

    __tablename__ = "moved_charges"

    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    charge_id: Mapped[int] = mapped_column(Identifier, primary_key=True, autoincrement=False)
