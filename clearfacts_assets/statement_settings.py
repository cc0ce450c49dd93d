"""The sections of the settings that are about statements and their e-mails; settings.py reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from clearfacts_assets.setting_types import Section


class StatementSettings(Section):
    """Statements as PDF. See docs/statements.md."""

    organisation: str = Field("Research Computing", max_length=200, description="name at the head of each statement")
    unit: str = Field("", max_length=200, description="office or group, below the name")
    address: tuple[str, ...] = Field((), description="lines of the address at the head")
    contact: str = Field("", max_length=200, description="whom to ask: an address or a telephone number")
    logo: str = Field("", pattern=r"^[\w.-]*$", description="name of a picture (SVG or PNG) in the templates' folder")
    accent: str = Field("#1f4e79", pattern="^#[0-9a-fA-F]{6}$", description="colour of headings and charts")
    paper: Literal["a4", "us-letter"] = Field("a4", description="a4 or us-letter")
    templates: Path | None = Field(None, description="folder whose files replace the built-in ones of the same names")
    font_paths: tuple[Path, ...] = Field((), description="folders with fonts for scripts that ours do not have")
    fonts: tuple[str, ...] = Field((), description="families to be tried before ours")
    notes: tuple[str, ...] = Field((), description="sentences at the foot of each statement")
    detail: Literal["resource", "charge"] = Field(
        "resource", description="what a line is: all of a resource's charges of a month, or each charge"
    )
    by_fund: bool = Field(False, description="whether each fund gets a statement of its own")
    send_zero: bool = Field(False, description="whether a statement of 0.00 is sent by e-mail")
    dispute_days: int = Field(14, ge=0, le=366, description="days in which an investigator may object")
    grace: bool = Field(
        False, description="whether statements are first proposed, and issued when the days to object are over"
    )
    workers: int = Field(2, ge=0, le=32, description="processes that set statements; 0 sets them in the command itself")


class EmailSettings(Section):
    """E-mails with statements. Without a host nothing is sent: mails wait, and can be looked at."""

    host: str = Field("", max_length=253, description="SMTP server")
    port: int = Field(587, ge=1, le=65535, description="its port")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls, tls from the first byte, or none (only for a server on this machine)"
    )
    username: str = Field("", description="login; none where the server wants none")
    password: SecretStr = Field(SecretStr(""), description="password of the login")
    sender: str = Field("", max_length=320, description="address that mails come from")
    sender_name: str = Field("", max_length=200, description="name beside it; the organisation's otherwise")
    reply_to: str = Field("", max_length=320, description="address for answers; the sender's otherwise")
    subject: str = Field(
        "Statements of charges, {month}: {due}",
        max_length=300,
        description="subject; may hold {month}, {period}, {due}, {organisation}, {count}",
    )
    copies: tuple[str, ...] = Field((), description="addresses that get a copy of each mail: the department's office")
    attachment_bytes: int = Field(
        15 * 2**20, ge=0, description="most bytes of a mail's statements together; above it the mail has links"
    )
    link: str = Field(
        "{address}/api/v1/chargeback/statements/{number}/pdf",
        description="link to a statement; {address} is where people reach us, {number} the statement's",
    )
    test_recipient: str = Field(
        "", max_length=320, description="test mode: every mail goes to this address alone, and says so"
    )
    deadline: float = Field(60, gt=0, le=3600, description="seconds for each step of handing over one mail")
    attempts: int = Field(12, ge=1, le=100, description="tries for a mail that was provably not taken")

    @model_validator(mode="after")
    def _can_be_used(self) -> EmailSettings:
        try:
            self.subject.format(month="", period="", due="", organisation="", count=0)
            self.link.format(address="", number="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"subject or link has a name that is not known: {error}") from None
        if self.host and not self.sender:
            raise ValueError("email.sender is needed where email.host is set")
        return self
