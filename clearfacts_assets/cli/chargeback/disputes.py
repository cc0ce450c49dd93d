"""``disputes``: what investigators object to, and what was answered."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, MaybePeriod, ledger, now, told, who
from clearfacts_assets.cli.console import instant, print_json, print_table, say

app = typer.Typer(help="Disputes: an investigator's objection and its answer; both stay on record.")


@app.command("list")
def list_(
    period: MaybePeriod = None,
    open_: Annotated[bool, typer.Option("--open", help="only those without an answer")] = False,
    as_json: AsJson = False,
) -> None:
    """Objections, oldest first."""
    from clearfacts_assets.storage.chargeback.issuing.remarks import Remarks

    found = Remarks(ledger()).list(period=period, unanswered=open_)
    if as_json:
        print_json({"disputes": found})
        return
    columns = ("id", "number", "line", "text", "actor")
    rows = [[*(one[name] for name in columns), instant(one["at"]), one["verdict"] or "open"] for one in found]
    print_table(
        "Disputes", ("id", "statement", "line", "objection", "by", "at", "answer"), rows, whole=("id", "statement")
    )


@app.command()
def add(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="the statement's")],
    text: Annotated[str, typer.Argument(help="what is wrong")],
    line: Annotated[int | None, typer.Option("--line", min=1, help="of lines.csv; all of the statement else")] = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Keep what an investigator objects to."""
    from clearfacts_assets.storage.chargeback.issuing.remarks import Remarks

    with told():
        id_ = Remarks(ledger()).object(number, text, line=line, actor=who(actor), now=now())
    if as_json:
        print_json({"id": id_, "number": number, "line": line})
    else:
        say(f"Objection {id_} to {number}. Answer it: clearfacts chargeback disputes answer {id_} ...")


@app.command()
def answer(
    id_: Annotated[int, typer.Argument(metavar="ID", help="of the objection")],
    verdict: Annotated[Literal["agreed", "declined"], typer.Argument(help="agreed: mend the charges, then generate")],
    text: Annotated[str, typer.Argument(help="what is answered")],
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Answer an objection, once."""
    from clearfacts_assets.storage.chargeback.issuing.remarks import Remarks

    with told():
        Remarks(ledger()).answer(id_, text, verdict, actor=who(actor), now=now())
    if as_json:
        print_json({"id": id_, "verdict": verdict})
    else:
        say(f"Objection {id_} was answered: {verdict}.")
