"""The audit of known weaknesses: names them, and says plainly when it could not ask."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
Answer = tuple[int, bytes]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    found = importlib.util.spec_from_file_location("audit", PROJECT / ".ci" / "audit.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


@pytest.fixture
def service() -> Iterator[Callable[[Callable[[list[Any]], Answer]], str]]:
    """An advisory service that answers as it is told."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[list[Any]], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


def results(queries: list[Any], weak: str = "") -> Answer:
    told = [{"vulns": [{"id": "X-2"}, {"id": "X-1"}]} if one["package"]["name"] == weak else {} for one in queries]
    return 200, json.dumps({"results": told}).encode()


def test_every_pinned_package_is_asked_about_and_a_weak_one_is_named(
    audit: ModuleType, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = audit.pinned((PROJECT / "requirements.lock").read_text(encoding="utf-8"))
    assert len(pinned) == len(dict(pinned)) > 150
    assert audit.main(["--service", service(results)]) == 0
    assert f"{len(pinned)} packages asked about, weaknesses known of 0" in capsys.readouterr().out
    assert audit.main(["--service", service(lambda queries: results(queries, "httpx"))]) == 1
    assert f"httpx {dict(pinned)['httpx']}: X-1, X-2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: (503, b""),
        lambda _: (200, b"<html>a proxy's page</html>"),
        lambda _: (200, b"[]"),
        lambda queries: (200, json.dumps({"results": [{}] * (len(queries) - 1)}).encode()),
    ],
    ids=["refuses", "is no JSON", "is another JSON", "leaves some out"],
)
def test_where_there_is_no_whole_answer_it_says_that_it_could_not_ask(
    audit: ModuleType, service: Any, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(["--service", service(answer)]) == 2
    told = capsys.readouterr()
    assert "COULD NOT ASK" in told.err
    assert "this is no pass" in told.err
    assert told.out == ""


def test_where_nobody_is_reached_it_says_that_it_could_not_ask(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(["--service", "http://127.0.0.1:9"]) == 2
    assert "COULD NOT ASK" in capsys.readouterr().err
