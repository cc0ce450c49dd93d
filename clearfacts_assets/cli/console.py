"""How every command speaks: tables and messages for people, JSON for scripts, exit codes for both.

Exit codes: 0 all went well, 1 something did not, 2 the call itself was wrong. Results go to standard output, progress
and complaints to standard error, so that ``--json`` can be piped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

out = Console()
err = Console(stderr=True)

_WIDEST = 1000  # characters of a wide table


def print_json(value: Any) -> None:
    """One JSON document on standard output; exact amounts as text, times as RFC 3339 in UTC."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def print_json_line(value: Any) -> None:
    """The same on one line, for commands that print many."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def instant(value: datetime | None) -> str:
    """``2026-11-21T02:00:07Z``; a dash where there is none."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else "–"


def print_table(
    title: str | Text,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    wide: bool = False,
) -> None:
    """A table for people. Columns named in ``right`` hold numbers; those, and those in ``whole``, are never wrapped.

    A ``wide`` one takes the room that it needs, whatever the terminal has: an exact amount is never cut.
    """
    heading = Text(harmless(title)) if isinstance(title, str) else title
    heading.stylize_before("bold")
    out.print("", heading, sep="\n")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=any(columns))
    for column in columns:
        kept_whole = column in right or column in whole
        # Rich gives a place to a column that is empty, and does not count it where it measures.
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=kept_whole, min_width=1
        )
    for row in rows:
        table.add_row(*(Text("" if cell is None else harmless(str(cell))) for cell in row))
    if wide:
        needed = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
        Console(file=out.file, width=max(needed, out.width)).print(table)
    else:
        out.print(table)


def harmless(text: str) -> str:
    """Text from outside without what a terminal would obey."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def say(message: str, *, style: str = "", console: Console = out) -> None:
    """A sentence that may hold text from outside: nothing in it is markup."""
    console.print(Text(harmless(message), style=style), soft_wrap=True)


def print_more(cursor: str | None) -> None:
    """How to see the next page, if there is one."""
    if cursor:
        typer.echo(f"\nMore: --cursor {cursor}")


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say on standard error what went wrong and what to do, and end with the exit code."""
    err.print(Text.assemble(("clearfacts:", "bold red"), " ", harmless(message)), soft_wrap=True)
    raise typer.Exit(code)
