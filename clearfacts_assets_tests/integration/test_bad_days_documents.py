"""Bad documents among good ones, through Dagster: each fails alone, with a reason, and reaches nobody.

All of them come on one day (``day``), and each test looks at its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from clearfacts_assets_tests.fixtures.pipeline import DAY, Finished, Pipeline

NOON = f"{DAY}T12:00:00Z"
GOOD = 4
DOCUMENT_BYTES = 200_000  # what validation allows on that day

NO_INVOICES: Mapping[str, tuple[object, str]] = {
    "not XML": ("this is not XML", "DOC-SYNTAX"),
    "HTML": ("<html><body>Please log in</body></html>", "DOC-ROOT"),
    "nothing in it": ("<Invoice/>", "DOC-ROOT"),
    "spaces": ("   ", "DOC-SYNTAX"),
    "empty": ("", "'ubl' must be"),
    "null": (None, "'ubl' must be"),
    "a number": (42, "'ubl' must be"),
    "a list": (["<Invoice/>"], "'ubl' must be"),
    "a zero byte": ("<Invoice>\x00</Invoice>", "'ubl' must be"),
    "ten thousand brackets": ("<" * 10_000, "DOC-SYNTAX"),
    "five thousand levels": ("<a>" * 5_000, "DOC-SYNTAX"),
}
DOCTYPES = {
    "file": '<!DOCTYPE Invoice [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
    "entity over HTTP": '<!DOCTYPE Invoice [<!ENTITY secret SYSTEM "http://127.0.0.1:{port}/entity">]>',
    "external DTD": '<!DOCTYPE Invoice SYSTEM "http://127.0.0.1:{port}/invoice.dtd">',
    "parameter entity": '<!DOCTYPE Invoice [<!ENTITY % all SYSTEM "http://127.0.0.1:{port}/all.dtd">%all;]>',
    "laughs": '<!DOCTYPE Invoice [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY secret "&b;&b;">]>',
}
ENCODINGS = ("UTF-16", "ISO-8859-1", "no-such-encoding")
STRANGE_IDS = (
    "../../etc/passwd",
    "'; DROP TABLE jobs; --",
    "[red]ERP[/red]",
    "<@U123> <!channel>",
    "é" * 200,
    "=1+1",
    "%00",
    "?a=b#c",
)
SAME_NUMBER = ("SAME-0", "SAME-1")
UNKNOWN_COMPANY, COMPANY = "UNKNOWN-COMPANY", "BE0123456749"
BAD = {*NO_INVOICES, *DOCTYPES, *STRANGE_IDS, "XINCLUDE", "30-MEGABYTES", "LARGE-TO-VALIDATE", UNKNOWN_COMPANY}
RIGHT = {*ENCODINGS, *SAME_NUMBER}  # and the GOOD of the ERP


@dataclass(frozen=True)
class Day:
    """What became of the day: its job, the same job again, and then a job of those that could perhaps leave now."""

    first: Finished
    again: Finished
    chosen: Finished
    accepted: Sequence[Mapping[str, Any]]  # by Clearfacts, after all of them
    asked: Sequence[str]  # of a listener that documents name: the first lines of requests
    shown: Mapping[str, str]  # what is kept of an invoice
    injected: Mapping[str, Any]
    port: int  # of the listener

    def check_it_failed_alone(self, name: str, says: str) -> None:
        """In the day's job, for this reason; and in the job that follows, which tries it again."""
        assert self.first.job.status == self.again.job.status == "completed"
        assert self.first.rows[name].status == self.again.rows[name].status == "failed"
        assert says in self.first.reasons[name]
        assert self.first.reasons.keys() == BAD, "another one failed too"


