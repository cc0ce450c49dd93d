"""The people of the small world: they look at lists, fresh or old, decide, and their clients repeat what they sent."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from uuid import UUID

from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord
from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON, ForbiddenTransition, Outdated, State, Verdict
from clearfacts_assets_tests.faults.oracle import Oracle

LISTS_KEPT = 4


@dataclass(frozen=True)
class Click:
    """A verdict as a client sent it, and may send once more."""

    delivery_id: UUID
    verdict: Verdict
    seen: AsSeen
    wish: str


class PeopleActs(Oracle):
    """Two people: each has lists from some time ago, and does not know what the other one does."""

    random: Random
    lists: list[dict[UUID, DeliveryRecord]]
    clicks: list[Click]
    serial: int

    def person_takes_a_list(self) -> None:
        self.lists.append({one.id: one for one in self.ledger.records()})

    def person_decides(self) -> None:
        """By a list that may be old."""
        if not self.lists:
            self.person_takes_a_list()
        seen = self.random.choice(self.lists[-LISTS_KEPT:])
        open_ones = [one for one in seen.values() if one.state in WAITS_FOR_A_PERSON]
        chosen = open_ones if open_ones and self.random.random() < 0.8 else list(seen.values())
        if chosen:
            one = self.random.choice(sorted(chosen, key=lambda record: (record.key.number, record.revision)))
            # Somebody may also have uploaded it by hand, and says so.
            self._decide(one, self.random.choice([*self._honest(one), Verdict.DELIVERED]))

    def person_decides_at_once(self) -> None:
        """By a fresh list, about anything: what waits by itself, too."""
        known = sorted(self.ledger.records(), key=lambda record: (record.key.number, record.revision))
        if known:
            one = self.random.choice(known)
            self._decide(one, self.random.choice([*self._honest(one), Verdict.WAIVE]))

    def _honest(self, one: DeliveryRecord) -> list[Verdict]:
        """What somebody who looks at Clearfacts may say."""
        if self.clearfacts.has(one.key.digest, one.content_sha256):
            return [Verdict.SEND_AGAIN] if one.state is State.DELIVERED else [Verdict.DELIVERED]
        return [Verdict.RESEND, Verdict.WAIVE]

    def _decide(self, one: DeliveryRecord, verdict: Verdict) -> None:
        self.serial += 1
        click = Click(one.id, verdict, AsSeen(one.state, one.generation), f"click {self.serial}")
        self.clicks.append(click)
        self._send(click)

    def client_repeats(self) -> None:
        """A client that heard no answer sends its click again, now or much later: under the same wish."""
        if self.clicks:
            self._send(self.random.choice(self.clicks[-LISTS_KEPT:]))

    def _send(self, click: Click) -> None:
        one = self.ledger.states([click.delivery_id])[click.delivery_id]
        done = any(name == click.wish for name, _ in self.ledger.wishes)
        try:
            became = self.ledger.resolve(click.delivery_id, click.verdict, seen=click.seen, wish=click.wish)
        except Outdated:
            self.struck["verdict refused: outdated"] += 1
        except ForbiddenTransition:
            self.struck["verdict refused: does not fit"] += 1
        else:
            if done:
                self.struck["verdict repeated: nothing happens"] += 1
                assert became == one, f"a click that was carried out changes {one} again"
            else:
                self._noted(one, click.verdict, click.wish)

    def _decide_in_the_end(self, delivery_id: UUID) -> None:
        """An honest person who looks at Clearfacts, when all is quiet."""
        one = self.ledger.states([delivery_id])[delivery_id]
        if one.state not in WAITS_FOR_A_PERSON:
            return
        if self.clearfacts.has(one.key.digest, one.content_sha256):
            verdict = Verdict.DELIVERED
        elif self._arrived(one.key.digest) or one.key.digest in self.waived:
            verdict = Verdict.WAIVE
        else:
            verdict = Verdict.RESEND
        self._decide(one, verdict)
        self.check()
