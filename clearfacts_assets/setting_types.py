"""What settings are made of: their types, and how secrets are found among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Annotated, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from clearfacts_assets.outgoing.network import DIRECTLY

T = TypeVar("T")
WHILE_RUNNING = "while running"
Changeable = Annotated[T, WHILE_RUNNING]  # while the system runs: see configuration.py

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Attempts = Annotated[int, Field(ge=1, le=20)]


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """A validator for a name that has to be registered. What is registered later counts too."""

    def known(name: str) -> str:
        if name not in names:
            raise ValueError(f"there is no {name!r}: {' or '.join(names)}")
        return name

    return known


class Section(BaseModel):
    """One section of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def secret_parts(model: BaseModel) -> tuple[str, ...]:
    """All that must stand nowhere: of an address its password, of keys what follows their names."""
    return tuple(dict.fromkeys(part for name, value in _secrets_of(model) for part in _hidden(name, value) if part))


def _secrets_of(model: BaseModel) -> Iterator[tuple[str, str]]:
    """Name and value of every secret that is set, however deep it stands."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _secrets_of(value)
        elif isinstance(value, SecretStr) and value.get_secret_value():
            yield name, value.get_secret_value()


def _hidden(name: str, value: str) -> tuple[str, ...]:
    if name.endswith("_keys"):
        return tuple(key.partition(":")[2].strip() for key in value.split(","))
    if "://" in value:
        userinfo = value.partition("://")[2].rpartition("@")[0]
        password = userinfo.partition(":")[2] or userinfo
        return password, unquote(password)
    return () if value == DIRECTLY else (value,)
