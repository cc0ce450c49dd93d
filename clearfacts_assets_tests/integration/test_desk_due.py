"""What the desk calls due: the rules' lines where rules were applied, for everybody and for one investigator."""

from __future__ import annotations

import re
from pathlib import Path

from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.chargeback_api import load
from clearfacts_assets_tests.fixtures.desk import Person, investigator, words_of

BLANK = "\N{NO-BREAK SPACE}"


def shown(person: Person, path: str) -> str:
    return words_of(person.get(path)).replace(BLANK, " ")


def rule(api: RunningApi, kind: RuleKind, name: str, **said: object) -> None:
    RuleRepository(api.engine).add(kind, name, said, actor="pat", now=NOW)


def test_due_is_what_the_rules_lines_say_once_there_are_any(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person, ada = Person(quick_api, "operator"), investigator(quick_api)
    assert "Due 43.30 USD As billed: rules were not applied yet" in shown(person, "/desk?period=2025-03")
    assert "Due 3.30 USD" in shown(ada, "/desk?period=2025-03")
    rule(quick_api, RuleKind.MARKUP, "overhead", percent="10")
    rule(quick_api, RuleKind.SUBSIDY, "provost", percent="50", payer="Provost", scope={"services": ["Storage"]})
    person.post("/desk/rates/run", period="2025-03", apply="yes")
    ruled = r"Due 47.02 USD By the rules' lines of \d+ \w+ \d{4}"  # 43.30 and ten percent, less half of 1.21
    assert re.search(ruled, shown(person, "/desk?period=2025-03"))
    assert re.search(ruled, shown(person, "/desk/periods/2025-03"))
    assert re.search(r"March 2025 open 4 47.02 USD 500.00 USD", shown(person, "/desk/periods"))
    reconciled = shown(person, "/desk/periods/2025-03/reconcile")
    assert "markup 4.33" in reconciled
    assert "subsidy −0.61 USD Due 47.02 USD Due before rules, of all sources 43.30 USD" in reconciled
    own = shown(ada, "/desk?period=2025-03")
    assert "Due 3.02 USD" in own
    assert "Virtual Machines 2.42 USD Storage 0.60 USD" in own
    assert "BIO-000001 3.02 USD" in own, "what her charges took from her fund"
    person.post("/desk/review", verdict="reject", ids="4")
    person.post("/desk/periods/2025-03/close")
    Person(quick_api, "reviewer").post("/desk/periods/2025-03/finalize", confirmation="2025-03")
    assert re.search(r"March 2025 finalized 4 47.02 USD 0.00 USD", shown(person, "/desk/periods"))
