"""Clearfacts' REST contract: ``POST /invoices`` with an ``Idempotency-Key``, by which it can be asked again."""

from __future__ import annotations

import base64
from typing import Any

from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.calls import STATUSES, Calls, HttpAnswer, document_uuid
from clearfacts_assets.invoices.ports import Absent, Accepted, DestinationError, LookUp, Outcome, Submission, Unknown
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.headers import correlation, plain_address

# What a status means for a document that was posted. REFUSED needs an error as documented, {"error": {"code",
# "message"}}; without it (a proxy's HTML, say) it is UNKNOWN, as is every status that does not stand here. 409 is not
# here: what conflicts may well be this document, accepted before; the look-up tells.
POSTED: dict[int, OutcomeKind] = STATUSES | {
    200: OutcomeKind.ACCEPTED,
    201: OutcomeKind.ACCEPTED,
    400: OutcomeKind.REFUSED,
    413: OutcomeKind.REFUSED,
    415: OutcomeKind.REFUSED,
    422: OutcomeKind.REFUSED,
}
# Error codes that mean something else than their status.
CODES: dict[str, OutcomeKind] = {
    "IDEMPOTENCY_KEY_REUSED": OutcomeKind.UNKNOWN,  # something was accepted under this key; the look-up tells what
}

CHECK_KEY = "connection-check"  # an idempotency key that no delivery has


class ClearfactsRest:
    """A Destination over the REST contract."""

    name, transport = "clearfacts", "rest"
    honours_idempotency_key = True
    can_look_up = True
    longest_number = 255  # characters, of the field documentNumber

    def __init__(self, options: DestinationOptions) -> None:
        """Raises ValueError for an address, a token or a network that cannot be used."""
        self._address = plain_address(options.base_url) + "/invoices"
        self._calls = Calls(options)

    def send(self, submission: Submission) -> Outcome:
        content = {
            "administration": submission.administration,
            "invoice_type": submission.invoice_type,
            "file_name": submission.file_name,
            "content": base64.b64encode(submission.content).decode(),
        }
        headers = {"Idempotency-Key": submission.idempotency_key, **correlation(submission.correlation_id)}
        answer = self._calls.hand_over(self._calls.request("POST", self._address, headers=headers, json=content))
        if not isinstance(answer, HttpAnswer):
            return answer
        code, message = self._error(answer)
        kind = CODES.get(code) or POSTED.get(answer.status, OutcomeKind.UNKNOWN)
        if kind is OutcomeKind.ACCEPTED and not code:
            return _accepted(answer, answer.json, submission)
        if kind is OutcomeKind.REFUSED and not code:
            return answer.means(OutcomeKind.UNKNOWN, message="no error as documented")
        return answer.means(kind, code=code, message=message)

    def look_up(self, submission: Submission) -> LookUp:
        """By the idempotency key. Absent only for the documented empty list; any doubt is Unknown."""
        request = self._calls.request(
            "GET",
            self._address,
            params={"idempotency_key": submission.idempotency_key},
            headers=correlation(submission.correlation_id),
        )
        answer = self._calls.ask(request)
        if not isinstance(answer, HttpAnswer):
            return Unknown(f"the look-up failed: {answer.reason}", answer.response)
        found = _invoices(answer)
        if found is None:
            return Unknown(f"the look-up failed: {answer.address} answered HTTP {answer.status}", answer.evidence)
        if not found:
            return Absent()
        if len(found) > 1:
            return Unknown("the look-up found several documents for one idempotency key", answer.evidence)
        return _accepted(answer, found[0], submission)

    def check(self) -> str:
        """Look up a key that nobody uses. Raises DestinationError."""
        question = self._calls.request("GET", self._address, params={"idempotency_key": CHECK_KEY})
        answer = self._calls.answered(question)
        if _invoices(answer) is None:
            raise DestinationError(f"{answer.address} answered HTTP {answer.status}, not as documented: check base_url")
        return f"{self._address} answers"

    def close(self) -> None:
        self._calls.close()

    def _error(self, answer: HttpAnswer) -> tuple[str, str]:
        """Code and message of a documented error; empty where there is none."""
        error = answer.json.get("error") if isinstance(answer.json, dict) else None
        code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
        if not isinstance(code, str) or not isinstance(message, str):
            return "", ""
        return self._calls.secrets.excerpt(code, 100), self._calls.secrets.excerpt(message, 500)


def _accepted(answer: HttpAnswer, body: Any, submission: Submission) -> Accepted | Unknown:
    """Accepted if the body names the document by its uuid, and it is none but ours."""
    identifier = document_uuid(body.get("uuid")) if isinstance(body, dict) else None
    if identifier is None:
        return Unknown(f"{answer.address} answered HTTP {answer.status} without a document's uuid", answer.evidence)
    ours = {"sha256": submission.content_sha256, "idempotency_key": submission.idempotency_key}
    others = [name for name, value in ours.items() if body.get(name, value) != value]
    if others:
        return Unknown(
            f"{answer.address} names a document that is not ours: other {', '.join(others)}", answer.evidence
        )
    return Accepted(identifier, answer.evidence)


def _invoices(answer: HttpAnswer) -> list[Any] | None:
    """The list that a look-up answers with; None where it is not one."""
    found = answer.json.get("invoices") if answer.status == 200 and isinstance(answer.json, dict) else None
    return found if isinstance(found, list) else None


def opened(options: DestinationOptions) -> ClearfactsRest:
    return ClearfactsRest(options)
