"""The folder of dropped files: what is taken, what is a problem, and what nobody may reach through it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound, SourceDenied, SourceUnavailable
from clearfacts_assets.invoices.sources.folder import SETTLE_SECONDS, Folder

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 11, 19, 23, tzinfo=UTC), datetime(2026, 11, 20, 23, tzinfo=UTC))
MICROSECOND = timedelta(microseconds=1)


def drop(path: Path, content: bytes = b"<Invoice/>", changed: datetime = NOON) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    touch(path, changed)
    return path


def touch(path: Path, changed: datetime) -> None:
    nanoseconds = round((changed - datetime.fromtimestamp(0, tz=UTC)) / MICROSECOND) * 1000
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def arrival(path: Path) -> datetime:
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=path.stat().st_ctime_ns // 1000)


def after(path: Path) -> datetime:
    """A moment of the file system's own clock after the path's last change: its ticks are some milliseconds."""
    with TemporaryDirectory(dir=path.parent.parent) as folder:
        while arrival(Path(folder)) <= arrival(path):
            os.utime(folder)
        return arrival(Path(folder))


def read_all(folder: Folder) -> list[SourceDocument]:
    return [document for page in folder.pages(DAY) for document in page]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return inbox


@pytest.fixture
def shared_inbox() -> Iterator[Path]:
    """A folder that every user may reach: pytest's own folders are their owner's alone."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; the tests of permissions must not be root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_of_the_window_come_in_pages_the_one_first_that_came_first(inbox: Path) -> None:
    drop(inbox / "sub" / "a.XML", b"first", NOON)
    after(inbox / "sub" / "a.XML")
    drop(inbox / "b.xml", changed=NOON - timedelta(hours=1))
    after(inbox / "b.xml")
    drop(inbox / "a.xml", changed=NOON)
    for other in ("c.pdf", "xml", "d.xml.part", ".hidden.xml", ".trash/e.xml"):
        drop(inbox / other)
    pages = list(Folder(inbox, page_size=2).pages(DAY))
    assert [[document.invoice_id for document in page] for page in pages] == [["sub/a.XML", "b.xml"], ["a.xml"]]
    assert pages[0][0] == SourceDocument("sub/a.XML", arrival(inbox / "sub" / "a.XML"), b"first")


def test_the_window_is_half_open_to_the_microsecond(inbox: Path) -> None:
    drop(inbox / "before.xml", changed=DAY.start - MICROSECOND)
    drop(inbox / "first.xml", changed=DAY.start)
    drop(inbox / "last.xml", changed=DAY.end - MICROSECOND)
    drop(inbox / "after.xml", changed=DAY.end)
    assert [document.invoice_id for document in read_all(Folder(inbox))] == ["first.xml", "last.xml"]


def test_an_empty_folder_is_an_empty_day(inbox: Path) -> None:
    assert list(Folder(inbox).pages(DAY)) == []


def test_an_oversize_file_is_a_problem_that_names_size_and_limit(inbox: Path) -> None:
    drop(inbox / "a.xml", b"x" * 1024)
    drop(inbox / "b.xml", b"x" * 1025)
    fits, large = read_all(Folder(inbox, document_bytes=1024))
    assert (fits.problem, large.content) == ("", b"")
    assert "1,025 bytes" in large.problem
    assert "1,024 bytes" in large.problem


def test_a_link_inside_the_folder_counts_and_one_out_of_it_is_a_problem(inbox: Path) -> None:
    real = drop(inbox / ".store" / "real.xml", b"inside")
    (inbox / "a.xml").symlink_to(real)
    secret = drop(inbox.parent / "secret.xml", b"secret")
    for name, target in {"b.xml": secret, "c.xml": Path("../secret.xml"), "d.xml": Path("/etc/passwd")}.items():
        (inbox / name).symlink_to(target)
        touch(inbox / name, NOON)
    (inbox / "elsewhere").symlink_to(inbox.parent)
    documents = {document.invoice_id: document for document in read_all(Folder(inbox))}
    assert documents["a.xml"].content == b"inside"
    assert set(documents) == {"a.xml", "b.xml", "c.xml", "d.xml"}
    for name in ("b.xml", "c.xml", "d.xml"):
        assert documents[name].content == b""
        assert "link" in documents[name].problem


def test_the_folder_itself_may_be_a_link(inbox: Path) -> None:
    drop(inbox / "a.xml")
    link = inbox.parent / "link"
    link.symlink_to(inbox)
    assert [document.problem for document in read_all(Folder(link))] == [""]


