"""Headers that we send and headers that we obey."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from clearfacts_assets.outgoing.evidence import Head

_CORRELATION_CHARACTERS = 128
_SECONDS_DIGITS = 9  # of a Retry-After; more of them are "for ever", which the cap makes an end of


def plain_address(base_url: str) -> str:
    """The base address without a slash at its end.

    Raises ValueError for one that is not http(s) or that carries a user, a query or a fragment: they would end up in
    messages and logs.
    """
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("an address starts with http:// or https:// and a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError(f"the address of {url.host} carries a user, a query or a fragment: only the token is secret")
    return str(url).rstrip("/")


def bearer(token: str) -> dict[str, str]:
    """The Authorization header; empty without a token. Raises ValueError, without telling the token, for a bad one."""
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token holds blanks or characters that no header may carry: set it anew")
    return {"Authorization": f"Bearer {token}"} if token else {}


def correlation(correlation_id: str) -> dict[str, str]:
    """The X-Correlation-ID header, without characters that a header may not carry; empty without an id."""
    kept = "".join(character for character in correlation_id if "!" <= character <= "~")[:_CORRELATION_CHARACTERS]
    return {"X-Correlation-ID": kept} if kept else {}


def retry_after(response: Head, now: datetime, longest: float) -> float | None:
    """Seconds to wait as the other side asks (RFC 9110, 10.2.3: seconds or a date), between 0 and ``longest``.

    None where it does not ask, or asks something that nobody understands.
    """
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), longest) if len(asked) <= _SECONDS_DIGITS else longest
    try:
        moment = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), longest)
