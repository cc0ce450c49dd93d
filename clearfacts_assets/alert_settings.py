"""The settings of alerts: who is told what, and the daily summary. Read by settings.py."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field, field_validator

from clearfacts_assets import chargeback_settings, invoice_settings
from clearfacts_assets.setting_types import Changeable, Section

DEFAULT = "default"  # kinds that have no channels of their own
HEALTH_DOWN, HEALTH_UP = "health-down", "health-up"
KINDS = (*invoice_settings.ALERT_KINDS, HEALTH_DOWN, HEALTH_UP, *chargeback_settings.ALERT_KINDS)
EMAIL = "email:"
# No whitespace and no control character, so that no header line can be made of it.
_RECIPIENT = re.compile(r"email:[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


class AlertSettings(Section):
    """Who is told what. See docs/operating.md."""

    routes: dict[str, tuple[str, ...]] = Field(
        {},
        description="channels of each kind of alert: #channel of Slack or email:address; of all other kinds those of "
        f"default, else slack.channel. Kinds: {', '.join(KINDS)}",
    )
    daily_summary: Changeable[bool] = Field(False, description="whether each day is told in one message")
    summary_hour: Changeable[int] = Field(7, ge=4, le=23, description="hour (Brussels) from which yesterday is told")

    @field_validator("routes")
    @classmethod
    def _lead_somewhere(cls, routes: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for kind, channels in routes.items():
            if kind not in (*KINDS, DEFAULT):
                raise ValueError(f"there is no kind of alert {kind!r}: {', '.join((*KINDS, DEFAULT))}")
            if not channels or not all(channels):
                raise ValueError(f"{kind} has no channel: an alert that nobody gets is none")
            for channel in channels:
                if channel.startswith(EMAIL) and not _RECIPIENT.fullmatch(channel):
                    raise ValueError(f"{channel!r} for {kind} is no address: email:ops@example.be")
        return routes

    @property
    def by_email(self) -> bool:
        """Whether any alert goes by e-mail."""
        return any(channel.startswith(EMAIL) for channels in self.routes.values() for channel in channels)

    def channels(self, kind: str, otherwise: str) -> tuple[str, ...]:
        """Where alerts of this kind go; never nowhere."""
        return tuple(dict.fromkeys(self.routes.get(kind) or self.routes.get(DEFAULT) or (otherwise,)))
