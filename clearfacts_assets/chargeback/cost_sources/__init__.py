"""Cost exports, one file a kind. A new kind is one more line in SOURCES."""

from __future__ import annotations

from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.focus_csv import FocusCsv
from clearfacts_assets.chargeback.cost_sources.focus_parquet import FocusParquet
from clearfacts_assets.chargeback.cost_sources.opening import digest_of, refused
from clearfacts_assets.chargeback.ports import CostSource, Export, Limits

__all__ = ["SOURCES", "digest_of", "open_export", "refused"]

# The first that recognises a file reads it.
SOURCES: dict[str, CostSource] = {
    "focus_parquet": FocusParquet(),
    "focus_csv": FocusCsv(),
}


def open_export(path: Path, limits: Limits | None = None) -> Export:
    """The file, looked at. Raises FileRefused, FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(16)
    for source in SOURCES.values():
        if source.recognises(path, head):
            return source.open(path, limits or Limits())
    raise refused(path, "unknown_kind", "no cost source knows files of this kind")
