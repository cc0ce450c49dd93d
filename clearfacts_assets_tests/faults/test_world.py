"""People and the world: what the ERP, operators and clocks do to a ledger, thousands of schedules a minute.

``--worlds N`` plays N of them, from ``--first-world`` on; a schedule that breaks the promise names itself. The table of
decisions is mutated, each row in every plausible way: schedules or the table's own examples notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clearfacts_assets.invoices.ledger import decisions
from clearfacts_assets.invoices.ledger.decisions import TABLE, Next, Row
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets_tests.faults.world import World
from clearfacts_assets_tests.unit.test_decisions import EXAMPLES, holds

MOST_TOLD = 5
LONG = 1000  # worlds from which on mutants have to be noticed by schedules, too, where they can be
INSTEAD = {
    Next.SEND: [(Next.HOLD, State.HELD), (Next.NOTHING, State.WAIVED)],
    Next.WAIT: [(Next.SEND, State.READY), (Next.NOTHING, State.WAIVED)],
    Next.ASK: [(Next.SEND, State.READY), (Next.NOTHING, State.REJECTED)],
    Next.HOLD: [(Next.SEND, State.READY), (Next.NOTHING, State.WAIVED)],
    Next.NOTHING: [(Next.SEND, State.READY), (Next.HOLD, State.HELD)],
}
SEEN_BY_EXAMPLES_ALONE = {
    # Followed by a row that comes to the same end in nearly all schedules, or too rare for a few hundred of them.
    *("repeat: removed", "repeat: held", "replaced: removed", "replaced: held", "withdrawn: removed"),
    *("withdrawn: held", "superseded: held", "other ordered: removed", "other ordered: ready"),
}


def test_what_people_and_the_world_do_breaks_no_promise(
    request: pytest.FixtureRequest, record_property: pytest.RecordProperty
) -> None:
    first, count = request.config.getoption("--first-world"), request.config.getoption("--worlds")
    struck: Counter[str] = Counter()
    broken: list[str] = []
    for seed in range(first, first + count):
        world = World(seed)
        try:
            world.play()
        except AssertionError as violation:
            broken.append(f"--first-world {seed} --worlds 1 -k world: {violation}")
        struck += world.struck
    record_property("struck", dict(struck))
    if count >= LONG:
        print("\n".join(f"{number:>9,}  {name}" for name, number in sorted(struck.items())))  # noqa: T201
    assert not broken, f"{len(broken)} of {count} schedules:\n" + "\n".join(broken[:MOST_TOLD])


def mutants() -> Iterator[tuple[str, tuple[Row, ...]]]:
    for place, row in enumerate(TABLE):
        if place < len(TABLE) - 1:
            yield f"{row.name}: removed", TABLE[:place] + TABLE[place + 1 :]
        for following, state in INSTEAD[row.next]:
            if state is not row.state:
                changed = replace(row, next=following, state=state)
                yield f"{row.name}: {state}", (*TABLE[:place], changed, *TABLE[place + 1 :])


@pytest.mark.parametrize(("name", "mutated"), list(mutants()), ids=[name for name, _ in mutants()])
def test_a_change_of_the_table_of_decisions_is_noticed(
    name: str, mutated: tuple[Row, ...], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "TABLE", mutated)
    by_examples = not all(holds(*example) for example in EXAMPLES)
    assert by_examples
    if request.config.getoption("--worlds") >= LONG and name not in SEEN_BY_EXAMPLES_ALONE:
        assert any(is_noticed(seed) for seed in range(600))


def is_noticed(seed: int) -> bool:
    try:
        World(seed).play()
    except Exception:  # noqa: BLE001 - a mutant may also break the program
        return True
    return False
