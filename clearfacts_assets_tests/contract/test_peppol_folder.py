"""The folder that an access point watches: what is put there, once, whole, and what is refused or found again."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from lxml import etree

from clearfacts_assets import settings
from clearfacts_assets.invoices import destinations
from clearfacts_assets.invoices.defs import resources as invoice_resources
from clearfacts_assets.invoices.destinations import DestinationOptions, destination_of, open_destination
from clearfacts_assets.invoices.destinations.peppol_folder import OURS, PeppolFolder
from clearfacts_assets.invoices.ports import (
    Absent,
    Accepted,
    Denied,
    DestinationError,
    LookUp,
    NotSent,
    Outcome,
    Refused,
    Submission,
    Unknown,
)
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.ubl_documents import (
    BILLING,
    BIS3,
    CREDIT_NOTE,
    INVOICE,
    SELF_BILLING,
    SELF_BILLING_PROCESS,
    document,
    edited,
    without,
)

NOW = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
SBD = "{http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader}"
SELLER, BUYER = "//cac:AccountingSupplierParty", "//cac:AccountingCustomerParty"
Read = dict[str, str | None]


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "outbound"
    folder.mkdir()
    return folder


def sent(drop: Path, content: bytes = document(), **changes: str) -> Outcome:
    return PeppolFolder(str(drop), lambda: NOW).send(submission(content=content, **changes))


def waiting(drop: Path) -> list[Path]:
    return sorted(path for path in drop.iterdir() if not path.name.startswith("."))


def header(file: Path) -> Read:
    """The header's values by the names of their elements, scopes by their type."""
    head = etree.parse(file).getroot()[0]
    found: Read = {}
    for element in head.iter():
        name = etree.QName(element.tag).localname
        if name == "Scope":
            kind, *values = [child.text or "" for child in element]
            found[kind] = " ".join(values)
        elif name == "Identifier" and element.get("Authority"):
            found[etree.QName(element.getparent().tag).localname] = f"{element.get('Authority')}::{element.text}"
        elif len(element) == 0 and element.getparent().tag != f"{SBD}Scope":
            found[name] = element.text
    return found


def test_a_document_waits_in_its_envelope_named_by_its_digest(drop: Path) -> None:
    content = document()
    outcome = sent(drop, content)
    (file,) = waiting(drop)
    assert isinstance(outcome, Accepted)
    assert file.name == f"{sha256(content).hexdigest()}.xml"
    assert outcome.response == {"file": file.name, "instance_identifier": outcome.document_id}
    assert header(file) == {
        "HeaderVersion": "1.0",
        "Sender": "iso6523-actorid-upis::0208:0203201340",
        "Receiver": "iso6523-actorid-upis::0208:0308357159",
        "Standard": INVOICE,
        "TypeVersion": "2.1",
        "InstanceIdentifier": outcome.document_id,
        "Type": "Invoice",
        "CreationDateAndTime": "2026-11-21T01:30:00Z",
        "DOCUMENTID": f"{INVOICE}::Invoice##{BIS3}::2.1 busdox-docid-qns",
        "PROCESSID": f"{BILLING} cenbii-procid-ubl",
        "COUNTRY_C1": "BE",
    }
    assert content.partition(b"?>")[2].strip() in file.read_bytes(), "the document's own bytes"


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1"])
def test_the_document_inside_is_the_document(drop: Path, encoding: str) -> None:
    content = document(note="Café & <!-- kept --> 100 &#8364;".replace("&", "&amp;", 1), encoding=encoding)
    sent(drop, content)
    envelope = etree.parse(waiting(drop)[0]).getroot()
    assert [child.tag for child in envelope] == [f"{SBD}StandardBusinessDocumentHeader", f"{{{INVOICE}}}Invoice"]
    inside, original = envelope[1], etree.fromstring(content)
    exclusive = {"method": "c14n", "exclusive": True, "with_comments": True}
    assert etree.tostring(inside, **exclusive, with_tail=False) == etree.tostring(original, **exclusive)


