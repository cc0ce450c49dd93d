"""Statements made and issued as the settings say: what commands, API and assets have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine

from clearfacts_assets.chargeback.statements.framing import Organisation
from clearfacts_assets.chargeback.statements.making import Made, Order
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.chargeback.statements.render_pool import TemplateSet, make_all
from clearfacts_assets.statement_settings import StatementSettings
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance, IssueOptions
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated
from clearfacts_assets.storage.chargeback.issuing.issuer import StatementIssuer
from clearfacts_assets.storage.chargeback.issuing.repository import Recomputed, StatementFilter, StatementRepository
from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer

ALL = 1_000_000


def organisation_of(said: StatementSettings) -> Organisation:
    """The head of each statement."""
    return Organisation(
        said.organisation,
        said.unit,
        said.address,
        said.contact,
        said.logo,
        said.accent,
        said.paper,
        said.fonts,
        said.notes,
    )


def issue_options_of(said: StatementSettings) -> IssueOptions:
    """How lines, grace and days to object are chosen."""
    return IssueOptions(organisation_of(said), said.detail == "charge", said.by_fund, said.grace, said.dispute_days)


def template_set_of(said: StatementSettings) -> TemplateSet:
    """Templates and fonts."""
    return TemplateSet(said.templates, said.font_paths)


def issuer_of(engine: Engine, said: StatementSettings, *, least_workers: int = 0) -> StatementIssuer:
    """``least_workers``: 1 for a process that has something else to do than to set a whole month itself."""
    template_set, workers = template_set_of(said), max(said.workers, least_workers)

    def make(orders: Iterable[Order]) -> Iterator[Made]:
        return make_all(orders, template_set, workers)

    with tempfile.TemporaryDirectory(prefix="clearfacts-renderer-") as folder:
        digest = template_set.renderer(Path(folder)).digest
    return StatementIssuer(engine, make, issue_options_of(said), {"templates": digest})


def generate(
    engine: Engine,
    said: StatementSettings,
    period: str,
    kind: StatementKind,
    issuance: Issuance,
    *,
    least_workers: int = 0,
) -> Generated:
    """A month's statements of one kind; what was proposed and not objected to is issued first. Twice issues nothing
    anew. Raises NotAllowed, NothingIssued, LedgerMoves, BadPeriod."""
    issuer = issuer_of(engine, said, least_workers=least_workers)
    if kind is not StatementKind.INVESTIGATOR:
        return SummaryIssuer(issuer, engine).month(kind, period, issuance)
    accepted = (
        [] if issuance.dry_run else StatementRepository(engine).accept_silent(now=issuance.now, actor=issuance.actor)
    )
    found = issuer.investigators(period, issuance)
    found.accepted = list(accepted)
    return found


def recompute(
    engine: Engine,
    said: StatementSettings,
    *,
    number: str | None = None,
    version: int | None = None,
    period: str | None = None,
) -> Sequence[Recomputed]:
    """One statement, or all of a period, made anew from what was kept. Raises NoSuchStatement."""
    repository = StatementRepository(engine)
    which = [(number, version)] if number else [
        (one["number"], one["version"]) for one in repository.list(StatementFilter(period), limit=ALL)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="clearfacts-renderer-") as folder:
        renderer = template_set_of(said).renderer(Path(folder))
        return [repository.recompute(name, renderer, of) for name, of in which if name]
