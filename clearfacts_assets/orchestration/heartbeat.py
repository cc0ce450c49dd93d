"""The heart of a run: a thread that writes down every few seconds that the run's process lives."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import UUID

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from clearfacts_assets.orchestration.process import this_process
from clearfacts_assets.storage.operations import heartbeats

BEATS = 6  # in the silence after which a run is taken for dead
CONNECT_SECONDS = 5  # for PostgreSQL
LAST_SECONDS = 2.0  # that the run's end waits for a beat under way

logger = logging.getLogger(__name__)


@contextmanager
def beating(
    engine: Engine, run_id: UUID, silence: float, *, on_loss: Callable[[], None] | None = None
) -> Iterator[None]:
    """While this lasts, the run gives BEATS signs of life in ``silence`` seconds. Nothing here ever ends the run,
    but one thing: where it was taken for dead all the same (it was stopped for long, on another machine than the
    watch), its place is another one's by now, and ``on_loss`` is called; by default the process is told to stop.
    """
    over = Event()
    thread = Thread(
        target=_beat,
        args=(engine, run_id, silence / BEATS, over, on_loss or _stop_this_process),
        name=f"heart of {run_id}",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LAST_SECONDS)
        with suppress(SQLAlchemyError):  # then the row stays, for a day
            heartbeats.end(engine, run_id)


def _beat(engine: Engine, run_id: UUID, interval: float, over: Event, on_loss: Callable[[], None]) -> None:
    own, process, number = _own(engine), this_process(), 0
    while True:
        try:
            if not heartbeats.beat(own, run_id, process, number):
                break
            number += 1
        except SQLAlchemyError as error:
            logger.warning("no sign of life of run %s could be written: %s", run_id, type(error).__name__)
        if over.wait(interval):
            return
    if not over.is_set():
        logger.error("run %s was taken for dead; it stops, since another one may have its place", run_id)
        on_loss()


def _own(engine: Engine) -> Engine:
    """A connection that hangs must not keep the next beat from another one: on PostgreSQL each beat has its own."""
    if engine.dialect.name != "postgresql":
        return engine
    limits = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": CONNECT_SECONDS * 1000}
    return create_engine(engine.url, poolclass=NullPool, connect_args=limits)


def _stop_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
