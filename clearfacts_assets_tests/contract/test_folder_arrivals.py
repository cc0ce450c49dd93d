"""Files that are older than their arrival, on a real file system: however they came, a run of that day takes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.sources.folder import Folder, Version
from clearfacts_assets_tests.contract.test_folder import after, arrival, touch

OLD = datetime(2026, 9, 3, 8, tzinfo=UTC)  # the time of every file's content
DAY = timedelta(days=1)


class Remembered:
    """What an installation that began then has taken."""

    def __init__(self, since: datetime | None = None, taken: Sequence[SourceDocument] = ()) -> None:
        self._since, self._taken = since, {(one.invoice_id, one.updated_at) for one in taken}
        self.marks: set[str] = set()

    def since(self) -> datetime | None:
        return self._since

    def taken(self, versions: Sequence[Version]) -> set[Version]:
        return self._taken.intersection(versions)

    settled = taken

    def finished(self, marks: Collection[str]) -> set[str]:
        return self.marks.intersection(marks)

    def finish(self, marks: Collection[str]) -> None:
        self.marks.update(marks)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return inbox


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder on the same file system with an old file, which came there some time ago."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    old(elsewhere / "a.xml")
    return elsewhere


def old(path: Path, content: bytes = b"<Invoice/>") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    touch(path, OLD)
    return path


def read(inbox: Path, start: datetime, memory: Remembered | None = None) -> list[SourceDocument]:
    window = Window(start, start + DAY)
    return [document for page in Folder(inbox, memory=memory).pages(window) for document in page]


def moved(file: Path, inbox: Path) -> None:
    file.rename(inbox / file.name)


def moved_in_under_a_hidden_name(file: Path, inbox: Path) -> None:
    hidden = inbox / f".{file.name}.part"
    shutil.copy2(file, hidden)
    after(hidden)
    hidden.rename(inbox / file.name)


def put_in_the_place_of_another(file: Path, inbox: Path) -> None:
    old(inbox / file.name, b"<Old/>")
    after(inbox / file.name)
    os.replace(file, inbox / file.name)


def copied_with_its_time(file: Path, inbox: Path) -> None:
    subprocess.run(["cp", "-p", file, inbox], check=True)


def unpacked(file: Path, inbox: Path) -> None:
    archive = file.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(file, file.name)
    subprocess.run(["tar", "-xf", archive, "-C", inbox], check=True)


def linked(file: Path, inbox: Path) -> None:
    os.link(file, inbox / file.name)


def linked_by_name(file: Path, inbox: Path) -> None:
    store = inbox / ".store"
    store.mkdir(exist_ok=True)
    shutil.copy2(file, store / file.name)
    after(store / file.name)
    (inbox / file.name).symlink_to(store / file.name)


def moved_with_its_folder(file: Path, inbox: Path) -> None:
    file.parent.rename(inbox / "batch")


def moved_with_the_folder_above(file: Path, inbox: Path) -> None:
    above = file.parent.parent / "above"
    above.mkdir()
    file.parent.rename(above / "batch")
    after(above / "batch")
    above.rename(inbox / "above")


def moved_with_its_folder_before_another_file_came(file: Path, inbox: Path) -> None:
    file.parent.rename(inbox / "batch")
    after(inbox / "batch")
    old(inbox / "batch" / "note.txt")


def moved_within(file: Path, inbox: Path) -> None:
    first = inbox / "first"
    first.mkdir()
    file.rename(first / file.name)
    after(first / file.name)
    (inbox / "second").mkdir()
    (first / file.name).rename(inbox / "second" / file.name)


WAYS = [
    moved,
    moved_in_under_a_hidden_name,
    put_in_the_place_of_another,
    copied_with_its_time,
    unpacked,
    linked,
    linked_by_name,
    moved_with_its_folder,
    moved_with_the_folder_above,
    moved_with_its_folder_before_another_file_came,
    moved_within,
]


@pytest.mark.parametrize("came", WAYS, ids=lambda came: str(came.__name__))
def test_what_is_older_than_its_arrival_belongs_to_the_day_of_its_arrival(
    inbox: Path, elsewhere: Path, came: Callable[[Path, Path], None]
) -> None:
    today = after(elsewhere / "a.xml")
    came(elsewhere / "a.xml", inbox)
    (document,) = read(inbox, today)
    assert (document.invoice_id.rpartition("/")[2], document.content, document.problem) == ("a.xml", b"<Invoice/>", "")
    assert (inbox / document.invoice_id).stat().st_mtime == OLD.timestamp()


def test_a_file_belongs_to_the_day_of_its_time_too(inbox: Path) -> None:
    old(inbox / "a.xml")
    assert [one.invoice_id for one in read(inbox, OLD)] == ["a.xml"]


@pytest.mark.parametrize("days", [1, 40])
def test_what_no_run_of_its_day_has_taken_a_later_one_takes(inbox: Path, days: int) -> None:
    path = old(inbox / "a.xml")
    later = arrival(path) + days * DAY
    assert [one.invoice_id for one in read(inbox, later, Remembered(since=arrival(path) - DAY))] == ["a.xml"]


def test_what_was_taken_comes_no_second_time(inbox: Path) -> None:
    path = old(inbox / "a.xml")
    began = arrival(path) - DAY
    taken = read(inbox, arrival(path))
    assert len(taken) == 1
    assert read(inbox, arrival(path) + DAY, Remembered(began, taken)) == []
    by_its_time = [SourceDocument("a.xml", OLD, b"")]  # as earlier releases noted it
    assert read(inbox, arrival(path) + DAY, Remembered(began, by_its_time)) == []


def test_another_file_in_the_place_of_one_that_was_taken_comes(inbox: Path, elsewhere: Path) -> None:
    path = old(inbox / "a.xml")
    taken = read(inbox, arrival(path))
    after(path)
    touch(elsewhere / "a.xml", OLD + DAY)
    moved(elsewhere / "a.xml", inbox)
    assert len(read(inbox, arrival(path) + DAY, Remembered(arrival(path) - DAY, taken))) == 1


def test_a_new_file_does_not_bring_those_beside_it_again(inbox: Path) -> None:
    first = old(inbox / "supplier" / "a.xml")
    taken = read(inbox, arrival(first))
    today = after(first)
    second = old(inbox / "supplier" / "b.xml")
    assert [one.invoice_id for one in read(inbox, today, Remembered(arrival(first), taken))] == ["supplier/b.xml"]
    assert arrival(second) >= today


def test_what_was_there_before_the_installation_began_is_not_late(inbox: Path) -> None:
    path = old(inbox / "a.xml")
    began = after(path)
    assert read(inbox, began + DAY, Remembered(began)) == []
    assert read(inbox, began + DAY, Remembered(None)) == []


def test_what_comes_after_the_window_is_left_to_its_own_day(inbox: Path) -> None:
    path = old(inbox / "a.xml")
    assert read(inbox, arrival(path) - 2 * DAY, Remembered(arrival(path) - 9 * DAY)) == []


def test_a_time_in_the_future_does_not_hide_a_file(inbox: Path) -> None:
    path = old(inbox / "a.xml")
    touch(path, arrival(path) + 3650 * DAY)
    assert len(read(inbox, arrival(path))) == 1
    assert len(read(inbox, arrival(path) + DAY, Remembered(arrival(path)))) == 1
