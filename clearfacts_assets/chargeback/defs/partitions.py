"""The partitions: months, and months by source. A source that is new in the ledger is a new partition by itself."""

from __future__ import annotations

import dagster as dg

FIRST_MONTH = "2019-01"  # fixed: a change would break backfills
SOURCE_PARTITIONS = "cost_sources"

# This month is there while it lasts, and the next one for what comes late after this one was finalized.
MONTHS = dg.MonthlyPartitionsDefinition(FIRST_MONTH, fmt="%Y-%m", timezone="UTC", end_offset=2)
SOURCES = dg.DynamicPartitionsDefinition(name=SOURCE_PARTITIONS)
MONTHS_AND_SOURCES = dg.MultiPartitionsDefinition({"month": MONTHS, "source": SOURCES})


def key_of(month: str, source: str) -> dg.MultiPartitionKey:
    """``2025-03|aws``."""
    return dg.MultiPartitionKey({"month": month, "source": source})


def month_and_source(key: str) -> tuple[str, str]:
    """The parts of such a key."""
    month, _, source = key.partition("|")
    return month, source


def is_month(period: str) -> bool:
    """Whether there is a partition for the period: an export may say 1999 or 2199."""
    return MONTHS.has_partition_key(period)
