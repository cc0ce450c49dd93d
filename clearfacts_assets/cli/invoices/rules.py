"""``clearfacts rules``: which rules documents are validated by."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from clearfacts_assets.cli.console import fail, print_json, print_table, say

app = typer.Typer(help="The rules that documents are validated by.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="as on this day; today otherwise")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which versions are in force, from when, and from where."""
    from clearfacts_assets import settings
    from clearfacts_assets.invoice_settings import rule_options
    from clearfacts_assets.invoices.validation.inspection import today_in_brussels
    from clearfacts_assets.invoices.validation.rule_versions import rules_in_force

    day = on.date() if on is not None else today_in_brussels()
    found = rules_in_force(rule_options(settings.load().validation), day)
    if as_json:
        print_json({"day": day, "rules": [asdict(one) for one in found]})
        return
    rows = [(one.layer, one.version, one.state, one.since or "–", one.until or "–", one.source) for one in found]
    print_table(
        f"Rules on {day}", ("layer", "version", "state", "from", "to", "source"), rows, whole=("layer", "state")
    )


@app.command()
def look(file: Annotated[Path, typer.Argument(help="a Schematron or XSLT file")], as_json: AsJson = False) -> None:
    """What a file of rules is, with its SHA-256: what releases.yaml has to say of it."""
    import hashlib

    from clearfacts_assets.invoices.validation.releases import recognise

    if not file.is_file():
        fail(f"there is no file {file}", code=2)
    content = file.read_bytes()
    try:
        known = recognise(content)
    except ValueError as error:
        fail(f"{file} cannot be used: {error}")
    sha256 = hashlib.sha256(content).hexdigest()
    if as_json:
        print_json({"file": file.name, "sha256": sha256, **asdict(known)})
        return
    say(f"{file.name}: {known.rules} rules of {known.layer}, version {known.version or 'unknown: name it in the list'}")
    say(f"  - {{file: {file.name}, sha256: {sha256}, from: YYYY-MM-DD}}")
