"""One call to Clearfacts, and what its end means whatever the transport. docs/clearfacts-outcomes.md shows it all.

The question behind every row is not "did it work?" but "may it have been accepted?". Unless an answer settles it, it
may.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import httpcore
import httpx

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.token import Token
from clearfacts_assets.invoices.ports import (
    Denied,
    DestinationDenied,
    DestinationError,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.body import BodyMalformed, BodyTooLarge, unpacked
from clearfacts_assets.outgoing.client import FAILURES, USER_AGENT, Connections
from clearfacts_assets.outgoing.deadlines import bounded
from clearfacts_assets.outgoing.evidence import Secrets, parse_json
from clearfacts_assets.outgoing.headers import bearer, correlation, retry_after
from clearfacts_assets.outgoing.requests import Request, make

RESPONSE_BYTES = 4 * 2**20  # most bytes of one answer, unpacked
PAUSES = Backoff(first=1.0)  # before a question is asked again, where nobody asks for others
ASKED = 5  # times at most
STOP_SECONDS = 0.2  # between two looks whether to stop while a question waits
LOOK_UP = "look the document up in Clearfacts"
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
}

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


# HTTP statuses that mean the same on both transports. What stands nowhere is UNKNOWN. An answer is ACCEPTED only if its
# body proves it, and REFUSED only if its body is an error as documented; else it is UNKNOWN too.
STATUSES: dict[int, OutcomeKind] = {
    401: OutcomeKind.DENIED,
    403: OutcomeKind.DENIED,
    429: OutcomeKind.NOT_SENT,
}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer to a request that left."""

    address: str  # method and address, for messages
    status: int
    json: Any  # None where the body is not JSON
    evidence: dict[str, Any]
    wait: float | None  # Retry-After in seconds, capped
    renewal: str = ""  # why our token, refused, could not be renewed

    def means(self, kind: OutcomeKind, *, code: str = "", message: str = "") -> Outcome:
        """The outcome of every kind but ACCEPTED, which takes a proof (then it is UNKNOWN)."""
        told = f"{self.address} answered HTTP {self.status}" + (f" ({message or code})" if message or code else "")
        if kind is OutcomeKind.REFUSED:
            return Refused(code or f"HTTP {self.status}", message, self.evidence)
        if kind is OutcomeKind.NOT_SENT:
            return NotSent(told, self.wait, self.evidence)
        if kind is OutcomeKind.DENIED:
            return Denied(f"{told}: {self.what_to_renew}", self.evidence)
        return Unknown(f"{told}, which settles nothing: {LOOK_UP}", self.evidence)

    @property
    def what_to_renew(self) -> str:
        """What to do about a refused token."""
        failed = f" (it could not be renewed by itself: {self.renewal})" if self.renewal else ""
        return f"renew destination.token{failed}"


def denied_by_status(answer: HttpAnswer) -> bool:
    """Whether the answer refuses our token, whatever the transport."""
    return STATUSES.get(answer.status) is OutcomeKind.DENIED


