"""What the general ledger answers, read from a CSV file: which batches and lines it posted, which it refused, why."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from clearfacts_assets.chargeback.model import ChargebackError

POSTED, REFUSED = "posted", "refused"
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "number": ("journal", "number", "batch", "batch_id", "journal_id", "journal_number", "headerkey", "document"),
    "line": ("line", "line_number", "linekey", "seq", "seq_num", "sequence"),
    "status": ("status", "state", "result", "outcome"),
    "message": ("message", "error", "reason", "description", "text"),
    "reference": ("reference", "erp_reference", "document_number", "doc_code", "posted_reference"),
}
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("posted", "accepted", "ok", "success", "succeeded", "valid", "complete", "completed"), POSTED),
    **dict.fromkeys(("refused", "rejected", "error", "failed", "failure", "invalid", "denied"), REFUSED),
}
MOST_BYTES = 64 * 2**20


class AnswerUnreadable(ChargebackError):
    """The file is no answer that can be understood. Nothing was written."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A row: of one line, or of the batch as a whole where ``line`` is None."""

    number: str
    line: int | None
    verdict: str
    message: str
    reference: str


def read_answers(content: bytes) -> list[AnswerRow]:
    """All rows of the file. Raises AnswerUnreadable, which names the row."""
    if len(content) > MOST_BYTES:
        raise AnswerUnreadable("the answer has {size:,} bytes; {most:,} at most", size=len(content), most=MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AnswerUnreadable("the answer is not UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        places = _places(header)
        found = [_answer(row, places, line) for line, row in enumerate(rows, start=2) if any(row)]
    except csv.Error as error:
        raise AnswerUnreadable("line {line}: {error}", line=rows.line_num, error=error) from None
    if not found:
        raise AnswerUnreadable("the answer has no rows")
    return found


def _places(header: list[str]) -> dict[str, int]:
    names = [one.strip().casefold().replace(" ", "_") for one in header]
    found = {
        field: next(names.index(name) for name in known if name in names)
        for field, known in _COLUMNS.items()
        if any(name in names for name in known)
    }
    missing = {"number", "status"} - set(found)
    if missing:
        wanted = " and ".join(f"{one} ({', '.join(_COLUMNS[one])})" for one in sorted(missing))
        raise AnswerUnreadable("the answer has no column for {wanted}", wanted=wanted)
    return found


def _answer(row: list[str], places: Mapping[str, int], at: int) -> AnswerRow:
    def said(name: str) -> str:
        place = places.get(name)
        return row[place].strip() if place is not None and place < len(row) else ""

    word, line = said("status").casefold(), said("line")
    if word not in _WORDS:
        raise AnswerUnreadable(
            "line {at}: the status {status!r} is not one of {known}",
            at=at,
            status=said("status"),
            known=", ".join(_WORDS),
        )
    if line and not line.isdecimal():
        raise AnswerUnreadable("line {at}: {line!r} is no line's number", at=at, line=line)
    if not said("number"):
        raise AnswerUnreadable("line {at}: it names no journal", at=at)
    return AnswerRow(said("number"), int(line) if line else None, _WORDS[word], said("message"), said("reference"))
