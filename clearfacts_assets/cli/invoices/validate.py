"""``clearfacts validate``: what would become of these documents, without sending any."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.cli.console import err, fail, print_json_line, print_table
from clearfacts_assets.cli.invoices.reports import check_report, write_report

if TYPE_CHECKING:
    from clearfacts_assets.invoices.model import Report
    from clearfacts_assets.invoices.validation.engine import Validator

FEW = 20  # documents; below this, starting a second worker process takes longer than the work
WIDEST = 8  # worker processes at most


def validate(
    paths: Annotated[list[Path], typer.Argument(help="UBL files, or folders of them (*.xml, with their subfolders)")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line and document")] = False,
    policy: Annotated[Path | None, typer.Option(help="YAML file with an own policy")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="run this layer alone; may be repeated")] = None,
    profile: Annotated[str | None, typer.Option(help="run this profile's layers on every document")] = None,
    svrl: Annotated[Path | None, typer.Option(help="folder for one SVRL file a document")] = None,
    workers: Annotated[int | None, typer.Option(min=0, max=64, help="worker processes; 0 works in this one")] = None,
    report: Annotated[str | None, typer.Option(help="html, sarif or csv, instead of the table")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="file for --report; standard output otherwise")
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="by the rules in force on this day; today's else"),
    ] = None,
    language: Annotated[str, typer.Option(help="of --report html: en, nl or fr")] = "en",
) -> None:
    """Validate documents. Exit code 0: all would be accepted, 1: some would not, 2: the call was wrong."""
    files = _files(paths)
    if report is not None or output is not None:
        check_report(report, output, language, other=as_json or svrl is not None)
    if profile is not None:
        layer = _layers_of(profile, layer)
    validator = _validator(policy, layer, workers, len(files), on.date() if on is not None else None)
    if report is not None:
        with validator:
            checked = _with_progress(validator, files, quiet=False)
            accepted = write_report(report, checked, output, language, validator.plan.limits)
        raise typer.Exit(0 if accepted else 1)
    decisions: Counter[str] = Counter()
    rules: Counter[tuple[str, str]] = Counter()
    words: dict[str, str] = {}
    rows = []
    with validator:
        for path, one in _with_progress(validator, files, quiet=as_json):
            decisions[one.decision.value] += 1
            rules.update({(each.rule, each.severity.value) for each in one.findings})
            words.update({each.rule: each.hint or each.message for each in one.findings if each.rule not in words})
            if as_json:
                print_json_line(_line(path, one))
            else:
                rows.append(_row(path, one))
            if svrl is not None:
                _write_svrl(svrl, path, one)
    if not as_json:
        _print_summary(rows, rules, words, decisions)
    raise typer.Exit(0 if set(decisions) <= {"accept"} else 1)


def _files(paths: list[Path]) -> list[Path]:
    """Every document that is meant, in the order given; folders in alphabetical order."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.rglob("*") if each.suffix.lower() == ".xml" and each.is_file())
        elif path.is_file():
            files.append(path)
        else:
            fail(f"there is no file or folder {path}", code=2)
    unreadable = [path for path in files if not os.access(path, os.R_OK)]
    if unreadable:
        fail(f"{unreadable[0]} may not be read", code=2)
    if not files:
        fail(f"there is no XML file in {', '.join(map(str, paths))}", code=2)
    return files


def _layers_of(profile: str, layers: list[str] | None) -> list[str]:
    """What a document of that profile must meet; as with --layer, each is judged by its own errors."""
    from clearfacts_assets.invoices.validation.policy import built_in
    from clearfacts_assets.invoices.validation.profiles import Profile

    if layers:
        fail("--profile goes without --layer", code=2)
    if profile not in (known := [one.value for one in Profile if one is not Profile.UNKNOWN]):
        fail(f"there is no profile {profile}; there are {', '.join(known)}", code=2)
    return list(built_in()[Profile(profile)].layers)


def _validator(
    policy: Path | None, layers: list[str] | None, workers: int | None, documents: int, day: date | None
) -> Validator:
    from clearfacts_assets import settings
    from clearfacts_assets.invoice_settings import validator_from
    from clearfacts_assets.invoices.validation.policy import BadPolicy
    from clearfacts_assets.invoices.validation.rules import known_layers

    unknown = [layer for layer in layers or () if layer not in known_layers()]
    if unknown:
        fail(f"there is no layer {unknown[0]}; there are {', '.join(known_layers())}", code=2)
    chosen = settings.load().validation
    if workers is None:
        workers = 1 if documents < FEW else min(os.cpu_count() or 1, WIDEST)
    changes: dict[str, object] = {"workers": workers}
    if policy is not None:
        changes["policy"] = policy
    try:
        return validator_from(chosen.model_copy(update=changes), layers=layers or None, day=day)
    except BadPolicy as error:
        fail(str(error), code=2)


def _with_progress(validator: Validator, files: list[Path], *, quiet: bool) -> Iterator[tuple[Path, Report]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("validating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or len(files) < FEW) as progress:
        task = progress.add_task("", total=len(files))
        for item in validator.validate_many((path, path.read_bytes()) for path in files):
            progress.advance(task)
            yield item


def _line(path: Path, report: Report) -> dict[str, object]:
    return {
        "path": str(path),
        "sha256": report.sha256,
        "type": report.invoice.document_type.value if report.invoice else None,
        "profile": report.profile,
        "decision": report.decision.value,
        "findings": [
            {
                "rule": finding.rule,
                "layer": finding.layer,
                "severity": finding.severity.value,
                "location": finding.location,
                "line": finding.line,
                "message": finding.message,
            }
            for finding in report.findings
        ],
        "versions": dict(report.versions),
    }


def _row(path: Path, report: Report) -> tuple[object, ...]:
    weights = Counter(finding.severity.value for finding in report.findings)
    amount = report.invoice.payable if report.invoice else "–"
    return (
        path.name,
        amount,
        report.profile,
        report.decision.value,
        weights["error"],
        weights["warning"],
        report.reason,
    )


def _print_summary(
    rows: list[tuple[object, ...]],
    rules: Counter[tuple[str, str]],
    words: dict[str, str],
    decisions: Counter[str],
) -> None:
    columns = ("document", "amount due", "profile", "decision", "err", "warn", "reason")
    title = ", ".join(f"{count} {decision}" for decision, count in decisions.items())
    print_table(f"{sum(decisions.values())} documents: {title}", columns, rows, right=("amount due", "err", "warn"))
    if rules:
        most = [(rule, severity, count, words[rule]) for (rule, severity), count in rules.most_common(10)]
        print_table("Most frequent findings", ("rule", "severity", "documents", "in words"), most, right=("documents",))


def _write_svrl(folder: Path, path: Path, report: Report) -> None:
    from clearfacts_assets.invoices.validation.svrl import as_svrl

    folder.mkdir(parents=True, exist_ok=True)
    # Two documents of the same name in different folders keep apart.
    (folder / f"{path.stem}.{report.sha256[:12]}.svrl").write_bytes(as_svrl(report))
