"""Kills in the middle of sealing and issuing, and others who want the same meanwhile: nothing is doubled, and nothing
is half done. On SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.lines import LedgerLines
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.chargeback import NOW, Books, outcome_rows, row, tags
from clearfacts_assets_tests.fixtures.forked import Forked, name_of, named
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.fixtures.statements import TODAY, Office

SECONDS = 120  # in which what hangs is given up
MARCH = "2025-03"
Work = Callable[[Engine, Path], object]


def finalize(engine: Engine, _folder: Path) -> object:
    return PeriodRepository(engine).change(MARCH, Event.FINALIZE, actor="pat", now=NOW)


def generate(engine: Engine, folder: Path) -> object:
    return Office(Books(engine, folder), TypstRenderer(folder / "renderer")).generate()


class Doomed:
    """A process that does some work and is killed before its first statement that begins so, once it may be."""

    def __init__(self, url: str, folder: Path, work: Work, at: str) -> None:
        reads, self._go = os.pipe()
        self._there, writes = os.pipe()
        self._process = Forked(doomed, url, str(folder), name_of(work), at, files=[reads, writes, 2])
        os.close(reads)
        os.close(writes)

    def is_there(self) -> None:
        ready, _, _ = select.select([self._there], [], [], SECONDS)
        assert ready, "it never came there"
        assert os.read(self._there, 1), f"it never came there; exit code {self._process.wait(SECONDS)}"

    def dies(self) -> None:
        os.write(self._go, b".")
        assert self._process.wait(SECONDS) == -signal.SIGKILL
        os.close(self._go)
        os.close(self._there)


def doomed(url: str, folder: str, work: str, at: str) -> None:
    """What a ``Doomed`` does in its own process."""
    engine = open_engine(url)

    @event.listens_for(engine, "before_cursor_execute")
    def stop(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(at):
            os.write(1, b".")
            os.read(0, 1)
            os.kill(os.getpid(), signal.SIGKILL)

    named(work)(engine, Path(folder))


def ruled_month(rules: Rules) -> None:
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="20")
    rules.books.put(row(BilledCost="10.00"), row(BilledCost="5.00", ResourceId="b"))
    rules.books.change(MARCH, Event.CLOSE)


POINTS = ("INSERT INTO ledger_runs", "UPDATE billing_periods")


@pytest.mark.parametrize("at", POINTS)
def test_a_rule_run_that_is_killed_inside_finalizing_leaves_the_month_as_it_was(
    rules: Rules, migrated_url: str, tmp_path: Path, at: str
) -> None:
    ruled_month(rules)
    doomed = Doomed(migrated_url, tmp_path, finalize, at)
    doomed.is_there()
    doomed.dies()
    repository = PeriodRepository(rules.engine)
    assert (repository.get(MARCH).state, rules.rows(), LedgerLines(rules.engine).last_run(MARCH)) == ("closed", 0, None)
    finalize(rules.engine, tmp_path)
    assert (rules.due(), [one.problem for one in repository.verify()]) == ("12.00", [""])
    told = [one["event"] for one in repository.events(MARCH)]
    assert told == ["close", "finalize"]


def test_an_upload_while_its_month_is_being_finalized_is_late_and_billed_once(rules: Rules, migrated_url: str) -> None:
    ruled_month(rules)
    sealing, uploading = ThreadEvent(), ThreadEvent()
    sealer, uploader = open_engine(migrated_url), open_engine(migrated_url)

    @event.listens_for(sealer, "before_cursor_execute")
    def hold(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE billing_periods"):
            sealing.set()
            assert uploading.wait(SECONDS)

    @event.listens_for(uploader, "before_cursor_execute")
    def seen(*_: Any) -> None:
        uploading.set()  # it has begun, and the ledger is the other one's

    late = [row(BilledCost="10.00"), row(BilledCost="6.00", ResourceId="b")]
    with ThreadPoolExecutor(2) as pool:
        sealed = pool.submit(finalize, sealer, rules.books.folder)
        assert sealing.wait(SECONDS)
        outcome = pool.submit(lambda: Books(uploader, rules.books.folder).put(*late, name="late.csv")).result(SECONDS)
        sealed.result(SECONDS)
    for engine in (sealer, uploader):
        engine.dispose()
    assert outcome_rows(outcome) == {"equal": 1, "changed": 1}
    assert [one.problem for one in PeriodRepository(rules.engine).verify()] == [""]
    assert [one["amount"] for one in rules.books.charges(period=MARCH)] == ["10.00", "5.00"]
    assert [(one["kind"], one["amount"]) for one in rules.books.charges(period="2025-04")] == [
        ("reversal", "-5.00"),
        ("adjustment", "6.00"),
    ]


def test_two_who_issue_and_one_who_voids_and_one_of_them_is_killed(office: Office, migrated_url: str) -> None:
    office.books.put(
        row(BilledCost="10.00", ResourceId="a"),
        row(BilledCost="4.00", ResourceId="b"),
        row(BilledCost="5.00", ResourceId="c", Tags=tags(project_id="other")),
    )
    office.close()
    office.generate()
    office.books.decide(Verdict.REJECT, office.books.charges(resource_id="b")[0]["id"])
    doomed = Doomed(migrated_url, office.books.folder, generate, "INSERT INTO statement_charges")
    doomed.is_there()

    def void() -> None:
        office.repository.void("S-2025-03-0002", actor="rita", reason="wrong school", now=TODAY)

    rival = Office(office.books, office.renderer)
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(void), pool.submit(rival.generate)]
        doomed.dies()
        for one in others:
            one.result(SECONDS)
    office.generate()
    assert sorted((one["number"], one["due"]) for one in office.standing()) == [
        ("S-2025-03-0001", "10.00"),
        ("S-2025-03-0002", "5.00"),
    ]
    (tie,) = office.repository.tie_out(MARCH)
    assert (tie.balanced, str(tie.printed)) == (True, "15.00")
    with office.books.engine.connect() as connection:
        versions = "SELECT number, version FROM statements WHERE state <> 'draft' ORDER BY number, version"
        found = [tuple(one) for one in connection.execute(text(versions))]
    assert found == [("S-2025-03-0001", 1), ("S-2025-03-0001", 2), ("S-2025-03-0002", 1), ("S-2025-03-0002", 2)]
    assert office.generate().new == []
