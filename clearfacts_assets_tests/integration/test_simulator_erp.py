"""The simulated Java backend keeps its published contract."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from clearfacts_assets.simulator.generator import ZONE
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = date(2026, 10, 14)


def window(day: date) -> dict[str, str]:
    start = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=ZONE).astimezone(UTC)
    return {"from": start.isoformat().replace("+00:00", "Z"), "to": end.isoformat().replace("+00:00", "Z")}


@pytest.fixture
def erp(simulator: RunningSimulator):
    headers = {"Authorization": f"Bearer {simulator.erp_token}"}
    with httpx.Client(base_url=simulator.erp_url, headers=headers, timeout=300) as client:
        yield client


def all_rows(erp: httpx.Client, limit: int = 100, **parameters: str) -> list[dict]:
    rows, cursor = [], None
    while True:
        page = erp.get("/invoices", params={**parameters, "limit": limit, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        rows += page.json()["invoices"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return rows


@pytest.mark.parametrize("limit", [1, 7, 40, 1000])
def test_a_day_holds_what_its_generator_describes_whatever_the_page_size(erp, simulator, limit):
    rows = all_rows(erp, limit, **window(DAY))
    expected = list(simulator.generator.entries(DAY))
    assert [row["id"] for row in rows] == [entry.invoice_id for entry in expected]
    assert [row["ubl"] for row in rows] == [simulator.generator.document(entry) for entry in expected]
    assert all(set(row) == {"id", "updated_at", "ubl"} for row in rows)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2025, 10, 26), 25), (DAY, 24)])
def test_half_open_windows_in_utc_cover_every_day_exactly_once_on_days_of_any_length(erp, simulator, day, hours):
    limits = window(day)
    start, end = (datetime.fromisoformat(limits[name]) for name in ("from", "to"))
    assert end - start == timedelta(hours=hours)
    ids = [row["id"] for row in all_rows(erp, **limits)]
    assert len(ids) == 40
    assert ids[0] == f"ERP-{day:%Y%m%d}-00000"
    by_hour = []
    for hour in range(hours):
        moments = [(start + timedelta(hours=hour + step)).isoformat() for step in (0, 1)]
        by_hour += [row["id"] for row in all_rows(erp, **{"from": moments[0], "to": moments[1]})]
    assert by_hour == ids
    before = all_rows(erp, **window(day - timedelta(days=1))) + all_rows(erp, **window(day + timedelta(days=1)))
    assert not {row["updated_at"] for row in before} & {row["updated_at"] for row in all_rows(erp, **limits)}


def test_one_invoice_can_be_had_by_its_id(erp):
    row = all_rows(erp, **window(DAY))[3]
    assert erp.get(f"/invoices/{row['id']}").json() == row


@pytest.mark.parametrize(
    "invoice_id",
    [
        "ERP-20261014-99999",
        "ERP-20261399-00001",
        "nothing",
        "ERP-29991231-00001",
        "ERP-99991231-00001",
        "ERP-00010101-00001",
    ],
)
def test_an_unknown_id_is_404_as_a_problem_document(erp, invoice_id):
    answer = erp.get(f"/invoices/{invoice_id}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic abc"])
def test_without_the_right_token_there_is_only_401(simulator, token):
    answer = httpx.get(f"{simulator.erp_url}/invoices", headers={"Authorization": token}, params=window(DAY))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


# A time without its zone, in a cursor that is otherwise as the simulator makes them.
FORGED = base64.urlsafe_b64encode(b'["2026-10-14T00:00:00Z","2026-10-15T00:00:00Z","2026-10-14T01:00:00","x"]').decode()
GOOD = {"from": "2026-10-14T00:00:00Z", "to": "2026-10-15T00:00:00Z"}


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"from": None}, "from"),
        ({"to": None}, "to"),
        ({"from": "2026-10-14"}, "from"),
        ({"from": "2026-10-14T00:00:00"}, "from"),
        ({"from": "2026-10-14T25:00:00Z"}, "from"),
        ({"from": "2026-10-14 00:00:00Z"}, "from"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"to": "2026-10-14T00:00:00Z"}, "from"),
        ({"to": "2027-12-31T00:00:00Z"}, "to"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "1.0"}, "limit"),
        ({"cursor": "!!"}, "cursor"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor"),
        ({"cursor": FORGED}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
def test_a_bad_parameter_is_400_and_named(erp, changed, parameter):
    asked = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    answer = erp.get("/invoices", params=asked)
    assert answer.status_code == 400
    assert answer.json()["parameter"] == parameter


def test_a_cursor_of_another_window_is_refused(erp):
    cursor = erp.get("/invoices", params={**GOOD, "limit": 2}).json()["next_cursor"]
    answer = erp.get("/invoices", params={**GOOD, "to": "2026-10-16T00:00:00Z", "cursor": cursor})
    assert (answer.status_code, answer.json()["parameter"]) == (400, "cursor")


def test_a_parameter_given_twice_is_refused(erp):
    answer = erp.get("/invoices", params=[*GOOD.items(), ("limit", "1"), ("limit", "2")])
    assert (answer.status_code, answer.json()["parameter"]) == (400, "limit")


def test_other_methods_and_paths_are_refused(erp):
    assert erp.post("/invoices").status_code == 405
    assert erp.get("/orders").status_code == 404


def test_answers_are_packed_only_for_those_who_accept_it(erp):
    packed = erp.get("/invoices", params=GOOD, headers={"Accept-Encoding": "gzip"})
    plain = erp.get("/invoices", params=GOOD, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    with erp.stream("GET", "/invoices", params=GOOD, headers={"Accept-Encoding": "gzip"}) as raw:
        assert json.loads(gzip.decompress(b"".join(raw.iter_raw()))) == plain.json()


def test_an_added_invoice_stands_in_its_place_and_is_handed_out_as_it_is(erp, simulator):
    text = "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    simulator.inject("SPECIAL-1", "2026-10-14T12:00:00Z", f"<x>{text}</x>")
    simulator.inject("SPECIAL-2", "2026-10-14T12:00:00Z", {"not": "text"})
    rows = all_rows(erp, 5, **window(DAY))
    assert len(rows) == 42
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)
    added = [row for row in rows if row["id"].startswith("SPECIAL")]
    assert [row["ubl"] for row in added] == [f"<x>{text}</x>", {"not": "text"}]
    assert erp.get("/invoices/SPECIAL-2").json()["ubl"] == {"not": "text"}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z"),
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"),
    ],
)
def test_the_future_is_not_there_yet_and_antiquity_is_empty(erp, start, end):
    answer = erp.get("/invoices", params={"from": start, "to": end})
    assert (answer.status_code, answer.json()) == (200, {"invoices": [], "next_cursor": None})


def test_a_window_that_ends_in_the_future_gives_what_is_there_by_now(erp):
    now = datetime.now(UTC)
    start, end = now - timedelta(days=1), now + timedelta(days=1)
    rows = all_rows(erp, **{"from": start.isoformat(), "to": end.isoformat()})
    assert 35 <= len(rows) <= 45
    assert all(datetime.fromisoformat(row["updated_at"]) < datetime.now(UTC) for row in rows)


def test_another_volume_keeps_the_documents_and_an_empty_day_is_empty(erp, simulator):
    first = all_rows(erp, **window(DAY))
    simulator.reset(per_day=3, broken_share=0, duplicate_share=0)
    few = all_rows(erp, **window(DAY))
    assert [row["id"] for row in few] == [row["id"] for row in first[:3]]
    simulator.reset(per_day=0)
    assert all_rows(erp, **window(DAY)) == []
