"""``clearfacts users``: who may log in. The first admin is made here; there is no default password."""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.api.auth.permissions import Role
from clearfacts_assets.cli.actor import terminal
from clearfacts_assets.cli.console import fail, instant, out, print_json, print_more, print_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.storage.accounts.users import UserRecord, UserRepository

app = typer.Typer(help="Users: who may log in, and as what.", no_args_is_help=True)

LONGEST_LINE = 10_000  # characters read from standard input

Name = Annotated[str, typer.Argument(help="the user's name")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="read the password from standard input's first line")]


@app.command()
def add(
    name: Name,
    email: Annotated[str, typer.Option(help="e-mail address")],
    role: Annotated[Role, typer.Option(help="what the user may do: docs/security.md")] = Role.USER,
    password_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a user, who can log in at once. The password is asked for, unless it comes from standard input."""
    from clearfacts_assets.storage.accounts.users import UserError

    users = _open()
    password_hash = _new_password(name, email, password_stdin)
    try:
        now = datetime.now(UTC)
        user = users.add(name, email=email, role=role, password_hash=password_hash, actor=terminal(), now=now)
    except UserError as error:
        fail(str(error))
    if as_json:
        print_json(as_result(user))
        return
    out.print(f"User {user.username} ({user.role}) can log in.", highlight=False)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most users shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Users, newest first."""
    page = _open().list(limit=limit, cursor=cursor)
    if as_json:
        print_json({"users": [as_result(user) for user in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "Users",
        ("name", "role", "active", "e-mail", "since"),
        [
            (user.username, user.role, "yes" if user.is_active else "no", user.email, instant(user.created_at))
            for user in page.items
        ],
        whole=("name", "role", "active"),
    )
    print_more(page.next_cursor)


@app.command()
def disable(name: Name) -> None:
    """The user can log in no longer, and every session ends."""
    _change(name, is_active=False)
    out.print(f"User {name} is disabled.", highlight=False)


@app.command()
def enable(name: Name) -> None:
    """A disabled user can log in again."""
    _change(name, is_active=True)
    out.print(f"User {name} is enabled.", highlight=False)


@app.command("set-role")
def set_role(name: Name, role: Annotated[Role, typer.Argument(help="the new role")]) -> None:
    """Give a user another role; in effect within seconds."""
    _change(name, role=role)
    out.print(f"User {name} is {role} now.", highlight=False)


@app.command("set")
def set_(
    name: Name,
    investigator: Annotated[
        str | None,
        typer.Option(help="whose charges are all that the user sees, by address or alias; '' for nobody's"),
    ] = None,
    email: Annotated[str | None, typer.Option(help="another e-mail address")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a user's address, or bind the user to an investigator; in effect within seconds."""
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    if investigator is None and email is None:
        fail("say what to change: --investigator or --email", code=2)
    person = investigator and RegistryRepository(_engine()).load().person(investigator.strip()).lower()
    user = _change(name, investigator=person, email=email)
    if as_json:
        print_json(as_result(user))
        return
    sees = f"sees the charges of {user.investigator} only" if user.investigator else "is bound to no investigator"
    out.print(f"User {user.username} ({user.email}) {sees}.", highlight=False)


@app.command("set-password")
def set_password(name: Name, password_stdin: FromStdin = False) -> None:
    """Give a user another password; every session ends."""
    from clearfacts_assets.storage.accounts.users import UserError

    users = _open()
    try:
        user = users.named(name)
        password_hash = _new_password(user.username, user.email, password_stdin)
        users.set_password(user.id, password_hash, actor=terminal(), now=datetime.now(UTC))
    except UserError as error:
        fail(str(error))
    out.print(f"User {name} has another password.", highlight=False)


def as_result(user: UserRecord) -> dict[str, Any]:
    """A user as JSON shows it."""
    values = asdict(user)
    return {"user_id": values.pop("id"), **values}


def _change(name: str, **changes: Any) -> UserRecord:
    from clearfacts_assets.storage.accounts.users import UserError

    users = _open()
    try:
        return users.change(users.named(name).id, actor=terminal(), now=datetime.now(UTC), **changes)
    except UserError as error:
        fail(str(error))


def _new_password(name: str, email: str, from_stdin: bool) -> str:
    from clearfacts_assets.api.auth.passwords import hashed, problems

    if from_stdin:
        password = sys.stdin.readline(LONGEST_LINE).rstrip("\r\n")
    elif sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Once more: "):
            fail("the two are not the same")
    else:
        fail("there is no terminal to ask for a password: use --password-stdin", code=2)
    missing = problems(password, names=[name, email.partition("@")[0]])
    if missing:
        fail("this cannot be a password: " + "; ".join(missing))
    return hashed(password)


def _open() -> UserRepository:
    from clearfacts_assets.storage.accounts.users import UserRepository

    return UserRepository(_engine())


def _engine() -> Engine:
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.database import open_engine

    return open_engine(ready().business_database_url)
