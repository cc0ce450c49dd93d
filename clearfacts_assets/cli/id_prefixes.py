"""Ids as people type them: whole, or their first eight characters or more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from clearfacts_assets.cli.console import fail

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine


def one_id(engine: Engine, column: ColumnElement[Any], text: str, kind: str) -> UUID:
    """The only id that begins so; ends the command with exit code 1 where there is none or more than one."""
    from clearfacts_assets.storage.id_prefixes import ids_beginning_with

    try:
        found = ids_beginning_with(engine, column, text)
    except ValueError as error:
        fail(str(error), code=2)
    if not found:
        fail(f"there is no {kind} {text}: the `list` command shows them")
    if len(found) > 1:
        fail(f"several of them begin with {text}: {', '.join(map(str, found))}")
    return found[0]


def short(identifier: UUID) -> str:
    """As much of an id as lists show; commands take it."""
    return str(identifier)[:8]
