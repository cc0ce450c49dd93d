"""A backup of a system that works, and an installation that comes out of it on an empty machine."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, insert, make_url, text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.installation import backup, restore
from clearfacts_assets.installation.archive import BackupProblem
from clearfacts_assets.installation.places import Places
from clearfacts_assets.orchestration.dagster_internals import postgres_url
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.tables import ChargebackWish
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.operations import heartbeats
from clearfacts_assets_tests.fixtures.chargeback import Books, row
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.databases import PostgresServer

NOW = datetime(2026, 11, 28, 15, 0, tzinfo=UTC)
ACTOR = Actor("a test")


NOTED = dg.AssetKey("noted")


@dataclass
class Machine:
    """A home, a database and a Dagster of its own."""

    places: Places
    dagster_url: str | None

    def restore(self, file: Path, *, replace: bool = False, now: datetime = NOW) -> restore.Restored:
        return restore.restore(file, self.places, self.dagster_url, replace=replace, actor=ACTOR, now=now)

    def dagster(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.places.dagster_home))


def machine(folder: Path, url: str, dagster_url: str | None) -> Machine:
    home = folder / "home"
    (home / "dagster").mkdir(parents=True)
    storage = {"storage": {"postgres": {"postgres_url": dagster_url}}} if dagster_url else {}
    (home / "dagster" / "dagster.yaml").write_text(json.dumps({"telemetry": {"enabled": False}, **storage}), "utf-8")
    found = Machine(Places(home, home / "dagster", home / "statement_invoices", url), None)
    with found.dagster() as instance:
        found.dagster_url = postgres_url(instance)
    return found


@dataclass
class Two:
    """A machine that works, and one that is empty."""

    working: Machine
    empty: Machine
    books: Books


@pytest.fixture
def two(database_kind: str, migrated_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Two]:
    """The one that works has a finalized month, keys, a document and a run; also on PostgreSQL."""
    if database_kind == "sqlite":
        urls = [migrated_url, f"sqlite:///{tmp_path}/new/home/clearfacts.db", None, None]
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        fresh = [server.fresh() for _ in range(3)]
        dagsters = [make_url(url).set(drivername="postgresql").render_as_string() for url in fresh[1:]]
        urls = [migrated_url, fresh[0], *dagsters]
    working = machine(tmp_path / "old", str(urls[0]), urls[2])
    (working.places.home / "keys").mkdir()
    (working.places.home / "keys" / "encryption.json").write_text("[1]", "utf-8")
    (working.places.invoice_folder / "2025-03").mkdir(parents=True)
    (working.places.invoice_folder / "2025-03" / "S-1.xml").write_text("<Invoice/>", "utf-8")
    (working.places.home / "logs").mkdir()
    (working.places.home / "logs" / "web.log").write_text("a line", "utf-8")
    with working.dagster() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(NOTED))
    engine = open_engine(str(urls[0]))
    books = Books(engine, tmp_path)
    books.put(row(BilledCost="12.34"), row(BilledCost="0.66", ResourceId="res-2"))
    books.finalize("2025-03")
    yield Two(working, machine(tmp_path / "new", str(urls[1]), urls[3]), books)
    engine.dispose()
    if database_kind == "postgresql":
        for url in fresh:
            server.drop(url)


def rows(url: str) -> dict[str, list[Any]]:
    """Everything that a database holds, by table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        else:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = list(connection.scalars(text(query)))
        found = {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in tables}
    engine.dispose()
    return found


def while_others_write(engine: Engine, work: Callable[[], backup.Backup]) -> backup.Backup:
    """Does the work while another thread writes pairs: an entry of the log and a wish, in one transaction."""
    over, written = threading.Event(), threading.Event()

    def write() -> None:
        for number in count(1):
            with engine.begin() as connection:
                audit.record(
                    connection, actor=ACTOR, action="pair.made", resource_type="pair", resource_id=str(number), now=NOW
                )
                connection.execute(insert(ChargebackWish).values(id=str(number), digest="x", answer={}, at=NOW))
            written.set()
            if over.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(120)
        return work()
    finally:
        over.set()
        writer.join()


def test_an_empty_machine_becomes_the_one_that_was_lost_while_it_worked(two: Two, tmp_path: Path) -> None:
    before = rows(two.working.places.database_url)
    made = while_others_write(
        two.books.engine,
        lambda: backup.back_up(two.working.places, two.working.dagster_url, tmp_path, now=NOW),
    )
    assert made.file.name == "clearfacts-20261128T150000Z.zip"
    assert made.file.stat().st_mode & 0o777 == 0o600
    done = two.empty.restore(made.file)
    after = rows(two.empty.places.database_url)
    assert (done.aside, done.archived_revision) == (None, done.revision)
    written = ("audit_logs", "chargeback_wishes")
    assert {name: held for name, held in after.items() if name not in written} == {
        name: held for name, held in before.items() if name not in written
    }
    pairs = sum("pair.made" in one for one in after["audit_logs"])
    assert pairs == len(after["chargeback_wishes"]) > 0  # of one moment
    home = two.empty.places.home
    assert (home / "keys" / "encryption.json").read_text() == "[1]"
    assert (home / "statement_invoices" / "2025-03" / "S-1.xml").read_text() == "<Invoice/>"
    assert not (home / "logs").exists()
    engine = open_engine(two.empty.places.database_url)
    books = Books(engine, tmp_path)
    (verdict,) = PeriodRepository(engine).verify()
    assert (verdict.period, verdict.problem) == ("2025-03", "")
    (entry,) = audit.entries(engine, action="installation.restored").items
    assert entry.details["after"]["backup"] == made.file.name
    assert audit.verify(engine).broken is None
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE charges SET amount = '0'"))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_logs"))
    books.put(row(BillingPeriodStart="2025-04-01T00:00:00Z", BillingPeriodEnd="2025-05-01T00:00:00Z"))  # ids go on
    assert str(books.total("2025-03").billed) == "13.00"
    engine.dispose()
    with two.empty.dagster() as instance:
        assert instance.get_latest_materialization_event(NOTED) is not None
        instance.report_runless_asset_event(dg.AssetMaterialization(NOTED))
        assert len(instance.fetch_materializations(NOTED, limit=9).records) == 2


