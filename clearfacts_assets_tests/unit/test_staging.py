"""Rows and original records on their way into the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from isal import isal_zlib
from sqlalchemy.exc import OperationalError

from clearfacts_assets.chargeback.focus import Dataset
from clearfacts_assets.chargeback.ingest.rows import STAGED, Taken
from clearfacts_assets.chargeback.ports import Batch, ByColumn, Opened
from clearfacts_assets.storage.chargeback.staging import ROWS_OF_A_CHUNK, Chunk, Staging, unpacked
from clearfacts_assets.storage.database import apart, disk_is_full, in_words, open_engine

TEXTS = ["1,a\n", "", 'é,"x"\r\n', "\ud800"]


def test_original_records_come_back_as_they_were_added() -> None:
    chunk = Chunk(1)
    chunk.add(TEXTS[:2])
    chunk.add([])
    chunk.add(TEXTS[2:])
    assert (len(chunk), unpacked(chunk.packed())) == (4, TEXTS)


def test_chunks_of_earlier_versions_are_read_as_well() -> None:
    text = f"{json.dumps([len(one) for one in TEXTS])}\n{''.join(TEXTS)}"
    assert unpacked(isal_zlib.compress(text.encode("utf-8", "surrogatepass"))) == TEXTS


def row(number: int, **said: Any) -> tuple[Any, ...]:
    usual: dict[str, Any] = {"row": number, "line": number + 1, "fingerprint": bytes([number % 256]) * 16}
    return tuple({**dict.fromkeys(STAGED, ""), **usual, **said}[name] for name in STAGED)


@pytest.mark.parametrize(
    "rows",
    [
        [row(1, account="O'Neill; --", billed=None, amount="1.10")],
        [row(1, account="a", billed="1", amount="1"), row(2, account="a", billed="2", amount="2")],
        [row(1, account="?1", billed="1", amount="1"), row(2, account="?1", billed="1", amount="2")],
        [row(1, tag_set=b"\x00'" * 8, unit="h'h"), row(2, tag_set=b"\x00'" * 8, unit=":h")],
        [row(1, billed=None, effective=None), row(2, billed="1", effective="1"), row(3, billed=None, effective="2")],
    ],
    ids=["one row", "two costs alike", "almost alike", "the same all over", "none at all"],
)
def test_what_rows_have_in_common_is_staged_for_each_of_them(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    named = ", ".join(f'"{name}"' for name in STAGED)
    with apart(open_engine(f"sqlite:///{tmp_path / 'a.db'}")) as connection:
        staging = Staging(connection)
        file = staging.begin(_opened(tmp_path))
        staging.add(file, Batch(1, texts=["x\n"] * len(rows)), Taken(ByColumn.of(rows)))
        staging.end(file)
        assert [tuple(one) for one in connection.exec_driver_sql(f"SELECT {named} FROM staged ORDER BY seq")] == rows
        assert connection.exec_driver_sql("SELECT DISTINCT file FROM staged").scalars().all() == [1]


def test_original_records_of_many_batches_make_chunks_that_follow_one_another(tmp_path: Path) -> None:
    with apart(open_engine(f"sqlite:///{tmp_path / 'a.db'}")) as connection:
        staging = Staging(connection)
        file = staging.begin(_opened(tmp_path))
        for start in range(0, ROWS_OF_A_CHUNK + 300, 300):
            staging.add(file, Batch(start + 1, texts=[f"{start + place}\n" for place in range(300)]), Taken())
        staging.end(file)
        found = connection.exec_driver_sql("SELECT first_row, rows, data FROM staged_chunks ORDER BY first_row").all()
    assert [(first, count) for first, count, _ in found] == [(1, 2100), (2101, 300)]
    assert [text for _, _, data in found for text in unpacked(data)] == [f"{number}\n" for number in range(2400)]


def test_a_full_disk_of_temporary_files_is_told_in_words(tmp_path: Path) -> None:
    with apart(open_engine(f"sqlite:///{tmp_path / 'a.db'}")) as connection:
        staging = Staging(connection)
        file = staging.begin(_opened(tmp_path))
        connection.exec_driver_sql("PRAGMA temp.max_page_count = 20")
        rows = ByColumn.of([row(number, account=f"{number:09000d}") for number in range(100)])
        with pytest.raises(OperationalError) as full:
            staging.add(file, Batch(1, texts=["x\n"] * 100), Taken(rows))
    assert disk_is_full(full.value)
    assert in_words(full.value).startswith("the disk of the database is full: ")


def _opened(folder: Path) -> Opened:
    return Opened(folder / "x.csv", "x.csv", "", 0, "csv", (), (), Dataset.COST_AND_USAGE, "1.2")
