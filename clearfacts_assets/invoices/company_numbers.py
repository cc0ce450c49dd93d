"""Numbers of companies: which register one belongs to, and its one way of being written.

Registers that give a company the same digits are one: a Belgian VAT number is its enterprise number, a French one ends
in the SIREN, a SIRET begins with it. Codes are those of the Peppol participant identifier schemes (ISO 6523 and EAS).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from stdnum.be import vat as belgian_vat
from stdnum.eu import vat as european_vat
from stdnum.fr import siren

BELGIAN = "BE"  # the register of Belgian enterprises; its numbers are their VAT numbers too
BELGIAN_SCHEMES = ("0208", "9925", "9956")
PLAIN, NAME = "ID", "NAME"  # of an identifier without a register, and of a party without an identifier
VAT = "VAT"  # a scheme that says that it is a VAT number, and not whose
IGNORED_SCHEMES = frozenset({"SEPA"})  # a bank's creditor identifier (BT-90) names no party
ANY_TEXT_SCHEMES = frozenset({"EM"})  # an e-mail address: its points and hyphens tell parties apart

# A register and, by scheme, how its number is found in what is written (letters and digits only).
_SCHEMES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(BELGIAN_SCHEMES, (BELGIAN, r"(?:BE)?([01]?\d{9})")),
    "0002": ("SIREN", r"(\d{9})"),
    "0009": ("SIREN", r"(\d{9})\d{5}"),
    "0225": ("SIREN", r"(\d{9})\w*"),
    "9957": ("SIREN", r"(?:FR)?(?:[0-9A-Z]{2})?(\d{9})"),
    **dict.fromkeys(("0192", "9908", "9909"), ("NO:ORG", r"(?:NO)?(\d{9})(?:MVA)?")),
    "0007": ("SE:ORG", r"(\d{10})"),
    "9955": ("SE:ORG", r"(?:SE)?(\d{10})\d{2}"),
    **dict.fromkeys(("0212", "0213"), ("FI:ORG", r"(?:FI)?(\d{8})")),
    **dict.fromkeys(("0037", "0216"), ("FI:ORG", r"0037(\d{8})\w*")),
    **dict.fromkeys(("0184", "0198", "9902", "9904"), ("DK:CVR", r"(?:DK)?(\d{8})")),
    **dict.fromkeys(("0183", "9927"), ("CH:UID", r"(?:CHE)?(\d{9})(?:MWST|TVA|IVA|VAT|HR)?")),
}
# Of these a company has one number. It may have many GLNs, DUNS numbers and addresses; a Danish one more VAT numbers.
ONE_NUMBER_EACH = frozenset({BELGIAN, "SIREN", "NO:ORG", "SE:ORG", "FI:ORG", "CH:UID"})

VAT_SCHEMES = {
    **{"9910": "HU", "9914": "AT", "9920": "ES", "9922": "AD", "9923": "AL", "9924": "BA", "9925": "BE", "9926": "BG"},
    **{"9927": "CH", "9928": "CY", "9929": "CZ", "9930": "DE", "9931": "EE", "9932": "GB", "9933": "GR", "9934": "HR"},
    **{"9935": "IE", "9936": "LI", "9937": "LT", "9938": "LU", "9939": "LV", "9940": "MC", "9941": "ME", "9942": "MK"},
    **{"9943": "MT", "9944": "NL", "9945": "PL", "9946": "PT", "9947": "RO", "9948": "RS", "9949": "SI", "9950": "SK"},
    **{"9951": "SM", "9952": "TR", "9953": "VA", "9955": "SE", "9957": "FR", "9909": "NO", "0211": "IT", "0213": "FI"},
    "0198": "DK",
}
_SCHEME_OF_COUNTRY = {country: scheme for scheme, country in VAT_SCHEMES.items()}
_PREFIXES = {country: (country,) for country in _SCHEME_OF_COUNTRY} | {
    "GR": ("EL", "GR"),
    "GB": ("GB", "XI"),  # Northern Ireland's traders have the same number behind either
    "CH": ("CHE",),
}
_COUNTRY_OF_PREFIX = {prefix: country for country, prefixes in _PREFIXES.items() for prefix in prefixes}
# National registers of which a number without a scheme may be taken, where the address is in that country.
_TAKEN_AT_HOME = {"FR": (("0002", siren.is_valid), ("0009", lambda number: siren.is_valid(number[:9])))}

_SAME_SCHEME = {"9906": "0211", "9907": "0210", "9954": "0190", "9958": "0204"}  # withdrawn codes and their heirs
_SPELLED = {
    **{f"{country}:VAT": scheme for scheme, country in VAT_SCHEMES.items()},
    **dict.fromkeys(("BE", "BE:EN", "BE:CBE", "BE:KBO", "BE:BCE", "EN", "CBE", "KBO", "BCE"), "0208"),
    **dict.fromkeys(("FR:SIREN", "FR:SIRENE", "SIREN", "SIRENE"), "0002"),
    **dict.fromkeys(("FR:SIRET", "SIRET"), "0009"),
    **dict.fromkeys(("NO:ORG", "NO:ORGNR"), "0192"),
    **{"SE:ORG": "0007", "SE:ORGNR": "0007", "FI:ORG": "0212", "FI:OVT": "0037", "FI:OVT2": "0216", "IT:IVA": "0211"},
    **{"DK:CVR": "0184", "DK:DIGST": "0184", "DK:SE": "0198", "DK:ERST": "0198", "CH:UID": "0183", "CH:UIDB": "0183"},
    **{"GLN": "0088", "EAN": "0088", "DUNS": "0060", "NL:KVK": "0106", "KVK": "0106", "NL:OINO": "0190", "LEI": "0199"},
    **{"EE:CC": "0191", "IS:KTNR": "0196", "LT:LEC": "0200", "DE:LWID": "0204", "IT:CF": "0210", "IT:CFI": "0210"},
    "LV:URN": "0218",
    **dict.fromkeys(("BTW", "TVA", "MWST"), VAT),
}
_NAMES = {"0088": "GLN", "0060": "DUNS", "0106": "NL:KVK", "0190": "NL:OINO", "0199": "LEI", "0191": "EE:CC"} | {
    **{"0196": "IS:KTNR", "0200": "LT:LEC", "0204": "DE:LWID", "0210": "IT:CFI", "0218": "LV:URN"},
}
_NO_LETTER_OR_DIGIT = re.compile(r"[^0-9A-Z]+")
_CODE_AT_THE_END = re.compile(r"(?:^|:)(\d{4})$", re.ASCII)
_WITH_BE = re.compile(r"BE([01]?\d{9})", re.ASCII)
_VAT_WORDS = re.compile(r"^(?:BTW|TVA|VAT|MWST)(?=[A-Z]{2}[0-9A-Z]|\d)", re.ASCII)
_DIGITS = re.compile(r"[01]?\d{9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """A number in its register; ``str`` is its normal form, of which only a Belgian one begins with BE and digits."""

    register: str  # BE, SIREN, ..., VAT:DE for a VAT number, GLN, EAS-0240 for another scheme, ID for none, NAME
    number: str

    def __str__(self) -> str:
        if self.register == BELGIAN:
            return f"{BELGIAN}{self.number}"
        kind, _, country = self.register.partition(":")
        if kind == VAT:
            return f"{_PREFIXES[country][0]}{self.number}"
        return f"{self.register}:{self.number}"

    @property
    def is_telling(self) -> bool:
        """Whether it is the number of a company, and not of a place, an address or nobody knows what."""
        return self.register in ONE_NUMBER_EACH or self.register == "DK:CVR" or self.register.startswith(f"{VAT}:")

    @property
    def is_the_only_one(self) -> bool:
        """Whether one company cannot have two of the kind."""
        return self.is_telling and self.register != "DK:CVR"


def compact(written: str) -> str:
    """Letters and digits alone, upper case, in their ordinary form."""
    if written.isascii():
        return _NO_LETTER_OR_DIGIT.sub("", written.upper())
    return "".join(character for character in unicodedata.normalize("NFKC", written).upper() if character.isalnum())


def scheme_code(written: str | None) -> str:
    """``iso6523-actorid-upis::0208``, ``BE:CBE`` and ``be_cbe`` are 0208; other spellings stay, in upper case."""
    spelled = re.sub(r"[\s_:./-]+", ":", unicodedata.normalize("NFKC", written or "").upper()).strip(":")
    code = _CODE_AT_THE_END.search(spelled)
    spelled = code.group(1) if code else spelled
    return _SAME_SCHEME.get(spelled, _SPELLED.get(spelled, spelled))


def says_nothing(written: str) -> bool:
    """Whether no number stands there: ``N/A``, ``-``, ``000``."""
    return not any(character.isdigit() and character != "0" for character in compact(written))


def under_scheme(scheme: str, written: str) -> Identity | None:
    """The number that a scheme (as :func:`scheme_code` gives it) says; None where none is written."""
    if scheme in IGNORED_SCHEMES:
        return None
    if scheme in ANY_TEXT_SCHEMES:
        text = "".join(unicodedata.normalize("NFKC", written).casefold().split())
        return Identity(scheme, text) if text else None
    if says_nothing(written):
        return None
    number = compact(written)
    register, pattern = _SCHEMES.get(scheme, ("", ""))
    if found := re.fullmatch(pattern, number, re.ASCII):
        return Identity(register, found.group(1).zfill(10) if register == BELGIAN else found.group(1))
    country = VAT_SCHEMES.get(scheme, BELGIAN)
    if country != BELGIAN:
        return Identity(f"{VAT}:{country}", _without_prefix(number, country))
    if not scheme.isdigit() and (with_be := _WITH_BE.fullmatch(number)):
        return Identity(BELGIAN, with_be.group(1).zfill(10))  # a scheme that says nothing, a number that does
    return Identity(_NAMES.get(scheme) or (f"EAS-{scheme}" if scheme.isdigit() else scheme), number)


def as_vat_number(written: str, country: str) -> Identity | None:
    """What stands where the VAT number belongs; ``country`` is the party's address', empty where nothing says it."""
    number = _VAT_WORDS.sub("", compact(written))
    prefixed = _COUNTRY_OF_PREFIX.get(number[:3]) or _COUNTRY_OF_PREFIX.get(number[:2])
    if prefixed and not says_nothing(number):
        return under_scheme(_SCHEME_OF_COUNTRY[prefixed], number)
    if country != BELGIAN and country in _SCHEME_OF_COUNTRY:
        return under_scheme(_SCHEME_OF_COUNTRY[country], number)
    return without_scheme(written, country)


def without_scheme(written: str, country: str) -> Identity | None:
    """An identifier of which nothing says what it is: Belgian with BE, or at home with right check digits."""
    if says_nothing(written):
        return None
    number = _VAT_WORDS.sub("", compact(written))
    if with_be := _WITH_BE.fullmatch(number):
        return Identity(BELGIAN, with_be.group(1).zfill(10))
    if country in ("", BELGIAN) and _DIGITS.fullmatch(number) and belgian_vat.is_valid(number):
        return Identity(BELGIAN, number.zfill(10))
    for scheme, is_valid in _TAKEN_AT_HOME.get(country, ()):
        found = under_scheme(scheme, number)
        if found and found.register == "SIREN" and is_valid(number):
            return found
    if number[:2].isalpha() and number[:2] in _COUNTRY_OF_PREFIX and european_vat.is_valid(number):
        return as_vat_number(number, "")
    return Identity(PLAIN, number)


def _without_prefix(number: str, country: str) -> str:
    for prefix in _PREFIXES[country]:
        if number.startswith(prefix):
            return number.removeprefix(prefix)
    return number