@pytest.fixture(scope="module")
def day(opened_pipeline: Callable[[], AbstractContextManager[Pipeline]]) -> Day:
    """A day of right invoices and all the bad ones."""
    with opened_pipeline() as pipeline, socket.create_server(("127.0.0.1", 0)) as door:
        pipeline.simulator.reset(per_day=GOOD, broken_share=0, duplicate_share=0)
        # Where receivers are not checked before; test_receivers_daily has what happens where they are.
        pipeline.configure(VALIDATION__DOCUMENT_BYTES=DOCUMENT_BYTES, DESTINATION__CHECK_RECEIVERS="false")
        port = door.getsockname()[1]
        injected = documents(pipeline, port)
        for name, ubl in injected.items():
            pipeline.simulator.inject(name, NOON, ubl)
        first, again = pipeline.run(), pipeline.run()
        pipeline.simulator.add_administration(COMPANY)
        chosen = pipeline.run(job="manual_trigger", config={"invoice_ids": [*STRANGE_IDS, UNKNOWN_COMPANY]})
        pipeline.check_nothing_twice()
        return Day(
            first,
            again,
            chosen,
            accepted=pipeline.simulator.accepted(),
            asked=requests(door),
            shown={name: str(pipeline.invoices.get(name)) for name in DOCTYPES},
            injected=injected,
            port=port,
        )


def documents(pipeline: Pipeline, port: int) -> dict[str, Any]:
    """What the ERP hands out besides, by its id; the bad ones are made from a right one."""
    right = right_document(pipeline)
    same = list(by_supplier(pipeline).values())
    assert len(same) > 1
    return {
        **{name: ubl for name, (ubl, _) in NO_INVOICES.items()},
        **dict.fromkeys(STRANGE_IDS, "not XML"),
        **{name: with_doctype(right, doctype(name, port)) for name in DOCTYPES},
        "XINCLUDE": right.replace("</Invoice>", f"{xinclude(port)}</Invoice>"),
        "30-MEGABYTES": padded(right, 30_000_000),
        "LARGE-TO-VALIDATE": padded(right, DOCUMENT_BYTES),
        UNKNOWN_COMPANY: right.replace(receiver(right), COMPANY[2:]).replace("<cbc:ID>", "<cbc:ID>X", 1),
        **{
            name: declared(right_document(pipeline, index, days_before=1), name) for index, name in enumerate(ENCODINGS)
        },
        **{name: numbered(text, "2026-1") for name, text in zip(SAME_NUMBER, same, strict=False)},
    }


def right_document(pipeline: Pipeline, index: int = 0, days_before: int = 0) -> str:
    """One of the day's, or one that the ERP does not give on that day."""
    generator = pipeline.simulator.generator
    return generator.document(generator.entry(pipeline.day - timedelta(days_before), index))


def by_supplier(pipeline: Pipeline) -> dict[str, str]:
    texts = [right_document(pipeline, index, days_before=2) for index in range(GOOD)]
    return {text.split("<cac:AccountingSupplierParty>")[1].split("</cbc:EndpointID>")[0]: text for text in texts}


def doctype(name: str, port: int) -> str:
    return DOCTYPES[name].replace("{port}", str(port))


def with_doctype(text: str, doctype: str) -> str:
    declaration, _, rest = text.partition("?>")
    reference = "&secret;" if "secret" in doctype else ""
    return f"{declaration}?>{doctype}{rest}".replace("</cbc:ID>", f"{reference}</cbc:ID>", 1)


def xinclude(port: int) -> str:
    address = f"http://127.0.0.1:{port}/xinclude"
    return f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{address}" parse="text"/>'


def padded(text: str, size: int) -> str:
    return text.replace("</Invoice>", f"<!--{'x' * size}--></Invoice>")


def declared(text: str, encoding: str) -> str:
    return text.replace('encoding="UTF-8"', f'encoding="{encoding}"', 1)


def receiver(text: str) -> str:
    return text.split("<cac:AccountingCustomerParty>")[1].split("<cbc:CompanyID>BE")[1].split("<")[0]


def numbered(text: str, number: str) -> str:
    before, _, rest = text.partition("<cbc:ID>")
    return f"{before}<cbc:ID>{number}</cbc:ID>{rest.partition('</cbc:ID>')[2]}"


