"""Whether this machine's keys are those of all who share its database.

Each home makes keys of its own where none are set. On one machine that is right; two machines with one PostgreSQL would
refuse each other's logins and could not read each other's secrets. So the database knows which key is the newest, by
its fingerprint, and a machine without that key is told so before it does anything.

KeyringError    the keys of this home are not those of the others
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from clearfacts_assets.storage.accounts.keyring import Key, Keyring, KeyringError
from clearfacts_assets.storage.accounts.tables import KeyInUse
from clearfacts_assets.storage.database import insert_into, write

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0  # with a database that is away

_TABLE = cast(Table, KeyInUse.__table__)


def agree(engine: Engine, ring: Keyring, now: datetime) -> None:
    """This machine has the newest key of those who share the database; from now on its own newest one is that.

    Keys of a setting are what the operator decided: where they are others than before they hold, with a warning. On
    SQLite, which is one machine's, nothing is asked. Raises KeyringError; nothing is changed then.
    """
    if engine.dialect.name == "sqlite":
        return

    def work(connection: Connection) -> None:
        # The first of two that come at once waits for nobody, the second for the first, whose key it then sees.
        known = _row(connection, ring, now)
        if known is None:
            return
        if not any(_fingerprint(ring, key) == known.fingerprint for key in ring.all()):
            _differs(ring, known.name)
        fresh = _values(ring, now)
        if fresh["fingerprint"] != known.fingerprint:
            connection.execute(_TABLE.update().where(_TABLE.c.purpose == ring.purpose).values(fresh))

    write(engine, work, repeatable=True, patience=PATIENCE_SECONDS)


def agree_at_start(engine: Engine, ring: Keyring, now: datetime) -> None:
    """The same for a server, which may be up before the database or its tables are: then it is not asked."""
    try:
        agree(engine, ring, now)
    except (OperationalError, ProgrammingError) as error:
        logger.warning("whether other machines have the same %s keys could not be asked: %s", ring.purpose, error.orig)


def _row(connection: Connection, ring: Keyring, now: datetime) -> Any:
    """What is known, locked; None where ours is the first. A home without keys makes none beside those of others."""
    query = select(_TABLE).where(_TABLE.c.purpose == ring.purpose).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        first = insert_into(connection, _TABLE).values(_values(ring, now)).on_conflict_do_nothing()
        if connection.execute(first).rowcount == 1:
            return None
        found = connection.execute(query).one()
    if not ring.exists:
        _differs(ring, found.name)
    return found


def _differs(ring: Keyring, known: str) -> None:
    variable = f"CLEARFACTS_AUTH__{ring.purpose.upper()}_KEYS"
    what = "logins at one of them are refused by the other" if ring.purpose == "signing" else "secrets cannot be read"
    if not ring.from_setting:
        raise KeyringError(
            f"this database's {ring.purpose} key is {known}, made by another machine or by this one before it lost its "
            f"home, and it is not in {ring.file}: {what}. Set {variable} to the same value on all of them (`clearfacts "
            "keys generate` prints one), or copy that file from the machine that has it"
        )
    logger.warning(
        "%s does not hold the %s key %s, which was in use before: %s until all machines have the same value",
        variable,
        ring.purpose,
        known,
        what,
    )


def _values(ring: Keyring, now: datetime) -> dict[str, object]:
    newest = ring.newest
    return {"purpose": ring.purpose, "name": newest.name, "fingerprint": _fingerprint(ring, newest), "since": now}


def _fingerprint(ring: Keyring, key: Key) -> str:
    """Nobody finds the key by it: the secret is random, and of 32 characters at least."""
    return hashlib.sha256(f"clearfacts {ring.purpose} {key.secret}".encode()).hexdigest()
