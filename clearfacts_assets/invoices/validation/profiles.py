"""What a document claims to be: its specification (BT-24, CustomizationID) and process (BT-23, ProfileID)."""

from __future__ import annotations

from enum import StrEnum

from lxml import etree

from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.ubl import CUSTOMIZATION_ID, PROFILE_ID, said

NORM = "urn:cen.eu:en16931:2017"
BIS3 = f"{NORM}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
SELF_BILLING = f"{NORM}#compliant#urn:fdc:peppol.eu:2017:poacc:selfbilling:3.0"
SELF_BILLING_PROCESS = "urn:fdc:peppol.eu:2017:poacc:selfbilling:01:1.0"


_KEY = "profile"


class Profile(StrEnum):
    """What a document claims to be."""

    PEPPOL_BIS3 = "peppol_bis3"
    SELF_BILLING = "self_billing"
    EN16931 = "en16931"
    UBL_BE = "ubl_be"
    E_FFF = "e_fff"
    UNKNOWN = "unknown"


def profile_of_document(document: ParsedDocument) -> Profile:
    """The same, read once a document."""
    profile: Profile | None = document.shared.get(_KEY)
    if profile is None:
        profile = document.shared[_KEY] = profile_of(document.root)
    return profile


def profile_of(root: etree._Element) -> Profile:
    """By CustomizationID, and by ProfileID where a self-billing document names the ordinary billing specification."""
    specification = "".join((said(root, CUSTOMIZATION_ID) or "").split())
    lowered = specification.lower()
    if "e-fff" in lowered or "efff" in lowered:
        return Profile.E_FFF
    if "ubl.be" in lowered:
        return Profile.UBL_BE
    if specification == SELF_BILLING or (
        specification.startswith(BIS3) and said(root, PROFILE_ID) == SELF_BILLING_PROCESS
    ):
        return Profile.SELF_BILLING
    if specification.startswith(BIS3):
        return Profile.PEPPOL_BIS3
    if specification == NORM or specification.startswith(f"{NORM}#"):
        return Profile.EN16931
    return Profile.UNKNOWN
