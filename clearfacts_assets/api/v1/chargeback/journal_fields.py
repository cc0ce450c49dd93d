"""What the operations of journals take and show."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from clearfacts_assets.api.v1.chargeback.dependencies import Amount, Month, PageQuery, Reason
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.journals.formats import FORMATS
from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID

Currency = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["USD"])]
MOST_REFUSED = 10_000  # lines of one answer


def _registered(name: str) -> str:
    if name not in FORMATS:
        raise PydanticCustomError("unknown_format", "Input should be {known}", {"known": " or ".join(FORMATS)})
    return name


FormatName = Annotated[str, AfterValidator(_registered), Field(json_schema_extra={"enum": list(FORMATS)})]


class JournalView(BaseModel):
    """A batch."""

    id: int
    number: str
    kind: str
    state: BatchState
    period: str
    currency: str
    journal_date: date
    accounting_date: date
    fiscal_year: int
    fiscal_period: int
    description: str
    reverses: str = Field(description="the journal whose exact negative this one is; else empty")
    lines: int
    debit: Amount
    credit: Amount
    suspended: dict[str, str] = Field(description="closed funds, and the funds on which their lines are")
    sha256: str = Field(description="of what the journal says")
    created_by: str
    created_at: datetime
    format: str
    file_name: str
    file_sha256: str
    posted_reference: str


class EntryView(BaseModel):
    """One line of a journal."""

    number: int
    pair: int = Field(description="lines of one pair cancel out")
    side: Literal["D", "C"]
    amount: Amount
    fund_org: str
    account: str
    segments: dict[str, str]
    description: str
    reference: str
    statement: str
    source: str
    pi_email: str
    project_id: str
    instead_of: str


class BookedView(BaseModel):
    """A statement that a journal books, or takes out (below zero)."""

    number: str
    version: int
    amount: Amount
    released_by: str = Field(description="the journal since which it is booked no more; else empty")


class WholeJournal(JournalView):
    """With all that is known of it."""

    entries: list[EntryView]
    statements: list[BookedView]
    events: list[dict[str, Any]]
    answers: list[dict[str, Any]]


class MadeView(BaseModel):
    """A journal that was made, or with dry_run would be."""

    number: str
    kind: str
    state: str
    period: str
    currency: str
    accounting_date: date
    lines: int
    debit: Amount
    credit: Amount
    suspended: dict[str, str]


class MadeList(BaseModel):
    journals: list[MadeView]


class StepView(BaseModel):
    """A difference, by name."""

    name: str
    amount: Amount
    open: bool = Field(description="whether somebody can still end it")
    which: list[str] = Field(default_factory=list, description="statements")


class CheckedView(BaseModel):
    """A month in one currency, from the provider to the ledger."""

    currency: str
    exported: Amount
    due: Amount
    printed: Amount
    journal: Amount
    left: Amount = Field(description="what no step explains: 0")
    steps: list[StepView]


class VerdictView(BaseModel):
    """Whether a month ties."""

    period: str
    ties: bool
    done: bool = Field(description="it ties, and nothing waits for somebody")
    currencies: list[CheckedView]
    problems: list[str]
    waiting: list[str]
    suspended: dict[str, str]


class JournalQuery(PageQuery):
    """Which journals."""

    period: Month | None = None
    currency: Currency | None = None
    state: BatchState | None = None


class FileQuery(BaseModel):
    """How the file is written."""

    format: FormatName | None = Field(None, description="the setting journals.format else")


class NewJournal(Body):
    """Which journal to make of a month."""

    period: Month
    kind: Literal["charges", "transfer", "accrual"] = "charges"
    currency: Currency | None = Field(None, description="only in this one; else a journal a currency")
    accounting_date: date | None = Field(None, strict=False)
    draft: bool = False
    dry_run: bool = False


class Reversal(Body):
    """Why a journal is taken back."""

    reason: Reason
    accounting_date: date | None = Field(None, strict=False)


class RefusedLine(Body):
    """A line that the general ledger did not take."""

    line: int | None = Field(None, ge=1, le=LARGEST_ID, description="null: the journal as a whole")
    message: str = Field("", max_length=1000)


class LedgerAnswer(Body):
    """What the general ledger made of a journal. Without refused lines it is posted."""

    reference: str = Field("", max_length=200, description="the general ledger's own number of it")
    refused: list[RefusedLine] = Field(default_factory=list, max_length=MOST_REFUSED)


class AnswerView(BaseModel):
    """What was kept."""

    posted: list[str]
    refused: dict[str, list[dict[str, Any]]]
