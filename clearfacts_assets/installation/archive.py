"""The file of a backup: a zip archive whose ``manifest.json`` names every member with its length and SHA-256.

A member is written and digested as a stream, so that a backup needs no memory of its size. The manifest comes last.

BackupProblem    a backup that cannot be made, read or restored: what is the matter and what to do
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self

FORMAT = 1  # of the archive; a program reads its own and all before it
MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_LEVEL = 3  # of compression: the disk is slower than this, and documents shrink to a sixth all the same


class BackupProblem(Exception):
    """A backup that cannot be made, read or restored, in words."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive."""

    name: str
    size: int
    sha256: str
    rows: int | None = None  # of a table


@dataclass(slots=True)
class Manifest:
    """What an archive is, and what is in it."""

    made_at: str  # RFC 3339, UTC
    program: str  # version of clearfacts_assets
    kind: str  # sqlite or postgresql
    revision: str  # version of our database
    dagster: dict[str, Any]  # its version, and of which kind its database is
    has: dict[str, Any]  # counts, for people
    format: int = FORMAT
    members: list[Member] = field(default_factory=list)

    @classmethod
    def read(cls, text: bytes, file: Path) -> Manifest:
        """Raises BackupProblem for a manifest of a newer program, or one that is none."""
        try:
            said = json.loads(text)
            if int(said["format"]) > FORMAT:
                raise BackupProblem(
                    f"{file} was made by a newer program ({said.get('program')}, format {said['format']}; this one "
                    f"reads up to {FORMAT}): restore it with that version"
                )
            said["members"] = [Member(**one) for one in said["members"]]
            return cls(**said)
        except (ValueError, KeyError, TypeError) as error:
            raise BackupProblem(f"{file} is damaged: its manifest cannot be read ({type(error).__name__})") from None


class ArchiveWriter:
    """Writes an archive beside its place and puts it there, readable by its owner only, when all of it is on disk."""

    def __init__(self, file: Path, manifest: Manifest) -> None:
        """Raises BackupProblem where there is such a file already."""
        if file.exists():
            raise BackupProblem(f"{file} exists already: choose another name")
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._part = file, file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
        self.manifest = manifest
        self._stream = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        self._zip = zipfile.ZipFile(self._stream, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    @property
    def folder(self) -> Path:
        """Where the archive will lie, and there is room."""
        return self._file.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with self._zip.open(MANIFEST, "w") as stream:
                    stream.write(json.dumps(asdict(self.manifest), indent=1).encode())
            self._zip.close()
            self._stream.flush()
            os.fsync(self._stream.fileno())
            if error is None:
                os.link(self._part, self._file)  # and not in the place of a file that came meanwhile
        finally:
            self._stream.close()
            self._part.unlink(missing_ok=True)

    @contextmanager
    def member(self, name: str) -> Iterator[MemberWriter]:
        """A member to write to; it is in the manifest when it is closed."""
        with self._zip.open(name, "w", force_zip64=True) as stream:
            writer = MemberWriter(stream)
            yield writer
        self.manifest.members.append(Member(name, writer.size, writer.digest.hexdigest(), writer.rows))

    def add(self, name: str, file: Path) -> bool:
        """A file as it is now; False where it is gone."""
        try:
            source = file.open("rb")
        except FileNotFoundError:
            return False
        with source, self.member(name) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        return True


class MemberWriter:
    """Counts and digests what is written through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.size, self.digest = stream, 0, hashlib.sha256()
        self.rows: int | None = None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self._stream.write(chunk)
        self.size += len(chunk)
        self.digest.update(chunk)


class ArchiveReader:
    """An archive, opened. Raises BackupProblem for what is none, is cut off, or was made by a newer program."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise BackupProblem(f"there is no file {file}")
        self.file = file
        try:
            self._zip = zipfile.ZipFile(file)
            self.manifest = Manifest.read(self._zip.read(MANIFEST), file)
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError) as error:
            raise BackupProblem(f"{file} is no whole backup of ours ({error}): take another copy of it") from None
        self._members = {member.name: member for member in self.manifest.members}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def names(self, folder: str = "") -> list[str]:
        """Members below a folder (``home/``), in the order in which they were written."""
        return [name for name in self._members if name.startswith(folder)]

    def rows(self, name: str) -> int | None:
        return self._members[name].rows

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's bytes. Raises BackupProblem at its end where they are not those of the manifest."""
        wanted, digest, size = self._members[name], hashlib.sha256(), 0
        try:
            with self._zip.open(name) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError) as error:
            raise BackupProblem(f"{self.file} is damaged at {name} ({error}): take another copy of it") from None
        if (size, digest.hexdigest()) != (wanted.size, wanted.sha256):
            raise BackupProblem(f"{self.file} is damaged: {name} is not what was written: take another copy of it")

    def text(self, name: str) -> str:
        """A small member."""
        return b"".join(self.chunks(name)).decode()

    def unpack(self, name: str, target: Path) -> None:
        """Write a member to a file that only its owner can read, in folders of the same kind."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            for chunk in self.chunks(name):
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())

    def check(self) -> None:
        """Read everything once. Raises BackupProblem for the first member that is not as it was written."""
        present = set(self._zip.namelist()) - {MANIFEST}
        if present != set(self._members):
            odd = sorted(present ^ set(self._members))[0]
            raise BackupProblem(f"{self.file} is damaged: {odd} is in the archive or in its manifest alone")
        for name in self._members:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise BackupProblem(f"{self.file} holds a file that would lie outside of the installation: {name}")
            for _ in self.chunks(name):
                pass
