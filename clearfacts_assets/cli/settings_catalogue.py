"""Every setting, what it is for, where its value comes from; docs/settings.md is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, InitSettingsSource

from clearfacts_assets.settings import Settings, load

Origin = Literal["environment", "file", "default"]

DOCUMENT_HEAD = """\
# Settings

Written from `clearfacts_assets/settings.py` by `clearfacts settings --markdown > docs/settings.md`; a test keeps it so.

A value comes from, first found wins: the environment variable; the YAML file named by `clearfacts -c FILE` or by
`CLEARFACTS_CONFIG` (the names below, nested by their dots); the default. An empty environment variable counts as none.
A wrong or unknown setting ends the program with its name. `clearfacts settings` shows the values in force and where
each came from. Secrets are never shown.

```yaml
# settings.yaml
source:
  base_url: https://erp.example.com/api
delivery:
  concurrency: 4
```

Secrets belong into the environment (on Kubernetes: a Secret), not into the file.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as it is documented."""

    name: str  # destination.token
    variable: str  # CLEARFACTS_DESTINATION__TOKEN
    default: str  # as text; empty for none
    purpose: str
    secret: bool


def catalogue() -> Iterator[Setting]:
    """Every setting in the order of settings.py."""
    for names, field in _leaves(Settings):
        yield Setting(
            name=".".join(names),
            variable=variable(names),
            default=_default(field),
            purpose=field.description or "",
            secret=_is_secret(field),
        )


def effective_settings() -> Iterator[tuple[Setting, str, Origin]]:
    """Every setting with its value in this process and where that came from. Raises ValidationError."""
    values, origins = load(), _origins()
    for setting in catalogue():
        value: Any = values
        for name in setting.name.split("."):
            value = getattr(value, name)
        yield setting, _shown(value), origins.get(setting.name, "default")


def document() -> str:
    """docs/settings.md."""
    sections: dict[str, list[Setting]] = {"": []}
    for setting in catalogue():
        sections.setdefault(setting.name.rpartition(".")[0], []).append(setting)
    return DOCUMENT_HEAD + "".join(_section(name, rows) for name, rows in sections.items())


def _section(name: str, rows: list[Setting]) -> str:
    about = Settings.model_fields[name].annotation.__doc__ if name else "Of the process as a whole."
    lines = [f"\n## {name or 'general'}\n", f"{about}\n", "| Setting | Environment variable | Default | What for |"]
    lines.append("|---|---|---|---|")
    for row in rows:
        default = f"`{row.default}`" if row.default else "none"
        lines.append(f"| `{row.name}` | `{row.variable}` | {default} | {row.purpose} |")
    return "\n".join(lines) + "\n"


def variable(names: Iterable[str]) -> str:
    """The environment variable of a setting: ``CLEARFACTS_DESTINATION__TOKEN``."""
    config = Settings.model_config
    return f"{config['env_prefix']}{str(config['env_nested_delimiter']).join(names)}".upper()


def _leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, (*above, name))
        else:
            yield (*above, name), field


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _default(field: FieldInfo) -> str:
    if _is_secret(field):
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    # The folder above it differs from machine to machine; the setting's purpose says which it is.
    return value.name if isinstance(value, Path) else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else ""
    if value is None or value == ():
        return ""
    return str(value)


def _origins() -> dict[str, Origin]:
    """Which settings the environment and the file give, asked of the very sources that ``load`` reads."""
    none = InitSettingsSource(Settings, {})
    sources = Settings.settings_customise_sources(Settings, none, EnvSettingsSource(Settings), none, none)
    found: dict[str, Origin] = {}
    for source in sources:
        origin: Origin = "environment" if isinstance(source, EnvSettingsSource) else "file"
        found = dict.fromkeys(_names(source()), origin) | found
    return found


def _names(given: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _names(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"
