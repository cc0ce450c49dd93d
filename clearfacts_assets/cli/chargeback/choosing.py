"""Options by which commands choose charges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.chargeback.model import Status

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.charges import ChargeFilter

Ids = Annotated[list[int] | None, typer.Option("--id", help="this charge; may be given several times")]
InSource = Annotated[str | None, typer.Option("-s", "--source", help="only of this source")]
InStatus = Annotated[list[Status] | None, typer.Option("--status", help="only these; may be given several times")]
WithFlag = Annotated[str | None, typer.Option("--reason", help="only with this flag, as missing_fund_org")]
OfPi = Annotated[str | None, typer.Option("--pi", help="only of this investigator")]
OfProject = Annotated[str | None, typer.Option("--project", help="only of this project")]
OfFund = Annotated[str | None, typer.Option("--fund", help="only of this fund")]
Filter = Annotated[str | None, typer.Option("--filter", help="only where service or resource has this text in it")]


def chosen(
    period: str | None = None,
    ids: list[int] | None = None,
    source: str | None = None,
    status: list[Status] | None = None,
    flag: str | None = None,
    pi: str | None = None,
    project: str | None = None,
    fund: str | None = None,
    search: str | None = None,
) -> ChargeFilter:
    """The options as one filter. Raises BadPeriod."""
    from clearfacts_assets.chargeback.model import period_of
    from clearfacts_assets.storage.chargeback.charges import ChargeFilter

    return ChargeFilter(
        period=period_of(period) if period else None,
        source=source,
        status=tuple(one.value for one in status or ()),
        flag=flag,
        pi_email=pi,
        project_id=project,
        fund_org=fund,
        search=search,
        ids=tuple(ids or ()),
    )
