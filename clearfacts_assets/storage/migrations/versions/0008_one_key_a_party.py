"""A party has one normal form: the keys that are stored are written in it, and what becomes one invoice is held.

Version 0008, after 0007. Adds deliveries.wire_key: as what a delivery left before (digest and revision), for by that
alone Clearfacts can still be asked about it and an operator find the file. What becomes equal is told in one alert.

The normal form is the program's own, not a copy: what is stored has to equal what this program looks up, and a later
change of the form brings a migration of its own, which does the same work again. What is told of it is a copy: a later
change of our alerts has no say in it. Rows whose parties were stored without schemes and country, and whose VAT number
does not settle the matter, are read anew from their documents.

A downgrade gives rows their former digests and revisions, so nothing is sent again by it; states stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import uuid4

import sqlalchemy as sa
from alembic import context, op

from clearfacts_assets.invoices.company_numbers import NAME, PLAIN
from clearfacts_assets.invoices.model import DocumentType, InvoiceKey, Party, kind_of
from clearfacts_assets.invoices.parties import normal_form
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import Unreadable, from_text, parse
from clearfacts_assets.storage import types

revision = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None

BATCH = 500  # rows that are in memory at once; documents are read one by one
SUBJECT = "keys-became-one:0008"
CHANNEL = "#invoices"  # where neither the caller nor the database names one
MOST_NAMED = 20  # invoices in the alert
LINE_CHARACTERS = 130  # of each of them: all fit into one text of Slack's
UNSENT = ("ready", "waiting")
MAY_HAVE_ARRIVED = ("sending", "unknown", "parked", "delivered")
REKEYED = ("key_digest", "receiver", "supplier", "document_type", "former")
KEPT = ("state", "reason", "held_for", "not_before", "updated_at", "wire_key")
CHANGED = ("revision", *REKEYED[:-1], *KEPT)
PARTY_FIELDS = tuple(Party.__dataclass_fields__)

_WITH_BE = re.compile(r"\s*[Bb][Ee][\s.]*([01][\s.]*)?(\d[\s.]*){9}")
_VAT_NUMBER = re.compile(r"(?:CHE|[A-Z]{2})\d")

_deliveries = sa.table(
    "deliveries",
    sa.column("id", sa.Uuid()),
    sa.column("key_digest", sa.String()),
    sa.column("revision", sa.Integer()),
    sa.column("destination", sa.String()),
    sa.column("receiver", types.Words()),
    sa.column("supplier", types.Words()),
    sa.column("document_type", sa.String()),
    sa.column("number", types.Words()),
    sa.column("issue_year", sa.Integer()),
    sa.column("state", sa.String()),
    sa.column("not_before", types.UtcDateTime()),
    sa.column("reason", types.Words()),
    sa.column("held_for", sa.String()),
    sa.column("wire_key", sa.String()),
    sa.column("created_at", types.UtcDateTime()),
    sa.column("updated_at", types.UtcDateTime()),
)
_invoices = sa.table(
    "invoices",
    sa.column("id", sa.Uuid()),
    sa.column("delivery_id", sa.Uuid()),
    sa.column("ubl_data", types.Words()),
    sa.column("document_type", sa.String()),
    sa.column("parties", types.Json()),
    sa.column("report", types.Json()),
    sa.column("created_at", types.UtcDateTime()),
)
_alerts = sa.table(
    "alerts",
    sa.column("id", sa.Uuid()),
    sa.column("subject", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("message", types.Json()),
    sa.column("state", sa.String()),
    sa.column("attempts", sa.Integer()),
    sa.column("created_at", types.UtcDateTime()),
)
_configuration = sa.table("configuration", sa.column("key", sa.String()), sa.column("value", sa.Text()))
# What is to be written of each delivery whose key changes, until all are known; dropped at the end.
_rekeyed = sa.Table(
    "rekeyed_0008",
    sa.MetaData(),
    sa.Column("delivery_id", sa.Uuid(), primary_key=True),
    sa.Column("key_digest", sa.String(length=64), nullable=False, index=True),
    sa.Column("receiver", types.Words(), nullable=False),
    sa.Column("supplier", types.Words(), nullable=False),
    sa.Column("document_type", sa.String(length=20), nullable=False),
    sa.Column("former", sa.String(length=64), nullable=False),  # digest
)


class KeysBecameOne(NamedTuple):
    """Invoices that were kept as several, because their parties were written in several ways."""

    invoices: int
    held: int  # versions that a person now has to decide about
    shown: tuple[str, ...] = ()  # number and versions of the first of them


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("wire_key", sa.String(length=80), nullable=True))
    connection, now = op.get_bind(), datetime.now(UTC)
    _read_parties_anew(connection)
    _rekeyed.create(connection)
    _find_new_keys(connection)
    told = _write_new_keys(connection, now)
    _rekeyed.drop(connection)
    _tell(connection, told, now)


def downgrade() -> None:
    connection = op.get_bind()
    changed = _deliveries.c.wire_key.is_not(None)
    # Two steps: what one row goes back to, another one may have now.
    _move_aside(connection, changed)
    former = {
        "key_digest": sa.func.substr(_deliveries.c.wire_key, 1, 64),
        "revision": sa.cast(sa.func.substr(_deliveries.c.wire_key, 67), sa.Integer()),
    }
    connection.execute(sa.update(_deliveries).where(changed).values(former))
    op.drop_column("deliveries", "wire_key")


def _in_batches(connection: sa.Connection, query: sa.Select[Any], by: sa.ColumnElement[Any]) -> Iterator[Sequence[Any]]:
    """The rows of a query, a batch at a time, each after the last one of the batch before."""
    last = None
    while True:
        page = query.order_by(by).limit(BATCH)
        rows = connection.execute(page if last is None else page.where(by > last)).mappings().all()
        if not rows:
            return
        yield rows
        last = rows[-1][by.name]


def _read_parties_anew(connection: sa.Connection) -> None:
    """Give rows the schemes, countries and further identifiers of their parties, wherever they may matter."""
    type_code = _invoices.c.report["type_code"].as_string()
    query = sa.select(
        _invoices.c.id, _invoices.c.parties, _invoices.c.document_type, type_code.label("type_code")
    ).where(_invoices.c.parties.is_not(None), _invoices.c.ubl_data.is_not(None))
    for rows in _in_batches(connection, query, _invoices.c.id):
        for row in rows:
            kind = kind_of(DocumentType(row["document_type"]), row["type_code"])
            if all(_is_plain(row["parties"][role]) for role in ("supplier", "customer")):
                changes: dict[str, Any] = {"document_type": kind.value}
            else:
                changes = _read_anew(connection, row["id"]) or {"document_type": kind.value}
            if changes != {"document_type": row["document_type"]}:
                connection.execute(sa.update(_invoices).where(_invoices.c.id == row["id"]).values(changes))


def _is_plain(party: Mapping[str, Any]) -> bool:
    """Whether nothing that was not stored could change the party's form: it has a Belgian VAT number."""
    return "country" in party or bool(_WITH_BE.fullmatch(party.get("vat_id") or ""))


