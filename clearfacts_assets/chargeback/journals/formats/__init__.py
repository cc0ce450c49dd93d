"""How a journal is written, one file a format: the file's name is the format, its ``written(journal, options)`` gives
the text piece by piece. A line in FORMATS registers it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the settings look here for names alone
    from clearfacts_assets.chargeback.journals.model import Journal


@dataclass(frozen=True, slots=True)
class About:
    """What people should know of a format before they choose it."""

    meaning: str
    suffix: str = ".csv"


FORMATS: dict[str, About] = {
    "standard": About("an amount for each investigator, project, fund and service"),
    "summary": About("an amount for each investigator, project and fund"),
    "gl": About("debit and credit lines"),
    "template": About("debit and credit lines as a Jinja2 template of your own writes them"),
    "banner": About("Banner's GURFEED: a header record and details, one text file with commas"),
    "workday": About("Workday's Import Accounting Journal"),
    "peoplesoft": About("PeopleSoft's flat file of journals, by record letters H, L and C"),
    "csv": About("everything that is known of each line"),
}


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What a format is given; each takes what it needs. ``preset`` are the fixed values of an ERP."""

    neutralise: bool = True
    template: Path | None = None
    preset: Mapping[str, str] = field(default_factory=dict)


class Format(Protocol):
    """One format."""

    def written(self, journal: Journal, options: FormatOptions) -> Iterator[str]:
        """The whole text, in pieces. Raises ChargebackError for options that cannot be used."""
        ...


def format_of(name: str) -> Format:
    """The format. Raises LookupError where there is none of this name."""
    if name not in FORMATS:
        raise LookupError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    module: Format = importlib.import_module(f"{__name__}.{name}")
    return module


def file_name(journal: Journal, name: str) -> str:
    """``J-2025-03-0001_USD_gl.csv``: another name for each batch and format."""
    head = journal.header
    currency = "".join(one for one in head.currency if one.isalnum())
    return f"{head.number}_{currency}_{name}{FORMATS[name].suffix}"
