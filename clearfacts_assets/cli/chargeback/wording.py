"""Options by which commands word a rule: its scope, its span of days, who bears it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import ledger, now, told, who
from clearfacts_assets.cli.console import fail, print_json, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.chargeback.rates.definitions import RuleKind

_SCOPE = {
    "person": "persons",
    "project": "projects",
    "fund": "funds",
    "institution": "institutions",
    "service": "services",
    "not_service": "not_services",
    "source": "sources",
    "resource": "resources",
    "category": "categories",
    "flag": "flags",
}
For = Annotated[
    list[str] | None,
    typer.Option(
        "--for",
        help="to what it applies, as project=genome; may be given several times. Keys: "
        f"{', '.join(_SCOPE)} (services, sources and resources may be patterns), or the word untagged",
    ),
]
From = Annotated[str | None, typer.Option("--from", help="first day, as 2025-03-01; by default always")]
To = Annotated[str | None, typer.Option("--to", help="the day after the last one")]
Note = Annotated[str, typer.Option("-n", "--note", help="why; it is kept")]
Payer = Annotated[str, typer.Option("--payer", help="who bears it: a sponsor's or a fund's name")]
Order = Annotated[int, typer.Option("--order", help="which comes first among rules of its kind: the lowest")]


def scope_of(words: Sequence[str] | None) -> dict[str, Any]:
    """The scope that ``--for`` words."""
    scope: dict[str, Any] = {}
    for word in words or ():
        key, _, value = word.partition("=")
        if word == "untagged":
            scope["untagged"] = True
        elif key in _SCOPE and value:
            scope.setdefault(_SCOPE[key], []).append(value)
        else:
            fail(f"--for {word!r}: write one of {', '.join(_SCOPE)}, = and a name", code=2)
    return scope


def day_of(text: str | None) -> str:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        fail(f"{text!r} is no day: write 2025-03-01", code=2)


@dataclass(frozen=True, slots=True)
class Terms:
    """When a rule counts, by its options, and why it was written."""

    valid_from: str | None
    valid_to: str | None
    note: str


def add_rule(
    kind: RuleKind, name: str, definition: Mapping[str, Any], terms: Terms, actor: str | None, as_json: bool
) -> None:
    """Write a version and say what became of it."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

    with told():
        version = RuleRepository(ledger()).add(
            kind,
            name,
            {key: value for key, value in definition.items() if value not in (None, "", [], {}, ())},
            actor=who(actor),
            now=now(),
            valid_from=day_of(terms.valid_from),
            valid_to=day_of(terms.valid_to),
            note=terms.note,
            two_people=load().rates.two_people,
        )
    tell_version(version, as_json)


def tell_version(version: Mapping[str, Any], as_json: bool) -> None:
    """What a version says, and whether it counts."""
    if as_json:
        print_json(version)
        return
    since = f" from {version['valid_from']}" if version["valid_from"] else ""
    say(f"{version['kind']} {version['name']}, version {version['number']}{since} (id {version['id']}).")
    if not version["approved_by"]:
        say(f"It counts once somebody else approves it: clearfacts chargeback rules approve {version['id']}")


def print_versions(title: str, found: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Versions as a table."""
    if as_json:
        print_json({"versions": found})
        return
    rows = [
        (
            one["id"],
            one["kind"],
            one["name"],
            one["number"],
            one["valid_from"],
            one["valid_to"],
            in_words(one["definition"]),
            one["approved_by"] or "waits",
            "yes" if one["used"] else "",
        )
        for one in found
    ]
    columns = ("id", "kind", "name", "version", "from", "to", "what it says", "approved by", "used")
    print_table(title, columns, rows, right=("id", "version"))


def in_words(value: Any) -> str:
    """A definition on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return " + ".join(in_words(one) for one in value)
    return str(value)
