"""Statements as the investigators see whom they are for: their own ones, and of those what they were shown."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from clearfacts_assets.chargeback.statements.model import NoSuchStatement
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository

_MOST_VERSIONS = 10_000


def version_shown(engine: Engine, number: str, version: int | None, owners: Sequence[str] | None) -> int | None:
    """Which version to show: the one that is asked for, or that stands, or the newest. Without ``owners`` somebody sees
    everything, and what is asked for stays as it is. Raises NoSuchStatement: others' statements, and drafts, are as if
    they were not there."""
    if owners is None:
        return version
    found = StatementRepository(engine).list(StatementFilter(number=number, owners=tuple(owners)), limit=_MOST_VERSIONS)
    wanted = [one for one in found if version in (None, one["version"])]
    standing = [one for one in wanted if one["state"] in ("proposed", "issued")]
    if not wanted:
        which = f"{number}, version {version}" if version is not None else number
        raise NoSuchStatement("there is no statement {which}", which=which)
    return int((standing or wanted)[-1]["version"])


def versions_compared(
    engine: Engine, number: str, old: int | None, new: int | None, owners: Sequence[str] | None
) -> tuple[int | None, int | None]:
    """The same for two versions. Raises NoSuchStatement."""
    if owners is None:
        return old, new
    later = version_shown(engine, number, new, owners)
    return version_shown(engine, number, (later or 1) - 1 if old is None else old, owners), later
