"""Help comes at once: it imports nothing that only the work itself needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"alembic", "dagster", "fastapi", "graphql", "httpx", "lxml", "pandas", "pydantic_settings", "saxonche"}
HEAVY |= {"sqlalchemy", "xmlschema"}
PROGRAM = """
import json, sys
from typer.main import get_command
from clearfacts_assets.cli.main import app
command = get_command(app)  # which an app else does for each call
for arguments in json.loads(sys.argv[1]):
    command([*arguments, "--help"], standalone_mode=False)
    print(json.dumps([arguments, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
GROUPS = [
    *("rules", "jobs", "invoices", "deliveries", "users", "api-keys", "keys", "audit", "db", "chargeback"),
    *("backup", "holds"),
]
COMMANDS = [
    *("demo", "run", "health", "validate", "explain", "serve", "daemon", "simulate", "settings"),
    *("restore", "retention"),
]


@pytest.mark.slow
def test_help_imports_nothing_that_only_the_work_needs() -> None:
    helps = [
        [],
        *([name] for name in GROUPS + COMMANDS),
        ["deliveries", "resolve"],
        ["audit", "list"],
        ["users", "add"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(helps)], check=True, capture_output=True, text=True
    )
    imported = [json.loads(line) for line in done.stderr.splitlines()]
    assert [arguments for arguments, _ in imported] == helps
    assert done.stdout.count("Usage:") == len(helps)
    assert {" ".join(arguments): found for arguments, names in imported if (found := HEAVY & set(names))} == {}


def test_these_are_all_the_commands_that_there_are() -> None:
    from clearfacts_assets.cli.main import app

    commands = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert commands == set(COMMANDS)
    assert {one.name for one in app.registered_groups} == set(GROUPS)
