"""Traces: what becomes part of which, what is told of it, and that a collector hinders nobody."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from clearfacts_assets import tracing
from clearfacts_assets.outgoing.client import open_client
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.database import open_engine, reading, write
from clearfacts_assets.storage.tracing import MOST_KINDS, summary
from clearfacts_assets.telemetry.logging import formatter
from clearfacts_assets.tracing import Collector
from clearfacts_assets_tests.fixtures.collector import ListeningCollector, listening

pytestmark = pytest.mark.waits

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the example of W3C Trace Context
NOT_SAMPLED = CALLER[:-2] + "00"


@pytest.fixture
def collector() -> Iterator[ListeningCollector]:
    with listening() as one:
        tracing.configure(Collector(one.url))
        yield one


def told(collector: ListeningCollector) -> list[str]:
    """The names of all spans, after the last of them has left."""
    tracing.configure(None)
    return [one.name for one in collector.spans]


@pytest.mark.slow
def test_while_traces_are_off_nothing_of_opentelemetry_is_loaded_and_nothing_is_told() -> None:
    program = (
        "import sys, clearfacts_assets.definitions\n"
        "from clearfacts_assets import tracing\n"
        "with tracing.span('a', root=True) as one: one.note({'b': 1})\n"
        "assert (tracing.traceparent(), tracing.headers(), tracing.carried(len)) == ('', {}, len)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_spans_within_one_another_are_one_trace_and_carry_what_is_known(collector: ListeningCollector) -> None:
    with tracing.span("outer", {"clearfacts.page": 1}, root=True) as outer:
        inner = tracing.begin("inner", kind="CLIENT")
        inner.note({"clearfacts.rows": 7})
        inner.end()
        outer.named("called so")
    assert told(collector) == ["inner", "called so"]
    first, second = collector.spans
    assert (first.trace, first.parent, second.parent) == (second.trace, second.id, "")
    assert (first.attributes, second.attributes) == ({"clearfacts.rows": 7}, {"clearfacts.page": 1})


def test_what_stands_in_no_trace_begins_none_unless_it_may(collector: ListeningCollector) -> None:
    with tracing.span("a statement"):
        assert tracing.traceparent() == ""
    with tracing.span("a request", root=True):
        assert len(tracing.traceparent()) == 55
    assert told(collector) == ["a request"]


def test_a_callers_trace_is_gone_on_with(collector: ListeningCollector) -> None:
    with tracing.span("served", parent=CALLER):
        assert tracing.trace_id() == CALLER[3:35]
    assert told(collector) == ["served"]
    assert (collector.spans[0].trace, collector.spans[0].parent) == (CALLER[3:35], CALLER[36:52])


@pytest.mark.parametrize(
    "hostile",
    ["", "nonsense", "00-0-0-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01", CALLER + "\r\nX: y", "ff" + CALLER[2:]],
)
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(collector: ListeningCollector, hostile: str) -> None:
    with tracing.span("served", parent=hostile, root=True):
        assert tracing.trace_id() not in ("", "0" * 32, CALLER[3:35])
    assert told(collector) == ["served"]
    assert collector.spans[0].parent == ""


def test_the_caller_decides_whether_its_trace_is_told_and_the_ratio_decides_for_ours() -> None:
    with listening() as collector:
        tracing.configure(Collector(collector.url, sample_ratio=0.0))
        for parent in ("", NOT_SAMPLED, CALLER):
            with tracing.span(f"under {parent[-2:]}", parent=parent, root=True):
                assert tracing.headers()["traceparent"].startswith(f"00-{parent[3:35]}")
        assert told(collector) == ["under 01"]


def test_work_handed_to_another_thread_stays_in_its_trace(collector: ListeningCollector) -> None:
    with tracing.span("run", root=True):
        one = threading.Thread(target=tracing.carried(lambda: tracing.begin("send").end()))
        one.start()
        one.join()
    assert told(collector) == ["send", "run"]
    assert collector.spans[0].parent == collector.spans[1].id


def test_an_error_is_told_by_its_type_alone(collector: ListeningCollector) -> None:
    with pytest.raises(ValueError, match="An Peeters"), tracing.span("run", root=True):
        raise ValueError("An Peeters owes 12.10 EUR")
    assert told(collector) == ["run"]
    assert (collector.spans[0].status, collector.spans[0].attributes) == ("ValueError", {"error.type": "ValueError"})
    assert b"Peeters" not in b"".join(collector.bodies)


def test_a_call_to_another_system_is_told_and_carries_the_trace(collector: ListeningCollector) -> None:
    with (
        open_client(connections=1, connect_timeout=60, deadline=60) as client,
        tracing.span("run", root=True),
    ):
        client.get(f"{collector.url}/secret-place?token=abc")
        sent = collector.headers[-1]
        collector.answer = 503
        client.get(f"{collector.url}/secret-place")
        collector.answer = 200
    assert told(collector) == ["GET 127.0.0.1", "GET 127.0.0.1", "run"]
    well, badly, run = collector.spans
    assert sent["traceparent"][:-2] == f"00-{run.trace}-{well.id}-"
    assert (well.parent, well.kind) == (run.id, 3)
    assert well.attributes == {
        "server.address": "127.0.0.1",
        "http.request.method": "GET",
        "http.response.status_code": 200,
    }
    assert (badly.status, badly.attributes["error.type"]) == ("503", "503")
    assert b"secret-place" not in b"".join(collector.bodies)


def test_a_transaction_is_told_with_its_statements_and_without_their_values(collector: ListeningCollector) -> None:
    engine = open_engine("sqlite://")
    with tracing.span("run", root=True):
        with reading(engine) as connection:
            for _ in range(2):
                connection.exec_driver_sql("SELECT 'An Peeters' FROM sqlite_master")
            connection.exec_driver_sql("PRAGMA user_version")
        write(engine, lambda connection: connection.exec_driver_sql("CREATE TABLE here (name TEXT)"))
    assert told(collector) == ["read", "write", "run"]
    looked, wrote, run = collector.spans
    assert looked.attributes == {
        "db.system.name": "sqlite",
        "db.query.summary": "SELECT sqlite_master x2, PRAGMA user_version",
        "clearfacts.statements": 3,
    }
    assert (looked.kind, looked.parent, wrote.parent) == (3, run.id, run.id)
    assert wrote.attributes["db.query.summary"] == "CREATE TABLE"
    assert b"Peeters" not in b"".join(collector.bodies)


def test_a_statement_that_fails_is_told_by_itself(collector: ListeningCollector) -> None:
    engine = open_engine("sqlite://")
    with tracing.span("run", root=True), pytest.raises(OperationalError), reading(engine) as connection:
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", ("An Peeters",))
    assert told(collector) == ["INSERT nowhere", "read", "run"]
    failed, looked, _ = collector.spans
    assert (failed.status, failed.attributes["db.system.name"]) == ("OperationalError", "sqlite")
    assert looked.status == "OperationalError"
    assert b"Peeters" not in b"".join(collector.bodies)


def test_a_statement_that_takes_long_is_told_by_itself_since_it_began(
    collector: ListeningCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearfacts_assets.storage.tracing.SLOW_SECONDS", 0.0)
    engine = open_engine("sqlite://")
    with tracing.span("run", root=True):
        write(engine, lambda connection: connection.exec_driver_sql("SELECT 1 FROM sqlite_master"))
    assert told(collector) == ["BEGIN IMMEDIATE", "SELECT sqlite_master", "write", "run"]
    waited, statement, wrote, _ = collector.spans
    assert (waited.parent, statement.parent) == (wrote.id, wrote.id)


def test_a_statement_outside_of_a_transaction_that_is_told_is_told_by_itself(collector: ListeningCollector) -> None:
    engine = open_engine("sqlite://")
    with tracing.span("run", root=True), engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM sqlite_master")
    assert told(collector) == ["SELECT sqlite_master", "run"]


def test_a_transaction_of_many_kinds_of_statements_names_a_few(collector: ListeningCollector) -> None:
    engine = open_engine("sqlite://")
    with tracing.span("run", root=True), reading(engine) as connection:
        for number in range(MOST_KINDS + 2):
            connection.exec_driver_sql(f"PRAGMA p{number}")
    assert told(collector) == ["read", "run"]
    summary = collector.spans[0].attributes["db.query.summary"]
    assert summary.endswith(f"PRAGMA p{MOST_KINDS - 1}, 2 more kinds")


def test_within_a_trace_that_is_not_told_nothing_is_begun() -> None:
    with listening() as collector:
        tracing.configure(Collector(collector.url))
        with tracing.span("run", parent=NOT_SAMPLED):
            assert tracing.begin("send") is tracing.NOTHING
            assert tracing.traceparent()[3:35] == CALLER[3:35]
            with tracing.span("step") as step:
                assert step is tracing.NOTHING
                assert tracing.headers()["traceparent"].endswith("-00")
        assert told(collector) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("\n SELECT a.x\nFROM deliveries AS a WHERE a.x = 'FROM me'", "SELECT deliveries"),
        ('INSERT INTO "alerts" (id) VALUES (?)', "INSERT alerts"),
        ("UPDATE jobs SET status=?", "UPDATE jobs"),
        ("BEGIN IMMEDIATE", "BEGIN IMMEDIATE"),
        ("", "statement"),
    ],
)
def test_a_statement_in_a_few_words(statement: str, words: str) -> None:
    assert summary(statement) == words


def test_log_lines_name_the_trace_and_the_span(collector: ListeningCollector) -> None:
    record = logging.LogRecord("clearfacts_assets.x", logging.INFO, "", 0, "sent", (), None)
    with tracing.span("run", parent=CALLER):
        line = json.loads(formatter("json").format(record))
    assert told(collector) == ["run"]
    assert (line["trace.id"], line["span.id"]) == (CALLER[3:35], collector.spans[0].id)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("clearfacts_assets.tracing")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


def _nobody_there() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def test_a_collector_that_is_gone_is_told_of_once_and_costs_only_spans(log: io.StringIO) -> None:
    gone = _nobody_there()
    tracing.configure(Collector(gone))
    for _ in range(3 * tracing.QUEUE):
        with tracing.span("run", root=True):
            pass
    tracing.configure(None)
    assert log.getvalue() == f"traces are lost: {gone} does not take them; all else goes on\n"


@pytest.mark.slow
def test_a_collector_that_hangs_holds_up_nobody(collector: ListeningCollector, log: io.StringIO) -> None:
    collector.may_answer.clear()
    for _ in range(3 * tracing.QUEUE):
        tracing.begin("run", root=True).end()
    tracing.configure(None)  # would wait for ever, were anything here to wait for an answer
    assert log.getvalue() == f"traces are lost: {collector.url} does not take them; all else goes on\n"
    assert collector.spans == []


def test_a_collector_that_refuses_and_then_recovers_is_told_of_twice(
    collector: ListeningCollector, log: io.StringIO
) -> None:
    exporter = tracing._running()._exporter
    collector.answer = 400
    exporter.export([])
    exporter.export([])
    collector.answer = 200
    exporter.export([])
    assert [line.partition(":")[0] for line in log.getvalue().splitlines()] == [
        "traces are lost",
        "traces are told again",
    ]


def test_the_settings_say_where_traces_go_and_keep_what_the_collector_wants_secret() -> None:
    known = Settings(
        traces={"endpoint": "http://tempo:4318", "sample_ratio": 0.25, "headers": "authorization=Bearer abc, x-org=7"},
        network={"proxy": "http://u:p%40ss@proxy:3128", "no_proxy": "localhost"},
    )
    assert Settings().collector is None
    collector = known.collector
    assert collector is not None
    assert (collector.endpoint, collector.sample_ratio) == ("http://tempo:4318/", 0.25)
    assert collector.headers == {"authorization": "Bearer abc", "x-org": "7"}
    assert collector.proxy == "http://u:p%40ss@proxy:3128"
    assert "abc" not in repr(known) + repr(collector)
    assert "ss@" not in repr(collector)
    assert any("abc" in secret for secret in known.secrets)


@pytest.mark.parametrize(
    ("written", "pairs"),
    [
        ("", {}),
        ("Basic dTpw==", {"Authorization": "Basic dTpw=="}),
        ("x-key=a=b", {"x-key": "a=b"}),
        ("a=1,, b=2", {"a": "1", "b": "2"}),
    ],
)
def test_what_the_collector_wants_to_see(written: str, pairs: dict[str, str]) -> None:
    assert Settings(traces={"headers": written}).traces.pairs == pairs


@pytest.mark.parametrize(
    ("traces", "said"),
    [
        ({"endpoint": "tempo:4318"}, "URL scheme should be 'http' or 'https'"),
        ({"endpoint": "http://tempo", "sample_ratio": 1.5}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_hold_are_refused(traces: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(traces=traces)
