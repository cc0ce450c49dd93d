"""Fixtures that every test may ask for; each group stands in a file of its own."""

import pytest

pytest_plugins = [
    "clearfacts_assets_tests.fixtures.scratch",
    "clearfacts_assets_tests.fixtures.environment",
    "clearfacts_assets_tests.fixtures.options",
    "clearfacts_assets_tests.fixtures.distribution",
    "clearfacts_assets_tests.fixtures.beforehand",
    "clearfacts_assets_tests.fixtures.forked_workers",
]
FIXTURES = [
    "clearfacts_assets_tests.fixtures.engines",
    "clearfacts_assets_tests.fixtures.dagster_in_memory",
    "clearfacts_assets_tests.fixtures.rule_sets",
    "clearfacts_assets_tests.fixtures.api",
    "clearfacts_assets_tests.fixtures.databases",
    "clearfacts_assets_tests.fixtures.simulator",
    "clearfacts_assets_tests.fixtures.pipeline",
    "clearfacts_assets_tests.fixtures.runs",
    "clearfacts_assets_tests.fixtures.command",
    "clearfacts_assets_tests.fixtures.chargeback",
    "clearfacts_assets_tests.fixtures.rates",
    "clearfacts_assets_tests.fixtures.statements",
    "clearfacts_assets_tests.fixtures.journals",
    "clearfacts_assets_tests.fixtures.valkey",
    "clearfacts_assets_tests.fixtures.backends",
    "clearfacts_assets_tests.fixtures.destinations",
]
pytest.register_assert_rewrite(*FIXTURES)


def pytest_configure(config: pytest.Config) -> None:
    """A process that only hands tests to others needs no fixtures, nor the seconds that their imports take."""
    if config.getoption("dist", "no") == "no":
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)
