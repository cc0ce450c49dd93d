"""What a mail, a ZIP archive or a PDF holds: documents, and what is refused with its reason. All of it is bounded.

A ZIP in a ZIP is refused, so that nothing unpacks without end; an encrypted one too. A PDF is taken for the XML in it,
if that is UBL; Factur-X and ZUGFeRD carry another syntax (CII). A PDF beside an XML of the same name is its picture.
"""

from __future__ import annotations

import email
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from pathlib import PurePosixPath

from pypdf import PdfReader

from clearfacts_assets.invoices.validation.ubl import Limits, Unreadable, parse

MOST_PARTS = 1000  # of one mail, archive or PDF
_CII = "only UBL is taken, and Factur-X and ZUGFeRD carry CII: ask the sender for UBL (Peppol BIS 3)"
_SIGNATURES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
    }
)
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_OF_SYSTEMS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_TYPES = {"text/xml": ".xml", "application/xml": ".xml", "application/pdf": ".pdf", "application/zip": ".zip"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes, unpacked: of one document, and of all that one file holds."""

    document: int
    all: int


@dataclass(frozen=True, slots=True)
class Found:
    """A document, or why something is none. ``name`` is its way inside; empty for what is said of the whole."""

    name: str
    content: bytes = b""
    problem: str = ""


def unpacked(kind: str, content: bytes, bounds: Bounds) -> list[Found]:
    """All that a file of the kind (``.eml``, ``.zip`` or ``.pdf``) holds, in its order; never nothing."""
    return _Unpacking(bounds).of(kind, content)


class _TooMuch(Exception):
    """A file holds more than may be unpacked."""


class _Unpacking:
    """One file; what it may still unpack."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds, self._left, self._parts = bounds, bounds.all, 0

    def of(self, kind: str, content: bytes) -> list[Found]:
        found: list[Found] = []
        try:
            found.extend({".eml": self._mail, ".zip": self._archive, ".pdf": self._pdf}[kind](content))
        except _TooMuch as reason:
            found.append(Found("", problem=f"{reason}; what came before it is taken"))
        except Exception as error:  # noqa: BLE001 - hostile bytes break parsers in every way; that is the file's matter
            found.append(Found("", problem=f"this is no {kind} file that can be read: {type(error).__name__}: {error}"))
        return _without_pictures(found) or [Found("", problem=f"the {kind} file holds no invoice")]

    def _part(self, name: str, read: Callable[[int], bytes], *, inside: str) -> Iterator[Found]:
        """One part; ``read`` gives its bytes, but not more than it is asked for. Raises _TooMuch."""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _TooMuch(f"it holds more than {MOST_PARTS:,} files")
        kind = PurePosixPath(name).suffix.lower()
        if kind not in (".xml", ".pdf", ".zip"):
            yield Found(name, problem=f"{kind or 'a file without a suffix'} is not taken as an invoice")
            return
        if kind == ".zip" and inside == ".zip":
            yield Found(name, problem="a ZIP inside a ZIP is not opened: put its files into one")
            return
        most = min(self._bounds.document if kind == ".xml" else self._bounds.all, self._left)
        content = read(most + 1)
        self._left -= len(content)
        if len(content) > most and most < self._bounds.document:
            raise _TooMuch(f"it unpacks to more than source.page_bytes ({self._bounds.all:,} bytes)")
        if len(content) > most:
            yield Found(name, problem=f"it has more than source.document_bytes ({most:,} bytes), unpacked")
        elif kind == ".xml":
            yield Found(name, content)
        else:
            for one in self.of(kind, content):
                yield Found(f"{name}/{one.name}" if one.name else name, one.content, one.problem)

    def _archive(self, content: bytes) -> Iterator[Found]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                steps = [step for step in member.filename.replace("\\", "/").split("/") if step not in ("", ".", "..")]
                if member.is_dir() or not steps or _is_of_a_system(steps):
                    continue
                name = "/".join(steps)
                if member.flag_bits & 0x1:
                    yield Found(name, problem="it is encrypted: send it without a password")
                    continue
                try:
                    yield from self._part(name, _reader(archive, member), inside=".zip")
                except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
                    yield Found(name, problem=f"it is damaged or packed in a way that is not read: {error}")

    def _mail(self, content: bytes) -> Iterator[Found]:
        mail = email.message_from_bytes(content)
        for number, part in enumerate(mail.walk(), 1):
            kind = part.get_content_type()
            if kind in _ENCRYPTED:
                yield Found("", problem="the mail is encrypted: send it in plain")
                return
            name = _name_of(part)
            if part.is_multipart() or kind in _SIGNATURES or not _is_attached(part, name):
                continue
            body = part.get_payload(decode=True)
            data = body if isinstance(body, bytes) else b""
            name = name or f"part-{number}{_TYPES.get(kind, '')}"
            yield from self._part(name, lambda most, data=data: data[:most], inside=".eml")  # type: ignore[misc]

    def _pdf(self, content: bytes) -> Iterator[Found]:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            yield Found("", problem="the PDF is encrypted: send it without a password")
            return
        has_xml = False
        for file in reader.attachment_list:
            name = _plain(str(file.alternative_name or file.name)) or "attachment"
            if not name.lower().endswith(".xml"):
                continue  # what is attached to the picture of an invoice: time sheets, terms
            has_xml = True
            for one in self._part(name, lambda most, file=file: bytes(file.content)[:most], inside=".pdf"):  # type: ignore[misc]
                yield one if one.problem else Found(one.name, *_ubl_or_why(one.content, self._bounds))
        if not has_xml:
            yield Found("", problem="the PDF has no XML inside, and a picture of an invoice is not taken")


def _reader(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        with archive.open(member) as file:
            return file.read(most)

    return read


def _ubl_or_why(content: bytes, bounds: Bounds) -> tuple[bytes, str]:
    """The XML of a PDF, where it is UBL; else why it is not taken."""
    try:
        parse(content, limits=Limits(document_bytes=bounds.document))
    except Unreadable as error:
        why = f"{error.message}: {_CII}" if "CrossIndustry" in error.message else error.message
        return b"", f"the XML in the PDF is not taken: {why}"
    return content, ""


def _without_pictures(found: list[Found]) -> list[Found]:
    """Without the PDFs that hold nothing and have an XML of the same name beside them."""
    documents = {PurePosixPath(one.name).with_suffix("") for one in found if one.content}
    return [one for one in found if not (one.problem and _pdf_of(one.name) in documents)]


def _pdf_of(name: str) -> PurePosixPath | None:
    """The PDF that a name is, or is inside of, without its suffix."""
    path = PurePosixPath(name)
    return next((one.with_suffix("") for one in (path, *path.parents) if one.suffix.lower() == ".pdf"), None)


def _is_of_a_system(steps: list[str]) -> bool:
    return any(step.startswith(".") or step.lower() in _OF_SYSTEMS for step in steps)


def _is_attached(part: Message, name: str) -> bool:
    """Whether a part is a file that somebody sent, and not text, or a picture in it."""
    kind = part.get_content_type()
    if kind in _TYPES:
        return True
    shown = part.get_content_disposition() == "inline" or "Content-ID" in part
    return bool(name) and not (shown and part.get_content_maintype() in ("image", "text"))


def _name_of(part: Message) -> str:
    name = part.get_filename() or ""
    with suppress(LookupError, ValueError):
        name = str(make_header(decode_header(name)))
    return _plain(name)


def _plain(name: str) -> str:
    """The file's name without folders and without what cannot be printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable()).strip().lstrip(".")
