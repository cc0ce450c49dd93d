"""The garbage collector's pace where rows come and go by the thousand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

RARELY = 500_000  # objects made anew between two looks for cycles


@contextmanager
def few_collections() -> Iterator[None]:
    """Rows come and go by the million and make no cycles: looking for cycles among them is a tenth of an import, and a
    fifth of a journal."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], RARELY), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
