"""Past the outbox: what must be told while the database that holds it is down."""

from __future__ import annotations

from clearfacts_assets.notifications.channels import sender
from clearfacts_assets.notifications.messages import Message
from clearfacts_assets.notifications.outbox import NotTold
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.settings import Settings


def tell_at_once(configured: Settings, message: Message) -> None:
    """Send it now or never. Raises NotTold."""
    send = sender(configured)
    if send is None:
        raise NotTold("no alert channel is set up: set slack.token", outcome=OutcomeKind.NOT_SENT)
    send(configured.slack.channel, message)
