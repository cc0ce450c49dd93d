"""Clearfacts' login: which access tokens open the door, and new ones for refresh tokens (RFC 6749, section 6).

The first token is a personal one and lasts until it is told to expire. Tokens expire after a number of calls instead
of seconds, so that a test knows which call meets the end.
"""

from __future__ import annotations

from clearfacts_assets.simulator.http import Answer, Call, json_answer

CLIENT_ID = "simulated-client"
CLIENT_SECRET = "simulated-client-secret"  # noqa: S105
REFRESH_TOKEN = "simulated-refresh-token-0"  # noqa: S105
HOUR = 3600  # seconds, as Clearfacts says of its own tokens


class Tokens:
    """A refresh token is good for one use; its answer holds the next one."""

    def __init__(self, first: str) -> None:
        self._first = first
        self.clear()

    def clear(self) -> None:
        """As at the start."""
        self._left: dict[str, float] = {self._first: float("inf")}  # calls that a token is still good for
        self._lifetime = float("inf")
        self._refresh_token = REFRESH_TOKEN
        self.renewals = self.refused = 0

    def expire(self, after: int, lifetime: int | None = None) -> None:
        """All tokens are good for ``after`` calls more; those to come for ``lifetime`` calls, without it for ever."""
        self._left = {token: min(left, after) for token, left in self._left.items()}
        self._lifetime = float("inf") if lifetime is None else lifetime

    def admit(self, token: str) -> bool:
        """Whether a call with this token may pass; counts it."""
        left = self._left.get(token, 0)
        if left > 0:
            self._left[token] = left - 1
        return left > 0

    def renew(self, call: Call) -> Answer:
        """The token endpoint; errors are those of RFC 6749, section 5.2."""
        asked = call.form
        if asked.get("grant_type") != "refresh_token":
            return self._refusal("unsupported_grant_type")
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return self._refusal("invalid_client", 401)
        if asked.get("refresh_token") != self._refresh_token:
            return self._refusal("invalid_grant")
        self.renewals += 1
        token = f"simulated-access-token-{self.renewals}"
        self._refresh_token = f"simulated-refresh-token-{self.renewals}"
        self._left[token] = self._lifetime
        return json_answer(
            {
                "token_type": "Bearer",
                "access_token": token,
                "expires_in": HOUR,
                "refresh_token": self._refresh_token,
            },
            headers={"cache-control": "no-store"},
        )

    def _refusal(self, error: str, status: int = 400) -> Answer:
        self.refused += 1
        return json_answer({"error": error}, status)
