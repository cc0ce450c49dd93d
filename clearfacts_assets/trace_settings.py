"""The settings of traces."""

from __future__ import annotations

from pydantic import Field, HttpUrl, SecretStr, field_validator

from clearfacts_assets.setting_types import Section


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
        SecretStr(""), description="what the collector wants to see, as name=value,name=value; often a token"
    )

    @field_validator("headers")
    @classmethod
    def _are_pairs(cls, value: SecretStr) -> SecretStr:
        if not all(one.partition("=")[1] for one in value.get_secret_value().split(",") if one.strip()):
            raise ValueError("write name=value, several with commas between them")
        return value

    @property
    def pairs(self) -> dict[str, str]:
        """The headers, one by one."""
        given = (one.partition("=") for one in self.headers.get_secret_value().split(",") if one.strip())
        return {name.strip(): value.strip() for name, _, value in given}
