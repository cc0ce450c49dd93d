"""Files that were uploaded and looked at, and wait for a person to say yes: a folder each, named by a secret.

They lie on this machine's disk. Beside several servers a yes may reach another one: it says that the files are gone,
and they are uploaded again. What nobody asks for is removed after a day, with what broken uploads left.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.desk.refusals import Refused

_TOKEN = re.compile(r"[0-9a-f]{32}")
_OWNER = ".owner"
GONE = "The uploaded files are not there any more: choose them again."


def hold(folder: Path, files: list[Path], owner: str) -> str:
    """Move the files out of the upload; they are found again by what this returns, and by their owner."""
    token = secrets.token_hex(16)
    place = folder / f"held-{token}"
    place.mkdir(mode=0o700, parents=True)
    (place / _OWNER).write_text(owner, "utf-8")
    for number, file in enumerate(files):
        (place / f"{number:03}").mkdir()
        shutil.move(file, place / f"{number:03}" / file.name)
    return token


def held(folder: Path, token: str, owner: str) -> list[Path]:
    """The files in their order. Raises ApiError CONFLICT where they are gone, or somebody else's."""
    place = folder / f"held-{token}"
    if not _TOKEN.fullmatch(token) or not place.is_dir() or (place / _OWNER).read_text("utf-8") != owner:
        raise Refused(GONE, ErrorCode.CONFLICT)
    return [next(one.iterdir()) for one in sorted(place.iterdir()) if one.is_dir()]


def release(folder: Path, token: str) -> None:
    """They are imported, or were not wanted."""
    if _TOKEN.fullmatch(token):
        shutil.rmtree(folder / f"held-{token}", ignore_errors=True)
