"""Every setting, with its default and what it is for. The only reader of the environment and of the settings file.

A value comes from, first found wins: an environment variable (``CLEARFACTS_DESTINATION__TOKEN``: prefix, section, two
underscores, name), the YAML file named by ``clearfacts -c FILE`` or ``CLEARFACTS_CONFIG`` (same names, nested), the
default below. ``clearfacts settings`` lists them all with where each value came from; secrets are never shown.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from clearfacts_assets.alert_settings import AlertSettings
from clearfacts_assets.chargeback_settings import ChargebackSettings
from clearfacts_assets.customer_settings import CustomerSettings
from clearfacts_assets.invoice_settings import DeliverySettings, DestinationSettings, SourceSettings, ValidationSettings
from clearfacts_assets.journal_settings import JournalSettings
from clearfacts_assets.outgoing.network import DIRECTLY, Network, Proxy
from clearfacts_assets.rate_options import RateOptions
from clearfacts_assets.retention_settings import RetentionSettings
from clearfacts_assets.setting_types import Changeable, Seconds, Section, secret_parts
from clearfacts_assets.statement_settings import EmailSettings, StatementSettings
from clearfacts_assets.trace_settings import TraceSettings
from clearfacts_assets.tracing import Collector

CONFIG_VARIABLE = "CLEARFACTS_CONFIG"
_PROJECT = Path(__file__).resolve().parents[1]


def default_home() -> Path:
    """``.clearfacts`` in the project when run from a checkout, else in the user's home folder."""
    return (_PROJECT if (_PROJECT / "pyproject.toml").is_file() else Path.home()) / ".clearfacts"


class ScheduleSettings(Section):
    """What the nightly schedule owes."""

    catch_up_days: int = Field(
        14, ge=1, le=366, description="days back for which a day that was missed is run by itself; older ones are told"
    )
    parts: int = Field(
        1,
        ge=1,
        le=96,
        description="equal parts into which the nightly schedule cuts a day, a run each (docs/scaling.md)",
    )


class RunSettings(Section):
    """How runs are watched."""

    silence: Seconds = Field(
        60, ge=3, description="seconds without a sign of life after which a run on another machine is taken for dead"
    )


class NetworkSettings(Section):
    """The way out, for all calls to outside systems. See docs/operating.md."""

    proxy: SecretStr = Field(
        SecretStr(""),
        description="http://user:password@host:port for all calls, or direct for none; "
        "else what HTTPS_PROXY, HTTP_PROXY and ALL_PROXY say",
    )
    no_proxy: str | None = Field(
        None, description="hosts, domains, addresses or networks, with commas, called directly; else what NO_PROXY says"
    )
    ca_file: Path | None = Field(
        None,
        description="certificates (PEM) of private authorities, believed beside the usual ones; SSL_CERT_FILE and "
        "SSL_CERT_DIR replace the usual ones",
    )

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() not in ("", DIRECTLY):
            Proxy.read(value.get_secret_value(), "network.proxy")
        return value


class SlackSettings(Section):
    """Alerts. Without a token, alerts stay in the outbox table and in the log."""

    base_url: HttpUrl = Field(HttpUrl("https://slack.com/api/"), description="Slack's address; another one for tests")
    token: Changeable[SecretStr] = Field(SecretStr(""), description="bot token (xoxb-...) with scope chat:write")
    channel: Changeable[str] = Field("#invoices", description="channel for alerts")
    on_success: Changeable[Literal["always", "with_failures", "never"]] = Field(
        "with_failures", description="when a completed job is told: always, with_failures or never"
    )


