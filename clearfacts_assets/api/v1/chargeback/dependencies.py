"""Who may do what with charges, whose charges a caller sees, and what is said where something cannot be done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.services import Services, services
from clearfacts_assets.chargeback.attribution.entries import BadEntry
from clearfacts_assets.chargeback.attribution.review import CannotDecide, SeenOtherwise
from clearfacts_assets.chargeback.ingest.preferences import attribution_rules, flag_patterns
from clearfacts_assets.chargeback.ingest.source_detection import SourceUnknown
from clearfacts_assets.chargeback.journals.model import NoSuchBatch
from clearfacts_assets.chargeback.lifecycle import NotAllowed
from clearfacts_assets.chargeback.model import BadPeriod, ChargebackError, FileRefused
from clearfacts_assets.chargeback.notifications.statement_mails import NoMailOfOurs
from clearfacts_assets.chargeback.rates.scope import BadRule
from clearfacts_assets.chargeback.rates.units import UnitMismatch
from clearfacts_assets.chargeback.statements.lifecycle import StatementNotAllowed
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailNotAllowed
from clearfacts_assets.chargeback.statements.model import NoSuchStatement
from clearfacts_assets.messages import Message
from clearfacts_assets.storage.accounts.audit import acting
from clearfacts_assets.storage.chargeback.attributing import attribute_again
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID, NoSuchCharge
from clearfacts_assets.storage.chargeback.idempotency import Wish, WishReused
from clearfacts_assets.storage.chargeback.imports import NoSuchImport
from clearfacts_assets.storage.chargeback.issuing.mail_rows import NoSuchMail
from clearfacts_assets.storage.chargeback.issuing.preconditions import NothingIssued
from clearfacts_assets.storage.chargeback.issuing.remarks import CannotRemark, NoSuchRemark
from clearfacts_assets.storage.chargeback.overriding import NoSuchOverride
from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, StillWaiting
from clearfacts_assets.storage.chargeback.rates.estimating import BadWish, NoRate
from clearfacts_assets.storage.chargeback.rates.rule_runs import NothingToRun
from clearfacts_assets.storage.chargeback.rates.rules import NoSuchRule
from clearfacts_assets.storage.chargeback.registry import NotInRegistry, RegistryRepository
from clearfacts_assets.storage.paging import BadCursor

LONGEST_NOTE = 1000  # characters
LONGEST_TEXT = 500  # characters of a name, an id, a text that is looked for

SeesCharges = Annotated[Principal, Depends(require(Permission.CHARGES_READ))]
SeesAll = Annotated[Principal, Depends(require(Permission.CHARGEBACK_READ))]
Reviews = Annotated[Principal, Depends(require(Permission.CHARGES_REVIEW))]
Imports = Annotated[Principal, Depends(require(Permission.COSTS_IMPORT))]
Registers = Annotated[Principal, Depends(require(Permission.REGISTRY_WRITE))]
Closes = Annotated[Principal, Depends(require(Permission.PERIODS_CLOSE))]
Finalizes = Annotated[Principal, Depends(require(Permission.PERIODS_FINALIZE))]
Exports = Annotated[Principal, Depends(require(Permission.CHARGEBACK_EXPORT))]
WritesRules = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
ApprovesRules = Annotated[Principal, Depends(require(Permission.RULES_APPROVE))]
SeesStatements = Annotated[Principal, Depends(require(Permission.STATEMENTS_READ))]
Issues = Annotated[Principal, Depends(require(Permission.STATEMENTS_ISSUE))]
Objects = Annotated[Principal, Depends(require(Permission.STATEMENTS_DISPUTE))]
Mails = Annotated[Principal, Depends(require(Permission.EMAILS_SEND))]
Served = Annotated[Services, Depends(services)]

_VISIBLE = r"^[^\x00-\x1f\x7f]*$"
PERIOD = r"^(19|20|21)[0-9][0-9]-(0[1-9]|1[0-2])$"
Month = Annotated[str, Field(pattern=PERIOD, examples=["2025-03"], description="a month, in UTC")]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=_VISIBLE)]
MaybeText = Annotated[str, Field(max_length=LONGEST_TEXT, pattern=_VISIBLE)]
SourceName = Annotated[str, Field(min_length=1, max_length=60, pattern=_VISIBLE, examples=["aws"])]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Note = Annotated[str, Field(max_length=LONGEST_NOTE)]
Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, pattern=r"\S", description="why; it is kept")]
Amount = Annotated[str, Field(description="an exact decimal as text", examples=["1210.0035"])]

_CODES: tuple[tuple[type[ChargebackError], ErrorCode], ...] = (
    (BadPeriod, ErrorCode.VALIDATION_ERROR),
    (BadEntry, ErrorCode.VALIDATION_ERROR),
    (SourceUnknown, ErrorCode.VALIDATION_ERROR),
    (NoSuchPeriod, ErrorCode.PERIOD_NOT_FOUND),
    (NoSuchCharge, ErrorCode.CHARGE_NOT_FOUND),
    (NoSuchImport, ErrorCode.IMPORT_NOT_FOUND),
    (NotInRegistry, ErrorCode.REGISTRY_ENTRY_NOT_FOUND),
    (NoSuchOverride, ErrorCode.REGISTRY_ENTRY_NOT_FOUND),
    (NoSuchBatch, ErrorCode.JOURNAL_NOT_FOUND),
    (StillWaiting, ErrorCode.CHARGES_WAITING),
    (NotAllowed, ErrorCode.PERIOD_NOT_ALLOWED),
    (SeenOtherwise, ErrorCode.CHARGE_CHANGED),
    (CannotDecide, ErrorCode.CHARGE_NOT_DECIDABLE),
    (FileRefused, ErrorCode.COSTS_REFUSED),
    (WishReused, ErrorCode.IDEMPOTENCY_KEY_REUSED),
    (BadRule, ErrorCode.VALIDATION_ERROR),
    (BadWish, ErrorCode.VALIDATION_ERROR),
    (UnitMismatch, ErrorCode.VALIDATION_ERROR),
    (NoRate, ErrorCode.RULE_NOT_FOUND),
    (NoSuchRule, ErrorCode.RULE_NOT_FOUND),
    (NothingToRun, ErrorCode.PERIOD_NOT_FOUND),
    (NothingIssued, ErrorCode.PERIOD_NOT_FOUND),
    (NoSuchStatement, ErrorCode.STATEMENT_NOT_FOUND),
    (StatementNotAllowed, ErrorCode.STATEMENT_NOT_ALLOWED),
    (NoSuchRemark, ErrorCode.DISPUTE_NOT_FOUND),
    (CannotRemark, ErrorCode.DISPUTE_NOT_ALLOWED),
    (NoSuchMail, ErrorCode.EMAIL_NOT_FOUND),
    (NoMailOfOurs, ErrorCode.EMAIL_NOT_FOUND),
    (MailNotAllowed, ErrorCode.EMAIL_NOT_ALLOWED),
    (ChargebackError, ErrorCode.CONFLICT),
)
_COMMAND = re.compile(r"[:;] *`?clearfacts .*", re.DOTALL)  # what somebody at a terminal would type next


class PageQuery(BaseModel):
    """Unknown parameters are refused: a filter with a typing error must not list everything."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=200, description="most items of one page")
    cursor: str | None = Field(
        None, min_length=1, max_length=30, description="next_cursor of the page before; same filters"
    )


