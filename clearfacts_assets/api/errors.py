"""Every error that the API answers with: one catalogue, from which docs/api.md and the OpenAPI document are made.

ApiError                  what routes and dependencies raise
└── its ``code``          an ErrorCode; the catalogue gives its HTTP status and what a caller can do about it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clearfacts_assets.messages import Message


class ErrorCode(StrEnum):
    """What went wrong, for programs. Codes are never renamed; new ones may come."""

    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_JSON = "INVALID_JSON"
    INVALID_CURSOR = "INVALID_CURSOR"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    INVALID_REFRESH_TOKEN = "INVALID_REFRESH_TOKEN"  # noqa: S105
    FORBIDDEN = "FORBIDDEN"
    CROSS_SITE_REQUEST = "CROSS_SITE_REQUEST"
    NOT_FOUND = "NOT_FOUND"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    INVOICE_NOT_FOUND = "INVOICE_NOT_FOUND"
    DELIVERY_NOT_FOUND = "DELIVERY_NOT_FOUND"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    API_KEY_NOT_FOUND = "API_KEY_NOT_FOUND"
    CONFIGURATION_KEY_NOT_FOUND = "CONFIGURATION_KEY_NOT_FOUND"
    PERIOD_NOT_FOUND = "PERIOD_NOT_FOUND"
    CHARGE_NOT_FOUND = "CHARGE_NOT_FOUND"
    IMPORT_NOT_FOUND = "IMPORT_NOT_FOUND"
    REGISTRY_ENTRY_NOT_FOUND = "REGISTRY_ENTRY_NOT_FOUND"
    RULE_NOT_FOUND = "RULE_NOT_FOUND"
    STATEMENT_NOT_FOUND = "STATEMENT_NOT_FOUND"
    EMAIL_NOT_FOUND = "EMAIL_NOT_FOUND"
    DISPUTE_NOT_FOUND = "DISPUTE_NOT_FOUND"
    JOURNAL_NOT_FOUND = "JOURNAL_NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    JOB_RUNNING = "JOB_RUNNING"
    JOB_NOT_RETRYABLE = "JOB_NOT_RETRYABLE"
    DELIVERY_NOT_RESOLVABLE = "DELIVERY_NOT_RESOLVABLE"
    DELIVERY_CHANGED = "DELIVERY_CHANGED"
    LAST_ADMIN = "LAST_ADMIN"
    PERIOD_NOT_ALLOWED = "PERIOD_NOT_ALLOWED"
    CHARGES_WAITING = "CHARGES_WAITING"
    CHARGE_NOT_DECIDABLE = "CHARGE_NOT_DECIDABLE"
    CHARGE_CHANGED = "CHARGE_CHANGED"
    IMPORT_NOT_CONFIRMED = "IMPORT_NOT_CONFIRMED"
    STATEMENT_NOT_ALLOWED = "STATEMENT_NOT_ALLOWED"
    EMAIL_NOT_ALLOWED = "EMAIL_NOT_ALLOWED"
    DISPUTE_NOT_ALLOWED = "DISPUTE_NOT_ALLOWED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    COSTS_REFUSED = "COSTS_REFUSED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    WEAK_PASSWORD = "WEAK_PASSWORD"  # noqa: S105
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    EXTERNAL_API_ERROR = "EXTERNAL_API_ERROR"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    STORAGE_FULL = "STORAGE_FULL"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A code's HTTP status, what it says, and what a caller can do."""

    status: int
    meaning: str
    remedy: str


