"""A staged delivery becomes part of the ledger, in one transaction, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, update

from clearfacts_assets.chargeback.ingest.row_totals import GROUPED, SUMMED
from clearfacts_assets.chargeback.lifecycle import Action, State, require
from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Difference, Mode
from clearfacts_assets.chargeback.ports import Delivery, Outcome
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.charge_writes import insert_staged, reverse
from clearfacts_assets.storage.chargeback.comparing import flag_anomalies
from clearfacts_assets.storage.chargeback.decision_carryover import carry_decisions
from clearfacts_assets.storage.chargeback.difference import Scope, Sums, as_result, beyond, compare, number_occurrences
from clearfacts_assets.storage.chargeback.import_tables import CostImport, CostImportFile
from clearfacts_assets.storage.chargeback.ledger import (
    add_totals,
    begin_period,
    count_in,
    count_out,
    next_open,
    only_writer,
    put_together,
)
from clearfacts_assets.storage.chargeback.mended_rows import bind_mended, says_what_it_mends
from clearfacts_assets.storage.chargeback.mending import REPLACED, remember_mended, require_replaceable
from clearfacts_assets.storage.chargeback.registry import begin_source
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.staging import Staging
from clearfacts_assets.storage.chargeback.suspicions import link_corrections, suspect_duplicates
from clearfacts_assets.storage.database import commit_to_disk, now_writing

_NOT_FROZEN = "period IN (SELECT name FROM billing_periods WHERE state <> 'finalized')"


class NotApplied(Exception):
    """Ends the transaction of a delivery that is not applied; holds what would have changed."""

    def __init__(self, differences: list[Difference], why: str) -> None:
        super().__init__(why)
        self.differences, self.why = differences, why


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a delivery is known again: the digest of its files, and of the rules by which they were read."""

    content: str
    rules: str


def apply(
    staging: Staging,
    delivery: Delivery,
    identity: Identity,
    by: Actor | None = None,
    anomaly_factor: float | None = None,
) -> Outcome:
    """Compare and, unless it is only looked at or needs somebody's word, apply. Raises NotAllowed."""
    connection = staging.connection
    rows, refused = sum(one.rows for one in staging.files), sum(one.refused for one in staging.files)
    connection.commit()  # what was staged
    now_writing(connection)
    import_id, why, differences = None, "", list[Difference]()
    try:
        with connection.begin():
            import_id, differences = _Application(staging, delivery, identity, by).run()
            if anomaly_factor is not None:
                for period in sorted({one.posted for one in differences}):
                    flag_anomalies(connection, period, anomaly_factor)
            commit_to_disk(connection)
    except NotApplied as stopped:
        differences, why = stopped.differences, stopped.why
    refusals = tuple(staging.refusals)
    return Outcome(import_id, import_id is not None, rows, refused, tuple(differences), refusals, why)


