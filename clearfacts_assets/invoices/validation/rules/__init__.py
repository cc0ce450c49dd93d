"""Rule sets, one file each: the file's name is the layer's name, and its ``rule_set(options)`` builds it."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from clearfacts_assets.invoices.ports import RuleSet

MOST_OF_A_RULE = 100  # findings of one rule that a report holds


@dataclass(frozen=True, slots=True)
class CustomRules:
    """An operator's own copy of rules: a Schematron or XSLT file and the SHA-256 that it must have."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What an operator may decide about rule sets."""

    peppol: CustomRules | None = None
    attachment_bytes: int = 10 * 2**20  # of all attachments of a document, unpacked
    proofs: bool = True  # spare Saxon the documents that surely break no rule


def known_layers() -> tuple[str, ...]:
    """The layers that there are, in alphabetical order."""
    return tuple(sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")))


def build(layer: str, options: RuleOptions) -> RuleSet:
    """A rule set, ready to check. Raises LookupError where there is no such layer."""
    if layer not in known_layers():
        raise LookupError(f"there is no layer {layer!r}; there are {', '.join(known_layers())}")
    module = importlib.import_module(f"{__name__}.{layer}")
    rule_set: RuleSet = module.rule_set(options)
    return rule_set
