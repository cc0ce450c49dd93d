"""What is older than it has to be goes, once; what is held, waits or is still needed stays."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.installation.places import Places
from clearfacts_assets.installation.retention import Expired, Retention, years_before
from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.retention_settings import RetentionSettings
from clearfacts_assets.storage.accounts import audit, holds
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.holds import Hold, HoldProblem, Kept
from clearfacts_assets.storage.accounts.tables import AuditLog, Session, User
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.expiry import expire
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job
from clearfacts_assets_tests.fixtures.command import Command

NOW = datetime(2026, 11, 28, 15, 0, tzinfo=UTC)
LONG_AGO, LATE = datetime(2015, 12, 31, 9, 0, tzinfo=UTC), datetime(2016, 1, 1, 9, 0, tzinfo=UTC)
ACTOR = Actor("retention")


@dataclass
class Attic:
    """An installation with old things in it."""

    engine: Engine
    instance: dg.DagsterInstance
    places: Places
    ids: dict[str, UUID] = field(default_factory=dict)

    def apply(self, *, dry_run: bool = False, now: datetime = NOW) -> dict[Kept, Expired]:
        retention = Retention(self.engine, self.instance, self.places, RetentionSettings(), ACTOR)
        return {one.kind: one for one in retention.apply(dry_run=dry_run, now=now)}

    def put(self, name: str, at: datetime = LONG_AGO, **said: Any) -> None:
        """An invoice of a job, delivered unless something else is ``said``: the names are those that are asked for."""
        job, delivery, row = uuid4(), uuid4(), uuid4()
        content = said.get("content", f"<Invoice>{name}</Invoice>")
        digest = said.get("digest", name.ljust(64, "0")[:64])
        state = said.get("state", "delivered")
        with self.engine.begin() as connection:
            connection.execute(
                insert(Job).values(
                    id=job,
                    job_type="manual",
                    status=said.get("job", "completed"),
                    details={},
                    created_at=at,
                    updated_at=at,
                )
            )
            if state is not None:
                values = dict.fromkeys(("destination", "receiver", "supplier", "document_type", "number"), "x")
                connection.execute(
                    insert(Delivery).values(
                        **values,
                        id=delivery,
                        key_digest=uuid4().hex,
                        issue_year=2015,
                        content_sha256=digest,
                        state=state,
                        in_doubt=said.get("in_doubt", False),
                        created_at=at,
                        updated_at=at,
                        delivered_at=at,
                    )
                )
            connection.execute(
                insert(InvoiceRow).values(
                    id=row,
                    job_id=job,
                    invoice_id=name,
                    ubl_data=content,
                    content_sha256=digest,
                    status=said.get("status", "sent"),
                    report={"findings": []},
                    delivery_id=None if state is None else delivery,
                    issue_date=said.get("dated", date(2015, 12, 31)),
                    supplier=said.get("supplier", "Bakkerij Peeters"),
                    created_at=at,
                    updated_at=at,
                )
            )
        self.ids[name] = row

    def kept(self) -> set[str]:
        """Names of the rows that still have their document."""
        query = select(InvoiceRow.invoice_id).where(InvoiceRow.ubl_data.is_not(None))
        with self.engine.connect() as connection:
            return set(connection.scalars(query))

    def told(self, action: str) -> list[dict[str, Any]]:
        return [entry.details["after"] for entry in audit.entries(self.engine, action=action).items]


@pytest.fixture
def attic(engine: Engine, tmp_path: Path) -> Iterator[Attic]:
    home = tmp_path / "home"
    places = Places(home, home / "dagster", home / "statement_invoices", str(engine.url))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Attic(engine, instance, places)


def test_years_are_whole_and_counted_after_the_end_of_a_documents_own() -> None:
    assert years_before(datetime(2025, 12, 31, 23, 59, tzinfo=UTC), 10) == datetime(2015, 1, 1, tzinfo=UTC)
    assert years_before(datetime(2026, 1, 1, tzinfo=UTC), 10) == datetime(2016, 1, 1, tzinfo=UTC)


def test_documents_go_when_they_are_old_settled_and_needed_by_nothing_newer(attic: Attic) -> None:
    attic.put("old")
    attic.put("refused by a rule", status="failed", state=None)
    attic.put("of the year after", dated=date(2016, 1, 1))
    attic.put("came later", LATE)
    attic.put("pending", status="pending", state=None)
    for state in ("held", "parked", "unknown", "waiting", "ready"):
        attic.put(state, state=state)
    attic.put("in doubt", in_doubt=True)
    attic.put("job under way", job="running")
    attic.put("shown again", digest="e" * 64)
    attic.put("again", LATE, digest="e" * 64, content=None, status="duplicate")
    before = attic.kept()
    counted = attic.apply(dry_run=True)[Kept.DOCUMENTS]
    assert (counted.found, counted.deleted, counted.before) == (2, 0, datetime(2016, 1, 1, tzinfo=UTC))
    assert attic.kept() == before
    assert attic.told("documents.deleted") == []
    done = attic.apply()[Kept.DOCUMENTS]
    assert (done.found, done.held, done.deleted) == (2, 0, 2)
    assert before - attic.kept() == {"old", "refused by a rule"}
    (told,) = attic.told("documents.deleted")
    assert sorted(one[1] for one in told["each"]) == ["old", "refused by a rule"]
    with attic.engine.connect() as connection:  # what became of them is known for good
        row = connection.execute(select(InvoiceRow).where(InvoiceRow.id == attic.ids["old"])).mappings().one()
        assert (row["status"], row["report"], row["content_sha256"][:3]) == ("sent", None, "old")
    assert attic.apply()[Kept.DOCUMENTS].found == 0


def test_a_document_stays_for_an_old_row_of_the_same_content_that_still_waits(attic: Attic) -> None:
    """The document stands with the first row of its content; the others find it by its hash."""
    waiting = {
        "pending": {"status": "pending", "state": None},
        "held": {"state": "held"},
        "doubtful": {"in_doubt": True},
        "under way": {"job": "running"},
        "dated later": {"dated": date(2016, 1, 1)},
        "settled too": {},
    }
    for number, (name, said) in enumerate(waiting.items()):
        attic.put(f"first of {name}", digest=f"{number}" * 64)
        attic.put(name, digest=f"{number}" * 64, content=None, **said)
    assert attic.apply()[Kept.DOCUMENTS].deleted == 1
    assert attic.kept() == {f"first of {name}" for name in waiting} - {"first of settled too"}


@pytest.mark.parametrize("first", ["a run stores", "retention empties"])
def test_of_a_run_that_finds_a_document_and_a_retention_that_deletes_it_one_waits(attic: Attic, first: str) -> None:
    content, job = "<Invoice>met again</Invoice>", uuid4()
    attic.put("old", content=content, digest=sha256(content.encode()).hexdigest())
    with attic.engine.begin() as connection:
        still = {"id": job, "job_type": "manual", "status": "running", "details": {}}
        connection.execute(insert(Job).values(**still, created_at=NOW, updated_at=NOW))
    other = open_engine(attic.engine.url.render_as_string(hide_password=False))

    def store(engine: Engine) -> None:
        document = SourceDocument("again", NOW, content.encode())
        InvoiceRepository(engine).store(job, [document], now=NOW)

    def empty(engine: Engine) -> None:
        expire(engine, years_before(NOW, 10), dry_run=False, actor=ACTOR, now=NOW)

    ways, marks = (store, empty), ("INSERT INTO invoices", "UPDATE invoices SET ubl_data")
    begins, follows = ways if first == "a run stores" else ways[::-1]
    later = threading.Thread(target=follows, args=(other,))

    def in_the_middle(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        """What the other one does now, it does on what it sees now; unless it waits for us."""
        if statement.startswith(marks[ways.index(begins)]) and not later.ident:
            later.start()
            while later.is_alive() and not _somebody_waits(attic.engine):
                later.join(0.02)

    event.listen(attic.engine, "before_cursor_execute", in_the_middle)
    begins(attic.engine)
    event.remove(attic.engine, "before_cursor_execute", in_the_middle)
    later.join(120)
    other.dispose()
    assert attic.kept() == {"old" if first == "a run stores" else "again"}


def _somebody_waits(engine: Engine) -> bool:
    if engine.name == "sqlite":  # one writer: the other one waits for the file
        return True
    with reading(engine) as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_a_hold_keeps_documents_of_a_party_until_it_is_released(attic: Attic) -> None:
    attic.put("of Peeters")
    attic.put("of Janssens", supplier="Garage JANSSENS nv")
    holds.place(attic.engine, Hold("case 7", Kept.DOCUMENTS, "janssens", None, None, "court"), actor=ACTOR, now=NOW)
    found = attic.apply()[Kept.DOCUMENTS]
    assert (found.found, found.held, found.deleted) == (1, 1, 1)
    assert attic.kept() == {"of Janssens"}
    with pytest.raises(HoldProblem, match="another name"):
        holds.place(attic.engine, Hold("case 7", None, None, None, None, "again"), actor=ACTOR, now=NOW)
    holds.release(attic.engine, "case 7", reason="closed", actor=ACTOR, now=NOW)
    with pytest.raises(HoldProblem, match="no hold"):
        holds.release(attic.engine, "case 7", reason="closed", actor=ACTOR, now=NOW)
    assert attic.apply()[Kept.DOCUMENTS].deleted == 1
    assert attic.told("hold.placed") == [
        {"name": "case 7", "kind": "documents", "party": "janssens", "reason": "court"}
    ]
    assert attic.told("hold.released") == [{"reason": "closed"}]


@pytest.mark.parametrize(
    ("since", "until", "party", "held"),
    [
        (None, None, None, True),
        (date(2015, 1, 1), date(2015, 12, 31), None, True),
        (date(2016, 1, 1), None, None, False),
        (None, date(2014, 12, 31), None, False),
        (None, None, "PEETERS", True),
        (None, None, "janssens", False),
    ],
)
def test_what_a_hold_is_about(since: date | None, until: date | None, party: str | None, held: bool) -> None:
    hold = Hold("x", Kept.DOCUMENTS, party, since, until, "")
    assert hold.holds_document(date(2015, 6, 1), ["Bakkerij Peeters", None]) is held
    assert hold.holds_document(None, ["Bakkerij Peeters"]) is (party != "janssens")


def test_a_hold_of_everything_keeps_everything_and_only_documents_can_be_narrowed(attic: Attic) -> None:
    with pytest.raises(HoldProblem, match="--kind documents"):
        holds.place(attic.engine, Hold("x", None, "someone", None, None, "y"), actor=ACTOR, now=NOW)
    attic.put("old")
    logs = attic.places.home / "logs"
    logs.mkdir(parents=True)
    (logs / "web.log").write_text("x", "utf-8")
    os.utime(logs / "web.log", (0, 0))
    holds.place(attic.engine, Hold("all", None, None, None, None, "raid"), actor=ACTOR, now=LONG_AGO)
    found = attic.apply()
    assert {kind: (one.found, one.held, one.deleted) for kind, one in found.items()} == {
        Kept.DOCUMENTS: (0, 1, 0),
        Kept.RUNS: (0, 0, 0),
        Kept.LOGS: (0, 1, 0),
        Kept.SESSIONS: (0, 0, 0),
        Kept.AUDIT: (0, 1, 0),
    }
    assert (logs / "web.log").exists()
    assert attic.kept() == {"old"}


def test_the_audit_log_is_cut_at_its_beginning_and_still_verifies(attic: Attic) -> None:
    for number, at in enumerate([LONG_AGO, LONG_AGO, LATE, NOW]):
        with attic.engine.begin() as connection:
            audit.record(connection, actor=ACTOR, action="x.y", resource_type="x", resource_id=str(number), now=at)
    before = audit.verify(attic.engine)
    found = attic.apply()[Kept.AUDIT]
    assert (found.found, found.deleted) == (2, 2)
    after = audit.verify(attic.engine, contains=before.head)
    assert (after.broken, after.entries) == (None, 3)  # two that stayed, and the one that tells of the cut
    (told,) = attic.told("audit_log.cut")
    assert (told["through"], told["entries"]) == (2, 2)
    assert audit.verify(attic.engine, contains=told["hash"]).broken is None
    assert attic.apply()[Kept.AUDIT].found == 0
    with pytest.raises(DBAPIError), attic.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_logs WHERE position = 3"))
    with pytest.raises(DBAPIError), attic.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_cuts"))


def test_a_cut_that_no_entry_tells_of_is_noticed(attic: Attic) -> None:
    for number in range(3):
        with attic.engine.begin() as connection:
            audit.record(connection, actor=ACTOR, action="x.y", resource_type="x", resource_id=str(number), now=NOW)
    with attic.engine.begin() as connection:
        first = connection.scalar(select(AuditLog.hash).where(AuditLog.position == 1))
        connection.execute(
            text("INSERT INTO audit_cuts (position, hash, entries, at) VALUES (1, :hash, 1, '2026-01-01 00:00:00')"),
            {"hash": first},
        )
        connection.execute(text("DELETE FROM audit_logs WHERE position = 1"))
    broken = audit.verify(attic.engine).broken
    assert broken is not None
    assert "no entry tells" in broken.problem


def test_runs_logs_and_logins_go_after_days_but_no_run_whose_job_is_open(attic: Attic) -> None:
    kept_run, old_run, open_run = (
        attic.instance.create_run_for_job(job_def=_job(), run_id=str(uuid4()), tags=tags)
        for tags in ({"dagster/partition": "2026-11-01"}, {}, {})
    )
    for run in (kept_run, old_run, open_run):
        attic.instance.report_run_canceled(run)
    user, session = uuid4(), uuid4()
    times = {"created_at": NOW, "updated_at": NOW}
    with attic.engine.begin() as connection:
        still = {"id": UUID(open_run.run_id), "job_type": "manual", "status": "running", "details": {}}
        connection.execute(insert(Job).values(**still, **times))
        connection.execute(insert(User).values(id=user, username="ada", email="ada@x.be", password_hash="x", **times))
        connection.execute(insert(Session).values(id=session, user_id=user, kind="api", created_at=NOW, expires_at=NOW))
    prints = attic.places.dagster_home / "storage" / "run" / "compute_logs"
    prints.mkdir(parents=True)
    for name, at in (("new.out", NOW), ("old.out", NOW - timedelta(days=50))):
        (prints / name).write_text("abc", "utf-8")
        os.utime(prints / name, (at.timestamp(), at.timestamp()))
    later = max(NOW, datetime.now(UTC)) + timedelta(days=60)
    done = attic.apply(now=later)
    assert [run.run_id for run in attic.instance.get_runs()] == [open_run.run_id, kept_run.run_id]
    assert (done[Kept.RUNS].deleted, done[Kept.LOGS].deleted, done[Kept.SESSIONS].deleted) == (1, 1, 1)
    assert done[Kept.LOGS].bytes == 3
    assert [one["each"] for one in attic.told("runs.deleted")] == [[[old_run.run_id, "nothing_job"]]]
    assert (len(attic.told("logs.deleted")), len(attic.told("sessions.deleted"))) == (1, 1)


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def nothing_job() -> None:
        nothing()

    return nothing_job


def test_the_commands_place_a_hold_and_count_in_a_dry_run(command: Command) -> None:
    command("holds", "place", "case 7", "--reason", "court", "--kind", "documents", "--party", "Peeters")
    (hold,) = command.json("holds", "list")["holds"]
    assert (hold["name"], hold["kind"], hold["released_at"]) == ("case 7", "documents", None)
    told = command.json("retention", "--dry-run")
    assert told["dry_run"] is True
    assert {one["kind"]: one["deleted"] for one in told["kinds"]} == dict.fromkeys(
        ("documents", "runs", "logs", "sessions", "audit"), 0
    )
    assert "no kind" in command("holds", "place", "x", "--reason", "y", "--kind", "mail", code=2).stderr
