"""Files that come with a request (multipart/form-data, RFC 7578): written to disk as they come, bounded, and gone again
with the request. Names are taken as names and never as paths."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from clearfacts_assets.api.errors import ApiError, ErrorCode

MOST_FILES = 100  # of one upload
MOST_FIELDS = 20  # beside them
LONGEST_NAME = 200  # bytes of a file's name
LONGEST_FIELD = 1000  # bytes of a field's value
WRITTEN_AT_ONCE = 2**20  # bytes that are held in memory
LEFT_SECONDS = 24 * 3600  # after which files of a process that died are removed
FILES = ("files", "file")  # what the parts with files are called
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Upload:
    """What came: the files in their order, and the fields."""

    files: list[Path] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(request: Request, *, folder: Path, most_bytes: int, setting: str) -> AsyncIterator[Upload]:
    """The upload, until the block ends. ``setting`` is named where the body has more than ``most_bytes``.

    Raises ApiError: UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, PAYLOAD_TOO_LARGE, VALIDATION_ERROR, STORAGE_FULL.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Files come as multipart/form-data.")
    place = await to_thread.run_sync(_place, folder)
    try:
        yield await _Receiving(place, boundary, most_bytes, setting).read(request)
    except OSError as error:
        if error.errno in _FULL:
            raise ApiError(ErrorCode.STORAGE_FULL) from error
        raise
    finally:
        await to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))


def _place(folder: Path) -> Path:
    """A new folder for one upload; what died with an earlier process is removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.stat().st_mtime < time.time() - LEFT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=folder))


class _Receiving:
    """One body under way: the parser calls, pieces wait until there is enough to write."""

    def __init__(self, place: Path, boundary: bytes, most_bytes: int, setting: str) -> None:
        self._place, self._most, self._setting = place, most_bytes, setting
        self._upload = Upload()
        self._header, self._value = bytearray(), bytearray()
        self._disposition = ""
        self._file: Path | None = None
        self._name, self._text = "", bytearray()
        self._pending: list[tuple[Path, bytes]] = []
        self._waiting, self._ended = 0, False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._opens,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )

    async def read(self, request: Request) -> Upload:
        announced, come = request.headers.get("content-length", ""), 0
        if announced.isdecimal() and int(announced) > self._most:
            raise self._too_large()
        try:
            async for piece in request.stream():
                come += len(piece)
                if come > self._most:
                    raise self._too_large()
                self._parser.write(piece)
                if self._waiting >= WRITTEN_AT_ONCE:
                    await to_thread.run_sync(self._write)
        except FormParserError as error:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"The body is no multipart/form-data: {error}") from None
        except ClientDisconnect:
            raise ApiError(ErrorCode.INVALID_REQUEST, "The body did not come to its end.") from None
        if not self._ended:
            raise ApiError(
                ErrorCode.INVALID_REQUEST, "The body is no multipart/form-data: its last boundary is missing."
            )
        await to_thread.run_sync(self._write)
        return self._upload

    def _too_large(self) -> ApiError:
        return ApiError(ErrorCode.PAYLOAD_TOO_LARGE, f"The upload has more than {self._most} bytes ({self._setting}).")

    def _write(self) -> None:
        for path, data in self._pending:
            with path.open("ab") as file:
                file.write(data)
        self._pending, self._waiting = [], 0

    def _begins(self) -> None:
        self._disposition, self._file, self._name, self._text = "", None, "", bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._header, self._value = bytearray(), bytearray()

    def _opens(self) -> None:
        _, said = parse_options_header(self._disposition)
        self._name = said.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in said:
            if len(self._upload.fields) == MOST_FIELDS:
                raise wrong("body", f"more than {MOST_FIELDS} fields")
            if self._name in self._upload.fields or not self._name:
                raise wrong("body", "a field has no name, or comes twice")
            return
        number = len(self._upload.files)
        if self._name not in FILES:
            raise wrong("body", f"files come in parts that are called {FILES[0]}")
        if number == MOST_FILES:
            raise wrong("body.files", f"more than {MOST_FILES} files")
        name = file_name(said[b"filename"], f"body.files.{number}")
        self._file = self._place / str(number) / name  # two files may have one name
        self._file.parent.mkdir()
        self._file.touch()
        self._upload.files.append(self._file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._pending.append((self._file, data[start:end]))
            self._waiting += end - start
            return
        self._text += data[start:end]
        if len(self._text) > LONGEST_FIELD:
            raise wrong("body", f"a field is longer than {LONGEST_FIELD} bytes")

    def _part_ends(self) -> None:
        if self._file is None:
            try:
                self._upload.fields[self._name] = self._text.decode("utf-8")
            except UnicodeDecodeError:
                raise wrong("body", "a field is not UTF-8") from None

    def _ends(self) -> None:
        self._ended = True


def file_name(written: bytes, field: str) -> str:
    """The name, where it is one: no path, nothing that cannot be seen, not hidden. Raises ApiError VALIDATION_ERROR."""
    try:
        name = written.decode("utf-8")
    except UnicodeDecodeError:
        raise wrong(field, "the file's name is not UTF-8") from None
    if not name or len(written) > LONGEST_NAME:
        raise wrong(field, f"a file's name has 1 to {LONGEST_NAME} bytes")
    if "/" in name or "\\" in name or name.startswith("."):
        raise wrong(field, "a file's name is no path, and begins with no dot")
    if not name.isprintable() or name.strip() != name:
        raise wrong(field, "the file's name has a character in it that nobody can see")
    return name


def wrong(field: str, problem: str) -> ApiError:
    """One thing that is wrong with an upload."""
    details = {"fields": [{"field": field, "problem": problem}]}
    return ApiError(ErrorCode.VALIDATION_ERROR, f"{field}: {problem}", details=details)
