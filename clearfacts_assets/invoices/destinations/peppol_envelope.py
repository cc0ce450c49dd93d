"""The Peppol Business Message Envelope: a document in a StandardBusinessDocument, addressed to a participant.

Elements and schemes are those of OpenPeppol's specification, version 2.0.1 (with the scope COUNTRY_C1), and of its
policy for identifiers, version 4. The document's bytes stay as they are, but for another encoding than UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree
from stdnum.be import vat as belgian_vat

from clearfacts_assets.invoices.company_numbers import BELGIAN_SCHEMES, under_scheme
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.profiles import Profile, profile_of
from clearfacts_assets.invoices.validation.ubl import Limits, Unreadable, parse

HEADER = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
PARTICIPANT, DOCUMENT, PROCESS = "iso6523-actorid-upis", "busdox-docid-qns", "cenbii-procid-ubl"
UBL_VERSION = "2.1"
VAT_SCHEME = "9925"  # of Belgian VAT numbers; the others hold enterprise numbers
_SCHEME = re.compile(r"\d{4}", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e]{1,50}")  # what a participant's value may be made of (policy 1)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_DECLARATION = re.compile(r"\ufeff?\s*(?:<\?xml\s[^>]*\?>)?")


class NotAddressed(Exception):
    """No access point could send the document as it is. ``code`` says what it lacks.

    UNREADABLE, NO_SENDER_ENDPOINT, NO_RECEIVER_ENDPOINT, BAD_SENDER_ENDPOINT, BAD_RECEIVER_ENDPOINT,
    NO_CUSTOMIZATION, NO_PROFILE, NO_COUNTRY, ENCODING.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Addressed:
    """A document and by whom, to whom and as what it is sent."""

    sender: str  # ``0208:0203201340``
    receiver: str
    country: str  # of the sender, ISO 3166-1
    namespace: str
    element: str  # Invoice or CreditNote
    customization: str  # BT-24
    process: str  # BT-23
    written: str  # the document without its XML declaration

    @property
    def document_type(self) -> str:
        return f"{self.namespace}::{self.element}##{self.customization}::{UBL_VERSION}"


def addressed(content: bytes) -> Addressed:
    """What the document says of its way (BT-23, BT-24, BT-34, BT-49, BT-40). Raises NotAddressed.

    A self-billed invoice is sent by the customer, every other one by the supplier.
    """
    try:
        root = parse(content, limits=Limits(document_bytes=len(content))).root  # it passed the real limit before
        invoice = read_invoice(root)
    except Unreadable as error:
        raise NotAddressed("UNREADABLE", error.message) from None
    supplier, customer = (invoice.supplier, "supplier", "BT-34"), (invoice.customer, "customer", "BT-49")
    from_, to = (customer, supplier) if profile_of(root) is Profile.SELF_BILLING else (supplier, customer)
    sender = _participant("SENDER", from_[0].endpoint, *from_[1:])
    receiver = _participant("RECEIVER", to[0].endpoint, *to[1:])
    customization, process = "".join((invoice.customization_id or "").split()), invoice.profile_id
    if not customization:
        raise NotAddressed("NO_CUSTOMIZATION", "cbc:CustomizationID (BT-24) is missing: it names the document's type")
    if not process:
        raise NotAddressed("NO_PROFILE", "cbc:ProfileID (BT-23) is missing: it names the process")
    name = etree.QName(root.tag)
    return Addressed(
        sender=sender,
        receiver=receiver,
        country=_country(from_[0].country, sender),
        namespace=name.namespace or "",
        element=name.localname,
        customization=customization,
        process=process,
        written=_written(content, root),
    )


def enveloped(document: Addressed, instance: str, now: datetime) -> bytes:
    """The envelope as UTF-8, the document's own text inside. ``instance`` is this message's id, one each sending."""
    envelope = etree.Element(f"{{{HEADER}}}StandardBusinessDocument", nsmap={None: HEADER})  # type: ignore[dict-item]
    header = etree.SubElement(envelope, f"{{{HEADER}}}StandardBusinessDocumentHeader")
    _add(header, "HeaderVersion", "1.0")
    for role, participant in (("Sender", document.sender), ("Receiver", document.receiver)):
        _add(_add(header, role), "Identifier", participant).set("Authority", PARTICIPANT)
    identification = _add(header, "DocumentIdentification")
    for name, value in (
        ("Standard", document.namespace),
        ("TypeVersion", UBL_VERSION),
        ("InstanceIdentifier", instance),
        ("Type", document.element),
        ("CreationDateAndTime", now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    ):
        _add(identification, name, value)
    scopes = _add(header, "BusinessScope")
    _scope(scopes, "DOCUMENTID", document.document_type, DOCUMENT)
    _scope(scopes, "PROCESSID", document.process, PROCESS)
    _scope(scopes, "COUNTRY_C1", document.country)
    head, closing = etree.tostring(envelope, encoding="unicode").rsplit("</", 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{document.written}</{closing}\n'.encode()


def _participant(role: str, endpoint: str | None, who: str, term: str) -> str:
    """``scheme:value`` in its canonical form. Belgian numbers are ten digits, under 9925 with ``be`` before."""
    scheme, _, value = (endpoint or "").rpartition(":")
    scheme, value = scheme.strip(), value.strip()
    if not value:
        raise NotAddressed(
            f"NO_{role}_ENDPOINT", f"the {who}'s cbc:EndpointID ({term}) is missing: Peppol cannot address it"
        )
    told = f"the {who}'s cbc:EndpointID ({term}) {value!r} with schemeID {scheme!r}"
    if not _SCHEME.fullmatch(scheme):
        raise NotAddressed(f"BAD_{role}_ENDPOINT", f"{told} names no Peppol scheme: a scheme has four digits, as 0208")
    if scheme in BELGIAN_SCHEMES:
        number = under_scheme(scheme, value)
        if number is None or not belgian_vat.is_valid(number.number):
            raise NotAddressed(f"BAD_{role}_ENDPOINT", f"{told} is no Belgian enterprise number: its check digits fail")
        value = number.number if scheme != VAT_SCHEME else f"be{number.number}"
    if not _VALUE.fullmatch(value):
        raise NotAddressed(f"BAD_{role}_ENDPOINT", f"{told} is not made of 1 to 50 printable characters")
    return f"{scheme}:{value.lower()}"


def _country(said: str | None, sender: str) -> str:
    country = (said or "").strip().upper()
    if _COUNTRY.fullmatch(country):
        return country
    if sender.partition(":")[0] in BELGIAN_SCHEMES:
        return "BE"
    raise NotAddressed("NO_COUNTRY", "the sender's country (BT-40, cac:Country/cbc:IdentificationCode) is missing")


def _written(content: bytes, root: etree._Element) -> str:
    """The document as text, all but its XML declaration as it was."""
    encoding = root.getroottree().docinfo.encoding or "UTF-8"
    try:
        text = content.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        raise NotAddressed("ENCODING", f"the document's encoding {encoding} cannot be made UTF-8") from None
    return text[_DECLARATION.match(text).end() :]  # type: ignore[union-attr]


def _add(parent: etree._Element, name: str, value: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, f"{{{HEADER}}}{name}")
    element.text = value
    return element


def _scope(scopes: etree._Element, kind: str, instance: str, identifier: str | None = None) -> None:
    scope = _add(scopes, "Scope")
    _add(scope, "Type", kind)
    _add(scope, "InstanceIdentifier", instance)
    if identifier is not None:
        _add(scope, "Identifier", identifier)
