"""Schemathesis against the running API, as each role: no 500, no undocumented status, no answer out of its schema.

The same seed gives the same requests; the time is bounded by their number.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from clearfacts_assets_tests.fixtures.api import RunningApi

CASES_OF_AN_OPERATION = 12
QUICK_CASES = 5
# JobSubmission takes a quarter of a second each time, and it is tested by itself.
LAUNCHES = {"process_invoices"}
ASIDE = {
    "readyz",  # 503 is what it has to say: no daemon runs here
    "logout",  # ends the session that the other requests need
}

RIGHT, WRONG = "positive", "negative"
ROLES = ("admin", "operator", "reviewer", "user", "service", None)
# Who may most asks rightly and comes far, who may less asks wrongly; the others are `make fuzz`'s.
QUICK = (("admin", RIGHT), ("operator", WRONG))
EVERY = [
    *((*pair, QUICK_CASES) for pair in QUICK),
    *(pytest.param(*pair, CASES_OF_AN_OPERATION, marks=pytest.mark.long) for pair in product(ROLES, (RIGHT, WRONG))),
]


@pytest.mark.parametrize(("role", "mode", "cases"), EVERY)
def test_no_request_made_of_the_document_breaks_its_promises(
    quick_api: RunningApi, role: str | None, mode: str, cases: int
) -> None:
    import schemathesis  # here, for each worker of the tests reads this file
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as of_the_document
    from schemathesis.transport.requests import ManagedCookiesSession

    checks = [
        not_a_server_error,
        of_the_document.status_code_conformance,
        of_the_document.content_type_conformance,
        of_the_document.response_headers_conformance,
        of_the_document.response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_dict(quick_api.app.openapi())
    schema.config.update(base_url=quick_api.url)
    # For each operation schemathesis has hypothesis look through all objects for who else knows its random numbers:
    # not through those that were there before.
    gc.freeze()
    headers = quick_api.callers.headers(role) if role else {}
    session = ManagedCookiesSession()  # one connection for all; no request has the cookies of another's answer
    session.trust_env = False
    seen: Counter[int] = Counter()
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        name = operation.definition.raw["operationId"]
        if name in ASIDE:
            continue
        count = 2 if name in LAUNCHES else cases

        @settings(
            max_examples=count,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(session=session, headers=headers, timeout=120)
            seen[answer.status_code] += 1
            case.validate_response(answer, checks=checks)

        with suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
            ask()
    session.close()
    assert sum(seen.values()) > len(operations)
    answers = ", ".join(f"{number} x {status}" for status, number in sorted(seen.items()))
    # To be seen with `make fuzz`.
    sys.stdout.write(
        f"{role or 'stranger':8} {mode}: {len(operations) - len(ASIDE)} operations, {sum(seen.values())} requests, "
        f"{len(checks)} checks each, none failed: {answers}\n"
    )
