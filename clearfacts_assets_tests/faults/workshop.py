"""Worker processes that are made in milliseconds.

``Workshop`` has a process that runs ``serve`` with everything imported. For each worker it forks a child.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import ssl
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.faults.papers import Paper, papers
from clearfacts_assets_tests.faults.worker import FAILED, Place, Worker, work
from clearfacts_assets_tests.fixtures.forked import Forked

LONGEST_SECONDS = 240  # a worker that hangs shows where, and ends


class Workshop:
    """The process that forks workers; one at a time may ask it."""

    def __init__(self) -> None:
        self.log = tempfile.NamedTemporaryFile("w+", prefix="clearfacts-workers-", suffix=".log", delete=False)  # noqa: SIM115
        reads, asks = os.pipe()
        hears, answers = os.pipe()
        self._process = Forked(serve, files=[reads, answers, self.log.fileno()])
        os.close(reads)
        os.close(answers)
        self._questions, self._answers = open(asks, "w"), open(hears)  # noqa: SIM115 - closed at the end

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._questions.close()
        self._process.wait()
        self._answers.close()
        self.log.close()
        os.unlink(self.log.name)

    def run(self, place: Place, workers: Sequence[Worker]) -> list[int]:
        """All at once. Returns how each ended: 0, FAILED, or minus the signal that killed it."""
        ends: list[int] = self._ask([asdict(place), [asdict(worker) for worker in workers]])
        return ends

    def warm_up(self, place: Place) -> None:
        """The forking process has done a delivery on a database of this kind: its children find statements compiled."""
        self._ask([asdict(place), []])

    def _ask(self, question: Any) -> Any:
        self._questions.write(json.dumps(question) + "\n")
        self._questions.flush()
        return json.loads(self._answers.readline())

    def complaints(self) -> str:
        """What workers wrote to standard error since the last time."""
        self.log.seek(self._read if hasattr(self, "_read") else 0)
        text = self.log.read()
        self._read = self.log.tell()
        return text


def serve() -> None:
    """What the process does that is forked."""
    context = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: context  # type: ignore[assignment]  # 25 ms each, and never used here
    engines: dict[str, Engine] = {}  # by their addresses
    warm: dict[str, Engine] = {}  # the first one of each kind
    for line in sys.stdin:
        place, workers = json.loads(line)
        where = Place(**place)
        if where.database_url not in engines:
            engines[where.database_url] = engine = open_engine(where.database_url)
            if engine.name in warm:
                _knows_what(engine, warm[engine.name])
            else:
                _warm_up(where, engine)
                warm[engine.name] = engine
        engine = engines[where.database_url]
        children = [_fork(where, Worker(**(one | _papers_of(one))), engine) for one in workers]
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(ends), flush=True)  # noqa: T201


def _warm_up(place: Place, engine: Engine) -> None:
    """One delivery, after which every statement is compiled; what is in memory then stays, and is not garbage."""
    work(place, Worker(str(uuid4()), papers(2, "warm")), engine)
    engine.dispose()
    gc.collect()
    gc.freeze()


def _knows_what(engine: Engine, other: Engine) -> None:
    """Of a database of the same kind it knows the version, and every statement that was compiled."""
    engine.dialect, engine._compiled_cache = other.dialect, other._compiled_cache


def _papers_of(worker: dict[str, Any]) -> dict[str, Any]:
    return {"papers": [Paper(**paper) for paper in worker["papers"]]}


def _fork(place: Place, worker: Worker, engine: Engine) -> int:
    pid = os.fork()
    if pid == 0:
        code = FAILED
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the answers to the stage are not for workers to write
        faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
        try:
            work(place, worker, engine)
            code = 0
        except BaseException:  # noqa: BLE001  the parent must see the end, whatever it was
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid
