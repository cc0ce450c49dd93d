"""Settings of invoice delivery: where invoices come from, how they are checked, where they go. Read by settings.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator

from clearfacts_assets.invoices.destinations import TRANSPORTS
from clearfacts_assets.invoices.sources import SOURCES
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.setting_types import Attempts, Changeable, Seconds, Section, one_of

if TYPE_CHECKING:
    from datetime import date

    from clearfacts_assets.invoices.validation.engine import Validator
    from clearfacts_assets.invoices.validation.rules import Release, RuleOptions

ALERT_KINDS = JOB, WAITING, LEFT, MISSED, SUMMARY = "job", "waiting", "due-left", "missed", "summary"


class SourceSettings(Section):
    """Where invoices come from."""

    kind: str = Field("java_backend", description=" or ".join(SOURCES))
    base_url: HttpUrl | None = Field(None, description="the Java backend's address, without /invoices")
    token: Changeable[SecretStr] = Field(SecretStr(""), description="bearer token for the Java backend")
    folder: Path | None = Field(
        None,
        description="folder of what is dropped, for the kinds folder, inbox and statements; beside java_backend that "
        "of invoices made of statements",
    )
    page_size: int = Field(100, ge=1, le=1000, description="invoices asked for in one page")
    connect_timeout: Seconds = Field(5, description="seconds to connect")
    deadline: Changeable[Seconds] = Field(60, description="seconds for one whole request, however slowly it drips")
    attempts: Changeable[Attempts] = Field(4, description="tries for one page before the retrieval stops")
    longest_wait: Seconds = Field(30, description="most seconds waited between two tries, whatever Retry-After says")
    page_bytes: int = Field(
        64 * 2**20, ge=2**10, description="most bytes of one page, or of all in one mail or archive"
    )
    document_bytes: int = Field(20 * 2**20, ge=2**10, description="most bytes of one document")

    _there_is_one = field_validator("kind")(one_of(SOURCES))


class KnownError(Section):
    """What an error of Clearfacts' GraphQL API means, recognised by its code or by words in its message."""

    code: str = Field("", description="of the error, exactly")
    words: str = Field("", description="a regular expression, in any case, anywhere in the message")
    outcome: Literal[OutcomeKind.REFUSED, OutcomeKind.NOT_SENT, OutcomeKind.DENIED, OutcomeKind.UNKNOWN] = Field(
        description="see docs/clearfacts-outcomes.md"
    )

    @model_validator(mode="after")
    def _recognises_something(self) -> KnownError:
        if bool(self.code) == bool(self.words):
            raise ValueError("an error is known by its code or by words in its message: give one of them")
        try:
            re.compile(self.words)
        except re.error as error:
            raise ValueError(f"words are a regular expression: {error}") from None
        return self


class DestinationSettings(Section):
    """Clearfacts, or the folder that a Peppol access point watches."""

    transport: str = Field("graphql", description=f"{' or '.join(TRANSPORTS)}; graphql is Clearfacts' public API")
    folder: Path | None = Field(
        None, description="folder that the access point takes files from, for transport peppol_folder"
    )
    base_url: HttpUrl = Field(HttpUrl("https://api.clearfacts.be"), description="Clearfacts' address")
    login_url: HttpUrl = Field(
        HttpUrl("https://login.clearfacts.be"), description="where Clearfacts' token is checked (userinfo)"
    )
    token: Changeable[SecretStr] = Field(
        SecretStr(""), description="bearer token with the scopes upload_document and read_administrations"
    )
    client_id: str = Field("", description="of our application at Clearfacts, where its tokens expire and are renewed")
    client_secret: SecretStr = Field(SecretStr(""), description="of the same application")
    refresh_token: Changeable[SecretStr] = Field(
        SecretStr(""), description="by which a refused token is renewed; its successors are kept in the configuration"
    )
    invoice_type: Literal["PURCHASE", "SALE"] = Field(
        "PURCHASE", description="PURCHASE: filed under the customer's VAT number; SALE: under the supplier's"
    )
    check_receivers: bool = Field(
        True, description="hold what Clearfacts has no administration for, before it is sent (graphql only)"
    )
    receivers_fresh: Seconds = Field(
        3600, description="seconds for which a process goes by the administrations it was told"
    )
    connect_timeout: Seconds = Field(5, description="seconds to connect")
    deadline: Changeable[Seconds] = Field(30, description="seconds for one whole call, however slowly it drips")
    longest_wait: Seconds = Field(300, description="most seconds that a Retry-After may ask for")
    known_errors: tuple[KnownError, ...] = Field(
        (), description="errors of graphql beside those that are known: see docs/clearfacts-outcomes.md"
    )

    _there_is_one = field_validator("transport")(one_of(TRANSPORTS))


