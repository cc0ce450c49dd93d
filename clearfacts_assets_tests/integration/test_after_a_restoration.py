"""What docs/upgrading.md says to do after a restoration, done: the ledger has forgotten what left since the backup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clearfacts_assets import resources
from clearfacts_assets.installation import backup, restore
from clearfacts_assets.installation.places import Places
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

NEXT_DAY = "2026-11-19"
PER_DAY = 20
NOWHERE = "http://127.0.0.1:9/"  # nothing listens there

Lose = Callable[[], None]


@pytest.fixture
def lose(quick_pipeline: Pipeline, tmp_path: Path) -> Lose:
    """A day is delivered and a backup made; 20 more are delivered, and the disk is lost. Restores on an empty one."""
    pipeline = quick_pipeline
    file = tmp_path / "clearfacts.db"
    places = Places(tmp_path / "home", tmp_path / "home" / "dagster", tmp_path / "invoices", f"sqlite:///{file}")

    def play() -> None:
        pipeline.simulator.reset(per_day=PER_DAY, broken_share=0, duplicate_share=0)
        assert pipeline.run(DAY).counts.sent == PER_DAY
        made = backup.back_up(places, None, tmp_path / "backups", now=datetime.now(UTC))
        assert pipeline.run(NEXT_DAY).counts.sent == PER_DAY
        pipeline.engine.dispose()
        resources._engine(places.database_url).dispose()
        for one in tmp_path.glob("clearfacts.db*"):
            one.unlink()
        restore.restore(made.file, places, None, replace=False, actor=Actor("a person"), now=datetime.now(UTC))
        assert states(pipeline) == {State.DELIVERED: PER_DAY}  # of the first day; the second one's are forgotten

    return play


def states(pipeline: Pipeline) -> Counter[State]:
    return Counter(one.state for one in pipeline.deliveries.list(limit=1000).items)


def test_where_the_destination_knows_our_keys_the_days_are_run_again_and_nothing_leaves_twice(
    quick_pipeline: Pipeline, lose: Lose
) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT="rest")
    lose()
    again = quick_pipeline.run(NEXT_DAY)
    assert (again.job.status, again.counts.sent, again.counts.failed) == ("completed", PER_DAY, 0)
    assert states(quick_pipeline) == {State.DELIVERED: 2 * PER_DAY}
    quick_pipeline.check_all_delivered(DAY, NEXT_DAY)


def test_where_it_does_not_a_person_compares_before_anything_leaves(quick_pipeline: Pipeline, lose: Lose) -> None:
    pipeline = quick_pipeline
    pipeline.configure(DESTINATION__TRANSPORT="graphql")
    address = pipeline.simulator.environment()["CLEARFACTS_DESTINATION__BASE_URL"]
    lose()
    known = {one["sha256"] for one in pipeline.simulator.accepted()}
    pipeline.configure(DESTINATION__BASE_URL=NOWHERE)
    apart = pipeline.run(NEXT_DAY)
    assert (apart.counts.total, apart.counts.sent) == (PER_DAY, 0)
    waiting = [one for one in pipeline.deliveries.list(limit=1000).items if one.state is not State.DELIVERED]
    assert len(waiting) == PER_DAY
    *there, undecided = waiting
    for one in there:
        assert one.content_sha256 in known
        pipeline.deliveries.resolve(
            one.id, Verdict.DELIVERED, reason="seen at Clearfacts", actor="a person", now=datetime.now(UTC)
        )
    pipeline.configure(DESTINATION__BASE_URL=address)
    last = pipeline.run(NEXT_DAY)
    assert last.counts.sent == 1, "what nobody said is there leaves again: that is why a person compares first"
    assert states(pipeline) == {State.DELIVERED: 2 * PER_DAY}
    times = Counter(one["sha256"] for one in pipeline.simulator.accepted())
    assert {one for one, number in times.items() if number > 1} == {undecided.content_sha256}
