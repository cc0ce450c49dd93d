"""``clearfacts keys``: what signs access tokens and encrypts configuration. ``clearfacts api-keys``: services' keys."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.api.auth.permissions import ALLOWED, Permission, Role
from clearfacts_assets.cli.actor import terminal
from clearfacts_assets.cli.console import fail, instant, out, print_json, print_more, print_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from clearfacts_assets.storage.accounts.api_keys import ApiKeyRepository
    from clearfacts_assets.storage.accounts.keyring import Key, Keyring

app = typer.Typer(help="Keys that sign access tokens and encrypt configuration.", no_args_is_help=True)
api_keys = typer.Typer(help="API keys, with which services show who they are.", no_args_is_help=True)

OVERLAP = timedelta(hours=1)  # a replaced signing key is good for so long; access tokens live 15 minutes at most

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
KeyName = Annotated[str, typer.Argument(help="the key's name")]


class Purpose(StrEnum):
    """What keys are for."""

    SIGNING = "signing"
    ENCRYPTION = "encryption"


@app.command()
def generate() -> None:
    """Print a new random key as the settings auth.signing_keys and auth.encryption_keys take it."""
    from clearfacts_assets.storage.accounts import keyring

    key = keyring.generate(datetime.now(UTC))
    typer.echo(f"{key.name}:{key.secret}")


@app.command()
def rotate(purpose: Annotated[Purpose, typer.Argument(help="signing or encryption")]) -> None:
    """Begin to use a new key. Running processes notice by themselves.

    signing: tokens of the key before stay good until they expire. encryption: everything is encrypted anew, also
    where keys come from the setting: put the new key before the old one there, restart, then call this.
    """
    from clearfacts_assets import configuration
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.database import open_engine

    configured, now = ready(), datetime.now(UTC)
    engine = open_engine(configured.business_database_url)
    if purpose is Purpose.SIGNING:
        key = _rotated(engine, purpose, configuration.signing_keys(configured), OVERLAP, now)
        out.print(f"New access tokens are signed with key {key.name}.", highlight=False)
        return
    keyring = configuration.encryption_keys(configured)
    if keyring.from_setting:
        _record(engine, "key.rotated", purpose, keyring.newest, now)
    else:
        # No key is dropped before everything was encrypted with the new one.
        _rotated(engine, purpose, keyring, timedelta.max, now)
    repository = configuration.repository(engine, configured)
    count = repository.encrypt_anew(actor=terminal(), now=now)
    if not keyring.from_setting:
        keyring.keep_newest()
    out.print(f"{count} secrets are encrypted with key {keyring.newest.name}.", highlight=False)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys' names and ages, the newest first; never the keys."""
    from clearfacts_assets import configuration
    from clearfacts_assets.cli.startup import ready

    configured = ready()
    rings = {
        Purpose.SIGNING: configuration.signing_keys(configured),
        Purpose.ENCRYPTION: configuration.encryption_keys(configured),
    }
    rows = [(purpose, key.name, key.made_at) for purpose, ring in rings.items() for key in ring.all()]
    if as_json:
        print_json([{"purpose": purpose, "name": name, "made_at": made_at} for purpose, name, made_at in rows])
        return
    print_table("Keys", ("for", "name", "made"), [(purpose, name, instant(made)) for purpose, name, made in rows])


@api_keys.command("add")
def add_api_key(
    name: KeyName,
    scope: Annotated[list[Permission], typer.Option(help="what it may do; may be given several times")],
    days: Annotated[int, typer.Option(min=1, max=365, help="days after which it is good no longer")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a key for a service and print it, this one time."""
    from clearfacts_assets.api.auth import tokens
    from clearfacts_assets.storage.accounts.api_keys import KeyExists

    beyond = sorted(set(scope) - ALLOWED[Role.SERVICE])
    if beyond:
        fail(f"no service may have {', '.join(beyond)}; there are {', '.join(sorted(ALLOWED[Role.SERVICE]))}", code=2)
    secret, now = tokens.new_secret(tokens.API_KEY_PREFIX), datetime.now(UTC)
    digest, until = tokens.hash_of(secret), now + timedelta(days=days)
    try:
        key = _open().add(name, digest, sorted(set(scope)), expires_at=until, actor=terminal(), now=now)
    except KeyExists as error:
        fail(str(error))
    if as_json:
        print_json({**asdict(key), "key": secret})
        return
    typer.echo(secret)
    typer.echo(f"Shown this one time; good until {instant(key.expires_at)}.", err=True)


@api_keys.command("revoke")
def revoke_api_key(name: KeyName) -> None:
    """From now on the key opens nothing."""
    from clearfacts_assets.storage.accounts.api_keys import KeyNotFound

    keys = _open()
    try:
        keys.revoke(keys.named(name).id, actor=terminal(), now=datetime.now(UTC))
    except KeyNotFound as error:
        fail(str(error))
    out.print(f"API key {name} is revoked.", highlight=False)


@api_keys.command("list")
def list_api_keys(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most keys shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """API keys, newest first, without the keys."""
    page = _open().list(limit=limit, cursor=cursor)
    if as_json:
        print_json({"keys": [asdict(key) for key in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "API keys",
        ("name", "scopes", "good until", "revoked"),
        [(key.name, ", ".join(key.scopes), instant(key.expires_at), instant(key.revoked_at)) for key in page.items],
        whole=("name", "good until"),
    )
    print_more(page.next_cursor)


def _rotated(engine: Engine, purpose: Purpose, ring: Keyring, overlap: timedelta, now: datetime) -> Key:
    """The new key. Its entry is in the audit log before it is in the ring, so that no key is ever used without one."""
    from clearfacts_assets.storage.accounts.keyring import generate
    from clearfacts_assets.storage.accounts.keys_in_use import agree

    ring.refuse_given()
    agree(engine, ring, now)
    fresh = generate(now)
    _record(engine, "key.rotated", purpose, fresh, now)
    try:
        key = ring.rotate(now=now, overlap=overlap, fresh=fresh)
        agree(engine, ring, now)
        return key
    except Exception:
        _record(engine, "key.not_rotated", purpose, fresh, now)
        raise


def _record(engine: Engine, action: str, purpose: Purpose, key: Key, now: datetime) -> None:
    from clearfacts_assets.storage.accounts.audit import record
    from clearfacts_assets.storage.database import write

    def work(connection: Connection) -> None:
        record(
            connection,
            actor=terminal(),
            action=action,
            resource_type="key",
            resource_id=key.name,
            after={"purpose": purpose.value},
            now=now,
        )

    write(engine, work)


def _open() -> ApiKeyRepository:
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.accounts.api_keys import ApiKeyRepository
    from clearfacts_assets.storage.database import open_engine

    return ApiKeyRepository(open_engine(ready().business_database_url))
