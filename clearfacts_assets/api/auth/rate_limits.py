"""How often somebody may be wrong: wrong passwords are counted by account and by address.

A try counts before its password is looked at, so that many at once do not slip through; a right password takes its
account's tries back. Errors: ApiError RATE_LIMITED, with Retry-After.
"""

from __future__ import annotations

import time
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from limits import RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from clearfacts_assets.api.auth.tokens import hash_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.settings import AuthSettings

IPV6_NETWORK = 64  # bits: what one household or server has to itself


class LoginLimits:
    """Counts the tries of logins."""

    def __init__(self, known: AuthSettings) -> None:
        self._limiter = MovingWindowRateLimiter(storage_from_string(known.limits_url.get_secret_value()))
        seconds = ceil(known.failure_window)
        self._account = RateLimitItemPerSecond(known.failures_per_account, seconds, namespace="login/account")
        self._address = RateLimitItemPerSecond(known.failures_per_address, seconds, namespace="login/address")

    def count(self, account: str, address: str) -> None:
        """Count a try. Raises ApiError when there were too many."""
        for limit, who in ((self._address, _network(address)), (self._account, _account(account))):
            if not self._limiter.hit(limit, who):
                raise self._refusal(limit, who)

    def was_right(self, account: str) -> None:
        """The account's tries count no longer; those of the address do."""
        self._limiter.clear(self._account, _account(account))

    def _refusal(self, limit: RateLimitItemPerSecond, who: str) -> ApiError:
        wait = max(1, ceil(self._limiter.get_window_stats(limit, who).reset_time - time.time()))
        return ApiError(
            ErrorCode.RATE_LIMITED, f"Too many tries. Wait {wait} seconds.", headers={"Retry-After": str(wait)}
        )


def _account(name: str) -> str:
    # Hashed: of any length, with any characters; a password typed into the wrong field is not kept either.
    return hash_of(name.strip().lower())


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return hash_of(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_NETWORK), strict=False))
    return str(parsed)
