"""The registry's tables: investigators, projects, funds, other names of them, and what is not billed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Json, Words


class InvestigatorRow(Base):
    """A principal investigator."""

    __tablename__ = "investigators"

    email: Mapped[str] = mapped_column(String(320), primary_key=True)
    name: Mapped[str] = mapped_column(Words, default="")
    institution: Mapped[str] = mapped_column(Words, default="")


class RegistryAlias(Base):
    """Another name of an investigator or a project."""

    __tablename__ = "registry_aliases"

    kind: Mapped[str] = mapped_column(String(15), primary_key=True)
    alias: Mapped[str] = mapped_column(String(500), primary_key=True)  # in its normal form
    name: Mapped[str] = mapped_column(Words)


class ProjectRow(Base):
    """Who pays for a project, from a day on."""

    __tablename__ = "research_projects"
    __table_args__ = (UniqueConstraint("project_id", "valid_from"),)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(500))
    pi_email: Mapped[str] = mapped_column(Words, default="")
    fund_org: Mapped[str] = mapped_column(Words, default="")
    account_code: Mapped[str] = mapped_column(Words, default="")
    cost_center: Mapped[str] = mapped_column(Words, default="")
    overrides: Mapped[bool] = mapped_column(default=False)
    valid_from: Mapped[str] = mapped_column(String(10), default="")
    valid_to: Mapped[str] = mapped_column(String(10), default="")


class FundRow(Base):
    """A fund: valid from and to, its budget, its award's end, who may charge it."""

    __tablename__ = "research_funds"
    __table_args__ = (UniqueConstraint("fund_org", "valid_from"),)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    fund_org: Mapped[str] = mapped_column(String(500))
    name: Mapped[str] = mapped_column(Words, default="")
    budget: Mapped[Decimal | None]
    currency: Mapped[str] = mapped_column(String(10), default="")
    award_end: Mapped[str] = mapped_column(String(10), default="")
    may_charge: Mapped[list[Any]] = mapped_column(Json, default=list)
    valid_from: Mapped[str] = mapped_column(String(10), default="")
    valid_to: Mapped[str] = mapped_column(String(10), default="")


class BillingException(Base):
    """Who or what is not billed, from when to when, and why."""

    __tablename__ = "billing_exceptions"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    valid_from: Mapped[str] = mapped_column(String(10), default="")
    valid_to: Mapped[str] = mapped_column(String(10), default="")
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
