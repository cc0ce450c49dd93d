"""``make pin``: write down which images an installation runs, by digest, for our chart and for Dagster's.

Each is given as ``REPOSITORY@sha256:DIGEST``. The file, ``helm-values/images.yaml``, is the last of the values files.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
TARGET = PROJECT / "helm-values" / "images.yaml"
REFERENCE = re.compile(r"(?P<repository>[a-z0-9][a-z0-9._/:-]*)@(?P<digest>sha256:[0-9a-f]{64})")
HEAD = "# Written by `make pin`. The last of the values files, for both charts.\n"


def values(clearfacts: str, postgresql: str, redis: str, waf: str | None = None) -> dict[str, Any]:
    """The values for both charts. Raises ValueError for an image that is not named by its digest."""
    ours, database, counts = _parts(clearfacts), _parts(postgresql), _parts(redis)
    made: dict[str, Any] = {
        "image": ours,
        "database": {"image": database},
        "redis": {"image": counts},
        "dagsterDaemon": {"image": _with_tag(ours)},
        "dagsterWebserver": {"image": _with_tag(ours)},
        "postgresql": {"image": _with_tag(database)},
    }
    return made | ({"waf": {"image": _parts(waf)}} if waf else {})


def _parts(reference: str) -> dict[str, str]:
    found = REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError(f"{reference!r}: name the image by its digest, as in registry/name@sha256:<64 digits>")
    return found.groupdict()


def _with_tag(image: dict[str, str]) -> dict[str, str]:
    """As Dagster's chart wants it, which writes REPOSITORY:TAG: the same reference, cut at another place."""
    kind, digits = image["digest"].split(":")
    return {"repository": f"{image['repository']}@{kind}", "tag": digits}


def main() -> None:
    """Read the references from the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clearfacts", required=True, help="our image")
    parser.add_argument("--postgresql", required=True, help="PostgreSQL, for the database and for what waits for it")
    parser.add_argument("--redis", required=True, help="Valkey or Redis")
    parser.add_argument("--waf", help="Coraza as a filter; wanted where waf.enabled is true")
    given = parser.parse_args()
    try:
        made = values(given.clearfacts, given.postgresql, given.redis, given.waf)
    except ValueError as error:
        parser.error(str(error))
    TARGET.write_text(HEAD + yaml.safe_dump(made, sort_keys=False), "utf-8")
    print(f"wrote {TARGET.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
