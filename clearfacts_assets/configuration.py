"""The settings in force: those of this process, and over them what was changed while the system runs.

Only what settings.py marks (WHILE_RUNNING) can be changed; types, limits, defaults and descriptions are its own. A
change is noticed by every process within FRESH_SECONDS: by a run when it begins, by sensors and the API at once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from clearfacts_assets import settings
from clearfacts_assets.setting_types import WHILE_RUNNING
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.accounts.configuration import ConfigurationRepository
from clearfacts_assets.storage.accounts.keyring import Keyring, cipher
from clearfacts_assets.storage.database import open_engine

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0


def changeable() -> tuple[str, ...]:
    """The keys of the settings that are marked so, in the order of settings.py."""
    return tuple(
        f"{section}.{name}"
        for section, field in Settings.model_fields.items()
        for name, leaf in getattr(field.annotation, "model_fields", {}).items()
        if WHILE_RUNNING in leaf.metadata
    )


CHANGEABLE = changeable()


class BadValue(ValueError):
    """The value is not one that this key can have."""


def field_of(key: str) -> FieldInfo:
    """The setting behind a key. Raises KeyError for a key that cannot be changed."""
    if key not in CHANGEABLE:
        raise KeyError(key)
    section, _, name = key.partition(".")
    model: Any = Settings.model_fields[section].annotation
    field: FieldInfo = model.model_fields[name]
    return field


def is_secret(key: str) -> bool:
    return field_of(key).annotation is SecretStr


def default_of(key: str, configured: Settings) -> Any:
    """What holds where the key was not changed: the setting's value; None for a secret."""
    section, _, name = key.partition(".")
    value = getattr(getattr(configured, section), name)
    return None if isinstance(value, SecretStr) else value


def as_json(key: str, value: Any, beside: Settings) -> str:
    """The value as it is stored, after a strict look at its type and limits, and whether it fits ``beside`` the others.

    Raises KeyError, BadValue.
    """
    field = field_of(key)
    # The field's limits stand beside its type.
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        checked = TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise BadValue("; ".join(one["msg"] for one in error.errors(include_input=False, include_url=False))) from None
    plain = checked.get_secret_value() if isinstance(checked, SecretStr) else checked
    if isinstance(plain, str) and not plain.isprintable():
        raise BadValue("it holds characters that cannot be printed")
    stored = json.dumps(plain)
    if contradiction := over(beside, {key: stored}).contradiction:
        raise BadValue(contradiction)
    return stored


def over(configured: Settings, changed: Mapping[str, str]) -> Settings:
    """The settings with the changed values in place of their own. A key that is none any more is passed over."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in changed.items():
        if key in CHANGEABLE:
            section, _, name = key.partition(".")
            plain = json.loads(value)
            sections.setdefault(section, {})[name] = SecretStr(plain) if is_secret(key) else plain
    return configured.model_copy(
        update={section: getattr(configured, section).model_copy(update=values) for section, values in sections.items()}
    )


def _usable(configured: Settings, changed: Mapping[str, str]) -> dict[str, str]:
    """What may be in force: what no longer keeps its limits, or does not fit the other settings, is passed over."""
    usable: dict[str, str] = {}
    for key, value in changed.items():
        if problem := problem_of(key, value, over(configured, usable)):
            logger.error("the changed setting %s is passed over: %s", key, problem)
        elif key in CHANGEABLE:
            usable[key] = value
    return usable


def problem_of(key: str, stored: str, beside: Settings) -> str:
    """Why a value that is stored cannot be in force ``beside`` the others; empty where it can."""
    try:
        if key in CHANGEABLE:
            as_json(key, json.loads(stored), beside)
    except ValueError as error:  # BadValue, or no JSON
        return str(error)
    return ""


def repository(engine: Engine, configured: Settings) -> ConfigurationRepository:
    """The table, opened with this process's encryption keys. Raises KeyringError."""
    ring = encryption_keys(configured)
    return ConfigurationRepository(engine, lambda: cipher(ring))


def encryption_keys(configured: Settings) -> Keyring:
    """Raises KeyringError for keys that are too weak."""
    setting = configured.auth.encryption_keys.get_secret_value()
    return Keyring("encryption", setting=setting, file=configured.home / "keys" / "encryption.json")


def signing_keys(configured: Settings) -> Keyring:
    """Raises KeyringError for keys that are too weak."""
    setting = configured.auth.signing_keys.get_secret_value()
    return Keyring("signing", setting=setting, file=configured.home / "keys" / "signing.json")


def effective_settings(*, anew: bool = False) -> Settings:
    """The settings of this moment, or of some seconds ago unless they are read ``anew``.

    While the database does not answer nobody can change them: then they are as this process saw them last. Raises
    KeyringError; and what the database raises, where they are read ``anew`` or were never seen.
    """
    configured = settings.load()
    return over(configured, _changes(configured.business_database_url).now(configured, anew=anew))


class _Changes:
    """What the table says, asked at most every FRESH_SECONDS."""

    def __init__(self, url: str) -> None:
        self._engine, self._lock = open_engine(url), threading.Lock()
        self._read_at, self._values = float("-inf"), dict[str, str]()

    def now(self, configured: Settings, *, anew: bool) -> Mapping[str, str]:
        with self._lock:
            if anew or time.monotonic() - self._read_at >= FRESH_SECONDS:
                try:
                    self._values = _usable(configured, repository(self._engine, configured).values())
                except OperationalError as fault:
                    if anew or self._read_at == float("-inf"):
                        raise
                    logger.warning("the configuration cannot be read now (%s)", type(fault.orig).__name__)
                self._read_at = time.monotonic()
            return self._values


@lru_cache(maxsize=4)
def _changes(url: str) -> _Changes:
    return _Changes(url)
