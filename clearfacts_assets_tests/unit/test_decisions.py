"""The table of decisions, row by row: what is known of an invoice's versions, and where each stands because of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clearfacts_assets.invoices.ledger.decisions import TABLE, Facts, Next, decide
from clearfacts_assets.invoices.lifecycle import State

OWN, OTHER = Facts(revision=2), Facts(revision=1)
GONE = replace(OTHER, shown=False)
# What each row comes to, in the order of the table: written here once more, so that no change of the table goes unseen.
MEANT: dict[str, tuple[Next, State]] = {
    "under way": (Next.WAIT, State.SENDING),
    "doubt": (Next.ASK, State.UNKNOWN),
    "repeat later": (Next.WAIT, State.WAITING),
    "repeat": (Next.SEND, State.READY),
    "ordered later": (Next.WAIT, State.WAITING),
    "ordered": (Next.SEND, State.READY),
    "nobody can tell": (Next.HOLD, State.PARKED),
    "accepted": (Next.NOTHING, State.DELIVERED),
    "waived": (Next.NOTHING, State.WAIVED),
    "replaced": (Next.NOTHING, State.WAIVED),
    "refused": (Next.NOTHING, State.REJECTED),
    "withdrawn": (Next.NOTHING, State.WITHDRAWN),
    "superseded": (Next.NOTHING, State.SUPERSEDED),
    "other content": (Next.HOLD, State.HELD),
    "other ordered": (Next.HOLD, State.HELD),
    "other waived": (Next.HOLD, State.HELD),
    "twin": (Next.HOLD, State.HELD),
    "barrier": (Next.HOLD, State.HELD),
    "tries used up": (Next.HOLD, State.PARKED),
    "later": (Next.WAIT, State.WAITING),
    "free": (Next.SEND, State.READY),
}
# The name of a row, what is known of a version, and of the other ones. Each is the first row that fits.
EXAMPLES: list[tuple[str, Facts, list[Facts]]] = [
    ("under way", replace(OWN, under_way=True, accepted=True, waived=True), []),
    ("doubt", replace(OWN, in_doubt=True, ordered=True), []),
    ("doubt", replace(OWN, in_doubt=True, may_repeat=True, shown=False), []),
    ("doubt", replace(OWN, in_doubt=True, may_repeat=True, barrier=True), []),
    ("doubt", replace(OWN, in_doubt=True, may_repeat=True), [replace(OTHER, waived=True)]),
    ("repeat later", replace(OWN, in_doubt=True, may_repeat=True, later=True), []),
    ("repeat", replace(OWN, in_doubt=True, may_repeat=True), []),
    ("ordered later", replace(OWN, ordered=True, later=True, accepted=True), []),
    ("ordered", replace(OWN, ordered=True, accepted=True, refused=True, waived=True, barrier=True), []),
    ("ordered", replace(OWN, ordered=True, shown=False, in_doubt_before=True), [replace(OTHER, accepted=True)]),
    ("nobody can tell", replace(OWN, in_doubt=True, given_up=True, accepted=True), []),
    ("nobody can tell", replace(OWN, in_doubt_before=True, refused=True), []),
    ("accepted", replace(OWN, accepted=True, refused=True, shown=False), [replace(OTHER, accepted=True)]),
    ("waived", replace(OWN, waived=True, in_doubt=True, given_up=True), []),
    ("waived", replace(OWN, waived=True, refused=True, withdrawn=True, shown=False), []),
    ("replaced", replace(OWN, replaced=True), [replace(OTHER, refused=True)]),
    ("refused", replace(OWN, refused=True, shown=False), []),
    ("withdrawn", replace(OWN, shown=False, withdrawn=True, barrier=True), [replace(OTHER, accepted=True)]),
    ("superseded", replace(OWN, shown=False, barrier=True), [replace(OTHER, accepted=True)]),
    ("other content", OWN, [replace(OTHER, accepted=True)]),
    ("other content", OWN, [replace(OTHER, under_way=True)]),
    ("other content", OWN, [replace(OTHER, in_doubt=True)]),
    ("other content", OWN, [replace(OTHER, in_doubt_before=True, waived=True)]),
    ("other ordered", OWN, [replace(GONE, ordered=True)]),
    ("other waived", OWN, [replace(OTHER, waived=True)]),
    ("twin", OWN, [OTHER]),
    ("barrier", replace(OWN, barrier=True, given_up=True, later=True), [GONE]),
    ("tries used up", replace(OWN, given_up=True, later=True), [GONE]),
    ("later", replace(OWN, later=True), [GONE, replace(OTHER, revision=3)]),
    ("free", OWN, []),
    ("free", OWN, [replace(OTHER, refused=True), replace(GONE, revision=3), replace(OTHER, revision=4)]),
]


def holds(name: str, own: Facts, others: list[Facts]) -> bool:
    """Whether an example comes to its row, and the row to what is meant."""
    row = decide([own, *others])[own.revision]
    return (row.name, row.next, row.state) == (name, *MEANT[name])


@pytest.mark.parametrize(
    ("name", "own", "others"), EXAMPLES, ids=[f"{n} {name}" for n, (name, _, _) in enumerate(EXAMPLES)]
)
def test_the_first_row_that_fits_counts(name: str, own: Facts, others: list[Facts]) -> None:
    assert holds(name, own, others)


def test_every_row_has_an_example() -> None:
    assert [row.name for row in TABLE] == list(MEANT)
    assert {name for name, _, _ in EXAMPLES} == set(MEANT)


def test_only_three_rows_let_a_version_leave() -> None:
    assert [row.name for row in TABLE if row.next is Next.SEND] == ["repeat", "ordered", "free"]
