"""``investigators``, ``projects``, ``funds``, ``exceptions``: what the group knows. After each change, who pays is
asked again in every period that is not finalized."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clearfacts_assets.cli.chargeback.shared import (
    AsJson,
    By,
    Reason,
    count_of,
    entries_in,
    ledger,
    now,
    say_who_pays_now,
    told,
    who,
)
from clearfacts_assets.cli.console import fail, print_json, print_table

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

investigators = typer.Typer(help="Principal investigators and their other names.")
projects = typer.Typer(help="Projects: who pays for them, from when to when.")
funds = typer.Typer(help="Funds: when they may be charged, by whom, until when the award runs.")
exceptions = typer.Typer(help="What is not billed, from when to when, and why.")

From = Annotated[str | None, typer.Option("--from", help="first day, as 2025-03-01")]
To = Annotated[str | None, typer.Option("--to", help="the day after the last one")]
File = Annotated[Path, typer.Argument(help="CSV whose header names the columns; aliases and may_charge with ; between")]


@investigators.command("list")
def list_investigators(as_json: AsJson = False) -> None:
    """All of them."""
    _list("investigators", ("email", "name", "institution", "aliases"), as_json)


@projects.command("list")
def list_projects(as_json: AsJson = False) -> None:
    """All of them."""
    _list("projects", ("project_id", "pi_email", "fund_org", "valid_from", "valid_to", "overrides", "aliases"), as_json)


@funds.command("list")
def list_funds(as_json: AsJson = False) -> None:
    """All of them."""
    _list("funds", ("fund_org", "name", "valid_from", "valid_to", "award_end", "budget", "may_charge"), as_json)


def _investigator(verb: str) -> Any:
    def put(
        email: str,
        name: Annotated[str | None, typer.Option(help="the person's name")] = None,
        institution: Annotated[str | None, typer.Option(help="where the person belongs")] = None,
        actor: By = None,
        as_json: AsJson = False,
    ) -> None:
        _put("investigators", {"email": email.strip(), "name": name, "institution": institution}, actor, as_json)

    put.__doc__ = f"{verb.capitalize()} an investigator."
    return investigators.command(verb)(put)


def _project(verb: str) -> Any:
    def put(
        project_id: str,
        pi_email: Annotated[str | None, typer.Option(help="who pays")] = None,
        fund_org: Annotated[str | None, typer.Option(help="from which fund")] = None,
        account_code: Annotated[str | None, typer.Option(help="the account in the general ledger")] = None,
        cost_center: Annotated[str | None, typer.Option(help="the cost center")] = None,
        overrides: Annotated[
            bool | None, typer.Option(help="whatever the tags say; else only what they leave out")
        ] = None,
        valid_from: From = None,
        valid_to: To = None,
        actor: By = None,
        as_json: AsJson = False,
    ) -> None:
        values = {
            "project_id": project_id,
            "pi_email": pi_email,
            "fund_org": fund_org,
            "account_code": account_code,
            "cost_center": cost_center,
            "overrides": None if overrides is None else "yes" if overrides else "no",
            "valid_from": valid_from or "",
            "valid_to": valid_to,
        }
        _put("projects", values, actor, as_json)

    put.__doc__ = f"{verb.capitalize()} a project's entry from a day on."
    return projects.command(verb)(put)


def _fund(verb: str) -> Any:
    def put(
        fund_org: str,
        name: Annotated[str | None, typer.Option(help="as people call it")] = None,
        budget: Annotated[str | None, typer.Option(help="how much there is")] = None,
        currency: Annotated[str | None, typer.Option(help="of the budget")] = None,
        award_end: Annotated[str | None, typer.Option(help="first day on which the award is over")] = None,
        may_charge: Annotated[list[str] | None, typer.Option(help="who may; nobody named: everybody")] = None,
        valid_from: From = None,
        valid_to: To = None,
        actor: By = None,
        as_json: AsJson = False,
    ) -> None:
        values = {
            "fund_org": fund_org,
            "name": name,
            "budget": budget,
            "currency": currency,
            "award_end": award_end,
            "may_charge": ";".join(may_charge or ()) or None,
            "valid_from": valid_from or "",
            "valid_to": valid_to,
        }
        _put("funds", values, actor, as_json)

    put.__doc__ = f"{verb.capitalize()} a fund's entry from a day on."
    return funds.command(verb)(put)


for _verb in ("add", "set"):
    _investigator(_verb)
    _project(_verb)
    _fund(_verb)


@investigators.command("alias")
def alias_investigator(email: str, alias: str, actor: By = None, as_json: AsJson = False) -> None:
    """Another address, login or name of the same person."""
    _alias("investigators", email.strip().lower(), alias, actor, as_json)


@projects.command("alias")
def alias_project(project_id: str, alias: str, actor: By = None, as_json: AsJson = False) -> None:
    """Another name of the same project."""
    _alias("projects", project_id, alias, actor, as_json)


@investigators.command("import")
def import_investigators(file: File, actor: By = None, as_json: AsJson = False) -> None:
    """Columns: email, name, institution, aliases."""
    _import("investigators", file, actor, as_json)


@projects.command("import")
def import_projects(file: File, actor: By = None, as_json: AsJson = False) -> None:
    """Columns: project_id, pi_email, fund_org, account_code, cost_center, overrides, valid_from, valid_to, aliases."""
    _import("projects", file, actor, as_json)


@funds.command("import")
def import_funds(file: File, actor: By = None, as_json: AsJson = False) -> None:
    """Columns: fund_org, name, budget, currency, award_end, may_charge, valid_from, valid_to."""
    _import("funds", file, actor, as_json)


@exceptions.command("list")
def list_exceptions(as_json: AsJson = False) -> None:
    """All exceptions, and what each keeps from being billed."""
    from clearfacts_assets.storage.chargeback.comparing import not_billed

    found, charged = _repository().exceptions(), not_billed(ledger())
    if as_json:
        print_json({"exceptions": found, "not_billed": charged})
        return
    print_table(
        "Exceptions",
        ("id", "kind", "name", "from", "to", "why", "by"),
        [(e["id"], e["kind"], e["name"], e["valid_from"], e["valid_to"], e["reason"], e["actor"]) for e in found],
        right=("id",),
    )
    print_table(
        "Not billed",
        ("period", "project", "investigator", "charges", "amount", "currency"),
        [(c["period"], c["project_id"], c["pi_email"], c["charges"], c["amount"], c["currency"]) for c in charged],
        right=("charges", "amount"),
        wide=True,
    )


@exceptions.command("add")
def add_exception(
    kind: Annotated[Literal["person", "project", "resource"], typer.Argument(help="what it is about")],
    name: Annotated[str, typer.Argument(help="the person's address, the project or the resource id")],
    reason: Reason,
    valid_from: From = None,
    valid_to: To = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Do not bill a person, a project or a resource."""
    from clearfacts_assets.chargeback.attribution.registry import NotBilled

    one = NotBilled(kind, name, reason, _day(valid_from), _day(valid_to))
    with told():
        id_ = _repository().add_exception(one, actor=who(actor), now=now())
    say_who_pays_now({"id": id_}, f"Exception {id_}", as_json)


