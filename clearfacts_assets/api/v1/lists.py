"""What every list takes: how many, from where, of which time, in which direction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from clearfacts_assets.storage.paging import Span

LONGEST_PAGE = 200
LONGEST_CURSOR = 200  # characters
LONGEST_WORD = 255  # characters of an id or a number that is looked for


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # which pydantic would let through
        raise ValueError("in UTC this is no day of the years 1 to 9999") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-11-20"])]


class ListQuery(BaseModel):
    """Unknown parameters are refused: a filter with a typing error must not list everything."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=LONGEST_PAGE, description="most items of one page")
    cursor: str | None = Field(
        None, min_length=1, max_length=LONGEST_CURSOR, description="next_cursor of the page before; same filters"
    )
    sort: Literal["-created_at", "created_at"] = Field("-created_at", description="newest or oldest first")
    created_from: Moment | None = Field(None, description="created at or after this moment (RFC 3339)")
    created_to: Moment | None = Field(None, description="created before this moment (RFC 3339)")

    @property
    def span(self) -> Span:
        """The same for storage."""
        return Span(self.created_from, self.created_to, oldest_first=self.sort == "created_at")
