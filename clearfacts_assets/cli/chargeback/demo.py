"""``clearfacts chargeback demo``: two months of a small university, flaws and all, in a folder that is thrown away.

docs/chargeback.md holds the same walk, as ``--markdown`` prints it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.console import err, fail, out

FIRST, SECOND = "2026-09", "2026-10"
WIDTH = 120


@dataclass(frozen=True, slots=True)
class Step:
    """A command, or what a person does beside them, and why. ``code`` is the exit code that it has to have."""

    words: str
    command: str
    code: int = 0
    act: Callable[[], str] | None = None  # in place of one of our commands


def demo(
    context: typer.Context,
    markdown: Annotated[bool, typer.Option("--markdown", help="as docs/chargeback.md has it")] = False,
) -> None:
    """Walk through two months with flaws: import, mend, review, reconcile, finalize, and what comes late. Nothing of it
    stays."""
    with _somewhere_else():
        for number, step in enumerate(_steps(), start=1):
            output = step.act() if step.act else _output_of(step, context.find_root().command)
            if markdown:
                typer.echo(f"{step.words}\n\n```console\n$ {step.command}\n{output}\n```\n")
            else:
                typer.secho(f"\n{number}. {step.words}", bold=True)
                typer.secho(f"$ {step.command}", fg=typer.colors.CYAN)
                typer.echo(output)


def _output_of(step: Step, program: Any) -> str:
    """What our command prints. Ends the demo where its exit code is another one than foreseen."""
    printed = StringIO()
    out.width = err.width = WIDTH
    with redirect_stdout(printed), redirect_stderr(printed):
        code = program.main(args=shlex.split(step.command)[1:], prog_name="clearfacts", standalone_mode=False)
    if (code or 0) != step.code:
        fail(f"{step.command} ended with {code} instead of {step.code}: {printed.getvalue()}")
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


@contextmanager
def _somewhere_else() -> Iterator[None]:
    """In a home and a folder of their own, with the exports and the registry in it."""
    from clearfacts_assets import settings
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.simulator.cost_exports import SOURCES, Edition, write_month, write_registry
    from clearfacts_assets.storage import migrate

    before, here = dict(os.environ), Path.cwd()
    with TemporaryDirectory(prefix="clearfacts-demo-") as folder:
        for name in [one for one in os.environ if one.startswith(("CLEARFACTS_", "DAGSTER_"))]:
            del os.environ[name]
        os.environ["CLEARFACTS_HOME"] = f"{folder}/home"
        os.environ["CLEARFACTS_LOG_LEVEL"] = "ERROR"
        settings.load.cache_clear()
        try:
            migrate.upgrade(ready().business_database_url)
            os.chdir(folder)
            for month in (FIRST, SECOND):
                for source in SOURCES:
                    write_month(Path(folder), source, month)
            write_registry(Path(folder))
            write_month(Path("late"), "cloud", FIRST, edition=Edition.LATE)
            write_month(Path("broken-off"), "cloud", SECOND, edition=Edition.SHORT)
            yield
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
            settings.load.cache_clear()


def _steps() -> list[Step]:
    command = "clearfacts chargeback"
    mend = "sed -i 's/\"12,5\"/12.5/' refused.csv"
    update = "UPDATE charges SET status = 'rejected' WHERE status = 'approved'"
    crystals = "--pi-email rosalind@chem.example.edu --project-id crystals --fund-org CHE-200100"
    return [
        Step("The group knows who pays for two of its projects,", f"{command} projects import projects.csv"),
        Step("and its funds, with the ends of their awards.", f"{command} funds import funds.csv"),
        Step(
            f"The cloud's export of {FIRST} is there. What would it change?",
            f"{command} ingest cloud_{FIRST}.csv -p {FIRST} --dry-run",
        ),
        Step(
            "One amount says `12,5`: twelve and a half, or a part of 12,500? Nobody knows, so that row is refused and "
            "the others come in.",
            f"{command} ingest cloud_{FIRST}.csv -p {FIRST}",
        ),
        Step(
            "The cluster's export has a total at its end, which is no charge.",
            f"{command} ingest cluster_{FIRST}.csv -p {FIRST}",
        ),
        Step("What is missing in this month, and what comes next?", f"{command} month -p {FIRST}"),
        Step(
            "First the refused row: with its header and the reason into a file,",
            f"{command} refusals export 1 -o refused.csv",
        ),
        Step("which a person mends who has asked the provider,", mend, act=_mended),
        Step("and which is imported alone.", f"{command} refusals retry refused.csv -s cloud -p {FIRST}"),
        Step("Then what waits for a person.", f"{command} review list -p {FIRST}"),
        Step(
            "Two charges of the cloud lost their tags. They belong to crystals: corrected, and approved by that.",
            f"{command} review correct -p {FIRST} --reason missing_pi_email {crystals} -n 'their tags were lost'",
        ),
        Step(
            "An award has ended; the sponsor takes this month still.",
            f"{command} review approve -p {FIRST} --reason expired_award -n 'the sponsor agreed'",
        ),
        Step("From the provider's total to what is due, with no cent left over:", f"{command} reconcile -p {FIRST}"),
        Step("The month is closed", f"{command} periods close {FIRST}"),
        Step("and finalized: from now on nothing in it changes.", f"{command} periods finalize {FIRST}"),
        Step("Not even by who has the database:", f'sqlite3 clearfacts.db "{update}"', act=lambda: _refused(update)),
        Step("The second month begins.", f"{command} ingest cloud_{SECOND}.csv -p {SECOND}"),
        Step(
            "Its export comes a second time, but the transfer broke off. A delivery is all of its month, so that this "
            "would withdraw most charges: it is not done without `--yes`.",
            f"{command} ingest broken-off/cloud_{SECOND}.csv -p {SECOND}",
            code=1,
        ),
        Step(
            f"And the provider delivers {FIRST} again: one row costs more, one is gone, one is new, and what "
            f"nobody could read is what was mended. {FIRST} is finalized, so the difference is billed in {SECOND}.",
            f"{command} ingest late/cloud_{FIRST}.csv -p {FIRST}",
        ),
        Step(
            "What came late has a line of its own on the way to what is due.",
            f"{command} reconcile -p {SECOND}",
        ),
        Step("What does one investigator pay, and from which fund?", f"{command} show ada@bio.example.edu -p {SECOND}"),
        Step(f"{FIRST} is still what was finalized.", f"{command} periods verify"),
    ]


def _mended() -> str:
    file = Path("refused.csv")
    file.write_text(file.read_text("utf-8").replace('"12,5"', "12.5"), "utf-8")
    return ""


def _refused(statement: str) -> str:
    """What the database answers to raw SQL."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect("home/clearfacts.db")) as connection:
        try:
            connection.execute(statement)
        except sqlite3.DatabaseError as error:
            return f"Error: {error}"
    fail("a finalized period was changed by raw SQL")
