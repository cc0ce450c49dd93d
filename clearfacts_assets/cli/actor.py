"""Who does what a command does, for the audit log."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearfacts_assets.storage.accounts.audit import Actor


def terminal() -> Actor:
    """Whoever sits at this terminal."""
    from clearfacts_assets.storage.accounts.audit import Actor

    return Actor(f"{getpass.getuser()} (command line)")
