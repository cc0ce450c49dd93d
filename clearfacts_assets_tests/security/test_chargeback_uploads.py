"""Uploads of cost exports that mean no good: hostile names, bombs, bodies without an end, bodies that are too large."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import os
from pathlib import Path

import httpx
import pytest

from clearfacts_assets.api.uploads import MOST_FILES, WRITTEN_AT_ONCE
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import row, write
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, code, data, upload

IMPORTS = f"{BASE}/imports"
GOOD = b"BilledCost,BillingPeriodStart\n1,2025-03-01\n"
FORM = "multipart/form-data; boundary=cut"
HOSTILE_NAMES = [
    b"../../etc/passwd",
    b"/etc/passwd",
    b"..",
    b".hidden.csv",
    b"a/b.csv",
    b"..\\x.csv",
    b"x\x1b[31m.csv",
    b"x\xe2\x80\xaevsc.exe",  # written from right to left
    b" x.csv",
    b"\xff\xfe.csv",
    b"x" * 201,
    b"",
]


def body(name: bytes, content: bytes = GOOD, field: bytes = b"files") -> bytes:
    return (
        (b'--cut\r\nContent-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"\r\n\r\n')
        + content
        + b"\r\n--cut--\r\n"
    )


def post(client: httpx.Client, content: bytes, kind: str = FORM) -> httpx.Response:
    return client.post(IMPORTS, content=content, headers={"Content-Type": kind})


def nothing_is_left(api: RunningApi) -> bool:
    return list((api.app.state.services.configured.home / "uploads").iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_none_is_refused(quick_api: RunningApi, name: bytes) -> None:
    answer = post(quick_api.client(), body(name))
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "body.files.0"
    assert nothing_is_left(quick_api)


def test_names_and_contents_of_the_whole_world_are_taken(quick_api: RunningApi) -> None:
    answer = data(post(quick_api.client(), body("aws Größe 三月.csv".encode())))
    (file,) = data(quick_api.client().get(f"{IMPORTS}/{answer['import_id']}"))["files"]
    assert (answer["source"], file["name"]) == ("aws", "aws Größe 三月.csv")


def test_a_gzip_bomb_is_refused_with_the_reason(quick_api: RunningApi, tmp_path: Path) -> None:
    bomb = tmp_path / "aws.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        file.write(GOOD)
        for _ in range(80):
            file.write(b" " * 2**20)
    answer = upload(quick_api.client(), bomb)
    assert bomb.stat().st_size < 200_000
    assert code(answer) == (422, "COSTS_REFUSED")
    assert answer.json()["error"]["details"]["refusals"][0]["code"] == "too_large"
    assert nothing_is_left(quick_api)


def test_an_upload_over_the_limit_is_refused_before_and_while_it_comes(quick_api: RunningApi) -> None:
    known = quick_api.app.state.services.configured
    small = known.chargeback.model_copy(update={"upload_bytes": 2**20})
    object.__setattr__(quick_api.app.state.services, "configured", known.model_copy(update={"chargeback": small}))
    headers = {"Content-Type": "multipart/form-data; boundary=cut", **quick_api.callers.headers("operator")}
    connection = http.client.HTTPConnection("127.0.0.1", quick_api.port, timeout=300)
    connection.putrequest("POST", IMPORTS)
    for name, value in (headers | {"Content-Length": str(2**40)}).items():
        connection.putheader(name, value)
    connection.endheaders()  # and nothing of the body comes
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (413, "close")
    endless = http.client.HTTPConnection("127.0.0.1", quick_api.port, timeout=300)
    start = body(b"aws.csv", b"")[:60]
    try:
        endless.request("POST", IMPORTS, body=(start if n == 0 else b"x" * 65536 for n in range(200)), headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server has hung up on us
    else:
        assert endless.getresponse().status in (400, 413)
    assert nothing_is_left(quick_api)


def test_an_upload_is_larger_than_what_json_may_be_and_larger_than_what_is_held(
    quick_api: RunningApi, tmp_path: Path
) -> None:
    rows = [row(ResourceId=f"res-{n}", ResourceName="x" * 2000) for n in range(1000)]
    file = write(tmp_path / "aws.csv", rows)
    assert file.stat().st_size > 2 * WRITTEN_AT_ONCE
    assert data(upload(quick_api.client(), file))["rows"] == 1000
    assert nothing_is_left(quick_api)


def test_a_stranger_is_turned_away_before_the_body_is_read(quick_api: RunningApi) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", quick_api.port, timeout=300)
    connection.putrequest("POST", IMPORTS)
    connection.putheader("Content-Type", "multipart/form-data; boundary=cut")
    connection.putheader("Content-Length", str(2**29))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (401, "close")
    assert code(post(quick_api.client("user"), body(b"aws.csv"))) == (403, "FORBIDDEN")
    assert not (quick_api.app.state.services.configured.home / "uploads").exists()


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"{}", "application/json", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (GOOD, "text/csv", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (body(b"aws.csv"), "multipart/form-data", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (body(b"aws.csv")[:-9], FORM, (400, "INVALID_REQUEST")),
        (b"no boundary", FORM, (400, "INVALID_REQUEST")),
        (b"", FORM, (400, "INVALID_REQUEST")),
        (b"--cut--\r\n", FORM, (422, "VALIDATION_ERROR")),
        (body(b"aws.csv", field=b"other"), FORM, (422, "VALIDATION_ERROR")),
        (body(b"aws.csv", b""), FORM, (422, "COSTS_REFUSED")),
        (body(b"aws.csv", b"\x00" * 5000), FORM, (422, "COSTS_REFUSED")),
        (
            body(b"aws.csv", b"PAR1" + b"\xff" * 100 + b"PAR1"),
            "multipart/form-data; boundary=cut",
            (422, "COSTS_REFUSED"),
        ),
    ],
)
def test_a_body_that_is_no_upload_is_told_so(
    quick_api: RunningApi, content: bytes, kind: str, expected: tuple[int, str]
) -> None:
    assert code(post(quick_api.client(), content, kind)) == expected


@pytest.mark.parametrize(
    "fields", [{"period": "2025-3"}, {"dry_run": "perhaps"}, {"mode": "both"}, {"sauce": "aws"}, {"source": "x" * 61}]
)
def test_a_field_that_is_wrong_is_named(quick_api: RunningApi, tmp_path: Path, fields: dict[str, str]) -> None:
    answer = upload(quick_api.client(), write(tmp_path / "aws.csv", [row()]), **fields)
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == f"body.{next(iter(fields))}"


def test_files_are_counted(quick_api: RunningApi) -> None:
    parts = [("files", (f"aws_{n}.csv", b"x")) for n in range(MOST_FILES + 1)]
    assert code(quick_api.client().post(IMPORTS, files=parts)) == (422, "VALIDATION_ERROR")
    assert nothing_is_left(quick_api)


def test_what_an_earlier_process_left_is_removed_after_a_day(quick_api: RunningApi) -> None:
    uploads = quick_api.app.state.services.configured.home / "uploads"
    for name, age in (("old", 2 * 86400), ("new", 60)):
        (uploads / name).mkdir(parents=True)
        moment = (uploads / name).stat().st_mtime - age
        os.utime(uploads / name, (moment, moment))
    data(post(quick_api.client(), body(b"aws.csv")))
    assert [one.name for one in uploads.iterdir()] == ["new"]


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless(quick_api: RunningApi, tmp_path: Path) -> None:
    file = write(tmp_path / "aws.csv", [row(ResourceName="=HYPERLINK(A1)", BilledCost="-1.5")])
    data(upload(quick_api.client(), file))
    (said,) = csv.DictReader(io.StringIO(quick_api.client().get(f"{BASE}/charges/export").text))
    assert (said["resource_name"], said["billed"]) == ("'=HYPERLINK(A1)", "-1.5")
