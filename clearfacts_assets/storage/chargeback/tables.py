"""Chargeback's tables: sources, periods, the charges, and what was decided about them.

Amounts are exact (ExactDecimal), digests 16 bytes, moments in rows of the millions texts in UTC of one form
(``2025-03-01T00:00:00Z``), which sort as they should and cost nothing to read.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.types import Json, Words

Identifier = BigInteger().with_variant(Integer, "sqlite")
LIVE = text("withdrawn_by IS NULL")


class CostSourceRow(Base):
    """Where cost exports come from, and how they are charged on."""

    __tablename__ = "cost_sources"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    display_name: Mapped[str] = mapped_column(Words, default="")
    pattern: Mapped[str] = mapped_column(Words, default="")  # of file names, to guess the source by
    basis: Mapped[str] = mapped_column(String(20))
    credit_fund_org: Mapped[str] = mapped_column(Words, default="")
    account_code: Mapped[str] = mapped_column(Words, default="")
    decimal_comma: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class Period(Base):
    """A month, from open to finalized. Finalization writes the hash of all that counts, chained to the one before."""

    __tablename__ = "billing_periods"
    __table_args__ = (
        one_of("state", State),
        # Asked for each new charge.
        Index(
            "ix_billing_periods_finalized",
            "name",
            unique=True,
            sqlite_where=text("state = 'finalized'"),
            postgresql_where=text("state = 'finalized'"),
        ),
    )

    name: Mapped[str] = mapped_column(String(7), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    finalized_position: Mapped[int | None] = mapped_column(unique=True)
    finalized_rows: Mapped[int | None] = mapped_column(BigInteger)
    previous_hash: Mapped[str | None] = mapped_column(String(64))
    hash: Mapped[str | None] = mapped_column(String(64))


class PeriodEvent(Base):
    """What was done to a period, by whom, why. Append-only."""

    __tablename__ = "billing_period_events"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(ForeignKey("billing_periods.name"), index=True)
    event: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words, default="")
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    at: Mapped[datetime]


class TagSet(Base):
    """Tags that at least one charge has, in their normal form. Kept by digest."""

    __tablename__ = "cost_tag_sets"

    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    tags: Mapped[str] = mapped_column(Text)


class AttributionSet(Base):
    """Who pays. Kept by digest: many charges share one."""

    __tablename__ = "cost_attributions"

    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    pi_email: Mapped[str] = mapped_column(Words, index=True)
    project_id: Mapped[str] = mapped_column(Words, index=True)
    fund_org: Mapped[str] = mapped_column(Words, index=True)
    cost_center: Mapped[str] = mapped_column(Words)
    account_code: Mapped[str] = mapped_column(Words)
    reference_1: Mapped[str] = mapped_column(Words)
    reference_2: Mapped[str] = mapped_column(Words)
    # With the number of an override; SQLite looks at no lengths, and its column cannot be widened.
    origin: Mapped[str] = mapped_column(String(40).with_variant(String(12), "sqlite"))


class Charge(Base):
    """What one row of an export costs somebody. What it says never changes; where it stands may, until its period is
    finalized. Triggers hold both."""

    __tablename__ = "charges"
    __table_args__ = (
        Index(
            "uq_charges_identity",
            "period",
            "fingerprint",
            "source",
            "occurrence",
            "kind",
            "origin_period",
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        ),
        Index("ix_charges_period", "period", "id", sqlite_where=LIVE, postgresql_where=LIVE),
        Index("ix_charges_attribution", "period", "attribution", sqlite_where=LIVE, postgresql_where=LIVE),
        Index(
            "ix_charges_waiting",
            "period",
            "id",
            sqlite_where=text("status <> 'clear' AND withdrawn_by IS NULL"),
            postgresql_where=text("status <> 'clear' AND withdrawn_by IS NULL"),
        ),
        Index(
            "ix_charges_corrects",
            "corrects",
            sqlite_where=text("corrects IS NOT NULL"),
            postgresql_where=text("corrects IS NOT NULL"),
        ),
        Index(
            "ix_charges_late",
            "origin_period",
            "source",
            sqlite_where=text("kind <> 'charge'"),
            postgresql_where=text("kind <> 'charge'"),
        ),
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(String(7))  # in which it is billed
    origin_period: Mapped[str] = mapped_column(String(7))  # the month of its BillingPeriodStart
    kind: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(60))
    import_id: Mapped[int] = mapped_column(Identifier)
    import_file: Mapped[int] = mapped_column(Identifier)
    row: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[str] = mapped_column(Text)
    sub_account: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(16))
    occurrence: Mapped[int] = mapped_column(BigInteger)
    category: Mapped[str] = mapped_column(Text)
    charge_class: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    billed: Mapped[Decimal | None]
    effective: Mapped[Decimal | None]
    contracted: Mapped[Decimal | None]
    list: Mapped[Decimal | None]
    listed: Mapped[Decimal]  # the list price that a statement shows beside the amount
    amount: Mapped[Decimal]  # on the source's cost basis
    charge_start: Mapped[str] = mapped_column(String(20))
    charge_end: Mapped[str] = mapped_column(String(20))
    service: Mapped[str] = mapped_column(Text)
    service_category: Mapped[str] = mapped_column(Text, server_default=text("''"))  # empty: not said
    resource_id: Mapped[str] = mapped_column(Text)
    resource_name: Mapped[str] = mapped_column(Text)
    sku: Mapped[str] = mapped_column(Text)
    quantity: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)
    invoice_id: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(Text)
    tag_set: Mapped[bytes] = mapped_column(LargeBinary(16))
    read_attribution: Mapped[bytes] = mapped_column(LargeBinary(16))  # what its tags say
    attribution: Mapped[bytes] = mapped_column(LargeBinary(16))  # who pays
    read_flags: Mapped[str] = mapped_column(Text)  # earned by the row itself, whatever is known of who pays
    flags: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(10))
    corrects: Mapped[int | None] = mapped_column(Identifier)
    withdrawn_by: Mapped[int | None] = mapped_column(Identifier)


class ChargeDecision(Base):
    """What a person decided about a charge, or what was carried over to the row that replaced it. Append-only."""

    __tablename__ = "charge_decisions"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    charge_id: Mapped[int] = mapped_column(Identifier, index=True)
    verdict: Mapped[str] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(Words, default="")
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
    flags: Mapped[str] = mapped_column(Text)  # at that time
    before: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    attribution_before: Mapped[bytes] = mapped_column(LargeBinary(16))
    attribution: Mapped[bytes] = mapped_column(LargeBinary(16))
    carried_from: Mapped[int | None] = mapped_column(Identifier)


class ChargeTotal(Base):
    """Sums of charges by who pays for what, as differences that add up: a page of totals reads thousands of rows here
    and not millions there."""

    __tablename__ = "charge_totals"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(String(7), index=True)
    source: Mapped[str] = mapped_column(String(60))
    currency: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    service_category: Mapped[str] = mapped_column(Text, server_default=text("''"))
    account: Mapped[str] = mapped_column(Text)
    invoice_id: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(10))
    attribution: Mapped[bytes] = mapped_column(LargeBinary(16))
    status: Mapped[str] = mapped_column(String(10))
    flags: Mapped[str] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(BigInteger)
    billed: Mapped[Decimal]
    effective: Mapped[Decimal]
    contracted: Mapped[Decimal]
    list: Mapped[Decimal]
    listed: Mapped[Decimal]
    amount: Mapped[Decimal]


class ChargebackWish(Base):
    """A change that was asked for under an id, so that it is carried out once."""

    __tablename__ = "chargeback_wishes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of who asks for what under which key
    digest: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]
    at: Mapped[datetime]