class _Application:
    """One delivery on its way into the ledger."""

    def __init__(self, staging: Staging, delivery: Delivery, identity: Identity, by: Actor | None) -> None:
        self.by = by or Actor(delivery.actor)
        self.staging, self.delivery, self.identity = staging, delivery, identity
        self.connection = staging.connection
        self.import_id = 0
        self.before = 0  # the highest id of a charge before this import
        self.mends = False  # whether some of its rows mend refused records
        self.first = False  # whether its rows can only be equal to one another
        self.numbered = False  # whether equal rows of the delivery are told apart

    def run(self) -> tuple[int, list[Difference]]:
        connection, delivery = self.connection, self.delivery
        only_writer(connection)
        scopes = self._scopes()
        self.first = self._is_first(scopes)
        if not self.first:
            self._number()
        self.before = connection.execute(sql("SELECT COALESCE(max(id), 0) FROM charges")).scalar_one()
        differences: list[Difference] = []
        self._record(scopes)
        self.mends = bind_mended(connection, self.staging.files, delivery.source, self.import_id)
        stops: list[str] = []
        for scope in scopes:
            difference = compare(connection, scope, self._said(scope.period), mends=self.mends)
            differences.append(difference)
            stops.append(beyond(difference, delivery.threshold))
            self._post(scope)
        found = "; ".join(filter(None, stops))
        if delivery.dry_run:
            raise NotApplied(differences, "only looked at: --dry-run")
        if found and not delivery.confirmed:
            raise NotApplied(
                differences, f"{found}: a snapshot is all of its month. Repeat with --yes, or with --append"
            )
        if self.mends:
            remember_mended(connection, delivery.source, self.import_id, self.before)
        self._describe(differences)
        return self.import_id, differences

    def _scopes(self) -> list[Scope]:
        delivery = self.delivery
        scopes = []
        for period in sorted(set().union(*(file.totals.periods() for file in self.staging.files))):
            state, posted = begin_period(self.connection, period, delivery.at), period
            if state is State.FINALIZED:
                posted = next_open(self.connection, period, delivery.at)
            else:
                require(period, state, Action.IMPORT)
            # Rows that strayed into a delivery for another month are no snapshot of theirs.
            strayed = delivery.period is not None and period != delivery.period
            mode = Mode.APPEND if strayed else delivery.mode
            scopes.append(Scope(period, posted, state, delivery.source, mode))
        return scopes

    def _is_first(self, scopes: Sequence[Scope]) -> bool:
        """Whether there is nothing that the rows could be equal to or mend, but one another."""
        if any(scope.late for scope in scopes) or any(map(says_what_it_mends, self.staging.files)):
            return False
        query = sql("SELECT 1 FROM charge_totals WHERE period = :posted AND source = :source LIMIT 1")
        return all(self.connection.execute(query, scope.values).first() is None for scope in scopes)

    def _number(self) -> None:
        number_occurrences(self.connection)
        self.numbered = True

    def _said(self, period: str) -> Sums:
        """What the delivery's rows of the period add up to."""
        found: dict[str, tuple[int, Decimal]] = {}
        for file in self.staging.files:
            for currency, (rows, amount) in file.totals.by_currency(period).items():
                count, total = found.get(currency, (0, Decimal(0)))
                found[currency] = (count + rows, EXACT.add(total, amount))
        return found

    def _accounts(self, period: str) -> list[str]:
        said = (one for file in self.staging.files for one in file.tie_out)
        return sorted({one["account"] for one in said if one["period"] == period})

    def _record(self, scopes: Sequence[Scope]) -> None:
        """The import, its files with their records, refusals, tag sets and attributions."""
        connection, delivery, files = self.connection, self.delivery, self.staging.files
        begin_source(connection, delivery.source, self.by, delivery.at)
        values: dict[str, Any] = {
            "source": delivery.source,
            "mode": delivery.mode.value,
            "period": delivery.period,
            "rules_digest": self.identity.rules,
            "content_digest": self.identity.content,
            "actor": delivery.actor,
            "at": delivery.at,
            "rows": sum(one.rows for one in files),
            "refused": sum(one.refused for one in files),
            "difference": {},
            "scopes": [[one.period, account] for one in scopes for account in self._accounts(one.period)],
        }
        self.import_id = connection.execute(insert(CostImport).values(values).returning(CostImport.id)).scalar_one()
        connection.execute(sql("CREATE TEMPORARY TABLE staged_files (number integer PRIMARY KEY, id integer)"))
        for file in files:
            opened = file.opened
            told = {
                "import_id": self.import_id,
                "number": file.number,
                "name": opened.name,
                "sha256": opened.sha256,
                "size": opened.size,
                "dialect": opened.dialect,
                "dataset": opened.dataset.value,
                "version": opened.version,
                "header": list(opened.written),
                "rows": file.rows,
                "refused": file.refused,
                "tie_out": file.tie_out,
            }
            id_ = connection.execute(insert(CostImportFile).values(told).returning(CostImportFile.id)).scalar_one()
            connection.execute(
                sql("INSERT INTO staged_files VALUES (:number, :id)"), {"number": file.number, "id": id_}
            )
        for period, account in values["scopes"]:
            told_of = {"period": period, "account": account}
            connection.execute(sql("INSERT INTO staged_accounts VALUES (:period, :account)"), told_of)
        named = ", ".join(ATTRIBUTION_FIELDS)
        for statement in (
            "INSERT INTO cost_row_chunks (import_file, first_row, rows, data) SELECT f.id, c.first_row, c.rows, c.data "
            "FROM staged_chunks c JOIN staged_files f ON f.number = c.file",
            'INSERT INTO cost_refusals (import_file, line, "column", value, code, message, record) '
            'SELECT f.id, r.line, r."column", r.value, r.code, r.message, r.record '
            "FROM staged_refusals r JOIN staged_files f ON f.number = r.file",
            "INSERT INTO cost_tag_sets (digest, tags) SELECT DISTINCT digest, tags FROM staged_tags s "
            "WHERE NOT EXISTS (SELECT 1 FROM cost_tag_sets t WHERE t.digest = s.digest)",
            f"INSERT INTO cost_attributions (digest, {named}) SELECT DISTINCT digest, {named} "  # noqa: S608
            "FROM staged_attributions s WHERE NOT EXISTS "
            "(SELECT 1 FROM cost_attributions t WHERE t.digest = s.digest)",
        ):
            connection.execute(sql(statement))

    def _post(self, scope: Scope) -> None:
        """The difference of one period becomes charges, withdrawals and reversals."""
        restated = suspect_duplicates(self.connection, scope)
        if self.staging.corrections:
            restated += link_corrections(self.connection, scope)
        compared = self.connection.execute(sql("SELECT 1 FROM present LIMIT 1")).first() is not None
        if scope.mode is Mode.SNAPSHOT:
            self._withdraw(scope)
            if scope.late:
                reverse(
                    self.connection, scope, self.import_id, "SELECT id FROM present WHERE matched = 0 AND frozen = 1"
                )
        if self.mends:
            require_replaceable(self.connection, scope.period, late=scope.late)
            self._withdraw_where(f"id IN ({REPLACED}) AND withdrawn_by IS NULL AND {_NOT_FROZEN}", period=scope.period)
            if scope.late:
                reverse(self.connection, scope, self.import_id, REPLACED)
        self._insert(scope)
        if scope.mode is Mode.SNAPSHOT or self.mends:
            carry_decisions(self.connection, scope, self.delivery.at)
        if all(file.totals.whole for file in self.staging.files) and not (compared or restated or self.mends):
            self._count_as_read(scope)
        else:
            self._count_as_posted(scope)
        if not self.first or len(self.staging.files) > 1:  # or there is one row a group
            put_together(self.connection, scope.posted)

    def _count_as_read(self, scope: Scope) -> None:
        """Each staged row is a charge now, as it was read."""
        posted = {"period": scope.posted, "source": scope.source, "kind": scope.kind.value}
        said = [name for name in GROUPED if name not in posted]
        rows = [
            (*posted.values(), *group[1:], *sums)
            for file in self.staging.files
            for group, sums in file.totals.groups(scope.period)
        ]
        add_totals(self.connection, (*posted, *said, "rows", *SUMMED), rows)

    def _count_as_posted(self, scope: Scope) -> None:
        count_in(
            self.connection,
            "id > :before AND import_id = :import AND period = :posted AND origin_period = :period",
            before=self.before,
            **{"import": self.import_id},
            **scope.values,
        )

    def _withdraw(self, scope: Scope) -> None:
        gone = "id IN (SELECT id FROM present WHERE matched = 0 AND frozen = 0)"
        if self.connection.execute(sql("SELECT 1 FROM present WHERE matched = 0 AND frozen = 0 LIMIT 1")).first():
            self._withdraw_where(gone)
        if scope.late:
            # What was reversed, and is there again.
            self._withdraw_where(
                f"kind = 'reversal' AND withdrawn_by IS NULL AND {_NOT_FROZEN} "  # noqa: S608
                "AND corrects IN (SELECT id FROM present WHERE matched > 0)"
            )

    def _withdraw_where(self, where: str, **values: object) -> None:
        count_out(self.connection, where, **values)
        self.connection.execute(
            sql(f"UPDATE charges SET withdrawn_by = :import WHERE {where}"),  # noqa: S608
            {"import": self.import_id, **values},
        )

    def _insert(self, scope: Scope) -> None:
        """The new rows. Where nobody has told equal ones apart yet, the ledger's index of identities does: it takes the
        first of them, and only where some are left over are they numbered."""
        rows = "s.period = :period AND s.charge_id IS NULL"
        if self.numbered:
            insert_staged(self.connection, scope, self.import_id, rows)
            return
        taken = insert_staged(self.connection, scope, self.import_id, rows, "ON CONFLICT DO NOTHING")
        if taken < sum(count for count, _ in self._said(scope.period).values()):
            self._number()
            insert_staged(self.connection, scope, self.import_id, f"{rows} AND s.occurrence > 0")

    def _describe(self, differences: Sequence[Difference]) -> None:
        told = {one.period: as_result(one) for one in differences}
        last = self.connection.execute(sql("SELECT max(id) FROM charges")).scalar_one()
        self.connection.execute(
            update(CostImport).where(CostImport.id == self.import_id).values(difference=told, last_charge=last)
        )
        rows = {
            one.period: {kind: change.rows for kind, change in one.changes.items() if change.rows}
            for one in differences
        }
        record(
            self.connection,
            actor=self.by,
            action="cost_import.applied",
            resource_type="cost_import",
            resource_id=str(self.import_id),
            now=self.delivery.at,
            after={"source": self.delivery.source, "mode": self.delivery.mode, "rows": rows},
        )
