"""Slack's Web API, as far as alerts need it: ``chat.postMessage`` and ``auth.test``, refusals with HTTP 200."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.http import Answer, Call, json_answer

_OPERATIONS = {"/api/chat.postMessage": "post_message", "/api/auth.test": "auth_test"}


class Slack:
    """A workspace that keeps every message it was sent, in order."""

    def __init__(self, token: str, now: Callable[[], datetime]) -> None:
        self.messages: list[dict[str, Any]] = []
        self._token, self._now = token, now

    def clear(self) -> None:
        self.messages.clear()

    def operation(self, call: Call) -> str:
        return _OPERATIONS.get(call.path, "")

    async def handle(self, call: Call, fault: Fault | None) -> Answer:
        if fault and fault.kind == "slack_error":
            return _refusal(str(fault.options.get("error", "internal_error")))
        if call.method != "POST":
            return _refusal("invalid_post_type")
        asked = _asked(call)
        if asked is None:
            return _refusal("invalid_arguments")
        if (call.token or asked.get("token")) != self._token:
            return _refusal("not_authed" if not call.token else "invalid_auth")
        if call.operation == "auth_test":
            return json_answer({"ok": True, "team": "Simulator", "user": "clearfacts", "bot_id": "B0SIMULATOR"})
        if call.operation == "post_message":
            return self._post(asked, spoiled=fault is not None)
        return _refusal("unknown_method")

    def _post(self, asked: dict[str, Any], *, spoiled: bool) -> Answer:
        channel = asked.get("channel")
        if not isinstance(channel, str) or not channel:
            return _refusal("channel_not_found")
        if not any(asked.get(part) for part in ("text", "blocks", "attachments")):
            return _refusal("no_text")
        moment = self._now()
        ts = f"{moment.timestamp():.6f}"
        message = {name: value for name, value in asked.items() if name != "token"}
        if not spoiled:
            self.messages.append({"order": len(self.messages) + 1, "ts": ts, **message})
        return json_answer({"ok": True, "channel": channel, "ts": ts, "message": message})


def _asked(call: Call) -> dict[str, Any] | None:
    if call.body and call.headers.get("content-type", "").startswith("application/json"):
        try:
            asked = call.json()
        except ValueError:
            return None
        return asked if isinstance(asked, dict) else None
    return dict(call.form)


def _refusal(error: str) -> Answer:
    return json_answer({"ok": False, "error": error})
