"""What is kept of an answer: each text without our secrets, whichever way it is looked at."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from clearfacts_assets.outgoing.evidence import Secrets

TOKEN = 'tok/en-"4711"-é'
PLAIN = "s3cr3t-token"
ANSWER = {"uuid": "8f7c", "name": "F-1.xml", "size": 812, "known": True, "note": None}
HEAD = httpx.Response(200)


def kept(secrets: Secrets, body: str) -> Any:
    return secrets.evidence(HEAD, body.encode())["body"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(ANSWER),
        json.dumps({}),
        json.dumps({**ANSWER, "said": f"the token {PLAIN} is refused"}),
        json.dumps({**ANSWER, "said": f"cut off: {PLAIN[:6]}"}),
        json.dumps({**ANSWER, PLAIN: "as a name"}),
        json.dumps({**ANSWER, "said": TOKEN}),
        json.dumps({**ANSWER, "said": TOKEN}, ensure_ascii=False),
        json.dumps({**ANSWER, "said": "s3cr"}),
        json.dumps({**ANSWER, "said": "nothing of it, and a nul \x00"}),
        json.dumps({**ANSWER, "said": PLAIN}).replace("s3cr3t", "\\u0073\\u0033cr3t"),
        json.dumps({**ANSWER, "deep": {"er": [PLAIN, 1.5, {"and": PLAIN[:8]}]}}),
        json.dumps({**ANSWER, "amount": 1.5}),
        json.dumps({"n" * 150: "a long name"}),
        json.dumps({str(number): number for number in range(60)}),
        json.dumps([ANSWER, PLAIN]),
    ],
)
@pytest.mark.parametrize("secrets", [Secrets(), Secrets(PLAIN), Secrets(TOKEN, PLAIN), Secrets("abc", PLAIN)])
def test_an_answer_is_kept_as_if_each_of_its_texts_were_looked_at(secrets: Secrets, body: str) -> None:
    assert kept(secrets, body) == secrets.keep(json.loads(body))


def test_no_secret_stays_in_it() -> None:
    secrets = Secrets(PLAIN)
    assert kept(secrets, json.dumps({"said": f"{PLAIN}!"})) == {"said": "***!"}
    assert kept(secrets, json.dumps({"said": f"cut off: {PLAIN[:6]}"})) == {"said": "cut off: ***"}
    assert kept(secrets, json.dumps({PLAIN: 1})) == {"***": 1}
    assert kept(secrets, '{"said": "\\u00733cr3t-token"}') == {"said": "***"}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32"])
def test_no_secret_stays_in_it_however_it_is_written(encoding: str) -> None:
    body = json.dumps({"said": f"{PLAIN}!"}).encode(encoding)
    assert Secrets(PLAIN).evidence(HEAD, body)["body"] == {"said": "***!"}


def test_what_is_kept_is_not_the_answer_itself() -> None:
    answer = dict(ANSWER)
    body = Secrets(PLAIN).evidence(HEAD, json.dumps(answer).encode(), answer)["body"]
    body["more"] = 1
    assert answer == ANSWER
