"""The chart of accounts: which fund, account and program a part of a statement is debited and credited to.

Whatever has no place is a problem in words; a journal is made of parts that all have one, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from clearfacts_assets.chargeback.attribution.registry import Fund, covers, normal_name
from clearfacts_assets.chargeback.journals.model import Part
from clearfacts_assets.messages import Message

NO_FUND = "(no fund)"


@dataclass(frozen=True, slots=True)
class SourceAccounts:
    """What a cost source says of its books: the fund that is credited for it, and the account of its charges."""

    credit_fund: str = ""
    account_code: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one side of a pair stands."""

    fund_org: str
    account: str
    segments: Mapping[str, str]
    instead_of: str = ""


@dataclass(frozen=True)
class Chart:
    """The rules of the chart, as the settings say, with the sources' and the funds' own entries.

    An account code is, first found wins: the charge's own (a tag, or the project in the registry), that of the first
    pattern which the service matches, then which its ServiceCategory matches, the source's, the default. A credit fund
    is the source's, else the default.
    """

    fund_org_regex: str = r"^(?P<orgn>[^-]+)-(?P<fund>.+)$"
    account_code_regex: str = ""
    default_account: str = ""
    account_codes: Mapping[str, str] = field(default_factory=dict)  # pattern of services -> account
    category_accounts: Mapping[str, str] = field(default_factory=dict)  # pattern of ServiceCategory -> account
    credit_fund: str = ""
    credit_account: str = ""  # empty: the account of the debit
    segments: Mapping[str, str] = field(default_factory=dict)  # of what a fund's text does not say
    credit_segments: Mapping[str, str] = field(default_factory=dict)
    suspense: Mapping[str, str] = field(default_factory=dict)  # pattern of closed funds -> fund
    sources: Mapping[str, SourceAccounts] = field(default_factory=dict)
    funds: tuple[Fund, ...] = ()

    def debit(self, part: Part, day: str, problems: list[Message]) -> Place | None:
        """Where the fund's side stands on that day; None where a problem was added."""
        fund, instead_of = self._open_fund(part, day, problems)
        account = self._account(part, problems)
        return self._place(fund, account, self.segments, problems, instead_of)

    def credit(self, part: Part, account: str, problems: list[Message]) -> Place | None:
        """Where the other side stands: the fund of whoever provides the service."""
        source = self.sources.get(part.source, SourceAccounts())
        fund = source.credit_fund or self.credit_fund
        if not fund:
            ours = Message("what belongs to no source has no credit fund (set journals.credit_fund)")
            text = (
                "the source {source} has no credit fund (clearfacts chargeback sources set {source} --credit-fund FUND)"
            )
            problems.append(Message(text, {"source": part.source}) if part.source else ours)
            return None
        return self._place(fund, self.credit_account or account, {**self.segments, **self.credit_segments}, problems)

    def _open_fund(self, part: Part, day: str, problems: list[Message]) -> tuple[str, str]:
        """The fund, or the suspense fund and the closed one that it stands for."""
        fund = part.fund_org
        if not fund:
            problems.append(
                Message(
                    "{statement} charges {fund}: correct who pays",
                    {"statement": part.statement or part.period, "fund": NO_FUND},
                )
            )
            return "", ""
        entries = self._funds.get(normal_name(fund))
        if not entries or any(covers(one.valid_from, one.valid_to, day) for one in entries):
            return fund, ""
        for pattern, suspense in self.suspense.items():
            if fnmatchcase(fund, pattern):
                return suspense, fund
        problems.append(
            Message(
                "the fund {fund} is closed on {day}: set journals.suspense for it, or correct who pays",
                {"fund": fund, "day": day},
            )
        )
        return "", ""

    def _account(self, part: Part, problems: list[Message]) -> str:
        source = self.sources.get(part.source, SourceAccounts())
        account = (
            part.account_code
            or _first(self.account_codes, part.service)
            or (_first(self.category_accounts, part.category) if part.category else "")
            or source.account_code
            or self.default_account
        )
        if not account:
            nameless = Message("what is billed without a service"), Message("no source")
            of = {"service": part.service or nameless[0], "source": part.source or nameless[1]}
            problems.append(
                Message(
                    "{service} of {source} has no account code "
                    "(sources set --account-code, or journals.default_account)",
                    of,
                )
            )
        elif self._accounts and not self._accounts.search(account):
            problems.append(
                Message("the account code {account!r} does not match journals.account_code_regex", {"account": account})
            )
        return account

    def _place(
        self, fund: str, account: str, defaults: Mapping[str, str], problems: list[Message], instead_of: str = ""
    ) -> Place | None:
        if not fund or not account:
            return None
        segments = {"fund": fund}
        if self.fund_org_regex:
            found = self._pattern.search(fund)
            if found is None:
                problems.append(Message("the fund {fund!r} does not match journals.fund_org_regex", {"fund": fund}))
                return None
            segments = {name: value or "" for name, value in found.groupdict().items()}
        return Place(fund, account, {**defaults, **segments}, instead_of)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.fund_org_regex)

    @cached_property
    def _accounts(self) -> re.Pattern[str] | None:
        return re.compile(self.account_code_regex) if self.account_code_regex else None

    @cached_property
    def _funds(self) -> dict[str, list[Fund]]:
        found: dict[str, list[Fund]] = {}
        for one in self.funds:
            found.setdefault(normal_name(one.fund_org), []).append(one)
        return found


def _first(codes: Mapping[str, str], name: str) -> str:
    """The code of the first pattern that the name matches; empty where there is none."""
    return next((code for pattern, code in codes.items() if fnmatchcase(name, pattern)), "")
