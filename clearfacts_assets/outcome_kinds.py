"""How handing something over can end, whatever it is and to whomever: the one vocabulary of all ways out.

An invoice to Clearfacts, a mail to a server and an alert to Slack leave by different clients, which all say one of
these. What follows from it (send again, ask, give to a person) is each domain's own, in its life cycle.
"""

from __future__ import annotations

from enum import StrEnum


class OutcomeKind(StrEnum):
    """What the other side has done with what it was handed."""

    ACCEPTED = "accepted"  # it has it, and has said so
    REFUSED = "refused"  # it has looked at it and will not take it as it is
    NOT_SENT = "not_sent"  # provably not accepted, and worth another try: no connection, busy, "later"
    DENIED = "denied"  # it refuses us, not what we bring: nothing else will be accepted either
    UNKNOWN = "unknown"  # it may or may not have it: nothing that was said settles it
