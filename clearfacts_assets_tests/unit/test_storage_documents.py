"""What is stored of a document, whatever bytes it came in."""

from __future__ import annotations

import pytest

from clearfacts_assets.storage.invoices.documents import stored

XML = '<?xml version="1.0" encoding="{}"?>\n<Invoice>Société Générale é</Invoice>'


def test_utf8_is_kept_byte_for_byte() -> None:
    content = XML.format("UTF-8").encode()
    assert stored(content).content == content
    assert stored(content).problem == ""


def test_a_byte_order_mark_is_dropped_so_that_one_content_has_one_hash() -> None:
    content = XML.format("UTF-8").encode()
    assert stored(b"\xef\xbb\xbf" + content).sha256 == stored(content).sha256


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "iso-8859-15", "windows-1252", "UTF-16", "UTF-16LE", "UTF-32"])
def test_other_encodings_become_utf8_and_say_so(encoding: str) -> None:
    result = stored(XML.format(encoding).encode(encoding))
    assert result.content == XML.format("UTF-8").encode()
    assert result.problem == ""


@pytest.mark.parametrize("encoding", ["utf-7", "unicode_escape", "zlib", "idna", "no-such-thing"])
def test_encodings_that_no_invoice_has_are_a_problem(encoding: str) -> None:
    assert "send it in UTF-8" in stored(XML.format(encoding).encode()).problem


def test_bytes_that_are_no_text_are_escaped_and_a_problem() -> None:
    result = stored(b"<Invoice>\xff\x00</Invoice>")
    assert result.text == r"<Invoice>\xff\x00</Invoice>"
    assert "byte 10 is not utf-8" in result.problem


def test_a_nul_character_is_a_problem() -> None:
    result = stored(b"<Invoice>\x00</Invoice>")
    assert "\x00" not in result.text
    assert "NUL" in result.problem


def test_an_encoding_named_inside_the_document_changes_nothing() -> None:
    content = b'<?xml version="1.0"?><Note>encoding="latin-1"</Note>'
    assert stored(content).content == content
