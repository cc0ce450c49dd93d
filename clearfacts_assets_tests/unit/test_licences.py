"""What this project is made of: the bill of materials lists every pinned package, and no licence is unfit for it."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
# Whoever runs a changed copy for others, or passes on the program, would have to give away more than the program.
UNFIT = re.compile(r"AGPL|Affero|(?<!L)GPL|SSPL|Business Source|Commons Clause|proprietary", re.I)
FIT_ALL_THE_SAME = re.compile(r"LGPL|Lesser General Public")
EXTRAS = {"", "postgres", "k8s", "redis", "fast"}  # what is installed where the product runs


def shipped() -> list[Distribution]:
    """All packages that the product needs, with what they need in turn."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(one) for one in distribution("clearfacts-assets").requires or []]
    waiting = [one for one in waiting if _applies(one, EXTRAS)]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found[name] = distribution(name)
        asked = (Requirement(one) for one in found[name].requires or [])
        waiting += [one for one in asked if _applies(one, {"", *wanted.extras})]
    return list(found.values())


def _applies(wanted: Requirement, extras: set[str]) -> bool:
    return wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras)


def licences(package: Distribution) -> str:
    said = [package.metadata.get("License-Expression", ""), (package.metadata.get("License") or "")[:200]]
    named = [one for one in package.metadata.get_all("Classifier", []) if one.startswith("License")]
    return " | ".join(filter(None, [*said, *named]))


def test_no_package_that_is_shipped_has_an_unfit_licence() -> None:
    packages = shipped()
    assert len(packages) > 80
    unfit = {
        package.name: licences(package)
        for package in packages
        if UNFIT.search(FIT_ALL_THE_SAME.sub("", licences(package)))
    }
    assert unfit == {}


def test_the_bill_of_materials_lists_every_package_that_is_pinned(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "sbom", f"SBOM={tmp_path / 'sbom.json'}"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "clearfacts-assets")
    listed = {canonicalize_name(one["name"]): one["version"] for one in bill["components"]}
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) ", (PROJECT / "requirements.lock").read_text(), re.M))
    assert len(pinned) > 150
    for_other_machines = {name for name in pinned if name not in listed} & {"colorama", "pywin32", "tzdata"}
    assert {name: listed.get(name) for name in pinned if name not in for_other_machines} == {
        name: version for name, version in pinned.items() if name not in for_other_machines
    }
