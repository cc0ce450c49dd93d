"""Whether a weakness is known of a package that is pinned: ``make audit`` asks an advisory service (OSV's API).

Exit code 0: it was asked about every package, and knows none. 1: it knows some, which are named. 2: it could not be
asked, so nothing is known either way.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

LOCK = Path(__file__).parents[1] / "requirements.lock"
SERVICE = "https://api.osv.dev"
AT_ONCE, SECONDS = 500, 30.0  # packages of one question, of which the service takes a thousand; its time to answer
Package = tuple[str, str]  # name and version


class CouldNotAsk(Exception):
    """There is no whole answer; says why."""


def pinned(lock: str) -> list[Package]:
    """Every package of a lock file."""
    return re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE)


def known(packages: Sequence[Package], service: str) -> dict[Package, list[str]]:
    """The weaknesses that the service knows, by package. Raises CouldNotAsk."""
    found: dict[Package, list[str]] = {}
    with httpx.Client(base_url=service, timeout=SECONDS) as client:
        for first in range(0, len(packages), AT_ONCE):
            asked = packages[first : first + AT_ONCE]
            for package, result in zip(asked, _answers(client, asked), strict=True):
                ids = sorted(one["id"] for one in result.get("vulns", []))
                found |= {package: ids} if ids else {}
    return found


def _answers(client: httpx.Client, packages: Sequence[Package]) -> list[dict[str, list[dict[str, str]]]]:
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages]
    try:
        answer = client.post("/v1/querybatch", json={"queries": queries})
        answer.raise_for_status()
        results: list[dict[str, list[dict[str, str]]]] = answer.json()["results"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise CouldNotAsk(f"{client.base_url.host}: {type(error).__name__}: {error}") from error
    if len(results) != len(packages):
        raise CouldNotAsk(f"{client.base_url.host} answered about {len(results)} of {len(packages)} packages")
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default=SERVICE, help="address of a service with OSV's API")
    parser.add_argument("--lock", type=Path, default=LOCK)
    asked = parser.parse_args(arguments)
    packages = pinned(asked.lock.read_text(encoding="utf-8"))
    try:
        found = known(packages, asked.service)
    except CouldNotAsk as error:
        sys.stderr.write(
            f"audit: COULD NOT ASK about {len(packages)} packages: {error}\n"
            "audit: this is no pass: whether a weakness is known is not known. Ask again where it is reached.\n"
        )
        return 2
    for (name, version), ids in found.items():
        sys.stdout.write(f"audit: {name} {version}: {', '.join(ids)}\n")
    sys.stdout.write(f"audit: {len(packages)} packages asked about, weaknesses known of {len(found)}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