class Patience:
    """Seconds that may be waited in all until questions are asked again. Who waits at the same time counts once."""

    def __init__(
        self,
        seconds: float,
        should_stop: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self._should_stop, self._monotonic = seconds, should_stop, monotonic
        self._left, self._taken_until, self._lock = seconds, float("-inf"), threading.Lock()

    def take(self, until: float) -> bool:
        """Take what a wait until then, by the monotonic clock, costs; nothing, and False, where it is too long."""
        with self._lock:
            cost = max(0.0, until - max(self._taken_until, self._monotonic()))
            if cost >= self._left:
                return False
            self._left -= cost
            self._taken_until = max(self._taken_until, until)
            return True

    def wait(self, until: float) -> bool:
        """Wait until then; False, at once or before, where that is too long or we have to stop."""
        if self._should_stop() or not self.take(until):
            return False
        while not self._should_stop():
            left = until - self._monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, STOP_SECONDS))
        return False


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands before the body of an answer."""

    status_code: int
    headers: httpx.Headers


class Calls:
    """A pooled client for one destination, which keeps no cookies; safe for as many threads as it has connections."""

    def __init__(
        self,
        options: DestinationOptions,
        *,
        denied: Callable[[HttpAnswer], bool] = denied_by_status,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``denied`` says of an answer that it refuses our token, and so that nothing was accepted.

        All calls carry the correlation id, but for requests that have one of their own.
        """
        self._token, self._denied = Token(options.token, options.renew, options.network.secrets), denied
        self._deadline, self._longest_wait, self._now = options.deadline, options.longest_wait, now
        self._connections = Connections(options.connections, options.network)
        self._timeouts = httpx.Timeout(options.deadline, connect=options.connect_timeout).as_dict()
        self._headers = _HEADERS | correlation(options.correlation_id)

    @property
    def secrets(self) -> Secrets:
        """Every token that calls have carried so far, and what a proxy is told."""
        return self._token.secrets

    def request(self, method: str, address: str, **content: Any) -> Request:
        """A request, its body as httpx takes it."""
        return make(method, address, self._headers | content.pop("headers", {}), **content)

    def ask(self, request: Request, ends: float = float("inf")) -> HttpAnswer | NotSent | Unknown:
        """Send once. NotSent where provably nothing left, Unknown where something did and no whole answer came.

        Where the answer refuses our token, nothing was accepted: it is sent once more if there is another token, and
        time left before the one deadline of both, which is never later than ``ends`` by the monotonic clock.
        """
        now = time.monotonic()
        ends = min(ends, now + self._deadline)
        if now >= ends:
            return NotSent(f"{request.place}: the time for it was used up, nothing left")
        refused = self._token.value
        answer = self._once(request, refused, ends - now)
        if not isinstance(answer, HttpAnswer) or not self._denied(answer):
            return answer
        try:
            fresh = self._token.instead_of(refused)
        except DestinationError as error:
            return replace(answer, renewal=str(error))
        left = ends - time.monotonic()
        return answer if fresh is None or left <= 0 else self._once(request, fresh, left)

    def hand_over(self, request: Request) -> HttpAnswer | NotSent | Unknown:
        """The same for what carries a document: who reads that nobody knows, is told where to look."""
        answer = self.ask(request)
        return replace(answer, reason=f"{answer.reason}: {LOOK_UP}") if isinstance(answer, Unknown) else answer

    def _once(self, request: Request, token: str, seconds: float) -> HttpAnswer | NotSent | Unknown:
        begun = time.monotonic()
        answer = self._sent(request, request.with_headers(bearer(token), self._timeouts), seconds)
        if isinstance(answer, HttpAnswer) and not self._denied(answer):
            self._token.worked(token, begun)
        return answer

    def _sent(self, request: Request, written: httpcore.Request, seconds: float) -> HttpAnswer | NotSent | Unknown:
        body = bytearray()
        came: _Head | None = None
        with bounded(seconds) as call:
            try:
                response = self._connections.handle_request(written)
                try:
                    came = _Head(response.status, httpx.Headers(response.headers))
                    stream = cast("Iterable[bytes]", response.stream)
                    unpacked(stream, came.headers.get("Content-Encoding", ""), RESPONSE_BYTES, body)
                finally:
                    response.close()
            except (*FAILURES, BodyMalformed, BodyTooLarge) as error:
                return self._failed(request, came, body, error, handed_over=call.handed_over)
            if not call.handed_over:  # an answer to something else, left over on a connection that was closing
                return NotSent(f"{request.place}: the connection closed before the request left")
        parsed = parse_json(body)
        return HttpAnswer(
            address=request.place,
            status=came.status_code,
            json=parsed,
            evidence=self.secrets.evidence(came, body, parsed),
            wait=retry_after(came, self._now(), self._longest_wait),
        )

    def answered(self, request: Request, patience: Patience | None = None, ends: float = float("inf")) -> HttpAnswer:
        """Send what is only a question. Raises DestinationError where there is no answer, or our token is refused.

        A question may be repeated: after a 429, a 5xx or no answer it is asked again, as late as Retry-After asks,
        else after PAUSES; no more where ``patience`` does not last, or that would be after ``ends``. No call outlives
        ``ends``, by the monotonic clock.
        """
        for failures in range(1, ASKED + 1):
            answer = self.ask(request, ends)
            if patience is None or failures == ASKED or not _passes(answer):
                break
            asked = answer.wait if isinstance(answer, HttpAnswer) else None
            until = time.monotonic() + (PAUSES.after(failures) if asked is None else asked)
            if until >= ends or not patience.wait(until):
                break
        if not isinstance(answer, HttpAnswer):
            raise DestinationError(answer.reason)
        if self._denied(answer):
            told = f"{answer.address} refuses our token with HTTP {answer.status}"
            raise DestinationDenied(f"{told}: {answer.what_to_renew}")
        return answer

    def close(self) -> None:
        self._connections.close()

    def _failed(
        self,
        request: Request,
        response: _Head | None,
        body: bytearray,
        error: Exception,
        *,
        handed_over: bool,
    ) -> NotSent | Unknown:
        what = f"{type(error).__name__}: {self.secrets.excerpt(str(error), 200)}"
        if not handed_over:
            return NotSent(f"{request.place}: no connection, nothing left ({what})")
        came = self.secrets.evidence(response, body) if response is not None else {}
        reason = f"{request.place}: the request left, but no whole answer came ({what}; {self._deadline:g} s at most)"
        return Unknown(reason, came | {"error": what})


def document_uuid(value: Any) -> str | None:
    """The value as a document's id, if it is a UUID in its usual form."""
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


def _passes(answer: HttpAnswer | NotSent | Unknown) -> bool:
    """Whether the same question may be answered later."""
    return not isinstance(answer, HttpAnswer) or answer.status == 429 or answer.status >= 500
