"""Files that are no table of text at all, known by their first bytes: what each is, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.opening import head_of, refused, survey
from clearfacts_assets.chargeback.model import FileRefused
from clearfacts_assets.chargeback.ports import Limits
from clearfacts_assets.messages import Message

ARCHIVE = Message("an archive or an Excel workbook: unpack it, or save the sheet as CSV")
PACKED = Message("packed in a way that is not read here: unpack it, or pack it with gzip")
PAGE = Message("a page of HTML or XML, as a download that failed leaves it: fetch the export again")
JSON = Message("JSON: export it as CSV or Parquet")
OTHER_TABLE = Message("neither CSV nor Parquet: export it as one of them")
DOCUMENT = Message("a document for people to read: get the export itself, as CSV or Parquet")

_BY_FIRST_BYTES = {
    b"PK\x03\x04": ARCHIVE,
    b"PK\x05\x06": ARCHIVE,  # an empty one
    b"\xd0\xcf\x11\xe0": ARCHIVE,  # Excel until 2003, or a workbook with a password
    b"7z\xbc\xaf\x27\x1c": ARCHIVE,
    b"Rar!": ARCHIVE,
    b"BZh": PACKED,
    b"\xfd7zXZ\x00": PACKED,
    b"\x28\xb5\x2f\xfd": PACKED,  # zstd
    b"\x04\x22\x4d\x18": PACKED,  # lz4
    b"ORC": OTHER_TABLE,
    b"Obj\x01": OTHER_TABLE,  # Avro
    b"SQLite format 3": OTHER_TABLE,
    b"%PDF": DOCUMENT,
}
_BY_FIRST_SIGN = {"<": PAGE, "{": JSON, "[": JSON}
_TAR = (257, b"ustar")  # where a tar archive says that it is one
LONGEST_QUOTE = 60  # characters of a first line that are told


@contextmanager
def named_for_what_it_is(path: Path, limits: Limits) -> Iterator[None]:
    """Who refuses the file as a whole says what it is instead, where that is known: the header is then no fault."""
    try:
        yield
    except FileRefused as error:
        if error.refusal.code not in ("no_header", "encoding"):
            raise
        raise (_instead(path, limits) or error) from None


def _instead(path: Path, limits: Limits) -> FileRefused | None:
    with path.open("rb") as file:
        head = file.read(512)
    if not head.strip(b"\x00"):
        what = Message("it is empty") if not head else Message("it holds nothing but zeros: fetch the export again")
        return refused(path, "empty", what)
    for first, kind in _BY_FIRST_BYTES.items():
        if head.startswith(first):
            return refused(path, "other_kind", Message("it is {kind}", {"kind": kind}))
    if head[_TAR[0] :].startswith(_TAR[1]):
        return refused(path, "other_kind", Message("it is {kind}", {"kind": ARCHIVE}))
    return _by_text(path, limits)


def _by_text(path: Path, limits: Limits) -> FileRefused | None:
    try:
        with head_of(path, survey(path, limits)) as stream:
            line = next((one for _ in range(100) if (one := stream.readline(2**12)).strip()), "").strip()
    except FileRefused:
        return None
    if not line:
        return refused(path, "empty", Message("it is empty"))
    if kind := _BY_FIRST_SIGN.get(line[0]):
        return refused(path, "other_kind", Message("it is {kind}", {"kind": kind}))
    quote = "".join(one if one.isprintable() else "�" for one in line[:LONGEST_QUOTE])
    shown = quote + ("…" if len(line) > LONGEST_QUOTE else "")
    return refused(
        path,
        "no_header",
        Message(
            "its first line names no column of FOCUS: {line}. The names of the columns come first, "
            "with commas, semicolons, tabs or bars between them",
            {"line": shown},
        ),
        line=1,
        value=line,
    )
