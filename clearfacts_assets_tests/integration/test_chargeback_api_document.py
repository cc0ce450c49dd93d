"""docs/chargeback-api.md, played as it stands: each request by who asks, each answer as it is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from clearfacts_assets.storage.accounts import audit
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, bound, load

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "chargeback-api.md"
ASKED = re.compile(
    r"```http\n(?P<who>\w+): (?P<method>\w+) (?P<path>[^\n]*)\n(?P<body>.*?)```\n```json\n(.*?)```", re.S
)


def missing(shown: Any, told: Any, where: str = "data") -> list[str]:
    """What the document shows and the answer does not have; lists are shown from their beginning."""
    if isinstance(shown, dict) and isinstance(told, dict):
        return [one for name, value in shown.items() for one in missing(value, told.get(name), f"{where}.{name}")]
    if isinstance(shown, list) and isinstance(told, list) and len(shown) == len(told):
        pairs = enumerate(zip(shown, told, strict=True))
        return [one for n, (first, second) in pairs for one in missing(first, second, f"{where}[{n}]")]
    return [] if shown == told else [f"{where} is {told!r}, not {shown!r}"]


def test_the_month_over_the_api_goes_as_the_document_says(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    clients = {role: quick_api.client(role) for role in ("operator", "reviewer", "user")} | {"ada": bound(quick_api)}
    text = DOCUMENT.read_text("utf-8")
    steps = ASKED.findall(text)
    assert len(steps) == text.count("```http")
    for who, method, path, body, shown in steps:
        asked = json.loads(body) if body.strip() else None
        answer = clients[who].request(method, BASE + path, json=asked)
        told = answer.json()
        found = missing(json.loads(shown), told["data"] if told["success"] else told["error"])
        assert found == [], f"{who}: {method} {path}: {answer.text}"
    actions = {one.action for one in audit.entries(quick_api.engine, limit=200).items}
    told_of = set(re.findall(r"`((?:chargeback_|billing_|ledger\.)[\w.]+)`", text))
    assert told_of <= actions
    assert len(told_of) == 7