def requests(door: socket.socket) -> list[str]:
    """The first line that each caller has sent."""
    door.setblocking(False)
    lines = list[str]()
    while True:
        try:
            caller, _ = door.accept()
        except BlockingIOError:
            return lines
        with caller:
            lines.append(caller.recv(1000).decode("latin-1").partition("\r")[0])


def test_each_bad_one_fails_alone_and_the_next_job_delivers_none_and_sends_none_twice(day: Day) -> None:
    sent, bad = GOOD + len(RIGHT), len(BAD)
    assert day.first.job.status == "completed"
    assert (day.first.counts.total, day.first.counts.sent, day.first.counts.failed) == (sent + bad, sent, bad)
    assert day.first.checks["counts_are_conserved"]
    assert (day.again.counts.sent, day.again.counts.failed, day.again.counts.duplicates) == (0, bad, sent)
    assert len(day.accepted) == sent


@pytest.mark.parametrize("name", NO_INVOICES)
def test_what_is_no_invoice(day: Day, name: str) -> None:
    day.check_it_failed_alone(name, NO_INVOICES[name][1])


def test_an_invoice_of_30_megabytes(day: Day) -> None:
    day.check_it_failed_alone("30-MEGABYTES", "source.document_bytes allows 20,971,520")


def test_an_invoice_larger_than_validation_allows(day: Day) -> None:
    day.check_it_failed_alone("LARGE-TO-VALIDATE", "DOC-SIZE")


@pytest.mark.parametrize("name", DOCTYPES)
def test_documents_that_want_something_fetched(day: Day, name: str) -> None:
    assert day.asked == []
    day.check_it_failed_alone(name, "DOC-DOCTYPE")
    assert "root:" not in day.shown[name].replace(doctype(name, day.port), "")


def test_an_xinclude_fetches_nothing(day: Day) -> None:
    assert day.asked == []
    day.check_it_failed_alone("XINCLUDE", "XSD")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_declared_encoding_of_a_document_that_came_as_text_says_nothing(day: Day, encoding: str) -> None:
    assert f'encoding="{encoding}"' in day.injected[encoding]
    row = day.first.rows[encoding]
    assert row.status == "sent"
    assert row.content_sha256 in [document["sha256"] for document in day.accepted]


@pytest.mark.parametrize("name", STRANGE_IDS)
def test_ids_are_only_names(day: Day, name: str) -> None:
    day.check_it_failed_alone(name, "DOC-SYNTAX")
    assert day.chosen.rows[name].status == "failed"
    assert day.chosen.reasons.keys() == {*STRANGE_IDS, UNKNOWN_COMPANY}
    assert day.chosen.counts.failed == day.chosen.counts.total == len(STRANGE_IDS) + 1


def test_an_invoice_for_a_company_that_clearfacts_does_not_know_is_refused_and_says_so(day: Day) -> None:
    day.check_it_failed_alone(UNKNOWN_COMPANY, "UNKNOWN_ADMINISTRATION")
    chosen = day.chosen.rows[UNKNOWN_COMPANY]
    assert chosen.status == "failed", "a refused document is not sent again by itself"


def test_two_suppliers_may_use_the_same_number(day: Day) -> None:
    assert [day.first.rows[name].status for name in SAME_NUMBER] == ["sent", "sent"]
    numbers = [document["document_number"] for document in day.accepted]
    assert numbers.count("2026-1") == len(SAME_NUMBER)


def test_a_page_that_is_too_large_is_asked_for_in_halves(quick_pipeline: Pipeline) -> None:
    """Three of 3 MB in one page of at most 4 MiB: all come, one at a time."""
    quick_pipeline.simulator.reset(per_day=GOOD, broken_share=0, duplicate_share=0)
    quick_pipeline.configure(SOURCE__PAGE_BYTES=2**22)
    for number in range(3):
        large = right_document(quick_pipeline).replace("</Invoice>", f"<!--{'x' * 3_000_000}{number}--></Invoice>")
        quick_pipeline.simulator.inject(f"LARGE-{number}", NOON, large)
    run = quick_pipeline.run()
    assert run.job.status == "completed"
    assert run.counts.total == GOOD + 3
