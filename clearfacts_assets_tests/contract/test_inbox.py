"""The inbox: mails, archives and PDFs as senders send them. What is no UBL invoice is refused, and says why."""

from __future__ import annotations

import io
import os
import time
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import facturx
import pytest
from pypdf import PdfWriter
from sqlalchemy import Engine, update

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound
from clearfacts_assets.invoices.retrieval import retrieve_window
from clearfacts_assets.invoices.sources.inbox import Inbox
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets.storage.invoices.taken_files import TakenFiles
from clearfacts_assets_tests.contract.test_folder_arrivals import Remembered
from clearfacts_assets_tests.fixtures.ubl_documents import document

UBL = document()
CII = b'<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"/>'
PICTURE = "the PDF has no XML inside"
Refusals = dict[str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def drop(path: Path, content: bytes) -> Path:
    """A file that nobody has written to for an hour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    settled = time.time() - 3600
    os.utime(path, (settled, settled))
    return path


def today() -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(hours=12), now + timedelta(hours=12))


def read(folder: Path, **options) -> dict[str, SourceDocument]:
    return {one.invoice_id: one for page in Inbox(folder, **options).pages(today()) for one in page}


def refusals(folder: Path, **options) -> Refusals:
    return {one.invoice_id: one.problem for one in read(folder, **options).values()}


def archive(*members: tuple[str, bytes], pack: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", pack) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


def pdf(*attached: tuple[str, bytes], password: str = "", owner: str = "") -> bytes:
    writer, file = PdfWriter(), io.BytesIO()
    writer.add_blank_page(595, 842)
    for name, content in attached:
        writer.add_attachment(name, content)
    if password or owner:
        writer.encrypt(password, owner or None, algorithm="AES-256")
    writer.write(file)
    return file.getvalue()


def mail(*attached: tuple[str, str, bytes]) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "billing@supplier.example", "invoices@buyer.example", "Factuur"
    made.set_content("In bijlage onze factuur.")
    made.add_alternative("<p>In bijlage onze factuur.</p>", subtype="html")
    for name, kind, content in attached:
        main, sub = kind.split("/")
        made.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return made


def test_documents_of_every_kind_are_taken_each_under_its_way_inside(folder: Path) -> None:
    drop(folder / "plain.xml", UBL)
    drop(
        folder / "2026" / "nov.ZIP", archive(("a/F-1.xml", UBL), ("F-2.XML", UBL), ("paper.pdf", pdf(("ubl.xml", UBL))))
    )
    drop(folder / "paper.pdf", pdf(("Invoice.xml", UBL), ("terms.txt", b"thirty days")))
    drop(
        folder / "one.eml",
        bytes(mail(("F-3.xml", "application/xml", UBL), ("all.zip", "application/zip", archive(("F-4.xml", UBL))))),
    )
    found = read(folder)
    assert set(found) == {
        "plain.xml",
        "2026/nov.ZIP/a/F-1.xml",
        "2026/nov.ZIP/F-2.XML",
        "2026/nov.ZIP/paper.pdf/ubl.xml",
        "paper.pdf/Invoice.xml",
        "one.eml/F-3.xml",
        "one.eml/all.zip/F-4.xml",
    }
    assert {(one.content, one.problem) for one in found.values()} == {(UBL, "")}


def test_a_mailbox_is_a_maildir_and_what_is_being_delivered_is_left(folder: Path) -> None:
    message = bytes(mail(("Facture n° 3 – été.xml", "text/xml", UBL)))
    for name in ("tmp/3.M1.host", "new/1.M1.host", "cur/2.M1.host:2,S"):
        drop(folder / "box" / name, message)
    assert {name: one.content for name, one in read(folder).items()} == {
        "box/new/1.M1.host/Facture n° 3 – été.xml": UBL,
        "box/cur/2.M1.host:2,S/Facture n° 3 – été.xml": UBL,
    }


def test_a_forwarded_mail_is_looked_into_and_text_logos_and_signatures_are_no_refusals(folder: Path) -> None:
    inner = mail(("F-1.xml", "application/xml", UBL), ("smime.p7s", "application/pkcs7-signature", b"signed"))
    outer = mail(("logo.png", "image/png", b"logo"))
    outer.add_attachment(inner)
    (logo,) = [part for part in outer.walk() if part.get_filename() == "logo.png"]
    logo["Content-ID"] = "<logo@supplier.example>"
    drop(folder / "fwd.eml", bytes(outer))
    assert refusals(folder) == {"fwd.eml/F-1.xml": ""}


REFUSED: dict[str, tuple[bytes, Refusals]] = {
    "cii.pdf": (pdf(("factur-x.xml", CII)), {"cii.pdf/factur-x.xml": "Factur-X and ZUGFeRD carry CII"}),
    "other.pdf": (pdf(("o.xml", b"<Order/>")), {"other.pdf/o.xml": "not a UBL 2.1 Invoice"}),
    "broken-xml.pdf": (pdf(("o.xml", b"<Invoice")), {"broken-xml.pdf/o.xml": "not XML"}),
    "scan.pdf": (pdf(), {"scan.pdf": PICTURE}),
    "locked.pdf": (pdf(("i.xml", UBL), password="secret"), {"locked.pdf": "the PDF is encrypted"}),
    "cut.pdf": (pdf(("i.xml", UBL))[:300], {"cut.pdf": "no .pdf file that can be read"}),
    "nested.zip": (
        archive(("deep.zip", archive(("i.xml", UBL))), ("F-1.xml", UBL)),
        {"nested.zip/deep.zip": "a ZIP inside a ZIP", "nested.zip/F-1.xml": ""},
    ),
    "other.zip": (
        archive(("read me.docx", b"..."), ("../../etc/F-1.xml", UBL), ("__MACOSX/._F-1.xml", b""), (".DS_Store", b"")),
        {"other.zip/read me.docx": ".docx is not taken", "other.zip/etc/F-1.xml": ""},
    ),
    "empty.zip": (archive(), {"empty.zip": "holds no invoice"}),
    "cut.zip": (archive(("F-1.xml", UBL))[:-30], {"cut.zip": "no .zip file that can be read"}),
    "words.eml": (bytes(mail()), {"words.eml": "holds no invoice"}),
    "secret.eml": (
        b"Content-Type: multipart/encrypted; boundary=x\n\n--x\n\nVersion: 1\n--x--\n",
        {"secret.eml": "the mail is encrypted"},
    ),
    "picture.eml": (bytes(mail(("F-1.pdf", "application/pdf", pdf()))), {"picture.eml/F-1.pdf": PICTURE}),
    "letter.docx": (b"PK", {"letter.docx": ".docx files are not taken"}),
    "letter": (b"?", {"letter": "without a suffix"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_so_under_its_own_id_and_hinders_nothing_else(folder: Path, name: str) -> None:
    content, expected = REFUSED[name]
    drop(folder / name, content)
    drop(folder / "good.xml", UBL)
    found = refusals(folder)
    assert found.pop("good.xml") == ""
    assert set(found) == set(expected)
    for one, words in expected.items():
        assert words in found[one] if words else found[one] == ""


def test_a_real_factur_x_is_refused_for_its_syntax(folder: Path) -> None:
    told = dict.fromkeys(("author", "title", "subject", "keywords"), "Facture 17")
    made = facturx.generate_from_binary(
        pdf(), CII, flavor="factur-x", level="minimum", check_xsd=False, check_schematron=False, pdf_metadata=told
    )
    drop(folder / "invoice.pdf", made)
    (found,) = read(folder).values()
    assert (found.invoice_id, found.content) == ("invoice.pdf/factur-x.xml", b"")
    assert "Factur-X and ZUGFeRD carry CII" in found.problem


def test_an_encrypted_member_is_refused_and_the_others_are_taken(folder: Path) -> None:
    packed = bytearray(archive(("F-1.xml", UBL), ("F-2.xml", UBL)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + offset] |= 1  # the first member's flag: encrypted
    drop(folder / "locked.zip", bytes(packed))
    found = refusals(folder)
    assert "encrypted" in found.pop("locked.zip/F-1.xml")
    assert found == {"locked.zip/F-2.xml": ""}


def test_a_damaged_member_is_refused_and_the_others_are_taken(folder: Path) -> None:
    packed = bytearray(archive(("F-1.xml", UBL), ("F-2.xml", UBL), pack=zipfile.ZIP_STORED))
    packed[packed.index(UBL) + 9] ^= 0xFF
    drop(folder / "damaged.zip", bytes(packed))
    found = refusals(folder)
    assert "CRC" in found.pop("damaged.zip/F-1.xml")
    assert found == {"damaged.zip/F-2.xml": ""}


def test_a_pdf_that_only_may_not_be_changed_is_taken(folder: Path) -> None:
    drop(folder / "a.pdf", pdf(("i.xml", UBL), owner="nobody may print this"))
    assert refusals(folder) == {"a.pdf/i.xml": ""}


def test_a_pdf_beside_its_xml_is_its_picture_and_another_one_is_refused(folder: Path) -> None:
    attached = [
        ("F-1.xml", UBL),
        ("F-1.pdf", pdf()),
        ("F-2.pdf", pdf()),
        ("F-3.xml", UBL),
        ("F-3.pdf", pdf(("x.xml", CII))),
    ]
    drop(folder / "both.zip", archive(*attached))
    found = refusals(folder)
    assert PICTURE in found.pop("both.zip/F-2.pdf")
    assert found == {"both.zip/F-1.xml": "", "both.zip/F-3.xml": ""}


def test_a_bomb_unpacks_to_no_more_than_is_allowed(folder: Path) -> None:
    zeros = bytes(2**20)
    drop(folder / "one.zip", archive(("bomb.xml", zeros), ("F-1.xml", UBL)))
    drop(folder / "all.zip", archive(("F-1.xml", UBL), *((f"{number}.xml", zeros[: 2**15]) for number in range(9))))
    found = refusals(folder, document_bytes=2**16, page_bytes=2**18)
    assert "source.document_bytes (65,536 bytes)" in found["one.zip/bomb.xml"]
    assert found["one.zip/F-1.xml"] == ""
    assert "source.page_bytes (262,144 bytes)" in found["all.zip"]
    assert found["all.zip/F-1.xml"] == found["all.zip/5.xml"] == ""
    assert "all.zip/8.xml" not in found


def test_a_bomb_in_a_pdf_is_refused(folder: Path) -> None:
    packed, zeros = zlib.compressobj(), bytes(2**20)
    bomb = b"".join(packed.compress(zeros) for _ in range(80)) + packed.flush()
    content = pdf(("i.xml", b"@" * len(bomb)))
    content = content.replace(b"@" * len(bomb), bomb).replace(
        b"/EmbeddedFile\n", b"/EmbeddedFile\n/Filter /FlateDecode\n"
    )
    assert len(content) < 2**18
    drop(folder / "bomb.pdf", content)
    (problem,) = refusals(folder).values()
    assert "no .pdf file that can be read: LimitReachedError" in problem


def test_more_parts_than_anybody_sends_are_refused(folder: Path) -> None:
    drop(folder / "many.zip", archive(*((f"{number}.txt", b"") for number in range(1001))))
    found = refusals(folder)
    assert "more than 1,000 files" in found["many.zip"]
    assert len(found) == 1001


@pytest.mark.parametrize("kind", [".zip", ".pdf", ".eml"])
def test_no_bytes_stop_the_day(folder: Path, kind: str) -> None:
    whole = {
        ".zip": archive(("a.xml", UBL)),
        ".pdf": pdf(("a.xml", UBL)),
        ".eml": bytes(mail(("a.xml", "text/xml", UBL))),
    }
    for number in range(12):
        hurt = bytearray(whole[kind])
        for place in range(number, len(hurt), 97 + number):
            hurt[place] = (hurt[place] * 31 + number) % 256
        drop(folder / f"{number}{kind}", bytes(hurt))
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (level, level) for level in range(3000))
    drop(folder / "deep.eml", deep)
    drop(folder / "good.xml", UBL)
    found = read(folder)
    assert found["good.xml"].content == UBL
    assert {name.split("/")[0] for name in found} == {path.name for path in folder.iterdir()}
    assert all(bool(one.content) != bool(one.problem) for one in found.values())


def test_files_on_their_way_and_hidden_ones_are_left(folder: Path) -> None:
    for name in ("a.zip.part", "b.tmp", "c.pdf.crdownload", ".d.eml", ".done/e.zip"):
        drop(folder / name, b"half")
    assert read(folder) == {}


def test_names_that_come_twice_or_are_too_long_have_ids_of_their_own_always_the_same(folder: Path) -> None:
    drop(folder / "twice.eml", bytes(mail(*[("F.xml", "text/xml", UBL)] * 2, ("n" * 300 + ".xml", "text/xml", UBL))))
    found = read(folder)
    assert list(found)[:2] == ["twice.eml/F.xml", "twice.eml/F.xml#2"]
    assert len(found) == 3
    assert all(len(name) <= 255 for name in found)
    inbox = Inbox(folder)
    for name, one in found.items():
        assert inbox.one(name) == one


@pytest.mark.parametrize("asked", ["a.zip", "a.zip/no.xml", "../secret.xml", "/etc/passwd", ".done/a.xml", "a\0", ""])
def test_one_document_is_found_by_its_id_alone(folder: Path, asked: str) -> None:
    drop(folder.parent / "secret.xml", UBL)
    drop(folder / ".done" / "a.xml", UBL)
    drop(folder / "a.zip", archive(("F-1.xml", UBL)))
    assert Inbox(folder).one("a.zip/F-1.xml").content == UBL
    with pytest.raises(InvoiceNotFound):
        Inbox(folder).one(asked)


@pytest.mark.parametrize(("taken", "comes_again"), [(2, False), (1, True), (0, True)])
def test_an_old_archive_comes_again_until_all_in_it_was_taken(folder: Path, taken: int, comes_again: bool) -> None:
    drop(folder / "a.zip", archive(("F-1.xml", UBL), ("note.txt", b"")))
    first = list(read(folder).values())
    memory = Remembered(datetime.now(UTC) - timedelta(days=9), first[:taken])
    later = Window(today().end, today().end + timedelta(days=1))
    pages = list(Inbox(folder, memory=memory).pages(later))
    assert [one for page in pages for one in page] == (first if comes_again else [])


class Noted(Inbox):
    """Notes the names of the files that it opens."""

    def __init__(self, folder: Path, memory: TakenFiles) -> None:
        super().__init__(folder, memory=memory)
        self.opened: list[str] = []

    def _content(self, path: Path, most: int, setting: str) -> tuple[bytes, str]:
        self.opened.append(path.name)
        return super()._content(path, most, setting)


def test_what_is_finished_is_opened_once_more_and_then_only_if_something_else_is_in_its_place(
    folder: Path, engine: Engine
) -> None:
    now, run = datetime.now(UTC), uuid4()
    begun = now - timedelta(days=9)
    JobRepository(engine).begin(run, job_type="manual", partition_key=None, correlation_id=None, details={}, now=begun)
    rows = InvoiceRepository(engine)
    first, second = archive(("F-1.xml", UBL), ("n.txt", b"")), archive(("F-2.xml", UBL), ("n.txt", b""))
    drop(folder / "waits.zip", first)
    drop(folder / "done.zip", first)
    retrieve_window(Inbox(folder), today(), lambda page: rows.store(run, page, now=now), lambda _: None)

    def night() -> tuple[list[str], set[str]]:
        """What a later night opens, and what it takes."""
        source = Noted(folder, TakenFiles(engine))
        pages = list(source.pages(Window(today().end, today().end + timedelta(days=1))))
        return sorted(source.opened), {one.invoice_id for page in pages for one in page}

    with engine.begin() as connection:
        connection.execute(update(InvoiceRow).where(InvoiceRow.invoice_id == "done.zip/F-1.xml").values(status="sent"))
    waiting = {"waits.zip/F-1.xml", "waits.zip/n.txt"}  # its document waits for a run
    assert night() == (["done.zip", "waits.zip", "waits.zip"], waiting)
    assert night() == night() == (["waits.zip", "waits.zip"], waiting)
    assert len(first) == len(second)
    drop(folder / "done.zip", second)
    os.utime(folder / "done.zip", ns=(0, (folder / "waits.zip").stat().st_mtime_ns))
    assert night()[1] == waiting | {"done.zip/F-2.xml", "done.zip/n.txt"}


def test_a_refusal_is_a_failed_row_of_the_day_with_its_reason(
    folder: Path, migrated_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "clearfacts.db").write_bytes(migrated_file.read_bytes())
    engine = open_engine(f"sqlite:///{tmp_path / 'clearfacts.db'}")
    now, run = datetime.now(UTC), uuid4()
    JobRepository(engine).begin(run, job_type="manual", partition_key=None, correlation_id=None, details={}, now=now)
    rows = InvoiceRepository(engine)
    drop(folder / "scan.pdf", pdf())
    drop(folder / "good.zip", archive(("F-1.xml", UBL)))
    retrieval = retrieve_window(Inbox(folder), today(), lambda page: rows.store(run, page, now=now), lambda _: None)
    assert (retrieval.rows, retrieval.unusable) == (2, 1)
    shown = {row.invoice_id: (row.status, row.error_message) for row in rows.list(job_id=run).items}
    assert shown["scan.pdf"][0] == "failed"
    assert PICTURE in (shown["scan.pdf"][1] or "")
    assert shown["good.zip/F-1.xml"] == ("pending", None)
