"""What the lines of a period follow from, read in one transaction: charges that are due, rules, credits used before."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Attribution, Kind
from clearfacts_assets.chargeback.rates.apportioning import in_cents
from clearfacts_assets.chargeback.rates.book import Institutions, RuleBook
from clearfacts_assets.chargeback.rates.computing import Inputs
from clearfacts_assets.chargeback.rates.credits import CreditUse
from clearfacts_assets.chargeback.rates.definitions import Credit, RuleKind
from clearfacts_assets.chargeback.rates.entries import ChargeFacts
from clearfacts_assets.chargeback.rates.minimum_bills import Carried
from clearfacts_assets.chargeback.rates.model import Line, LineKind
from clearfacts_assets.chargeback.rates.pricing import IN_HOUSE
from clearfacts_assets.chargeback.rates.rule_matching import bearer
from clearfacts_assets.chargeback.rates.scope import Use
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.rates.lines import LINE, line_of
from clearfacts_assets.storage.chargeback.rates.rules import load_book
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import sum_of

_BATCH = 5000  # charges held at once
_DUE = "status IN ('clear', 'approved') AND withdrawn_by IS NULL"
# Of other periods, what counts while one is computed: the months before it, and what is sealed.
_SETTLED = (
    "l.period <> :period AND l.withdrawn_run IS NULL AND (l.period < :period OR EXISTS "
    "(SELECT 1 FROM billing_periods p WHERE p.name = l.period AND p.state = 'finalized'))"
)


class InputReader:
    """Reads them for one period, on the caller's connection; with a ``book`` as if those were the rules that count."""

    def __init__(self, connection: Connection, period: str, book: RuleBook | None = None) -> None:
        self._connection, self._period = connection, period
        self.payers: dict[bytes, Attribution] = {}  # all that it came across
        self.repriced: set[int] = set()  # charges that rules may price
        self._hashed = hashlib.sha256()
        self._institutions = Institutions(load_registry(connection))
        self._book = load_book(connection) if book is None else book

    def read(self) -> Inputs:
        """The charges come from the database as they are taken."""
        charges = self._charges()
        corrected, back = self._corrected()
        return Inputs(
            self._period,
            charges,
            self._book,
            [*self._uses(), *back],
            self._first(),
            list(self._carried()),
            corrected,
        )

    def digest(self, inputs: Inputs) -> str:
        """Of all that a period's lines follow from, once its charges were taken: two equal ones give equal lines."""
        hashed = self._hashed.copy()
        hashed.update(f"{inputs.period}\n{inputs.book.digest}\n".encode())
        others = [*(repr(one) for one in inputs.uses), *(f"{one.digest.hex()} {one.amount}" for one in inputs.carried)]
        hashed.update("\n".join(sorted(others)).encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    def _payer(self, digest: bytes) -> Attribution:
        found = self.payers.get(digest)
        if found is None:
            named = ", ".join(ATTRIBUTION_FIELDS)
            query = sql(f"SELECT {named} FROM cost_attributions WHERE digest = :digest")  # noqa: S608
            row = self._connection.execute(query, {"digest": digest}).one()
            found = self.payers[digest] = Attribution(**dict(zip(ATTRIBUTION_FIELDS, row, strict=True)))
        return found

    def _charges(self) -> Iterator[ChargeFacts]:
        query = sql(
            "SELECT id, kind, corrects, attribution, service, source, resource_id, category, flags, charge_start, "  # noqa: S608
            "currency, listed, amount, quantity, unit, issuer, row, fingerprint, occurrence FROM charges "
            f"WHERE period = :period AND {_DUE} ORDER BY id"
        )
        payer, institution = self._payer, self._institutions.of
        for row in self._connection.execute(query.execution_options(yield_per=_BATCH), {"period": self._period}):
            (id_, kind, corrects, digest, service, source, resource, category, flags, start, currency, *rest) = row
            listed, amount, quantity, unit, issuer, number, fingerprint, occurrence = rest
            digest = bytes(digest)
            to = payer(digest)
            use = Use(service, source, resource, category, flags, institution(to.pi_email))
            order = (start, number, bytes(fingerprint), occurrence, id_)
            day = start[:10] or f"{self._period}-01"
            of_list, of_charge = Decimal(listed), Decimal(amount)
            said = f"{id_}|{digest.hex()}|{use.institution}|{plain(of_list)}|{plain(of_charge)}\n"
            self._hashed.update(said.encode("utf-8", "surrogatepass"))
            if issuer == IN_HOUSE or kind == Kind.REVERSAL:
                self.repriced.add(id_)
            facts = (id_, kind, corrects, to, digest, use, day, currency, of_list, of_charge)
            yield ChargeFacts(*facts, quantity, unit, issuer, order)

    def _uses(self) -> Iterator[CreditUse]:
        credits = {one.id: one for one in self._book.versions if one.kind is RuleKind.CREDIT}
        if not credits:
            return
        query = sql(
            f"SELECT l.rule_version, l.period, l.attribution, {sum_of(self._connection, 'l.amount')} "  # noqa: S608
            f"FROM ledger_lines l WHERE l.rule_version IN ({', '.join(map(str, sorted(credits)))}) AND {_SETTLED} "
            "GROUP BY l.rule_version, l.period, l.attribution"
        )
        for version_id, period, digest, amount in self._connection.execute(query, {"period": self._period}).all():
            yield self._use(credits[version_id], period, self._payer(bytes(digest)), Decimal(amount))

    def _use(self, version: Any, period: str, to: Attribution, amount: Decimal) -> CreditUse:
        credit: Credit = version.definition
        whose = bearer(credit.per, to, self._institutions.of(to.pi_email))
        cents = -int(in_cents(amount, credit.currency))
        return CreditUse(version.rule_id, period, whose, cents)

    def _first(self) -> Callable[[str], str]:
        """Of an investigator, the first period with charges that are due."""
        rules = [one.definition for one in self._book.versions if one.kind is RuleKind.CREDIT]
        found: dict[str, str] = {}
        if any(isinstance(one, Credit) and one.months for one in rules):
            query = sql(
                "SELECT pi_email, min(period) FROM (SELECT a.pi_email AS pi_email, t.period AS period "
                "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
                "WHERE t.status IN ('clear', 'approved') GROUP BY a.pi_email, t.period HAVING sum(t.rows) > 0) g "
                "GROUP BY pi_email"
            )
            found = {row[0]: row[1] for row in self._connection.execute(query)}
        return lambda email: found.get(email, self._period)

    def _carried(self) -> Iterator[Carried]:
        query = sql(
            f"SELECT l.attribution, l.currency, {sum_of(self._connection, 'l.amount')} FROM ledger_lines l "  # noqa: S608
            f"WHERE l.kind = 'carried' AND {_SETTLED} GROUP BY l.attribution, l.currency"
        )
        for digest, currency, amount in self._connection.execute(query, {"period": self._period}).all():
            if Decimal(amount):
                to = self._payer(bytes(digest))
                yield Carried(to, bytes(digest), currency, EXACT.minus(Decimal(amount)))

    def _corrected(self) -> tuple[dict[int, list[Line]], list[CreditUse]]:
        """The lines of charges that are reversed in this period, and what credits get back by that."""
        query = sql(
            f"SELECT {', '.join(f'l.{name}' for name in LINE)} FROM charges r JOIN charges c ON c.id = r.corrects "  # noqa: S608
            "JOIN ledger_lines l ON l.period = c.period AND l.charge_id = c.id AND l.withdrawn_run IS NULL "
            "WHERE r.period = :period AND r.kind = 'reversal' AND r.withdrawn_by IS NULL "
            "AND r.status IN ('clear', 'approved') ORDER BY l.charge_id, l.share, l.position"
        )
        found: dict[int, list[Line]] = defaultdict(list)
        back: list[CreditUse] = []
        credits = {one.id: one for one in self._book.versions if one.kind is RuleKind.CREDIT}
        for row in self._connection.execute(query, {"period": self._period}).all():
            line = line_of(row)
            found[line.charge_id].append(line)
            if line.rule_version in credits and line.kind in (LineKind.CREDIT, LineKind.PREPAYMENT):
                version = credits[line.rule_version]
                back.append(self._use(version, self._period, self._payer(line.attribution), EXACT.minus(line.amount)))
        return dict(found), back
