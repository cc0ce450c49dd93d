"""Clearfacts' back office: which administrations it keeps, and how a document is filed, whichever way it comes in.

A document's content is never judged: what the pipeline lets out must be seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from clearfacts_assets.simulator.afterwards import Afterwards, Filed
from clearfacts_assets.simulator.erp import written
from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.ledger import AcceptedDocument, AcceptedDocuments, read_facts
from clearfacts_assets.simulator.trade import RECEIVERS, Company

FILE_LIMIT = 25 * 2**20  # bytes of one uploaded file
INVOICE_TYPES = ("PURCHASE", "SALE")
CONTENT_TYPES = ("application/xml", "text/xml", "application/pdf", "image/jpeg")


@dataclass(frozen=True, slots=True)
class Upload:
    """One document on its way in, by either transport."""

    transport: str
    administration: str
    invoice_type: str
    file_name: str
    content_type: str
    content: bytes
    correlation_id: str | None
    idempotency_key: str | None = None
    request_sha256: str = ""


class Refused(Exception):
    """An upload that is not taken, for a reason that will not change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Office:
    """All accepted documents, and the companies whose documents are accepted: the simulated invoices' receivers."""

    def __init__(self, accepted: AcceptedDocuments, now: Callable[[], datetime], new_uuid: Callable[[], UUID]) -> None:
        self.accepted = accepted
        self.administrations = {company.number: company for company in RECEIVERS}
        self.afterwards = Afterwards(now)
        self._now, self._new_uuid = now, new_uuid

    def add_administration(self, vat_number: str, name: str) -> None:
        number = company_number(vat_number)
        self.administrations[number] = Company(name, number, "", "", "", "", "")

    def remove_administration(self, vat_number: str) -> None:
        """Raises ValueError for one that is not there."""
        if self.administrations.pop(company_number(vat_number), None) is None:
            raise ValueError(f"there is no administration {vat_number}")

    def clear(self) -> None:
        """Forget all documents; the administrations are those of the start again."""
        self.administrations = {company.number: company for company in RECEIVERS}
        self.accepted.clear()
        self.afterwards.clear()

    def document(self, uuid: str) -> Filed | None:
        """What became of a document; None for one that was never filed, or that is forgotten."""
        found = self.accepted.by_uuid(uuid)
        return None if found is None else self.afterwards.of(found)

    def file(self, upload: Upload, fault: Fault | None) -> AcceptedDocument:
        """Accept a document, or only seem to where a fault spoils the answer. Raises Refused."""
        number = company_number(upload.administration)
        if number not in self.administrations:
            raise Refused("UNKNOWN_ADMINISTRATION", f"administration {upload.administration} not found")
        if upload.invoice_type not in INVOICE_TYPES:
            raise Refused("INVALID_INVOICE_TYPE", f"the invoice type is one of {', '.join(INVOICE_TYPES)}")
        if upload.content_type not in CONTENT_TYPES:
            raise Refused("UNSUPPORTED_FILE", f"unsupported file type {upload.content_type}")
        if not upload.content:
            raise Refused("INVALID_FILE", "the file is empty")
        if len(upload.content) > FILE_LIMIT:
            raise Refused("FILE_TOO_LARGE", f"the file is too large: the limit is {FILE_LIMIT} bytes")
        document = AcceptedDocument(
            order=len(self.accepted) + 1,
            time=written(self._now()),
            uuid=str(self._new_uuid()),
            transport=upload.transport,
            administration=f"BE{number}",
            invoice_type=upload.invoice_type,
            file_name=upload.file_name,
            size=len(upload.content),
            sha256=hashlib.sha256(upload.content).hexdigest(),
            **asdict(read_facts(upload.content)),
            idempotency_key=upload.idempotency_key,
            request_sha256=upload.request_sha256,
            correlation_id=upload.correlation_id,
        )
        if fault is None or fault.kind == "bad_uuid":
            self.accepted.append(document)
        return document


def company_number(vat_number: str) -> str:
    """Ten digits, with or without BE before them and however they are punctuated."""
    compact = "".join(character for character in vat_number if character.isalnum()).upper()
    return compact.removeprefix("BE")


def shown_uuid(document: AcceptedDocument, fault: Fault | None) -> object:
    """The document's uuid as it is told to the client: what ``bad_uuid`` wants where that fault strikes."""
    return fault.options.get("uuid", "not-a-uuid") if fault and fault.kind == "bad_uuid" else document.uuid
