"""What the settings of OpenChargeback mean here, key by key. Where a key is absent, its code's default counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The defaults of its code, where they differ from ours.
_DEFAULT_MAPPING = {
    "pi_email": "pi_email",
    "project_id": "project",
    "fund_org": "fund_org",
    "cost_center": "cost_center",
    "account_code": "account_code",
    "reference_1": "reference_1",
    "reference_2": "reference_2",
}
_IGNORED = {
    "dev_mode": "mails go to files where no mail server is set",
    "database": "our database is a setting of its own: CLEARFACTS_DATABASE_URL",
    "output": "statements, journals and mails are kept in the database",
    "logging": "see log_level and log_format",
    "web": "the door, its users and its passwords are our own: docs/security.md",
    "sources": "nothing of it was ever used",
    "smtp": "say it anew: email.host, port, security, username and password",
    "email": "say it anew: email.sender, sender_name and subject",
}


@dataclass(frozen=True, slots=True)
class Key:
    """What became of one key."""

    key: str
    what: str  # taken, ignored or refused
    why: str


@dataclass(slots=True)
class TakenOver:
    """The settings and sources that come of it, and every key by name."""

    settings: dict[str, Any] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    journals: dict[str, Any] = field(default_factory=dict)  # settings of the section of that name

    def say(self, key: str, what: str, why: str = "") -> None:
        self.keys.append(Key(key, what, why))


def take_over(read: Mapping[str, Any]) -> TakenOver:
    """Every key of the file is in ``keys``."""
    taken = TakenOver()
    for key, value in read.items():
        if isinstance(value, str) and "${" in value:
            taken.say(key, "refused", "it names a variable of the environment: set the value itself")
        elif key in _SECTIONS:
            _SECTIONS[key](taken, value if isinstance(value, Mapping) else {}, key, value)
        elif key in _IGNORED:
            _each(taken, key, value, "ignored", _IGNORED[key])
        else:
            taken.say(str(key), "refused", "not a setting of OpenChargeback 0.4")
    taken.settings.setdefault("tag_mapping", _changed(_DEFAULT_MAPPING))
    taken.settings.setdefault("currency", "USD")
    return taken


def _each(taken: TakenOver, key: str, value: Any, what: str, why: str) -> None:
    if isinstance(value, Mapping) and value:
        for name in value:
            taken.say(f"{key}.{name}", what, why)
    else:
        taken.say(key, what, why)


def _currency(taken: TakenOver, _section: Mapping[str, Any], key: str, value: Any) -> None:
    taken.settings["currency"] = str(value).upper()
    taken.say(key, "taken", "of exports without BillingCurrency")


def _tag_mapping(taken: TakenOver, section: Mapping[str, Any], key: str, _value: Any) -> None:
    mapping = dict(_DEFAULT_MAPPING)
    for name, tag in section.items():
        if name in mapping and isinstance(tag, str) and "${" not in tag:
            mapping[name] = tag
            taken.say(f"{key}.{name}", "taken")
        else:
            taken.say(f"{key}.{name}", "refused", f"only {', '.join(mapping)}, each with the name of a tag")
    taken.settings["tag_mapping"] = _changed(mapping)


def _changed(mapping: Mapping[str, str]) -> dict[str, str]:
    return {name: tag for name, tag in mapping.items() if name != tag}


def _review(taken: TakenOver, section: Mapping[str, Any], key: str, _value: Any) -> None:
    known = {"flag_patterns": "flag_patterns", "fund_org_patterns": "fund_org_patterns"}
    for name, value in section.items():
        patterns = [str(one) for one in value] if isinstance(value, list) else None
        if name not in known or patterns is None:
            taken.say(f"{key}.{name}", "refused", "only flag_patterns and fund_org_patterns, each a list")
        elif bad := [one for one in patterns if not _compiles(one)]:
            taken.say(f"{key}.{name}", "refused", f"no regular expression: {', '.join(bad)}")
        else:
            taken.settings[known[name]] = patterns
            taken.say(f"{key}.{name}", "taken")


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _imports(taken: TakenOver, section: Mapping[str, Any], key: str, _value: Any) -> None:
    names = {"name": "name", "pattern": "pattern", "fund_org": "credit_fund_org", "account_code": "account_code"}
    for key_name, value in section.items():
        if key_name != "known_sources" or not isinstance(value, list):
            taken.say(f"{key}.{key_name}", "refused", "only known_sources, a list")
            continue
        for number, one in enumerate(value):
            where = f"{key}.known_sources[{number}]"
            if not isinstance(one, Mapping) or not one.get("name"):
                taken.say(where, "refused", "a source has a name")
                continue
            taken.sources.append({ours: str(one[theirs]) for theirs, ours in names.items() if one.get(theirs)})
            for name in one:
                known = name in names
                taken.say(f"{where}.{name}", "taken" if known else "refused", "" if known else "not known")


def _journal(taken: TakenOver, section: Mapping[str, Any], key: str, _value: Any) -> None:
    for name, value in section.items():
        if name == "template":
            taken.say(f"{key}.{name}", "ignored", "set journals.template to the file's path; its variables are known")
        elif name not in _JOURNAL or not isinstance(value, str):
            taken.say(f"{key}.{name}", "refused", f"only {', '.join(_JOURNAL)} and template, each a text")
        elif name.endswith("_regex") and not _compiles(value):
            taken.say(f"{key}.{name}", "refused", f"no regular expression: {value}")
        else:
            taken.journals[name] = value
            taken.say(f"{key}.{name}", "taken")


_JOURNAL = ("fund_org_regex", "account_code_regex", "default_account", "debit_description", "credit_description")
_SECTIONS = {
    "currency": _currency,
    "tag_mapping": _tag_mapping,
    "review": _review,
    "imports": _imports,
    "journal": _journal,
}
