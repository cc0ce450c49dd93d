"""The settings of traces."""

from __future__ import annotations

import re

from pydantic import Field, HttpUrl, SecretStr

from clearfacts_assets.setting_types import Section

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class TraceSettings(Section):
    """Traces for OpenTelemetry. See docs/operating.md."""

    endpoint: HttpUrl | None = Field(
        None,
        description="address of a collector for OTLP over HTTP, e.g. http://localhost:4318; without it, traces are off",
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of the traces that begin here; who calls us with a trace decides for it"
    )
    headers: SecretStr = Field(
        SecretStr(""),
        description="what the collector wants to see: name=value,name=value, or what stands in Authorization",
    )

    @property
    def pairs(self) -> dict[str, str]:
        """The headers, one by one. What is no name=value is the Authorization."""
        given = (one.strip() for one in self.headers.get_secret_value().split(","))
        return dict(_pair(one) for one in given if one)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name, value) if equals and _NAME.fullmatch(name) else ("Authorization", text)
