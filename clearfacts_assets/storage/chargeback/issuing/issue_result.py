"""What came of issuing: new, corrected and unchanged statements, and what could not be set."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.statements.making import Made
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.issuing.issue_plan import PlannedStatement


class LedgerMoves(ChargebackError):
    """Charges of the period changed while its statements were being set, again and again."""


@dataclass(slots=True)
class Generated:
    """What `generate` did, or with ``dry_run`` would do. ``due`` is by currency, of all that stands now."""

    period: str
    kind: str
    new: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    unchanged: int = 0
    accepted: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # whose statement failed, and why
    stand_ins: dict[str, str] = field(default_factory=dict)  # number -> characters that no font had
    ids: list[int] = field(default_factory=list)
    difference: dict[str, Decimal] = field(default_factory=dict)  # of what is due, by currency
    dry_run: bool = False

    def note(self, want: PlannedStatement, made: Made) -> None:
        """One more statement was set."""
        number, currency = made.identity.number, made.subject.currency
        (self.corrected if want.live else self.new).append(number)
        change = EXACT.subtract(made.sums.due, want.live.due if want.live else Decimal(0))
        self.difference[currency] = EXACT.add(self.difference.get(currency, Decimal(0)), change)
        if made.typeset.stand_ins:
            self.stand_ins[number] = made.typeset.stand_ins

    def as_result(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("difference", "ids")}
        return told | {"difference": {currency: plain(one) for currency, one in sorted(self.difference.items())}}