CATALOGUE: dict[ErrorCode, Meaning] = {
    ErrorCode.INVALID_REQUEST: Meaning(400, "The request is not one that HTTP allows.", "Correct the request."),
    ErrorCode.INVALID_JSON: Meaning(
        400, "The body is not JSON in UTF-8, or is nested too deeply.", "Send what the OpenAPI document describes."
    ),
    ErrorCode.INVALID_CURSOR: Meaning(
        400, "The cursor was not made by this API.", "Ask for the first page again, without a cursor."
    ),
    ErrorCode.UNAUTHENTICATED: Meaning(
        401, "No valid access token, session or API key came with the request.", "Log in, or refresh the token."
    ),
    ErrorCode.INVALID_CREDENTIALS: Meaning(
        401, "The name or the password is wrong, or the account is disabled.", "Check both; ask an admin."
    ),
    ErrorCode.INVALID_REFRESH_TOKEN: Meaning(
        401, "The refresh token is unknown, was used before, or its session has ended.", "Log in again."
    ),
    ErrorCode.FORBIDDEN: Meaning(403, "This role may not do that.", "Ask an admin for another role."),
    ErrorCode.CROSS_SITE_REQUEST: Meaning(
        403,
        "A change with a session cookie came without the CSRF token, or from another site.",
        "Send X-CSRF-Token, or use an access token.",
    ),
    ErrorCode.NOT_FOUND: Meaning(
        404, "There is nothing under this path.", "Compare the path with the OpenAPI document."
    ),
    ErrorCode.JOB_NOT_FOUND: Meaning(404, "There is no job with this id.", "GET /api/v1/jobs lists them."),
    ErrorCode.INVOICE_NOT_FOUND: Meaning(
        404, "No job has seen an invoice with this id.", "GET /api/v1/invoices/history lists them."
    ),
    ErrorCode.DELIVERY_NOT_FOUND: Meaning(
        404, "There is no delivery with this id.", "GET /api/v1/deliveries lists them."
    ),
    ErrorCode.USER_NOT_FOUND: Meaning(404, "There is no user with this id.", "GET /api/v1/users lists them."),
    ErrorCode.API_KEY_NOT_FOUND: Meaning(404, "There is no API key with this id.", "GET /api/v1/keys lists them."),
    ErrorCode.CONFIGURATION_KEY_NOT_FOUND: Meaning(
        404, "There is no configuration key of this name.", "GET /api/v1/configuration lists them."
    ),
    ErrorCode.PERIOD_NOT_FOUND: Meaning(
        404, "Nothing is known of this period.", "GET /api/v1/chargeback/periods lists them."
    ),
    ErrorCode.CHARGE_NOT_FOUND: Meaning(
        404, "There is no charge with this id that you may see.", "GET /api/v1/chargeback/charges lists them."
    ),
    ErrorCode.IMPORT_NOT_FOUND: Meaning(
        404, "There is no import with this number.", "GET /api/v1/chargeback/imports lists them."
    ),
    ErrorCode.REGISTRY_ENTRY_NOT_FOUND: Meaning(
        404, "Nobody and nothing of this name is in the registry.", "Add it with POST, or list what there is."
    ),
    ErrorCode.RULE_NOT_FOUND: Meaning(
        404, "There is no rule, rate or credit of this name or number.", "GET /api/v1/chargeback/rules lists them."
    ),
    ErrorCode.STATEMENT_NOT_FOUND: Meaning(
        404, "There is no statement with this number that you may see.", "GET /api/v1/chargeback/statements lists them."
    ),
    ErrorCode.EMAIL_NOT_FOUND: Meaning(
        404, "There is no mail with this id.", "GET /api/v1/chargeback/emails lists them."
    ),
    ErrorCode.DISPUTE_NOT_FOUND: Meaning(
        404, "There is no objection with this id.", "GET /api/v1/chargeback/disputes lists them."
    ),
    ErrorCode.JOURNAL_NOT_FOUND: Meaning(
        404,
        "There is no journal with this number, or no such line of it.",
        "GET /api/v1/chargeback/journals lists them.",
    ),
    ErrorCode.METHOD_NOT_ALLOWED: Meaning(
        405, "The path exists, but not with this method.", "The header Allow names the methods."
    ),
    ErrorCode.CONFLICT: Meaning(409, "The state of things does not allow it.", "Read the state again and decide anew."),
    ErrorCode.JOB_RUNNING: Meaning(
        409, "A job of this day is waiting or running.", "Follow the job named in details.job_id; ask again after it."
    ),
    ErrorCode.JOB_NOT_RETRYABLE: Meaning(
        409, "The job has not ended, or nothing of it is left to do.", "Wait for its end, or start a new job."
    ),
    ErrorCode.DELIVERY_NOT_RESOLVABLE: Meaning(
        409, "A delivery in this state cannot take this verdict.", "Read the delivery; while it is sent, wait."
    ),
    ErrorCode.DELIVERY_CHANGED: Meaning(
        409, "The delivery is not any more as it was seen.", "Read it again: details say how it is now. Then decide."
    ),
    ErrorCode.LAST_ADMIN: Meaning(409, "Nobody would be left who can add users.", "Make somebody else an admin first."),
    ErrorCode.PERIOD_NOT_ALLOWED: Meaning(
        409, "The period's state, or who closed it, does not allow this.", "docs/chargeback.md says what each allows."
    ),
    ErrorCode.CHARGES_WAITING: Meaning(
        409, "Charges of the period wait for a decision.", "GET /api/v1/chargeback/review lists them."
    ),
    ErrorCode.CHARGE_NOT_DECIDABLE: Meaning(
        409, "A charge does not stand where this can be decided about it.", "Read the charge; decide anew."
    ),
    ErrorCode.CHARGE_CHANGED: Meaning(
        409, "A charge does not stand any more where it was seen. Nothing was decided.", "Read it again, then decide."
    ),
    ErrorCode.IMPORT_NOT_CONFIRMED: Meaning(
        409,
        "The delivery withdraws more than the setting chargeback.withdraw_percent allows. Nothing was imported.",
        "Look at details.difference; then send it again with yes=true, or as mode=append.",
    ),
    ErrorCode.STATEMENT_NOT_ALLOWED: Meaning(
        409, "The statement does not stand where this can be done with it.", "Read the statement; decide anew."
    ),
    ErrorCode.EMAIL_NOT_ALLOWED: Meaning(
        409, "The mail does not stand where this can be done with it.", "Read the mail; decide anew."
    ),
    ErrorCode.DISPUTE_NOT_ALLOWED: Meaning(
        409, "This cannot be objected to, or was answered before.", "Read the statement with its remarks."
    ),
    ErrorCode.PAYLOAD_TOO_LARGE: Meaning(
        413,
        "The body is larger than the setting serve.body_bytes, or an upload than chargeback.upload_bytes.",
        "Send less at once.",
    ),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: Meaning(
        415,
        "The body's content type is not the route's: application/json, or multipart/form-data for uploads.",
        "Send what the OpenAPI document describes, and say so in Content-Type.",
    ),
    ErrorCode.VALIDATION_ERROR: Meaning(
        422, "A field or parameter is missing, unknown or not of its type.", "details.fields names each."
    ),
    ErrorCode.COSTS_REFUSED: Meaning(
        422,
        "A cost export cannot be taken, or rows of it are refused and strict was asked for. Nothing was imported.",
        "details.refusals says where and why: mend the file.",
    ),
    ErrorCode.IDEMPOTENCY_KEY_REUSED: Meaning(
        422, "This Idempotency-Key came before with another request.", "Use a new key for a new request."
    ),
    ErrorCode.WEAK_PASSWORD: Meaning(422, "The password could be guessed.", "details.fields says what is missing."),
    ErrorCode.RATE_LIMITED: Meaning(429, "Too many requests.", "Wait as long as the header Retry-After says."),
    ErrorCode.INTERNAL_ERROR: Meaning(
        500, "A fault of ours.", "Tell us the correlation_id: the log says more under it."
    ),
    ErrorCode.EXTERNAL_API_ERROR: Meaning(
        503,
        "A system that we depend on (Dagster) did not do what it was asked.",
        "details names it, and when to try again; the same Idempotency-Key may be used.",
    ),
    ErrorCode.DATABASE_UNAVAILABLE: Meaning(503, "Our database does not answer.", "Try again later."),
    ErrorCode.STORAGE_FULL: Meaning(503, "Our disk has no room for this.", "Tell an operator; then try again."),
}


class ApiError(Exception):
    """What the caller is told: the code's status, a message in plain words, and details that hold no secrets."""

    def __init__(
        self,
        code: ErrorCode,
        message: str | Message | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code, self.status = code, CATALOGUE[code].status
        self.said = message if isinstance(message, Message) else Message(message or CATALOGUE[code].meaning)
        self.message = str(self.said)
        self.details, self.headers = dict(details or {}), dict(headers or {})
        super().__init__(self.message)


def catalogue_as_markdown() -> str:
    """The table of all codes in docs/api.md."""
    lines = ["| code | status | meaning | what to do |", "|---|---|---|---|"]
    lines += [f"| `{code}` | {one.status} | {one.meaning} | {one.remedy} |" for code, one in CATALOGUE.items()]
    return "\n".join(lines)
