"""Every fault does what docs/simulator.md says, as often as it was asked for, and is counted."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from clearfacts_assets.simulator.erp import BOMB_BYTES
from clearfacts_assets.simulator.faults import ABSURD_WAIT, AFTER_ACCEPTANCE, BAD_RECORDS, TARGETS, kinds_of
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.integration.test_simulator_clearfacts import UPLOAD, post, upload

DAY = {"from": "2026-10-13T22:00:00Z", "to": "2026-10-14T22:00:00Z"}
RECEIVER = RECEIVERS[0].number


@pytest.fixture
def erp(simulator: RunningSimulator):
    headers = {"Authorization": f"Bearer {simulator.erp_token}"}
    with httpx.Client(base_url=simulator.erp_url, headers=headers, timeout=300) as client:
        yield client


@pytest.fixture
def clearfacts(simulator: RunningSimulator):
    headers = {"Authorization": f"Bearer {simulator.clearfacts_token}"}
    with httpx.Client(base_url=simulator.clearfacts_url, headers=headers, timeout=300) as client:
        yield client


def page(erp: httpx.Client, **parameters: object) -> httpx.Response:
    return erp.get("/invoices", params={**DAY, **parameters})


def rows(erp: httpx.Client, pages: int = 100, **parameters: object) -> list[dict]:
    found, cursor = [], None
    for _ in range(pages):
        answer = page(erp, **parameters, **({"cursor": cursor} if cursor else {})).json()
        found += answer["invoices"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    return found


def test_down_closes_the_connection_without_an_answer(erp, simulator):
    fault = simulator.fault("erp", "down", times=2)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            page(erp)
    assert page(erp).status_code == 200
    assert simulator.applied(fault) == 2


def test_after_lets_calls_pass_first(erp, simulator):
    fault = simulator.fault("erp", "status", status=503, after=2, times=1)
    assert [page(erp).status_code for _ in range(4)] == [200, 200, 503, 200]
    assert simulator.faults()[fault]["seen"] == 3


def test_match_chooses_by_operation_path_and_content(erp, clearfacts, simulator):
    simulator.fault("erp", "status", status=500, match={"operation": "one"})
    simulator.fault("erp", "status", status=502, match={"contains": "2026-10-01"})
    simulator.fault("clearfacts", "status", status=503, match={"contains": "the-poisonous-one"})
    simulator.fault("clearfacts", "status", status=504, match={"path": "userinfo"})
    assert erp.get("/invoices/X").status_code == 500
    assert page(erp, **{"from": "2026-10-01T00:00:00Z"}).status_code == 502
    assert page(erp).status_code == 200
    assert post(clearfacts, b"<a>the-poisonous-one</a>").status_code == 503
    assert upload(clearfacts, b"<a>the-poisonous-one</a>").status_code == 503
    assert upload(clearfacts, b"<a>another</a>").status_code == 200
    assert clearfacts.get("/oauth2-server/userinfo").status_code == 504


def test_probability_strikes_by_the_seed(erp, simulator):
    def pattern(seed: int) -> list[int]:
        simulator.clear_faults()
        simulator.fault("erp", "status", status=500, probability=0.5, seed=seed)
        return [page(erp, limit=1).status_code for _ in range(20)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert set(pattern(1)) == {200, 500}


def test_of_two_faults_the_older_strikes_until_it_is_used_up(erp, simulator):
    simulator.fault("erp", "status", status=500, times=1)
    simulator.fault("erp", "status", status=503, times=1)
    assert [page(erp).status_code for _ in range(3)] == [500, 503, 200]
    simulator.fault("erp", "status", status=500)
    simulator.clear_faults()
    assert page(erp).status_code == 200


@pytest.mark.parametrize(("asked", "expected"), [(7, "7"), ("0.5", "0.5"), ("absurd", ABSURD_WAIT), ("soon", "soon")])
def test_status_tells_when_to_come_back(erp, simulator, asked, expected):
    simulator.fault("erp", "status", status=429, retry_after=asked)
    answer = page(erp)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, expected)


def test_status_can_tell_it_as_a_date(erp, simulator):
    simulator.fault("erp", "status", status=429, retry_after="date+30")
    moment = parsedate_to_datetime(page(erp).headers["retry-after"])
    assert timedelta(seconds=20) < moment - datetime.now(UTC) < timedelta(seconds=40)


@pytest.mark.parametrize(("body", "kind"), [("html", "text/html; charset=utf-8"), ("json", "application/problem+json")])
def test_status_comes_as_html_or_json_or_empty(erp, simulator, body, kind):
    simulator.fault("erp", "status", status=502, body=body)
    assert page(erp).headers["content-type"] == kind
    simulator.clear_faults()
    simulator.fault("erp", "status", status=502, body="empty")
    assert page(erp).content == b""


def test_html_comes_with_200(erp, simulator):
    simulator.fault("erp", "html")
    answer = page(erp)
    assert (answer.status_code, answer.text[:15]) == (200, "<!DOCTYPE html>")


def test_truncated_announces_more_than_it_sends(erp, simulator):
    simulator.fault("erp", "truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        page(erp)


def test_malformed_is_whole_but_no_json(erp, simulator):
    simulator.fault("erp", "malformed")
    answer = page(erp)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_slow_drips_the_true_answer(erp, simulator):
    simulator.fault("erp", "slow", interval=0.02, chunk=1000, match={"operation": "list"})
    answer = erp.get("/invoices", params={**DAY, "limit": 2}, headers={"Accept-Encoding": "identity"})
    assert len(answer.json()["invoices"]) == 2
    pauses = len(answer.content) // 1000
    assert pauses > 10
    assert answer.elapsed >= timedelta(seconds=pauses * 0.02 / 2)  # timers are as coarse as the machine has them
    with erp.stream("GET", "/invoices", params=DAY) as dripping:
        assert len(next(dripping.iter_raw())) <= 1000


def test_delay_answers_late_and_hang_never(erp, simulator):
    simulator.fault("erp", "delay", seconds=0.2, times=1)
    answer = page(erp)
    assert answer.status_code == 200
    assert answer.elapsed >= timedelta(seconds=0.2)
    simulator.fault("erp", "hang", times=1)
    with pytest.raises(httpx.ReadTimeout):
        erp.get("/invoices", params=DAY, timeout=0.2)
    simulator.fault("erp", "hang", seconds=0.1, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        page(erp)
    assert page(erp).status_code == 200


def test_a_looping_cursor_never_ends(erp, simulator):
    simulator.fault("erp", "looping_cursor")
    first = page(erp, limit=5).json()
    second = page(erp, limit=5, cursor=first["next_cursor"]).json()
    assert second["next_cursor"] == first["next_cursor"]
    assert second["invoices"] == first["invoices"]


def test_repeated_rows_overlap_but_lose_nothing(erp, simulator):
    whole = rows(erp)
    fault = simulator.fault("erp", "repeated_rows", rows=2)
    found = rows(erp, limit=10)
    ids = [row["id"] for row in found]
    assert sorted(set(ids)) == sorted({row["id"] for row in whole})
    assert len(ids) > len(whole)
    assert ids[8:10] == ids[10:12]
    assert simulator.applied(fault) == len(range(0, len(ids), 10))


def test_an_invoice_edited_between_pages_comes_again_with_other_content(erp, simulator):
    simulator.fault("erp", "edited_between_pages", times=1)
    found = rows(erp, limit=10)
    again = [row for row in found if row["id"] == found[0]["id"]]
    assert len(again) == 2
    assert again[0]["updated_at"] < again[1]["updated_at"]
    assert "KP-gewijzigd" in again[1]["ubl"] != again[0]["ubl"]


@pytest.mark.parametrize("variant", BAD_RECORDS)
def test_a_bad_record_spoils_one_row(erp, simulator, variant):
    good = page(erp, limit=3).json()["invoices"]
    simulator.fault("erp", "bad_record", variant=variant, row=2)
    bad = page(erp, limit=3).json()["invoices"]
    assert (bad[0], bad[2]) == (good[0], good[2])
    assert bad[1] != good[1]


def test_a_gzip_bomb_is_small_and_unpacks_to_a_well_formed_page(erp, simulator):
    simulator.fault("erp", "gzip_bomb", times=1)
    with erp.stream("GET", "/invoices", params=DAY) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < BOMB_BYTES / 500
    unpacker, size = zlib.decompressobj(31), 0
    while packed and not unpacker.eof:
        size += len(unpacker.decompress(packed, 2**22))
        packed = unpacker.unconsumed_tail
    assert (unpacker.eof, size // 2**20) == (True, BOMB_BYTES // 2**20)
    simulator.fault("erp", "gzip_bomb", size=2**20)
    assert page(erp).json() == {"invoices": [], "next_cursor": None}


def test_an_empty_day_and_a_refused_token(erp, simulator):
    simulator.fault("erp", "empty_day", times=1)
    assert page(erp).json() == {"invoices": [], "next_cursor": None}
    simulator.fault("erp", "wrong_token", times=1)
    assert page(erp).status_code == 401
    assert page(erp).status_code == 200


@pytest.mark.parametrize("send", [upload, post])
@pytest.mark.parametrize("kind", ["down", "status", "html", "truncated", "malformed", "expired_token"])
def test_plain_faults_accept_nothing(clearfacts, simulator, send, kind):
    fault = simulator.fault("clearfacts", kind, times=1)
    outcome = attempt(clearfacts, send)
    assert outcome is None or outcome.status_code in (200, 201, 401, 500)
    assert simulator.applied(fault) == 1
    assert simulator.accepted() == []
    assert send(clearfacts, b"<a/>").is_success
    assert len(simulator.accepted()) == 1


@pytest.mark.parametrize("send", [upload, post])
@pytest.mark.parametrize("kind", sorted(AFTER_ACCEPTANCE))
def test_accept_then_faults_accept_first(clearfacts, simulator, send, kind):
    fault = simulator.fault("clearfacts", kind, times=1, seconds=0.05)
    outcome = attempt(clearfacts, send)
    assert (outcome is None) == (kind in ("accept_then_drop", "accept_then_truncate", "accept_then_hang"))
    if kind == "accept_then_500":
        assert outcome.status_code == 500
    assert simulator.applied(fault) == 1
    assert len(simulator.accepted()) == 1
    assert send(clearfacts, b"<a/>").is_success
    assert len(simulator.accepted()) == (2 if send is upload else 1)


def attempt(clearfacts: httpx.Client, send) -> httpx.Response | None:
    try:
        return send(clearfacts, b"<a/>")
    except httpx.RemoteProtocolError:
        return None


def test_accept_then_faults_leave_other_operations_alone(clearfacts, simulator):
    simulator.fault("clearfacts", "accept_then_drop")
    assert clearfacts.get("/oauth2-server/userinfo").status_code == 200
    assert clearfacts.post("/graphql", json={"query": "{ administrations { name } }"}).status_code == 200


def test_graphql_errors_say_what_was_asked_for(clearfacts, simulator):
    simulator.fault("clearfacts", "graphql_errors", message="Deadlock", extensions={"code": "INTERNAL"}, times=1)
    answer = upload(clearfacts, b"<a/>")
    assert answer.status_code == 200
    (error,) = answer.json()["errors"]
    assert (error["message"], error["extensions"]) == ("Deadlock", {"code": "INTERNAL"})
    assert answer.json()["data"] == {"uploadFile": None}
    assert simulator.accepted() == []


@pytest.mark.parametrize("wrong", ["not-a-uuid", "", None, 7])
def test_a_bad_uuid_comes_for_a_document_that_was_accepted(clearfacts, simulator, wrong):
    simulator.fault("clearfacts", "bad_uuid", uuid=wrong, times=2)
    assert post(clearfacts, b"<a/>").json()["uuid"] == wrong
    shown = upload(clearfacts, b"<a/>").json()["data"]["uploadFile"]["uuid"]
    assert shown == (wrong if wrong is None else str(wrong))
    assert len(simulator.accepted()) == 2


def test_slack_can_be_down_overloaded_or_unwilling(simulator):
    def send() -> httpx.Response:
        headers = {"Authorization": f"Bearer {simulator.slack_token}"}
        return httpx.post(
            f"{simulator.slack_url}chat.postMessage", headers=headers, json={"channel": "#a", "text": "b"}
        )

    simulator.fault("slack", "down", times=1)
    simulator.fault("slack", "status", status=429, retry_after=3, times=1)
    simulator.fault("slack", "slack_error", error="channel_is_archived", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        send()
    assert send().headers["retry-after"] == "3"
    assert send().json() == {"ok": False, "error": "channel_is_archived"}
    assert simulator.slack_messages() == []
    assert send().json()["ok"] is True


@pytest.mark.parametrize("kind", sorted(kinds_of("slack") - {"down", "status", "hang", "slack_error"}))
def test_the_other_faults_strike_slack_too(simulator, kind):
    fault = simulator.fault("slack", kind, times=1, seconds=0.01, interval=0.0001)
    try:
        httpx.post(f"{simulator.slack_url}auth.test", headers={"Authorization": f"Bearer {simulator.slack_token}"})
    except httpx.RemoteProtocolError:
        assert kind == "truncated"
    assert simulator.applied(fault) == 1


@pytest.mark.parametrize(
    "asked",
    [
        [],
        {"target": "sap", "kind": "down"},
        {"target": "erp", "kind": "bad_uuid"},
        {"target": "erp", "kind": "down", "times": -1},
        {"target": "erp", "kind": "down", "times": True},
        {"target": "erp", "kind": "down", "after": "2"},
        {"target": "erp", "kind": "down", "match": {"method": "GET"}},
        {"target": "erp", "kind": "down", "match": "x"},
        {"target": "erp", "kind": "down", "probability": 2},
        {"target": "erp", "kind": "down", "seed": "a"},
        {"target": "erp", "kind": "delay", "seconds": -1},
        {"target": "erp", "kind": "slow", "chunk": 0},
        {"target": "erp", "kind": "status", "status": 99},
        {"target": "erp", "kind": "status", "body": "xml"},
        {"target": "erp", "kind": "status", "retry_after": "date+soon"},
        {"target": "erp", "kind": "bad_record", "variant": "odd"},
        {"target": "erp", "kind": "down", "colour": "red"},
    ],
)
def test_a_fault_that_is_none_is_refused_with_a_reason(simulator, asked):
    answer = httpx.post(f"{simulator.url}/simulator/faults", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert simulator.faults() == {}


def test_every_target_has_the_faults_of_the_wire():
    assert {"erp", "clearfacts", "slack"} == set(TARGETS)
    assert all(
        {"down", "status", "html", "truncated", "malformed", "slow", "delay", "hang"} <= kinds_of(target)
        for target in TARGETS
    )


def test_an_upload_is_told_apart_from_what_its_document_says(clearfacts, simulator):
    fault = simulator.fault("clearfacts", "status", match={"operation": "administrations"})
    assert UPLOAD.startswith("mutation")
    assert upload(clearfacts, b"<a>administration document</a>").status_code == 200
    assert simulator.applied(fault) == 0
