"""Past the outbox: what must be told while the database that holds it is down."""

from __future__ import annotations

from clearfacts_assets.notifications.messages import Message
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.settings import Settings


def tell_at_once(known: Settings, message: Message) -> None:
    """Send it now or never. Raises NotTold."""
    client = open_client(known.slack.token.get_secret_value(), str(known.slack.base_url), network=known.way_out)
    Slack(client).send(known.slack.channel, message)
