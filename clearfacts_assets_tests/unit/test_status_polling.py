"""Asking what became of documents: bounded, patient with one failure, not with many, and never raising."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from clearfacts_assets.invoices.delivery.status_polling import (
    DocumentState,
    DocumentStatus,
    DueDocument,
    Reply,
    poll,
)
from clearfacts_assets.invoices.ports import DestinationError, FiledDocument

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


def due(number: int, known: DocumentState | None = None) -> DueDocument:
    return DueDocument(uuid4(), f"doc-{number}", f"F-{number}", "BE0123456749", known)


def filed(state: str | None = "UNPAID") -> FiledDocument:
    return FiledDocument("doc", "2026-11-20", "PURCHASE", state)


def known(status: DocumentStatus | None = DocumentStatus.FOUND, state: str | None = "UNPAID") -> DocumentState:
    found = status is DocumentStatus.FOUND
    facts = ("PURCHASE", "2026-11-20", state) if found else (None, None, None)
    return DocumentState("doc", status, *facts, NOW, NOW, NOW)


class Archive:
    """Answers as a test wishes, and counts."""

    def __init__(self, answer: Callable[[int], FiledDocument | None]) -> None:
        self._answer, self._lock = answer, threading.Lock()
        self.asked: list[str] = []
        self.under_way = self.most_under_way = 0

    def document(self, document_id: str) -> FiledDocument | None:
        with self._lock:
            self.asked.append(document_id)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return self._answer(int(document_id.partition("-")[2]))
        finally:
            with self._lock:
                self.under_way -= 1


def replies(archive: Archive, count: int, size: int = 5, concurrency: int = 1, give_up_after: int = 3) -> list[Reply]:
    all_due = [due(number) for number in range(count)]
    batches = [all_due[start : start + size] for start in range(0, count, size)]
    found = poll(batches, archive, concurrency=concurrency, give_up_after=give_up_after, over=threading.Event())
    return [reply for batch in found for reply in batch]


def failing(*numbers: int, error: Exception | None = None) -> Callable[[int], FiledDocument]:
    def answer(number: int) -> FiledDocument:
        if number in numbers:
            raise error or DestinationError("HTTP 503")
        return filed()

    return answer


def test_every_document_is_asked_about_once() -> None:
    archive = Archive(lambda number: filed())
    found = replies(archive, 23, concurrency=4)
    assert sorted(archive.asked) == sorted(f"doc-{number}" for number in range(23))
    assert [reply.document.number for reply in found] == [f"F-{number}" for number in range(23)]


def test_no_more_at_once_than_allowed() -> None:
    meeting = threading.Barrier(3)

    def answer(number: int) -> FiledDocument:
        meeting.wait(300)
        return filed()

    archive = Archive(answer)
    replies(archive, 12, size=12, concurrency=3)
    assert archive.most_under_way == 3


def test_a_question_without_an_answer_says_why_and_stops_nobody() -> None:
    found = replies(Archive(failing(3, 4, 7)), 10)
    assert [reply.document.number for reply in found if reply.problem] == ["F-3", "F-4", "F-7"]
    assert {reply.problem for reply in found} == {"", "HTTP 503"}
    assert len(found) == 10


def test_too_many_in_a_row_end_the_inquiry_and_the_rest_is_left_alone() -> None:
    archive = Archive(failing(*range(4, 100)))
    found = replies(archive, 100)
    assert [reply.document.number for reply in found] == [f"F-{number}" for number in range(7)]
    assert len(archive.asked) == 7


def test_an_interrupted_inquiry_does_not_wait_for_questions_that_wait_themselves() -> None:
    over, waits, told = threading.Event(), threading.Event(), list[bool]()

    def answer(number: int) -> FiledDocument:
        if number == 0:
            waits.wait(300)
            raise KeyboardInterrupt
        waits.set()
        told.append(over.wait(300))
        raise DestinationError("HTTP 429")

    batches = [[due(number) for number in range(9)]]
    with pytest.raises(KeyboardInterrupt):
        list(poll(batches, Archive(answer), concurrency=2, give_up_after=3, over=over))
    assert told
    assert all(told)


def test_an_answer_in_between_begins_the_row_anew() -> None:
    assert len(replies(Archive(failing(0, 1, 3, 4, 6, 7)), 9)) == 9


@pytest.mark.parametrize("error", [RuntimeError("secret"), ValueError("secret")])
def test_a_client_that_breaks_is_a_problem_and_not_the_end(error: Exception) -> None:
    (reply,) = [one for one in replies(Archive(failing(1, error=error)), 3) if one.problem]
    assert reply.problem == f"the client failed ({type(error).__name__})"


@pytest.mark.parametrize(
    ("before", "answer", "first", "changed", "words"),
    [
        (None, filed(), True, False, ("not answered yet", "UNPAID")),
        (known(None), filed(), True, False, ("not answered yet", "UNPAID")),
        (known(), filed(), False, False, ("UNPAID", "UNPAID")),
        (known(), filed("PAID"), False, True, ("UNPAID", "PAID")),
        (known(), filed(None), False, True, ("UNPAID", "found")),
        (known(), None, False, True, ("UNPAID", "missing")),
        (known(DocumentStatus.MISSING), None, False, False, ("missing", "missing")),
        (known(DocumentStatus.MISSING), filed(), False, True, ("missing", "UNPAID")),
        (None, None, True, False, ("not answered yet", "missing")),
    ],
)
def test_what_is_a_change(
    before: DocumentState | None, answer: FiledDocument | None, *, first: bool, changed: bool, words: tuple[str, str]
) -> None:
    reply = Reply(due(1, before), answer)
    assert (reply.is_first, reply.changed, (reply.before, reply.after)) == (first, changed, words)


def test_a_problem_changes_nothing() -> None:
    reply = Reply(due(1, known()), problem="HTTP 503")
    assert (reply.is_first, reply.changed) == (False, False)