def test_a_credit_note_says_so_and_a_self_billed_invoice_comes_from_the_customer(drop: Path) -> None:
    sent(drop, document(credit_note=True))
    credit = header(waiting(drop).pop())
    assert (credit["Type"], credit["DOCUMENTID"]) == (
        "CreditNote",
        f"{CREDIT_NOTE}::CreditNote##{BIS3}::2.1 busdox-docid-qns",
    )
    waiting(drop).pop().unlink()
    sent(drop, document(specification=SELF_BILLING, process=SELF_BILLING_PROCESS, type_code="389"))
    billed = header(waiting(drop).pop())
    assert billed["Sender"] == "iso6523-actorid-upis::0208:0308357159"
    assert billed["Receiver"] == "iso6523-actorid-upis::0208:0203201340"


@pytest.mark.parametrize(
    ("scheme", "written", "addressed"),
    [
        ("0208", "0308357159", "0208:0308357159"),
        ("0208", "BE 0308.357.159", "0208:0308357159"),
        ("0208", "308357159", "0208:0308357159"),
        ("9925", "BE0308357159", "9925:be0308357159"),
        ("9925", "0308.357.159", "9925:be0308357159"),
        ("0106", "NL12345678", "0106:nl12345678"),
    ],
)
def test_a_participant_has_one_way_of_being_written(drop: Path, scheme: str, written: str, addressed: str) -> None:
    old = '<cbc:EndpointID schemeID="0208">0308357159<'
    sent(drop, edited(document(), old, f'<cbc:EndpointID schemeID="{scheme}">{written}<'))
    assert header(waiting(drop)[0])["Receiver"] == f"iso6523-actorid-upis::{addressed}"


