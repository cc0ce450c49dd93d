"""The Java backend's client against the simulated ERP."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from clearfacts_assets.invoices.ports import (
    InvoiceNotFound,
    SourceDenied,
    SourceError,
    SourceProtocolError,
    SourceUnavailable,
)
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend
from clearfacts_assets_tests.fixtures.backends import DAY, read_all
from clearfacts_assets_tests.fixtures.bad_days import BAD_DAYS, LIST, BadDay
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

# --- with the simulator ----------------------------------------------------------------------------------------------


def open_backend(simulator: RunningSimulator, **options: Any) -> JavaBackend:
    return JavaBackend(
        SourceOptions(place=simulator.erp_url, token=simulator.erp_token, **{"deadline": 5.0, "attempts": 3} | options)
    )


def test_a_day_of_the_simulated_erp_comes_whole_and_in_order(simulator: RunningSimulator) -> None:
    backend = open_backend(simulator, page_size=7)
    pages = list(backend.pages(DAY))
    documents = [document for page in pages for document in page]
    expected = [entry.invoice_id for entry in simulator.generator.between(DAY.start, DAY.end)]
    assert [document.invoice_id for document in documents] == expected
    assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1)
    assert all(DAY.start <= document.updated_at < DAY.end for document in documents)
    assert all(document.content or document.problem for document in documents)
    assert backend.one(expected[3]) == documents[3]


def test_an_invoice_of_30_mb_is_a_problem_and_the_others_are_there(simulator: RunningSimulator) -> None:
    simulator.inject("HUGE", DAY.start, "<Invoice>" + "x" * (30 * 2**20) + "</Invoice>")
    documents = {document.invoice_id: document for document in read_all(open_backend(simulator))}
    assert "20,971,520 bytes" in documents["HUGE"].problem
    assert len(documents) == 41
    assert documents["HUGE"].content == b""


@pytest.mark.parametrize("variant", ["not_an_object", "ubl_not_text", "wrong_time", "no_id", "no_ubl", "no_time"])
def test_the_simulators_bad_records_are_problems(simulator: RunningSimulator, variant: str) -> None:
    simulator.fault("erp", "bad_record", variant=variant)
    documents = read_all(open_backend(simulator))
    assert len(documents) == 40
    assert [document.problem.startswith("the record is unusable: ") for document in documents].count(True) == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("down", {}),
        ("status", {"status": 429, "retry_after": "1"}),
        ("status", {"status": 500, "body": "html"}),
        ("html", {}),
        ("truncated", {}),
        ("malformed", {}),
    ],
)
def test_the_simulators_short_faults_cost_nothing(
    simulator: RunningSimulator, kind: str, options: dict[str, Any]
) -> None:
    fault = simulator.fault("erp", kind, times=2, after=1, **options)
    assert len(read_all(open_backend(simulator, page_size=10))) == 40
    assert simulator.applied(fault) == 2


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("down", {}, SourceUnavailable),
        ("hang", {}, SourceUnavailable),
        ("slow", {}, SourceUnavailable),
        ("html", {}, SourceProtocolError),
        ("looping_cursor", {}, SourceProtocolError),
        ("gzip_bomb", {}, SourceProtocolError),
        ("wrong_token", {}, SourceDenied),
    ],
)
def test_the_simulators_long_faults_end_the_retrieval(
    simulator: RunningSimulator, kind: str, options: dict[str, Any], error: type[SourceError]
) -> None:
    simulator.fault("erp", kind, **options)
    deadline = 0.25 if kind in ("hang", "slow") else 5
    with pytest.raises(error):
        read_all(open_backend(simulator, page_size=10, deadline=deadline, attempts=2, page_bytes=2**20))


def options_of(bad: BadDay) -> dict[str, Any]:
    """Its settings, as what the client is opened with."""
    return {name.removeprefix("SOURCE__").lower(): value for name, value in bad.settings.items()}


@pytest.mark.parametrize("bad", BAD_DAYS, ids=str)
@pytest.mark.parametrize("good", [0, 1], ids=["from the first page", "from the second page"])
def test_each_long_fault_is_told_with_its_page_and_what_to_do(
    simulator: RunningSimulator, bad: BadDay, good: int
) -> None:
    simulator.fault("erp", bad.kind, match=LIST, after=good, **bad.options)
    pages = open_backend(simulator, page_size=30, attempts=2, **options_of(bad)).pages(DAY)
    assert [len(page) for page in islice(pages, good)] == [30] * good
    with pytest.raises(SourceError) as stopped:
        next(pages)
    message = str(stopped.value)
    assert ("/erp/invoices (page 2, cursor" if good else "/erp/invoices (page 1") in message
    assert [words for words in bad.says if words not in message] == []


@pytest.mark.parametrize("kind", ["down", "html", "malformed"])
def test_a_chosen_invoice_that_cannot_be_had_is_named(simulator: RunningSimulator, kind: str) -> None:
    first, second = [entry.invoice_id for entry in simulator.generator.between(DAY.start, DAY.end)][:2]
    simulator.fault("erp", kind, match={"operation": "one"}, after=1)
    backend = open_backend(simulator, attempts=2)
    assert backend.one(first).invoice_id == first
    with pytest.raises(SourceError, match=second):
        backend.one(second)


def test_repeated_and_edited_rows_are_passed_on(simulator: RunningSimulator) -> None:
    simulator.fault("erp", "repeated_rows", rows=3, times=1)
    documents = read_all(open_backend(simulator, page_size=10))
    assert len(documents) == 43
    assert len({document.invoice_id for document in documents}) == 40


def test_an_empty_day_is_empty_and_an_unknown_invoice_is_not_found(simulator: RunningSimulator) -> None:
    simulator.reset(per_day=0)
    backend = open_backend(simulator)
    assert read_all(backend) == []
    with pytest.raises(InvoiceNotFound):
        backend.one("NO-SUCH")
    assert backend.check().endswith("answers")
