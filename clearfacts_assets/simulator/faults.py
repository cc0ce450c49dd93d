"""Bad days on request: which fault strikes which call, and what it does to the answer.

A fault is asked for over HTTP (``POST /simulator/faults``), strikes the calls that match it, after letting the first
``after`` of them pass, at most ``times`` times, and counts how often it did, so that a test can prove that it was hit.
Of several faults that match a call, the oldest strikes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

from starlette.datastructures import Headers

from clearfacts_assets.simulator.http import Answer, Call, Wire, json_answer

TARGETS = ("erp", "clearfacts", "slack")
ABSURD_WAIT = "99999999999"  # seconds: three thousand years
HANG_SECONDS = 3600.0

# What happens on the wire, whoever is asked.
WIRE_KINDS = frozenset({"down", "status", "html", "truncated", "malformed", "slow", "delay", "hang"})
# What the system itself says wrongly, and in which operations.
CONTENT_KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "looping_cursor": ("erp", frozenset({"list"})),
    "repeated_rows": ("erp", frozenset({"list"})),
    "edited_between_pages": ("erp", frozenset({"list"})),
    "bad_record": ("erp", frozenset({"list", "one"})),
    "gzip_bomb": ("erp", frozenset({"list", "one"})),
    "empty_day": ("erp", frozenset({"list"})),
    "wrong_token": ("erp", frozenset({"list", "one"})),
    "graphql_errors": ("clearfacts", frozenset({"upload", "administrations", "document"})),
    "bad_uuid": ("clearfacts", frozenset({"upload"})),
    "expired_token": ("clearfacts", frozenset()),
    "slack_error": ("slack", frozenset()),
}
# The document is taken, and then the answer goes wrong.
AFTER_ACCEPTANCE: dict[str, str] = {
    "accept_then_drop": "down",
    "accept_then_500": "status",
    "accept_then_truncate": "truncated",
    "accept_then_malformed": "malformed",
    "accept_then_hang": "hang",
}
BODIES = ("json", "html", "empty")  # of ``status``
BAD_RECORDS = (
    "no_ubl",
    "ubl_not_text",
    "no_id",
    "no_time",
    "wrong_time",
    "not_an_object",
)  # variants of ``bad_record``
_DATE = re.compile(r"date[+-]\d{1,6}", re.ASCII)
_MATCHERS = frozenset({"operation", "path", "contains"})
_OPTIONS = frozenset(
    {"status", "retry_after", "body", "message", "extensions", "seconds", "interval", "chunk", "rows", "row", "variant"}
    | {"size", "uuid", "error"}
)
_HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


class BadFault(ValueError):
    """What was asked for is no fault. The message says why."""


@dataclass
class Fault:
    """One fault and how often it was met. ``seen`` counts matching calls, ``applied`` those that it struck."""

    id: int
    target: str
    kind: str
    times: int | None = None
    after: int = 0
    match: dict[str, str] = field(default_factory=dict)
    probability: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    seen: int = 0
    applied: int = 0

    def __post_init__(self) -> None:
        self._draw = Random(self.seed)  # noqa: S311  a simulation, no secret

    def strikes(self, call: Call) -> bool:
        """Whether this call is struck; counts it."""
        if self.times is not None and self.applied >= self.times:
            return False
        if not self._matches(call):
            return False
        self.seen += 1
        if self.seen <= self.after or self._draw.random() >= self.probability:
            return False
        self.applied += 1
        return True

    def _matches(self, call: Call) -> bool:
        operations = CONTENT_KINDS[self.kind][1] if self.kind in CONTENT_KINDS else frozenset[str]()
        if self.kind in AFTER_ACCEPTANCE:
            operations = frozenset({"upload"})
        if self.kind == "edited_between_pages" and all(name != "cursor" for name, _ in call.query):
            return False  # there is no page before this one
        return (
            (not operations or call.operation in operations)
            and self.match.get("operation", call.operation) == call.operation
            and self.match.get("path", "") in call.path
            and ("contains" not in self.match or call.contains(self.match["contains"]))
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "target": self.target,
            "kind": self.kind,
            "times": self.times,
            "after": self.after,
            "match": self.match,
            "probability": self.probability,
            "seed": self.seed,
            **self.options,
            "seen": self.seen,
            "applied": self.applied,
        }


class Faults:
    """All faults that were asked for, oldest first; those that are used up stay in the list."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._count = 0

    def add(self, asked: Any) -> Fault:
        """Raises BadFault."""
        fault = _parse(self._count + 1, asked)
        self._count += 1
        self._faults.append(fault)
        return fault

    def listed(self) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._faults]

    def clear(self) -> None:
        self._faults.clear()

    def striking(self, target: str, call: Call) -> Fault | None:
        """The fault that strikes this call, if any."""
        for fault in self._faults:
            if fault.target == target and fault.strikes(call):
                return fault
        return None


