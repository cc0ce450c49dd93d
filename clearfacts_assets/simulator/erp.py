"""The Java backend: the contract of ``docs/java-backend.openapi.yaml``, strictly, and its wrong answers on request."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import Any

from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.generator import Generator
from clearfacts_assets.simulator.http import Answer, Call, json_answer

DEFAULT_LIMIT = 100
MOST_IN_A_PAGE = 1000
LONGEST_WINDOW = timedelta(days=366)
GZIP_FROM = 1024  # bytes; smaller answers are sent as they are
BOMB_BYTES = 256 * 2**20
_PARAMETERS = ("from", "to", "limit", "cursor")
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)

Key = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One record, its document still unwritten. Rows stand in the order of ``key``."""

    key: Key
    ubl: Callable[[], Any]

    def record(self) -> dict[str, Any]:
        return {"id": self.key[1], "updated_at": written(self.key[0]), "ubl": self.ubl()}


class _Refused(Exception):
    """The request breaks the contract: answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, detail: str, parameter: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.answer = _problem(status, detail, parameter, headers or {})


class Erp:
    """An ERP whose invoices a generator makes up, day by day; others can be added by hand.

    It knows nothing of the future: what would be changed after ``now`` is not there yet. Added invoices are.
    """

    def __init__(self, generator: Generator, token: str, now: Callable[[], datetime]) -> None:
        self.generator = generator
        self._token, self._now = token, now
        self._added: list[Row] = []

    def add(self, invoice_id: str, updated_at: datetime, ubl: object) -> None:
        """One more invoice; ``ubl`` is handed out as it is, whatever it is."""
        insort(self._added, Row((updated_at, invoice_id), lambda: ubl), key=_key)

    def clear(self) -> None:
        """Forget the invoices that were added."""
        self._added.clear()

    def operation(self, call: Call) -> str:
        return "list" if call.path == "/invoices" else "one" if call.path.startswith("/invoices/") else ""

    async def handle(self, call: Call, fault: Fault | None) -> Answer:
        kind = fault.kind if fault else ""
        try:
            self._check(call, refuse_token=kind == "wrong_token")
            if fault and kind == "gzip_bomb":
                return _bomb(int(fault.options.get("size", BOMB_BYTES)))
            if call.operation == "list":
                answer = self._page(call, fault)
            else:
                answer = self._one(call.path.removeprefix("/invoices/"), fault)
        except _Refused as refused:
            return refused.answer
        return _packed(answer, call)

    def _check(self, call: Call, *, refuse_token: bool) -> None:
        if refuse_token or call.token != self._token:
            raise _Refused(401, "the bearer token is missing or unknown", headers={"www-authenticate": "Bearer"})
        if not call.operation:
            raise _Refused(404, f"there is nothing at {call.path or '/'}")
        if call.method != "GET":
            raise _Refused(405, f"{call.method} is not possible here", headers={"allow": "GET"})

    def _one(self, invoice_id: str, fault: Fault | None) -> Any:
        for row in reversed(self._added):
            if row.key[1] == invoice_id:
                return _spoiled(row.record(), fault)
        entry = self.generator.find(invoice_id)
        if entry is None or entry.updated_at > self._now():
            raise _Refused(404, f"there is no invoice {invoice_id!r}")
        document = self.generator.document(entry)
        return _spoiled({"id": invoice_id, "updated_at": written(entry.updated_at), "ubl": document}, fault)

    def _page(self, call: Call, fault: Fault | None) -> dict[str, Any]:
        asked = _parameters(call.query)
        start, end = _window(asked)
        limit = _limit(asked.get("limit", str(DEFAULT_LIMIT)))
        after = _position(asked["cursor"], asked["from"], asked["to"]) if "cursor" in asked else None
        if fault and fault.kind == "empty_day":
            return {"invoices": [], "next_cursor": None}
        rows = list(islice(self._rows(start, end, after), limit + 1))
        page, more = rows[:limit], len(rows) > limit
        records = [row.record() for row in page]
        position = page[-1].key if more else None
        if fault:
            position = self._disturbed(fault, records, page, position, (start, end), after)
        return {
            "invoices": records,
            "next_cursor": _cursor(asked["from"], asked["to"], position) if position else None,
        }

    def _rows(self, start: datetime, end: datetime, after: Key | None) -> Iterator[Row]:
        made = (
            Row((entry.updated_at, entry.invoice_id), lambda entry=entry: self.generator.document(entry))  # type: ignore[misc]
            for entry in self.generator.between(max(start, after[0]) if after else start, min(end, self._now()))
        )
        first = bisect_left(self._added, (start, ""), key=_key)
        added = (row for row in islice(self._added, first, None) if row.key[0] < end)
        rows = merge(made, added, key=_key)
        return (row for row in rows if row.key > after) if after else rows

    def _disturbed(
        self,
        fault: Fault,
        records: list[dict[str, Any]],
        page: list[Row],
        position: Key | None,
        window: tuple[datetime, datetime],
        after: Key | None,
    ) -> Key | None:
        """Changes the page's records in place. Returns where the next page shall begin; None for nowhere."""
        if fault.kind == "looping_cursor":
            return (window[0] - timedelta(microseconds=1), "")
        if fault.kind == "repeated_rows" and position:
            back = min(int(fault.options.get("rows", 3)), len(page) - 1)
            return page[-1 - back].key
        if fault.kind == "edited_between_pages" and after and page:
            first = next(self._rows(*window, None), None)
            if first:
                edited = first.record()
                records.append({**edited, "updated_at": written(page[-1].key[0]), "ubl": _edited(edited["ubl"])})
        elif fault.kind == "bad_record" and records:
            row = min(int(fault.options.get("row", 1)), len(records)) - 1
            records[row] = _spoiled(records[row], fault)
        return position


