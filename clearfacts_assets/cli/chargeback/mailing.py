"""What the commands of e-mails share: mails made and handed over as the settings of this terminal say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearfacts_assets.chargeback.notifications import statement_mails
from clearfacts_assets.cli.chargeback.shared import now
from clearfacts_assets.settings import load

if TYPE_CHECKING:
    from sqlalchemy import Engine


def enqueue_and_send(engine: Engine, period: str, *, actor: str, dry_run: bool = False) -> dict[str, Any]:
    """Want a mail for all that stands and was never in one; send what is due. Says what came of it."""
    return statement_mails.enqueue_and_send(engine, load(), period, actor=actor, clock=now, dry_run=dry_run)


def send(engine: Engine, period: str | None) -> dict[str, Any]:
    """Send what is due."""
    return statement_mails.send(engine, load(), period, clock=now)
