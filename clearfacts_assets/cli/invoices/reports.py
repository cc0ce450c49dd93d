"""``clearfacts validate --report``: findings as a file for people, spreadsheets, editors and code hosts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from clearfacts_assets.cli.console import fail

if TYPE_CHECKING:
    from clearfacts_assets.invoices.model import Report
    from clearfacts_assets.invoices.validation.ubl import Limits

REPORTS = ("html", "sarif", "csv")
LANGUAGES = ("en", "nl", "fr")


def check_report(report: str | None, output: Path | None, language: str, *, other: bool) -> None:
    """Ends the command with code 2 where these options do not go together."""
    if report is None:
        fail("--output goes with --report", code=2)
    if report not in REPORTS:
        fail(f"there is no report {report}; there are {', '.join(REPORTS)}", code=2)
    if other:
        fail("--report goes without --json and --svrl", code=2)
    if language not in LANGUAGES:
        fail(f"there is no language {language}; there are {', '.join(LANGUAGES)}", code=2)
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        fail(f"{output} cannot be a file: there is no such folder, or it is one", code=2)


def write_report(
    report: str, checked: Iterable[tuple[Path, Report]], output: Path | None, language: str, limits: Limits
) -> bool:
    """Write it to the file or to standard output. Returns whether all documents would be accepted."""
    refused: list[Path] = []

    def noted() -> Iterator[tuple[Path, Report]]:
        for path, one in checked:
            if one.decision.value != "accept":
                refused.append(path)
            yield path, one

    with _opened(output) as file:
        for piece in _pieces(report, noted(), language, limits):
            file.write(piece)
    return not refused


def _pieces(report: str, checked: Iterable[tuple[Path, Report]], language: str, limits: Limits) -> Iterator[str]:
    if report == "csv":
        from clearfacts_assets.invoices.validation.reports.sheet import as_csv

        yield from as_csv((str(path), one) for path, one in checked)
    elif report == "sarif":
        from clearfacts_assets.invoices.validation.reports.sarif import as_sarif

        told = as_sarif((str(path), one) for path, one in checked)
        yield json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    else:
        from clearfacts_assets.invoices.validation.reports.html import as_html

        documents = ((str(path), path.read_bytes(), one) for path, one in checked)
        yield from as_html(documents, language=language, limits=limits)


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """UTF-8 with line ends as they are written, wherever it goes."""
    if output is None:
        sys.stdout.flush()
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as file:
            yield file
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
