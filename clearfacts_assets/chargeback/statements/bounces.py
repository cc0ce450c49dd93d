"""Bounces: what a mail server sends back (RFC 3464) names the mail that it could not deliver."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import default

LONGEST_REASON = 500  # characters


@dataclass(frozen=True, slots=True)
class Bounce:
    """One mail that came back."""

    message_id: str
    reason: str


def read_bounce(content: bytes) -> Bounce | None:
    """What a bounce is about; None where the mail is none, only says that something is late, or names no mail."""
    mail = message_from_bytes(content, policy=default)
    failed, reason, message_id = False, "", ""
    for part in mail.walk():
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            for block in part.get_payload() if isinstance(part.get_payload(), list) else []:
                assert isinstance(block, Message)  # noqa: S101 - the parser makes blocks of headers
                if str(block.get("Action", "")).strip().lower() == "failed":
                    failed = True
                    reason = str(block.get("Diagnostic-Code") or block.get("Status") or "")
        elif kind in ("message/rfc822", "text/rfc822-headers"):
            message_id = message_id or _original_id(part)
    if not failed or not message_id:
        return None
    return Bounce(message_id, " ".join(reason.split())[:LONGEST_REASON])


def _original_id(part: Message) -> str:
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message):
        return str(payload[0].get("Message-ID", "")).strip()
    text = part.get_payload(decode=True)
    headers = message_from_bytes(text if isinstance(text, bytes) else b"", policy=default)
    return str(headers.get("Message-ID", "")).strip()
