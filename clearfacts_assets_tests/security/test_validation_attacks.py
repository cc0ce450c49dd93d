"""Hostile documents: nothing is fetched, nothing is expanded, nothing is read, and one finding says what is wrong.

Every attack names a listener of ours and a file of ours. The listener counts connections; the file holds a word that
may appear nowhere.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from clearfacts_assets.invoices.model import Decision, Report
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

SECRET = "geheim-4711"
SECONDS = 5.0  # no attack may take longer


class Listener:
    """Counts who connects, and answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    inspector = Inspector(ValidationPlan(options=RuleOptions(proofs=False)))  # so that Saxon sees what reaches it
    inspector.warm()
    return inspector


def with_doctype(internal: str, use: str = "", encoding: str = "UTF-8") -> bytes:
    text = document(encoding="UTF-8").decode()
    head, _, body = text.partition("?>\n")
    text = f"{head}?>\n<!DOCTYPE Invoice {internal}>\n{body}"
    if use:
        text = text.replace("Levering volgens overeenkomst", use)
    return text.replace('encoding="UTF-8"', f'encoding="{encoding}"').encode(encoding)


def attacked(inspector: Inspector, content: bytes) -> Report:
    started = time.monotonic()
    report = inspector.inspect(content)
    assert time.monotonic() - started < SECONDS
    assert report.decision is not Decision.ACCEPT
    assert SECRET not in repr(report)
    return report


ENTITIES = {
    "a file": '[<!ENTITY x SYSTEM "{file}">]',
    "an address": '[<!ENTITY x SYSTEM "{address}/x">]',
    "a public entity": '[<!ENTITY x PUBLIC "-//x//x" "{address}/x">]',
    "a parameter entity": '[<!ENTITY % p SYSTEM "{address}/x.dtd"> %p; <!ENTITY x "1">]',
    "out of band": '[<!ENTITY % f SYSTEM "{file}"><!ENTITY % p SYSTEM "{address}/x.dtd"> %p; <!ENTITY x "1">]',
}


@pytest.mark.parametrize("kind", ENTITIES)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_an_external_entity_is_refused_and_not_fetched(inspector, listener, secret, kind, encoding):
    internal = ENTITIES[kind].format(file=secret.as_uri(), address=listener.address)
    report = attacked(inspector, with_doctype(internal, "&x;", encoding))
    assert report.findings[0].rule in ("DOC-DOCTYPE", "DOC-SYNTAX")
    assert listener.connections == 0


def test_an_external_dtd_is_refused_and_not_fetched(inspector, listener):
    report = attacked(inspector, with_doctype(f'SYSTEM "{listener.address}/ubl.dtd"'))
    assert report.findings[0].rule == "DOC-DOCTYPE"
    assert listener.connections == 0


@pytest.mark.parametrize("use", ["&l9;", '" x="&l9;'])
def test_a_billion_laughs_stay_unlaughed(inspector, use):
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    content = with_doctype(f'[<!ENTITY l0 "ha">{levels}]', use)
    assert attacked(inspector, content).findings[0].rule in ("DOC-DOCTYPE", "DOC-SYNTAX")


def test_a_billion_laughs_in_an_attribute_stay_unlaughed(inspector):
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    content = with_doctype(f'[<!ENTITY l0 "ha">{levels}]').replace(b'schemeID="0208"', b'schemeID="&l9;"')
    assert attacked(inspector, content).findings[0].rule in ("DOC-DOCTYPE", "DOC-SYNTAX")


def test_an_entity_may_not_make_text_vanish(inspector):
    assert attacked(inspector, with_doctype('[<!ENTITY x "1000.00">]', "&x;")).findings[0].rule == "DOC-DOCTYPE"


def test_schemas_and_stylesheets_that_a_document_names_are_not_fetched(inspector, listener, secret):
    content = document().replace(
        b"<Invoice ",
        f'<?xml-stylesheet type="text/xsl" href="{listener.address}/x.xsl"?>\n'
        f'<Invoice xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
        f'"urn:oasis:names:specification:ubl:schema:xsd:Invoice-2 {listener.address}/x.xsd" '
        f'xsi:noNamespaceSchemaLocation="{secret.as_uri()}" '.encode(),
    )
    report = inspector.inspect(content)
    assert SECRET not in repr(report)
    invalid = inspector.inspect(edited(content, "<cbc:IssueDate>2026-11-20", "<cbc:IssueDate>never"))
    assert invalid.decision is Decision.REJECT
    assert listener.connections == 0


