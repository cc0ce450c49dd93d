"""``clearfacts settings``: every setting, what it is for, where its value comes from. Writes docs/settings.md too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from clearfacts_assets.cli.console import fail, out, print_json, print_table


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="print docs/settings.md: defaults only")] = False,
) -> None:
    """Every setting with its value and where that comes from. Secrets are never shown."""
    if as_json and as_markdown:
        fail("--json and --markdown exclude each other", code=2)
    from clearfacts_assets.cli.settings_catalogue import document, effective_settings

    if as_markdown:
        typer.echo(document(), nl=False)
        return
    rows = list(effective_settings())
    if as_json:
        print_json([asdict(setting) | {"value": value, "origin": origin} for setting, value, origin in rows])
        return
    print_table(
        "Settings",
        ["setting", "value", "from"],
        [(setting.name, value, origin) for setting, value, origin in rows],
    )
    out.print("What each is for, and its environment variable: clearfacts settings --markdown")
