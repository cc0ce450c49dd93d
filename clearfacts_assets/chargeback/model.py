"""The words of chargeback: cost basis, charge, flag, attribution, delivery, difference, refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter

from clearfacts_assets.messages import ExplainedError, Message
from clearfacts_assets.money import plain

_PERIOD = re.compile(r"(?:19|20|21)\d\d-(?:0[1-9]|1[0-2])")


class ChargebackError(ExplainedError):
    """Something of chargeback that cannot be done as asked; its text says why and what to do."""


class BadPeriod(ChargebackError):
    """A period is a month, written YYYY-MM."""


class Basis(StrEnum):
    """Which of FOCUS' costs is charged on. Billed is cash, effective is use; see docs/chargeback.md."""

    BILLED = "billed"
    EFFECTIVE = "effective"
    CONTRACTED = "contracted"
    LIST = "list"

    @property
    def column(self) -> str:
        return f"{self.value.capitalize()}Cost"


class Mode(StrEnum):
    """A delivery is all of its scope (snapshot: what is missing is withdrawn), or comes on top of it (append)."""

    SNAPSHOT = "snapshot"
    APPEND = "append"


class Kind(StrEnum):
    """What a row of the ledger is: a charge, or in a later period what corrects a finalized one."""

    CHARGE = "charge"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"


class Status(StrEnum):
    """Where a charge stands. Only clear and approved ones are due."""

    CLEAR = "clear"
    FLAGGED = "flagged"
    APPROVED = "approved"
    REJECTED = "rejected"
    NOT_BILLED = "not_billed"


DUE = frozenset({Status.CLEAR, Status.APPROVED})


class Flag(StrEnum):
    """Why a charge is to be looked at. Those of NOTES only say something; every other one holds the charge."""

    MISSING_PI_EMAIL = "missing_pi_email"
    MISSING_PROJECT_ID = "missing_project_id"
    MISSING_FUND_ORG = "missing_fund_org"
    INVALID_PI_EMAIL = "invalid_pi_email"
    INVALID_FUND_ORG = "invalid_fund_org"
    UNREADABLE_TAGS = "unreadable_tags"
    UNREADABLE_DATE = "unreadable_date"
    AMBIGUOUS_TAG = "ambiguous_tag"
    PATTERN_MATCH = "pattern_match"
    PERIOD_MISMATCH = "period_mismatch"
    SUSPECTED_DUPLICATE = "suspected_duplicate"
    ANOMALY = "anomaly"
    UNKNOWN_PRICE = "unknown_price"
    UNKNOWN_LIST_PRICE = "unknown_list_price"
    UNKNOWN_CURRENCY = "unknown_currency"
    CORRECTION_TO_CONFIRM = "correction_to_confirm"
    PURCHASE_COUNTS_TWICE = "purchase_counts_twice"
    PURCHASE_WITH_EFFECTIVE_COST = "purchase_with_effective_cost"
    EXPIRED_AWARD = "expired_award"
    FUND_NOT_VALID = "fund_not_valid"
    NOT_AUTHORISED = "not_authorised"
    FORMULA = "formula"


NOTES = frozenset({Flag.UNKNOWN_LIST_PRICE, Flag.PURCHASE_WITH_EFFECTIVE_COST, Flag.FORMULA})


def flag_text(flags: Sequence[Flag] | frozenset[Flag] | set[Flag]) -> str:
    """As a charge keeps them: sorted, one blank between, so that equal sets are equal texts."""
    return " ".join(sorted(flags))


def holds(flags: str) -> bool:
    """Whether any of the flags keeps the charge from being due until a person decides."""
    return any(code not in NOTES for code in flags.split())


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who pays: the person, the project, the fund, and what the general ledger wants to know. Empty is unknown."""

    pi_email: str = ""
    project_id: str = ""
    fund_org: str = ""
    cost_center: str = ""
    account_code: str = ""
    reference_1: str = ""
    reference_2: str = ""
    origin: str = ""  # tag, allocated, registry, override or person, what counted most

    def fields(self) -> tuple[str, ...]:
        said: tuple[str, ...] = _FIELDS(self)
        return said


ATTRIBUTION_FIELDS = (
    "pi_email",
    "project_id",
    "fund_org",
    "cost_center",
    "account_code",
    "reference_1",
    "reference_2",
    "origin",
)
TAG_FIELDS = ATTRIBUTION_FIELDS[:-1]
_FIELDS = attrgetter(*ATTRIBUTION_FIELDS)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row, or a whole file where ``line`` is 0, that cannot be billed: where, what, why."""

    file: str
    line: int
    row: int
    column: str
    value: str
    code: str
    message: str
    record: str = ""  # the original text of the record, to be mended and imported alone

    def as_result(self) -> dict[str, object]:
        """As JSON shows it."""
        return {name: getattr(self, name) for name in ("file", "line", "column", "value", "code", "message")}


class FileRefused(ChargebackError):
    """Nothing of this file can be taken, for the reason that the refusal gives."""

    def __init__(self, refusal: Refusal, message: Message) -> None:
        super().__init__("{file}: {message}", file=refusal.file, message=message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many rows and how much of each cost, in one currency; a cost that is nowhere known counts as 0."""

    rows: int = 0
    billed: Decimal = Decimal(0)
    effective: Decimal = Decimal(0)
    contracted: Decimal = Decimal(0)
    list: Decimal = Decimal(0)
    listed: Decimal = Decimal(0)  # list price that a statement shows
    amount: Decimal = Decimal(0)  # what is charged, on the source's basis

    def as_result(self) -> dict[str, object]:
        return {
            name: plain(value) if isinstance(value := getattr(self, name), Decimal) else value
            for name in self.__dataclass_fields__
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of difference, a currency at a time: how many rows, and how much money after less before."""

    rows: int = 0
    before: Mapping[str, Decimal] = field(default_factory=dict)
    after: Mapping[str, Decimal] = field(default_factory=dict)


CHANGES = ("equal", "new", "changed", "retagged", "withdrawn", "mended", "unmended")
KEPT = (
    "equal",
    "mended",
)  # ``mended``: not readable in the delivery, and as a person mended it; ``unmended``: withdrawn,
# since what was mended is not in the delivery any more


@dataclass(frozen=True, slots=True)
class Difference:
    """What a delivery changes in one period, against what stands there."""

    period: str
    posted: str  # the period in which the difference appears: a later one where this one is finalized
    changes: Mapping[str, Change]

    @property
    def nothing(self) -> bool:
        return not any(self.changes[kind].rows for kind in CHANGES if kind not in KEPT and kind in self.changes)


def period_of(text: str) -> str:
    """The period, checked. Raises BadPeriod."""
    if not _PERIOD.fullmatch(text):
        raise BadPeriod("{text!r} is no period: a period is a month, written 2025-03", text=text)
    return text


def month_after(period: str) -> str:
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}"


def month_before(period: str) -> str:
    return months_up_to(period, 2)[0]


def months_up_to(period: str, count: int) -> list[str]:
    """So many months that end with this one, oldest first."""
    number = int(period[:4]) * 12 + int(period[5:7]) - 1
    return [f"{one // 12:04d}-{one % 12 + 1:02d}" for one in range(number - count + 1, number + 1)]
