"""Clearfacts over REST: ``POST /invoices`` with an Idempotency-Key, and a look-up by that key.

The same key and body replay the first answer; the same key with another body is refused with 422.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.filing import Office, Refused, Upload, shown_uuid
from clearfacts_assets.simulator.http import Answer, Call, json_answer
from clearfacts_assets.simulator.ledger import AcceptedDocument

_FIELDS = {"administration", "invoice_type", "file_name", "content"}


def upload(office: Office, call: Call, fault: Fault | None) -> Answer:
    """201 with the filed document, or an error that says why not."""
    key = call.headers.get("idempotency-key", "")
    if not key:
        return error_answer(400, "IDEMPOTENCY_KEY_MISSING", "the header Idempotency-Key is missing")
    digest = hashlib.sha256(call.body).hexdigest()
    known = office.accepted.by_key(key)
    if known:
        if known.request_sha256 != digest:
            message = "this Idempotency-Key was first used with another body"
            return error_answer(422, "IDEMPOTENCY_KEY_REUSED", message)
        return _filed(known, fault, {"idempotency-replayed": "true"})
    try:
        upload = _read_upload(call, key, digest)
        return _filed(office.file(upload, fault), fault, {})
    except ValueError as error:
        return error_answer(400, "INVALID_REQUEST", str(error))
    except Refused as refused:
        return error_answer(422, refused.code, str(refused))


def look_up(office: Office, call: Call) -> Answer:
    """What was filed under ``idempotency_key``: a list of one document or of none."""
    query = dict(call.query)
    if set(query) != {"idempotency_key"} or not query["idempotency_key"]:
        return error_answer(400, "INVALID_REQUEST", "ask with exactly one parameter, idempotency_key")
    found = office.accepted.by_key(query["idempotency_key"])
    return json_answer({"invoices": [_shown(found)] if found else []})


def enclosed(call: Call) -> bytes:
    """The document inside an upload; empty where there is none."""
    try:
        return base64.b64decode(call.json()["content"])
    except (ValueError, KeyError, TypeError):
        return b""


def _read_upload(call: Call, key: str, digest: str) -> Upload:
    """Raises ValueError."""
    body = call.json()
    if not isinstance(body, dict) or set(body) != _FIELDS or not all(isinstance(v, str) for v in body.values()):
        raise ValueError(f"the body is a JSON object of texts named {', '.join(sorted(_FIELDS))}")
    try:
        content = base64.b64decode(body["content"], validate=True)
    except binascii.Error:
        raise ValueError("content is not base64") from None
    return Upload(
        transport="rest",
        administration=body["administration"],
        invoice_type=body["invoice_type"],
        file_name=body["file_name"],
        content_type="application/xml",
        content=content,
        correlation_id=call.headers.get("x-correlation-id"),
        idempotency_key=key,
        request_sha256=digest,
    )


def _shown(document: AcceptedDocument) -> dict[str, Any]:
    return {
        "uuid": document.uuid,
        "status": "accepted",
        "administration": document.administration,
        "invoice_type": document.invoice_type,
        "file_name": document.file_name,
        "sha256": document.sha256,
        "idempotency_key": document.idempotency_key,
        "accepted_at": document.time,
    }


def _filed(document: AcceptedDocument, fault: Fault | None, headers: Mapping[str, str]) -> Answer:
    return json_answer({**_shown(document), "uuid": shown_uuid(document, fault)}, 201, headers)


def error_answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    details = {"status_code": status, "retry_count": 0, "next_retry_at": None}
    return json_answer({"error": {"code": code, "message": message, "details": details}}, status, headers)
