"""Past the outbox: what must be told while the database that holds it is down."""

from __future__ import annotations

from clearfacts_assets.notifications.channels import sender
from clearfacts_assets.notifications.outbox import NotTold
from clearfacts_assets.notifications.slack_messages import Message
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.settings import Settings


def tell_at_once(configured: Settings, message: Message, kind: str) -> None:
    """Send it now or never, by each channel that this kind of alert has. Raises NotTold where none took it."""
    send = sender(configured)
    if send is None:
        raise NotTold("no alert channel is set up: set slack.token, or alerts.routes", outcome=OutcomeKind.NOT_SENT)
    told, failure = False, None
    for channel in configured.alerts.channels(kind, configured.slack.channel):
        try:
            send(channel, message)
            told = True
        except NotTold as error:
            failure = error
    if failure is not None and not told:
        raise failure
