"""A message that was made for Slack, as text for who reads mails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LINK = re.compile(r"<(https?://[^|>]*)\|([^>]*)>")
_BOLD = re.compile(r"^\*([^*\n]+)\*$", re.MULTILINE)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}  # the last one last


def title_of(message: Mapping[str, Any]) -> str:
    """The header's text, on one line; that of the notification where there is no header."""
    headers = [block["text"]["text"] for block in message.get("blocks", ()) if block.get("type") == "header"]
    return " ".join(_plain(headers[0] if headers else str(message.get("text", ""))).split())


def body_of(message: Mapping[str, Any]) -> str:
    """All blocks below the header, an empty line between two of them."""
    parts = [text for block in message.get("blocks", ()) if (text := "\n".join(_lines(block)))]
    return "\n\n".join(parts) or _plain(str(message.get("text", "")))


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    if block.get("type") == "section":
        if "text" in block:
            yield _plain(block["text"]["text"])
        for field in block.get("fields", ()):  # a name in bold, and its value below
            yield _plain(field["text"]).replace("\n", ": ", 1)
    elif block.get("type") == "context":
        for element in block.get("elements", ()):
            yield from _plain(element["text"]).split("  |  ")


def _plain(mrkdwn: str) -> str:
    text = _BOLD.sub(r"\1", _LINK.sub(r"\2: \1", mrkdwn))
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text
