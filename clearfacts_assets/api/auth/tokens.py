"""What people and services show: access tokens (JWT, RFC 9068), and opaque secrets of which we keep only the hash.

Errors: BadToken, which never says to the caller what was wrong with it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from clearfacts_assets.storage.accounts.keyring import Keyring

ISSUER = "clearfacts_assets"
AUDIENCE = "clearfacts_assets/api"
TYPE = "at+jwt"  # RFC 9068, section 2.1: no other kind of token can pass for an access token
ALGORITHM = "HS256"
LONGEST_LIFE = timedelta(minutes=15)
CLOCKS_DIFFER = 5  # seconds between two machines' clocks
LONGEST_TOKEN = 4096  # characters
API_KEY_PREFIX = "cfk_"  # by which secret scanners, and we, know an API key
_REQUIRED = ["exp", "iat", "nbf", "iss", "aud", "sub", "sid", "jti"]


class BadToken(Exception):
    """This is no access token of ours, or one no more. The message is for the log."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a good token says. What its user may do is not in it: that is asked at each use."""

    user_id: UUID
    session_id: UUID
    expires_at: int  # seconds since 1970


def issue(keyring: Keyring, *, user_id: UUID, session_id: UUID, now: datetime, life: timedelta) -> str:
    """A signed access token."""
    key = keyring.newest
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "sid": str(session_id),
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + min(life, LONGEST_LIFE),
    }
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.name, "typ": TYPE})


def read(keyring: Keyring, token: str) -> AccessToken:
    """Check signature, key, type, issuer, audience and times. Raises BadToken."""
    if len(token) > LONGEST_TOKEN:
        raise BadToken("too long")
    try:
        header = jwt.get_unverified_header(token)
        key = keyring.named(str(header.get("kid")))
        if key is None or str(header.get("typ", "")).lower() != TYPE:
            raise BadToken("unknown key or type")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=CLOCKS_DIFFER,
            options={"require": _REQUIRED, "strict_aud": True},
        )
        if claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
            raise BadToken("lives too long")
        return AccessToken(UUID(claims["sub"]), UUID(claims["sid"]), int(claims["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise BadToken(type(error).__name__) from None


def new_secret(prefix: str = "") -> str:
    """256 random bits: a refresh token, a cookie's value, an API key."""
    return prefix + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is kept of it. It is random and long: SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
