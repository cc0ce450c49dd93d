"""Memory that is free in this process, back to the system."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

LARGE = 2**20  # bytes of a document for which memory is spared, and not time


def give_back() -> None:
    """Give back what libxml2's trees and compiled rules have left free between what is still used.

    Only glibc has to be asked for it; where it is another C library, nothing is done.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Callable[[int], int] | None:
    import ctypes  # only where a long document was, or a worker begins

    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # no C library to be had by that name
        return None
