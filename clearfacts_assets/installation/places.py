"""What an installation consists of, and where each part lies: databases, keys, documents, Dagster's files.

Not part of it: the settings file and the environment (they hold what the operator decides, and secrets), logs, and
folders of other systems (a folder source, a landing folder, templates).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from clearfacts_assets.installation.sqlite_copies import belongs_to_a_database
from clearfacts_assets.settings import Settings

ASIDE = "before-restore-"  # folders in home with what was there before a restoration
LOGS = "logs"
COMPUTE_LOGS = "compute_logs"  # folders of Dagster's with what runs print
_MADE_ANEW = "dagster.yaml"  # at every start; on Kubernetes the chart's


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of one installation lie."""

    home: Path
    dagster_home: Path
    invoice_folder: Path  # of what was made of statements
    database_url: str

    @classmethod
    def of(cls, configured: Settings, dagster_home: Path) -> Places:
        return cls(
            configured.home.resolve(),
            dagster_home.resolve(),
            configured.invoice_folder.resolve(),
            configured.business_database_url,
        )

    @property
    def kind(self) -> str:
        return make_url(self.database_url).get_backend_name()

    @property
    def database_file(self) -> Path | None:
        """The file of our database; None on PostgreSQL."""
        name = make_url(self.database_url).database
        return Path(name).resolve() if self.kind == "sqlite" and name else None

    @property
    def keys(self) -> list[Path]:
        """The files of keys that are not given by settings."""
        return sorted(path for path in (self.home / "keys").glob("*.json") if path.is_file())

    def files(self, *, sidecars: bool = False) -> Iterator[tuple[str, Path]]:
        """Each file but our database, by its name in an archive. ``sidecars``: what SQLite keeps beside its files, too.

        Keys come first, so that nothing that is read later was encrypted by a key that is not in the archive.
        """
        ours = {self.database_file, *(_beside(self.database_file) if self.database_file else ())}
        roots = [("home", self.home), ("dagster", self.dagster_home)]
        if not self.invoice_folder.is_relative_to(self.home):
            roots.append(("invoices", self.invoice_folder))
        for name, root in roots:
            inner = {place for _, place in roots if place != root}
            for path in _walk(root, inner):
                if path not in ours and (sidecars or not belongs_to_a_database(path)):
                    yield f"{name}/{path.relative_to(root).as_posix()}", path

    def target(self, member: str) -> Path:
        """Where a member of an archive belongs."""
        name, _, rest = member.partition("/")
        return {"home": self.home, "dagster": self.dagster_home, "invoices": self.invoice_folder}[name] / rest


def _beside(database: Path) -> list[Path]:
    return [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def _walk(root: Path, without: set[Path]) -> Iterator[Path]:
    """Files below a folder, in order: no logs, nothing hidden or half written, no links, no other root."""
    if not root.is_dir():
        return
    for entry in sorted(os.scandir(root), key=lambda one: (one.name != "keys", one.name)):
        path = Path(entry.path)
        if entry.name.startswith((".", ASIDE)) or entry.name in (LOGS, COMPUTE_LOGS, _MADE_ANEW):
            continue
        if entry.is_dir(follow_symlinks=False):
            if path not in without:
                yield from _walk(path, without)
        elif entry.is_file(follow_symlinks=False):
            yield path
