"""A small world around a ledger in memory: an ERP that changes its mind, a Clearfacts that may lose its answers, people
with old lists, runs that die and come back. Thousands of schedules a minute.

The oracle knows only what Clearfacts has accepted, what the ledger was told, and which wishes were made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from uuid import UUID, uuid5

from clearfacts_assets.invoices.delivery.outcomes import Pace, judged, judged_after_look_up
from clearfacts_assets.invoices.ledger.model import AsSeen, Candidate, DeliveryRecord, Force, Settlement
from clearfacts_assets.invoices.lifecycle import (
    OVER,
    WAITS_FOR_A_PERSON,
    Event,
    ForbiddenTransition,
    State,
    Verdict,
)
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import Accepted, Denied, NotSent, Outcome, Refused, Unknown
from clearfacts_assets_tests.faults.oracle import Call, Clearfacts, Oracle, Run, Told, Violation
from clearfacts_assets_tests.fixtures.memory_ledger import MemoryLedger
from clearfacts_assets_tests.fixtures.submissions import invoice

DAY, NAMESPACE = "2026-11-20", UUID(int=20)
BEGIN = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
PACE = Pace(attempts=3, lease=100.0, first_pause=1.0, longest_pause=8.0)
NUMBERS, IDS, ACTS = 3, 4, 45
ROUNDS_TO_REST = 60


class World(Oracle):
    """One schedule. ``play`` raises Violation where the promise is broken."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = BEGIN
        self.ledger = MemoryLedger(lambda: self.now)
        self.clearfacts = Clearfacts(self.random.choice(["graphql", "rest"]))
        self.erp: dict[str, tuple[str, str, datetime]] = {}  # id: number, content, changed
        self.runs: list[Run] = []
        self.calls: list[Call] = []
        self.late: list[Settlement] = []
        self.lists: list[dict[UUID, DeliveryRecord]] = []  # as people saw them
        self.told: dict[str, Told] = {}
        self.before: defaultdict[str, list[str]] = defaultdict(list)  # id: keys that it was, and had arrived by then
        self.wishes: Counter[str] = Counter()  # by key: how many times people wished that it be sent
        self.waived: set[str] = set()
        self.known: set[UUID] = set()  # versions that were known to be accepted
        self.struck: Counter[str] = Counter()
        self.serial = 0

    # The schedule

    def play(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (4, self.erp_creates),
            (4, self.erp_corrects),
            (2, self.erp_withdraws),
            (1, self.erp_renumbers),
            (1, self.erp_shows_old_content),
            (1, self.erp_shows_a_twin),
            (8, self.starts_a_daily_run),
            (2, self.starts_a_run_by_hand),
            (2, self.starts_a_forced_run),
            (2, self.retries_a_forced_run),
            (2, self.re_executes),
            (3, self.starts_what_is_due),
            (14, self.run_sends),
            (12, self.answer_arrives),
            (2, self.run_dies),
            (2, self.late_answer_arrives),
            (3, self.person_takes_a_list),
            (5, self.person_decides),
            (1, self.receiver_is_gone),
            (1, self.receiver_is_back),
            (3, self.time_passes),
            (1, self.clock_steps_back),
            (1, self.transport_changes),
        ]
        weights = [weight for weight, _ in acts]
        self.erp_creates()
        for _ in range(ACTS):
            (act,) = self.random.choices([one for _, one in acts], weights)
            act()
            self.struck[act.__name__] += 1
            self.check()
        self.comes_to_rest()

    # The ERP

    def _content(self) -> str:
        self.serial += 1
        return f"content {self.serial}"

    def _change(self, source_id: str, number: str, content: str) -> None:
        self.now += timedelta(seconds=1)
        self.erp[source_id] = (number, content, self.now)

    def erp_creates(self) -> None:
        self._change(f"E{self.random.randrange(IDS)}", f"F-{self.random.randrange(NUMBERS)}", self._content())

    def erp_corrects(self) -> None:
        if self.erp:
            source_id = self.random.choice(sorted(self.erp))
            self._change(source_id, self.erp[source_id][0], self._content())

    def erp_withdraws(self) -> None:
        if self.erp:
            del self.erp[self.random.choice(sorted(self.erp))]

    def erp_renumbers(self) -> None:
        if self.erp:
            source_id = self.random.choice(sorted(self.erp))
            number = f"F-{self.random.randrange(NUMBERS)}"
            content = self._content() if self.random.random() < 0.5 else f"{self.erp[source_id][1]} as {number}"
            self._change(source_id, number, content)

    def erp_shows_old_content(self) -> None:
        if self.erp and self.told:
            source_id = self.random.choice(sorted(self.erp))
            number = self.erp[source_id][0]
            known = [one.content_sha256 for one in self.ledger.records() if one.key.number == number]
            if known:
                self._change(source_id, number, self.random.choice(known))

    def erp_shows_a_twin(self) -> None:
        if self.erp:
            number, content, _ = self.erp[self.random.choice(sorted(self.erp))]
            same = self.random.random() < 0.5
            self._change(f"E{self.random.randrange(IDS)}", number, content if same else self._content())

    # Runs

    def _candidate(self, source_id: str) -> Candidate:
        number, content, changed = self.erp[source_id]
        digest = content if len(content) == 64 else sha256(f"{number} {content}".encode()).hexdigest()
        self.serial += 1
        return Candidate(
            uuid5(NAMESPACE, f"row {self.serial}"),
            source_id,
            invoice(number),
            content.encode(),
            digest,
            updated_at=changed,
            retrieved_at=self.now,
            day=DAY,
        )

    def _run(self, rows: list[Candidate], force: Force | None = None, *, whole: bool = False) -> None:
        self.serial += 1
        run = Run(uuid5(NAMESPACE, f"run {self.serial}"), [], rows=rows, force=force)
        self.runs.append(run)
        self.ledger.expire([one.id for one in self.runs if not one.alive])
        self._settle_unknown()
        order = rows[:]
        self.random.shuffle(order)
        if whole:
            self.ledger.gave(run.id, {one.invoice_id for one in rows})
            self.ledger.withdraw(run.id, DAY)
            for source_id, told in self.told.items():
                told.withdrawn = told.withdrawn or source_id not in {one.invoice_id for one in rows}
        for first in range(0, len(order), 2):
            self._register(run, order[first : first + 2])
            if self.random.random() < 0.05:
                run.alive = False
                return

    def _register(self, run: Run, batch: list[Candidate]) -> None:
        if run.force is not None:
            for digest in {InvoiceKey.of(one.invoice, "clearfacts").digest for one in batch}:
                if (run.force.request, digest) not in self._forced:
                    self._forced.add((run.force.request, digest))
                    self.wishes[digest] += 1
        for one in batch:
            self._tell(one)
        answers = self.ledger.register(run.id, "clearfacts", batch, run.force)
        run.todo += [one.delivery.id for one in answers if one.delivery.id not in run.todo]
        for one in answers:
            if one.event in (Event.RESENT, Event.SENT_AGAIN):
                self.waived.discard(one.delivery.key.digest)  # force is a person's word, too, and the last one counts

    @property
    def _forced(self) -> set[tuple[str, str]]:
        if not hasattr(self, "_forced_keys"):
            self._forced_keys: set[tuple[str, str]] = set()
        return self._forced_keys

    def starts_a_daily_run(self) -> None:
        self._run([self._candidate(source_id) for source_id in sorted(self.erp)], whole=True)

    def starts_a_run_by_hand(self) -> None:
        if self.erp:
            self._run([self._candidate(self.random.choice(sorted(self.erp)))])

    def starts_a_forced_run(self) -> None:
        self.serial += 1
        force = Force("a person", "they lost it", f"wish {self.serial}")
        self._run([self._candidate(source_id) for source_id in sorted(self.erp)], force)

    def retries_a_forced_run(self) -> None:
        forced = [run for run in self.runs if run.force is not None]
        if forced:
            wish = self.random.choice(forced).force
            self._run([self._candidate(source_id) for source_id in sorted(self.erp)], wish)

    def re_executes(self) -> None:
        """From failure: on the rows that the run took, whatever the ERP has now."""
        if self.runs:
            run = self.random.choice(self.runs)
            self._run([one for one in run.rows if one.delivery_id is None], run.force)

    def starts_what_is_due(self) -> None:
        self._run([])
        run = self.runs[-1]
        run.todo = [one.id for one in self.ledger.records() if one.state in (State.READY, State.WAITING)]

    def run_dies(self) -> None:
        alive = [run for run in self.runs if run.alive]
        if alive:
            self.random.choice(alive).alive = False

    def _settle_unknown(self) -> None:
        self.ledger.park_foreign("clearfacts", self.clearfacts.transport)
        for one in self.ledger.unknown("clearfacts", 100):
            answer: Accepted | Unknown | None = None
            if self.clearfacts.can_look_up:
                known = self.clearfacts.keys.get(one.idempotency_key)
                answer = Accepted(known) if known else None
                if self.random.random() < 0.1:
                    answer = Unknown("no answer")
            settlement = judged_after_look_up(answer, one, self.clearfacts, PACE)  # type: ignore[arg-type]
            if settlement is None:
                return
            self.ledger.settle([settlement])

    # Clearfacts

    def run_sends(self) -> None:
        working = [run for run in self.runs if run.alive and run.todo]
        if not working:
            return
        run = self.random.choice(working)
        delivery_id = run.todo.pop(self.random.randrange(len(run.todo)))
        was = self.ledger.states([delivery_id])[delivery_id]
        claimed = self.ledger.claim(run.id, [delivery_id], PACE.lease, self.clearfacts.transport)
        for one in claimed:
            self._may_leave(was)
            self.calls.append(Call(run, one, self._answer(one)))

    def _answer(self, one: DeliveryRecord) -> Outcome:
        kind = self.random.choices(
            ["accepted", "refused", "busy", "lost but there", "lost", "denied", "released"], [10, 3, 2, 3, 2, 1, 1]
        )[0]
        self.struck[f"answer: {kind}"] += 1
        if kind in ("accepted", "lost but there"):
            document_id = self.clearfacts.take(one.key.digest, one.content_sha256, one.idempotency_key)
            return Accepted(document_id) if kind == "accepted" else Unknown("connection lost")
        if kind == "refused" and one.idempotency_key not in self.clearfacts.keys:
            return Refused("WRONG", "what it is")
        if kind == "busy":
            return NotSent("429", retry_after=float(self.random.choice([0, 5])))
        return Denied("401") if kind == "denied" else Unknown("no answer")

    def answer_arrives(self) -> None:
        if not self.calls:
            return
        call = self.calls.pop(self.random.randrange(len(self.calls)))
        said = judged(call.outcome, call.delivery, self.clearfacts, PACE)  # type: ignore[arg-type]
        if not call.run.alive and self.random.random() < 0.7:
            self.late.append(said)  # a process that slept, or a message that was on its way
            return
        self._settle(said, call.run)

    def _settle(self, said: Settlement, run: Run | None = None) -> None:
        record = self.ledger.settle([said]).get(said.delivery_id)
        if said.events[0] is Event.ACCEPTED:
            self.known.add(said.delivery_id)
        if run is not None and record is not None and record.state in (State.READY, State.WAITING):
            run.todo.append(record.id)

    def late_answer_arrives(self) -> None:
        if self.late:
            self._settle(self.late.pop(self.random.randrange(len(self.late))))

    def receiver_is_gone(self) -> None:
        waiting = [one.id for one in self.ledger.records() if one.state in (State.READY, State.WAITING)]
        if waiting:
            self.ledger.hold({self.random.choice(waiting): "no administration"})

    def receiver_is_back(self) -> None:
        self.ledger.release([one.id for one in self.ledger.records() if one.held_for == "receiver"])

    def transport_changes(self) -> None:
        self.clearfacts.transport = "graphql" if self.clearfacts.transport == "rest" else "rest"

    # Time and people

    def time_passes(self) -> None:
        self.now += timedelta(seconds=self.random.choice([1, 10, 200]))

    def clock_steps_back(self) -> None:
        self.now -= timedelta(seconds=3)

    def person_takes_a_list(self) -> None:
        self.lists.append({one.id: one for one in self.ledger.records()})

    def person_decides(self) -> None:
        if not self.lists:
            self.person_takes_a_list()
        seen = self.random.choice(self.lists[-4:])
        open_ones = [one for one in seen.values() if one.state in WAITS_FOR_A_PERSON]
        others = list(seen.values())
        chosen = open_ones if open_ones and self.random.random() < 0.8 else others
        if chosen:
            one = self.random.choice(sorted(chosen, key=lambda record: (record.key.number, record.revision)))
            self._decide(one, self.random.choice([*self._honest(one), None]))

    def _honest(self, one: DeliveryRecord) -> list[Verdict]:
        """What somebody who looks at Clearfacts may say."""
        if self.clearfacts.has(one.key.digest, one.content_sha256):
            return [Verdict.DELIVERED] if one.state is not State.DELIVERED else [Verdict.SEND_AGAIN]
        return [Verdict.RESEND, Verdict.WAIVE]

    def _decide(self, one: DeliveryRecord, verdict: Verdict | None) -> None:
        if verdict is None:  # it was uploaded by hand
            verdict = Verdict.DELIVERED
        repeated = self.random.random() < 0.3
        self.serial += 1
        for _ in range(2 if repeated else 1):
            wish = f"click {self.serial}"
            granted = any(name == wish for name, _ in self.ledger.wishes)
            try:
                self.ledger.resolve(one.id, verdict, seen=AsSeen(one.state, one.generation), wish=wish)
            except ForbiddenTransition:
                self.struck["verdicts refused"] += 1
                return
            if not granted:
                self._noted(one, verdict)

    def comes_to_rest(self) -> None:
        """All answers come, honest people decide, runs go on until nothing is due: then nothing is nowhere."""
        while self.calls:
            self.answer_arrives()
        while self.late:
            self.late_answer_arrives()
        for run in self.runs:
            run.alive = False
        self.check()
        for _ in range(ROUNDS_TO_REST):
            self.now += timedelta(seconds=1000)
            self.starts_a_daily_run()
            self.receiver_is_back()
            self.starts_what_is_due()
            while any(run.alive and run.todo for run in self.runs):
                self.run_sends()
                while self.calls:
                    self.answer_arrives()
            self.check()
            waiting = [one for one in self.ledger.records() if one.state in WAITS_FOR_A_PERSON]
            if not waiting and all(one.state in OVER for one in self.ledger.records()):
                break
            for one in waiting:
                self._decide_in_the_end(one.id)
        else:
            left = [f"{one.key.number} revision {one.revision}: {one.state}" for one in self.ledger.records()]
            raise Violation(f"does not come to rest: {left}")
        self._nothing_is_lost()

    def _decide_in_the_end(self, delivery_id: UUID) -> None:
        one = self.ledger.states([delivery_id])[delivery_id]
        if one.state not in WAITS_FOR_A_PERSON:
            return
        if self.clearfacts.has(one.key.digest, one.content_sha256):
            verdict = Verdict.DELIVERED
        elif self._arrived(one.key.digest) or one.key.digest in self.waived:
            verdict = Verdict.WAIVE
        else:
            verdict = Verdict.RESEND
        try:
            self.ledger.resolve(one.id, verdict, seen=AsSeen(one.state, one.generation))
        except ForbiddenTransition:
            return
        self._noted(one, verdict)
        self.check()
