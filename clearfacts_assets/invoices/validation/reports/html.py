"""Findings as one HTML file that stands alone: no script, nothing from elsewhere, each invoice as a person reads it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files

from markupsafe import Markup

from clearfacts_assets.invoices.model import Decision, Report
from clearfacts_assets.invoices.validation.engine import report_as_json
from clearfacts_assets.invoices.validation.reports.page import (
    environment,
    invoice_html,
    labels,
    shown_findings,
    styles,
)
from clearfacts_assets.invoices.validation.reports.printed import harmless
from clearfacts_assets.invoices.validation.ubl import Limits, Unreadable, parse

OPENED = 3  # documents that are unfolded when there are no more


def as_html(
    documents: Iterable[tuple[str, bytes, Report]], *, language: str = "en", limits: Limits | None = None
) -> Iterator[str]:
    """The file, piece by piece: a part for each document, unfolded where it would not be accepted."""
    style = (files(__package__) / "templates" / "report.css").read_text("utf-8") + styles()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    known = labels(language)

    def say(text: str) -> str:
        return known.get(text, text)

    head = environment().get_template("report.html")
    yield head.render(_=say, language=language, style=Markup(style), style_hash=Markup(f"sha256-{digest}"))  # noqa: S704 - our own file
    part = environment().get_template("report_document.html")
    for place, (path, content, report) in enumerate(documents, start=1):
        try:
            root = parse(content, limits=limits or Limits()).root
        except Unreadable:
            root = None
        shown = shown_findings(report_as_json(report)["findings"], root, language)
        yield part.render(
            _=say,
            place=place,
            path=harmless(path),
            report=report,
            reason=harmless(report.reason),
            piece=invoice_html(root, shown, language),
            opened=place <= OPENED or report.decision is not Decision.ACCEPT,
        )
    yield "</main>\n</body>\n</html>\n"
