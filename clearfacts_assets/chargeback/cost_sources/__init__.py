"""Cost exports, one file a kind. A new kind is one more line in SOURCES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.csv_usage import CsvUsage
from clearfacts_assets.chargeback.cost_sources.focus_csv import FocusCsv
from clearfacts_assets.chargeback.cost_sources.focus_parquet import FocusParquet
from clearfacts_assets.chargeback.cost_sources.opening import digest_of, refused
from clearfacts_assets.chargeback.cost_sources.slurm import Slurm, looks_like_sacct
from clearfacts_assets.chargeback.cost_sources.storage import Storage
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.ports import CostSource, Export, Limits
from clearfacts_assets.messages import Message

__all__ = ["SOURCES", "digest_of", "is_use", "open_export", "refused"]

# The first that recognises a file reads it. Those of use are made for each source, with its format and the rate card.
SOURCES: dict[str, Callable[[Usage], CostSource]] = {
    "slurm": Slurm,
    "storage": Storage,
    "csv_usage": CsvUsage,
    "focus_parquet": lambda usage: FocusParquet(),
    "focus_csv": lambda usage: FocusCsv(),
}


def is_use(path: Path, usage: Usage) -> bool:
    """Whether the file says what was used, and not what it cost: then the rate card decides about its rows."""
    if usage.format.kind:
        return True
    with path.open("rb") as file:
        return looks_like_sacct(file.read(16))


def open_export(path: Path, limits: Limits | None = None, usage: Usage | None = None) -> Export:
    """The file, looked at. Raises FileRefused, FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(16)
    read_with = usage or Usage("")
    for make in SOURCES.values():
        source = make(read_with)
        if source.recognises(path, head):
            return source.open(path, limits or Limits())
    raise refused(path, "unknown_kind", Message("no cost source knows files of this kind"))