def _parse(number: int, asked: Any) -> Fault:
    if not isinstance(asked, dict):
        raise BadFault("a fault is a JSON object")
    known = {"target", "kind", "times", "after", "match", "probability", "seed"}
    if unknown := set(asked) - known - _OPTIONS:
        raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
    target, kind = asked.get("target"), asked.get("kind")
    if target not in TARGETS:
        raise BadFault(f"target is one of {', '.join(TARGETS)}")
    kinds = kinds_of(target)
    if kind not in kinds:
        raise BadFault(f"kind for {target} is one of {', '.join(sorted(kinds))}")
    match = asked.get("match") or {}
    if not isinstance(match, dict) or set(match) - _MATCHERS or not all(isinstance(v, str) for v in match.values()):
        raise BadFault(f"match is an object of texts named {', '.join(sorted(_MATCHERS))}")
    times, after = asked.get("times"), asked.get("after", 0)
    if not (times is None or _is_count(times)) or not _is_count(after):
        raise BadFault("times is null or a number of calls, after is a number of calls")
    probability, seed = asked.get("probability", 1.0), asked.get("seed", 0)
    if not (_is_number(probability) and 0 <= probability <= 1) or not isinstance(seed, int):
        raise BadFault("probability lies between 0 and 1, seed is an integer")
    options = {name: asked[name] for name in asked if name in _OPTIONS}
    _check_options(options)
    return Fault(number, target, kind, times, after, match, float(probability), options, seed)


def _check_options(options: dict[str, Any]) -> None:
    for name in ("seconds", "interval"):
        if name in options and not (_is_number(options[name]) and options[name] >= 0):
            raise BadFault(f"{name} is a number of seconds")
    for name in ("rows", "row", "size", "chunk"):
        if name in options and not (_is_count(options[name]) and options[name] > 0):
            raise BadFault(f"{name} is a number above 0")
    if "status" in options and not (_is_count(options["status"]) and 200 <= options["status"] <= 599):
        raise BadFault("status is an HTTP status from 200 to 599")
    if options.get("body", "json") not in BODIES:
        raise BadFault(f"body is one of {', '.join(BODIES)}")
    if options.get("variant", "no_ubl") not in BAD_RECORDS:
        raise BadFault(f"variant is one of {', '.join(BAD_RECORDS)}")
    if not _DATE.fullmatch(asked := str(options.get("retry_after", ""))) and asked.startswith("date"):
        raise BadFault("retry_after as a date is written date+5, for in five seconds, or date-5")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kinds_of(target: str) -> frozenset[str]:
    """Every kind of fault that this target can have."""
    own = {kind for kind, (of, _) in CONTENT_KINDS.items() if of == target}
    return WIRE_KINDS | own | (AFTER_ACCEPTANCE.keys() if target == "clearfacts" else frozenset())


Handler = Callable[[Call, Fault | None], Awaitable[Answer]]


async def play(fault: Fault, call: Call, handle: Handler, wire: Wire) -> None:
    """Answer the call as the fault has it.

    ``down``, ``status``, ``html`` and ``hang`` never reach the system; ``truncated`` and ``malformed`` spoil an answer
    that it only pretends to give (nothing is accepted); ``slow`` and ``delay`` give the true one, late.
    """
    kind = fault.kind
    if kind in CONTENT_KINDS:
        await wire.answer(await handle(call, fault))
        return
    if kind == "delay":
        await asyncio.sleep(float(fault.options.get("seconds", 1.0)))
        await wire.answer(await handle(call, None))
        return
    answer = Answer(200, b"", ())
    if kind in AFTER_ACCEPTANCE or kind == "slow":
        answer = await handle(call, None)
        kind = AFTER_ACCEPTANCE.get(kind, kind)
    elif kind in ("truncated", "malformed"):
        if kind == "malformed":  # broken JSON, not broken compression
            call.headers = Headers({**call.headers, "accept-encoding": "identity"})
        answer = await handle(call, fault)
    await _spoil(kind, fault, answer, wire)


async def _spoil(kind: str, fault: Fault, answer: Answer, wire: Wire) -> None:
    options = fault.options
    if kind == "down":
        wire.close()
    elif kind == "status":
        await wire.answer(_status_answer(fault.target, options))
    elif kind == "html":
        await wire.answer(_html("Sign in", 200, ()))
    elif kind == "truncated":
        await wire.cut(answer)
    elif kind == "malformed":
        await wire.answer(Answer(answer.status, answer.body[:-1] + b",,", answer.headers))
    elif kind == "slow":
        await wire.drip(answer, float(options.get("interval", 0.05)), int(options.get("chunk", 1)))
    else:
        await wire.hang(float(options.get("seconds", HANG_SECONDS)))


def _status_answer(target: str, options: dict[str, Any]) -> Answer:
    status = options.get("status", 500)
    headers = {}
    if "retry_after" in options:
        headers["retry-after"] = _retry_after(options["retry_after"])
    if options.get("body", "json") == "html":
        return _html(f"{status} Service error", status, tuple(headers.items()))
    if options.get("body") == "empty":
        return Answer(status, b"", tuple(headers.items()))
    message = options.get("message", f"the simulator was asked to answer {status}")
    if target == "erp":
        problem = {"type": "about:blank", "title": "Simulated", "status": status, "detail": message}
        return json_answer(problem, status, headers, "application/problem+json")
    return json_answer({"error": {"code": "SIMULATED", "message": message}}, status, headers)


def _retry_after(asked: object) -> str:
    """Seconds as a number; ``date+5`` or ``date-5`` for an HTTP date five seconds away; ``absurd``; else as it is."""
    text = str(asked)
    if text == "absurd":
        return ABSURD_WAIT
    if _DATE.fullmatch(text):
        moment = datetime.now(UTC) + timedelta(seconds=int(text.removeprefix("date")))
        return format_datetime(moment, usegmt=True)
    return text


def _html(title: str, status: int, headers: tuple[tuple[str, str], ...]) -> Answer:
    return Answer(status, _HTML.format(title).encode(), (("content-type", "text/html; charset=utf-8"), *headers))
