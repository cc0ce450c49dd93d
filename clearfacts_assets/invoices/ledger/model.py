"""What delivery talks about: candidates, versions as the ledger has them, wishes, claims and settlements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import Invoice, InvoiceKey, InvoiceStatus

HELD_FOR_RECEIVER = "receiver"  # Clearfacts has no administration of it
HELD_FOR_IDENTITY = "identity"  # the identifiers of one party contradict each other
HELD_FOR_VALIDATION = "validation"  # validation said: a person decides
HELD_FOR_NUMBER = "number"  # longer than the destination takes
HELD_FOR_SOURCE_ID = "source_id"  # the source's id was another invoice before, which may have arrived
HELD_FOR_DECISION = "decision"  # a person had another version sent in its place, and that was not done
OF_THE_DOCUMENT = frozenset({HELD_FOR_IDENTITY, HELD_FOR_VALIDATION, HELD_FOR_NUMBER})


@dataclass(frozen=True, slots=True)
class Barrier:
    """Something of its own that keeps a version from leaving until a person decides, or until it is gone."""

    kind: str  # one of HELD_FOR_...
    reason: str  # for a person: what, and what to do


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document of a job, to be delivered unless the ledger says otherwise."""

    row_id: UUID  # the job's invoice row
    invoice_id: str  # the source's id
    invoice: Invoice
    content: bytes  # UTF-8
    content_sha256: str
    updated_at: datetime | None = None  # when the source changed it: of two contents of one id, the later one counts
    retrieved_at: datetime | None = None  # when the source gave it to us; what it gave later, it shows now
    day: str | None = None  # the partition in which it came
    barrier: Barrier | None = None  # what stands in the document itself
    delivery_id: UUID | None = None  # its version, where a job goes on with what the ledger has


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one candidate in this run; ``message`` says why, wherever it was not sent."""

    row_id: UUID
    status: InvoiceStatus
    delivery_id: UUID | None = None
    message: str = ""
    response: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as the ledger has it: one version of an invoice."""

    id: UUID
    key: InvoiceKey
    revision: int  # 1, or higher where the same key came with other content
    content_sha256: str
    state: State
    generation: int  # higher after every resend by a person
    attempts: int  # charged ones of this generation
    fence: int
    run_id: UUID | None  # who claimed it last
    lease_until: datetime | None
    not_before: datetime | None
    document_id: str | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None  # when it was first known to be accepted; never forgotten
    held_for: str | None = None  # what of its own is in its way (HELD_FOR_...)
    held_because: str | None = None  # ... in words
    day: str | None = None  # the partition in which the source showed it last: its runs look after it
    ordered: str | None = None  # the wish by which it is to be sent, until that is done
    waived: bool = False  # a person decided that it is not sent
    replaced: bool = False  # a person had another version sent instead
    refused: bool = False  # by the destination, and not ordered since
    in_doubt: bool = False  # an attempt of this generation may have been accepted
    in_doubt_before: bool = False  # one of an earlier generation may have been
    may_repeat: bool = False  # in doubt, and safe to send again under the same idempotency key
    given_up: bool = False  # no run goes on with it by itself
    wire_key: str | None = None  # as what it left before its key was written in another form; None: as what it is now

    @property
    def wire(self) -> str:
        """As what the destination knows it, whatever its key and revision became: a digest and a revision."""
        return self.wire_key or f"{self.key.digest}-r{self.revision}"

    @property
    def idempotency_key(self) -> str:
        """The same for every automatic attempt; another one only after a person's decision."""
        return f"{self.wire}g{self.generation}"


@dataclass(frozen=True, slots=True)
class Registration:
    """What the ledger said to a candidate."""

    row_id: UUID
    delivery: DeliveryRecord
    event: Event | None  # REGISTERED, CHANGED, CORRECTED; RESENT, SENT_AGAIN by force; None: it was known


@dataclass(frozen=True, slots=True)
class Force:
    """A person's wish to send also what is settled; it sends an invoice at most once, however often it comes."""

    actor: str
    reason: str
    request: str  # the wish's id: the same through retries and re-executions of the job that it came with


@dataclass(frozen=True, slots=True)
class AsSeen:
    """A delivery as the person saw it who decides about it."""

    state: State
    generation: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be written of one attempt, or of one that nobody could settle before."""

    delivery_id: UUID
    fence: int  # of the claim it belongs to; a settlement of an older claim is refused
    events: tuple[Event, ...]  # in order; the first one is the attempt's outcome
    reason: str = ""
    response: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    delay: float | None = None  # seconds until a waiting delivery is due


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish of a run to send some deliveries."""

    run_id: UUID
    delivery_ids: Sequence[UUID]
    lease: float  # seconds
    transport: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the destination; without an outcome it is under way, or its run died."""

    delivery_id: UUID
    fence: int
    generation: int
    outcome: Event | None = None
    proof: Event | None = None  # ACCEPTED, where that was said after the outcome had been written
    follows_doubt: bool = False  # an earlier one under the same idempotency key got no answer


@dataclass(frozen=True, slots=True)
class Shown:
    """That the source shows, or once showed, a version under one of its ids."""

    id: UUID
    source_id: str
    delivery_id: UUID
    source_updated_at: datetime | None
    seen_at: datetime
    day: str | None
    is_current: bool  # it is what the source showed last under this id
    withdrawn_at: datetime | None = None  # ... and then it did not have the id any more
