"""Documents above what libxml2 reads by itself: the documented limits are the limits, and the walls stay."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearfacts_assets.invoices.model import Decision
from clearfacts_assets.invoices.sources.folder import Folder
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import LONGEST_NUMBER, MOST_ATTRIBUTES, Limits, Unreadable, parse
from clearfacts_assets_tests.fixtures.operator_documents import big_attachment
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited
from clearfacts_assets_tests.security.test_validation_attacks import ENTITIES, SECONDS, SECRET, Listener

PAD = "<!--" + "x" * 4_000_000 + "-->"  # makes any document a long one
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
PARAMETERS = "".join(f'<!ENTITY % p{n} "{f"&#37;p{n - 1};" * 10}">' for n in range(1, 10))


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector(ValidationPlan(options=RuleOptions(proofs=False)))


def extended(inside: str) -> bytes:
    extension = (
        '<ext:UBLExtensions xmlns:ext="urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2">'
        f"<ext:UBLExtension><ext:ExtensionContent>{inside}</ext:ExtensionContent></ext:UBLExtension></ext:UBLExtensions>"
    )
    return edited(document(), "<cbc:CustomizationID>", f"{extension}<cbc:CustomizationID>")


def declaring(internal: str, use: str = "", *, before: str = "", after: str = "", encoding: str = "UTF-8") -> bytes:
    text = document(encoding="UTF-8").decode().replace('encoding="UTF-8"', f'encoding="{encoding}"')
    text = text.replace("<Invoice ", f"{before}<!DOCTYPE Invoice {internal}>{after}<Invoice ", 1)
    return text.replace("Levering volgens overeenkomst", use or "x").encode(encoding)


def refused(content: bytes, **limits: int) -> Unreadable:
    started = time.monotonic()
    with pytest.raises(Unreadable) as caught:
        parse(content, limits=Limits(**limits))
    assert time.monotonic() - started < SECONDS
    assert SECRET not in str(caught.value)
    return caught.value


def test_an_attachment_of_9_mb_is_accepted_without_a_word(inspector):
    content = big_attachment()
    assert 11_900_000 < len(content) < 12_100_000
    report = inspector.inspect(content)
    assert (report.decision, report.findings) == (Decision.ACCEPT, ())


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "windows-1252"])
def test_a_long_text_is_read_in_every_encoding(encoding):
    note = "é" * 5_200_000  # more than 10 million bytes of UTF-8, from fewer of another encoding
    text = edited(document(), "Levering volgens overeenkomst", note).decode()
    content = text.replace('encoding="UTF-8"', f'encoding="{encoding}"').encode(encoding)
    root = parse(content).root
    assert root.findtext("{*}Note") == note


def test_attachments_above_the_limit_are_told_with_its_setting(inspector):
    report = inspector.inspect(big_attachment(11_000_000))
    assert [finding.rule for finding in report.findings] == ["ATTACHMENT-SIZE"]
    assert "validation.attachment_bytes" in report.findings[0].message
    assert report.decision is Decision.ACCEPT


def test_each_limit_on_a_document_names_its_setting(tmp_path):
    assert "validation.document_bytes" in refused(document(), document_bytes=1024).message
    (tmp_path / "a.xml").write_bytes(document())
    folder = Folder(tmp_path, document_bytes=1024)
    assert "source.document_bytes" in folder.one("a.xml").problem
    for what in (refused(extended("<x/>" * 200), elements=100),):
        assert (what.rule, "this limit is fixed" in what.message) == ("DOC-ELEMENTS", True)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
@pytest.mark.parametrize("kind", [*ENTITIES, "laughs", "parameters"])
def test_a_long_document_declares_nothing(tmp_path, kind, encoding, place):
    secret, listener = tmp_path / "secret.txt", Listener()
    secret.write_text(SECRET)
    internal = {
        "laughs": f'[<!ENTITY l0 "ha">{LAUGHS}<!ENTITY x "&l9;">]',
        "parameters": f'[<!ENTITY % p0 \'<!ENTITY y "1">\'>{PARAMETERS}%p9;<!ENTITY x "1">]',
    }.get(kind) or ENTITIES[kind].format(file=secret.as_uri(), address=listener.address)
    assert refused(declaring(internal, "&x;", encoding=encoding, **{place: PAD})).rule == "DOC-DOCTYPE"
    assert listener.connections == 0
    listener.close()


def test_entities_do_not_grow_by_squares_in_text_or_attributes():
    internal = f'[<!ENTITY q "{"a" * 4_000_000}">]'
    assert refused(declaring(internal, "&q;" * 100_000)).rule == "DOC-DOCTYPE"
    content = declaring(internal).replace(b'schemeID="0208"', b'schemeID="' + b"&q;" * 1000 + b'"')
    assert refused(content).rule == "DOC-DOCTYPE"


HOSTILE = {
    "deep": (lambda: extended("<x>" * 1900 + "</x>" * 1900 + PAD), "DOC-DEPTH"),
    "deeper": (lambda: extended("<x>" * 100_000 + "</x>" * 100_000 + PAD), "DOC-SYNTAX"),
    "deep in names": (
        lambda: extended("".join(f'<x xmlns:a{n}="u{n}">' for n in range(1900)) + "</x>" * 1900 + PAD),
        "DOC-DEPTH",
    ),
    "elements": (lambda: extended("<x/>" * 4_200_000), "DOC-ELEMENTS"),
    "attributes": (
        lambda: extended("<x " + " ".join(f'a{n}=""' for n in range(MOST_ATTRIBUTES + 1)) + "/>" + PAD),
        "DOC-ATTRIBUTES",
    ),
    "digits": (
        lambda: edited(document(), ">79.21</cbc:PayableAmount>", f">{'1' * 12_000_000}</cbc:PayableAmount>"),
        "DOC-NUMBER",
    ),
    "digits in one megabyte": (
        lambda: edited(document(), ">79.21</cbc:PayableAmount>", f">{'1' * (LONGEST_NUMBER + 1)}</cbc:PayableAmount>"),
        "DOC-NUMBER",
    ),
    "cut short": (lambda: big_attachment()[:-20], "DOC-SYNTAX"),
    "nothing but a comment": (lambda: PAD.encode(), "DOC-SYNTAX"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_long_documents_are_refused_at_once(inspector, kind):
    made, rule = HOSTILE[kind]
    content = made()
    started = time.monotonic()
    report = inspector.inspect(content)
    assert time.monotonic() - started < SECONDS
    assert (report.decision, [finding.rule for finding in report.findings]) == (Decision.REJECT, [rule])


MEASURE = """
import re
from pathlib import Path
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets_tests.fixtures.operator_documents import big_attachment, operator
from clearfacts_assets_tests.security.test_long_documents import HOSTILE, LAUGHS, PAD, declaring
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
inspector = Inspector(ValidationPlan())
inspector.inspect(operator("00-ordinary"))
before = peak()
inspector.inspect(big_attachment())
accepted = peak() - before
laughs = lambda: declaring(f'[<!ENTITY l0 "ha">{LAUGHS}]', "&l9;", after=PAD)
for make in [*(made for made, _ in HOSTILE.values()), laughs]:
    inspector.inspect(make())
print(accepted, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_stays_bounded():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    accepted, hostile = map(int, done.stdout.split())
    assert accepted < 150  # MiB, for 12 MB that are read, checked and copied for Saxon
    assert hostile < 600