def _read_anew(connection: sa.Connection, row_id: Any) -> dict[str, Any] | None:
    text = connection.execute(sa.select(_invoices.c.ubl_data).where(_invoices.c.id == row_id)).scalar_one()
    try:
        invoice = read_invoice(parse(from_text(text)).root)
    except Unreadable:
        return None
    parties = {
        role: {name: getattr(party, name) for name in PARTY_FIELDS}
        for role, party in (("supplier", invoice.supplier), ("customer", invoice.customer))
    }
    return {"document_type": invoice.document_type.value, "parties": parties}


def _find_new_keys(connection: sa.Connection) -> None:
    columns = ("id", "key_digest", "destination", "receiver", "supplier", "document_type", "number", "issue_year")
    query = sa.select(*(_deliveries.c[name] for name in columns))
    for rows in _in_batches(connection, query, _deliveries.c.id):
        seen = _rows_of(connection, [row["id"] for row in rows])
        changed = [new for row in rows if (new := _new_key(row, seen.get(row["id"]))) is not None]
        if changed:
            connection.execute(sa.insert(_rekeyed), changed)


def _rows_of(connection: sa.Connection, delivery_ids: Sequence[Any]) -> dict[Any, Any]:
    """The invoice row that says most of each delivery's parties; none where there is no row any more."""
    query = (
        sa.select(_invoices.c.delivery_id, _invoices.c.parties, _invoices.c.document_type)
        .where(_invoices.c.delivery_id.in_(delivery_ids), _invoices.c.parties.is_not(None))
        .order_by(_invoices.c.created_at, _invoices.c.id)
    )
    found: dict[Any, Any] = {}
    for row in connection.execute(query).mappings():
        known = found.get(row["delivery_id"])
        if known is None or "country" not in known["parties"]["customer"]:
            found[row["delivery_id"]] = row
    return found


