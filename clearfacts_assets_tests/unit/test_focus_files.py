"""Files as they should not be: bombs, cells without end, quotes that never close, files that grow."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from clearfacts_assets.chargeback.cells import BadCell, moment_of, period_start_of, text_of
from clearfacts_assets.chargeback.cost_sources.detection import open_export
from clearfacts_assets.chargeback.focus import NAMES, Dataset, dataset_of, version_of
from clearfacts_assets.chargeback.ingest.canonical import Canonical
from clearfacts_assets.chargeback.model import FileRefused, Refusal
from clearfacts_assets.chargeback.ports import SMALL_BYTES, ByColumn, Limits
from clearfacts_assets_tests.fixtures.chargeback import SAMPLES, row, write

HEADER = "BillingPeriodStart,BilledCost,Tags\n"


def read(path: Path, **limits: int) -> tuple[list[list[str]], list[Refusal]]:
    rows: list[list[str]] = []
    refusals: list[Refusal] = []
    for batch in open_export(path, Limits(**limits)).batches():
        rows += batch.rows
        refusals += batch.refusals
    return rows, refusals


def file(folder: Path, text: str | bytes, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def code(path: Path, **limits: int) -> str:
    with pytest.raises(FileRefused) as refused:
        read(path, **limits)
    return refused.value.refusal.code


def test_a_gzip_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    bomb = file(tmp_path, gzip.compress(HEADER.encode() + b"0" * (SMALL_BYTES + 2**20), 9), "bomb.csv.gz")
    assert code(bomb) == "too_large"


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    assert code(file(tmp_path, HEADER + "2025-03-01,1,\n" * 100), unpacked_bytes=1000) == "too_large"


def test_a_cut_off_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + "2025-03-01,1,\n" * 10_000).encode())
    assert code(file(tmp_path, packed[:-20], "cut.csv.gz")) == "broken_gzip"


def test_a_huge_cell_is_refused_and_the_rows_around_it_are_taken(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + f"2025-03-01,1,\n2025-03-01,2,{'x' * 3000}\n2025-03-01,3,\n")
    rows, refusals = read(path, cell_characters=2000)
    assert [one[1] for one in rows] == ["1", "3"]
    assert [(one.line, one.code) for one in refusals] == [(3, "record_too_long")]


def test_a_line_without_end_is_refused_and_skipped(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + f"2025-03-01,1,\n{'x' * 300_000}\n2025-03-01,3,\n")
    rows, refusals = read(path, cell_characters=2000)
    assert ([one[1] for one in rows], [one.line for one in refusals]) == (["1", "3"], [3])


def test_a_quote_that_never_ends_swallows_no_row(tmp_path: Path) -> None:
    lines = "".join(f"2025-03-01,{n},\n" for n in range(2500))
    rows, refusals = read(file(tmp_path, HEADER + '2025-03-01,x,"never\n' + lines))
    assert (len(rows), [(one.line, one.code) for one in refusals]) == (2500, [(2, "record_too_long")])


def test_quoted_newlines_belong_to_their_cell(tmp_path: Path) -> None:
    rows, refusals = read(file(tmp_path, HEADER + '2025-03-01,1,"a\r\nb"\r\n2025-03-01,2,c\r\n'))
    assert ([one[2] for one in rows], refusals) == (["a\r\nb", "c"], [])


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + "2025-03-01,1,\n" * 5000)
    batches = open_export(path).batches()
    next(batches)
    with path.open("a") as growing:
        growing.write("2025-03-01,2,\n" * 200_000)
    with pytest.raises(FileRefused) as refused:
        list(batches)
    assert refused.value.refusal.code == "file_changed"


@pytest.mark.parametrize(
    ("text", "code_"),
    [
        ("a,b\n1,2\n", "no_header"),
        ("", "empty"),
        ("\ufeff\r\n \r\n", "empty"),
        ("BilledCost,billedcost,BillingPeriodStart\n", "duplicate_column"),
        ("BilledCost,ListCost\n", "missing_column"),
    ],
)
def test_a_header_that_cannot_be_charged_by_is_refused(tmp_path: Path, text: str, code_: str) -> None:
    assert code(file(tmp_path, text)) == code_


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x81\x8d\x90", "an archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "an archive or an Excel workbook"),
        (b"aws.csv".ljust(257, b"\x00") + b"ustar\x0000", "an archive or an Excel workbook"),
        (b"BZh91AY&SY\x81\x8d", "packed in a way"),
        (b"\x28\xb5\x2f\xfd\x24\x81\x8d\x8f\x90", "packed in a way"),
        (b"%PDF-1.7\n%\x81\x8d\x8f\x90", "a document for people"),
        (b"\r\n  <!DOCTYPE html><html>Please log in</html>", "a page of HTML or XML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a page of HTML or XML"),
        (b'[{"BilledCost": "1.5"}]', "it is JSON"),
        (gzip.compress(b'{"BilledCost": "1.5"}\n', mtime=0), "it is JSON"),
        (bytes(4096), "nothing but zeros"),
        (b"Costs of March\r\n\r\nBilledCost,BillingPeriodStart\r\n", "no column of FOCUS: Costs of March."),
        (b"BilledCost^BillingPeriodStart\r\n", "no column of FOCUS: BilledCost^BillingPeriodStart."),
    ],
)
def test_what_is_no_export_at_all_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(FileRefused) as refused:
        open_export(file(tmp_path, content))
    assert told in str(refused.value)


def test_parquet_that_is_broken_is_refused(tmp_path: Path) -> None:
    assert code(file(tmp_path, b"PAR1" + b"x" * 100, "x.parquet")) == "broken_parquet"


def test_parquet_without_polars_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearfacts_assets.chargeback.cost_sources.focus_parquet.find_spec", lambda _: None)
    assert code(SAMPLES / "focus/parquet/double-costs.parquet") == "parquet_not_installed"


def test_the_versions_and_data_sets_are_told_by_their_columns() -> None:
    for version in ("1.0", "1.2", "1.3", "1.4"):
        assert open_export(SAMPLES / f"focus/clean/focus-{version}.csv").opened.version == version
    commitment = open_export(SAMPLES / "real/focus_1_3_contract_commitment_gcp.csv").opened
    assert commitment.dataset is Dataset.CONTRACT_COMMITMENT
    assert dataset_of(["InvoiceId", "BilledCost", "InvoiceIssueStatus"]) is Dataset.INVOICE_DETAIL
    assert dataset_of(["BillingPeriodStart", "BillingPeriodStatus"]) is Dataset.BILLING_PERIOD
    assert version_of(["BilledCost"]) == "1.0"
    assert len(NAMES) == 67


@pytest.mark.parametrize("word", ["", " ", "NULL", "null", "(null)", "None", "N/A", "nan", "\\N", "-"])
def test_a_word_for_nothing_is_nothing(word: str) -> None:
    assert text_of(word) == ""


MOMENTS = {
    "2024-09-01T00:00:00Z": "2024-09-01T00:00:00Z",
    "2024-09-01 00:00:00": "2024-09-01T00:00:00Z",
    "2024-09-01": "2024-09-01T00:00:00Z",
    "2024-09-01T00:00:00.000Z": "2024-09-01T00:00:00Z",
    "2024-09-01 00:00:00 UTC": "2024-09-01T00:00:00Z",
    "2024-09-01T02:00:00+02:00": "2024-09-01T00:00:00Z",
    "20240901": "2024-09-01T00:00:00Z",
    "9/1/2024": "2024-09-01T00:00:00Z",
    "5/1/25": "2025-05-01T00:00:00Z",
    "01.09.2024": "2024-09-01T00:00:00Z",
    "2024-02-29T24:00:00Z": "2024-03-01T00:00:00Z",
}


@pytest.mark.parametrize(("cell", "moment"), MOMENTS.items())
def test_moments_are_read_as_real_exports_write_them(cell: str, moment: str) -> None:
    assert moment_of(cell) == moment


@pytest.mark.parametrize("cell", ["45536", "2024-13-01", "2024-02-30", "garbage", "0001-01-01T00:00:00Z", "9999-12-31"])
def test_what_is_no_moment_is_refused(cell: str) -> None:
    with pytest.raises(BadCell):
        moment_of(cell)


def test_a_billing_period_with_slashes_is_clear_only_on_the_first_of_a_month() -> None:
    with pytest.raises(BadCell) as refused:
        period_start_of("1/9/2024")
    assert refused.value.code == "ambiguous_date"


def test_rows_that_say_the_same_have_one_fingerprint(tmp_path: Path) -> None:
    def fingerprint(said: dict[str, str]) -> bytes:
        return Canonical(list(said), []).read(ByColumn.of([list(said.values())])).fingerprints[0]

    usual = row(Tags='{"a": "1", "b": "2"}')
    same = [
        dict(reversed(usual.items())),
        usual | {"BilledCost": "1.0000"},
        usual | {"BilledCost": "1e0"},
        usual | {"Tags": '{"b": "2", "a": "1"}'},
        usual | {"ChargeClass": "NULL", "x_Empty": ""},
        usual | {"BillingPeriodStart": "2025-03-01 00:00:00"},
    ]
    assert {fingerprint(one) for one in same} == {fingerprint(usual)}
    other = [usual | {"BilledCost": "1.01"}, usual | {"x_Own": "1"}, usual | {"SkuId": "SKU-2"}, usual | {"Tags": "{}"}]
    assert fingerprint(usual) not in {fingerprint(one) for one in other}
    assert len({fingerprint(one) for one in other}) == 4
    write(tmp_path / "written.csv", same[:1])
