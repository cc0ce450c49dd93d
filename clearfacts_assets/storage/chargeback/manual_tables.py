"""Tables of what people laid down by hand: who pays for a resource, what an unreadable row should have said."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Words


class MendedRecord(Base):
    """The one charge that a person made of a refused record. The key says what the record is known by in every delivery
    of its source, so that no second charge can stand for it."""

    __tablename__ = "mended_records"

    source: Mapped[str] = mapped_column(String(60), primary_key=True)
    record: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)  # digest of the record as it is kept
    occurrence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    charge_id: Mapped[int] = mapped_column(Identifier, unique=True)
    refusal_id: Mapped[int] = mapped_column(ForeignKey("cost_refusals.id"))
    import_id: Mapped[int] = mapped_column(ForeignKey("cost_imports.id"))  # that brought the mended row


class ResourceOverride(Base):
    """Who pays for a resource, whatever its tags say, from when to when, and why. Nothing but its end ever changes."""

    __tablename__ = "resource_overrides"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    resource: Mapped[str] = mapped_column(String(500))  # an id, or a pattern with * and ?
    pi_email: Mapped[str] = mapped_column(Words)
    project_id: Mapped[str] = mapped_column(Words)
    fund_org: Mapped[str] = mapped_column(Words)
    account_code: Mapped[str] = mapped_column(Words)
    cost_center: Mapped[str] = mapped_column(Words)
    valid_from: Mapped[str] = mapped_column(String(10))
    valid_to: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Words)
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
