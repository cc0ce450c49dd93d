"""Fixtures that every test may ask for; each group stands in a file of its own."""

pytest_plugins = [
    "clearfacts_assets_tests.fixtures.environment",
    "clearfacts_assets_tests.fixtures.options",
    "clearfacts_assets_tests.fixtures.engines",
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
]
