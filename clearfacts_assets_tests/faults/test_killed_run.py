"""``clearfacts run`` killed or told to stop in the middle of its deliveries, and what a rerun makes of it."""

from __future__ import annotations

import signal
import time
from collections import Counter

import psutil
import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.forked import ForkedCommand
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY, DAY_BEFORE = "2026-11-18", "2026-11-17"
PER_DAY, AT_ONCE = 60, 4
# Some are claimed ahead of the calls: more where Clearfacts can be asked about them (docs/delivery.md).
MOST_CLAIMED = {"graphql": AT_ONCE + AT_ONCE // 2, "rest": 3 * AT_ONCE}
SECONDS = 600
TRANSPORTS = pytest.mark.parametrize("transport", ["graphql", "rest"])

pytestmark = pytest.mark.waits


@pytest.fixture
def slow_day(simulator: RunningSimulator) -> RunningSimulator:
    """60 right invoices a day, and a Clearfacts that takes its time with all but the first."""
    simulator.reset(per_day=PER_DAY, broken_share=0, duplicate_share=0)
    simulator.fault("clearfacts", "delay", seconds=2, after=6, match={"operation": "upload"})
    return simulator


def settled(command: Command, transport: str) -> None:
    command.environment |= {
        "CLEARFACTS_DESTINATION__TRANSPORT": transport,
        "CLEARFACTS_DELIVERY__CONCURRENCY": str(AT_ONCE),
    }


def in_the_middle(process: ForkedCommand, simulator: RunningSimulator) -> None:
    """Returns when the simulator has accepted some, and takes its time with others."""
    deadline = time.monotonic() + SECONDS
    while not any(fault["applied"] for fault in simulator.faults().values()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was delivered"
        time.sleep(0.02)


def check_nothing_twice(simulator: RunningSimulator) -> None:
    names = ("supplier", "receiver", "document_type", "document_number", "issue_year")
    keys = Counter(tuple(document[name] for name in names) for document in simulator.accepted())
    assert set(keys.values()) <= {1}


def states(command: Command) -> Counter[State]:
    page = DeliveryReview(command.engine()).list(limit=1000)
    assert page.next_cursor is None
    return Counter(delivery.state for delivery in page.items)


@TRANSPORTS
def test_a_killed_run_is_told_as_failed_and_a_rerun_delivers_what_is_left(
    command: Command, slow_day: RunningSimulator, transport: str
) -> None:
    settled(command, transport)
    process = command.fork("run", "--date", DAY, "--json")
    in_the_middle(process, slow_day)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    (job,) = JobRepository(command.engine()).list().items
    assert job.status == "running", "the row cannot know yet"
    on_their_way = states(command)[State.SENDING]
    assert 1 <= on_their_way <= MOST_CLAIMED[transport]
    shown = command.json("jobs", "show", str(job.id))
    assert (shown["status"], shown["partition"]) == ("failed", DAY)
    assert "before it could say why" in shown["error_message"]
    assert shown["results"]["total_invoices"] == PER_DAY
    _, alive = psutil.wait_procs(children, timeout=300)
    assert alive == [], "the validation's workers end with their run"
    slow_day.clear_faults()
    (again,) = command.json("run", "--date", DAY)["jobs"]
    assert again["status"] == "completed"
    check_nothing_twice(slow_day)
    if transport == "rest":
        assert states(command) == {State.DELIVERED: PER_DAY}
        assert len(slow_day.accepted()) == PER_DAY
    else:
        parked = on_their_way  # nobody can tell of them, and they wait where a person sees them
        assert states(command) == {State.DELIVERED: PER_DAY - parked, State.PARKED: parked}
        assert again["results"]["pending"] == parked


@pytest.mark.parametrize(
    ("number", "transport"), [(signal.SIGTERM, "graphql"), (signal.SIGINT, "rest")], ids=["SIGTERM", "SIGINT"]
)
def test_a_run_that_is_told_to_stop_finishes_its_calls_and_leaves_the_rest(
    command: Command, slow_day: RunningSimulator, number: signal.Signals, transport: str
) -> None:
    settled(command, transport)
    process = command.fork("run", "--from", DAY_BEFORE, "--to", DAY)
    in_the_middle(process, slow_day)
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, output
    assert "Traceback" not in errors
    assert "Stopped; of 2 days 1 were not begun." in errors
    jobs = JobRepository(command.engine())
    (job,) = jobs.list().items
    assert (job.status, job.partition_key) == ("failed", DAY_BEFORE)
    assert "told to stop" in (job.error_message or "")
    accepted = len(slow_day.accepted())
    assert 6 <= accepted < PER_DAY
    counts = jobs.counts(job.id)
    assert (counts.sent, counts.pending) == (accepted, PER_DAY - accepted)
    assert states(command) == {State.DELIVERED: accepted, State.READY: PER_DAY - accepted}
    slow_day.clear_faults()
    (again,) = command.json("run", "--date", DAY_BEFORE)["jobs"]
    assert (again["status"], again["results"]["processed"]) == ("completed", PER_DAY - accepted)
    check_nothing_twice(slow_day)
    assert len(slow_day.accepted()) == PER_DAY
