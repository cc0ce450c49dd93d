"""What Slack is told, as Slack wants it: pure functions to ``{"text": ..., "blocks": [...]}``.

Slack's limits are kept (3,000 characters a text, 150 a header, 50 blocks), and nothing that comes from outside can
mention a channel, make a link or hide behind markup.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, Any]

TEXT_CHARACTERS = 3000  # of one section's text, and of the text that notifications show
HEADER_CHARACTERS = 150
BLOCKS = 50
URL_CHARACTERS = 1000  # a longer address is left out

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain_fact(title: str, told: str, url: str = "", label: str = "") -> Message:
    """Something that one title and one text say."""
    return message_of(title, told, [section(escaped(told))], link(url, label))


def message_of(title: str, summary: str, blocks: list[Message], context: list[str]) -> Message:
    """A message with a header, its blocks and a last line of small print; Slack's limit of blocks is kept."""
    header = {"type": "header", "text": {"type": "plain_text", "text": escaped(title, HEADER_CHARACTERS)}}
    end = [{"type": "context", "elements": [mrkdwn("  |  ".join(context))]}] if context else []
    text = escaped(f"{title}: {one_line(summary)}" if summary else title)
    return {"text": text, "blocks": [header, *blocks[: BLOCKS - 1 - len(end)], *end]}


def section(text: str) -> Message:
    """A paragraph."""
    return {"type": "section", "text": mrkdwn(text)}


def mrkdwn(text: str) -> Message:
    """Text with Slack's marks; what came from outside has to be escaped before."""
    # Verbatim: Slack makes no links and mentions of its own accord.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def link(url: str, label: str) -> list[str]:
    """A link for mrkdwn; nothing where the address is none for a browser."""
    if urlsplit(url).scheme not in ("http", "https"):
        return []
    safe = url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E").replace("&", "&amp;")
    return [f"<{safe}|{label}>"] if len(safe) <= URL_CHARACTERS else []


def escaped(text: str, limit: int = TEXT_CHARACTERS) -> str:
    """The text with Slack's three special characters as entities, cut between them to at most ``limit`` characters."""
    kept: list[str] = []
    length = 0
    for character in text:
        piece = _ENTITIES.get(character, character)
        length += len(piece)
        if length > limit:
            while kept and length - len(piece) + 1 > limit:
                length -= len(kept.pop())
            return "".join(kept) + "…"
        kept.append(piece)
    return "".join(kept)


def one_line(text: str) -> str:
    """Without line breaks and other runs of blanks."""
    return " ".join(text.split())


def instant(moment: datetime) -> str:
    """A moment for people: 2026-11-21 01:30 UTC."""
    return moment.strftime("%Y-%m-%d %H:%M %Z")