def _new_key(row: Mapping[str, Any], seen: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a delivery's key becomes; None where it stays."""
    if seen is not None:
        receiver, supplier = (normal_form(_party(seen["parties"][role])) for role in ("customer", "supplier"))
        document_type = seen["document_type"]
    else:
        receiver, supplier = _from_key(row["receiver"]), _from_key(row["supplier"])
        document_type = row["document_type"]
    key = InvoiceKey(
        row["destination"], receiver, supplier, DocumentType(document_type), row["number"], row["issue_year"]
    )
    if (key.digest, receiver, supplier) == (row["key_digest"], row["receiver"], row["supplier"]):
        return None
    return {
        "delivery_id": row["id"],
        "key_digest": key.digest,
        "receiver": receiver,
        "supplier": supplier,
        "document_type": document_type,
        "former": row["key_digest"],
    }


def _party(stored: Mapping[str, Any]) -> Party:
    return Party(**{name: value for name, value in stored.items() if name in PARTY_FIELDS})


def _from_key(written: str) -> str:
    """The form of a party of which only the key is left: a number as it stood there, an endpoint, or the name."""
    if written.startswith((f"{NAME}:", f"{PLAIN}:")):  # of this version, before a downgrade
        return written
    if ":" in written:
        return normal_form(Party("", endpoint=written))
    if _VAT_NUMBER.match(written):
        return normal_form(Party(written, vat_id=written))
    if any(character.isdigit() for character in written):
        return normal_form(Party(written, legal_id=written))
    return normal_form(Party(written))


def _write_new_keys(connection: sa.Connection, now: datetime) -> KeysBecameOne:
    _move_aside(connection, _deliveries.c.id.in_(sa.select(_rekeyed.c.delivery_id)))
    invoices, held = 0, 0
    shown: list[str] = []
    digests = sa.select(_rekeyed.c.key_digest).distinct()
    for batch in _in_batches(connection, digests, _rekeyed.c.key_digest):
        rows: list[dict[str, Any]] = []
        for members in _groups(connection, [row["key_digest"] for row in batch]):
            became_one = len({member["former"] for member in members}) > 1
            written = [_moved(member, became_one, members, place, now) for place, member in enumerate(members, 1)]
            rows += written
            if became_one:
                invoices += 1
                held += sum(new["state"] != old["state"] for new, old in zip(written, members, strict=True))
                if len(shown) < MOST_NAMED:
                    shown.append(_shown(written))
        _move_aside(connection, _deliveries.c.id.in_([row["row_id"] for row in rows]))
        changes: dict[str, Any] = {name: sa.bindparam(name) for name in CHANGED}
        connection.execute(
            sa.update(_deliveries).where(_deliveries.c.id == sa.bindparam("row_id")).values(changes), rows
        )
    return KeysBecameOne(invoices, held, tuple(shown))


def _move_aside(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Take rows out of the way of the unique key: their ids stand for their digests meanwhile."""
    aside = sa.literal("~").concat(sa.cast(_deliveries.c.id, sa.String(40)))
    connection.execute(sa.update(_deliveries).where(which).values(key_digest=aside))


def _groups(connection: sa.Connection, digests: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """All that is to be under each digest, oldest first, with the digest it was under."""
    own = (_deliveries.c[name] for name in ("id", "revision", "number", "created_at", *KEPT))
    moved = (
        sa.select(*own, *(_rekeyed.c[name] for name in REKEYED))
        .join_from(_deliveries, _rekeyed, _rekeyed.c.delivery_id == _deliveries.c.id)
        .where(_rekeyed.c.key_digest.in_(digests))
    )
    own = (_deliveries.c[name] for name in ("id", "revision", "number", "created_at", *KEPT))
    stayed = sa.select(
        *own,
        *(_deliveries.c[name] for name in REKEYED if name != "former"),
        _deliveries.c.key_digest.label("former"),
    ).where(_deliveries.c.key_digest.in_(digests))
    rows = [dict(row) for query in (moved, stayed) for row in connection.execute(query).mappings()]
    rows.sort(key=lambda row: (row["key_digest"], row["created_at"], row["revision"], row["id"]))
    for _, members in groupby(rows, itemgetter("key_digest")):
        yield list(members)


def _moved(
    row: Mapping[str, Any], became_one: bool, members: Sequence[Mapping[str, Any]], place: int, now: datetime
) -> dict[str, Any]:
    """What a delivery becomes. Of what became one invoice, nothing leaves by itself beside what may have arrived."""
    left_as = f"{row['former']}-r{row['revision']}"
    revision = place if became_one else row["revision"]
    new = {name: row[name] for name in (*CHANGED, "number")} | {"row_id": row["id"], "revision": revision}
    if left_as != f"{row['key_digest']}-r{revision}":
        new["wire_key"] = row["wire_key"] or left_as
    others = [(other, at) for at, other in enumerate(members, 1) if other is not row and other["state"] != "rejected"]
    others.sort(key=lambda found: found[0]["state"] not in MAY_HAVE_ARRIVED)
    if not became_one or not others:
        return new
    other, at = others[0]
    why = f"the same invoice as revision {at} ({other['state']}, {other['id']}), which was kept apart until its parties"
    why += " were known in one form: a person decides"
    if row["state"] in UNSENT:
        return new | {"state": "held", "reason": why, "held_for": None, "not_before": None, "updated_at": now}
    if row["state"] == "unknown" and other["state"] in MAY_HAVE_ARRIVED:
        return new | {"state": "parked", "reason": f"it may have been accepted; {why}", "updated_at": now}
    return new


def _shown(versions: Sequence[Mapping[str, Any]]) -> str:
    states = ", ".join(f"revision {version['revision']} {version['state']}" for version in versions)
    return f"{versions[0]['number']}: {states}"


def _tell(connection: sa.Connection, told: KeysBecameOne, now: datetime) -> None:
    """In the transaction of the migration; once, whatever is repeated."""
    known = connection.execute(sa.select(_alerts.c.id).where(_alerts.c.subject == SUBJECT)).first()
    if not told.invoices or known is not None:
        return
    row = {"subject": SUBJECT, "channel": _channel(connection), "message": message_of(told), "state": "pending"}
    connection.execute(sa.insert(_alerts).values({"id": uuid4(), "attempts": 0, "created_at": now, **row}))


def message_of(told: KeysBecameOne) -> dict[str, Any]:
    """As Slack's chat.postMessage takes it."""
    invoices = "1 invoice was" if told.invoices == 1 else f"{told.invoices:,} invoices were"
    title = f"{invoices} kept as several"
    why = (
        f"Their parties were written in several ways and have one form now. Nothing is sent by that; {told.held:,} "
        "versions wait for a person: see `clearfacts deliveries list --state held --state parked`."
    )
    lines = [f"• {_escaped(' '.join(line.split()))}" for line in told.shown]
    if more := told.invoices - len(told.shown):
        lines.append(f"• and {more:,} more")
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
        for text in (why, "\n".join(lines))
    ]
    header = {"type": "header", "text": {"type": "plain_text", "text": title}}
    return {"text": f"{title}: {why}", "blocks": [header, *sections]}


def _escaped(text: str) -> str:
    """Slack's three special characters as entities, cut between them to at most LINE_CHARACTERS."""
    pieces = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character) for character in text]
    if sum(map(len, pieces)) <= LINE_CHARACTERS:
        return "".join(pieces)
    while sum(map(len, pieces)) > LINE_CHARACTERS - 1:
        pieces.pop()
    return "".join(pieces) + "…"


def _channel(connection: sa.Connection) -> str:
    """What the running system was told, else the setting that the caller handed over, else the last alert's."""
    stored = connection.execute(
        sa.select(_configuration.c.value).where(_configuration.c.key == "slack.channel")
    ).scalar_one_or_none()
    try:
        if stored:
            return str(json.loads(stored))
    except ValueError:
        pass  # what is not JSON is passed over by the running system, too
    given = context.config.attributes.get("alert_channel")
    newest = sa.select(_alerts.c.channel).order_by(_alerts.c.created_at.desc()).limit(1)
    return str(given or connection.execute(newest).scalar_one_or_none() or CHANNEL)
