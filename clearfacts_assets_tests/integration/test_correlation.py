"""One id from the request to every call that its work makes to the ERP and to Clearfacts, whoever made the request."""

from __future__ import annotations

import pytest

from clearfacts_assets.orchestration.tags import CORRELATION_TAG
from clearfacts_assets.simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.pipeline import Pipeline
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

ASKED_FOR = "erp-4711"


def test_every_call_of_a_run_carries_the_id_of_the_request_that_started_it(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(
        DESTINATION__CLIENT_ID=CLIENT_ID,
        DESTINATION__CLIENT_SECRET=CLIENT_SECRET,
        DESTINATION__REFRESH_TOKEN=REFRESH_TOKEN,
    )
    quick_pipeline.simulator.expire_tokens(after=0)
    quick_pipeline.run(tags={CORRELATION_TAG: ASKED_FOR})
    assert quick_pipeline.simulator.correlation_ids() == dict.fromkeys(
        ["erp.list", "clearfacts.administrations", "clearfacts.token", "clearfacts.upload"], ASKED_FOR
    )


def test_questions_about_documents_carry_the_id_of_their_run(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    run = quick_pipeline.follow_up()
    assert quick_pipeline.simulator.correlation_ids()["clearfacts.document"] == run.run_id


@pytest.mark.parametrize(
    ("transport", "asked"),
    [("graphql", {"clearfacts.userinfo", "clearfacts.graphql"}), ("rest", {"clearfacts.look_up"})],
)
def test_health_questions_carry_the_id_of_their_run(quick_pipeline: Pipeline, transport: str, asked: set[str]) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT=transport)
    run = quick_pipeline.health()
    told = {name: kept for name, kept in quick_pipeline.simulator.correlation_ids().items() if "slack" not in name}
    assert told == dict.fromkeys({"erp.list", *asked}, run.run_id)


def test_a_tried_connection_carries_the_id_of_its_request(quick_api: RunningApi, simulator: RunningSimulator) -> None:
    for system in ("java_backend", "clearfacts"):
        quick_api.client().post(
            "/api/v1/admin/test-connection", json={"system": system}, headers={"X-Correlation-ID": ASKED_FOR}
        ).raise_for_status()
    told = simulator.correlation_ids()
    assert {told["erp.list"], told["clearfacts.userinfo"], told["clearfacts.graphql"]} == {ASKED_FOR}
