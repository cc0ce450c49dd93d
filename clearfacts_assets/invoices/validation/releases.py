"""Newer releases of the official rules, in a folder of the operator's: which there are, and from when they hold.

The folder has the official files as they were published, Schematron or XSLT, and ``releases.yaml``, which says of each
its SHA-256 and its first day. Which rules a file holds and of which version is read from the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from clearfacts_assets.invoices.validation.custom_rules import CustomRulesUnusable, pinned, xslt_of
from clearfacts_assets.invoices.validation.published import comments_of, read_artefact, rules_of, title_of
from clearfacts_assets.invoices.validation.rules import CustomRules, Release

LIST = "releases.yaml"
_KEYS = {"file", "sha256", "from", "version"}
# Licences in comments have versions too: what CEN writes first, then numbers of three parts.
_VERSIONS = (re.compile(r"Schematron version (\d+(?:\.\d+)+)"), re.compile(r"\b(\d+\.\d+\.\d+)\b"))
# A rule by which a layer's file is recognised.
_SIGNS = {"peppol_bis3": "PEPPOL-EN16931-R001", "en16931": "BR-CO-15"}


@dataclass(frozen=True, slots=True)
class Known:
    """What a file of rules says of itself."""

    layer: str
    version: str  # empty where the file does not say it
    rules: int


def recognise(content: bytes) -> Known:
    """Which rules a file holds. Raises ValueError with the reason where it holds none that are known here."""
    root = read_artefact(content)
    rules = rules_of(root)
    layer = next((layer for layer, sign in _SIGNS.items() if sign in rules), None)
    if layer is None:
        raise ValueError(f"none of its {len(rules)} rules is {' or '.join(_SIGNS.values())}: it is of no known layer")
    texts = (*comments_of(root), title_of(root))
    said = [found for written in _VERSIONS for text in texts if (found := written.search(text))]
    version = said[0].group(1) if said else ""
    return Known(layer, version, len(rules))


def read_releases(folder: Path) -> tuple[Release, ...]:
    """The releases of a folder, by layer and first day. Raises CustomRulesUnusable: what is wrong, and what to do."""
    import yaml  # only for operators who have such a folder

    path = folder / LIST
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CustomRulesUnusable(f"validation.artefacts: {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CustomRulesUnusable(f"{path} is not YAML: {error}") from None
    entries = written.get("releases") if isinstance(written, dict) else None
    if not isinstance(entries, list):
        raise CustomRulesUnusable(f"{path} has no list under releases; docs/rules.md shows one")
    found = [_release(folder, path, entry) for entry in entries]
    days = [(one.layer, one.since) for one in found]
    twice = next((each for each in days if days.count(each) > 1), None)
    if twice is not None:
        raise CustomRulesUnusable(f"{path}: two releases of {twice[0]} begin on {twice[1]}; keep one")
    return tuple(sorted(found, key=lambda one: (one.layer, one.since)))


def _release(folder: Path, path: Path, entry: Any) -> Release:
    if not isinstance(entry, dict) or not {"file", "sha256", "from"} <= set(entry) <= _KEYS:
        raise CustomRulesUnusable(f"{path}: a release has file, sha256, from and at most version, not {entry!r}")
    name, since = str(entry["file"]), entry["from"]
    if Path(name).name != name:
        raise CustomRulesUnusable(f"{path}: {name!r} is not the name of a file in that folder")
    if type(since) is not date:
        raise CustomRulesUnusable(f"{path}: from of {name} is a day, such as 2027-05-17, not {since!r}")
    rules = CustomRules(folder / name, str(entry["sha256"]))
    try:
        known = recognise(pinned(rules))
    except ValueError as error:
        raise CustomRulesUnusable(f"{rules.path} cannot be used: {error}") from None
    xslt_of(rules)  # what cannot be compiled is said now, and not on its first day
    version = known.version or str(entry.get("version") or "")
    if not version or (known.version and str(entry.get("version") or version) != version):
        raise CustomRulesUnusable(
            f"{path}: {name} says version {known.version or 'nothing'}, the list {entry.get('version') or 'nothing'}"
        )
    return Release(known.layer, version, since, rules)
