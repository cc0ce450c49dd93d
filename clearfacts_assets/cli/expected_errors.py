"""Errors that can be foreseen, in words for the person at the terminal."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, ProgrammingError

from clearfacts_assets.home import HomeUnusable
from clearfacts_assets.invoices.ports import DestinationError, SourceError
from clearfacts_assets.invoices.validation.custom_rules import CustomRulesUnusable
from clearfacts_assets.outgoing.network import NetworkUnusable
from clearfacts_assets.storage.accounts.configuration import Undecryptable
from clearfacts_assets.storage.accounts.keyring import KeyringError
from clearfacts_assets.storage.database import in_words
from clearfacts_assets.storage.paging import BadCursor

_TELLING = (
    SourceError,
    DestinationError,
    NetworkUnusable,
    HomeUnusable,
    FileNotFoundError,
    KeyringError,
    Undecryptable,
    BadCursor,
    CustomRulesUnusable,
)


def of_file(error: OSError) -> str:
    """Which file cannot be read or written, and why."""
    if error.filename is None:
        return str(error)
    return f"{error.filename} cannot be used: {(error.strerror or type(error).__name__).lower()}"


def explain(error: Exception) -> str | None:
    """What went wrong and what to do; None for what nobody foresaw."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        found = error.errors(include_input=False)
        wrong = "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in found)
        return f"the settings are not right: {wrong}. `clearfacts settings` lists them all."
    if isinstance(error, OSError) and error.filename is not None:
        return of_file(error)
    if isinstance(error, _TELLING):
        return str(error)
    if isinstance(error, OperationalError | ProgrammingError):
        return in_words(error)
    return None
