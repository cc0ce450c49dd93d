"""Which passwords are good enough, and how they are kept."""

from __future__ import annotations

import asyncio

import pytest

from clearfacts_assets.api.auth import passwords


@pytest.mark.parametrize(
    "password",
    ["plum tractor violet", "kX9#vQ2!mZ7$", "correct horse battery", "длинный пароль здесь", "fiets-kraan-zeven-wolk"],
)
def test_good_ones(password: str) -> None:
    assert passwords.problems(password, names=["an.peeters"]) == []


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("plum tract", "12 are needed"),
        ("", "12 are needed"),
        ("x" * 300, "more than 256"),
        ("aabbaabbaabb", "different characters"),
        ("An.Peeters-is-here", "name"),
        ("4n_P33t3r5 at work", "name"),
        ("Password1234!", "first that are guessed"),
        ("P@ssw0rdP@ssw0rd", "first that are guessed"),
        ("Clearfacts2026!", "first that are guessed"),
        ("welkomwelkom12", "first that are guessed"),
        ("qwertyuiop12345", "first that are guessed"),
        ("azertyuiopqsdf", "first that are guessed"),
        ("123456789012345", "first that are guessed"),
        ("abcdefghijklmnop", "first that are guessed"),
    ],
)
def test_bad_ones_and_what_is_missing(password: str, word: str) -> None:
    problems = passwords.problems(password, names=["an.peeters", "an"])
    assert any(word in problem for problem in problems), problems


def test_no_problem_repeats_the_password() -> None:
    assert all("Hunter2" not in problem for problem in passwords.problems("Hunter2", names=["x"]))


def test_hashes_are_argon2id_with_a_salt_of_their_own() -> None:
    first, second = passwords.hashed("plum tractor violet"), passwords.hashed("plum tractor violet")
    assert first.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert first != second


def matches(password: str, known: str | None) -> tuple[bool, str | None]:
    return asyncio.run(passwords.matches(password, known))


def test_only_the_password_matches() -> None:
    known = passwords.hashed("plum tractor violet")
    assert matches("plum tractor violet", known) == (True, None)
    assert matches("plum tractor violett", known) == (False, None)
    assert matches("plum tractor violet", None) == (False, None)
    assert matches("plum tractor violet", "!disabled") == (False, None)


def test_a_weaker_hash_is_renewed() -> None:
    from pwdlib.hashers.argon2 import Argon2Hasher

    weak = Argon2Hasher(time_cost=1, memory_cost=8_192, parallelism=1).hash("plum tractor violet")
    right, better = matches("plum tractor violet", weak)
    assert right
    assert better is not None
    assert "m=47104" in better
