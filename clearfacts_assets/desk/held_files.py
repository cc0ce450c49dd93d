"""Files that wait for a person to say yes, as pages work with them: what is gone is told to the person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.visits import Visit
from clearfacts_assets.storage.operations import held_files
from clearfacts_assets.storage.operations.held_files import FilesGone

GONE = "The uploaded files are not there any more: choose them again."


def hold(visit: Visit, files: list[Path]) -> str:
    """Keep them for this visitor; they are found again by what this returns."""
    return held_files.hold(visit.engine, files, visit.caller.name, visit.served.clock())


@contextmanager
def held(visit: Visit, token: str) -> Iterator[list[Path]]:
    """The files in their order, for as long as the block lasts. Raises ApiError CONFLICT: gone, or somebody else's."""
    with ExitStack() as stack:
        try:
            files = stack.enter_context(held_files.held(visit.engine, token, visit.caller.name))
        except FilesGone:
            raise Refused(GONE, ErrorCode.CONFLICT) from None
        yield files


def release(visit: Visit, token: str) -> None:
    """They are imported, or were not wanted."""
    held_files.release(visit.engine, token, visit.caller.name)
