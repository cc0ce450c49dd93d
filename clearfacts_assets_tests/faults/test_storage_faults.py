"""A disk that is full, and a commit of which nobody hears whether it happened."""

from __future__ import annotations

import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets_tests.faults.papers import papers
from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.worker import FAILED

SOME = papers(10)  # more than can be claimed when the disk is full
TRANSPORTS = pytest.mark.parametrize("transport", ["graphql", "rest"])
ON_POSTGRESQL = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


def all_is_well_again(stage: Stage, parked: int) -> None:
    """The next run finds what is left; so many wait for a person, and after the verdict all has arrived."""
    assert stage.run(SOME) == 0
    stage.check(SOME)
    assert list(stage.states().values()).count(State.PARKED) == parked
    assert stage.decide() == parked
    assert stage.run(SOME) == 0
    stage.check_all_delivered(SOME)


@TRANSPORTS
@pytest.mark.parametrize(("point", "sent", "evidence"), [("registering", 0, 0), ("claiming", 2, 1), ("settling", 3, 1)])
def test_a_full_disk_ends_the_run_and_what_was_answered_stands_in_the_log(
    stage: Stage, transport: str, point: str, sent: int, evidence: int
) -> None:
    """What cannot be written down is not begun; an answer that came meanwhile is logged, and its invoice in doubt."""
    stage.transport = transport
    stage.workshop.complaints()
    after = 0 if point == "registering" else 2
    assert stage.run(SOME, concurrency=1, disk_full_at=point, crash_after=after) == FAILED
    assert ("keep this as evidence" in stage.workshop.complaints()) == bool(evidence)
    claimed = sum(state is not State.READY for state in stage.states().values())
    # Where Clearfacts can be asked, some are claimed ahead: they may leave, and nothing else may.
    assert sent <= stage.accepted().total() <= (sent if transport == "graphql" else claimed)
    all_is_well_again(stage, evidence if transport == "graphql" else 0)


@ON_POSTGRESQL
@TRANSPORTS
@pytest.mark.parametrize("point", ["registering", "claiming", "settling"])
def test_a_commit_of_which_nobody_hears(stage: Stage, transport: str, point: str) -> None:
    """What is harmless twice is done again; of a claim the run looks whether it is its own, and goes on."""
    stage.transport = transport
    after = 0 if point == "registering" else 2
    assert stage.run(SOME, concurrency=1, commit_lost_at=point, crash_after=after) == 0
    all_is_well_again(stage, 0)
