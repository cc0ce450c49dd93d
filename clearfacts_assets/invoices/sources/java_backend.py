"""The ERP's Java backend over HTTP. Its contract is published as ``docs/java-backend.openapi.yaml``.

One page is asked for at a time. A page that cannot be had ends the retrieval with an error that says where; a record
that cannot be used becomes a SourceDocument with a ``problem``, and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import stamina
from pydantic import ValidationError

from clearfacts_assets import tracing
from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound, SourceDenied, SourceProtocolError, SourceUnavailable
from clearfacts_assets.invoices.sources import ID_CHARACTERS, SourceOptions, is_fit_for_id
from clearfacts_assets.invoices.sources.java_contract import DEMANDS, Page, Record, moment_of
from clearfacts_assets.invoices.validation.ubl import from_text
from clearfacts_assets.outgoing.body import BodyMalformed, BodyTooLarge, read_body
from clearfacts_assets.outgoing.client import open_client
from clearfacts_assets.outgoing.deadlines import bounded
from clearfacts_assets.outgoing.evidence import Secrets
from clearfacts_assets.outgoing.headers import bearer, correlation, plain_address, retry_after

PAGE_LIMIT = 100_000  # pages of one window; a source that has more to say is broken
ERROR_BYTES = 64 * 2**10  # of an error's body that are read
CONNECTIONS = 2  # one page at a time, and a health check beside it
FIRST_WAIT = 0.5  # seconds before the second try; doubled for every further one, with jitter

EPOCH = datetime.fromtimestamp(0, tz=UTC)  # stands in where a record has no usable time and there is no window
_SHOWN_CURSOR = 40  # characters of a cursor in messages


class _TryAgain(Exception):
    """One request failed in a way that another one may not."""

    def __init__(self, reason: str, *, wait: float | None = None, broken: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds, as the backend asked
        self.broken = broken  # it did answer, but not as its contract says


class _TooLarge(Exception):
    """The answer is larger than one page may be."""


class JavaBackend:
    """An InvoiceSource. One client for one run or one health check; safe to call from several threads."""

    name = "java_backend"

    def __init__(
        self,
        options: SourceOptions,
        *,
        page_limit: int = PAGE_LIMIT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``now`` only reads a Retry-After that is a date.

        Raises ValueError for an address or a network that cannot be used.
        """
        self._address = plain_address(options.place) + "/invoices"
        self._limits, self._page_limit = options, page_limit
        self._now = now
        self._secrets = Secrets(options.token.strip(), *options.network.secrets)
        self._client = open_client(
            connections=CONNECTIONS,
            connect_timeout=options.connect_timeout,
            deadline=options.deadline,
            network=options.network,
        )
        self._client.headers.update(
            {"Accept-Encoding": "gzip", **bearer(options.token), **correlation(options.correlation_id)}
        )

    def pages(self, window: Window) -> Iterator[list[SourceDocument]]:
        """The window's pages as the backend gives them; a row that comes twice is passed on twice.

        A page that is larger than ``page_bytes`` is asked for again with half as many rows. Raises SourceError.
        """
        start = _written(window.start)
        asked = {"from": start, "to": _written(window.end)}
        cursor, seen, limit = None, set[str](), self._limits.page_size
        for number in range(1, self._page_limit + 1):
            where = f"page {number}" + (f", cursor {self._shown(cursor)}" if cursor else "")
            with tracing.span("page", {"clearfacts.page": number}) as read:
                page, limit = self._page(asked | ({"cursor": cursor} if cursor else {}), limit, where)
                read.note({"clearfacts.rows": len(page.invoices)})
            yield [
                self._document(record, f"without-id-{start}-page{number}-row{row}", window.start)
                for row, record in enumerate(page.invoices, 1)
            ]
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise SourceProtocolError(
                    f"{self._address} ({where}) hands out the cursor {self._shown(cursor)} a second time: its pages go "
                    "round in a circle. What was read before is kept; the backend must be repaired"
                )
            seen.add(cursor)
        raise SourceProtocolError(
            f"{self._address} has more than {self._page_limit:,} pages for {asked['from']} to {asked['to']}: "
            "ask for a shorter window, or repair the backend's next_cursor"
        )

    def one(self, invoice_id: str) -> SourceDocument:
        """One invoice, whenever it was changed. Raises SourceError, InvoiceNotFound for an unknown id."""
        if invoice_id in ("", ".", "..") or not is_fit_for_id(invoice_id):
            raise InvoiceNotFound(f"{invoice_id[:ID_CHARACTERS]!r} is not an id that the Java backend could have")
        where = f"invoice {invoice_id}"
        try:
            record = self._get(f"{self._address}/{quote(invoice_id, safe='')}", {}, where, one=invoice_id)
        except _TooLarge:
            problem = f"the record is larger than the {self._limits.page_bytes:,} bytes that source.page_bytes allows"
            return SourceDocument(invoice_id, EPOCH, b"", problem)
        if not isinstance(record, dict) or record.get("id") != invoice_id:
            raise SourceProtocolError(
                f"{self._address} ({where}) answered with something else than this invoice: "
                "compare the backend with docs/java-backend.openapi.yaml"
            )
        return self._document(record, invoice_id, EPOCH)

    def check(self) -> str:
        """One try at one row of an empty window: proves address, credentials and contract. Raises SourceError."""
        asked = {"from": _written(EPOCH), "to": _written(EPOCH.replace(second=1)), "limit": "1"}
        try:
            self._page_from(self._get_once(self._address, asked, "check"), "check")
        except (_TryAgain, _TooLarge) as failure:
            raise SourceUnavailable(f"{self._address} does not answer as it should: {failure}") from None
        return f"{self._address} answers"

    def close(self) -> None:
        self._client.close()

    def _page(self, asked: dict[str, str], limit: int, where: str) -> tuple[Page, int]:
        """The page, and with how many rows it was asked for in the end."""
        while True:
            try:
                return self._page_from(self._get(self._address, asked | {"limit": str(limit)}, where), where), limit
            except _TooLarge:
                if limit == 1:
                    raise SourceProtocolError(
                        f"{self._address} ({where}) sends more than {self._limits.page_bytes:,} bytes for a single "
                        "row: raise source.page_bytes, or take the invoice out of the ERP's way"
                    ) from None
                limit //= 2

    def _page_from(self, answer: Any, where: str) -> Page:
        try:
            return Page.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise SourceProtocolError(
                f"{self._address} ({where}) breaks its contract: {self._secrets.excerpt(place, 60)}: {first['msg']}. "
                "Compare the backend with docs/java-backend.openapi.yaml"
            ) from None

    def _document(self, answer: Any, stand_in: str, moment: datetime) -> SourceDocument:
        try:
            record = Record.model_validate(answer)
        except ValidationError as error:
            fields = {str(problem["loc"][0]) if problem["loc"] else "" for problem in error.errors(include_input=False)}
            problem = "; ".join(DEMANDS[name] for name in DEMANDS if name in fields) or "the record is not an object"
            known = isinstance(answer, dict) and "id" not in fields
            updated = moment if fields & {"", "updated_at"} else moment_of(answer["updated_at"])
            return SourceDocument(
                answer["id"] if known else stand_in, updated, b"", f"the record is unusable: {problem}"
            )
        return self._with_content(record)

    def _with_content(self, record: Record) -> SourceDocument:
        updated = moment_of(record.updated_at)
        content = from_text(record.ubl)
        if len(content) > self._limits.document_bytes:
            allowed = f"source.document_bytes allows {self._limits.document_bytes:,} bytes"
            problem = f"the document has {len(content):,} bytes; {allowed}"
            return SourceDocument(record.id, updated, b"", problem)
        return SourceDocument(record.id, updated, content)

    def _get(self, address: str, asked: dict[str, str], where: str, one: str | None = None) -> Any:
        """The JSON of a 200, after bounded retries. Raises SourceError and _TooLarge."""
        try:
            for attempt in stamina.retry_context(
                on=_wait,
                attempts=self._limits.attempts,
                timeout=None,
                wait_initial=FIRST_WAIT,
                wait_max=self._limits.longest_wait,
            ):
                with attempt:
                    return self._get_once(address, asked, where, one)
        except _TryAgain as last:
            error = SourceProtocolError if last.broken else SourceUnavailable
            remedy = "look at the backend and what stands before it" if last.broken else "run again when it is back"
            raise error(f"{self._address} ({where}), {self._limits.attempts} tries: {last}; {remedy}") from None
        raise AssertionError("unreachable")

    def _get_once(self, address: str, asked: dict[str, str], where: str, one: str | None = None) -> Any:
        try:
            with bounded(self._limits.deadline), self._client.stream("GET", address, params=asked) as response:
                self._check_status(response, where, one)
                return _json(response, read_body(response, self._limits.page_bytes))
        except BodyTooLarge as error:
            raise _TooLarge(f"the answer is {error}") from None
        except BodyMalformed as error:
            raise _TryAgain(f"the answer is {error}", broken=True) from None
        except httpx.TimeoutException as error:
            what = f"{type(error).__name__}: {self._secrets.excerpt(str(error), 200)}".removesuffix(": ")
            raise _TryAgain(f"no whole answer in time ({what}; {self._limits.deadline:g} s at most)") from None
        except httpx.TransportError as error:
            raise _TryAgain(f"{type(error).__name__}: {self._secrets.excerpt(str(error), 200)}") from None

    def _check_status(self, response: httpx.Response, where: str, one: str | None) -> None:
        status, place = response.status_code, f"{self._address} ({where})"
        if status == 200:
            return
        if status in (401, 403):
            raise SourceDenied(f"{place} refuses our token with HTTP {status}: renew source.token")
        if status == 404 and one is not None:
            raise InvoiceNotFound(f"the Java backend knows no invoice {one!r}")
        if status == 429 or status >= 500:
            raise _TryAgain(f"HTTP {status}", wait=retry_after(response, self._now(), self._limits.longest_wait))
        if 300 <= status < 400:
            target = self._secrets.excerpt(response.headers.get("Location", "elsewhere"), 200)
            raise SourceProtocolError(
                f"{place} redirects (HTTP {status}) to {target}; redirects are not followed: set source.base_url "
                "to the address that answers"
            )
        raise SourceProtocolError(
            f"{place} answered HTTP {status}{self._told(response)}: check source.base_url and the backend's contract"
        )

    def _told(self, response: httpx.Response) -> str:
        """The beginning of what an error's body says, for a message."""
        try:
            body = read_body(response, ERROR_BYTES)
        except (BodyMalformed, BodyTooLarge, httpx.TransportError):
            return ""
        said = " ".join(self._secrets.excerpt(body.decode("utf-8", "replace"), 300).split())
        return f" ({said})" if said else ""

    def _shown(self, cursor: str) -> str:
        return repr(self._secrets.excerpt(cursor, _SHOWN_CURSOR))