_ENDPOINT = '<cbc:EndpointID schemeID="0208">0308357159<'
REFUSED = {
    "NO_SENDER_ENDPOINT": without(document(), f"{SELLER}//cbc:EndpointID"),
    "NO_RECEIVER_ENDPOINT": without(document(), f"{BUYER}//cbc:EndpointID"),
    "BAD_RECEIVER_ENDPOINT": edited(document(), _ENDPOINT, '<cbc:EndpointID schemeID="0208">0308357158<'),
    "BAD_RECEIVER_ENDPOINT ": edited(document(), _ENDPOINT, '<cbc:EndpointID schemeID="EM">a@example.org<'),
    "BAD_RECEIVER_ENDPOINT  ": edited(document(), _ENDPOINT, '<cbc:EndpointID schemeID="0088">54 10001<'),
    "NO_CUSTOMIZATION": document(specification=None),
    "NO_PROFILE": document(process=None),
    "UNREADABLE": b"<Invoice/>",
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_no_access_point_could_address_is_refused_with_its_reason(drop: Path, code: str) -> None:
    outcome = sent(drop, REFUSED[code])
    assert isinstance(outcome, Refused)
    assert outcome.code == code.strip()
    assert outcome.message
    assert list(drop.iterdir()) == [], "nothing at all was written"


def test_the_senders_country_is_needed_but_for_a_belgian_number(drop: Path) -> None:
    stateless = without(document(), f"{SELLER}//cac:PostalAddress/cac:Country")
    assert isinstance(sent(drop, stateless), Accepted)
    assert header(waiting(drop)[0])["COUNTRY_C1"] == "BE"
    foreign = edited(stateless, '<cbc:EndpointID schemeID="0208">0203201340<', '<cbc:EndpointID schemeID="0106">12345<')
    outcome = sent(drop, foreign)
    assert isinstance(outcome, Refused)
    assert outcome.code == "NO_COUNTRY"


def test_the_same_document_again_is_the_same_file_as_it_was(drop: Path) -> None:
    first = sent(drop)
    (file,) = waiting(drop)
    before = (file.stat().st_ino, file.read_bytes())
    again, by_wish = sent(drop), sent(drop, idempotency_key="another one, after a person's decision")
    assert (first, [file]) == (again, waiting(drop))
    assert isinstance(by_wish, Accepted)
    assert (file.stat().st_ino, file.read_bytes()) == before


def test_what_the_access_point_has_taken_comes_again_only_after_a_persons_decision(drop: Path) -> None:
    first = sent(drop)
    waiting(drop)[0].unlink()
    assert sent(drop) == first
    assert waiting(drop) == []
    by_wish = sent(drop, idempotency_key="another one")
    assert isinstance(by_wish, Accepted)
    assert header(waiting(drop)[0])["InstanceIdentifier"] == by_wish.document_id != first.document_id  # type: ignore[union-attr]


def outlook(drop: Path, parcel: Submission) -> LookUp:
    """As after a crash: with nothing but what the ledger keeps."""
    return PeppolFolder(str(drop)).look_up(submission(content=b"", content_sha256=parcel.content_sha256))


@pytest.mark.parametrize("step", range(1, 9))
def test_after_a_crash_at_any_step_the_look_up_tells_whether_it_was_handed_over(
    drop: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at its n-th rename or fsync; what the look-up says is what is there, also once it was taken away."""
    parcel, left = submission(content=document()), [step]

    class Killed(BaseException):
        pass

    def counting(real):
        def call(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", counting(os.fsync))
        patched.setattr(Path, "rename", counting(Path.rename))
        with pytest.raises(Killed):
            PeppolFolder(str(drop), lambda: NOW).send(parcel)
    there = waiting(drop)
    told = outlook(drop, parcel)
    assert isinstance(told, Accepted) == bool(there)
    assert told == Absent() or there
    for file in there:
        file.unlink()
        assert isinstance(outlook(drop, parcel), Accepted)
    assert isinstance(PeppolFolder(str(drop)).send(parcel), Accepted)
    assert len(waiting(drop)) == (0 if there else 1), "never a second time, never lost"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, NotSent), (errno.EIO, NotSent), (errno.EACCES, Denied), (errno.EROFS, Denied)]
)
def test_what_fails_before_the_file_has_its_name_was_not_sent(
    drop: Path, number: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert isinstance(sent(drop), kind)
    assert waiting(drop) == []
    assert isinstance(sent(drop), Accepted)


def test_what_fails_as_the_file_gets_its_name_is_unknown_and_then_looked_up(
    drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, real = submission(content=document()), Path.rename

    def doubtful(self: Path, target: Path) -> Path:
        done = real(self, target)
        if target.parent == drop:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", doubtful)
        assert isinstance(PeppolFolder(str(drop)).send(parcel), Unknown)
    assert isinstance(outlook(drop, parcel), Accepted)


def test_a_folder_that_is_away_is_never_made_and_tells_nothing(tmp_path: Path) -> None:
    away = tmp_path / "not mounted"
    folder = PeppolFolder(str(away))
    assert isinstance(sent(away), NotSent)
    assert isinstance(outlook(away, submission(content=document())), Unknown)
    with pytest.raises(DestinationError, match=r"destination\.folder"):
        folder.check()
    assert not away.exists()
    away.mkdir()
    assert folder.check() == f"{away} can be written to"
    assert [path.name for path in away.iterdir() if path.name != OURS] == []


def test_the_setting_names_the_folder_and_peppol_is_a_destination_of_its_own(
    drop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for transport in destinations.TRANSPORTS:
        options = DestinationOptions(
            base_url="http://localhost", login_url="http://localhost", folder=str(drop), token="t"
        )
        opened = open_destination(transport, options)
        assert (opened.transport, opened.name) == (transport, destination_of(transport))
        opened.close()
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARFACTS_DESTINATION__TRANSPORT", "peppol_folder")
    settings.load.cache_clear()
    resource = invoice_resources.clearfacts()
    assert isinstance(resource, invoice_resources.ClearfactsResource)
    assert invoice_resources.destination_name() == "peppol"
    settings.load.cache_clear()
    with pytest.raises(ValueError, match=r"destination\.folder"):
        open_destination("peppol_folder", DestinationOptions(base_url=""))
