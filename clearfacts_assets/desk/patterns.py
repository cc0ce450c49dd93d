"""A regular expression tried on texts, in a process of its own that is ended after a second: some expressions take
years, and nobody else may wait for them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from clearfacts_assets.messages import ExplainedError

LONGEST_PATTERN = 500  # characters
LONGEST_TEXT = 500
MOST_TEXTS = 200
SECONDS = 5.0  # until it is given up

_PROGRAM = """
import json, re, sys
said = json.load(sys.stdin)
found = []
for text in said["texts"]:
    match = re.search(said["pattern"], text)
    found.append(None if match is None else {"match": match[0], "groups": match.groupdict("")})
json.dump(found, sys.stdout)
"""


class BadPattern(ExplainedError):
    """It is no regular expression, or takes too long."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One text. ``match`` is what the expression found in it, None where nothing; ``groups`` its named parts."""

    text: str
    match: str | None
    groups: dict[str, str]


def try_pattern(pattern: str, texts: list[str], seconds: float = SECONDS) -> list[Matched]:
    """Each text with what the expression finds in it, as the program itself searches. Raises BadPattern."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise BadPattern("A pattern has 1 to {most} characters.", most=LONGEST_PATTERN)
    tried = [text[:LONGEST_TEXT] for text in texts[:MOST_TEXTS]]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program; what was typed is its input alone
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps({"pattern": pattern, "texts": tried}).encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadPattern("It takes too long: nested repetitions like (a+)+ try every way there is.") from None
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise BadPattern("It is no regular expression: {why}.", why=last.rpartition(": ")[2] or last)
    return [
        Matched(text, one["match"] if one else None, one["groups"] if one else {})
        for text, one in zip(tried, json.loads(done.stdout), strict=True)
    ]
