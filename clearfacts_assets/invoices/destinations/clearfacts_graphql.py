"""Clearfacts' public GraphQL API: the multipart mutation ``uploadFile``, and what can be asked about it afterwards.

It knows no idempotency key and no way to find a document by its invoice: an upload without an answer stays unknown.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

from clearfacts_assets.invoices.delivery.addressing import company_number
from clearfacts_assets.invoices.destinations import DestinationOptions, KnownError
from clearfacts_assets.invoices.destinations.calls import (
    STATUSES,
    Calls,
    HttpAnswer,
    Patience,
    denied_by_status,
    document_uuid,
)
from clearfacts_assets.invoices.ports import (
    Accepted,
    Administration,
    Denied,
    DestinationDenied,
    DestinationError,
    FiledDocument,
    LookUp,
    Outcome,
    Submission,
    Unknown,
)
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.headers import correlation, plain_address

UPLOAD = (
    "mutation upload($vatNumber: String!, $fileName: String!, $invoiceType: InvoiceTypeArgument!) "
    "{ uploadFile(vatnumber: $vatNumber, filename: $fileName, invoicetype: $invoiceType) { uuid, amountOfPages } }"
)
ADMINISTRATIONS = "query administrations {{ administrations{0} {{ name companyNumber }} }}"
# The id stands in the query itself: which type a variable for it would have is not documented.
DOCUMENT = 'query document {{ document(id: "{0}") {{ date ... on InvoiceDocument {{ type paymentState }} }} }}'
ANYTHING = "query anything { __typename }"

MOST_PAGES = 1000  # of administrations

_NOT_FOUND = re.compile(r"\bdocument\b.*\bnot found\b|\bunknown document\b", re.IGNORECASE)
_RIGHTS = re.compile(r"\b(scope|permission|access denied|not allowed|forbidden|unauthori[sz]ed)\b", re.IGNORECASE)
_MESSAGE_CHARACTERS = 500  # of an error's message that are read and shown


# Clearfacts documents no list of errors. Only what says beyond doubt that nothing was filed belongs here; whatever is
# not listed is UNKNOWN. When Clearfacts says more, add a line.
KNOWN_ERRORS: tuple[KnownError, ...] = (
    KnownError(OutcomeKind.REFUSED, code="UNKNOWN_ADMINISTRATION"),
    KnownError(OutcomeKind.REFUSED, code="UNSUPPORTED_FILE"),
    KnownError(OutcomeKind.REFUSED, code="FILE_TOO_LARGE"),
    KnownError(OutcomeKind.REFUSED, code="INVALID_FILE"),
    KnownError(OutcomeKind.DENIED, code="UNAUTHENTICATED"),
    KnownError(
        OutcomeKind.REFUSED,
        words=r"\b(unknown administration|administration\b.*\bnot found)\b",
        name="UNKNOWN_ADMINISTRATION",
    ),
    KnownError(
        OutcomeKind.REFUSED,
        words=r"\b(unsupported|invalid) (file|mime) ?type\b|\bunsupported file\b",
        name="UNSUPPORTED_FILE",
    ),
    KnownError(OutcomeKind.REFUSED, words=r"\bfile\b.*\btoo large\b", name="FILE_TOO_LARGE"),
)


class ClearfactsGraphql:
    """A Destination over the GraphQL API."""

    name, transport = "clearfacts", "graphql"
    honours_idempotency_key = False
    can_look_up = False
    longest_number = 255  # characters; only the file name made of it leaves, and that is cut

    def __init__(self, options: DestinationOptions) -> None:
        """All questions together wait for ``patience`` at most to be asked again, until ``should_stop``; none takes
        longer than ``patience`` and ``deadline`` together. What an operator says of an error goes before what is known
        here.

        Raises ValueError for an address, a token or a network that cannot be used.
        """
        self._address = plain_address(options.base_url) + "/graphql"
        self._userinfo = plain_address(options.login_url) + "/oauth2-server/userinfo"
        self._known_errors = (*options.known_errors, *KNOWN_ERRORS)
        self._patience = Patience(options.patience, options.should_stop)
        self._longest_question = options.patience + options.deadline
        self._calls = Calls(options, denied=self._denied)

    def send(self, submission: Submission) -> Outcome:
        variables = {
            "vatNumber": company_number(submission.administration),
            "fileName": submission.file_name,
            "invoiceType": submission.invoice_type,
        }
        request = self._calls.request(
            "POST",
            self._address,
            headers=correlation(submission.correlation_id),
            data={"query": UPLOAD, "variables": json.dumps(variables)},
            files={"file": (submission.file_name, submission.content, "application/xml")},
        )
        answer = self._calls.hand_over(request)
        if not isinstance(answer, HttpAnswer):
            return answer
        if answer.status in STATUSES:
            return answer.means(STATUSES[answer.status])
        return self._outcome(answer)

    def look_up(self, submission: Submission) -> LookUp:
        """Never known: the API cannot be asked for a document by its invoice."""
        return Unknown(
            f"Clearfacts cannot be asked for a document by its invoice: look for {submission.file_name} there"
        )

    def administrations(self) -> list[Administration]:
        """The files (companies) that our token may see, all of them. Raises DestinationError.

        How many Clearfacts names at once is not documented, so it is asked on until nothing new comes. All that is one
        question: whoever asks may have deliveries under way, whose leases do not wait.
        """
        ends = self._ends()
        found: dict[str, Administration] = {}
        offset = 0
        for _ in range(MOST_PAGES):
            rows = self._administrations(offset, ends)
            new = {one.company_number: one for one in rows if one.company_number not in found}
            if not new:
                return list(found.values())
            found |= new
            offset += len(rows)
        raise DestinationError(f"{self._address} names administrations without end")

    def _administrations(self, offset: int, ends: float) -> list[Administration]:
        answer = self._post(ADMINISTRATIONS.format(f"(offset: {offset})" if offset else ""), ends)
        rows = self._data(answer).get("administrations")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DestinationError(f"{answer.address} answered the query for administrations without a list of them")
        return [Administration(str(row.get("name")), company_number(str(row.get("companyNumber")))) for row in rows]

    def document(self, document_id: str) -> FiledDocument | None:
        """What became of a delivered document; None where Clearfacts has none with this id. Raises DestinationError."""
        identifier = document_uuid(document_id)
        if identifier is None:
            return None
        answer = self._post(DOCUMENT.format(identifier), self._ends())
        if _only_not_found(answer):
            return None
        found = self._data(answer).get("document")
        if found is None:
            return None
        if not isinstance(found, dict):
            raise DestinationError(f"{answer.address} answered the query for document {identifier} with no document")
        return FiledDocument(identifier, *(_text(found.get(name)) for name in ("date", "type", "paymentState")))

    def check(self) -> str:
        """Ask who we are, and whether the API answers this token. Raises DestinationError."""
        answer = self._calls.answered(self._calls.request("GET", self._userinfo))
        user = answer.json if answer.status == 200 and isinstance(answer.json, dict) else {}
        name = user.get("username") or user.get("sub")
        if not isinstance(name, str):
            raise DestinationError(f"{answer.address} answered HTTP {answer.status} and names no user: check login_url")
        spoken = self._calls.answered(self._calls.request("POST", self._address, json={"query": ANYTHING}))
        if not isinstance(spoken.json, dict) or not {"data", "errors"} & spoken.json.keys():
            raise DestinationError(f"{spoken.address} answered HTTP {spoken.status} and no GraphQL: check base_url")
        return f"{self._address} answers; the token is that of {self._calls.secrets.excerpt(name, 100)}"

    def close(self) -> None:
        self._calls.close()

    def _outcome(self, answer: HttpAnswer) -> Outcome:
        body = answer.json if answer.status in (200, 400) and isinstance(answer.json, dict) else {}
        data, errors = body.get("data"), body.get("errors")
        uploaded = data.get("uploadFile") if isinstance(data, dict) else None
        if errors and uploaded is None:
            return self._refusal(answer, errors)
        if isinstance(uploaded, dict) and answer.status == 200 and not errors:
            identifier = document_uuid(uploaded.get("uuid"))
            if identifier:
                return Accepted(identifier, answer.evidence)
        return answer.means(OutcomeKind.UNKNOWN, message="neither a plain success nor a plain error")

    def _denied(self, answer: HttpAnswer) -> bool:
        """Whether our token is refused: by the status, or by an error that says so."""
        told = answer.json.get("errors") if isinstance(answer.json, dict) else None
        return denied_by_status(answer) or (bool(told) and isinstance(self._outcome(answer), Denied))

    def _refusal(self, answer: HttpAnswer, errors: Any) -> Outcome:
        """All errors must be known to mean the same; then the first one speaks for them."""
        told = [_error(error) for error in errors] if isinstance(errors, list) else [("", "unreadable errors")]
        rules = [next((rule for rule in self._known_errors if rule.fits(*error)), None) for error in told]
        code, message = told[0]
        message = self._calls.secrets.excerpt(message, _MESSAGE_CHARACTERS)
        kinds = {rule.outcome if rule else OutcomeKind.UNKNOWN for rule in rules}
        first = rules[0]
        if len(kinds) > 1 or first is None:
            return answer.means(OutcomeKind.UNKNOWN, message=message or "an error without a message")
        return answer.means(first.outcome, code=first.code or code or first.name, message=message)

    def _data(self, answer: HttpAnswer) -> dict[str, Any]:
        body = answer.json if answer.status == 200 and isinstance(answer.json, dict) else {}
        errors, data = body.get("errors"), body.get("data")
        if errors or not isinstance(data, dict):
            told = "; ".join(_error(error)[1] for error in errors) if isinstance(errors, list) else "no data"
            told = self._calls.secrets.excerpt(told, _MESSAGE_CHARACTERS)
            kind = DestinationDenied if _RIGHTS.search(told) else DestinationError
            raise kind(f"{answer.address} answered HTTP {answer.status}: {told}")
        return data

    def _ends(self) -> float:
        """When a question that begins now has to be over, by the monotonic clock."""
        return time.monotonic() + self._longest_question

    def _post(self, query: str, ends: float) -> HttpAnswer:
        return self._calls.answered(
            self._calls.request("POST", self._address, json={"query": query}), self._patience, ends
        )


def _only_not_found(answer: HttpAnswer) -> bool:
    errors = answer.json.get("errors") if isinstance(answer.json, dict) else None
    if not isinstance(errors, list) or not errors:
        return False
    return all(code == "NOT_FOUND" or _NOT_FOUND.search(message) for code, message in map(_error, errors))


def _error(error: Any) -> tuple[str, str]:
    """Code and message of one GraphQL error, whatever it is made of."""
    if not isinstance(error, dict):
        return "", ""
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return _text(code) or "", (_text(error.get("message")) or "")[:_MESSAGE_CHARACTERS]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def opened(options: DestinationOptions) -> ClearfactsGraphql:
    return ClearfactsGraphql(options)
