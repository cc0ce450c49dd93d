"""What the commands of chargeback share: their options, the database, the rules that the settings make."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.console import fail, print_json, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
ForPeriod = Annotated[str, typer.Option("-p", "--period", help="the month, as 2025-03")]
MaybePeriod = Annotated[str | None, typer.Option("-p", "--period", help="the month, as 2025-03")]
By = Annotated[str | None, typer.Option("--actor", help="who does it; the user of this terminal by default")]
Reason = Annotated[str, typer.Option("--reason", help="why; it is kept")]


def ledger() -> Engine:
    """An engine on our database."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.database import open_engine

    return open_engine(ready().business_database_url)


def count_of(number: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def readable(*files: Path) -> None:
    """Fails, naming each, where a file that is to be read is none."""
    found = ((file, _why_unreadable(file)) for file in files)
    if said := [f"{file}: {why}" for file, why in found if why]:
        fail("; ".join(said))


def entries_in(file: Path, kind: str) -> list[dict[str, Any]]:
    """The rows of a CSV file of the registry or of overrides; fails where it cannot be read."""
    from clearfacts_assets.chargeback.attribution.entries import entries_of

    readable(file)
    with told(), file.open(newline="", encoding="utf-8-sig") as opened:
        return entries_of(kind, opened)


def _why_unreadable(file: Path) -> str:
    if file.is_dir():
        return "it is a folder: name the files in it"
    if not file.exists():
        return "there is no such file"
    if not file.is_file():  # it is read more than once: for its digest, its header, its rows
        return "it is no plain file, and a pipe can be read only once: write it to a file first"
    return "" if os.access(file, os.R_OK) else f"it may not be read by {getpass.getuser()}"


def who(actor: str | None) -> str:
    return actor or getpass.getuser()


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def told() -> Iterator[None]:
    """What cannot be done as asked is one sentence and exit code 1; what was asked wrongly 2."""
    from clearfacts_assets.chargeback.model import BadPeriod, ChargebackError

    try:
        yield
    except BadPeriod as error:
        fail(str(error), code=2)
    except ChargebackError as error:
        fail(str(error))
    except FileNotFoundError as error:
        from clearfacts_assets.cli.expected_errors import of_file

        fail(of_file(error))


def attribute_again(engine: Engine, period: str | None = None) -> int:
    """After the registry or the settings changed: who pays, asked again in every period that is not finalized."""
    from clearfacts_assets.chargeback.ingest.preferences import attribution_rules, flag_patterns
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.attributing import attribute_again

    wanted = load().chargeback
    return attribute_again(engine, attribution_rules(wanted), flag_patterns(wanted), period)


def say_who_pays_now(said: Mapping[str, Any], what: str, as_json: bool) -> None:
    """Who pays is asked again after a change, and what that came to is told."""
    moved = attribute_again(ledger())
    if as_json:
        print_json({**said, "charges_changed": moved})
    else:
        say(f"{what}; attributed anew: {count_of(moved, 'charge')}.")
