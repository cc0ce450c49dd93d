"""People and the world: what the ERP, operators and clocks do to a ledger, thousands of schedules a minute.

``--worlds N`` plays N of them, from ``--first-world`` on; a schedule that breaks the promise names itself. From LONG
worlds on, every edge of the life cycle has to be walked, and every mutant of the table of decisions has to be noticed
by a schedule, or by the tale of a turn that schedules come to too rarely: none is equivalent. Below that, the table's
own examples have to notice all, and tales or schedules some.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clearfacts_assets.invoices.ledger import decisions
from clearfacts_assets.invoices.ledger.decisions import TABLE, Next, Row
from clearfacts_assets.invoices.lifecycle import TRANSITIONS, State
from clearfacts_assets_tests.faults.conftest import MUTANT, WORLDS
from clearfacts_assets_tests.faults.world import World
from clearfacts_assets_tests.fixtures.tales import Tale
from clearfacts_assets_tests.unit.test_decisions import EXAMPLES, holds
from clearfacts_assets_tests.unit.test_histories import RARE

MOST_TOLD = 5
LONG = 1000
HUNTED_AT_MOST = 1500  # worlds a mutant
HUNTED_ALWAYS = 8  # in a short run, one mutant of so many has to be noticed by a tale or a schedule, too
INSTEAD = {
    Next.SEND: [
        (Next.HOLD, State.HELD),
        (Next.HOLD, State.PARKED),
        (Next.WAIT, State.WAITING),
        (Next.NOTHING, State.WAIVED),
    ],
    Next.WAIT: [
        (Next.SEND, State.READY),
        (Next.ASK, State.UNKNOWN),
        (Next.HOLD, State.PARKED),
        (Next.NOTHING, State.WAIVED),
    ],
    Next.ASK: [
        (Next.SEND, State.READY),
        (Next.WAIT, State.WAITING),
        (Next.HOLD, State.PARKED),
        (Next.NOTHING, State.REJECTED),
    ],
    Next.HOLD: [
        (Next.SEND, State.READY),
        (Next.WAIT, State.WAITING),
        (Next.HOLD, State.HELD),
        (Next.HOLD, State.PARKED),
        (Next.NOTHING, State.WAIVED),
    ],
    Next.NOTHING: [
        *((Next.SEND, State.READY), (Next.HOLD, State.HELD), (Next.NOTHING, State.DELIVERED)),
        *((Next.NOTHING, State.WAIVED), (Next.NOTHING, State.REJECTED)),
        *((Next.NOTHING, State.SUPERSEDED), (Next.NOTHING, State.WITHDRAWN)),
    ],
}


def test_what_people_and_the_world_do_breaks_no_promise(
    request: pytest.FixtureRequest, record_property: pytest.RecordProperty
) -> None:
    first, count = request.config.getoption("--first-world"), request.config.getoption("--worlds")
    struck: Counter[str] = Counter()
    broken: list[str] = []
    started = time.monotonic()
    for seed in range(first, first + count):
        world = World(seed)
        try:
            world.play()
        except AssertionError as violation:
            broken.append(f"--first-world {seed} --worlds 1 -k breaks_no_promise: {violation}")
        struck += world.struck
    played = {"worlds": count, "violations": len(broken), "seconds": time.monotonic() - started}
    record_property(WORLDS, {**played, "struck": dict(struck)})
    assert not broken, f"{len(broken)} of {count} schedules:\n" + "\n".join(broken[:MOST_TOLD])
    if count >= LONG:
        walked = {name.removeprefix("edge: ") for name in struck if name.startswith("edge: ")}
        by_name = {f"{state} {event} {became}" for state, event, became, _ in RARE}
        assert edges() - walked - by_name == set(), "edges that nothing walks: is one impossible?"


def edges() -> set[str]:
    return {f"{state} {event} {end}" for (state, event), ends in TRANSITIONS.items() for end in ends}


def mutants() -> Iterator[tuple[str, tuple[Row, ...]]]:
    for place, row in enumerate(TABLE):
        if place < len(TABLE) - 1:  # without the last row there is a version that no row fits
            yield f"{row.name}: removed", TABLE[:place] + TABLE[place + 1 :]
        for following, state in INSTEAD[row.next]:
            if state is not row.state:
                changed = replace(row, next=following, state=state)
                yield f"{row.name}: {state}", (*TABLE[:place], changed, *TABLE[place + 1 :])


MUTANTS = list(mutants())


@pytest.mark.parametrize(
    ("number", "name", "mutated"), [(n, *one) for n, one in enumerate(MUTANTS)], ids=[one for one, _ in MUTANTS]
)
def test_a_change_of_the_table_of_decisions_is_noticed(
    number: int,
    name: str,
    mutated: tuple[Row, ...],
    request: pytest.FixtureRequest,
    record_property: pytest.RecordProperty,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decisions, "TABLE", mutated)
    example = next((n for n, one in enumerate(EXAMPLES) if not holds(*one)), None)
    assert example is not None, "no example of the table notices it"
    first, long = request.config.getoption("--first-world"), request.config.getoption("--worlds") >= LONG
    caught: list[str] = []
    if long:
        caught = hunted(first, HUNTED_AT_MOST) or told_otherwise()
    elif number % HUNTED_ALWAYS == 0:
        caught = told_otherwise() or hunted(first, HUNTED_AT_MOST)
    record_property(MUTANT, [name, f"example {example}", *caught])
    assert caught or not (long or number % HUNTED_ALWAYS == 0), "neither a schedule nor a tale notices it"


def hunted(first: int, most: int) -> list[str]:
    """The first world that notices the mutant, and what it says; nothing if none does."""
    for seed in range(first, first + most):
        try:
            World(seed).play()
        except Exception as noticed:  # noqa: BLE001 - a mutant may also break the program
            return [f"world {seed}", f"{noticed}"[:100] or type(noticed).__name__]
    return []


def told_otherwise() -> list[str]:
    """The first tale of a rare turn that takes another turn under the mutant."""
    for state, event, became, text in RARE:
        turn = f"{state} {event} {became}"
        try:
            moves = [move for history in Tale(text).ledger.histories for move in history.moves]
        except Exception as noticed:  # noqa: BLE001
            return [f"tale of {turn}", type(noticed).__name__]
        if (state, event, became) not in moves:
            return [f"tale of {turn}", "goes another way"]
    return []
