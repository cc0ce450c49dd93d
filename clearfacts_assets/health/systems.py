"""The systems that the nightly run needs, and the one question that each of them is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.health.probes import nightly_run
from clearfacts_assets.invoices.days import FIRST_DAY
from clearfacts_assets.invoices.defs.resources import ClearfactsResource, SourceResource, destination_name
from clearfacts_assets.invoices.destinations import CLEARFACTS, destination_of
from clearfacts_assets.invoices.sources import place_of
from clearfacts_assets.notifications.slack import Slack
from clearfacts_assets.outgoing.network import NetworkUnusable
from clearfacts_assets.resources import SlackResource
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.database import in_words, reading
from clearfacts_assets.storage.invoices.days import missing_now

DESTINATION = "destination"
ASKED = ("java_backend", DESTINATION, "slack", "database", "nightly_run")


class DatabaseAway(Exception):
    """Our database does not answer."""


class NotAsked(Exception):
    """Nothing is known of this system, because of another one that is down."""


def shown(asked: str) -> str:
    """One of ASKED as people know it: the destination by its name, ``clearfacts`` or ``peppol``."""
    return destination_name() if asked == DESTINATION else asked


def asked_as(system: str) -> str:
    """The other way round."""
    return DESTINATION if system == destination_name() else system


def questions(
    engine: Engine, source: SourceResource, clearfacts: ClearfactsResource, slack: SlackResource, correlation_id: str
) -> dict[str, Callable[[], str]]:
    """For each of ASKED, as people know it, the call that returns good news in words or raises the bad news.

    Calls to the ERP and to the destination carry the correlation id.
    """
    return {
        "java_backend": lambda: _apart(lambda: _source(source, correlation_id)),
        destination_name(): lambda: _apart(lambda: _destination(clearfacts, correlation_id)),
        "slack": lambda: _apart(lambda: _slack(slack)),
        "database": lambda: database_answers(engine),
        "nightly_run": lambda: _apart(lambda: _nightly_run(engine)),
    }


def ways(configured: Settings) -> dict[str, str]:
    """By which way each system of others is called: ``direct``, ``through proxy http://proxy:3128``, or why by none."""
    try:
        network = configured.way_out
    except NetworkUnusable as error:
        return dict.fromkeys(("java_backend", destination_name(), "slack"), str(error))
    source, destination = configured.source, configured.destination
    name = destination_of(destination.transport)
    upload, login = network.way_to(str(destination.base_url)), network.way_to(str(destination.login_url))
    return {
        "java_backend": network.way_to(str(source.base_url)) if place_of(source.kind).setting == "base_url" else "",
        name: "" if name != CLEARFACTS else upload if upload == login else f"{upload}; login {login}",
        "slack": network.way_to(str(configured.slack.base_url)),
    }


def _apart(question: Callable[[], str]) -> str:
    """Tell an outage of our database, where settings and jobs are, from one of the system that is asked."""
    try:
        return question()
    except (OperationalError, ProgrammingError) as error:
        raise NotAsked(f"not asked: {in_words(error)}") from error


def database_answers(engine: Engine) -> str:
    """Good news if our database answers. Raises DatabaseAway, in words that every role may see."""
    try:
        with reading(engine) as connection:
            connection.execute(select(text("1")))
    except (OperationalError, ProgrammingError) as error:
        raise DatabaseAway(in_words(error)) from error
    return f"{engine.dialect.name} answers"


def _source(source: SourceResource, correlation_id: str) -> str:
    with source.open(correlation_id) as erp:
        return erp.check()


def _destination(clearfacts: ClearfactsResource, correlation_id: str) -> str:
    with clearfacts.open(correlation_id) as destination:
        return destination.check()


def _slack(slack: SlackResource) -> str:
    if not effective_settings().slack.token.get_secret_value():
        return "no Slack token is configured: alerts stay in the outbox"
    return Slack(slack.get_client()).check()


def _nightly_run(engine: Engine) -> str:
    now = datetime.now(UTC)
    return nightly_run(missing_now(engine, now, FIRST_DAY, patience=0), now)  # an outage is told, not waited for
