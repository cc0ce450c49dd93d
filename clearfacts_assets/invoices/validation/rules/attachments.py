"""Attachments: how large they are, and whether they are what they say.

The official rules look at the declared MIME type alone. What opens them at the other end is given the content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from importlib.metadata import version

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import Element, element_index_of, location_of
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import EMBEDDED_DOCUMENT

LAYER = "attachments"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_OPEN_SHEET = "application/vnd.oasis.opendocument.spreadsheet"
# How a file of each allowed type begins (BT-125 and BR-CL-24); a CSV file may begin with anything.
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "application/pdf": (b"%PDF-", b"\xef\xbb\xbf%PDF-"),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "text/csv": (b"",),
    _SHEET: (b"PK\x03\x04",),
    _OPEN_SHEET: (b"PK\x03\x04",),
}
_LOOKED_AT = 64  # characters of base64


class Attachments:
    """ATTACHMENT-SIZE, ATTACHMENT-MIME and ATTACHMENT-CONTENT, all warnings. Safe to use from several threads."""

    layer = LAYER

    def __init__(self, most_bytes: int) -> None:
        self.version = f"clearfacts-assets {version('clearfacts-assets')}"
        self._most_bytes = most_bytes

    def check(self, document: ParsedDocument) -> list[Finding]:
        attachments = element_index_of(document).all(EMBEDDED_DOCUMENT)
        if not attachments:
            return []
        found = [finding for attachment in attachments for finding in _content(attachment)]
        sizes = [unpacked(attachment.value) for attachment in attachments]
        if sum(sizes) > self._most_bytes:
            largest = max(zip(sizes, attachments, strict=True), key=lambda pair: pair[0])[1]
            allowed = f"validation.attachment_bytes allows {self._most_bytes:,}"
            message = f"the attachments have {sum(sizes):,} bytes together; {allowed}"
            found.append(_warning("ATTACHMENT-SIZE", largest, message))
        return found


def unpacked(text: str) -> int:
    """How many bytes a base64 text holds."""
    compact = len(text) - sum(map(text.count, " \t\r\n"))
    return max(0, compact * 3 // 4 - text[-8:].count("="))


def _warning(rule: str, element: Element, message: str) -> Finding:
    return Finding(rule, LAYER, Severity.WARNING, message, location_of(element))


def _content(attachment: Element) -> Iterator[Finding]:
    mime = attachment.attributes.get("mimeCode", "")
    name = attachment.attributes.get("filename", "without a name")
    beginnings = _BEGINNINGS.get(mime)
    if beginnings is None:
        yield _warning("ATTACHMENT-MIME", attachment, f"attachment {name}: {mime or 'no type'} is not an allowed type")
        return
    start = "".join(attachment.value[: 2 * _LOOKED_AT].split())[:_LOOKED_AT]
    try:
        content = base64.b64decode(start[: len(start) // 4 * 4], validate=True)
    except binascii.Error:
        yield _warning("ATTACHMENT-CONTENT", attachment, f"attachment {name} is not base64")
        return
    if not content.startswith(beginnings):
        yield _warning("ATTACHMENT-CONTENT", attachment, f"attachment {name} says {mime}, but its content is not")


def rule_set(options: RuleOptions) -> Attachments:
    return Attachments(options.attachment_bytes)
