"""Which tokens open the API, and which of the many that nearly do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from clearfacts_assets.api.auth import tokens
from clearfacts_assets.api.auth.access import Access
from clearfacts_assets_tests.fixtures.api import RunningApi

ME = "/api/v1/auth/me"
Forge = Callable[[dict[str, Any], dict[str, Any], str], str]


def answer_to(api: RunningApi, token: str) -> tuple[int, str]:
    got = api.client(None).get(ME, headers={"Authorization": f"Bearer {token}"})
    return got.status_code, "" if got.status_code == 200 else got.json()["error"]["code"]


def parts(api: RunningApi) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The header and the claims of a good token, and the secret that it was signed with."""
    token = api.callers.session("operator").access
    access: Access = api.app.state.access
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    header.pop("alg")  # PyJWT would take it before its own argument
    return header, claims, access.logins.signing.newest.secret


def signed(claims: dict[str, Any], header: dict[str, Any], secret: str, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm, headers=header)


def test_a_token_of_ours_is_good(quick_api: RunningApi) -> None:
    header, claims, secret = parts(quick_api)
    assert answer_to(quick_api, signed(claims, header, secret)) == (200, "")


def raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    pieces = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in pieces)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_none_is_no_algorithm(quick_api: RunningApi, algorithm: str) -> None:
    header, claims, _ = parts(quick_api)
    assert answer_to(quick_api, raw({"alg": algorithm, **header}, claims)) == (401, "UNAUTHENTICATED")


def test_a_signature_of_another_algorithm_is_refused(quick_api: RunningApi) -> None:
    header, claims, secret = parts(quick_api)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    by_rsa = jwt.encode(claims, private, algorithm="RS256", headers=header)
    assert answer_to(quick_api, by_rsa) == (401, "UNAUTHENTICATED")
    assert answer_to(quick_api, signed(claims, header, secret, "HS512"))[0] == 401


def without(name: str) -> Forge:
    return lambda claims, header, secret: signed({k: v for k, v in claims.items() if k != name}, header, secret)


def with_claim(**changes: Any) -> Forge:
    return lambda claims, header, secret: signed({**claims, **changes}, header, secret)


def with_header(**changes: Any) -> Forge:
    return lambda claims, header, secret: signed(claims, {**header, **changes}, secret)


def moment(**distance: int) -> int:
    return int((datetime.now(UTC) + timedelta(**distance)).timestamp())


FORGED: dict[str, Forge] = {
    "unknown key id": with_header(kid="another"),
    "key id that is a path": with_header(kid="../../etc/passwd"),
    "no key id": lambda claims, header, secret: jwt.encode(claims, secret, headers={"typ": tokens.TYPE}),
    "another type": with_header(typ="JWT"),
    "a refresh token's type": with_header(typ="rt+jwt"),
    "expired": with_claim(exp=moment(minutes=-1), iat=moment(minutes=-11), nbf=moment(minutes=-11)),
    # Far ahead, because these are made when the tests are collected, and a whole suite may run before they are used.
    "not yet valid": with_claim(nbf=moment(minutes=100)),
    "issued in the future": with_claim(iat=moment(minutes=100), nbf=moment(minutes=100), exp=moment(minutes=110)),
    "a year long": with_claim(exp=moment(days=365)),
    "another issuer": with_claim(iss="somebody"),
    "another audience": with_claim(aud="somebody"),
    "two audiences": with_claim(aud=[tokens.AUDIENCE, "somebody"]),
    "another user": with_claim(sub=str(uuid4())),
    "another session": with_claim(sid=str(uuid4())),
    "a session that is no id": with_claim(sid="1 OR 1=1"),
    "another secret": lambda claims, header, secret: signed(claims, header, secret[::-1]),
    "an empty secret": lambda claims, header, secret: raw(header, claims, b""),
    "too long": lambda claims, header, secret: signed({**claims, "pad": "x" * 5000}, header, secret),
    "no token": lambda claims, header, secret: "x.y.z",
    **{f"no {name}": without(name) for name in ("exp", "iat", "nbf", "iss", "aud", "sub", "sid", "jti")},
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_token_is_refused(quick_api: RunningApi, what: str) -> None:
    header, claims, secret = parts(quick_api)
    assert answer_to(quick_api, FORGED[what](claims, header, secret)) == (401, "UNAUTHENTICATED")


def test_a_refresh_token_is_no_access_token(quick_api: RunningApi) -> None:
    assert answer_to(quick_api, quick_api.callers.session("admin").refresh) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Token x", "", "Bearer \xe9", "Bearer a b"])
def test_what_is_no_bearer_token_is_refused(quick_api: RunningApi, value: str) -> None:
    got = quick_api.client(None).get(ME, headers={"Authorization": value.encode("latin-1")})
    assert got.status_code == 401
    assert got.headers["WWW-Authenticate"] == "Bearer"


def test_tokens_live_for_fifteen_minutes_at_most(quick_api: RunningApi) -> None:
    assert timedelta(minutes=15) >= tokens.LONGEST_LIFE
    _, claims, _ = parts(quick_api)  # issued with a life of an hour
    assert claims["exp"] - claims["iat"] == 900


def test_keys_rotate_with_overlap(quick_api: RunningApi) -> None:
    before = quick_api.callers.session("operator").access
    signing, now = quick_api.app.state.access.logins.signing, datetime.now(UTC)
    signing.rotate(now=now, overlap=timedelta(hours=1))
    after = quick_api.callers.session("operator").access
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    assert [answer_to(quick_api, token)[0] for token in (before, after)] == [200, 200]
    signing.rotate(now=now + timedelta(hours=2), overlap=timedelta(hours=1))
    quick_api.app.state.access.authentication.forget()  # else it is believed for TRUST_SECONDS
    assert [answer_to(quick_api, token)[0] for token in (before, after)] == [401, 200]


def test_a_token_says_nothing_of_what_its_user_may_do(quick_api: RunningApi) -> None:
    _, claims, _ = parts(quick_api)
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"}
