"""Worker processes: order, laziness, bounded memory, and what becomes of a document that ends its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from clearfacts_assets.invoice_settings import ValidationSettings, validator_from
from clearfacts_assets.invoices.model import Decision
from clearfacts_assets.invoices.validation import engine
from clearfacts_assets.invoices.validation.engine import Validator, report_as_json
from clearfacts_assets.invoices.validation.policy import Policy
from clearfacts_assets.invoices.validation.rules import CustomRules, RuleOptions
from clearfacts_assets.invoices.validation.workers import WorkersFailed
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited
from clearfacts_assets_tests.fixtures.ubl_mutants import mutants

PATIENCE = 120.0  # seconds that a process may take to end or to start
CHEAP = ("ubl_xsd", "belgium")  # layers that start quickly


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator(workers=2, layers=CHEAP) as validator:
        yield validator


def gone(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def numbered(count: int) -> Iterator[tuple[int, bytes]]:
    for number in range(count):
        yield number, document(number=f"F-{number}", lines=1 + number % 5 * 20)


def test_reports_come_in_the_order_of_the_documents(validator):
    reports = list(validator.validate_many(numbered(200)))
    assert [key for key, _ in reports] == list(range(200))
    assert [report.invoice.number for _, report in reports] == [f"F-{number}" for number in range(200)]


def test_documents_are_read_only_as_far_ahead_as_keeps_the_workers_busy(validator):
    read = 0

    def source() -> Iterator[tuple[int, bytes]]:
        nonlocal read
        for item in numbered(500):
            read += 1
            yield item

    reports = validator.validate_many(source())
    for _ in range(10):
        next(reports)
    assert read <= 10 + 2 * engine.AHEAD + 1
    reports.close()
    assert read < 500
    assert validator.validate(document()).decision is Decision.ACCEPT


def test_large_documents_are_not_read_ahead_without_bound(validator, monkeypatch):
    monkeypatch.setattr(engine, "AHEAD_BYTES", 100_000)
    read = 0

    def source() -> Iterator[tuple[int, bytes]]:
        nonlocal read
        for number in range(30):
            read += 1
            yield number, document(lines=100)

    reports = validator.validate_many(source())
    next(reports)
    assert read <= 4
    assert len(list(reports)) == 29


def test_what_came_before_a_source_s_failure_is_still_reported(validator):
    def source() -> Iterator[tuple[int, bytes]]:
        yield from numbered(3)
        raise ConnectionError("the ERP is gone")

    reports = validator.validate_many(source())
    assert [next(reports)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ConnectionError):
        next(reports)


def test_threads_may_share_a_validator(validator):
    wrong: list[str] = []

    def ask(number: int) -> None:
        for _ in range(10):
            report = validator.validate(document(number=f"T-{number}"))
            if report.invoice is None or report.invoice.number != f"T-{number}":
                wrong.append(repr(report))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_schemas_are_not_shared_by_threads():
    """The same verdicts and the same words, whatever other threads validate meanwhile."""
    broken = [edited(document(), "<cbc:IssueDate>2026-11-20<", f"<cbc:IssueDate>day {number}<") for number in range(4)]
    mixed: list[str] = []
    with Validator(workers=0, layers=("ubl_xsd",)) as validator:
        validator.validate(document())

        def ask(number: int) -> None:
            from clearfacts_assets.invoices.validation.rules.ubl_xsd import UblXsd
            from clearfacts_assets.invoices.validation.ubl import parse

            rule_set = UblXsd(explained_bytes=0)
            for _ in range(100):
                found = rule_set.check(parse(broken[number]))
                mixed.extend(
                    each.message for each in found if f"day {number}" not in each.message and "'day" in each.message
                )

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert mixed == []


def test_a_killed_worker_costs_one_document_and_is_replaced(validator):
    validator.validate(document())
    before = set(validator.worker_pids)
    reports = validator.validate_many(numbered(300))
    next(reports)
    victim = validator.worker_pids[0]
    os.kill(victim, signal.SIGKILL)
    after = list(reports)
    lost = [(key, report) for key, report in after if report.decision is not Decision.ACCEPT]
    assert len(after) == 299
    assert len(lost) <= 1
    for _, report in lost:
        assert (report.findings[0].rule, report.decision) == ("DOC-CRASH", Decision.HOLD)
        assert "SIGKILL" in report.findings[0].message
    assert victim not in validator.worker_pids
    assert before - {victim} <= set(validator.worker_pids)


def test_a_document_that_takes_too_long_is_held_and_the_others_go_on():
    slow = document(lines=20_000)
    with Validator(workers=1, layers=("amounts",), document_seconds=0.3) as validator:
        assert validator.validate(document()).decision is Decision.ACCEPT
        reports = dict(validator.validate_many([("a", document()), ("slow", slow), ("b", document())]))
    assert reports["slow"].findings[0].rule == "DOC-TIME"
    assert reports["slow"].decision is Decision.HOLD
    assert reports["a"].decision is reports["b"].decision is Decision.ACCEPT


def test_a_document_that_a_busy_machine_holds_up_is_not_too_slow():
    with Validator(workers=1, layers=("amounts",), document_seconds=3) as validator:
        validator.validate(document())
        reports = validator.validate_many([("long", document(lines=10_000))])
        [worker] = validator.worker_pids
        with ThreadPoolExecutor(1) as beside:
            report = beside.submit(next, reports)
            time.sleep(0.2)
            os.kill(worker, signal.SIGSTOP)  # others have the processor
            time.sleep(3.5)
            os.kill(worker, signal.SIGCONT)
            assert report.result()[1].decision is Decision.ACCEPT


@pytest.mark.parametrize("layer", ["en16931", "amounts"])
def test_an_endless_document_ends_in_saxon_too(layer):
    wrong = document(lines=3_000).replace(b'unitCode="C62"', b'unitCode="QQQ"')
    with Validator(workers=1, layers=(layer,), document_seconds=0.1) as validator:
        [(_, report)] = validator.validate_many([("slow", wrong)])
    assert report.findings[0].rule == "DOC-TIME"


def test_closing_ends_the_processes():
    validator = Validator(workers=2, layers=CHEAP)
    list(validator.validate_many(numbered(20)))
    pids = validator.worker_pids
    assert pids
    validator.close()
    validator.close()
    assert all(gone(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        validator.validate(document())


PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it, and so would we
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets_tests.fixtures.ubl_documents import document
if __name__ == "__main__":
    validator = Validator(workers=1, layers=("ubl_xsd",))
    validator.validate(document())
    print(*validator.worker_pids, flush=True)
    for _ in validator.validate_many((n, document(lines=50)) for n in iter(int, 1)):
        pass
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_when_their_parent_ends_however_it_ends(how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    with parent:
        worker = int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        parent.send_signal(how)
        assert gone(parent.pid)
        parent.kill()
    assert gone(worker)


WHAT_A_WORKER_IMPORTS = """
import sys
import clearfacts_assets.invoices.validation.workers
from clearfacts_assets.invoices.validation import rules
[rules.build(layer, rules.RuleOptions()) for layer in rules.known_layers()]
print(*sorted(sys.modules))
"""


def test_a_worker_imports_neither_dagster_nor_a_database():
    with Validator(workers=1, layers=("ubl_xsd", "en16931", "peppol_bis3")) as validator:
        validator.validate(document())
        mapped = psutil.Process(validator.worker_pids[0]).memory_maps()
    asked = subprocess.run(
        [sys.executable, "-c", WHAT_A_WORKER_IMPORTS], check=True, capture_output=True, text=True
    ).stdout.split()
    assert mapped
    for module in ("dagster", "sqlalchemy", "httpx", "pydantic", "typer", "clearfacts_assets.settings"):
        assert module not in asked, module


def test_a_worker_that_cannot_start_says_why(tmp_path):
    options = RuleOptions(peppol=CustomRules(tmp_path / "not-there.sch", "0" * 64))
    lacking = Validator(workers=1, options=options, layers=("peppol_bis3",))
    with lacking, pytest.raises(WorkersFailed, match=r"not-there\.sch"):
        lacking.validate(document())


def test_a_machine_that_starts_no_more_processes_is_told_not_waited_for(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Validator(workers=1, layers=CHEAP) as validator, pytest.raises(WorkersFailed, match="could not start"):
        validator.validate(document())


def test_with_workers_and_without_the_reports_are_the_same():
    documents = list(enumerate(mutants(7, 40)))
    with Validator(workers=0) as alone, Validator(workers=2) as together:
        ours = dict(alone.validate_many(documents))
        for key, report in together.validate_many(documents):
            assert (report.decision, report.findings, report.versions) == (
                ours[key].decision,
                ours[key].findings,
                ours[key].versions,
            )


def test_a_report_is_plain_json():
    import json

    with validator_from(ValidationSettings(workers=0)) as validator:
        accepted, refused = (report_as_json(validator.validate(content)) for content in (document(), b"<a/>"))
    assert json.loads(json.dumps(accepted)) == accepted
    assert accepted["payable"] == {"amount": "79.21", "currency": "EUR"}
    assert (accepted["number"], accepted["issue_date"]) == ("2026-0001", "2026-11-20")
    assert accepted["supplier"]["vat_id"] == "BE0203201340"
    assert accepted["versions"]["en16931"] == "1.3.16"
    assert (refused["decision"], refused["type"], refused["findings"][0]["rule"]) == ("reject", None, "DOC-ROOT")
    assert set(accepted) == set(refused)


def test_a_policy_reaches_the_workers():
    from clearfacts_assets.invoices.model import Severity

    with Validator(Policy(severities={"BE-IBAN": Severity.ERROR}), workers=1, layers=CHEAP) as validator:
        assert validator.validate(document(iban="BE68539007547035")).decision is Decision.REJECT