def _wait(error: Exception) -> bool | float:
    """Whether stamina tries again, and after how many seconds where the backend said so."""
    if not isinstance(error, _TryAgain):
        return False
    return True if error.wait is None else error.wait


def _json(response: httpx.Response, body: bytearray) -> Any:
    is_html = "html" in response.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"
    try:
        if not is_html:
            _refuse_other_encodings(response, body)
        return json.loads(body)
    except (ValueError, RecursionError):
        kind = "HTML instead of JSON (a proxy's or a login page?)" if is_html else "not JSON, or cut short"
        raise _TryAgain(f"the answer is {kind}", broken=True) from None


def _refuse_other_encodings(response: httpx.Response, body: bytearray) -> None:
    """Raises _TryAgain, which names the encoding; ValueError where the body ends in the middle of a character."""
    remedy = "JSON is UTF-8 (RFC 8259): let the backend write UTF-8"
    found = json.detect_encoding(body)
    if not found.startswith("utf-8"):
        raise _TryAgain(f"the answer is in {found.upper()}; {remedy}", broken=True)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise
        said = (response.charset_encoding or "").upper()
        named = said if said not in ("", "UTF-8", "UTF8") else "another encoding than UTF-8 (ISO-8859-1?)"
        raise _TryAgain(f"the answer is in {named}, as byte {error.start + 1:,} shows; {remedy}", broken=True) from None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def opened(options: SourceOptions) -> JavaBackend:
    return JavaBackend(options)
