"""Which kind of cost source reads a file: the first that recognises it."""

from __future__ import annotations

from pathlib import Path

from clearfacts_assets.chargeback.cost_sources import COST_KINDS, USAGE_KINDS, source_of
from clearfacts_assets.chargeback.cost_sources.opening import refused
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.ports import Export, Limits
from clearfacts_assets.messages import Message

_HEAD = 16  # bytes that every kind is shown


def is_use(path: Path, usage: Usage) -> bool:
    """Whether the file says what was used, and not what it cost: then the rate card decides about its rows."""
    head = _head_of(path)
    return any(source_of(kind, usage).recognises(path, head) for kind in USAGE_KINDS)


def open_export(path: Path, limits: Limits | None = None, usage: Usage | None = None) -> Export:
    """The file, looked at. Raises FileRefused, FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    head, read_with = _head_of(path), usage or Usage("")
    for kind in (*USAGE_KINDS, *COST_KINDS):
        source = source_of(kind, read_with)
        if source.recognises(path, head):
            return source.open(path, limits or Limits())
    raise refused(path, "unknown_kind", Message("no cost source knows files of this kind"))


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
