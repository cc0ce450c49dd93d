"""Options by which commands choose charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from clearfacts_assets.chargeback.model import Flag, Status

if TYPE_CHECKING:
    from clearfacts_assets.storage.chargeback.charges import ChargeFilter

Ids = Annotated[list[int] | None, typer.Option("--id", help="this charge; may be given several times")]
InSource = Annotated[str | None, typer.Option("-s", "--source", help="only of this source")]
InStatus = Annotated[list[Status] | None, typer.Option("--status", help="only these; may be given several times")]
WithFlag = Annotated[Flag | None, typer.Option("--reason", help="only with this flag, as missing_fund_org")]
OfPi = Annotated[str | None, typer.Option("--pi", help="only of this investigator")]
OfProject = Annotated[str | None, typer.Option("--project", help="only of this project")]
OfFund = Annotated[str | None, typer.Option("--fund", help="only of this fund")]
Filter = Annotated[str | None, typer.Option("--filter", help="only where service or resource has this text in it")]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which charges a command is about, by its options."""

    period: str | None = None
    ids: Sequence[int] = ()
    source: str | None = None
    flag: Flag | None = None
    pi: str | None = None
    project: str | None = None
    fund: str | None = None
    search: str | None = None

    @property
    def says_which(self) -> bool:
        """Whether it is narrower than a period."""
        return any((self.flag, self.source, self.pi, self.project, self.fund, self.search))

    def filter(self, status: Sequence[Status] = ()) -> ChargeFilter:
        """The same as the ledger is asked. Raises BadPeriod."""
        from clearfacts_assets.chargeback.model import period_of
        from clearfacts_assets.storage.chargeback.charges import ChargeFilter

        return ChargeFilter(
            period=period_of(self.period) if self.period else None,
            source=self.source,
            status=tuple(one.value for one in status),
            flag=self.flag.value if self.flag else None,
            pi_email=self.pi,
            project_id=self.project,
            fund_org=self.fund,
            search=self.search,
            ids=tuple(self.ids),
        )
