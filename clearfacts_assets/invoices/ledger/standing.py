"""All versions of one invoice and what the source shows of them; where each stands follows from all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from clearfacts_assets.invoices.ledger.decisions import Facts, Row, decide
from clearfacts_assets.invoices.ledger.explanations import in_words
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, Shown
from clearfacts_assets.invoices.lifecycle import MAY_BE_ACCEPTED, Event, State
from clearfacts_assets.invoices.model import InvoiceKey

_NO_REASON_LEFT = frozenset({State.HELD, State.SUPERSEDED, State.WITHDRAWN})  # for a version that got out of these


@dataclass(slots=True)
class Versions:
    """All versions of one invoice. ``moves`` are the transitions made, for who wants to watch."""

    key: InvoiceKey
    now: datetime
    versions: list[DeliveryRecord] = field(default_factory=list)  # by revision
    shown: list[Shown] = field(default_factory=list)
    moves: list[tuple[State | None, Event, State]] = field(default_factory=list)

    def version(self, delivery_id: UUID) -> DeliveryRecord:
        return self.versions[self._place(delivery_id)]

    def _place(self, delivery_id: UUID) -> int:
        return [one.id for one in self.versions].index(delivery_id)

    def others(self, delivery_id: UUID) -> list[DeliveryRecord]:
        return [one for one in self.versions if one.id != delivery_id]

    def with_content(self, sha256: str) -> DeliveryRecord | None:
        """The version that has this content; the newest, should there be several."""
        return next((one for one in reversed(self.versions) if one.content_sha256 == sha256), None)

    @property
    def may_have_arrived(self) -> bool:
        """Whether any version is at the destination, or may be."""
        return any(
            one.state in MAY_BE_ACCEPTED or one.in_doubt or one.in_doubt_before or one.delivered_at is not None
            for one in self.versions
        )

    def shown_as(self, source_id: str, delivery_id: UUID) -> Shown | None:
        return next((one for one in self.shown if (one.source_id, one.delivery_id) == (source_id, delivery_id)), None)

    def review(self, delivery_id: UUID | None = None, event: Event = Event.REVIEWED) -> None:
        """Let every version stand where the whole history puts it; ``event`` has happened to the one named."""
        rows = decide([self.facts(one) for one in self.versions])
        for one in list(self.versions):
            row = rows[one.revision]
            mine = event if one.id == delivery_id else Event.REVIEWED
            new = mine in (Event.REGISTERED, Event.CHANGED, Event.CORRECTED)
            if mine is not Event.REVIEWED or row.state is not one.state:
                self.moves.append((None if new else one.state, mine, row.state))
            if row.state is not one.state:
                self._put(one, state=row.state)
            self._explain(self.version(one.id), row, came_from=one.state)

    def _explain(self, one: DeliveryRecord, row: Row, *, came_from: State) -> None:
        """Let the reason be that of the row; a reason that no longer holds is dropped."""
        words = in_words(row, one, self.others(one.id), self._is_shown)
        freed = came_from in _NO_REASON_LEFT and one.state in (State.READY, State.WAITING) and one.ordered is None
        if words is not None and one.reason != words:
            self._put(one, reason=words)
        elif words is None and freed and one.reason is not None:
            self._put(one, reason=None)

    def facts(self, one: DeliveryRecord) -> Facts:
        rows = self._shown_rows(one)
        shown = not rows or any(_is_there(row) for row in rows)
        return Facts(
            revision=one.revision,
            under_way=one.lease_until is not None,
            in_doubt=one.in_doubt,
            in_doubt_before=one.in_doubt_before,
            may_repeat=one.may_repeat,
            given_up=one.given_up,
            accepted=one.delivered_at is not None,
            ordered=one.ordered is not None,
            waived=one.waived,
            replaced=one.replaced,
            refused=one.refused,
            shown=shown,
            withdrawn=not shown and any(row.is_current for row in rows),
            barrier=one.held_for is not None,
            later=one.not_before is not None,
        )

    def _is_shown(self, one: DeliveryRecord) -> bool:
        rows = self._shown_rows(one)
        return not rows or any(_is_there(row) for row in rows)

    def _is_withdrawn(self, one: DeliveryRecord) -> bool:
        return self.facts(one).withdrawn

    def _shown_rows(self, one: DeliveryRecord) -> list[Shown]:
        return [shown for shown in self.shown if shown.delivery_id == one.id]

    def _put(self, one: DeliveryRecord, **changes: object) -> None:
        index = self._place(one.id)
        if changes.keys() != {"day"}:  # another day is no news for anybody
            changes["updated_at"] = self.now
        # Not dataclasses.replace, which takes three times as long for so many fields.
        values = dict(zip(_FIELDS, _values_of(self.versions[index]), strict=True))
        self.versions[index] = DeliveryRecord(**(values | changes))


_FIELDS = tuple(DeliveryRecord.__dataclass_fields__)
_values_of = attrgetter(*_FIELDS)


def _is_there(shown: Shown) -> bool:
    """Whether it is what the source shows under its id."""
    return shown.is_current and shown.withdrawn_at is None
