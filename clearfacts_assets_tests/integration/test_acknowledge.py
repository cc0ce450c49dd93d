"""A person says that a delivered document is gone and nothing is to be done: over the API and at the terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert, select

from clearfacts_assets.storage.invoices.tables import DeliveredDocument, Delivery
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.command import Command

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def delivered(engine: Engine, status: str) -> UUID:
    """A delivery whose document Clearfacts says to be so."""
    delivery_id, document_id = uuid4(), str(uuid4())
    times = dict.fromkeys(("created_at", "updated_at", "delivered_at"), NOON)
    key = {"destination": "clearfacts", "receiver": "BE0999000228", "supplier": "BE0888000319"}
    about: dict[str, Any] = {"document_type": "invoice", "number": f"F-{status}", "issue_year": 2026}
    with engine.begin() as connection:
        connection.execute(
            insert(Delivery).values(
                id=delivery_id,
                key_digest=f"{delivery_id.hex:0>64}",
                content_sha256="0" * 64,
                state="delivered",
                document_id=document_id,
                **key,
                **about,
                **times,
            )
        )
        asked = dict.fromkeys(("asked_at", "answered_at", "changed_at"), NOON)
        connection.execute(
            insert(DeliveredDocument).values(delivery_id=delivery_id, document_id=document_id, status=status, **asked)
        )
    return delivery_id


def acknowledged(engine: Engine, delivery_id: UUID) -> bool:
    with engine.connect() as connection:
        when = select(DeliveredDocument.acknowledged_at).where(DeliveredDocument.delivery_id == delivery_id)
        return connection.scalar(when) is not None


def test_over_the_api_a_missing_document_is_acknowledged_and_no_other(quick_api: RunningApi) -> None:
    missing, found = (delivered(quick_api.engine, status) for status in ("missing", "found"))
    client, body = quick_api.client("reviewer"), {"reason": "deleted there on purpose"}
    answer = client.post(f"/api/v1/deliveries/{missing}/acknowledge", json=body)
    assert answer.status_code == 200
    decision = answer.json()["data"]["decisions"][-1]
    assert (decision["action"], decision["details"]["reason"]) == ("delivery.missing_acknowledged", body["reason"])
    refused = [
        client.post(f"/api/v1/deliveries/{found}/acknowledge", json=body),
        client.post(f"/api/v1/deliveries/{uuid4()}/acknowledge", json=body),
        client.post(f"/api/v1/deliveries/{missing}/acknowledge", json={"reason": " "}),
    ]
    assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [
        (409, "DELIVERY_NOT_RESOLVABLE"),
        (404, "DELIVERY_NOT_FOUND"),
        (422, "VALIDATION_ERROR"),
    ]
    assert (acknowledged(quick_api.engine, missing), acknowledged(quick_api.engine, found)) == (True, False)


def test_at_the_terminal_too(command: Command) -> None:
    missing, found = (delivered(command.engine(), status) for status in ("missing", "found"))
    say = ("--reason", "deleted there on purpose", "--actor", "an")
    assert "F-missing" in command("deliveries", "acknowledge", str(missing), *say).stdout
    assert (
        "is not missing at Clearfacts: found" in command("deliveries", "acknowledge", str(found), *say, code=1).stderr
    )
    assert "--reason" in command("deliveries", "acknowledge", str(missing), "--reason", " ", code=2).stderr
    assert (acknowledged(command.engine(), missing), acknowledged(command.engine(), found)) == (True, False)
