"""The section of the settings that is about journals: the chart of accounts and the formats; settings.py reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from clearfacts_assets.chargeback.journals.formats import FORMATS
from clearfacts_assets.setting_types import Section

# As chargeback/journals/posting.py has them, which is more than settings should load; a test holds them equal.
NAMES_OF_DESCRIPTIONS = ("source", "period", "fund_org", "pi_email", "project_id", "service", "statement", "number")


class JournalSettings(Section):
    """Journals for the general ledger. See docs/journals.md."""

    format: str = Field("gl", description=f"of the file, where none is named: {', '.join(FORMATS)}")
    fund_org_regex: str = Field(
        r"^(?P<orgn>[^-]+)-(?P<fund>.+)$",
        description="takes a fund's text apart by named groups (fund, orgn, program, ...); empty: the text is the fund",
    )
    account_code_regex: str = Field("", description="what an account code has to match; empty: anything")
    default_account: str = Field("", description="account code where neither the charge nor its source has one")
    account_codes: dict[str, str] = Field(
        default_factory=dict, description="account codes by pattern of services: {HPC*: 54200}; the first match counts"
    )
    category_accounts: dict[str, str] = Field(
        default_factory=dict,
        description="account codes by pattern of FOCUS' ServiceCategory, where no service matched: {Compute: 54200}",
    )
    credit_fund: str = Field("", description="fund that is credited where the source has none of its own")
    credit_account: str = Field("", description="account of credits; empty: that of the debit")
    accrual_account: str = Field("", description="account of an accrual's credits; empty: as for charges")
    segments: dict[str, str] = Field(
        default_factory=dict, description="values of what a fund's text does not say: {program: 16}"
    )
    credit_segments: dict[str, str] = Field(default_factory=dict, description="the same for credits alone")
    suspense: dict[str, str] = Field(
        default_factory=dict,
        description="fund that takes what a closed fund cannot, by pattern of the closed one: {BIO-*: BIO-999999}",
    )
    fiscal_year_start: int = Field(1, ge=1, le=12, description="month in which a fiscal year begins")
    accounting_date: Literal["period_end", "today"] = Field(
        "period_end", description="period_end, the last day of the month that is charged, or today"
    )
    debit_description: str = Field(
        "{source} {period} Research Computing Charges",
        description=f"of debit lines; may hold {', '.join('{' + one + '}' for one in NAMES_OF_DESCRIPTIONS)}",
    )
    credit_description: str = Field("{source} {period} Research Computing Charges", description="of credit lines")
    description_characters: int = Field(0, ge=0, le=1000, description="most of a description; 0: no bound")
    template: Path | None = Field(None, description="Jinja2 template of the format template; ours otherwise")
    neutralise: bool = Field(
        True, description="whether text that a spreadsheet would take for a formula gets an apostrophe before it"
    )
    presets: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="fixed values by format: {banner: {chart: U, rule_class: JE16}}"
    )
    drop: Path | None = Field(
        None, description="folder from which the general ledger fetches files; each appears whole"
    )

    @model_validator(mode="after")
    def _can_be_used(self) -> JournalSettings:
        if self.format not in FORMATS:
            raise ValueError(f"there is no format {self.format!r}: {', '.join(FORMATS)}")
        if unknown := set(self.presets) - set(FORMATS):
            raise ValueError(f"presets knows no format {', '.join(sorted(unknown))}: {', '.join(FORMATS)}")
        for name in ("fund_org_regex", "account_code_regex"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name} is no regular expression: {error}") from None
        for name in ("debit_description", "credit_description"):
            try:
                getattr(self, name).format(**dict.fromkeys(NAMES_OF_DESCRIPTIONS, ""))
            except (KeyError, IndexError, ValueError, AttributeError):
                known = ", ".join("{" + one + "}" for one in NAMES_OF_DESCRIPTIONS)
                raise ValueError(f"{name} may hold {known}, and nothing else in braces") from None
        return self
