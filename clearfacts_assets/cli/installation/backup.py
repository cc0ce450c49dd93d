"""``clearfacts backup`` and ``clearfacts restore``: an installation as one file, made while everything runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.actor import terminal
from clearfacts_assets.cli.console import fail, out, print_json, say

if TYPE_CHECKING:
    from clearfacts_assets.installation.backup import Backup
    from clearfacts_assets.installation.places import Places

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
app = typer.Typer(help="Back up databases, documents and keys into one file, while everything runs.")


@app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option(help="folder, or name of the file; it must not exist")] = None,
    as_json: AsJson = False,
) -> None:
    """Back up databases, documents and keys into one file, while everything runs.

    It holds keys and all documents: keep it as safe as the installation itself. It does not hold the settings file and
    the environment.
    """
    if context.invoked_subcommand is not None:
        return
    if to is None:
        fail("where to? --to FOLDER or --to FILE.zip", code=2)
    from clearfacts_assets.cli.expected_errors import explain
    from clearfacts_assets.installation import backup as making
    from clearfacts_assets.installation.archive import BackupProblem

    try:
        with _installation() as (places, dagster_url):
            made = making.back_up(places, dagster_url, to, now=datetime.now(UTC))
    except (BackupProblem, OSError) as error:
        fail(explain(error) or str(error))
    _tell(made, "is the backup", as_json)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="the backup")],
    as_json: AsJson = False,
) -> None:
    """Read a backup whole: is every byte as it was written? Exit code 1 if not. Needs no installation."""
    from clearfacts_assets.installation import backup as making
    from clearfacts_assets.installation.archive import BackupProblem

    try:
        found = making.look_at(file)
    except BackupProblem as error:
        fail(str(error))
    _tell(found, "is whole", as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="the backup")],
    yes: Annotated[bool, typer.Option("--yes", help="replace what is here; its files are put aside")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty installation. Stop everything before.

    What was delivered after the backup was made is not known afterwards: docs/upgrading.md says what to do first.
    """
    from clearfacts_assets.installation import restore as restoring
    from clearfacts_assets.installation.archive import BackupProblem

    try:
        with _installation() as (places, dagster_url):
            done = restoring.restore(file, places, dagster_url, replace=yes, actor=terminal(), now=datetime.now(UTC))
    except (BackupProblem, OSError) as error:
        fail(str(error))
    if as_json:
        print_json(
            {
                "made_at": done.made_at,
                "archived_revision": done.archived_revision,
                "revision": done.revision,
                "files": done.files,
                "aside": None if done.aside is None else str(done.aside),
            }
        )
        return
    out.print(f"Restored as of {done.made_at}; the database is at version {done.revision}.", highlight=False)
    if done.aside is not None:
        say(f"What was here lies in {done.aside}.")
    say(
        f'Invoices that left after {done.made_at} are not known here: before you start the daemon, see "After a '
        'restoration" in docs/upgrading.md.',
        style="yellow",
    )


@contextmanager
def _installation() -> Iterator[tuple[Places, str | None]]:
    """Where the parts of this installation are, and Dagster's PostgreSQL if it has one."""
    from dagster import DagsterInstance

    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.home import dagster_home
    from clearfacts_assets.installation.places import Places
    from clearfacts_assets.orchestration.dagster_internals import postgres_url

    configured = ready()
    with DagsterInstance.get() as instance:
        yield Places.of(configured, dagster_home()), postgres_url(instance)


def _tell(found: Backup, what: str, as_json: bool) -> None:
    if as_json:
        print_json(dict(found.summary))
        return
    told = found.manifest
    say(f"{found.file} {what}: {found.size:,} bytes, {len(told.members)} members, as of {told.made_at}.")
    say(f"Made by clearfacts {told.program}; {told.kind} database at version {told.revision}.")
    if not told.has.get("keys"):
        say("It holds no keys: they come from settings here. Keep those yourself.", style="yellow")