def after(cursor: str | None) -> int:
    """The id after which a page begins. Raises BadCursor."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or not 0 < int(cursor) <= LARGEST_ID:
        raise BadCursor
    return int(cursor)


@contextmanager
def told(caller: Principal | None = None) -> Iterator[None]:
    """What chargeback refuses is told with its code; what the caller changes is audited with all that is known of the
    caller."""
    try:
        with acting(caller.actor) if caller else nullcontext():
            yield
    except ChargebackError as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        details = {"refusals": [error.refusal.as_result()]} if isinstance(error, FileRefused) else {}
        raise ApiError(code, as_sentence(error.said), details=details) from error


def as_sentence(said: Message) -> Message:
    """The engine's message as people read it who have no terminal."""
    return said.rewritten(without_command).as_sentence()


def without_command(text: str) -> str:
    """Without what somebody at a terminal would type next."""
    return _COMMAND.sub("", text).removesuffix(": --reason ...")


def own(caller: Principal, served: Services) -> tuple[str, ...] | None:
    """The investigators whose charges are all that the caller sees; None for somebody who sees everybody's.

    A bound user is one person, under whatever of the person's addresses a charge stands.
    """
    if caller.investigator is None:
        return None
    return tuple({caller.investigator, RegistryRepository(served.engine).load().person(caller.investigator)})


def wish_of(caller: Principal, key: str | None, what: str, **said: Any) -> Wish | None:
    """The wish behind an Idempotency-Key, which is the caller's own."""
    if key is None:
        return None
    name = json.dumps([str(caller.actor.user_id), caller.actor.name, what.partition(" ")[0], key])
    wished = json.dumps([what, said], sort_keys=True, default=str)
    return Wish(*(hashlib.sha256(text.encode()).hexdigest() for text in (name, wished)))


def asked_again(served: Services) -> int:
    """After the registry changed: who pays, asked in every period that is not finalized. How many charges moved."""
    wanted = served.configured.chargeback
    return attribute_again(served.engine, attribution_rules(wanted), flag_patterns(wanted))
