"""Bad documents among good ones, through Dagster: each fails alone, with a reason, and reaches nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from clearfacts_assets_tests.fixtures.pipeline import DAY, Finished, Pipeline

NOON = f"{DAY}T12:00:00Z"
GOOD = 4
BAD = "THE-BAD-ONE"


@pytest.fixture
def day(quick_pipeline: Pipeline) -> Pipeline:
    """A day of four right invoices."""
    quick_pipeline.simulator.reset(per_day=GOOD, broken_share=0, duplicate_share=0)
    return quick_pipeline


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A door on which nobody may knock."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        yield door


def right_document(pipeline: Pipeline, index: int = 0) -> str:
    return pipeline.simulator.generator.document(pipeline.simulator.generator.entry(pipeline.day, index))


def check_it_failed_alone(pipeline: Pipeline, run: Finished, name: str, says: str) -> None:
    assert run.job.status == "completed"
    assert (run.counts.total, run.counts.sent, run.counts.failed) == (GOOD + 1, GOOD, 1)
    assert says in run.reasons[name]
    assert run.checks["counts_are_conserved"]
    again = pipeline.run()
    assert (again.counts.sent, again.counts.failed, again.counts.duplicates) == (0, 1, GOOD)
    pipeline.check_nothing_twice()
    assert len(pipeline.simulator.accepted()) == GOOD


@pytest.mark.parametrize(
    ("ubl", "says"),
    [
        ("this is not XML", "DOC-SYNTAX"),
        ("<html><body>Please log in</body></html>", "DOC-ROOT"),
        ("<Invoice/>", "DOC-ROOT"),
        ("   ", "DOC-SYNTAX"),
        ("", "'ubl' must be"),
        (None, "'ubl' must be"),
        (42, "'ubl' must be"),
        (["<Invoice/>"], "'ubl' must be"),
        ("<Invoice>\x00</Invoice>", "'ubl' must be"),
        ("<" * 10_000, "DOC-SYNTAX"),
        ("<a>" * 5_000, "DOC-SYNTAX"),
    ],
    ids=lambda value: repr(value)[:24] if not isinstance(value, str) or len(value) < 30 else value[:12],
)
def test_what_is_no_invoice(day: Pipeline, ubl: object, says: str) -> None:
    day.simulator.inject(BAD, NOON, ubl)
    check_it_failed_alone(day, day.run(), BAD, says)


def test_an_invoice_of_30_megabytes(day: Pipeline) -> None:
    text = right_document(day)
    padded = text.replace("</Invoice>", f"<!--{'x' * 30_000_000}--></Invoice>")
    day.simulator.inject(BAD, NOON, padded)
    check_it_failed_alone(day, day.run(), BAD, "source.document_bytes allows 20,971,520")


def test_an_invoice_larger_than_validation_allows(day: Pipeline) -> None:
    day.configure(VALIDATION__DOCUMENT_BYTES=200_000)
    day.simulator.inject(BAD, NOON, right_document(day).replace("</Invoice>", f"<!--{'x' * 200_000}--></Invoice>"))
    check_it_failed_alone(day, day.run(), BAD, "DOC-SIZE")


def test_a_page_that_is_too_large_is_asked_for_in_halves(day: Pipeline) -> None:
    """Three of 3 MB in one page of at most 4 MiB: all come, one at a time."""
    day.configure(SOURCE__PAGE_BYTES=2**22)
    for number in range(3):
        padded = right_document(day).replace("</Invoice>", f"<!--{'x' * 3_000_000}{number}--></Invoice>")
        day.simulator.inject(f"LARGE-{number}", NOON, padded)
    run = day.run()
    assert run.job.status == "completed"
    assert run.counts.total == GOOD + 3


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE Invoice [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE Invoice [<!ENTITY secret SYSTEM "http://127.0.0.1:{port}/entity">]>',
        '<!DOCTYPE Invoice SYSTEM "http://127.0.0.1:{port}/invoice.dtd">',
        '<!DOCTYPE Invoice [<!ENTITY % all SYSTEM "http://127.0.0.1:{port}/all.dtd">%all;]>',
        '<!DOCTYPE Invoice [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY secret "&b;&b;">]>',
    ],
    ids=["file", "entity over HTTP", "external DTD", "parameter entity", "laughs"],
)
def test_documents_that_want_something_fetched(day: Pipeline, listener: socket.socket, doctype: str) -> None:
    text = right_document(day)
    declaration, _, rest = text.partition("?>")
    wanted = doctype.replace("{port}", str(listener.getsockname()[1]))
    reference = "&secret;" if "secret" in doctype else ""
    hostile = f"{declaration}?>{wanted}{rest}".replace("</cbc:ID>", f"{reference}</cbc:ID>", 1)
    day.simulator.inject(BAD, NOON, hostile)
    run = day.run()
    with pytest.raises(BlockingIOError):
        listener.accept()
    check_it_failed_alone(day, run, BAD, "DOC-DOCTYPE")
    shown = str(day.invoices.get(BAD))
    assert "root:" not in shown.replace(wanted, "")


def test_an_xinclude_fetches_nothing(day: Pipeline, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{address}" parse="text"/>'
    day.simulator.inject(BAD, NOON, right_document(day).replace("</Invoice>", f"{include}</Invoice>"))
    run = day.run()
    with pytest.raises(BlockingIOError):
        listener.accept()
    check_it_failed_alone(day, run, BAD, "XSD")


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "no-such-encoding"])
def test_the_declared_encoding_of_a_document_that_came_as_text_says_nothing(day: Pipeline, encoding: str) -> None:
    text = right_document(day).replace('encoding="UTF-8"', f'encoding="{encoding}"', 1)
    assert encoding in text
    day.simulator.reset(per_day=0)
    day.simulator.inject("ENCODED", NOON, text)
    run = day.run()
    assert (run.job.status, run.counts.sent) == ("completed", 1)
    assert run.rows["ENCODED"].content_sha256 == day.simulator.accepted()[0]["sha256"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "'; DROP TABLE jobs; --",
        "[red]ERP[/red]",
        "<@U123> <!channel>",
        "é" * 200,
        "=1+1",
        "%00",
        "?a=b#c",
    ],
)
def test_ids_are_only_names(day: Pipeline, name: str) -> None:
    day.simulator.inject(name, NOON, "not XML")
    check_it_failed_alone(day, day.run(), name, "DOC-SYNTAX")
    chosen = day.run(job="manual_trigger", config={"invoice_ids": [name]})
    assert chosen.counts.failed == 1
    assert chosen.reasons.keys() == {name}


def test_an_invoice_for_a_company_that_clearfacts_does_not_know_is_refused_and_says_so(day: Pipeline) -> None:
    """Where receivers are not checked before; test_receivers_daily has what happens where they are."""
    day.configure(DESTINATION__CHECK_RECEIVERS="false")
    text = right_document(day)
    receiver = text.split("<cac:AccountingCustomerParty>")[1].split("<cbc:CompanyID>BE")[1].split("<")[0]
    day.simulator.inject(BAD, NOON, text.replace(receiver, "0123456749").replace("<cbc:ID>", "<cbc:ID>X", 1))
    run = day.run()
    check_it_failed_alone(day, run, BAD, "UNKNOWN_ADMINISTRATION")
    day.simulator.add_administration("BE0123456749")
    chosen = day.run(job="manual_trigger", config={"invoice_ids": [BAD]})
    assert chosen.counts.failed == 1, "a refused document is not sent again by itself"


def test_two_suppliers_may_use_the_same_number(day: Pipeline) -> None:
    generator = day.simulator.generator
    documents = [right_document(day, index) for index in range(GOOD)]
    suppliers = {
        text.split("<cac:AccountingSupplierParty>")[1].split("</cbc:EndpointID>")[0]: text for text in documents
    }
    assert len(suppliers) > 1
    day.simulator.reset(per_day=0)
    for number, text in enumerate(list(suppliers.values())[:2]):
        before, _, rest = text.partition("<cbc:ID>")
        day.simulator.inject(f"SAME-{number}", NOON, f"{before}<cbc:ID>2026-1</cbc:ID>{rest.partition('</cbc:ID>')[2]}")
    run = day.run()
    assert (run.counts.sent, run.counts.pending, run.counts.failed) == (2, 0, 0)
    assert generator.seed == 1
