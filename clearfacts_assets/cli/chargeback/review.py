"""``review``: decide about charges that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.chargeback.model import Status
from clearfacts_assets.cli.chargeback.charge_selection import (
    Choice,
    Filter,
    Ids,
    InSource,
    OfFund,
    OfPi,
    OfProject,
    WithFlag,
)
from clearfacts_assets.cli.chargeback.shared import (
    AsJson,
    By,
    MaybePeriod,
    attribute_again,
    count_of,
    ledger,
    now,
    told,
    who,
)
from clearfacts_assets.cli.console import fail, print_json, print_more, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.chargeback.attribution.review import ReviewDecision
    from clearfacts_assets.storage.chargeback.charges import ChargeFilter

app = typer.Typer(help="Charges that wait for a person. Nothing flagged or rejected ever counts in a bill.")

Note = Annotated[str, typer.Option("-n", "--note", help="why; it is kept with your name")]
All = Annotated[bool, typer.Option("--all", help="all that wait in the period")]


_DONE = {"approve": "approved", "reject": "rejected", "correct": "corrected", "undo": "undone"}


@app.command("list")
def list_(
    period: MaybePeriod = None,
    source: InSource = None,
    flag: WithFlag = None,
    pi: OfPi = None,
    project: OfProject = None,
    search: Filter = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most charges shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Flagged charges, and why."""
    from clearfacts_assets.storage.chargeback.charges import ChargeRepository

    with told():
        which = Choice(period, (), source, flag, pi, project, search=search).filter((Status.FLAGGED,))
        page = ChargeRepository(ledger()).list(which, limit=limit, cursor=cursor)
    if as_json:
        print_json({"charges": list(page.items), "next_cursor": page.next_cursor})
        return
    shown = ("id", "period", "source", "amount", "currency", "service", "resource_id", "pi_email", "flags")
    rows = [[" ".join(one[name]) if name == "flags" else one[name] for name in shown] for one in page.items]
    print_table("Waiting", shown, rows, right=("id", "amount"), wide=True)
    print_more(page.next_cursor)


@app.command()
def approve(
    period: MaybePeriod = None,
    ids: Ids = None,
    flag: WithFlag = None,
    source: InSource = None,
    pi: OfPi = None,
    project: OfProject = None,
    fund: OfFund = None,
    search: Filter = None,
    every: All = False,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """It is right as it is: bill it."""
    from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict

    which = Choice(period, ids or (), source, flag, pi, project, fund, search)
    _decide(_waiting(which, every), ReviewDecision(Verdict.APPROVE, note), actor, as_json)


@app.command()
def reject(
    period: MaybePeriod = None,
    ids: Ids = None,
    flag: WithFlag = None,
    source: InSource = None,
    pi: OfPi = None,
    project: OfProject = None,
    fund: OfFund = None,
    search: Filter = None,
    every: All = False,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """It is not billed. It stays to be seen."""
    from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict

    which = Choice(period, ids or (), source, flag, pi, project, fund, search)
    _decide(_waiting(which, every), ReviewDecision(Verdict.REJECT, note), actor, as_json)


@app.command()
def correct(
    period: MaybePeriod = None,
    ids: Ids = None,
    flag: WithFlag = None,
    source: InSource = None,
    search: Filter = None,
    every: All = False,
    pi_email: Annotated[str | None, typer.Option(help="who pays")] = None,
    project_id: Annotated[str | None, typer.Option(help="for which project")] = None,
    fund_org: Annotated[str | None, typer.Option(help="from which fund")] = None,
    cost_center: Annotated[str | None, typer.Option(help="the cost center")] = None,
    account_code: Annotated[str | None, typer.Option(help="the account in the general ledger")] = None,
    note: Note = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Say who pays, and bill it."""
    from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict

    said = {
        "pi_email": pi_email,
        "project_id": project_id,
        "fund_org": fund_org,
        "cost_center": cost_center,
        "account_code": account_code,
    }
    fields = {name: value for name, value in said.items() if value is not None}
    if not fields:
        fail("say who pays: --pi-email, --project-id, --fund-org, --cost-center or --account-code", code=2)
    which = Choice(period, ids or (), source, flag, search=search)
    _decide(_waiting(which, every), ReviewDecision(Verdict.CORRECT, note, fields), actor, as_json)


@app.command()
def undo(ids: Ids = None, note: Note = "", actor: By = None, as_json: AsJson = False) -> None:
    """Take the last decision back; before the period is finalized."""
    from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict

    _decide(_waiting(Choice(ids=ids or ()), False), ReviewDecision(Verdict.UNDO, note), actor, as_json)


@app.command()
def again(period: MaybePeriod = None, as_json: AsJson = False) -> None:
    """Attribute and flag by today's settings and registry what no person has decided, and no period has sealed."""
    with told():
        moved = attribute_again(ledger(), period)
    if as_json:
        print_json({"charges_changed": moved})
    else:
        say(f"Attributed anew: {count_of(moved, 'charge')}.")


def _waiting(which: Choice, every: bool) -> ChargeFilter:
    """Those that are named, or of the period those that wait."""
    if not which.ids and not which.period:
        fail("say which: --id N, or -p PERIOD with --reason, --filter or --all", code=2)
    if not which.ids and not every and not which.says_which:
        fail("say which of the period: --reason, --filter, --source, --pi, --project or --all", code=2)
    with told():
        return which.filter(() if which.ids else (Status.FLAGGED,))


def _decide(which: ChargeFilter, decision: ReviewDecision, actor: str | None, as_json: bool) -> None:
    from clearfacts_assets.storage.chargeback.review import ReviewRepository

    with told():
        decided = ReviewRepository(ledger()).decide(which, decision, actor=who(actor), now=now())
    if as_json:
        print_json({"verdict": decision.verdict, "decided": len(decided), "charges": decided[:1000]})
    else:
        say(f"{count_of(len(decided), 'charge')} {_DONE[decision.verdict]}.")
    if not decided:
        raise typer.Exit(1)
