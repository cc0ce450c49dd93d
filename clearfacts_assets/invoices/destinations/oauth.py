"""A new access token for a refresh token (RFC 6749, section 6), as Clearfacts' login gives it."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.calls import Calls, HttpAnswer
from clearfacts_assets.invoices.ports import DestinationError, Unknown
from clearfacts_assets.outgoing.headers import plain_address
from clearfacts_assets.outgoing.network import DIRECT, Network

TOKEN_PATH = "/oauth2-server/token"  # noqa: S105
# RFC 6749, section 5.2; nothing else of an answer is told, because it may quote what it was sent.
ERRORS = {
    "invalid_grant": "the refresh token is refused: log in at Clearfacts anew and set destination.refresh_token",
    "invalid_client": "the client is refused: check destination.client_id and destination.client_secret",
    "unauthorized_client": "the client may not renew tokens: ask Clearfacts",
    "unsupported_grant_type": "no token is renewed there: check destination.login_url",
    "invalid_request": "the request is not understood: check destination.login_url",
    "invalid_scope": "the scope is refused: log in at Clearfacts anew and set destination.refresh_token",
}
USED_UP = "the refresh token may be used up; if it is refused next time, log in at Clearfacts anew"


@dataclass(frozen=True, slots=True)
class Client:
    """What Clearfacts has given to this installation."""

    login_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the login gave; ``refresh`` replaces the one that was used up, None where that one stays."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)


def refreshed(
    client: Client,
    refresh_token: str,
    *,
    connect_timeout: float,
    deadline: float,
    correlation_id: str = "",
    network: Network = DIRECT,
) -> Tokens:
    """One call, never repeated: a refresh token may be good for one use. Times in seconds. Raises DestinationError."""
    calls = Calls(
        DestinationOptions(
            base_url=client.login_url,
            connect_timeout=connect_timeout,
            deadline=deadline,
            longest_wait=0,
            connections=1,
            correlation_id=correlation_id,
            network=network,
        )
    )
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": client.client_id,
        "client_secret": client.client_secret,
    }
    try:
        answer = calls.ask(calls.request("POST", plain_address(client.login_url) + TOKEN_PATH, data=form))
    finally:
        calls.close()
    if isinstance(answer, Unknown):
        raise DestinationError(f"{answer.reason}: {USED_UP}")
    if not isinstance(answer, HttpAnswer):
        raise DestinationError(answer.reason)
    body = answer.json if isinstance(answer.json, dict) else {}
    access, refresh = body.get("access_token"), body.get("refresh_token")
    if answer.status == 200 and isinstance(access, str) and access:
        return Tokens(access, refresh if isinstance(refresh, str) and refresh else None)
    told = ERRORS.get(str(body.get("error")), f"no token came: check destination.login_url; {USED_UP}")
    raise DestinationError(f"{answer.address} answered HTTP {answer.status}: {told}")
