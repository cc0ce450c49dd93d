"""Passwords: hashed with Argon2id on threads of their own, and good enough not to be guessed.

The threads are few: each hash takes a core for some hundredths of a second and 46 MiB, and however many people log in
at once, every other request finds a free core and thread.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

SHORTEST = 12
LONGEST = 256
FEWEST_DIFFERENT = 5  # characters
HASHES_AT_ONCE = max(1, (os.cpu_count() or 2) - 1)

# OWASP's first choice for Argon2id: 46 MiB, one pass, one lane.
_hasher = PasswordHash([Argon2Hasher(time_cost=1, memory_cost=47_104, parallelism=1)])
_NOBODYS = _hasher.hash(secrets.token_urlsafe(32))  # compared with where there is no user: the same work, never true
_limiter = RunVar[CapacityLimiter]("password_threads")

# What people make long passwords of. Digits and signs between and around them add nothing.
_COMMON = """
password passwort motdepasse wachtwoord pass word welcome welkom bienvenue hello letmein iloveyou trustno secret geheim
admin administrator administrateur root user login master changeme default temp test testing demo example my the is
monkey dragon football baseball princess sunshine shadow superman batman summer winter spring autumn zomer lente herfst
company invoice invoices factuur facture clearfacts dagster accounting boekhouding january belgium belgie brussels
brussel antwerp gent qwerty qwertz azerty asdfgh zxcvbn abc correcthorsebatterystaple
"""
_COMMON_WORD = re.compile("|".join(sorted(_COMMON.split(), key=len, reverse=True)))
_NO_LETTER = re.compile(r"[\W\d_]")
_LEET = str.maketrans("013457$@!", "oieastsai")
_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)


async def matches(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Whether it is the password, and a new hash where the old one is weaker than today's. No hash, no match, the
    same time."""
    return await to_thread.run_sync(_matches, password, password_hash, limiter=_threads())


async def hashed_aside(password: str) -> str:
    """The hash, made on one of the few threads."""
    return await to_thread.run_sync(hashed, password, limiter=_threads())


def hashed(password: str) -> str:
    """Argon2id, with a salt of its own."""
    return _hasher.hash(password)


def problems(password: str, *, names: Sequence[str] = ()) -> list[str]:
    """What is missing before this can be somebody's password; ``names`` are the user's own. Empty when it is good."""
    found = []
    if len(password) < SHORTEST:
        found.append(f"it has {len(password)} characters; {SHORTEST} are needed")
    if len(password) > LONGEST:
        found.append(f"it has more than {LONGEST} characters")
    if len(set(password)) < FEWEST_DIFFERENT:
        found.append(f"it has {len(set(password))} different characters; {FEWEST_DIFFERENT} are needed")
    plain = _letters(password)
    if any(len(name) >= 3 and _letters(name) and _letters(name) in plain for name in names):
        found.append("it holds the user's name or e-mail address")
    if _is_common(password):
        found.append(
            "it is one of the first that are guessed: take several words that have nothing to do with each other"
        )
    return found


def _matches(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    try:
        if password_hash is None:
            _hasher.verify(password, _NOBODYS)
            return False, None
        return _hasher.verify_and_update(password, password_hash)
    except UnknownHashError:
        return False, None


def _threads() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(HASHES_AT_ONCE)
        _limiter.set(limiter)
        return limiter


def _letters(text: str) -> str:
    return _NO_LETTER.sub("", text.lower().translate(_LEET))


def _is_common(password: str) -> bool:
    """Common words, keyboard rows or counting, and nothing besides but digits and signs."""
    plain = password.lower()
    for row in _RUNS:
        for run in (row, row[::-1]):
            plain = re.sub("|".join(sorted({run[i : i + 4] for i in range(len(run) - 3)})), " ", plain)
    rest = min((_COMMON_WORD.sub("", letters) for letters in (_letters(plain), _NO_LETTER.sub("", plain))), key=len)
    return len(rest) < 4
