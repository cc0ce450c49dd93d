"""At most one charge stands for a refused record that was mended: a key by what the record is known by holds it.

Version 0130. Before, each charge named the refusal that it mended, and two could name one.
"""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0130"
down_revision: str | None = "0111"
branch_labels = None
depends_on = None

_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mended_records",
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("record", sa.LargeBinary(16), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("charge_id", _IDENTIFIER, nullable=False),
        sa.Column("refusal_id", _IDENTIFIER, nullable=False),
        sa.Column("import_id", _IDENTIFIER, nullable=False),
        sa.ForeignKeyConstraint(
            ["refusal_id"], ["cost_refusals.id"], name=op.f("fk_mended_records_refusal_id_cost_refusals")
        ),
        sa.ForeignKeyConstraint(
            ["import_id"], ["cost_imports.id"], name=op.f("fk_mended_records_import_id_cost_imports")
        ),
        sa.PrimaryKeyConstraint("source", "record", "occurrence", name=op.f("pk_mended_records")),
        sa.UniqueConstraint("charge_id", name=op.f("uq_mended_records_charge_id")),
    )
    _take_over()
    op.drop_table("mended_charges")


def _take_over() -> None:
    """Of the charges that name one refusal the newest that stands; refusals of one record are told apart as they came.
    Two that stand for one record stay two: which of them is wrong, only people can say."""
    bind = op.get_bind()
    rows = bind.execute(
        sa.text(
            "SELECT i.source, m.record, m.refusal_id, m.charge_id, m.import_id, c.withdrawn_by FROM mended_charges m "
            "JOIN cost_imports i ON i.id = m.import_id JOIN charges c ON c.id = m.charge_id"
        )
    ).all()
    by_record: dict[tuple[str, bytes], dict[int, sa.Row]] = defaultdict(dict)  # type: ignore[type-arg]
    for row in sorted(rows, key=lambda one: (one.withdrawn_by is None, one.charge_id)):
        by_record[row.source, bytes(row.record)][row.refusal_id] = row
    values = [
        {"source": source, "record": record, "place": place, "charge": row.charge_id}
        | {"refusal": row.refusal_id, "import": row.import_id}
        for (source, record), refusals in by_record.items()
        for place, (_, row) in enumerate(sorted(refusals.items()))
    ]
    if values:
        named = "source, record, occurrence, charge_id, refusal_id, import_id"
        told = ":source, :record, :place, :charge, :refusal, :import"
        bind.execute(sa.text(f"INSERT INTO mended_records ({named}) VALUES ({told})"), values)


def downgrade() -> None:
    op.create_table(
        "mended_charges",
        sa.Column("charge_id", _IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(16), nullable=False),
        sa.Column("refusal_id", _IDENTIFIER, nullable=False),
        sa.Column("import_id", _IDENTIFIER, nullable=False),
        sa.ForeignKeyConstraint(
            ["refusal_id"], ["cost_refusals.id"], name=op.f("fk_mended_charges_refusal_id_cost_refusals")
        ),
        sa.ForeignKeyConstraint(
            ["import_id"], ["cost_imports.id"], name=op.f("fk_mended_charges_import_id_cost_imports")
        ),
        sa.PrimaryKeyConstraint("charge_id", name=op.f("pk_mended_charges")),
    )
    op.execute(
        "INSERT INTO mended_charges (charge_id, record, refusal_id, import_id) "
        "SELECT charge_id, record, refusal_id, import_id FROM mended_records"
    )
    op.drop_table("mended_records")
