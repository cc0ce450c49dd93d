"""``generate``, ``statements``: what is due as PDF, numbered, in versions that are never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.cli.chargeback.shared import (
    AsJson,
    By,
    ForPeriod,
    MaybePeriod,
    Reason,
    ledger,
    now,
    told,
    who,
)
from clearfacts_assets.cli.console import instant, print_json, print_table, say

app = typer.Typer(help="Statements: numbered PDFs of what is due, in versions. What was issued is never changed.")

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="the statement's, as S-2025-03-0001")]
Version = Annotated[int | None, typer.Option("--version", min=0, help="this one; the one that stands by default")]
Kind = Annotated[StatementKind, typer.Option("--kind", help="whom the statements are for")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be issued, and issue nothing")]
OutFolder = Annotated[Path | None, typer.Option("-o", "--output", help="write the PDFs into this folder as well")]


def generate(
    period: ForPeriod,
    kind: Kind = StatementKind.INVESTIGATOR,
    send: Annotated[bool, typer.Option("--send", help="send the e-mails too; what was sent is not sent again")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="only drafts, which say so and do not count")] = False,
    output: OutFolder = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Issue the statements of a closed or finalized period. Twice issues nothing anew."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing import configured_issuer
    from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    engine, said = ledger(), load().statements
    repository = StatementRepository(engine)
    with told():
        found = configured_issuer.generate(engine, said, period, kind, Issuance(who(actor), now(), draft, dry_run))
        tie_out = [one.as_result() for one in repository.tie_out(period)]
        if output and not dry_run:
            _write_out(repository, period, kind, output, draft=draft)
    result = found.as_result() | {"tie_out": tie_out}
    if send and not draft:
        from clearfacts_assets.cli.chargeback.mailing import enqueue_and_send

        result["emails"] = enqueue_and_send(engine, period, actor=who(actor), dry_run=dry_run)
    if as_json:
        print_json(result)
    else:
        _tell(result)
    from clearfacts_assets.cli.chargeback.emails import not_all_sent

    if not_all_sent(result.get("emails", {})):
        raise typer.Exit(1)
    if found.problems or not all(
        one["balanced"] for one in tie_out if kind is StatementKind.INVESTIGATOR and not dry_run
    ):
        raise typer.Exit(1)


def _tell(result: dict[str, Any]) -> None:
    would = "would be " if result["dry_run"] else ""
    rows = [
        (f"{would}issued", len(result["new"])),
        (f"{would}corrected", len(result["corrected"])),
        ("unchanged", result["unchanged"]),
        ("accepted by silence", len(result["accepted"])),
        ("failed", len(result["problems"])),
    ]
    print_table(f"Statements of {result['period']} ({result['kind']})", ("", ""), rows)
    for one in result["tie_out"]:
        say(
            f"{one['currency']}: statements say {one['printed']}, the ledger {one['ledger']}, "
            f"rounding {one['rounding']}"
            + ("" if one["balanced"] else f": NOT BALANCED, statements cover {one['exact']}")
        )
    for whose, problem in result["problems"]:
        say(f"{whose}: {problem}", style="red")
    for number, characters in result["stand_ins"].items():
        say(f"{number}: no font has {characters}: □ stands there; settings statements.font_paths names more fonts")
    if "emails" in result:
        from clearfacts_assets.cli.chargeback.emails import tell_counts

        tell_counts(result["emails"])


def _write_out(repository: Any, period: str, kind: StatementKind, folder: Path, *, draft: bool) -> None:
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter

    folder.mkdir(parents=True, exist_ok=True)
    states = ("draft",) if draft else ("proposed", "issued")
    for one in repository.list(StatementFilter(period, kind.value, states=states), limit=1_000_000):
        name, pdf = repository.pdf(one["number"], one["version"])
        (folder / name).write_bytes(pdf)


@app.command("list")
def list_(
    period: MaybePeriod = None,
    kind: Annotated[StatementKind | None, typer.Option("--kind", help="only these")] = None,
    pi: Annotated[str | None, typer.Option("--pi", help="only of this investigator, sponsor or cost centre")] = None,
    all_: Annotated[bool, typer.Option("--all", help="also those that were corrected or voided")] = False,
    as_json: AsJson = False,
) -> None:
    """Statements, oldest first."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository

    states = () if all_ else ("draft", "proposed", "issued")
    which = StatementFilter(period, kind.value if kind else None, pi, states=states)
    found = StatementRepository(ledger()).list(which, limit=100_000)
    if as_json:
        print_json({"statements": found})
        return
    columns = ("number", "version", "kind", "state", "subject", "project", "due", "currency", "issued_on")
    rows = [[one[name] for name in columns] for one in found]
    print_table("Statements", columns, rows, right=("version", "due"), wide=True)


