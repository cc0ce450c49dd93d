"""The section of the settings that is about charges; settings.py reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from clearfacts_assets.setting_types import Section

# Kinds of alerts; those of budgets are named in chargeback/rates/budgets.py.
DELIVERY, STRAYS = "cost-delivery", "cost-strays"
ALERT_KINDS = (DELIVERY, STRAYS, "budget", "award")


class ChargebackSettings(Section):
    """Charges from cost exports. See docs/chargeback.md."""

    currency: str = Field("", max_length=20, description="of exports without BillingCurrency; empty: such rows wait")
    tag_mapping: dict[str, str] = Field(
        default_factory=dict,
        description="tag keys by field: pi_email, project_id, fund_org, cost_center, account_code, reference_1 and _2; "
        "a field that is left out is read from the tag of its own name",
    )
    required: tuple[Literal["pi_email", "project_id", "fund_org"], ...] = Field(
        ("pi_email", "project_id", "fund_org"), description="fields without which a charge waits for a person"
    )
    fund_org_patterns: tuple[str, ...] = Field(
        (), description="regular expressions; a fund that matches none of them waits for a person; none: every fund may"
    )
    flag_patterns: tuple[str, ...] = Field(
        (), description="regular expressions; a charge whose service or resource matches one waits for a person"
    )
    withdraw_percent: float = Field(
        10, ge=0, le=100, description="percent of a month's rows or money that an import withdraws only with --yes"
    )
    two_people: bool = Field(False, description="whether somebody else than who closed a period has to finalize it")
    anomaly_factor: float = Field(
        3, gt=1, description="times the median of the months before at which a project's cost of a service waits"
    )
    landing: Path | None = Field(None, description="folder whose deliveries (SOURCE/2025-03/) import themselves")
    landing_quiet: float = Field(120, ge=0, description="seconds without a change until a delivery there is complete")
    upload_bytes: int = Field(2**30, ge=2**10, le=2**40, description="most bytes of one upload of exports to the API")

    @model_validator(mode="after")
    def _can_be_used(self) -> ChargebackSettings:
        for pattern in (*self.fund_org_patterns, *self.flag_patterns):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        known = {"pi_email", "project_id", "fund_org", "cost_center", "account_code", "reference_1", "reference_2"}
        if unknown := set(self.tag_mapping) - known:
            raise ValueError(f"tag_mapping knows no {', '.join(sorted(unknown))}: only {', '.join(sorted(known))}")
        return self
