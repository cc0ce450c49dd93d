"""By which ways alerts leave, one file each: the file's name is the kind, and its ``opened(known)`` makes a sender.

An entry of CHANNELS registers it. An alert's channel is ``kind:where``; without a kind it is one of Slack's.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from clearfacts_assets.notifications.outbox import NotTold, Send
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.settings import Settings

SLACK = "slack"
CHANNELS = [SLACK, "email"]


def sender(configured: Settings, given: Mapping[str, Send] | None = None) -> Send | None:
    """What hands each alert to its channel; None where no channel is set up. ``given`` ones are not opened anew."""
    opened = {kind: (given or {}).get(kind) or _open(kind, configured) for kind in CHANNELS}
    usable = {kind: send for kind, send in opened.items() if send is not None}

    def send(channel: str, message: Mapping[str, Any]) -> None:
        kind, where = _address(channel)
        if kind not in usable:
            raise NotTold(f"alerts for {channel} wait: {kind} is not set up", outcome=OutcomeKind.REFUSED)
        usable[kind](where, message)

    return send if usable else None


def kind_of(channel: str) -> str:
    """By which way the channel is reached: what is away there is away for all of its kind."""
    return _address(channel)[0]


def _open(kind: str, configured: Settings) -> Send | None:
    send: Send | None = importlib.import_module(f"{__name__}.{kind}").opened(configured)
    return send


def _address(channel: str) -> tuple[str, str]:
    kind, separator, where = channel.partition(":")
    return (kind, where) if separator and kind in CHANNELS else (SLACK, channel)
