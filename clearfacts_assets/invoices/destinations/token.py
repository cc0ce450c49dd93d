"""The token that all calls of one client carry, and its renewal: once, whichever call learns first that it is refused.

Which token there is instead, and where tokens are kept, says ``renew``; here nobody knows settings or storage.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable

from clearfacts_assets.invoices.ports import DestinationError
from clearfacts_assets.outgoing.evidence import Secrets
from clearfacts_assets.outgoing.headers import bearer

logger = logging.getLogger(__name__)

# Another token than the one that was refused, or None where there is none. Raises DestinationError, which says why.
Renew = Callable[[str], str | None]


def never(refused: str) -> str | None:
    """For a client that has one token and no other."""
    return None


class Token:
    """Safe for several threads. A token that was renewed has to work once before it is renewed again."""

    def __init__(self, token: str, renew: Renew = never, hidden: Iterable[str] = ()) -> None:
        """``hidden`` are further secrets. Raises ValueError, without telling it, for a token that no header carries."""
        self._token, self._renew, self._lock = token.strip(), renew, threading.Lock()
        bearer(self._token)
        self._unproven: str | None = None  # was renewed, or came of a renewal, and has not worked since
        self._since = 0.0  # when it was last refused
        self._failure = ""
        self.secrets = Secrets(self._token, *hidden)  # every token that this client has known

    @property
    def value(self) -> str:
        return self._token

    def worked(self, token: str, begun: float) -> None:
        """The other side has taken a call with this token that began then, by ``time.monotonic``.

        A call that began before the token was refused proves nothing: its answer is only late.
        """
        if token == self._unproven and begun > self._since:
            self._unproven = None

    def instead_of(self, refused: str) -> str | None:
        """The token to try instead of one that was refused; None where there is none.

        Threads that are refused at the same time share one renewal. Raises DestinationError, to each of them, where
        it failed; nothing else.
        """
        with self._lock:
            if self._token != refused:
                return self._token
            if self._unproven != refused:
                self._since = time.monotonic()
                self._unproven = refused
                self._failure = self._try_to_renew(refused)
            if self._failure:
                raise DestinationError(self._failure)
            return self._token if self._token != refused else None

    def _try_to_renew(self, refused: str) -> str:
        """Why it failed; empty where it did not."""
        try:
            fresh = (self._renew(refused) or refused).strip()
            bearer(fresh)
        except (DestinationError, ValueError) as error:
            return f"{error}"
        except Exception as error:  # noqa: BLE001 - it must not look like a call of which nobody knows what became
            where = "".join(traceback.format_tb(error.__traceback__))  # not its message, which may hold a token
            logger.error("the token could not be renewed: %s\n%s", type(error).__name__, where)
            return f"the renewal failed ({type(error).__name__})"
        self.secrets = self.secrets.and_also(fresh)
        self._token = self._unproven = fresh
        return ""
