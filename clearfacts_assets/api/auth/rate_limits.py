"""How often somebody may be wrong: wrong passwords are counted by account and by address.

A try counts before its password is looked at, so that many at once do not slip through; a right password takes its
account's tries back, and of its address's tries this one. Errors: ApiError RATE_LIMITED, with Retry-After.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any, TypeVar

from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from clearfacts_assets.api.auth.tokens import hash_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.settings import AuthSettings

T = TypeVar("T")
logger = logging.getLogger(__name__)

STORE_SECONDS = 1.0  # that a login waits for the shared store
ASK_AGAIN = 10.0  # seconds after which a store that did not answer is asked again
IPV6_NETWORK = 64  # bits: what one household or server has to itself


class StoreAway(Exception):
    """The store in which all processes count does not answer: each process counts for itself meanwhile."""


class LoginLimits:
    """Counts the tries of logins: in this process, or in a Redis or Valkey that several processes share.

    When that does not answer, logins go on, counted in this process, and it is asked again after a while.
    """

    def __init__(self, configured: AuthSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigurationError for an address that is none."""
        url = configured.limits_url.get_secret_value()
        self.shared = not url.startswith("memory://")
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._limiter = MovingWindowRateLimiter(_store(url)) if self.shared else self._own
        self._monotonic, self._away_until = monotonic, float("-inf")
        seconds = ceil(configured.failure_window)
        self._account = RateLimitItemPerSecond(configured.failures_per_account, seconds, namespace="login/account")
        self._address = RateLimitItemPerSecond(configured.failures_per_address, seconds, namespace="login/address")

    def count(self, account: str, address: str) -> None:
        """Count a try. Raises ApiError when there were too many."""
        for limit, who in ((self._address, _network(address)), (self._account, _account(account))):
            wait = self._asked(partial(_counted, limit=limit, who=who))
            if wait is not None:
                raise ApiError(
                    ErrorCode.RATE_LIMITED, f"Too many tries. Wait {wait} seconds.", headers={"Retry-After": str(wait)}
                )

    def was_right(self, account: str, address: str) -> None:
        """The account's tries count no longer. Of the address's this one does not: the others may have been wrong."""
        self._asked(partial(_taken_back, limit=self._address, who=_network(address)))
        self._asked(lambda limiter: limiter.clear(self._account, _account(account)))

    def answers(self) -> str:
        """Whether the shared store does, in words. Raises StoreAway."""
        try:
            alive = self._limiter.storage.check()
        except StorageError:
            alive = False
        if not alive:
            raise StoreAway("the store of login limits does not answer: each process counts for itself")
        return "all processes count logins together"

    def _asked(self, question: Callable[[MovingWindowRateLimiter], T]) -> T:
        if self.shared and self._monotonic() < self._away_until:
            return question(self._own)
        try:
            return question(self._limiter)
        except StorageError as fault:
            self._away_until = self._monotonic() + ASK_AGAIN
            # Its own words may hold the store's address with a password.
            logger.warning(
                "the store of login limits does not answer (%s): for %.0f s this process counts for itself",
                type(fault.storage_error).__name__,
                ASK_AGAIN,
            )
            return question(self._own)


def _store(url: str) -> Any:
    return storage_from_string(
        url,
        wrap_exceptions=True,
        key_prefix="clearfacts",
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
    )


def _counted(limiter: MovingWindowRateLimiter, *, limit: RateLimitItemPerSecond, who: str) -> int | None:
    """Count a try; the seconds to wait when there were too many."""
    if limiter.hit(limit, who):
        return None
    return max(1, ceil(limiter.get_window_stats(limit, who).reset_time - time.time()))


def _taken_back(limiter: MovingWindowRateLimiter, *, limit: RateLimitItemPerSecond, who: str) -> None:
    """Drop the newest try, which ``limits`` has no call for: both stores keep a list of tries, the newest first."""
    store: Any = limiter.storage
    key = limit.key_for(who)
    if isinstance(store, MemoryStorage):
        with store.locks[key]:
            del store.events.get(key, [])[:1]
        return
    try:
        store.get_connection().lpop(store.prefixed_key(key))
    except store.base_exceptions as fault:
        raise StorageError(fault) from fault


def _account(name: str) -> str:
    # Hashed: of any length, with any characters; a password typed into the wrong field is not kept either.
    return hash_of(name.strip().lower())


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return hash_of(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # how a socket of both kinds shows callers of IPv4; all of them share one /64
    if isinstance(parsed, IPv6Address):
        return hash_of(str(ip_network((parsed, IPV6_NETWORK), strict=False)))
    return hash_of(str(parsed))
