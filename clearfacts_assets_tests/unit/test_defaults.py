"""What an adapter takes where nobody says otherwise is what the settings say: both are written, neither drifts.

Adapters know no settings, so that each can be used and tested alone; their defaults are for that.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
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
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import Limits
from clearfacts_assets.journal_settings import JournalSettings

# Options, the settings that they come from, and what is said in another form on either side.
PAIRS: list[tuple[type, type[BaseModel], set[str]]] = [
    (SourceOptions, SourceSettings, {"token"}),
    (DestinationOptions, DestinationSettings, {"token", "login_url", "folder"}),
    (Pace, DeliverySettings, set()),
    (RuleOptions, ValidationSettings, set()),
    (Limits, ValidationSettings, set()),
    (FormatOptions, JournalSettings, set()),
]


def defaults(options: type) -> dict[str, Any]:
    return {one.name: one.default for one in fields(options) if one.default is not MISSING}


@pytest.mark.parametrize(("options", "section", "other_forms"), PAIRS, ids=[one[0].__name__ for one in PAIRS])
def test_an_adapter_has_the_settings_defaults(options: type, section: type[BaseModel], other_forms: set[str]) -> None:
    said = {name: one.default for name, one in section.model_fields.items()}
    own = {name: value for name, value in defaults(options).items() if name in said and name not in other_forms}
    assert own  # something is held
    assert own == {name: said[name] for name in own}


def test_a_destination_keeps_a_connection_for_each_call_at_once() -> None:
    assert defaults(DestinationOptions)["connections"] == DeliverySettings().concurrency
