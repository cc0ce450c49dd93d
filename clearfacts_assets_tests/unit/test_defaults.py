"""What an adapter takes where nobody says otherwise is what the settings say: both are written, neither drifts.

Adapters know no settings, so that each can be used and tested alone; their defaults are for that.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import pytest
from pydantic import BaseModel

from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.invoice_settings import (
    DeliverySettings,
    DestinationSettings,
    SourceSettings,
    ValidationSettings,
)
from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.folder import Folder
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import Limits
from clearfacts_assets.journal_settings import JournalSettings
from clearfacts_assets.notifications.email import SmtpServer
from clearfacts_assets.statement_settings import EmailSettings, StatementSettings
from clearfacts_assets.storage.chargeback.issuing import issue_plan
from clearfacts_assets.storage.chargeback.journals import batches
from clearfacts_assets.trace_settings import TraceSettings
from clearfacts_assets.tracing import Collector

# Options, the settings that they come from, and what is said in another form on either side.
PAIRS: list[tuple[Callable[..., Any], type[BaseModel], set[str]]] = [
    (SourceOptions, SourceSettings, {"token"}),
    (DestinationOptions, DestinationSettings, {"token", "login_url", "folder"}),
    (Pace, DeliverySettings, set()),
    (RuleOptions, ValidationSettings, set()),
    (Limits, ValidationSettings, set()),
    (FormatOptions, JournalSettings, set()),
    (Folder, SourceSettings, set()),
    (Validator, ValidationSettings, set()),
    (SmtpServer, EmailSettings, {"password"}),
    (Collector, TraceSettings, {"headers"}),
    (issue_plan.Manner, StatementSettings, set()),
    (batches.Manner, JournalSettings, {"format"}),  # none where no file is written
]


def defaults(options: Callable[..., Any]) -> dict[str, Any]:
    given = signature(options).parameters.values()
    return {one.name: one.default for one in given if one.default is not Parameter.empty}


@pytest.mark.parametrize(
    ("options", "section", "other_forms"), PAIRS, ids=[f"{one[0].__name__}-{one[1].__name__}" for one in PAIRS]
)
def test_an_adapter_has_the_settings_defaults(
    options: Callable[..., Any], section: type[BaseModel], other_forms: set[str]
) -> None:
    said = {name: one.default for name, one in section.model_fields.items()}
    own = {name: value for name, value in defaults(options).items() if name in said and name not in other_forms}
    assert own  # something is held
    assert own == {name: said[name] for name in own}


def test_a_destination_keeps_a_connection_for_each_call_at_once() -> None:
    assert defaults(DestinationOptions)["connections"] == DeliverySettings().concurrency