@exceptions.command("end")
def end_exception(
    exception_id: int,
    valid_to: Annotated[str, typer.Option("--to", help="the day after its last one")],
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Bill again from a day on."""
    with told():
        _repository().end_exception(exception_id, _day(valid_to), actor=who(actor), now=now())
    say_who_pays_now({"id": exception_id}, f"Exception {exception_id}", as_json)


def _list(kind: str, columns: tuple[str, ...], as_json: bool) -> None:
    found = _repository().list(kind)
    if as_json:
        print_json({kind: found})
        return
    rows = [["; ".join(one[name]) if isinstance(one[name], list) else one[name] for name in columns] for one in found]
    print_table(kind.capitalize(), columns, rows)


def _put(kind: str, said: Mapping[str, str | None], actor: str | None, as_json: bool) -> None:
    """What is said is checked as a file's rows are; what is None stays as it is."""
    from clearfacts_assets.chargeback.attribution.entries import BadEntry, checked

    try:
        entry = checked(kind, {name: text for name, text in said.items() if text is not None})
    except BadEntry as error:
        fail(str(error), code=2)
    with told():
        _repository().put(kind, [entry], actor=who(actor), now=now())
    say_who_pays_now(entry, f"{next(iter(entry.values()))} is known", as_json)


def _alias(kind: str, name: str, alias: str, actor: str | None, as_json: bool) -> None:
    with told():
        _repository().alias(kind, name, alias, actor=who(actor), now=now())
    say_who_pays_now({"name": name, "alias": alias}, f"{alias} means {name}", as_json)


def _import(kind: str, file: Path, actor: str | None, as_json: bool) -> None:
    rows = entries_in(file, kind)
    with told():
        _repository().put(kind, rows, actor=who(actor), now=now())
    say_who_pays_now({"rows": len(rows)}, f"{count_of(len(rows), 'row')} of {file.name}", as_json)


def _day(text: str | None) -> str:
    from clearfacts_assets.chargeback.attribution.entries import BadEntry, day_of

    try:
        return day_of(text)
    except BadEntry as error:
        fail(str(error), code=2)


def _repository() -> RegistryRepository:
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    return RegistryRepository(ledger())
