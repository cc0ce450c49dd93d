"""Who pays, asked again: after the registry, an exception or a setting changed, in every period that is not finalized.

What a person has decided stays as it was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules, flags_of
from clearfacts_assets.chargeback.attribution.overrides import TAG_PROBLEMS, override_of
from clearfacts_assets.chargeback.attribution.registry import Registry
from clearfacts_assets.chargeback.ingest.payers import attribution_digest
from clearfacts_assets.chargeback.ingest.rules import FlagPattern
from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Attribution, Flag, Status, flag_text, holds
from clearfacts_assets.storage.chargeback.ledger import only_writer, put_together
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.chargeback.review import keep_attribution, set_standing
from clearfacts_assets.storage.chargeback.sql_text import sql

_BATCH = 5000  # charges held at once


def attribute_again(
    engine: Engine, rules: AttributionRules, patterns: Sequence[FlagPattern] = (), period: str | None = None
) -> int:
    """Returns how many charges stand elsewhere now."""
    with engine.begin() as connection:
        only_writer(connection)
        registry = load_registry(connection)
        periods = connection.execute(sql("SELECT name FROM billing_periods WHERE state <> 'finalized' ORDER BY name"))
        return sum(
            _period(connection, one, rules, patterns, registry)
            for one in list(periods.scalars())
            if period in (None, one)
        )


def _period(
    connection: Connection, period: str, rules: AttributionRules, patterns: Sequence[FlagPattern], registry: Registry
) -> int:
    payers = ", ".join(f"a.{name}" for name in ATTRIBUTION_FIELDS)
    found = connection.execute(
        sql(
            f"SELECT c.id, c.charge_start, c.service, c.resource_id, c.resource_name, c.read_flags, c.flags, c.status, "  # noqa: S608
            f"c.attribution, {payers} "
            "FROM charges c JOIN cost_attributions a ON a.digest = c.read_attribution "
            "WHERE c.period = :period AND c.withdrawn_by IS NULL AND c.kind <> 'reversal' "
            "AND c.status IN ('clear', 'flagged', 'not_billed') "
            "AND NOT EXISTS (SELECT 1 FROM charge_decisions d WHERE d.charge_id = c.id)"
        ).execution_options(yield_per=_BATCH),
        {"period": period},
    )
    changes, kept = [], set()
    for row in found:
        to, flags, status = _standing(row, rules, patterns, registry)
        digest = attribution_digest(to)
        if (digest, flags, status) != (bytes(row.attribution), row.flags, row.status):
            changes.append({"id": row.id, "attribution": digest, "flags": flags, "status": status})
            if digest not in kept:
                keep_attribution(connection, to)
                kept.add(digest)
    set_standing(connection, changes)
    if changes:
        put_together(connection, period)
    return len(changes)


def _standing(
    row: Any, rules: AttributionRules, patterns: Sequence[FlagPattern], registry: Registry
) -> tuple[Attribution, str, str]:
    day = row.charge_start[:10]
    to = registry.attributed(Attribution(*row[9:]), row.resource_id, day)
    read = {Flag(code) for code in row.read_flags.split()} - {Flag.PATTERN_MATCH}
    if override_of(to.origin) is not None:
        read -= TAG_PROBLEMS
    if any(one.pattern.search(said) for one in patterns for said in row[2:5]):
        read.add(Flag.PATTERN_MATCH)
    if Flag.ANOMALY in row.flags.split():
        read.add(Flag.ANOMALY)
    flags = flag_text(read | flags_of(to, day, rules, registry))
    status = Status.FLAGGED if holds(flags) else Status.CLEAR
    if registry.exception(to, row.resource_id, day) is not None:
        status = Status.NOT_BILLED
    return to, flags, status.value
