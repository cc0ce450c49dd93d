"""``/chargeback/journals``: batches for the general ledger, made, read, checked, answered and taken back."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.read_routes import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.callers import (
    PERIOD,
    Amount,
    Month,
    PageQuery,
    Reason,
    SeesAll,
    Served,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.api.v1.invoices.processing import IdempotencyKey
from clearfacts_assets.chargeback.journals.answers import Answer
from clearfacts_assets.chargeback.journals.formats import FORMATS, file_name, format_of
from clearfacts_assets.chargeback.journals.life import BatchState
from clearfacts_assets.storage.chargeback.journals.booking import Asked, Done, JournalBook
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets.storage.chargeback.journals.manner import format_options, manner_of
from clearfacts_assets.storage.chargeback.journals.shelf import JournalShelf
