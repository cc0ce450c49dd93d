"""Where invoices go, one file a transport: it fills ``ports.Destination``, and its ``opened(options)`` makes a client.

A line in TRANSPORTS registers it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.network import DIRECT, Network

if TYPE_CHECKING:  # the settings look here for names alone, and need no client for that
    from clearfacts_assets.invoices.destinations.token import Renew
    from clearfacts_assets.invoices.ports import Destination

TRANSPORTS: dict[str, str] = {  # as the setting names it -> the file
    "graphql": "clearfacts_graphql",
    "rest": "clearfacts_rest",
    "peppol_folder": "peppol_folder",
}
CLEARFACTS = "clearfacts"
OTHERS: dict[str, str] = {"peppol_folder": "peppol"}  # transports that do not lead to Clearfacts -> where they do


@dataclass(frozen=True, slots=True)
class KnownError:
    """What one kind of error means, recognised by its code or by words in its message."""

    outcome: OutcomeKind  # but not ACCEPTED: no error proves that
    code: str = ""  # exactly
    words: str = ""  # a regular expression, in any case, anywhere in the message
    name: str = ""  # how a recognised message is called where the error brings no code

    def fits(self, code: str, message: str) -> bool:
        if self.code:
            return self.code == code
        return bool(self.words) and re.search(self.words, message, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOptions:
    """What a destination is given, each takes what it needs. Times in seconds."""

    base_url: str
    renew: Renew = lambda refused: None  # for a client that has one token and no other
    login_url: str = ""
    folder: str = ""
    token: str = field(default="", repr=False)
    connect_timeout: float = 5
    deadline: float = 30
    longest_wait: float = 300
    connections: int = 8
    correlation_id: str = ""
    network: Network = DIRECT
    known_errors: tuple[KnownError, ...] = ()
    patience: float = 0  # for all questions together, until they are asked again
    should_stop: Callable[[], bool] = lambda: False


def destination_of(transport: str) -> str:
    """The destination's name, which is part of each invoice's business key: what one has, another one may get."""
    return OTHERS.get(transport, CLEARFACTS)


def title_of(destination: str) -> str:
    """A destination as messages to people name it."""
    return destination.capitalize()


def open_destination(transport: str, options: DestinationOptions) -> Destination:
    """A client, to be closed. Raises LookupError for an unknown transport, ValueError for what cannot be used."""
    if transport not in TRANSPORTS:
        raise LookupError(f"there is no transport {transport!r}; there are {', '.join(TRANSPORTS)}")
    destination: Destination = importlib.import_module(f"{__name__}.{TRANSPORTS[transport]}").opened(options)
    return destination
