"""Settings of rates: how files of use are read, who approves, when budgets are told of. Read by ``settings.py``."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clearfacts_assets.chargeback.cost_sources import USAGE_KINDS
from clearfacts_assets.setting_types import one_of


class UsageOptions(BaseModel):
    """How the files of one source say what was used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    service: str = ""
    unit: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    weights: dict[str, dict[str, Decimal]] = Field(default_factory=dict)
    measure: Literal["sum", "max"] = "sum"
    timezone: str = "UTC"
    sampling: Literal["", "daily", "monthly"] = ""

    _there_is_one = field_validator("kind")(one_of(USAGE_KINDS))

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is no time zone: write Europe/Brussels") from None
        return value


class RateOptions(BaseModel):
    """Rates, rules and budgets. See docs/rates.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usage: dict[str, UsageOptions] = Field(
        default_factory=dict,
        description=f"by source, how its files say what was used: kind ({', '.join(USAGE_KINDS)}), service, unit, "
        "columns by field, weights by partition, measure (sum or max), timezone, sampling (daily or monthly)",
    )
    two_people: bool = Field(False, description="whether rates and rules count only once another person approves them")
    budget_thresholds: tuple[int, ...] = Field(
        (50, 80, 100), description="percent of a fund's budget that are told of when they are passed"
    )
    expiry_days: tuple[int, ...] = Field(
        (180, 90, 30, 0), description="days before an award's end at which it is told of"
    )