def test_what_is_there_is_replaced_only_on_a_persons_word_and_never_under_a_running_daemon(
    migrated_url: str, tmp_path: Path
) -> None:
    here, engine = machine(tmp_path, migrated_url, None), open_engine(migrated_url)
    keys = here.places.home / "keys" / "encryption.json"
    keys.parent.mkdir()
    keys.write_text("[1]", "utf-8")
    Books(engine, tmp_path).put(row())
    made = backup.back_up(here.places, None, tmp_path, now=NOW)
    with pytest.raises(BackupProblem, match=r"not empty .*--yes"):
        here.restore(made.file)
    before = rows(migrated_url)
    heartbeats.look(engine, {})
    with pytest.raises(BackupProblem, match="is running"):
        here.restore(made.file, replace=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE run_heartbeats SET beat_at = '2026-01-01 00:00:00+00:00'"))
    engine.dispose()
    keys.write_text("[2]", "utf-8")
    done = here.restore(made.file, replace=True)
    assert done.aside is not None
    assert (done.aside / "home" / "keys" / "encryption.json").read_text() == "[2]"
    assert keys.read_text() == "[1]"
    after = rows(migrated_url)
    assert after["charges"] == before["charges"]
    assert after["run_heartbeats"] == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> backup.Backup:
    """A backup of an empty database."""
    home = tmp_path_factory.mktemp("small")
    places = Places(home, home / "dagster", home / "statement_invoices", f"sqlite:///{migrated_file}")
    return backup.back_up(places, None, home / "small.zip", now=NOW)


def nobody(folder: Path, url: str = "") -> Machine:
    return Machine(
        Places(folder, folder / "dagster", folder / "statement_invoices", url or f"sqlite:///{folder}/clearfacts.db"),
        None,
    )


def rewritten(source: Path, target: Path, **said: Any) -> Path:
    """The archive with other words in its manifest."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = json.dumps(json.loads(content) | said).encode()
            new.writestr(name, content)
    return target


def test_a_whole_backup_is_told_to_be_whole(small: backup.Backup) -> None:
    assert backup.look_at(small.file).summary == small.summary
    assert small.summary["keys"] == 0


@pytest.mark.parametrize("damage", ["cut off", "a byte", "a member less", "a member more", "no archive"])
def test_a_damaged_backup_is_refused_and_nothing_is_changed(damage: str, small: backup.Backup, tmp_path: Path) -> None:
    content, file = small.file.read_bytes(), tmp_path / "damaged.zip"
    if damage == "cut off":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "a byte":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "a member less":
        rewritten(small.file, file, members=[])
    elif damage == "a member more":
        more = {"name": "home/../../x", "size": 0, "sha256": "", "rows": None}
        rewritten(small.file, file, members=[*json.loads(json.dumps([])), more])
    else:
        file.write_bytes(b"no archive")
    for refuse in (lambda: backup.look_at(file), lambda: nobody(tmp_path / "home").restore(file)):
        with pytest.raises(BackupProblem, match="damaged"):
            refuse()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"format": 2}, "newer program"),
        ({"revision": "9999"}, "version 9999, which this program does not know"),
        ({"kind": "postgresql"}, "restored into the kind that it was made of"),
        ({"dagster": {"version": "1", "database": "postgresql"}}, "Dagster's database is postgresql"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused_with_the_reason(
    said: dict[str, Any], why: str, small: backup.Backup, tmp_path: Path
) -> None:
    file = rewritten(small.file, tmp_path / "other.zip", **said)
    with pytest.raises(BackupProblem, match=why):
        nobody(tmp_path / "home").restore(file)


def test_a_backup_of_an_older_version_is_upgraded_when_it_is_restored(tmp_path: Path) -> None:
    old = nobody(tmp_path / "old")
    migrate.upgrade(old.places.database_url, "0061")
    made = backup.back_up(old.places, None, tmp_path, now=NOW)
    done = nobody(tmp_path / "new").restore(made.file)
    assert (done.archived_revision, done.revision) == ("0061", migrate.upgrade(old.places.database_url))


def test_no_second_backup_takes_the_place_of_the_first_and_nothing_half_made_is_left(
    small: backup.Backup, migrated_file: Path
) -> None:
    places = nobody(small.file.parent, f"sqlite:///{migrated_file}").places
    with pytest.raises(BackupProblem, match="exists already"):
        backup.back_up(places, None, small.file, now=NOW)
    empty = replace(places, database_url=f"sqlite:///{small.file.parent}/none.db")
    with pytest.raises(BackupProblem, match="no tables"):
        backup.back_up(empty, None, small.file.with_name("other.zip"), now=NOW)
    assert not list(small.file.parent.glob(".*part"))


def test_the_commands_make_look_at_and_restore_a_backup(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "all.zip"
    made = command.json("backup", "--to", str(file))
    assert (made["file"], made["database"]) == (str(file), "sqlite")
    assert command.json("backup", "verify", str(file))["made_at"] == made["made_at"]
    command.environment["CLEARFACTS_HOME"] = str(tmp_path / "another")
    assert command.json("restore", str(file))["revision"] == made["revision"]
    refused = command("restore", str(file), code=1)
    assert "is not empty" in refused.stderr
    assert "--yes" in refused.stderr
    assert "--to" in command("backup", code=2).stderr
