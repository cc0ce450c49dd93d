"""Our tokens and documents go only where the settings point, whatever a run's configuration says."""

from __future__ import annotations

import pytest

from clearfacts_assets import resources
from clearfacts_assets.invoices.defs import resources as invoice_resources
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("resource", "config"),
    [
        ("source", {"kind": "java_backend", "page_size": 10, "base_url": ELSEWHERE}),
        ("source", {"kind": "folder", "page_size": 10, "folder": "/etc"}),
    ],
)
def test_a_run_may_not_retrieve_from_elsewhere(
    quick_pipeline: Pipeline, resource: str, config: dict[str, object]
) -> None:
    run = quick_pipeline.run(run_config={"resources": {resource: {"config": config}}})
    assert run.job.status == "failed"
    assert "only where the settings point" in (run.job.error_message or "")
    assert run.counts.total == 0
    assert quick_pipeline.simulator.accepted() == []


@pytest.mark.parametrize("name", ["base_url", "login_url"])
def test_a_client_of_clearfacts_is_not_opened_for_another_address(quick_pipeline: Pipeline, name: str) -> None:
    known = invoice_resources.clearfacts()
    assert isinstance(known, invoice_resources.ClearfactsResource)
    changed = known.model_copy(update={name: ELSEWHERE})
    with pytest.raises(resources.AnotherPlace, match=name), changed.open():
        pass


def test_slack_is_not_told_at_another_address(quick_pipeline: Pipeline) -> None:
    with pytest.raises(resources.AnotherPlace, match=r"slack\.base_url"):
        resources.SlackResource(base_url=ELSEWHERE, channel="#x").get_client()
