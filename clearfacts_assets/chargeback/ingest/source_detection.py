"""Where a file comes from, when nobody said so: told by its name, or by the provider that its first row names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from clearfacts_assets.chargeback.cost_sources.detection import open_export
from clearfacts_assets.chargeback.model import ChargebackError

_PROVIDERS = ("ServiceProviderName", "ProviderName", "InvoiceIssuerName")
_LONGEST = 60  # characters of a source's name


class SourceUnknown(ChargebackError):
    """Neither its name nor its content says where a file comes from."""


def guess_source(sources: Sequence[Mapping[str, Any]], file: Path) -> str:
    """By the sources' patterns, by a source's name at the file name's beginning, by its first word, by its provider.

    Raises SourceUnknown, FileRefused.
    """
    for one in sources:
        if one["pattern"] and (fnmatch(file.name, one["pattern"]) or re.search(_regex(one["pattern"]), file.name)):
            return str(one["name"])
    for one in sorted(sources, key=lambda each: -len(each["name"])):
        if file.name.lower().startswith(one["name"].lower()):
            return str(one["name"])
    word = re.match(r"[A-Za-z][A-Za-z0-9]*", file.name)
    return word[0].lower()[:_LONGEST] if word else _provider(file)


def _provider(file: Path) -> str:
    """The provider that the first row names, as a source's name."""
    export = open_export(file)
    first = next((batch.rows[0] for batch in export.batches() if batch.rows), [])
    said = dict(zip(export.opened.columns, first, strict=False))
    for name in _PROVIDERS:
        if slug := re.sub(r"[^a-z0-9]+", "-", said.get(name, "").lower()).strip("-"):
            return slug[:_LONGEST]
    raise SourceUnknown("{name} does not say where it comes from: name its source", name=file.name)


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error:
        return r"(?!)"  # it is a pattern of file names and nothing else
    return pattern
