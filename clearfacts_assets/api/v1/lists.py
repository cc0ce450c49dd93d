"""What every list takes: how many, from where, of which time, in which direction."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from clearfacts_assets.storage.paging import Span

LONGEST_PAGE = 200
LONGEST_CURSOR = 200  # characters
LONGEST_WORD = 255  # characters of an id or a number that is looked for

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
    created_from: AwareDatetime | None = Field(None, description="created at or after this moment (RFC 3339)")
    created_to: AwareDatetime | None = Field(None, description="created before this moment (RFC 3339)")

    @property
    def span(self) -> Span:
        """The same for storage."""
        since, until = (
            moment.astimezone(UTC) if moment is not None else None for moment in (self.created_from, self.created_to)
        )
        return Span(since, until, oldest_first=self.sort == "created_at")
