"""One statement from the charges that are due to all that is kept of it. Pure but for the renderer; runs in workers."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.statements.attachment import lines_csv
from clearfacts_assets.chargeback.statements.composing import investigators_statement, remembered
from clearfacts_assets.chargeback.statements.framing import About, Identity, Organisation
from clearfacts_assets.chargeback.statements.grouping import printed_lines
from clearfacts_assets.chargeback.statements.model import Cents, DueCharge, StatementKind, Subject, total
from clearfacts_assets.chargeback.statements.reports import (
    DepartmentRow,
    SponsorRow,
    YearRow,
    departments_summary,
    sponsors_statement,
    years_statement,
)
from clearfacts_assets.chargeback.statements.typesetting import TemplateFails, Typeset, TypstRenderer
from clearfacts_assets.money import exact_sum, plain

NOTHING = Cents()
NOT_SET = Typeset(b"", "")


@dataclass(frozen=True, slots=True)
class Order:
    """Everything of which one statement is made."""

    subject: Subject
    identity: Identity
    who: Organisation
    about: About
    charges: Sequence[DueCharge] = ()
    each_charge: bool = False
    printed_before: Mapping[tuple[int, int], Decimal] = field(default_factory=dict)
    rows: Sequence[SponsorRow] | Sequence[DepartmentRow] | Sequence[YearRow] = ()

    @property
    def weight(self) -> int:
        """Pages, roughly."""
        return 1 + (len(self.charges) + len(self.rows)) // 25


@dataclass(frozen=True, slots=True)
class OnPaper:
    """A charge's share as it was printed: on which line, with which cents."""

    charge_id: int
    share: int
    line: int
    fund: str
    cost_center: str
    service: str
    listed: Decimal
    exact: Decimal
    cents: Decimal


@dataclass(frozen=True, slots=True)
class Made:
    """A statement that can be issued; or, with a ``problem``, why there is none."""

    subject: Subject
    identity: Identity
    sums: Cents = NOTHING
    exact: Decimal = Decimal(0)
    lines: int = 0
    charges: tuple[OnPaper, ...] = ()
    inputs: bytes = b""
    inputs_hash: str = ""
    typeset: Typeset = NOT_SET
    problem: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)


def make(renderer: TypstRenderer, order: Order) -> Made:
    """Compose and set. A template that fails on this statement makes it one with a problem, and no other."""
    try:
        return _made(renderer, order)
    except TemplateFails as error:
        return Made(order.subject, order.identity, problem=str(error))


def _made(renderer: TypstRenderer, order: Order) -> Made:
    subject, identity, currency = order.subject, order.identity, order.subject.currency
    if subject.kind is not StatementKind.INVESTIGATOR:
        return _report(renderer, order)
    lines = printed_lines(
        order.charges, currency, each_charge=order.each_charge, printed_before=dict(order.printed_before)
    )
    data = investigators_statement(subject, lines, order.who, identity, order.about)
    on_paper = tuple(
        OnPaper(
            charge.charge_id,
            charge.share,
            line.number,
            charge.fund,
            charge.cost_center,
            charge.service,
            charge.list_price,
            charge.due,
            cents,
        )
        for line in lines
        for charge, cents in zip(line.charges, line.of_each, strict=True)
    )
    packed, digest, typeset = _set(renderer, data, lines_csv(lines), remembered(lines))
    return Made(
        subject,
        identity,
        total(line.cents for line in lines),
        exact_sum(one.exact for one in on_paper),
        len(lines),
        on_paper,
        packed,
        digest,
        typeset,
        bases=order.about.bases,
    )


_REPORTS = {
    StatementKind.SPONSOR: sponsors_statement,
    StatementKind.DEPARTMENT: departments_summary,
    StatementKind.YEAR: years_statement,
}


def _report(renderer: TypstRenderer, order: Order) -> Made:
    report: Any = _REPORTS[order.subject.kind]
    data, csv, sums, exact = report(order.subject, order.rows, order.who, order.identity, order.about)
    packed, digest, typeset = _set(renderer, data, csv, {})
    return Made(order.subject, order.identity, sums, exact, len(order.rows), (), packed, digest, typeset)


def _set(
    renderer: TypstRenderer, data: Mapping[str, Any], csv: str, by_line: Mapping[str, str]
) -> tuple[bytes, str, Typeset]:
    kept = {"data": data, "lines": csv, "by_line": by_line}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    return zlib.compress(text, 6), hashlib.sha256(text).hexdigest(), renderer.set(data, csv)


def unpacked(inputs: bytes) -> dict[str, Any]:
    """What `make` kept: ``data``, ``lines``, ``by_line``."""
    kept: dict[str, Any] = json.loads(zlib.decompress(inputs).decode("utf-8", "surrogatepass"))
    return kept


def again(renderer: TypstRenderer, inputs: bytes) -> Typeset:
    """The PDF of inputs that were kept: the same bytes as long as the templates and typst are the same."""
    kept = unpacked(inputs)
    return renderer.set(kept["data"], kept["lines"])


def charges_digest(order_rows: Sequence[Any], basis: Mapping[str, str], each_charge: bool) -> str:
    """Of what a statement is about: another digest makes another version, and nothing else does."""
    rows = [json.dumps(asdict(one), default=_plain, sort_keys=True) for one in order_rows]
    text = "\n".join([json.dumps(dict(sorted(basis.items()))), str(each_charge), *sorted(rows)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> str:
    return plain(value.normalize()) if isinstance(value, Decimal) else str(value)
