"""A delivery from its files into the ledger, as everybody imports: commands, API, assets. One way through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.ingest.delivery import ingest
from clearfacts_assets.chargeback.ingest.preferences import Preferences, attribution_rules, reading_rules, threshold
from clearfacts_assets.chargeback.ingest.source_detection import guess_source
from clearfacts_assets.chargeback.model import Mode, period_of
from clearfacts_assets.chargeback.ports import Delivery, Outcome
from clearfacts_assets.rate_options import UsageOptions
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.chargeback.difference import as_result as difference_as_result
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.rates.usage import usage_of
from clearfacts_assets.storage.chargeback.registry import RegistryRepository


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What somebody asks for with some files. Without a source it is told by the first file's name and content."""

    source: str | None = None
    period: str | None = None
    mode: Mode = Mode.SNAPSHOT
    dry_run: bool = False
    strict: bool = False
    confirmed: bool = False


def import_files(
    engine: Engine,
    files: Sequence[Path],
    wanted: ImportRequest,
    preferences: Preferences,
    *,
    usage: Mapping[str, UsageOptions],
    actor: str | Actor,
    now: datetime,
) -> tuple[Outcome, str]:
    """The outcome, and the source. ``usage`` says by source how files of use are read. A source
    that is new begins on the billed basis with its first delivery; anomalies are flagged at the end.

    Raises FileRefused, FileNotFoundError, SourceUnknown, BadPeriod, NotAllowed; then nothing has changed.
    """
    registry = RegistryRepository(engine)
    source = wanted.source or guess_source(registry.sources(), files[0])
    delivery = Delivery(
        source=source,
        mode=wanted.mode,
        period=period_of(wanted.period) if wanted.period else None,
        actor=actor if isinstance(actor, str) else actor.name,
        at=now,
        dry_run=wanted.dry_run,
        strict=wanted.strict,
        confirmed=wanted.confirmed,
        threshold=threshold(preferences),
    )
    known = registry.known_source(source, now) if wanted.dry_run else registry.source(source, now=now, actor=actor)
    used = usage_of(engine, source, usage, attribution_rules(preferences).mapping)
    rules = reading_rules(preferences, known, registry.load(), delivery.period, used)
    by = None if isinstance(actor, str) else actor
    ledger = ImportRepository(engine, by, anomaly_factor=preferences.anomaly_factor)
    return ingest(files, delivery, rules, ledger), source


def outcome_as_result(outcome: Outcome, source: str) -> dict[str, Any]:
    """An outcome as JSON shows it."""
    return {
        "import_id": outcome.import_id,
        "applied": outcome.applied,
        "unchanged": outcome.unchanged,
        "source": source,
        "rows": outcome.rows,
        "refused": outcome.refused,
        "why": outcome.why,
        "notes": list(outcome.notes),
        "difference": {one.period: difference_as_result(one) for one in outcome.differences},
        "refusals": [one.as_result() for one in outcome.refusals],
    }
