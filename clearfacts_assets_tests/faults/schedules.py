"""Random scenes from seeds: documents, workers that die, a Clearfacts that misbehaves, a database that lets go."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from sqlalchemy import text

from clearfacts_assets.simulator.faults import BAD_RECORDS
from clearfacts_assets_tests.faults.papers import Paper, papers
from clearfacts_assets_tests.faults.stage import Stage, new_run
from clearfacts_assets_tests.faults.worker import AFTER_RETRIEVAL, FAILED, Worker

ERP_SHARE, SLACK_SHARE = 0.2, 0.1  # of the scenes
MOST_PAPERS, MOST_ACTS, MOST_WORKERS, MOST_FAULTS, MOST_DECISIONS = 9, 3, 3, 4, 3
DEADLINE = (
    0.25  # seconds of a call on a bad day; on the good day that follows, a slow machine has all the time it needs
)

Disturbance = dict[str, Any]

# What Clearfacts does wrong: as the simulator's switches have it. ``times`` and ``after`` are drawn.
FAULTS: tuple[Disturbance, ...] = (
    {"kind": "down"},
    {"kind": "status", "status": 429, "retry_after": "0"},
    {"kind": "status", "status": 429, "retry_after": "date+1"},
    {"kind": "status", "status": 429, "retry_after": "date-5"},
    {"kind": "status", "status": 429, "retry_after": "absurd"},
    {"kind": "status", "status": 429, "retry_after": "soon"},
    *({"kind": "status", "status": status} for status in (400, 401, 403, 404, 409, 422, 500, 502, 503, 504)),
    {"kind": "status", "status": 500, "body": "html"},
    {"kind": "status", "status": 503, "body": "empty", "retry_after": "0"},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "slow", "interval": 0.05, "chunk": 3},
    {"kind": "delay", "seconds": 0.1},
    {"kind": "delay", "seconds": 0.3},
    {"kind": "hang"},
    {"kind": "expired_token"},
    {"kind": "accept_then_drop"},
    {"kind": "accept_then_500"},
    {"kind": "accept_then_truncate"},
    {"kind": "accept_then_malformed"},
    {"kind": "accept_then_hang"},
)
ERP_FAULTS: tuple[Disturbance, ...] = (
    {"kind": "down"},
    {"kind": "status", "status": 429, "retry_after": "0"},
    {"kind": "status", "status": 429, "retry_after": "absurd"},
    *({"kind": "status", "status": status} for status in (401, 403, 404, 500, 502, 503, 504)),
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "slow", "interval": 0.05, "chunk": 100},
    {"kind": "delay", "seconds": 0.1},
    {"kind": "hang"},
    {"kind": "looping_cursor"},
    {"kind": "repeated_rows", "rows": 2},
    {"kind": "edited_between_pages"},
    {"kind": "empty_day"},
    {"kind": "wrong_token"},
    *({"kind": "bad_record", "variant": variant, "row": 2} for variant in BAD_RECORDS),
)
SLACK_FAULTS: tuple[Disturbance, ...] = (
    {"kind": "down"},
    {"kind": "status", "status": 429, "retry_after": 3},
    {"kind": "status", "status": 503},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "slack_error", "error": "internal_error"},
    {"kind": "slack_error", "error": "channel_not_found"},
)
GRAPHQL_FAULTS: tuple[Disturbance, ...] = ({"kind": "graphql_errors"}, {"kind": "bad_uuid"})
REST_FAULTS: tuple[Disturbance, ...] = ({"kind": "bad_uuid"},)
# Only uploads are disturbed by these; the others also strike look-ups.
SLOW_KINDS = frozenset({"slow", "delay", "hang", "accept_then_hang"})


@dataclass(frozen=True)
class Act:
    """Some workers at once, on a bad day."""

    workers: tuple[Worker, ...]
    faults: tuple[Disturbance, ...]
    erp_faults: tuple[Disturbance, ...]
    slack_faults: tuple[Disturbance, ...]
    database: str  # "", lost (connections are cut) or busy (somebody holds the lock for a while)
    database_after: float  # seconds


@dataclass(frozen=True)
class Scene:
    """All that a seed means."""

    seed: int
    transport: str
    papers: tuple[Paper, ...]
    acts: tuple[Act, ...]
    from_erp: bool  # documents are retrieved over HTTP, from an ERP that has bad days too
    tells: bool  # what jobs come to is told to a Slack that has bad days too


def scene_of(seed: int, transport: str, series: str = "") -> Scene:
    """The same for the same seed of a series, whatever machine plays it."""
    draw, further = Random(f"{seed} {transport}{series}"), Random(f"{seed} {transport}{series} further systems")
    documents = _documents(draw)
    from_erp, tells = further.random() < ERP_SHARE, further.random() < SLACK_SHARE
    acts = [_act(draw, documents, transport) for _ in range(draw.randint(1, MOST_ACTS))]
    if from_erp:
        acts = [_with(act, further, "erp_faults", ERP_FAULTS, from_erp=True) for act in acts]
    if tells:
        acts = [_with(act, further, "slack_faults", SLACK_FAULTS, tells=True) for act in acts]
    return Scene(seed, transport, tuple(documents), tuple(acts), from_erp, tells)


def _with(act: Act, draw: Random, name: str, kinds: Sequence[Disturbance], **for_workers: bool) -> Act:
    """The act with one more system in it, and what that one does wrong."""
    faults = tuple(
        {**draw.choice(kinds), "after": draw.randint(0, 2), "times": draw.randint(1, 3)}
        for _ in range(draw.randint(0, 2))
    )
    workers = tuple(replace(worker, **for_workers) for worker in act.workers)  # type: ignore[arg-type]
    if name == "erp_faults":  # with several pages, there is something between them
        workers = tuple(replace(one, crash_at="page") if one.crash_at == "stored" else one for one in workers)
    return replace(act, workers=workers, **{name: faults})


def _documents(draw: Random) -> list[Paper]:
    documents = papers(draw.randint(3, MOST_PAPERS))
    for paper in list(documents):
        chance = draw.random()
        if chance < 0.08:  # the same document under another id of the ERP
            documents.append(replace(paper, erp_id=f"{paper.erp_id}-copy"))
        elif chance < 0.16:  # the same number with other content
            documents.append(replace(paper, erp_id=f"{paper.erp_id}-changed", version=2))
        elif chance < 0.24:  # the same number from another supplier
            documents.append(replace(paper, erp_id=f"{paper.erp_id}-other", supplier="BE0987654394"))
    return documents


def _act(draw: Random, documents: Sequence[Paper], transport: str) -> Act:
    workers = tuple(drawn_worker(draw, documents) for _ in range(draw.choice((1, 1, 2, MOST_WORKERS))))
    kinds = FAULTS + (GRAPHQL_FAULTS if transport == "graphql" else REST_FAULTS)
    faults = tuple(drawn_fault(draw, draw.choice(kinds)) for _ in range(draw.randint(0, MOST_FAULTS)))
    database = draw.choice(("", "", "", "", "lost", "busy"))
    return Act(workers, faults, (), (), database, draw.uniform(0.01, 0.15))


def drawn_fault(draw: Random, kind: Disturbance) -> Disturbance:
    fault = {**kind, "after": draw.randint(0, 3), "times": draw.randint(1, 4)}
    if kind["kind"] in SLOW_KINDS:
        fault["times"] = draw.randint(1, 2)
    if kind["kind"] in SLOW_KINDS or draw.random() < 0.7:
        fault["match"] = {"operation": "upload"}
    return fault


def drawn_worker(draw: Random, documents: Sequence[Paper]) -> Worker:
    some = [paper for paper in documents if draw.random() < 0.9]
    draw.shuffle(some)
    ending: dict[str, Any] = draw.choice(
        (
            {},
            {"crash_at": draw.choice(AFTER_RETRIEVAL), "crash_after": draw.randint(0, 3)},
            {"kill_after": draw.uniform(0.0, 0.08)},
            {"stop_after": draw.uniform(0.0, 0.08)},
        )
    )
    identity = "".join(draw.choices("0123456789abcdef", k=32))
    return Worker(
        identity,
        tuple(some),
        concurrency=draw.randint(1, 6),
        batch=draw.randint(1, 6),
        attempts=draw.randint(2, 5),
        lease=draw.choice((0.05, 30.0, 30.0, 30.0)),
        patience=draw.choice((0.05, 0.3)),
        deadline=DEADLINE,
        **ending,
    )


def play(scene: Scene, stage: Stage) -> Counter[str]:
    """Play a scene to its end and check what must hold. Returns which faults struck how often."""
    stage.clear()
    stage.transport = scene.transport
    if scene.from_erp:
        stage.fill_the_erp(scene.papers)
    struck: Counter[str] = Counter({"scenes with an ERP": scene.from_erp, "scenes with Slack": scene.tells})
    for act in scene.acts:
        play_act(act, stage, struck)
    deciding_run(scene, stage)
    stage.check(scene.papers)
    for _ in range(MOST_DECISIONS):  # what was decided may bring up another revision
        if not stage.decide():
            break
        deciding_run(scene, stage)
    stage.check_all_delivered(scene.papers)
    if scene.tells:
        stage.check_all_told()
    return struck


def deciding_run(scene: Scene, stage: Stage) -> None:
    """A run on a good day, told of all that died before."""
    end = stage.run(scene.papers, attempts=20, from_erp=scene.from_erp, tells=scene.tells)
    assert end == 0, "a run on a good day failed"


def play_act(act: Act, stage: Stage, struck: Counter[str]) -> None:
    known_dead = tuple(stage.dead)
    workers = [replace(worker, run_id=new_run(), dead_run_ids=known_dead) for worker in act.workers]
    for target, faults in (("clearfacts", act.faults), ("erp", act.erp_faults), ("slack", act.slack_faults)):
        for fault in faults:
            stage.simulator.fault(target, **fault)
    with _disturbed(act, stage):
        ends = stage.play(*workers)
    stage.watch_final_states()
    for worker, end in zip(workers, ends, strict=True):
        struck[_ending_of(worker, end)] += 1
        assert end != FAILED or act.database == "lost", f"{worker} failed"
    for fault in stage.simulator.faults().values():
        detail = fault.get("status") or fault.get("variant") or fault.get("error") or ""
        struck[f"{fault['target']}: {fault['kind']} {detail}".rstrip()] += fault["applied"]
    if act.database:
        struck[f"database {act.database}"] += 1
    stage.simulator.clear_faults()


def _ending_of(worker: Worker, end: int) -> str:
    if end < 0:
        return f"killed at {worker.crash_at}" if worker.crash_at else "killed any time"
    if end == FAILED:
        return "failed"
    return "told to stop" if worker.stop_after else "worked to its end"


@contextmanager
def _disturbed(act: Act, stage: Stage) -> Iterator[None]:
    if not act.database:
        yield
        return
    disturb: Callable[[Stage], None] = _cut_connections if act.database == "lost" else _hold_the_lock
    thread = threading.Timer(act.database_after, disturb, [stage])
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _cut_connections(stage: Stage) -> None:
    """PostgreSQL ends all connections but ours; SQLite has none to lose."""
    if stage.engine.dialect.name != "postgresql":
        _hold_the_lock(stage)
        return
    with stage.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def _hold_the_lock(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        if stage.engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
        time.sleep(0.1)
