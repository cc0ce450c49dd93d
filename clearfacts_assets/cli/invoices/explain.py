"""``clearfacts explain``: a rule in plain words, and what it comes to in one document."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.console import fail, print_json, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.invoices.validation.engine import Validator
    from clearfacts_assets.invoices.validation.explanations import Explanation, InDocument

LANGUAGES = {"en": "English", "nl": "Nederlands", "fr": "Français"}
MOST_ADDENDS = 20  # amounts of one sum that are shown to people


def explain(
    rule: Annotated[str, typer.Argument(help="a rule's id, as a finding names it: BR-CO-15, R120, BE-VAT")],
    file: Annotated[Path | None, typer.Argument(help="a UBL document, whose amounts are put in")] = None,
    language: Annotated[
        list[str] | None, typer.Option("-l", "--language", help="en, nl or fr; all three otherwise; may be repeated")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """What a rule asks for, and what a document makes of it. Exit code 2: there is no such rule or file."""
    unknown = [one for one in language or () if one not in LANGUAGES]
    if unknown:
        fail(f"there is no language {unknown[0]}; there are {', '.join(LANGUAGES)}", code=2)
    if file is not None and not file.is_file():
        fail(f"there is no file {file}", code=2)
    found, explanation = _explained(rule, file)
    chosen = language or list(LANGUAGES)
    if as_json:
        print_json(_json(explanation, found, chosen))
        return
    _print_rule(explanation, chosen)
    if file is not None and found is not None:
        _print_document(file, found, chosen)


def _explained(rule: str, file: Path | None) -> tuple[InDocument | None, Explanation]:
    from clearfacts_assets import settings
    from clearfacts_assets.invoice_settings import rule_options, validator_from
    from clearfacts_assets.invoices.validation.explanations import catalogue
    from clearfacts_assets.invoices.validation.inspection import today_in_brussels

    chosen = settings.load().validation
    known = catalogue(rule_options(chosen), today_in_brussels())
    meant = known.find(rule)
    if meant is None:
        alike = known.alike(rule)
        more = f"; did you mean {' or '.join(alike)}?" if alike else ": `clearfacts validate` names the rules it finds"
        fail(f"there is no rule {rule}{more}", code=2)
    explanation = known.explain(meant)
    if file is None:
        return None, explanation
    validator = validator_from(chosen.model_copy(update={"workers": 0}), layers=_layers(explanation.layer))
    with validator:
        return _in_document(meant, file.read_bytes(), validator), explanation


def _layers(layer: str) -> list[str] | None:
    """The rule's own layer, whatever the document claims to be; all of them where it is found before any."""
    return None if layer == "document" else [layer]


def _in_document(rule: str, content: bytes, validator: Validator) -> InDocument:
    from clearfacts_assets.invoices.validation.explanations import InDocument, sums_of
    from clearfacts_assets.invoices.validation.ubl import Unreadable, parse

    report = validator.validate(content)
    findings = tuple(one for one in report.findings if one.rule == rule)
    try:
        document = parse(content, limits=validator.plan.limits)
    except Unreadable as unreadable:
        if not findings:
            fail(f"the document cannot be read: {unreadable.message} ({unreadable.rule})")
        return InDocument(findings, ())
    return InDocument(findings, sums_of(rule, document))


def _json(explanation: Explanation, found: InDocument | None, chosen: list[str]) -> dict[str, object]:
    told: dict[str, object] = {
        "rule": explanation.rule,
        "layer": explanation.layer,
        "flag": explanation.flag,
        "words": {language: explanation.words[language] for language in chosen},
        "official": explanation.official,
        "terms": list(explanation.terms),
    }
    if found is not None:
        told["broken"] = found.broken
        told["findings"] = [asdict(one) for one in found.findings]
        told["sums"] = [
            {**asdict(one), "words": {language: one.words[language] for language in chosen}} for one in found.computed
        ]
    return told


def _print_rule(explanation: Explanation, chosen: list[str]) -> None:
    rows = [(LANGUAGES[language], explanation.words[language]) for language in chosen]
    if explanation.official:
        rows.append(("official", explanation.official))
    print_table(f"{explanation.rule} ({explanation.layer}, {explanation.flag})", ("", ""), rows)


def _print_document(file: Path, found: InDocument, chosen: list[str]) -> None:
    if not found.broken:
        say(f"\n{file.name} keeps this rule.", style="green")
    for one in found.findings:
        where = f"line {one.line}, " if one.line else ""
        say(f"\n{file.name} breaks it: {where}{one.location or 'the whole document'}", style="red")
        if not found.computed:
            say(one.message)
    sums = [one for one in found.computed if not one.right] or list(found.computed)
    for computed in sums[:MOST_ADDENDS]:
        say("")
        for language in chosen:
            say(f"{LANGUAGES[language]}: {computed.words[language]}")
        if computed.addends:
            shown = computed.addends[:MOST_ADDENDS]
            title = f"{len(computed.addends)} amounts" + (
                ", the first of them" if len(shown) < len(computed.addends) else ""
            )
            rows = [(one.line, one.amount, one.location) for one in shown]
            print_table(title, ("line", "amount", "where"), rows, right=("line", "amount"))
    if len(sums) > MOST_ADDENDS:
        say(f"\n… and {len(sums) - MOST_ADDENDS:,} more such sums; --json has them all")
