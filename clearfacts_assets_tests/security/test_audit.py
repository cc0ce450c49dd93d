"""The audit log: a chain to which one can only add, in which no secret stands. On both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, text, update
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import write

NOW = datetime(2026, 11, 21, 2, 0, 0, 123456, tzinfo=UTC)
ACTOR = Actor("an", ip_address="2001:DB8::0001", user_agent="curl\r\nX: y \u202e", correlation_id="c-1")


def add(engine: Engine, number: int = 0, **more: Any) -> None:
    def work(connection: Connection) -> None:
        record(
            connection,
            actor=ACTOR,
            action="thing.changed",
            resource_type="thing",
            resource_id=str(number),
            now=NOW + timedelta(seconds=number),
            **more,
        )

    write(engine, work)


def tamper(engine: Engine, statement: Any) -> None:
    """As somebody with all rights on the database would: the triggers are gone first."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for name in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_logs_no_{name}"))
        else:
            connection.execute(text("ALTER TABLE audit_logs DISABLE TRIGGER ALL"))
        connection.execute(statement)


def test_a_chain_of_all_kinds_of_content_holds(engine: Engine) -> None:
    contents: list[Any] = [
        None,
        {},
        {"a": 1, "b": [1, {"c": None}]},
        {"ü": "€ \x00 \ud800", "n": 1.5, "t": NOW},
        {"z": 0, "a": 0},
    ]
    for number, content in enumerate(contents):
        add(engine, number, before=content, after=content, reason="because")
    found = audit.verify(engine)
    assert (found.entries, found.broken) == (5, None)
    newest, *_ = audit.entries(engine).items
    assert found.head == newest.hash
    assert newest.ip_address == "2001:db8::1"


def test_entries_can_only_be_added(engine: Engine) -> None:
    add(engine)
    for statement in (update(AuditLog).values(action="x"), delete(AuditLog)):
        with pytest.raises(DBAPIError, match="only be added"), engine.begin() as connection:
            connection.execute(statement)
    if engine.dialect.name == "postgresql":
        with pytest.raises(DBAPIError, match="only be added"), engine.begin() as connection:
            connection.execute(text("TRUNCATE audit_logs"))
    assert audit.verify(engine).entries == 1


CHANGES: dict[str, Any] = {
    "action": {"action": "thing.unchanged"},
    "actor": {"details": {"actor": "bo"}},
    "time": {"created_at": NOW},
    "address": {"ip_address": "192.0.2.1"},
    "resource": {"resource_id": "9"},
    "its own hash": {"hash": "f" * 64},
    "the hash before": {"previous_hash": "f" * 64},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_entry_is_found(engine: Engine, what: str) -> None:
    for number in range(4):
        add(engine, number)
    tamper(engine, update(AuditLog).where(AuditLog.position == 2).values(CHANGES[what]))
    broken = audit.verify(engine).broken
    assert broken is not None
    assert broken.position == 2


def test_a_removed_entry_is_found(engine: Engine) -> None:
    for number in range(4):
        add(engine, number)
    tamper(engine, delete(AuditLog).where(AuditLog.position == 2))
    broken = audit.verify(engine).broken
    assert broken is not None
    assert "entry 2 is missing" in broken.problem


def test_what_is_cut_off_the_end_is_found_by_a_head_that_was_kept(engine: Engine) -> None:
    add(engine, 1)
    early = audit.verify(engine).head
    add(engine, 2)
    kept = audit.verify(engine).head
    tamper(engine, delete(AuditLog).where(AuditLog.position == 2))
    assert audit.verify(engine).broken is None
    assert audit.verify(engine, contains=early).broken is None
    broken = audit.verify(engine, contains=kept).broken
    assert broken is not None
    assert "cut off" in broken.problem


def test_writers_at_once_make_one_chain(engine: Engine) -> None:
    together = threading.Barrier(6)

    def go(number: int) -> None:
        together.wait()
        for step in range(5):
            add(engine, number * 10 + step)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(go, range(6)))
    found = audit.verify(engine)
    assert (found.entries, found.broken) == (30, None)


def test_an_entry_is_gone_when_its_change_is(engine: Engine) -> None:
    add(engine)

    def fails(connection: Connection) -> None:
        record(connection, actor=ACTOR, action="a.b", resource_type="a", resource_id=None, now=NOW)
        raise LookupError

    with pytest.raises(LookupError):
        write(engine, fails)
    add(engine, 1)
    assert (audit.verify(engine).entries, audit.verify(engine).broken) == (2, None)


def test_values_whose_names_speak_of_a_secret_are_hidden(engine: Engine) -> None:
    add(engine, after={"token": "canary-1", "nested": [{"api_key": "canary-2", "password": None}], "name": "an"})
    (entry,) = audit.entries(engine).items
    assert entry.details["after"] == {"token": "***", "nested": [{"api_key": "***", "password": None}], "name": "an"}


def test_the_log_is_filtered_and_paged(engine: Engine) -> None:
    for number in range(5):
        add(engine, number)
    first = audit.entries(engine, limit=2)
    second = audit.entries(engine, limit=2, cursor=first.next_cursor)
    assert [entry.resource_id for entry in [*first.items, *second.items]] == ["4", "3", "2", "1"]
    assert [entry.position for entry in audit.entries(engine, resource_id="3").items] == [4]
    assert audit.entries(engine, action="x\x00").items == []
