"""``settings import``: what an OpenChargeback settings file says, each key taken, ignored or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ledger, now, readable, told, who
from clearfacts_assets.cli.console import fail, print_json, print_table, say

app = typer.Typer(help="Settings of another chargeback system.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="the settings file (YAML)")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would become of each key")] = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Sources go into the database; settings are printed as YAML for our own settings file. Exit code 1 where a key
    is refused."""
    import yaml

    from clearfacts_assets.chargeback.openchargeback_settings import take_over
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    readable(file)
    try:
        read = yaml.safe_load(file.read_text("utf-8")) or {}
    except yaml.YAMLError as error:
        fail(f"{file} is no YAML: {error}")
    if not isinstance(read, dict):
        fail(f"{file} holds no settings: they are names and values")
    taken = take_over(read)
    if not dry_run:
        repository = RegistryRepository(ledger())
        with told():
            for source in taken.sources:
                values = {name: value for name, value in source.items() if name != "name"}
                repository.set_source(source["name"], values, actor=who(actor), now=now())
    settings: dict[str, Any] = {"chargeback": taken.settings}
    if taken.journals:
        settings["journals"] = taken.journals
    refused = [one for one in taken.keys if one.what == "refused"]
    if as_json:
        print_json(
            {
                "keys": [{"key": one.key, "what": one.what, "why": one.why} for one in taken.keys],
                "sources": taken.sources,
                "settings": settings,
            }
        )
    else:
        print_table("Keys", ("key", "", "why"), [(one.key, one.what, one.why) for one in taken.keys], whole=("key",))
        say("\nFor our settings file (clearfacts -c FILE):\n\n" + yaml.safe_dump(settings, sort_keys=False))
    if refused:
        raise typer.Exit(1)
