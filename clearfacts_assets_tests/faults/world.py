"""A small world around a ledger in memory: an ERP that changes its mind, a Clearfacts that may lose its answers, people
with old lists, runs at once that die and come back. Thousands of schedules a minute.

What must hold is judged by oracle.py; the ERP's acts stand in erp_acts.py, those of people in people_acts.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid5

from clearfacts_assets.invoices.delivery.outcomes import LeftOpen, Pace, judged, judged_after_look_up
from clearfacts_assets.invoices.delivery.wire import NotCalled
from clearfacts_assets.invoices.ledger.model import Candidate, Claim, DeliveryRecord, Force, Settlement
from clearfacts_assets.invoices.lifecycle import OVER, WAITS_FOR_A_PERSON, Event, State
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import Absent, Accepted, Denied, LookUp, NotSent, Outcome, Refused, Unknown
from clearfacts_assets_tests.faults.erp_acts import DAY, NAMESPACE, SIZES, ErpActs
from clearfacts_assets_tests.faults.oracle import TRANSPORTS, Call, Clearfacts, Destination, Run, Told, Violation
from clearfacts_assets_tests.faults.people_acts import Click, PeopleActs
from clearfacts_assets_tests.fixtures.memory_ledger import MemoryLedger

BEGIN = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
PACE = Pace(attempts=3, lease=100.0, first_pause=1.0, longest_pause=8.0)
ACTS, ROUNDS_TO_REST = (30, 45, 90), 60
ANSWERS = {
    "accepted": 10,
    "refused": 3,
    "busy": 2,
    "lost but there": 3,
    "lost": 2,
    "denied": 1,
    "released": 1,
    "slow": 1,
}
TEMPERS = (0.2, 1.0, 1.0, 3.0)  # in each world some things happen more often than in others
MAY_LEAVE = (State.READY, State.WAITING)


class World(ErpActs, PeopleActs):
    """One schedule. ``play`` raises Violation where the promise is broken."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = BEGIN
        self.ledger = MemoryLedger(lambda: self.now)
        self.clearfacts = Clearfacts(self.random.choice(TRANSPORTS))
        self.numbers, self.ids = self.random.choice(SIZES)
        self.erp: dict[str, tuple[str, str, datetime]] = {}
        self.doubtful: set[str] = set()
        self.runs: list[Run] = []
        self.calls: list[Call] = []
        self.late: list[Settlement] = []
        self.lists: list[dict[UUID, DeliveryRecord]] = []
        self.clicks: list[Click] = []
        self.told: dict[str, Told] = {}
        self.before: defaultdict[str, list[str]] = defaultdict(list)
        self.wishes: Counter[str] = Counter()
        self.forced: set[tuple[str, str]] = set()
        self.made: set[str] = set()
        self.orders: dict[UUID, str] = {}
        self.contents: defaultdict[str, set[str]] = defaultdict(set)
        self.barred: dict[tuple[str, str], bool] = {}
        self.uploads: Counter[tuple[str, str]] = Counter()
        self.waived: set[str] = set()
        self.known: set[UUID] = set()
        self.struck: Counter[str] = Counter()
        self.answers = {kind: weight * self.random.choice(TEMPERS) for kind, weight in ANSWERS.items()}
        self.serial = 0

    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        """What may happen, and how often."""
        return [
            (4, self.erp_creates),
            (4, self.erp_corrects),
            (2, self.erp_withdraws),
            (1, self.erp_renumbers),
            (1, self.erp_shows_old_content),
            (1, self.erp_shows_a_twin),
            (1, self.erp_touches),
            (1, self.validation_doubts),
            (1, self.validation_accepts),
            (7, self.daily_run_starts),
            (2, self.run_by_hand_starts),
            (2, self.forced_run_starts),
            (1, self.forced_run_of_chosen_ids_starts),
            (2, self.forced_run_is_retried),
            (2, self.run_is_re_executed_from_failure),
            (3, self.run_for_what_is_due_starts),
            (6, self.run_registers),
            (14, self.run_sends),
            (12, self.answer_arrives),
            (2, self.somebody_looks_up),
            (2, self.run_dies),
            (2, self.late_answer_arrives),
            (3, self.person_takes_a_list),
            (5, self.person_decides),
            (1, self.person_decides_at_once),
            (1, self.client_repeats),
            (1, self.receiver_is_gone),
            (1, self.receiver_is_back),
            (3, self.time_passes),
            (1, self.clock_steps_back),
            (1, self.transport_changes),
        ]

    def play(self) -> None:
        weights, acts = zip(*self.acts(), strict=True)
        weights = [weight * self.random.choice(TEMPERS) for weight in weights]
        self.erp_creates()
        for _ in range(self.random.choice(ACTS)):
            (act,) = self.random.choices(acts, weights)
            act()
            self.struck[act.__name__] += 1
            self.check()
        self.comes_to_rest()

    # Runs

    def _start(self, rows: list[Candidate], force: Force | None = None, *, whole: bool = False) -> Run:
        self.serial += 1
        left = self.random.sample(rows, len(rows))
        run_id = uuid5(NAMESPACE, f"run {self.serial}")
        run = Run(run_id, self.now, self.clearfacts.destination, rows, force, left, whole=whole)
        self.runs.append(run)
        self.ledger.gave(run.id, {one.invoice_id for one in rows}, self.now)
        self.ledger.expire([one.id for one in self.runs if not one.alive])
        self.ledger.park_foreign("clearfacts", run.destination.transport)
        if self.random.random() < 0.6:  # else other things happen while it goes through its rows
            while run.left or run.whole or run.asks:
                self._goes_on(run)
        return run

    def _goes_on(self, run: Run) -> None:
        """It asks about what is in doubt, says what is missing in the day; then come the rows that it took."""
        if run.asks:
            run.asks = False
            self._settle_unknown(run)
            return
        if run.whole:
            run.whole = False
            self.ledger.withdraw(run.id, DAY)
            self._missed(run)
            return
        size = self.random.randint(1, 3)
        batch, run.left = run.left[:size], run.left[size:]
        if run.force is not None:
            self._wished(run.force, {InvoiceKey.of(one.invoice, "clearfacts").digest for one in batch})
        for one in batch:
            self._tell(one)
        for answer in self.ledger.register(run.id, "clearfacts", batch, run.force):
            if answer.delivery.id not in run.todo:
                run.todo.append(answer.delivery.id)
            if run.force is not None and answer.event in (Event.RESENT, Event.SENT_AGAIN):
                self.struck[f"force: {answer.event}"] += 1
                self._ordered(answer.delivery, run.force.request)

    def _wished(self, force: Force, digests: set[str]) -> None:
        for digest in digests:
            if (force.request, digest) not in self.forced:
                self.forced.add((force.request, digest))
                self.wishes[digest] += 1

    def _all(self) -> list[Candidate]:
        return [self._candidate(source_id) for source_id in sorted(self.erp)]

    def _new_wish(self) -> Force:
        self.serial += 1
        return Force("a person", "they lost it", f"forced {self.serial}")

    def daily_run_starts(self) -> None:
        self._start(self._all(), whole=True)

    def run_by_hand_starts(self) -> None:
        if self.erp:
            self._start([self._candidate(self._any_id())])

    def forced_run_starts(self) -> None:
        self._start(self._all(), self._new_wish(), whole=True)

    def forced_run_of_chosen_ids_starts(self) -> None:
        if self.erp:
            self._start([self._candidate(self._any_id())], self._new_wish())

    def forced_run_is_retried(self) -> None:
        """Or re-executed as a whole: it takes what the ERP has now, under the wish of the first one."""
        forced = [run.force for run in self.runs if run.force is not None]
        if forced:
            self._start(self._all(), self.random.choice(forced), whole=True)

    def run_is_re_executed_from_failure(self) -> None:
        """On the rows that it took, whatever the ERP has now; but for those that are known to be withdrawn."""
        if self.runs:
            run = self.random.choice(self.runs)
            run.alive = False
            withdrawn = {source_id for source_id, told in self.told.items() if told.withdrawn is not None}
            self._start([one for one in run.rows if one.invoice_id not in withdrawn], run.force)

    def run_for_what_is_due_starts(self) -> None:
        run = self._start([])
        run.todo = [one.id for one in self.ledger.records() if one.state in MAY_LEAVE]

    def run_registers(self) -> None:
        working = [run for run in self.runs if run.alive and (run.left or run.whole or run.asks)]
        if working:
            self._goes_on(self.random.choice(working))

    def run_dies(self) -> None:
        alive = [run for run in self.runs if run.alive]
        if alive:
            self.random.choice(alive).alive = False

    # Clearfacts

    def run_sends(self) -> None:
        """What has landed and what may leave next share a transaction."""
        working = [run for run in self.runs if run.alive and run.todo]
        if not working:
            return
        run = self.random.choice(working)
        self.random.shuffle(run.todo)
        chosen, run.todo = run.todo[:2], run.todo[2:]
        landed = [call for call in self.calls if call.run is run][: self.random.randint(0, 2)]
        self.calls = [call for call in self.calls if call not in landed]
        said = [self._said(call) for call in landed]
        claim = Claim(run.id, chosen, PACE.lease, run.destination.transport)
        for settlement in said:
            self._heard(settlement)
        settled, claimed = self.ledger.exchange(said, claim)
        run.todo += [one.id for one in settled.values() if one.state in MAY_LEAVE and one.id not in run.todo]
        for one in claimed:
            self._may_leave(one, run.destination)
            self.calls.append(self._call(run, one))

    def _call(self, run: Run, one: DeliveryRecord) -> Call:
        kind = self.random.choices(list(self.answers), list(self.answers.values()))[0]
        if kind == "refused" and run.destination.knows(one.idempotency_key):
            kind = "lost"
        if kind == "slow" and any(call.lands and call.delivery.id == one.id for call in self.calls):
            kind = "lost"
        self.struck[f"answer: {kind}"] += 1
        if kind in ("accepted", "lost but there"):
            document_id, is_new = run.destination.take(one.key.digest, one.content_sha256, one.idempotency_key)
            if is_new:
                self._uploaded(one)
            return Call(run, one, Accepted(document_id) if kind == "accepted" else Unknown("connection lost"))
        answers: dict[str, Outcome | None] = {
            "refused": Refused("WRONG", "what it is"),
            "busy": NotSent("429", retry_after=float(self.random.choice([0, 5]))),
            "lost": Unknown("no answer"),
            "denied": Denied("401"),
            "released": None,
            "slow": Unknown("nobody knows yet"),
        }
        return Call(run, one, answers[kind], lands=kind == "slow")

    def _said(self, call: Call) -> Settlement:
        if call.outcome is None:
            return Settlement(call.delivery.id, call.delivery.fence, (Event.RELEASED,), "no byte has left")
        if call.lands:
            self._land(call)
        return judged(call.outcome, call.delivery, call.run.destination, PACE)  # type: ignore[arg-type]

    def _land(self, call: Call) -> None:
        one = call.delivery
        document_id, is_new = call.run.destination.take(one.key.digest, one.content_sha256, one.idempotency_key)
        call.outcome = Accepted(document_id)
        if is_new and call.denied:  # nothing protects from a Clearfacts that denies what it takes later
            self.struck["Clearfacts took what it had denied to have"] += 1
            self.wishes[one.key.digest] += 1
        elif is_new:
            self._uploaded(one)

    def answer_arrives(self) -> None:
        if not self.calls:
            return
        call = self.calls.pop(self.random.randrange(len(self.calls)))
        if not call.run.alive and not call.denied and self.random.random() < 0.7:
            self.late.append(self._said(call))  # a process that slept, or a message that was on its way
            return
        record = self._settle(self._said(call))
        if record.state in MAY_LEAVE and record.id not in call.run.todo:
            call.run.todo.append(record.id)

    def _settle(self, said: Settlement) -> DeliveryRecord:
        self._heard(said)
        return self.ledger.settle([said])[said.delivery_id]

    def late_answer_arrives(self) -> None:
        if self.late:
            self._settle(self.late.pop(self.random.randrange(len(self.late))))

    def _settle_unknown(self, run: Run) -> None:
        for one in self.ledger.unknown("clearfacts", 100, run.destination.transport):
            said = self._looked_up(one, run.destination)
            if isinstance(said, LeftOpen):
                return
            self._settle(said)

    def _looked_up(self, one: DeliveryRecord, destination: Destination) -> Settlement | LeftOpen:
        answer: LookUp | NotCalled = NotCalled()
        if destination.can_look_up:
            known = destination.knows(one.idempotency_key)
            answer = Accepted(known) if known else Absent()
            if self.random.random() < 0.1:
                answer = Unknown("no answer")
            for call in self.calls:
                call.denied |= answer == Absent() and call.lands and call.delivery.id == one.id
        return judged_after_look_up(answer, one, destination, PACE)  # type: ignore[arg-type]

    def somebody_looks_up(self) -> None:
        """A run about what it sent itself; what it hears may reach the ledger late."""
        alive = {run.id: run for run in self.runs if run.alive}
        unknown = [one for one in self.ledger.unknown("clearfacts", 100) if one.run_id in alive]
        if unknown:
            one = self.random.choice(unknown)
            said = self._looked_up(one, next(run.destination for run in self.runs if run.id == one.run_id))
            if isinstance(said, LeftOpen):
                return
            if self.random.random() < 0.5:
                self.late.append(said)
            else:
                self._settle(said)

    def receiver_is_gone(self) -> None:
        waiting = [one.id for one in self.ledger.records() if one.state in MAY_LEAVE]
        if waiting:
            self.ledger.hold({self.random.choice(waiting): "no administration"})

    def receiver_is_back(self) -> None:
        self.ledger.release([one.id for one in self.ledger.records() if one.held_for == "receiver"])

    def transport_changes(self) -> None:
        self.clearfacts.transport = self.random.choice(TRANSPORTS)

    # Time

    def time_passes(self) -> None:
        self.now += timedelta(seconds=self.random.choice([1, 10, 200]))

    def clock_steps_back(self) -> None:
        self.now -= timedelta(seconds=3)

    def comes_to_rest(self) -> None:
        """All answers come, honest people decide, runs go on until nothing is due: then nothing is nowhere."""
        while self.calls or self.late:
            self.answer_arrives()
            self.late_answer_arrives()
        for run in self.runs:
            run.alive = False
        self.check()
        for _ in range(ROUNDS_TO_REST):
            self.now += timedelta(seconds=1000)
            self.daily_run_starts()
            self.receiver_is_back()
            self.run_for_what_is_due_starts()
            while any(run.alive and (run.todo or run.left or run.whole or run.asks) for run in self.runs) or self.calls:
                self.run_registers()
                self.run_sends()
                self.answer_arrives()
            self.check()
            waiting = [one for one in self.ledger.records() if one.state in WAITS_FOR_A_PERSON]
            if all(one.state in OVER for one in self.ledger.records()):
                break
            for one in waiting:
                self._decide_in_the_end(one.id)
        else:
            left = [f"{one.key.number} revision {one.revision}: {one.state}" for one in self.ledger.records()]
            raise Violation(f"does not come to rest: {left}")
        self._nothing_is_nowhere()
