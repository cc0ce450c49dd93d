"""The bytes of a file: packed or not, in which encoding, how many, and whether they are still the same at the end."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearfacts_assets.chargeback.model import FileRefused, Refusal
from clearfacts_assets.chargeback.ports import SMALL_BYTES, Limits
from clearfacts_assets.messages import Message

BLOCK = 2**20
GZIP = b"\x1f\x8b"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class Survey:
    """A file that was read once to its end."""

    sha256: str
    size: int
    packed: bool
    encoding: str


class _Hashed(io.RawIOBase):
    """A file whose bytes are counted and hashed as they are read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.digest, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        self.size += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def refused(
    path: Path, code: str, message: Message, *, line: int = 0, column: str = "", value: str = ""
) -> FileRefused:
    """The refusal of a whole file."""
    return FileRefused(Refusal(path.name, line, 0, column, value[:200], code, str(message)), message)


def digest_of(path: Path) -> tuple[str, int]:
    """The file's SHA-256 and its size."""
    with _Hashed(path) as raw:
        buffer = bytearray(BLOCK)
        while raw.readinto(buffer):
            pass
        return raw.digest.hexdigest(), raw.size


def survey(path: Path, limits: Limits) -> Survey:
    """Read the file once: its digest, its size, its encoding. Raises FileRefused for what is broken or a bomb."""
    with _Hashed(path) as raw:
        buffered = io.BufferedReader(raw, BLOCK)
        packed = buffered.peek(2)[:2] == GZIP
        stream = gzip.GzipFile(fileobj=buffered) if packed else buffered
        unpacked, encoding, decoder = 0, "", None
        for block in _blocks(path, stream):
            if not unpacked:
                encoding = _encoding(block)
                decoder = codecs.getincrementaldecoder("utf-8")() if encoding == "utf-8" else None
            unpacked += len(block)
            _bounded(path, unpacked, raw.size, packed, limits)
            if decoder is not None and not _is_utf8(decoder, block):
                encoding, decoder = "cp1252", None
        while buffered.read(BLOCK):
            pass
        return Survey(raw.digest.hexdigest(), raw.size, packed, encoding or "utf-8")


@contextmanager
def text_of(path: Path, seen: Survey) -> Iterator[io.TextIOBase]:
    """The file's text, line ends kept. Raises FileRefused for bytes that the encoding does not know, and at the end
    where the bytes are not those that were surveyed."""
    with _Hashed(path) as raw:
        buffered = io.BufferedReader(raw, BLOCK)
        with _readable(path, seen):
            text = io.TextIOWrapper(_unpacked(buffered, seen), seen.encoding, newline="")
            text._CHUNK_SIZE = BLOCK // 8  # type: ignore[attr-defined]  # or it asks for 8 KiB, past all buffers
            yield text
        while buffered.read(BLOCK):
            pass
        if raw.digest.hexdigest() != seen.sha256:
            raise refused(
                path, "file_changed", Message("the file was changed while it was read: import it again once complete")
            )


@contextmanager
def head_of(path: Path, seen: Survey) -> Iterator[io.TextIOBase]:
    """The text again, only to look at how it begins."""
    with path.open("rb") as file, _readable(path, seen):
        yield io.TextIOWrapper(_unpacked(file, seen), seen.encoding, newline="")


def _unpacked(file: Any, seen: Survey) -> io.BufferedReader:
    unpacked: io.BufferedReader = io.BufferedReader(gzip.GzipFile(fileobj=file), BLOCK) if seen.packed else file
    return unpacked


@contextmanager
def _readable(path: Path, seen: Survey) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise refused(
            path,
            "encoding",
            Message("its bytes are neither UTF-8 nor {encoding}: {error}", {"encoding": seen.encoding, "error": error}),
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _broken(path, error) from None


def _blocks(path: Path, stream: io.BufferedIOBase) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _broken(path, error) from None
        if not block:
            return
        yield block


def _broken(path: Path, error: Exception) -> FileRefused:
    return refused(path, "broken_gzip", Message("it cannot be unpacked to its end: {error}", {"error": error}))


def _bounded(path: Path, unpacked: int, packed_size: int, packed: bool, limits: Limits) -> None:
    bomb = packed and unpacked > SMALL_BYTES and unpacked > packed_size * limits.packing
    if bomb or unpacked > limits.unpacked_bytes:
        why = f"it unpacks to more than {limits.packing} times its size" if bomb else "it is too large"
        raise refused(
            path, "too_large", Message("{why}: {unpacked} bytes and more", {"why": why, "unpacked": unpacked})
        )


def _encoding(block: bytes) -> str:
    for bom, encoding in _BOMS.items():
        if block.startswith(bom):
            return encoding
    if len(block) > 3 and not block[0] and block[1]:
        return "utf-16-be"
    if len(block) > 3 and block[0] and not block[1]:
        return "utf-16-le"
    return "utf-8"


def _is_utf8(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        if not (block.isascii() and decoder.getstate() == (b"", 0)):
            decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True
