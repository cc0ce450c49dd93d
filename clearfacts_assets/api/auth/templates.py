"""The parts of login.html, filled in."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from string import Template


@cache
def template(name: str) -> Template:
    """One part of the file, as it stands there."""
    text = (files(__package__) / "login.html").read_text("utf-8")
    found = text.split(f"<!-- part {name} -->", 1)[1].split("<!-- part ", 1)[0]
    return Template(found.strip())


def part(of: str, /, **values: str) -> str:
    """A part with these values, escaped."""
    return template(of).substitute({key: escape(value) for key, value in values.items()})
