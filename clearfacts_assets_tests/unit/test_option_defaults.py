"""What is made without the settings, in a test, a benchmark or a command, behaves as an installation does by default.

Code below the settings knows none of them, so it names its defaults once more. Here they are held equal.
"""

from __future__ import annotations

import inspect

import pytest

from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.folder import Folder
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import Limits
from clearfacts_assets.notifications.email import SmtpServer
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.chargeback.issuing import issue_plan
from clearfacts_assets.storage.chargeback.journals import batches
from clearfacts_assets.tracing import Collector

USUAL = Settings.model_construct()
# What is made, the section of the settings, and which of its numbers are called otherwise there; None are no settings.
# A client's patience is none: unless who makes it allows one, as a run does, no question waits to be asked again.
NUMBERS = [
    (SourceOptions, "source", {}),
    (Folder, "source", {}),
    (DestinationOptions, "destination", {"connections": "delivery.concurrency", "patience": None}),
    (Pace, "delivery", {"first_pause": None, "longest_pause": None}),
    (Validator, "validation", {"document_seconds": None}),
    (Limits, "validation", {"elements": None, "depth": None}),
    (RuleOptions, "validation", {}),
    (SmtpServer, "email", {}),
    (Collector, "traces", {}),
    (issue_plan.Manner, "statements", {"each_charge": None}),
    (batches.Manner, "journals", {"dated_today": None}),
]


def setting(name: str) -> object:
    section, _, field = name.partition(".")
    return getattr(getattr(USUAL, section), field)


@pytest.mark.parametrize(("made", "section", "otherwise"), NUMBERS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_default_number_is_the_settings_default(made, section, otherwise):
    numbers = {
        name: parameter.default
        for name, parameter in inspect.signature(made).parameters.items()
        if type(parameter.default) in (int, float, bool)
    }
    named = {name: otherwise.get(name, f"{section}.{name}") for name in numbers}
    assert numbers
    assert set(otherwise) <= set(numbers)
    told = {name: setting(found) for name, found in named.items() if found is not None}
    assert {name: numbers[name] for name in told} == told