def test_what_is_no_regular_file_is_a_problem_and_holds_nobody(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe.xml")
    touch(inbox / "pipe.xml", NOON)
    (inbox / "folder.xml").mkdir()
    (document,) = read_all(Folder(inbox))
    assert (document.invoice_id, document.problem) == ("pipe.xml", "this is not a regular file")


def test_an_unreadable_file_is_a_problem_and_the_others_go_on(shared_inbox: Path) -> None:
    drop(shared_inbox / "a.xml").chmod(0o000)
    drop(shared_inbox / "b.xml").chmod(0o644)
    with as_nobody():
        denied, fine = read_all(Folder(shared_inbox))
    assert "cannot be read" in denied.problem
    assert fine.content == b"<Invoice/>"


def test_a_subfolder_that_cannot_be_listed_is_an_error_after_what_can(shared_inbox: Path) -> None:
    drop(shared_inbox / "a.xml").chmod(0o644)
    drop(shared_inbox / "closed" / "b.xml")
    (shared_inbox / "closed").chmod(0o000)
    with as_nobody():
        pages = Folder(shared_inbox).pages(DAY)
        assert [document.invoice_id for document in next(pages)] == ["a.xml"]
        with pytest.raises(SourceDenied, match="closed"):
            next(pages)
    (shared_inbox / "closed").chmod(0o755)


def test_a_file_that_grows_while_it_is_read_is_a_problem(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(inbox / "a.xml", b"<Invoice>")
    real_open, folder = os.open, Folder(inbox)

    def written_to(*arguments: object, **options: object) -> int:
        descriptor = real_open(*arguments, **options)  # type: ignore[arg-type]
        monkeypatch.undo()
        monkeypatch.setattr(os, "fstat", lambda number: (real_fstat(number), _append(path))[0])
        return descriptor

    real_fstat = os.fstat
    monkeypatch.setattr(os, "open", written_to)
    (document,) = read_all(folder)
    assert document.content == b""
    assert "changed while it was read" in document.problem


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(("age", "settled"), [(0.0, False), (SETTLE_SECONDS - 0.1, False), (SETTLE_SECONDS, True)])
def test_a_file_that_has_just_changed_is_still_being_written(inbox: Path, age: float, settled: bool) -> None:
    drop(inbox / "a.xml")
    folder = Folder(inbox, now=lambda: NOON + timedelta(seconds=age))
    (document,) = read_all(folder)
    assert (document.problem == "") is settled
    assert (document.content != b"") is settled


def test_a_file_that_vanishes_between_listing_and_reading_is_a_problem(inbox: Path) -> None:
    drop(inbox / "a.xml")
    gone = drop(inbox / "b.xml")
    pages = Folder(inbox, page_size=1).pages(DAY)
    next(pages)
    gone.unlink()
    (document,) = next(pages)
    assert "cannot be read: No such file" in document.problem


@pytest.mark.parametrize(
    "name", [b"two\nlines.xml", b"latin-\xe9.xml", b"x" * 250 + b".xml", "é".encode() * 100 + b".xml"]
)
def test_a_name_that_cannot_be_an_id_is_a_problem_under_a_stable_one(inbox: Path, name: bytes) -> None:
    folder = inbox / "subfolder"
    folder.mkdir()
    path = os.path.join(os.fsencode(folder), name)
    Path(os.fsdecode(path)).write_bytes(b"<Invoice/>")
    touch(Path(os.fsdecode(path)), NOON)
    (document,), (again,) = read_all(Folder(inbox)), read_all(Folder(inbox))
    assert document.invoice_id == again.invoice_id
    assert document.invoice_id.isprintable()
    assert len(document.invoice_id) <= 255
    assert bool(document.problem) is not document.invoice_id.endswith("é.xml")


def test_one_file_by_its_path(inbox: Path) -> None:
    path = drop(inbox / "sub" / "a.xml", b"content", NOON)
    assert Folder(inbox).one("sub/a.xml") == SourceDocument("sub/a.xml", arrival(path), b"content")
    ahead = arrival(path) + timedelta(days=1)
    touch(path, ahead)
    assert Folder(inbox).one("sub/a.xml") == SourceDocument("sub/a.xml", ahead, b"content")


@pytest.mark.parametrize(
    "invoice_id",
    [
        "",
        ".",
        "..",
        "../secret.xml",
        "sub/../../secret.xml",
        "sub/../a.xml",
        "./a.xml",
        "sub//a.xml",
        "a.xml/",
        "/etc/passwd",
        "/etc/passwd.xml",
        "a.xml\0",
        ".hidden.xml",
        "..%2fsecret.xml",
        "a.pdf",
        "missing.xml",
        "x" * 5000 + ".xml",
        "folder.xml/a.xml/b.xml",
    ],
)
def test_path_tricks_find_nothing(inbox: Path, invoice_id: str) -> None:
    drop(inbox.parent / "secret.xml", b"secret")
    drop(inbox / "a.xml")
    drop(inbox / ".hidden.xml")
    drop(inbox / "a.pdf")
    (inbox / "sub").mkdir()
    with pytest.raises(InvoiceNotFound):
        Folder(inbox).one(invoice_id)


def test_one_through_a_linked_folder_gives_no_content(inbox: Path) -> None:
    drop(inbox.parent / "secret.xml", b"secret")
    (inbox / "elsewhere").symlink_to(inbox.parent)
    document = Folder(inbox).one("elsewhere/secret.xml")
    assert document.content == b""
    assert "link" in document.problem


def test_check_says_whether_the_folder_can_be_read(inbox: Path) -> None:
    assert Folder(inbox).check() == f"{inbox} can be read"
    for missing in (inbox / "missing", drop(inbox / "file.xml")):
        with pytest.raises(SourceUnavailable, match=r"source\.folder"):
            Folder(missing).check()
        with pytest.raises(SourceUnavailable):
            next(Folder(missing).pages(DAY))