def _key(row: Row) -> Key:
    return row.key


def written(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: str) -> datetime:
    """RFC 3339 with a zone. Raises ValueError."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"{text!r} is not a time with a zone as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside of the calendar") from None


def _parameters(query: list[tuple[str, str]]) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in query:
        if name not in _PARAMETERS:
            raise _Refused(400, f"unknown parameter; known are {', '.join(_PARAMETERS)}", name)
        if name in asked:
            raise _Refused(400, "given more than once", name)
        asked[name] = value
    return asked


def _window(asked: dict[str, str]) -> tuple[datetime, datetime]:
    moments = []
    for name in ("from", "to"):
        if name not in asked:
            raise _Refused(400, "missing", name)
        try:
            moments.append(parse_moment(asked[name]))
        except ValueError as error:
            raise _Refused(400, str(error), name) from None
    start, end = moments
    if start >= end:
        raise _Refused(400, "'from' must lie before 'to'", "from")
    if end - start > LONGEST_WINDOW:
        raise _Refused(400, f"the window must not be longer than {LONGEST_WINDOW.days} days", "to")
    return start, end


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_IN_A_PAGE):
        raise _Refused(400, f"must be a whole number from 1 to {MOST_IN_A_PAGE}", "limit")
    return int(text)


def _cursor(start: str, end: str, after: Key) -> str:
    text = json.dumps([start, end, after[0].isoformat(), after[1]], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str, start: str, end: str) -> Key:
    """After which row the next page begins. A cursor belongs to its window."""
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        of_start, of_end, moment, invoice_id = json.loads(decoded)
        position = parse_moment(moment), str(invoice_id)
    except (ValueError, TypeError):
        raise _Refused(400, "not a cursor that was handed out here", "cursor") from None
    if (of_start, of_end) != (start, end):
        raise _Refused(400, "this cursor was handed out for another window", "cursor")
    return position


def _problem(status: int, detail: str, parameter: str, headers: dict[str, str]) -> Answer:
    titles = {400: "Bad request", 401: "Unauthorized", 404: "Not found", 405: "Method not allowed"}
    body: dict[str, Any] = {"type": "about:blank", "title": titles[status], "status": status, "detail": detail}
    if parameter:
        body["parameter"] = parameter
    return json_answer(body, status, headers, "application/problem+json")


def _packed(value: dict[str, Any], call: Call) -> Answer:
    answer = json_answer(value)
    accepted = call.headers.get("accept-encoding", "")
    if "gzip" not in accepted or len(answer.body) < GZIP_FROM:
        return answer
    packed = gzip.compress(answer.body, compresslevel=1, mtime=0)
    return Answer(200, packed, (*answer.headers, ("content-encoding", "gzip"), ("vary", "accept-encoding")))


def _spoiled(record: dict[str, Any], fault: Fault | None) -> Any:
    """What ``bad_record`` makes of a record."""
    if fault is None or fault.kind != "bad_record":
        return record
    variant = fault.options.get("variant", "no_ubl")
    if variant == "not_an_object":
        return "not an object"
    if variant == "ubl_not_text":
        return {**record, "ubl": {"xml": True}}
    if variant == "wrong_time":
        return {**record, "updated_at": "yesterday"}
    missing = {"no_id": "id", "no_ubl": "ubl", "no_time": "updated_at"}[variant]
    return {name: value for name, value in record.items() if name != missing}


def _edited(ubl: Any) -> Any:
    """The same invoice with another buyer reference: still valid, but not the same content."""
    if not isinstance(ubl, str):
        return ubl
    return re.sub(r"(<cbc:BuyerReference>)[^<]*", r"\1KP-gewijzigd", ubl, count=1)


@lru_cache(maxsize=1)
def _bomb(size: int) -> Answer:
    """A small gzip body that unpacks to about ``size`` bytes of a well-formed page: blanks before the first record.

    A block of blanks that is flushed completely packs to the same bytes every time, so it is packed once.
    """
    block = b" " * 2**20
    blocks = max(size // len(block), 1)
    head, tail = b'{"invoices":[', b'],"next_cursor":null}'
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    middle = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(tail) + packer.flush(zlib.Z_FINISH)
    check = zlib.crc32(head)
    for _ in range(blocks):
        check = zlib.crc32(block, check)
    check = zlib.crc32(tail, check)
    length = len(head) + blocks * len(block) + len(tail)
    frame = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    trailer = check.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    body = frame + start + middle * blocks + end + trailer
    return Answer(200, body, (("content-type", "application/json"), ("content-encoding", "gzip")))
