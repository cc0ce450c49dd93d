"""``sources``: where cost exports come from, and on which of FOCUS' costs each is charged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearfacts_assets.chargeback.model import Basis
from clearfacts_assets.cli.chargeback.shared import AsJson, By, ledger, now, told, who
from clearfacts_assets.cli.console import fail, instant, print_json, print_table, say

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

app = typer.Typer(help="Cost sources, and the cost basis of each.")

Name = Annotated[str, typer.Argument(help="the source's name")]
Display = Annotated[str | None, typer.Option("-d", "--display-name", help="as people call it")]
Pattern = Annotated[
    str | None, typer.Option("--pattern", help="of its files' names: aws_*.csv, or a regular expression")
]
OnBasis = Annotated[Basis | None, typer.Option("--basis", help="billed (cash), effective (use), contracted or list")]
Fund = Annotated[str | None, typer.Option("--credit-fund", help="the fund that journals credit")]
Account = Annotated[str | None, typer.Option("--account-code", help="of charges that name none")]
Comma = Annotated[bool | None, typer.Option("--decimal-comma/--decimal-point", help="how its files write numbers")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All sources, with their last import."""
    from clearfacts_assets.storage.chargeback.imports import ImportRepository

    imports = ImportRepository(ledger())
    found = [one | {"last_import": _last(imports, one["name"])} for one in _repository().sources()]
    if as_json:
        print_json({"sources": found})
        return
    print_table(
        "Sources",
        ("source", "name", "cost basis", "files", "last import"),
        [
            (one["name"], one["display_name"], one["basis"], one["pattern"], instant(one["last_import"]))
            for one in found
        ],
        whole=("source", "last import"),
    )


@app.command()
def add(
    name: Name,
    display_name: Display = None,
    pattern: Pattern = None,
    basis: OnBasis = None,
    credit_fund: Fund = None,
    account_code: Account = None,
    decimal_comma: Comma = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Add a source. Without a basis it is charged on what is billed."""
    if any(one["name"] == name for one in _repository().sources()):
        fail(f"there is a source {name} already: clearfacts chargeback sources set {name} ...")
    _put(name, _given(display_name, pattern, basis, credit_fund, account_code, decimal_comma), actor, as_json)


@app.command("set")
def set_(
    name: Name,
    display_name: Display = None,
    pattern: Pattern = None,
    basis: OnBasis = None,
    credit_fund: Fund = None,
    account_code: Account = None,
    decimal_comma: Comma = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Change a source. Its basis stays once a period with its charges was finalized."""
    if all(one["name"] != name for one in _repository().sources()):
        fail(f"there is no source {name}: clearfacts chargeback sources add {name}")
    _put(name, _given(display_name, pattern, basis, credit_fund, account_code, decimal_comma), actor, as_json)


@app.command("sync-status")
def sync_status(as_json: AsJson = False) -> None:
    """When each source was imported last."""
    list_(as_json)


def _given(
    display: str | None,
    pattern: str | None,
    basis: Basis | None,
    fund: str | None,
    code: str | None,
    comma: bool | None,
) -> dict[str, Any]:
    values = {
        "display_name": display,
        "pattern": pattern,
        "basis": basis.value if basis else None,
        "credit_fund_org": fund,
        "account_code": code,
        "decimal_comma": comma,
    }
    return {name: value for name, value in values.items() if value is not None}


def _put(name: str, values: dict[str, Any], actor: str | None, as_json: bool) -> None:
    with told():
        source = _repository().set_source(name, values, actor=who(actor), now=now())
    if as_json:
        print_json(source)
    else:
        say(f"{name} is charged on the {source['basis']} cost.")


def _last(imports: Any, name: str) -> Any:
    found = imports.list(source=name, limit=1)
    return found[0].at if found else None


def _repository() -> RegistryRepository:
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository

    return RegistryRepository(ledger())
