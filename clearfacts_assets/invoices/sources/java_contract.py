"""What the Java backend's contract says of its answers: pages, records, moments, and how a failure is told.

``docs/java-backend.openapi.yaml`` publishes it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from clearfacts_assets.invoices.sources import ID_CHARACTERS, is_fit_for_id
from clearfacts_assets.outgoing.evidence import is_storable

CURSOR_CHARACTERS = 4096

# As RFC 3339, ISO 8601 and Java's OffsetDateTime and ZonedDateTime write a moment: seconds may be left out, the offset
# may not. What ZonedDateTime adds in brackets says nothing more.
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2})(?P<fraction>[.,]\d+)?)?"
    r"(?:(?P<utc>[Zz])|(?P<hours>[+-]\d{2})(?::?(?P<minutes>\d{2})(?::?(?P<seconds>\d{2}))?)?)(?:\[[\w/+:.-]+\])?",
    re.ASCII,
)
_YEARS = range(2, 9999)  # in whatever zone a database shows them


def _moment(text: str) -> str:
    moment_of(text)
    return text


def moment_of(text: str) -> datetime:
    """In UTC. Raises ValueError where the text is no moment, or has no offset."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("not a time with its offset")
    second, leaps = found["second"] or "00", timedelta(0)
    if second == "60":  # RFC 3339 knows leap seconds, a calendar does not
        second, leaps = "59", timedelta(seconds=1)
    offset = "+00:00" if found["utc"] else f"{found['hours']}:{found['minutes'] or '00'}:{found['seconds'] or '00'}"
    fraction = (found["fraction"] or "").replace(",", ".")
    try:
        moment = datetime.fromisoformat(f"{found['day']}T{found['minute']}:{second}{fraction}{offset}") + leaps
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside of what a calendar holds") from None
    if moment.year not in _YEARS:
        raise ValueError("outside of what a calendar holds")
    return moment


def _fitting(text: str) -> str:
    if not is_fit_for_id(text):
        raise ValueError("not an id")
    return text


def _checked(text: str) -> str:
    if not is_storable(text):
        raise ValueError("holds characters that neither XML nor a database knows")
    return text


_Id = Annotated[str, AfterValidator(_fitting)]


# Members that tell of a failure, whatever page they stand on, and those that do so where there are no invoices: an
# error in the clothes of an empty page is no empty day. In lower case, without hyphens and underscores.
_TELL_OF_FAILURE = re.compile("(error|exception|fault|failure|problem)s?|failed|partial|incomplete")
_TELL_OF_SUCCESS = frozenset({"success", "ok"})
_TELL_OF_FAILURE_ALONE = re.compile(
    "(message|detail|warning)s?|status(code|text)?|code|error(code|message)|title|reason|path|(stack)?trace"
)
_ALL_IS_WELL = frozenset({"ok", "success", "successful", "200", "200 ok", "complete", "completed"})


class Page(BaseModel):
    # Other members may stand beside these two (totals, links), but none that tells of a failure.
    model_config = ConfigDict(strict=True, extra="allow")

    invoices: list[Any]
    next_cursor: Annotated[str, StringConstraints(min_length=1, max_length=CURSOR_CHARACTERS)] | None

    @model_validator(mode="after")
    def _no_failure(self) -> Page:
        for name, value in (self.model_extra or {}).items():
            if _tells_of_failure(name, value, alone=not self.invoices):
                raise ValueError(f"beside the invoices stands {name[:60]!r}, which tells of a failure")
        return self


def _tells_of_failure(name: str, value: Any, *, alone: bool) -> bool:
    plain = name.lower().replace("_", "").replace("-", "")
    if plain in _TELL_OF_SUCCESS:
        return value is False
    if not value:  # null, false, 0 and nothing inside
        return False
    if _TELL_OF_FAILURE.fullmatch(plain):
        return True
    return alone and bool(_TELL_OF_FAILURE_ALONE.fullmatch(plain)) and str(value).strip().lower() not in _ALL_IS_WELL


class Record(BaseModel):
    model_config = ConfigDict(strict=True)

    id: _Id
    updated_at: Annotated[str, AfterValidator(_moment)]
    ubl: Annotated[str, StringConstraints(min_length=1), AfterValidator(_checked)]


DEMANDS = {
    "id": f"'id' must be text of 1 to {ID_CHARACTERS} printable characters",
    "updated_at": "'updated_at' must be a time as RFC 3339 or ISO 8601 writes it, with its offset",
    "ubl": "'ubl' must be the XML as text, without NUL and half characters",
}
