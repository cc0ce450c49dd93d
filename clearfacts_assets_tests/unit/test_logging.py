"""Log lines: one a record, without secrets, with the correlation id, and nobody else's logger touched."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from clearfacts_assets.telemetry.logging import DEEPEST, NAMESPACE, configure, correlated, formatter

OBSERVABILITY = Path(__file__).parents[2] / "observability"
CANARY = "canary-7f3a"
FORGED = "sent\r\n2026-01-01T00:00:00Z ERROR clearfacts_assets: forged\x1b[2K\u2028\x85\u202e"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    logger = logging.getLogger(NAMESPACE)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger(f"{NAMESPACE}.somewhere")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.split("\n")[:-1]


def record(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = lines(capsys)
    found: dict[str, Any] = json.loads(line)
    return found


def test_json_has_the_names_of_the_elastic_common_schema(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", "json")
    with correlated("c-1"):
        log.info("%d invoices sent", 3, extra={"job_id": "j-1", "rate": float("nan"), "@timestamp": "forged"})
    found = record(capsys)
    assert found.pop("@timestamp").endswith("Z")
    assert found == {
        "log.level": "info",
        "log.logger": f"{NAMESPACE}.somewhere",
        "message": "3 invoices sent",
        "ecs.version": "8.11.0",
        "service.name": "clearfacts",
        "service.version": version("clearfacts-assets"),
        "event.dataset": "clearfacts.log",
        "process.pid": os.getpid(),
        "trace.id": "c-1",
        # NaN: JSON has no such number. What calls itself as ours do does not get into their place.
        "clearfacts": {"correlation_id": "c-1", "job_id": "j-1", "rate": "nan", "@timestamp": "forged"},
    }


def test_every_field_of_a_line_is_in_the_index_template(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    template = json.loads((OBSERVABILITY / "elasticsearch-index-template.json").read_text(encoding="utf-8"))
    properties = template["template"]["mappings"]["properties"]
    configure("INFO", "json")
    try:
        raise ValueError("why")
    except ValueError:
        with correlated("c-1"):
            log.exception("failed")
    assert set(record(capsys)) <= set(properties)


def test_filebeat_reads_lines_as_they_are_written() -> None:
    (filebeat,) = yaml.safe_load((OBSERVABILITY / "filebeat.yml").read_text(encoding="utf-8"))["filebeat.inputs"]
    assert filebeat["parsers"] == [{"ndjson": {"target": "", "overwrite_keys": True, "expand_keys": True}}]


def test_text_holds_the_same_on_one_line(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "text")
    log.warning("page %s is late", 2, extra={"seconds": 1.5, "why": "the ERP sleeps"})
    (line,) = lines(capsys)
    assert line.endswith(f'WARNING {NAMESPACE}.somewhere: page 2 is late seconds=1.5 why="the ERP sleeps"')


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_that_another_handler_formatted_before_is_told_alike(form: Any) -> None:
    told = logging.LogRecord(NAMESPACE, logging.INFO, "", 0, "page %s is late", (2,), None)
    before = formatter(form).format(told)
    logging.Formatter("%(asctime)s %(message)s").format(told)
    assert told.__dict__.keys() >= {"message", "asctime"}
    assert _without_time(formatter(form).format(told)) == _without_time(before)


def _without_time(line: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "", line)


def test_what_is_below_the_level_is_not_written(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", "text")
    log.info("quiet")
    assert lines(capsys) == []


def test_the_last_call_holds_and_nothing_is_written_twice(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", "text")
    configure("INFO", "json")
    log.info("once")
    assert record(capsys)["message"] == "once"


def test_root_and_the_loggers_of_others_stay_as_they_are() -> None:
    def state() -> list[object]:
        loggers = [logging.getLogger(name) for name in ("", "dagster", "sqlalchemy", "httpx", "uvicorn")]
        return [(logger.handlers[:], logger.level, logger.propagate, logger.disabled) for logger in loggers]

    before = state()
    configure("DEBUG", "json")
    assert state() == before


@pytest.mark.parametrize(
    "name", ["token", "access_token", "password", "passwd", "Authorization", "api_key", "X-Api-Key", "cookie", "secret"]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_under_a_secret_name_is_hidden(
    log: logging.Logger, capsys: pytest.CaptureFixture[str], form: Any, name: str
) -> None:
    configure("INFO", form)
    log.info("asked", extra={"headers": {name: CANARY, "inner": [{name: [CANARY]}]}, name: CANARY})
    (line,) = lines(capsys)
    assert (CANARY in line, "***" in line) == (False, True)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        f"401 for Authorization: Bearer {CANARY}",
        f"cannot reach postgresql+psycopg://me:{CANARY}@db/clearfacts",
        f"it quoted {CANARY}, the fool",
    ],
)
def test_a_secret_inside_a_text_is_hidden(
    log: logging.Logger, capsys: pytest.CaptureFixture[str], form: Any, text: str
) -> None:
    configure("INFO", form, secrets=[CANARY] if "quoted" in text else [])
    log.info("%s", text, extra={"again": text, "deep": [{"er": text}]})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    written = capsys.readouterr().err
    assert (CANARY in written, "ValueError" in written) == (False, True)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_value_is_hidden_under_any_name(
    log: logging.Logger, capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    configure("INFO", form)
    log.info("have %s", SecretStr(CANARY), extra={"given": SecretStr(CANARY), "all": (SecretStr(CANARY),)})
    assert CANARY not in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_can_write_a_second_record_into_the_first(
    log: logging.Logger, capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    configure("INFO", form)
    log.info("customer %s", FORGED, extra={"supplier": FORGED, "nested": {FORGED: [FORGED]}})
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert [character for character in written if ord(character) < 32 and character != "\n"] == []
    assert "\u202e" not in written


def test_in_text_a_traceback_cannot_pass_for_a_record(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "text")
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("  | ") for line in rest)


def test_in_json_a_traceback_stays_in_its_record(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("failed")
    found = record(capsys)
    assert "ValueError: two\nlines" in found["error.stack_trace"]


def test_the_correlation_id_is_on_every_line_inside(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    with correlated("c-1"):
        log.info("inside")
    log.info("outside")
    inside, outside = map(json.loads, lines(capsys))
    assert (inside["clearfacts"], "clearfacts" in outside, "trace.id" in outside) == (
        {"correlation_id": "c-1"},
        False,
        False,
    )


def test_a_value_that_holds_itself_ends(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    endless: dict[str, Any] = {}
    endless["again"] = endless
    log.info("deep", extra={"value": endless})
    assert 0 < str(record(capsys)["clearfacts"]["value"]).count("again") <= DEEPEST + 2