class ServeSettings(Section):
    """The one door: API and Dagster's UI."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(3000, ge=0, le=65535, description="port for UI and API")
    public_url: HttpUrl | None = Field(None, description="address people use; links in alerts start with it")
    body_bytes: int = Field(2**20, ge=2**10, le=2**26, description="most bytes of a request's body to the API")
    public_metrics: bool = Field(
        False, description="let everybody who reaches the port read /metrics; else it needs the permission metrics:read"
    )
    api: bool = Field(True, description="serve /api/v1; false for a process that serves only Dagster's UI")
    ui: bool = Field(
        True, description="serve Dagster's UI and its login page; false for a process that serves only the API"
    )
    trusted_proxies: str = Field(
        "", description="addresses or networks, with commas, whose X-Forwarded-For and -Proto are believed"
    )
    workspace: Path | None = Field(
        None, description="Dagster's workspace.yaml, where a code server loads the definitions; else this process does"
    )


class AuthSettings(Section):
    """Logins, tokens and keys. See docs/security.md."""

    signing_keys: SecretStr = Field(
        SecretStr(""),
        description="keys of access tokens: name:secret, newest first, with commas; in home/keys otherwise",
    )
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        description="keys of encrypted configuration: name:secret, newest first, with commas; else in home/keys",
    )
    access_minutes: int = Field(10, ge=1, le=15, description="minutes that an access token lasts")
    session_hours: int = Field(12, ge=1, le=168, description="hours after which everybody logs in anew")
    idle_minutes: int = Field(
        30, ge=1, le=1440, description="minutes after which a browser's session that nobody used is over"
    )
    failures_per_account: int = Field(
        5, ge=1, le=100, description="wrong passwords of one account within failure_window before it has to wait"
    )
    failures_per_address: int = Field(
        50, ge=1, le=10_000, description="wrong passwords from one address within failure_window before it has to wait"
    )
    failure_window: Seconds = Field(900, description="seconds for which a wrong password counts")
    limits_url: SecretStr = Field(
        SecretStr("memory://"),
        description="where wrong passwords are counted: memory:// in each process, redis://... for all of them",
    )


class Settings(BaseSettings):
    """All settings of this process."""

    model_config = SettingsConfigDict(
        env_prefix="CLEARFACTS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    home: Path = Field(
        default_factory=default_home,
        description="folder of all embedded state; in the project when run from a checkout, else in the user's home",
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL with its driver, e.g. postgresql+psycopg://...; SQLite in home otherwise"
    )
    source: SourceSettings = SourceSettings()
    destination: DestinationSettings = DestinationSettings()
    delivery: DeliverySettings = DeliverySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    runs: RunSettings = RunSettings()
    validation: ValidationSettings = ValidationSettings()
    network: NetworkSettings = NetworkSettings()
    traces: TraceSettings = TraceSettings()
    slack: SlackSettings = SlackSettings()
    alerts: AlertSettings = AlertSettings()
    serve: ServeSettings = ServeSettings()
    auth: AuthSettings = AuthSettings()
    chargeback: ChargebackSettings = ChargebackSettings()
    rates: RateOptions = RateOptions()
    statements: StatementSettings = StatementSettings()
    email: EmailSettings = EmailSettings()
    journals: JournalSettings = JournalSettings()
    customers: CustomerSettings = CustomerSettings()
    retention: RetentionSettings = RetentionSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")
    log_format: Literal["text", "json"] = Field("text", description="text for people, json for machines")

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.contradiction:
            raise ValueError(self.contradiction)
        return self

    @property
    def contradiction(self) -> str:
        """Why these values cannot hold together, also after some were changed; empty where they can."""
        # A call begins only in the first half of its lease, so that no other run takes it over meanwhile.
        if self.delivery.lease < 2 * self.destination.deadline:
            return (
                "delivery.lease must be at least twice destination.deadline, or another run could take over a call "
                f"that is under way: they are {self.delivery.lease:g} and {self.destination.deadline:g} seconds"
            )
        if self.alerts.by_email and not self.email.host:
            return "alerts.routes sends mails, and email.host (the SMTP server) is not set"
        return ""

    @property
    def way_out(self) -> Network:
        """How calls to outside systems leave: ``network``, and what it leaves open from the usual variables.

        Raises NetworkUnusable for a variable that names no proxy that can be used.
        """
        file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        return Network(
            http=self._proxy_of("http_proxy"),
            https=self._proxy_of("https_proxy"),
            no_proxy=_usual("no_proxy")[1] if self.network.no_proxy is None else self.network.no_proxy,
            ca_file=self.network.ca_file,
            usual_ca_file=Path(file) if file else None,
            usual_ca_folder=Path(folder) if folder else None,
        )

    def _proxy_of(self, variable: str) -> Proxy | None:
        if (chosen := self.network.proxy.get_secret_value()) == DIRECTLY:
            return None
        if chosen:
            return Proxy.read(chosen, "network.proxy")
        for name, value in (_usual(variable), _usual("all_proxy")):
            if value:
                return Proxy.read(value, name)
        return None

    @property
    def collector(self) -> Collector | None:
        """Where traces go; None where they are off. Raises NetworkUnusable."""
        if self.traces.endpoint is None:
            return None
        endpoint, network = str(self.traces.endpoint), self.way_out
        proxy = network.proxy_for(endpoint)
        return Collector(
            endpoint,
            sample_ratio=self.traces.sample_ratio,
            headers=self.traces.pairs,
            proxy=proxy.url if proxy else "",
            ca_file=str(network.ca_file) if network.ca_file else None,
        )

    @property
    def business_database_url(self) -> str:
        """The URL of our own database (not Dagster's)."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.resolve() / 'clearfacts.db'}"

    @property
    def invoice_folder(self) -> Path:
        """Where invoices that are made of statements lie; the source ``statements`` reads it."""
        return self.customers.folder or self.home.resolve() / "statement_invoices"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must stand nowhere."""
        return secret_parts(self)

    @property
    def public_address(self) -> str:
        """What links for people start with, without a slash at the end."""
        return str(self.serve.public_url or f"http://{self.serve.host}:{self.serve.port}").rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if not (file := os.environ.get(CONFIG_VARIABLE)):
            return (init_settings, env_settings)
        if not Path(file).is_file():
            raise FileNotFoundError(f"{CONFIG_VARIABLE} names {file!r}, which is not a file")
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file))


def _usual(variable: str) -> tuple[str, str]:
    """Name and value of a variable that is written in small or in capital letters; the small ones win, as for curl."""
    name = variable if variable in os.environ else variable.upper()
    return name, os.environ.get(name, "").strip()


@lru_cache(maxsize=1)
def load() -> Settings:
    """The settings of this process, read once. Raises pydantic.ValidationError, which names each bad setting."""
    return Settings()
