"""Belgian numbers whose check digits the norm and Peppol do not look at.

Findings are warnings; a policy may raise them. A number is called wrong only where its check digits say so: a valid
number that is written unusually is not a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version

from stdnum.be import ogm_vcs, vat
from stdnum.iso7064 import mod_97_10
from stdnum.util import clean

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import Element, ElementIndex, element_index_of, location_of
from clearfacts_assets.invoices.validation.profiles import Profile, profile_of_document
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import CAC, CBC

LAYER = "belgium"
SHORT = 40  # characters of a number that is remembered
REMEMBERED = 1000  # numbers of which is known whether they are right
ENTERPRISE_SCHEME = "0208"  # of ISO 6523: the Crossroads Bank for Enterprises
_STRUCTURED = re.compile(r"(?:\+{3}|\*{3})(.*)(?:\+{3}|\*{3})|(\d{3}/\d{4}/\d{5})")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_PEPPOL = (Profile.PEPPOL_BIS3, Profile.SELF_BILLING)  # there PEPPOL-COMMON-R043 checks enterprise numbers


class Belgium:
    """BE-VAT, BE-ENTERPRISE, BE-OGM and BE-IBAN. Safe to use from several threads."""

    layer = LAYER

    def __init__(self) -> None:
        self.version = f"python-stdnum {version('python-stdnum')}"

    def check(self, document: ParsedDocument) -> list[Finding]:
        index = element_index_of(document)
        found = [*_vat_numbers(index), *_references(index), *_accounts(index)]
        if profile_of_document(document) not in _PEPPOL:
            found += _enterprise_numbers(index)
        return found


def _is_vat(number: str) -> bool:
    return _is_short_vat(number) if len(number) <= SHORT else bool(vat.is_valid(number))


@lru_cache(maxsize=REMEMBERED)
def _is_short_vat(number: str) -> bool:
    """A company's number stands in all that it sends."""
    return bool(vat.is_valid(number))


@lru_cache(maxsize=REMEMBERED)
def _is_iban(number: str) -> bool:
    """Of what looks like one, and is short."""
    return bool(mod_97_10.is_valid(number[4:] + number[:4]))


def _warning(rule: str, element: Element, message: str) -> Finding:
    return Finding(rule, LAYER, Severity.WARNING, message, location_of(element))


def _vat_numbers(index: ElementIndex) -> Iterator[Finding]:
    """BT-31, BT-48, BT-63 that start with BE."""
    for scheme in index.all(f"{{{CAC}}}PartyTaxScheme"):
        for number in scheme.by.get(f"{{{CBC}}}CompanyID", ()):
            written = number.value.strip()
            if written.upper().startswith("BE") and not _is_vat(written):
                yield _warning("BE-VAT", number, f"{written} is not a Belgian VAT number: its check digits are wrong")


def _enterprise_numbers(index: ElementIndex) -> Iterator[Finding]:
    """BT-30, BT-47, BT-34, BT-49 under scheme 0208."""
    for name in ("CompanyID", "EndpointID"):
        for number in index.all(f"{{{CBC}}}{name}"):
            if number.attributes.get("schemeID") == ENTERPRISE_SCHEME and not _is_vat(number.value.strip()):
                message = f"{number.value.strip()} is not a Belgian enterprise number: its check digits are wrong"
                yield _warning("BE-ENTERPRISE", number, message)


def _references(index: ElementIndex) -> Iterator[Finding]:
    """BT-83 in the form of a structured communication: ``+++090/9337/55493+++``."""
    for reference in index.all(f"{{{CBC}}}PaymentID"):
        written = reference.value.strip()
        if _STRUCTURED.fullmatch(written) and not ogm_vcs.is_valid(written.replace("*", "+")):
            message = f"{written} is not a structured communication (OGM/VCS): its check digits are wrong"
            yield _warning("BE-OGM", reference, message)


def _accounts(index: ElementIndex) -> Iterator[Finding]:
    """BT-84 where it has the form of an IBAN."""
    for account in index.all(f"{{{CAC}}}PayeeFinancialAccount"):
        for number in account.by.get(f"{{{CBC}}}ID", ()):
            written = clean(number.value, " -.").strip().upper()
            # Only the check digits: bank codes come and go, and a list of them grows old.
            if _IBAN.fullmatch(written) and not _is_iban(written):
                yield _warning("BE-IBAN", number, f"{number.value.strip()} is not an IBAN: its check digits are wrong")


def rule_set(options: RuleOptions) -> Belgium:
    return Belgium()
