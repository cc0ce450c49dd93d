"""Everything that the simulated Clearfacts has accepted: the tests' oracle, in order and, on request, in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lxml import etree

_CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
_CAC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
_TYPES = {"Invoice": "invoice", "CreditNote": "credit_note"}


@dataclass(frozen=True, slots=True)
class AcceptedDocument:
    """One accepted upload. What could not be read from the document is None."""

    order: int  # 1, 2, 3, ...
    time: str  # RFC 3339, UTC
    uuid: str
    transport: str  # rest or graphql
    administration: str
    invoice_type: str  # PURCHASE or SALE
    file_name: str
    size: int
    sha256: str
    document_type: str | None  # invoice or credit_note
    document_number: str | None
    issue_year: int | None
    supplier: str | None  # VAT number
    receiver: str | None  # VAT number
    idempotency_key: str | None
    request_sha256: str  # of what the idempotency key was first used with
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the oracle reads from a document, on its own, so that it does not inherit the pipeline's mistakes."""

    document_type: str | None = None
    document_number: str | None = None
    issue_year: int | None = None
    supplier: str | None = None
    receiver: str | None = None


def read_facts(content: bytes) -> Facts:
    """Of any bytes; all None where they are no UBL document."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        return Facts()
    year = (root.findtext(f"{_CBC}IssueDate") or "")[:4]
    return Facts(
        document_type=_TYPES.get(etree.QName(root).localname),
        document_number=root.findtext(f"{_CBC}ID"),
        issue_year=int(year) if year.isdigit() else None,
        supplier=_vat_number(root, "Supplier"),
        receiver=_vat_number(root, "Customer"),
    )


def _vat_number(root: etree._Element, role: str) -> str | None:
    return root.findtext(f"{_CAC}Accounting{role}Party/{_CAC}Party/{_CAC}PartyTaxScheme/{_CBC}CompanyID")


class AcceptedDocuments:
    """The list, found again by uuid and by idempotency key. With a file, it outlives the process."""

    def __init__(self, state: Path | None = None) -> None:
        """Raises ValueError for a file that is no such list."""
        self._documents: list[AcceptedDocument] = []
        self._by_uuid: dict[str, AcceptedDocument] = {}
        self._by_key: dict[str, AcceptedDocument] = {}
        self._file: IO[str] | None = None
        if state is not None:
            self._load(state)
            self._file = state.open("a", encoding="utf-8", buffering=1)

    def _load(self, state: Path) -> None:
        if not state.exists():
            return
        whole, _, torn = state.read_text(encoding="utf-8").rpartition("\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._index(AcceptedDocument(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{state}, line {number}, is no accepted document: {error}") from None
        if torn:  # the process was killed while it wrote
            state.write_text(whole + "\n" if whole else "", encoding="utf-8")

    def _index(self, document: AcceptedDocument) -> None:
        self._documents.append(document)
        self._by_uuid[document.uuid] = document
        if document.idempotency_key:
            self._by_key[document.idempotency_key] = document

    def append(self, document: AcceptedDocument) -> None:
        self._index(document)
        if self._file:
            self._file.write(json.dumps(asdict(document)) + "\n")

    def page(self, after: int, limit: int) -> list[AcceptedDocument]:
        """Those whose order lies above ``after``."""
        return self._documents[after : after + limit]

    def by_uuid(self, uuid: str) -> AcceptedDocument | None:
        return self._by_uuid.get(uuid)

    def by_key(self, idempotency_key: str) -> AcceptedDocument | None:
        return self._by_key.get(idempotency_key)

    def __len__(self) -> int:
        return len(self._documents)

    def clear(self) -> None:
        """Forget everything, in the file too."""
        self._documents.clear()
        self._by_uuid.clear()
        self._by_key.clear()
        if self._file:
            self._file.truncate(0)

    def close(self) -> None:
        if self._file:
            self._file.close()
