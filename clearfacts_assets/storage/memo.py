"""What was computed from tables that grow, kept by this process until they have changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Owner = TypeVar("Owner")  # a database
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Memo(Generic[Owner, T]):
    """One thing, for each owner. ``state`` is equal as long as the tables are: it must be quicker to ask for."""

    _kept: WeakKeyDictionary[Owner, tuple[Hashable, T]] = field(default_factory=WeakKeyDictionary)

    def get(self, owner: Owner, state: Hashable, compute: Callable[[], T]) -> T:
        """What was computed at this state, or is now."""
        kept = self._kept.get(owner)
        if kept is None or kept[0] != state:
            kept = self._kept[owner] = state, compute()
        return kept[1]
