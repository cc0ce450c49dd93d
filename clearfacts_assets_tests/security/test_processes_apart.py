"""API and UI as processes of their own, chosen by settings: one session opens both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clearfacts_assets_tests.fixtures.api import RunningApi


@pytest.fixture
def apart(quick_api: RunningApi) -> Iterator[tuple[RunningApi, RunningApi]]:
    """Both over the same database and the same keys."""
    url = quick_api.engine.url.render_as_string(hide_password=False)
    both = RunningApi(quick_api.workspace, url, ui=False), RunningApi(quick_api.workspace, url, api=False)
    yield both
    for one in both:
        one.close()


def test_each_serves_its_part_and_both_believe_the_same_token(apart: tuple[RunningApi, RunningApi]) -> None:
    shown = apart[0].callers.headers("operator")
    api, ui = (one.client(None) for one in apart)
    paths = ("/api/v1/jobs", "/api/v1/users", "/server_info", "/login", "/healthz")
    assert [api.get(path, headers=shown).status_code for path in paths] == [200, 403, 404, 404, 200]
    assert [ui.get(path, headers=shown).status_code for path in paths] == [404, 404, 200, 200, 200]
    assert [one.get("/server_info").status_code for one in (api, ui)] == [404, 401]


def test_one_can_log_in_at_both(apart: tuple[RunningApi, RunningApi]) -> None:
    apart[0].callers.user("operator")
    for one in apart:
        body = {"username": "operator", "password": "plum tractor violet"}
        assert one.client(None).post("/auth/login", json=body).status_code == 200
