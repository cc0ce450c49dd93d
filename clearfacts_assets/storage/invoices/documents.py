"""Documents as our database keeps them: XML text, which leaves as UTF-8 again.

What is validated, hashed and delivered are the UTF-8 bytes of the stored text, so one content has one hash however
often it is read back. A document in UTF-8 is kept as it came, but for a byte order mark.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from hashlib import sha256

_DECLARED = re.compile(rb"""^\s*<\?xml\b[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODING = re.compile(r"""(<\?xml\b[^>]*?\sencoding\s*=\s*)(["'])[^"']*\2""")
_HEAD_BYTES = 1000  # an XML declaration stands within these

# Python knows codecs that no XML may use (utf-7, unicode_escape, punycode); only these are ours to read.
_READABLE = frozenset(
    {"utf-8", "ascii", *(f"iso8859-{part}" for part in range(1, 17)), *(f"cp{page}" for page in range(1250, 1259))}
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as text; ``problem`` says, for a person, why it cannot be a usable one."""

    text: str
    problem: str = ""

    @property
    def content(self) -> bytes:
        return self.text.encode("utf-8")

    @property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()


def stored(content: bytes) -> StoredDocument:
    """The text of a document in any encoding that XML commonly has. Never fails: what cannot be read is escaped."""
    try:
        encoding = _encoding_of(content)
        text = content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        return StoredDocument(content.decode("utf-8", "backslashreplace").replace("\x00", "\\x00"), _unreadable(error))
    if "\x00" in text:
        return StoredDocument(text.replace("\x00", "\\x00"), "the document holds a NUL character, which XML forbids")
    text = text.removeprefix("\ufeff")
    if encoding != "utf-8":
        text = _ENCODING.sub(r"\1\2UTF-8\2", text, count=1)
    return StoredDocument(text)


def _encoding_of(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    declared = _DECLARED.match(content[:_HEAD_BYTES])
    if declared is None:
        return "utf-8"
    name = declared.group(1).decode()
    encoding = codecs.lookup(name).name
    if encoding not in _READABLE:
        raise LookupError(f"unknown encoding: {name}")
    return encoding


def _unreadable(error: UnicodeDecodeError | LookupError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"the document is not in the encoding it claims: byte {error.start + 1:,} is not {error.encoding}"
    return f"the document claims an encoding that an invoice must not have ({error}); send it in UTF-8"
