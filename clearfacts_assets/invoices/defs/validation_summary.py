"""What validation came to, added up as an operator reads it: from reports that were made now, and from known ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clearfacts_assets.invoices.model import Decision
from clearfacts_assets.orchestration.metadata import table

MOST_FREQUENT = 15  # rules that are named


@dataclass(slots=True)
class Verdicts:
    """Decisions, the rules that were broken, and what was not accepted."""

    decisions: Counter[str] = field(default_factory=Counter)
    known: int = 0  # of them, said of the same content before
    _rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    _words: dict[str, str] = field(default_factory=dict)
    _refused: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, invoice_id: str, report: Mapping[str, Any], *, known: bool = False) -> None:
        """One invoice's report in its JSON form."""
        decision, findings = report["decision"], report["findings"]
        self.decisions[decision] += 1
        self.known += known
        self._rules.update({(one["rule"], one["severity"]) for one in findings})
        self._words.update({one["rule"]: one["hint"] or one["message"] for one in findings})
        if decision != Decision.ACCEPT:
            self._refused.append((invoice_id, decision, report["reason"]))

    def metadata(self, seconds: float) -> dict[str, Any]:
        """As the materialization shows it; ``seconds`` are those of validating what was not known."""
        total = self.decisions.total()
        validated = total - self.known
        return {
            "dagster/row_count": total,
            "accepted": self.decisions[Decision.ACCEPT],
            "on_hold": self.decisions[Decision.HOLD],
            "rejected": self.decisions[Decision.REJECT],
            "validated_before": self.known,
            "documents_per_second": round(validated / seconds, 1) if validated else 0,
            "not_accepted": table({"invoice": "string", "decision": "string", "reason": "string"}, self._refused),
            "most_frequent_rules": table(
                {"rule": "string", "severity": "string", "documents": "int", "in_words": "string"},
                [
                    (rule, severity, count, self._words[rule])
                    for (rule, severity), count in self._rules.most_common(MOST_FREQUENT)
                ],
            ),
        }
