"""People and the world on real ledgers: the simulator's ERP changes, people decide by old lists, workers are real.

A town is what a seed means: acts of some workers at once, on bad days, and between them what the ERP and people do.
The oracle knows what the simulator accepted and which wishes were made, and what the ledger had put aside before.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord
from clearfacts_assets.invoices.lifecycle import OVER, WAITS_FOR_A_PERSON, ForbiddenTransition, Outdated, State, Verdict
from clearfacts_assets_tests.faults.papers import Paper
from clearfacts_assets_tests.faults.schedules import (
    FAULTS,
    GRAPHQL_FAULTS,
    REST_FAULTS,
    Act,
    drawn_fault,
    drawn_worker,
    play_act,
)
from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.worker import Worker, moment_of

IDS, NUMBERS, MOST_ACTS, MOST_MOVES, MOST_WORKERS, MOST_FAULTS = 4, 3, 4, 5, 2, 3
ROUNDS_TO_REST = 12
CLOCKS = (0.0,) * 8 + (-0.2, 3.0)  # seconds by which the machine is wrong during an act
ASIDE = (State.SUPERSEDED, State.WITHDRAWN, State.WAIVED)


@dataclass(frozen=True)
class Click:
    """A verdict as a client sent it, and may send once more."""

    delivery_id: UUID
    verdict: Verdict
    seen: AsSeen
    wish: str


@dataclass
class Town:
    """What is there, and what is remembered to judge by."""

    draw: Random
    stage: Stage
    erp: dict[str, Paper] = field(default_factory=dict)
    ever: dict[str, Paper] = field(default_factory=dict)  # all that the ERP has shown, by content
    wishes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by invoice
    forced: list[str] = field(default_factory=list)
    covered: set[tuple[str, tuple[str, str]]] = field(default_factory=set)  # forced wishes, with the invoices they name
    lists: list[dict[UUID, DeliveryRecord]] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    by_hand: set[str] = field(default_factory=set)  # contents that somebody uploaded, and said so
    waived: set[tuple[str, str]] = field(default_factory=set)
    struck: Counter[str] = field(default_factory=Counter)
    serial: int = 0

    def play(self) -> Counter[str]:
        self.stage.clear()
        self.stage.people = True
        self.erp_creates()
        self.erp_creates()
        for _ in range(self.draw.randint(2, MOST_ACTS)):
            for _ in range(self.draw.randint(0, MOST_MOVES)):
                move = self.draw.choice(self._moves())
                move()
                self.struck[move.__name__] += 1
            self._act()
        self._comes_to_rest()
        return self.struck

    def _moves(self) -> list[Callable[[], None]]:
        return [
            *(self.erp_creates, self.erp_corrects, self.erp_corrects, self.erp_withdraws, self.erp_renumbers),
            *(self.erp_shows_old_content, self.erp_shows_a_twin, self.transport_changes),
            *(self.person_takes_a_list, self.person_decides, self.person_decides, self.client_repeats),
        ]

    # The ERP

    def _change(self, paper: Paper) -> None:
        self.serial += 1
        paper = replace(paper, changed=3600 + self.serial)
        self.erp[paper.erp_id] = paper
        self.ever[paper.sha256] = paper
        self._show()

    def _show(self) -> None:
        self.stage.simulator.clear_invoices()
        for paper in self.erp.values():
            moment = moment_of(paper)
            assert moment is not None
            self.stage.simulator.inject(paper.erp_id, moment, paper.content.decode())

    def _new_version(self) -> int:
        self.serial += 1
        return self.serial

    def _number(self) -> str:
        return f"F-{self.draw.randrange(NUMBERS):04}"

    def _any(self) -> Paper | None:
        return self.erp[self.draw.choice(sorted(self.erp))] if self.erp else None

    def erp_creates(self) -> None:
        self._change(Paper(f"erp-{self.draw.randrange(IDS)}", self._number(), version=self._new_version()))

    def erp_corrects(self) -> None:
        if paper := self._any():
            self._change(replace(paper, version=self._new_version()))

    def erp_withdraws(self) -> None:
        if paper := self._any():
            del self.erp[paper.erp_id]
            self._show()

    def erp_renumbers(self) -> None:
        if paper := self._any():
            self._change(replace(paper, number=self._number()))

    def erp_shows_old_content(self) -> None:
        if paper := self._any():
            known = sorted((one for one in self.ever.values() if one.key == paper.key), key=lambda one: one.version)
            self._change(replace(self.draw.choice(known), erp_id=paper.erp_id))

    def erp_shows_a_twin(self) -> None:
        if paper := self._any():
            version = paper.version if self.draw.random() < 0.5 else self._new_version()
            self._change(replace(paper, erp_id=f"erp-{self.draw.randrange(IDS)}", version=version))

    # Runs

    def _act(self) -> None:
        clock_off = self.draw.choice(CLOCKS)
        if clock_off:
            self.struck[f"clock: {clock_off:+.1f} s"] += 1
        put_aside = [one for one in self.stage.deliveries() if one.state in ASIDE]
        shown = {paper.sha256 for paper in self.erp.values()}
        before = self.stage.accepted()
        kinds = FAULTS + (GRAPHQL_FAULTS if self.stage.transport == "graphql" else REST_FAULTS)
        drawn = [drawn_fault(self.draw, self.draw.choice(kinds)) for _ in range(self.draw.randint(0, MOST_FAULTS))]
        faults = tuple({**one, "after": self.draw.randint(0, 1)} for one in drawn)  # a town sends little in an act
        workers = tuple(self._worker(clock_off) for _ in range(self.draw.randint(1, MOST_WORKERS)))
        with self._edited_meanwhile():
            play_act(Act(workers, faults, (), (), "", 0.0), self.stage, self.struck)
        self._cover(workers)
        self.stage.simulator.become_quiet()
        shown |= {paper.sha256 for paper in self.erp.values()}
        self._check(before, put_aside, shown)

    def _worker(self, clock_off: float) -> Worker:
        """One of the ways in which a run begins; how it ends is drawn as in all schedules."""
        worker = replace(drawn_worker(self.draw, list(self.erp.values())), of_a_day=True, clock_off=clock_off)
        kind = self.draw.choice(("daily", "daily", "by hand", "forced", "retried", "re-executed", "due"))
        if kind == "retried" and not self.forced:
            kind = "forced"
        if kind == "re-executed" and not self.stage.runs:
            kind = "daily"
        self.struck[f"run: {kind}"] += 1
        if kind == "by hand":
            return worker
        if kind == "due":
            return replace(worker, papers=(), of_the_day=True, only_due=True)
        if kind == "re-executed":
            return replace(worker, goes_on_with=self.draw.choice(self.stage.runs))
        if kind == "forced":
            self.forced.append(f"forced {len(self.forced)}")
        wish = self.draw.choice(self.forced) if kind in ("forced", "retried") else ""
        return replace(worker, from_erp=True, of_the_day=True, force=wish)

    @contextmanager
    def _edited_meanwhile(self) -> Iterator[None]:
        """Now and then the ERP changes while runs are under way."""
        if self.draw.random() < 0.7:
            yield
            return
        change = self.draw.choice((self.erp_corrects, self.erp_withdraws, self.erp_renumbers))
        thread = threading.Timer(self.draw.uniform(0.0, 0.1), change)
        thread.start()
        try:
            yield
        finally:
            thread.join()
        self.struck[f"meanwhile: {change.__name__}"] += 1

    def _cover(self, workers: tuple[Worker, ...]) -> None:
        """A forced job is a wish for each invoice that it may have met."""
        for wish in {worker.force for worker in workers if worker.force}:
            for key in {paper.key for paper in self.ever.values()}:
                if (wish, key) not in self.covered:
                    self.covered.add((wish, key))
                    self.wishes[key] += 1

    # People

    def person_takes_a_list(self) -> None:
        self.lists.append({one.id: one for one in self.stage.deliveries()})

    def person_decides(self) -> None:
        if not self.lists or self.draw.random() < 0.5:
            self.person_takes_a_list()
        seen = self.draw.choice(self.lists[-3:])
        open_ones = [one for one in seen.values() if one.state in WAITS_FOR_A_PERSON]
        chosen = open_ones if open_ones and self.draw.random() < 0.8 else list(seen.values())
        if chosen:
            one = self.draw.choice(sorted(chosen, key=lambda record: (record.key.number, record.revision)))
            there = bool(self.stage.accepted()[one.content_sha256]) or one.content_sha256 in self.by_hand
            honest = [Verdict.DELIVERED, Verdict.SEND_AGAIN] if there else [Verdict.RESEND, Verdict.WAIVE]
            self._click(one, self.draw.choice([*honest, Verdict.DELIVERED]))

    def _click(self, one: DeliveryRecord, verdict: Verdict) -> None:
        self.serial += 1
        click = Click(one.id, verdict, AsSeen(one.state, one.generation), f"click {self.serial}")
        self.clicks.append(click)
        self._send(click, new=True)

    def client_repeats(self) -> None:
        if self.clicks:
            self._send(self.draw.choice(self.clicks[-3:]), new=False)

    def _send(self, click: Click, *, new: bool) -> None:
        before = {one.id: one for one in self.stage.deliveries()}
        try:
            became = self.stage.review.resolve(
                click.delivery_id,
                click.verdict,
                reason="seen at Clearfacts",
                actor="a person",
                now=datetime.now(UTC),
                seen=click.seen,
                wish=click.wish,
            )
        except Outdated:
            self.struck["verdict refused: outdated"] += 1
        except ForbiddenTransition:
            self.struck["verdict refused: does not fit"] += 1
        else:
            if not new and became == before[click.delivery_id]:
                self.struck["verdict repeated: nothing happens"] += 1
            else:
                self._note(became, click.verdict)

    def _note(self, one: DeliveryRecord, verdict: Verdict) -> None:
        self.struck[f"verdict: {verdict}"] += 1
        key = self.ever[one.content_sha256].key
        if verdict in (Verdict.RESEND, Verdict.SEND_AGAIN):
            self.wishes[key] += 1
            self.waived.discard(key)
        elif verdict is Verdict.WAIVE:
            self.waived.add(key)
        elif not self.stage.accepted()[one.content_sha256]:
            self.by_hand.add(one.content_sha256)

    def transport_changes(self) -> None:
        self.stage.transport = "rest" if self.stage.transport == "graphql" else "graphql"

    # What must hold

    def _check(self, before: Counter[str], put_aside: list[DeliveryRecord], shown: set[str]) -> None:
        accepted = self.stage.accepted()
        by_key: Counter[tuple[str, str]] = Counter()
        for sha256, count in accepted.items():
            by_key[self.ever[sha256].key] += count  # KeyError: something was accepted that nobody sent
        twice = {key: count for key, count in by_key.items() if count > 1 + self.wishes[key]}
        assert not twice, f"accepted more often than wished: {twice}, wishes {self.wishes}"
        for record in self.stage.deliveries():
            there = accepted[record.content_sha256] or record.content_sha256 in self.by_hand
            assert record.state is not State.DELIVERED or there, f"never accepted: {record}"
            tells = record.state not in (*WAITS_FOR_A_PERSON, *ASIDE, State.REJECTED) or record.reason
            assert tells, f"nobody is told why: {record}"
        for record in put_aside:
            sha256 = record.content_sha256
            if accepted[sha256] > before[sha256] and sha256 not in shown:
                assert self.wishes[self.ever[sha256].key], f"outdated, and it left: {record}"

    def _comes_to_rest(self) -> None:
        """Honest people decide and runs go on, on good days, until nothing is due: then nothing is nowhere."""
        for _ in range(ROUNDS_TO_REST):
            end = self.stage.run((), attempts=20, from_erp=True, of_the_day=True, of_a_day=True)
            assert end == 0, "a run on a good day failed"
            self._check(self.stage.accepted(), [], set())
            deliveries = self.stage.deliveries()
            if all(one.state in OVER for one in deliveries):
                break
            for one in deliveries:
                if one.state in WAITS_FOR_A_PERSON:
                    self._decide_in_the_end(one)
        else:
            raise AssertionError(f"does not come to rest: {self.stage.deliveries()}")
        self._nothing_is_nowhere()

    def _decide_in_the_end(self, seen: DeliveryRecord) -> None:
        (one,) = [record for record in self.stage.deliveries() if record.id == seen.id]
        if one.state not in WAITS_FOR_A_PERSON:
            return
        accepted, key = self.stage.accepted(), self.ever[one.content_sha256].key
        if accepted[one.content_sha256] or one.content_sha256 in self.by_hand:
            verdict = Verdict.DELIVERED
        elif key in self.waived or self._arrived(key, accepted):
            verdict = Verdict.WAIVE
        else:
            verdict = Verdict.RESEND
        self._click(one, verdict)

    def _arrived(self, key: tuple[str, str], accepted: Counter[str]) -> bool:
        return any(paper.key == key and (accepted[sha] or sha in self.by_hand) for sha, paper in self.ever.items())

    def _nothing_is_nowhere(self) -> None:
        accepted = self.stage.accepted()
        states: dict[tuple[str, str], set[State]] = {}
        for one in self.stage.deliveries():
            states.setdefault(self.ever[one.content_sha256].key, set()).add(one.state)
        for paper in self.erp.values():
            decided = paper.key in self.waived or State.REJECTED in states.get(paper.key, set())
            assert decided or self._arrived(paper.key, accepted), f"lost: {paper}, stands as {states}"
        assert not self.stage.rows_left(), f"rows that wait for what is over: {self.stage.rows_left()}"


def play_town(seed: int, transport: str, stage: Stage, series: str = "") -> Counter[str]:
    """Play a town to its end and check what must hold. Returns what happened how often."""
    stage.transport = transport
    return Town(Random(f"{seed} {transport}{series} people"), stage).play()
