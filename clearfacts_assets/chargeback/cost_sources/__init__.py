"""Cost exports, one file a kind: the file's name is the kind, and its ``source(usage)`` makes what reads such files.

A line in USAGE_KINDS or COST_KINDS registers it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings look here for names alone, and need no reader for that
    from clearfacts_assets.chargeback.cost_sources.usage import Usage
    from clearfacts_assets.chargeback.ports import CostSource

# Of those the first that recognises a file reads it, in this order. What says what was used is priced by the rate card,
# and may be named by rates.usage.SOURCE.kind; what says what it cost comes after it. The last takes all that is text.
USAGE_KINDS = ["slurm", "storage", "csv_usage"]
COST_KINDS = ["focus_parquet", "focus_csv"]


def source_of(kind: str, usage: Usage) -> CostSource:
    """What reads files of this kind, for one source: with its format and the rate card."""
    source: CostSource = importlib.import_module(f"{__name__}.{kind}").source(usage)
    return source
