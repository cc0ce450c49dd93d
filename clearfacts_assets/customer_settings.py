"""The section of the settings that is about external customers: who they are, and who sends them invoices."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.setting_types import Section

Said = Annotated[str, Field(max_length=200)]


class PartySettings(BaseModel):
    """Who sends or gets an invoice. ``endpoint`` is the Peppol address: scheme and number, as 0208:0203201340."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Said = ""
    vat: Said = ""
    endpoint: str = Field("", pattern=r"^(\d{4}:[^:\s]+)?$")
    street: Said = ""
    city: Said = ""
    postal_code: Said = ""
    country: str = Field("BE", pattern="^[A-Z]{2}$")
    company_number: Said = ""
    contact: Said = ""
    email: Said = ""
    iban: Said = ""
    bic: Said = ""
    buyer_reference: Said = ""
    vat_category: Literal["S", "Z", "E", "AE", "K", "G", "O"] = "S"
    vat_percent: Decimal = Field(Decimal(21), ge=0, le=100)
    vat_reason: Said = ""


class CustomerSettings(Section):
    """External customers, whose statements leave as Peppol invoices. See docs/journals.md."""

    rate_classes: tuple[str, ...] = Field(
        ("external",), description="rate classes of the institutions that get invoices; internal is never one of them"
    )
    supplier: PartySettings | None = Field(None, description="who sends the invoices: a party as below, with its iban")
    parties: dict[str, PartySettings] = Field(
        default_factory=dict,
        description="by institution as the registry names it, or by domain: name, vat, endpoint (scheme:number), "
        "street, city, postal_code, country, buyer_reference, vat_category, vat_percent, vat_reason",
    )
    invoiced_from: str = Field(
        "",
        pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$",
        description="first month, as 2025-03, whose statements become invoices by themselves once it is finalized; "
        "empty: only when somebody asks",
    )
    payment_days: int = Field(30, ge=0, le=365, description="days until an invoice is due")
    folder: Path | None = Field(
        None, description="folder of the invoices; home/statement_invoices otherwise. The source statements reads it"
    )
