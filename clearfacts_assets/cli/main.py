"""The ``clearfacts`` command: what there is, and how errors end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from clearfacts_assets.cli import chargeback, database
from clearfacts_assets.cli.accounts import audit, keys, users
from clearfacts_assets.cli.daemon import daemon
from clearfacts_assets.cli.demo import demo
from clearfacts_assets.cli.health import health
from clearfacts_assets.cli.installation import backup, retention
from clearfacts_assets.cli.invoices import deliveries, invoices, jobs, rules
from clearfacts_assets.cli.invoices.explain import explain
from clearfacts_assets.cli.invoices.run import run
from clearfacts_assets.cli.invoices.validate import validate
from clearfacts_assets.cli.serve import serve
from clearfacts_assets.cli.settings import settings
from clearfacts_assets.cli.signals import restore_signals
from clearfacts_assets.cli.simulate import simulate

app = typer.Typer(
    name="clearfacts",
    help="UBL invoices from the ERP to Clearfacts, as Dagster assets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(run)
app.command()(validate)
app.command()(explain)
app.command()(health)
app.add_typer(rules.app, name="rules")
app.add_typer(jobs.app, name="jobs")
app.add_typer(invoices.app, name="invoices")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(chargeback.app, name="chargeback")
app.add_typer(users.app, name="users")
app.add_typer(keys.api_keys, name="api-keys")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.command()(serve)
app.command()(daemon)
app.command()(simulate)
app.add_typer(database.app, name="db")
app.add_typer(backup.app, name="backup")
app.command()(backup.restore)
app.command()(retention.retention)
app.add_typer(retention.holds, name="holds")
app.command()(settings)


@app.callback()
def _options(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Settings file (YAML); docs/settings.md lists the settings.")
    ] = None,
) -> None:
    if config is None:
        return
    if not config.is_file():
        raise typer.BadParameter(f"{config} is not a file", param_hint="--config")
    os.environ["CLEARFACTS_CONFIG"] = str(config.resolve())


def main() -> None:
    """The console script. An error that was foreseen is one sentence and exit code 1; only bugs show a traceback."""
    restore_signals()
    try:
        app()
    except Exception as error:
        from clearfacts_assets.cli.expected_errors import explain

        message = explain(error)
        if message is None:
            raise
        typer.secho(f"clearfacts: {message}", err=True, fg=typer.colors.RED)
        sys.exit(1)
