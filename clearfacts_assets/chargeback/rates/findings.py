"""What the rules met and could not apply as wished: counted, with the first charges named."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN = 5  # charges named with a finding


@dataclass(slots=True)
class Finding:
    """One thing that was met."""

    code: str
    message: str
    count: int = 0
    charges: list[int] = field(default_factory=list)  # the first ones

    def as_result(self) -> dict[str, object]:
        """As JSON shows it."""
        return {"code": self.code, "message": self.message, "count": self.count, "charges": list(self.charges)}


class Findings:
    """Collected in the order in which they are met."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, code: str, message: str, charge: int = 0) -> None:
        found = self._found.setdefault((code, message), Finding(code, message))
        found.count += 1
        if charge and len(found.charges) < SHOWN:
            found.charges.append(charge)

    def all(self) -> list[Finding]:
        return list(self._found.values())