def test_xinclude_stays_what_it_is(inspector, listener, secret):
    include = (
        '<ext:UBLExtensions xmlns:ext="urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2">'
        "<ext:UBLExtension><ext:ExtensionContent>"
        f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include parse="text" href="{secret.as_uri()}"/>'
        f'<xi:include href="{listener.address}/x"/></x>'
        "</ext:ExtensionContent></ext:UBLExtension></ext:UBLExtensions>"
    )
    report = inspector.inspect(edited(document(), "<cbc:CustomizationID>", f"{include}<cbc:CustomizationID>"))
    assert SECRET not in repr(report)
    assert listener.connections == 0


def test_saxon_itself_opens_nothing(listener, secret):
    """The second wall: even bytes that never passed our parser fetch nothing."""
    from saxonche import PySaxonApiError

    from clearfacts_assets.invoices.validation import saxon

    for target in (secret.as_uri(), f"{listener.address}/x"):
        text = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{target}">]><a>&x;</a>'
        try:
            said = str(saxon._processor().parse_xml(xml_text=text))
        except PySaxonApiError as error:
            said = str(error)
        assert SECRET not in said
    assert listener.connections == 0


def test_rules_that_open_documents_open_nothing(listener, secret):
    from clearfacts_assets.invoices.validation.saxon import CannotRun, Stylesheet

    for target in (secret.as_uri(), f"{listener.address}/x"):
        sheet = Stylesheet(
            '<xsl:stylesheet version="3.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
            f"<a><xsl:value-of select=\"unparsed-text('{target}')\"/></a></xsl:template></xsl:stylesheet>".encode()
        )
        with pytest.raises(CannotRun) as refused:
            sheet.failed(ParsedDocument(parse(document()).root, 0))
        assert SECRET not in str(refused.value)
    assert listener.connections == 0


def deep(levels: int) -> bytes:
    extension = (
        '<ext:UBLExtensions xmlns:ext="urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2">'
        "<ext:UBLExtension><ext:ExtensionContent>" + "<x>" * levels + "</x>" * levels + "</ext:ExtensionContent>"
        "</ext:UBLExtension></ext:UBLExtensions>"
    )
    return edited(document(), "<cbc:CustomizationID>", f"{extension}<cbc:CustomizationID>")


@pytest.mark.parametrize("levels", [90, 150, 300, 100_000])
def test_depth_is_bounded(inspector, levels):
    assert attacked(inspector, deep(levels)).findings[0].rule in ("DOC-DEPTH", "DOC-SYNTAX")


@pytest.mark.parametrize(
    "content",
    [
        b"<?xml version='1.0' encoding='x-unheard-of'?><a/>",
        b"\xff\xfe\x00",
        b"<a" * 100_000,
        b"<!--" * 100_000,
        b"<a>" + b"&amp;" * 200_000,
        b"\x1f\x8b" + b"\x00" * 100,
        "<Invoice>\ud800</Invoice>".encode("utf-8", "surrogatepass"),
        b"<?xml version='1.1'?><Invoice>&#1;</Invoice>",
        b"{}" * 10,
    ],
)
def test_rubbish_is_a_finding(inspector, content):
    assert attacked(inspector, content).findings[0].layer == "document"


def test_a_document_beyond_the_byte_limit_is_not_even_parsed(inspector):
    report = attacked(inspector, b"<" * (20 * 2**20 + 1))
    assert report.findings[0].rule == "DOC-SIZE"


def test_an_attachment_never_reaches_saxon(inspector):
    from clearfacts_assets.invoices.validation.saxon import text_for_saxon

    content = document(attachments=(("a.pdf", "application/pdf", b"%PDF-" + SECRET.encode() * 1000),))
    parsed = parse(content)
    assert len(text_for_saxon(parsed)) < 10_000
    assert len(parsed.root.find(".//{*}EmbeddedDocumentBinaryObject").text) > 10_000  # the tree itself is untouched
    assert inspector.inspect(content).decision is Decision.ACCEPT


def test_rules_that_cannot_be_computed_are_a_finding(inspector):
    content = edited(
        document(), "<cbc:Percent>21</cbc:Percent>", "<cbc:Percent>21</cbc:Percent><cbc:Percent>6</cbc:Percent>"
    )
    report = Inspector(ValidationPlan(layers=("en16931",))).inspect(content)
    assert [finding.rule for finding in report.findings] == ["XSLT-ERROR"]
    assert report.decision is Decision.REJECT
