"""Slack, with this installation's token."""

from __future__ import annotations

from clearfacts_assets.notifications.outbox import Send
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.settings import Settings


def opened(configured: Settings) -> Send | None:
    """None without a token: alerts then stay in the outbox. Raises ValueError for a token that no header carries."""
    token = configured.slack.token.get_secret_value()
    if not token:
        return None
    return Slack(open_client(token, str(configured.slack.base_url), network=configured.way_out)).send