class DeliverySettings(Section):
    """How invoices are handed over."""

    concurrency: int = Field(8, ge=1, le=64, description="calls to the destination under way at once")
    lease: Seconds = Field(120, description="seconds after which a claim without an answer counts as unknown")
    attempts: Changeable[Attempts] = Field(5, description="tries that may end in 'not sent' before a person is asked")
    patience: Changeable[Seconds] = Field(
        60, description="most seconds that a run waits for deliveries that are due later, or to repeat a question"
    )
    unknowns_in_a_row: Changeable[int] = Field(
        3, ge=1, le=100, description="unknown outcomes in a row that stop the delivery"
    )
    follow_days: int = Field(
        90, ge=1, le=3650, description="days after its delivery for which Clearfacts is asked about an unpaid document"
    )
    follow_again: Seconds = Field(
        72_000, description="seconds after an answer about a document until it is asked about again"
    )
    follow_at_once: int = Field(
        5000, ge=1, le=100_000, description="most documents asked about in one run, the longest unasked first"
    )
    parked_threshold: int = Field(
        0, ge=0, description="parked deliveries up to which the asset check only warns; above, it is red"
    )


class ValidationSettings(Section):
    """What may leave. See docs/validation.md."""

    workers: int = Field(1, ge=0, le=32, description="worker processes for XSLT rules; 0 runs them in the run itself")
    policy: Path | None = Field(None, description="YAML file with an own policy; the built-in one otherwise")
    document_bytes: int = Field(20 * 2**20, ge=2**10, description="most bytes of one document")
    attachment_bytes: int = Field(
        10 * 2**20, ge=0, description="most bytes of a document's attachments together, unpacked, before a warning"
    )
    proofs: bool = Field(True, description="spare Saxon the documents that surely break no rule")
    artefacts: Path | None = Field(
        None, description="folder of official rule files with their first days (releases.yaml): see docs/rules.md"
    )
    peppol_rules: Path | None = Field(
        None, description="your own copy of OpenPeppol's Schematron or XSLT; the built-in Peppol rules otherwise"
    )
    peppol_rules_sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that the file in peppol_rules must have"
    )


def rule_options(configured: ValidationSettings) -> RuleOptions:
    """What the settings say about rule sets."""
    from clearfacts_assets.invoices.validation.rules import CustomRules, RuleOptions

    own = None
    if configured.peppol_rules is not None:
        own = CustomRules(configured.peppol_rules, configured.peppol_rules_sha256 or "")
    releases: tuple[Release, ...] = ()
    if configured.artefacts is not None:
        from clearfacts_assets.invoices.validation.releases import read_releases

        releases = read_releases(configured.artefacts)
    return RuleOptions(own, configured.attachment_bytes, configured.proofs, releases)


def validator_from(
    configured: ValidationSettings, *, layers: Sequence[str] | None = None, day: date | None = None
) -> Validator:
    """A validator as the settings say. Raises BadPolicy where the policy file cannot be used."""
    from clearfacts_assets.invoices.validation.engine import Validator
    from clearfacts_assets.invoices.validation.policy import load_policy
    from clearfacts_assets.invoices.validation.ubl import Limits

    return Validator(
        load_policy(configured.policy) if configured.policy is not None else None,
        workers=configured.workers,
        limits=Limits(document_bytes=configured.document_bytes),
        options=rule_options(configured),
        layers=layers,
        day=day,
    )