@app.command()
def show(number: Number, version: Version = None, as_json: AsJson = False) -> None:
    """One statement: its sums, what happened to it, what was objected."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    with told():
        one = StatementRepository(ledger()).whole(number, version)
    if as_json:
        print_json({name: value for name, value in one.items() if name not in ("data", "lines")})
        return
    names = (
        "kind",
        "state",
        "version",
        "subject",
        "project",
        "fund",
        "period",
        "issued_on",
        "dispute_by",
        "pdf_sha256",
    )
    print_table(f"Statement {number}", ("", ""), [(name.replace("_", " "), one[name]) for name in names])
    sums = [
        (name.replace("listed", "list price"), one[name]) for name in ("listed", "discount", "subsidy", "credit", "due")
    ]
    print_table("Sums", ("", one["currency"]), sums, right=(one["currency"],))
    print_table("By fund and service", ("", one["currency"]), list(one["by_line"].items()), right=(one["currency"],))
    print_table(
        "What happened",
        ("at", "what", "by", "why"),
        [(instant(event["at"]), event["event"], event["actor"], event["reason"]) for event in one["events"]],
    )


@app.command()
def pdf(
    number: Number,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="file or folder; its own name here else")
    ] = None,
    version: Version = None,
) -> None:
    """Write a statement's PDF, as it was issued."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    with told():
        name, content = StatementRepository(ledger()).pdf(number, version)
    path = output / name if output and output.is_dir() else output or Path(name)
    path.write_bytes(content)
    say(str(path))


@app.command()
def diff(
    number: Number,
    old: Annotated[int | None, typer.Option("--old", help="version; the one before the newer")] = None,
    new: Annotated[int | None, typer.Option("--new", help="version; the one that stands")] = None,
    as_json: AsJson = False,
) -> None:
    """What is different between two versions."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    with told():
        rows = StatementRepository(ledger()).difference(number, old, new)
    columns = ("what", "before", "now", "difference")
    if as_json:
        print_json({"number": number, "difference": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        print_table(f"Difference of {number}", columns, rows, right=columns[1:], wide=True)


@app.command()
def void(number: Number, reason: Reason, actor: By = None, as_json: AsJson = False) -> None:
    """Take a statement out: it counts no more, and its charges are free for the next one."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    with told():
        one = StatementRepository(ledger()).void(number, actor=who(actor), reason=reason, now=now())
    _now_is(one, as_json)


@app.command()
def accept(number: Number, actor: By = None, as_json: AsJson = False) -> None:
    """Issue a proposed statement before its days are over: the investigator said yes."""
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository

    with told():
        one = StatementRepository(ledger()).accept(number, actor=who(actor), now=now())
    _now_is(one, as_json)


@app.command()
def recompute(
    number: Annotated[str | None, typer.Argument(metavar="[NUMBER]", help="one; or all of a period with -p")] = None,
    period: MaybePeriod = None,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Make a statement's PDF anew from what was kept, and compare the bytes. Exit code 1 where they differ."""
    from clearfacts_assets.cli.console import fail
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing import configured_issuer

    if (number is None) == (period is None):
        fail("name a statement, or a period with -p", code=2)
    with told():
        found = configured_issuer.recompute(ledger(), load().statements, number=number, version=version, period=period)
    columns = ("number", "version", "pdf_sha256", "problem")
    if as_json:
        print_json({"statements": [{name: getattr(one, name) for name in (*columns, "found")} for one in found]})
    else:
        rows = [(one.number, one.version, one.pdf_sha256, one.problem or "the same bytes") for one in found]
        print_table("Made anew", columns, rows, wide=True)
    if any(one.problem for one in found):
        raise typer.Exit(1)


@app.command()
def year(
    pi: Annotated[str, typer.Argument(help="the investigator's address")],
    of: Annotated[str, typer.Option("--year", help="the year, as 2025")],
    project: Annotated[str | None, typer.Option("--project", help="only of this project")] = None,
    dry_run: DryRun = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Issue the statement of a year, for a grant report: it repeats what the months say."""
    from clearfacts_assets.cli.chargeback.issuing import issuer
    from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance
    from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer

    engine = ledger()
    with told():
        found = SummaryIssuer(issuer(engine), engine).year(
            of, pi.strip().lower(), project, Issuance(who(actor), now(), dry_run=dry_run)
        )
    result = found.as_result() | {"tie_out": []}
    if as_json:
        print_json(result)
    else:
        _tell(result)


def _now_is(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
    else:
        say(f"{one['number']}, version {one['version']}, is {one['state']}.")
