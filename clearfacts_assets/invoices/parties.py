"""Parties: one normal form, whatever identifiers stand in the document and however they are written.

Two documents with the same number from one supplier to one customer are one invoice, whether the ERP writes the VAT
number, the enterprise number or both. What belongs to a register is said in ``company_numbers.py``; here it is
decided by which of its identifiers a party is known, and when two of them cannot be one party's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from clearfacts_assets.invoices.company_numbers import (
    BELGIAN,
    BELGIAN_SCHEMES,
    NAME,
    PLAIN,
    VAT,
    VAT_SCHEMES,
    Identity,
    as_vat_number,
    compact,
    scheme_code,
    under_scheme,
    without_scheme,
)

VAT_NUMBER, LEGAL_NUMBER, ENDPOINT, OTHER = "VAT number", "legal number", "endpoint", "identifier"
ELSEWHERE = "?"  # a country that is not Belgium, whichever
OF_NO_COUNTRY = frozenset({"GLN", "DUNS", "LEI", "EM", "EAS-0193", "EAS-0209", "EAS-9918"})
REMEMBERED_CHARACTERS = 500  # of a party in all; one with more is worked out each time
_BELGIUM = ("BE", "BEL")
_IN_WORDS = {
    PLAIN: "a number that names neither register nor country",
    NAME: "a name",
    "SIREN": "a SIREN",
    "GLN": "a GLN",
    "EM": "an e-mail address",
}


@dataclass(frozen=True, slots=True)
class Party:
    """A supplier (BG-4) or a customer (BG-7), as the document writes it; any identifier may be missing.

    ``vat_id`` is BT-31 / BT-48, ``legal_id`` is BT-30 / BT-47, ``endpoint`` is BT-34 / BT-49 and ``other_ids`` are
    BT-29 / BT-46. The last two have their scheme in front (``0208:0123456749``), where there is one.
    """

    name: str
    vat_id: str | None = None
    legal_id: str | None = None
    endpoint: str | None = None
    legal_scheme: str | None = None
    vat_scheme: str | None = None
    other_ids: tuple[str, ...] = ()
    country: str | None = None  # BT-40 / BT-55

    def __post_init__(self) -> None:
        object.__setattr__(self, "other_ids", tuple(self.other_ids))  # a list, where it comes from JSON


class Traded(Protocol):
    """Whatever goes from a supplier to a customer."""

    @property
    def supplier(self) -> Party: ...

    @property
    def customer(self) -> Party: ...


@dataclass(frozen=True, slots=True)
class _Written:
    """One identifier as it stands in the document."""

    role: str
    scheme: str  # a code, or what is written; empty where nothing is
    text: str

    def __str__(self) -> str:
        return f"{self.role} {self.scheme}:{self.text}" if self.scheme else f"{self.role} {self.text}"


def normal_form(party: Party) -> str:
    """By what a party is the same party. Only a Belgian one's is BE and ten digits; any other holds more letters.

    The first there is of: its Belgian number; another company or VAT number; the legal number, the endpoint or another
    identifier under a scheme; one without a scheme; its name.
    """
    return _remembered_form(party) if _is_remembered(party) else str(_identity(party))


def _is_remembered(party: Party) -> bool:
    written = (party.name, party.vat_id, party.legal_id, party.endpoint, party.legal_scheme, party.vat_scheme)
    return sum(len(text) for text in (*written, party.country, *party.other_ids) if text) <= REMEMBERED_CHARACTERS


@lru_cache(maxsize=4096)  # a day's invoices come from few suppliers and go to few customers
def _remembered_form(party: Party) -> str:
    return str(_identity(party))


def is_belgian(form: str) -> bool:
    """Whether a normal form is that of a Belgian company."""
    return form.startswith(BELGIAN) and len(form) == 12 and form[2:].isdigit()


def in_words(form: str) -> str:
    """What a normal form is: ``a SIREN``, ``a GLN``, ``a VAT number of another country``."""
    if is_belgian(form):
        return "a Belgian enterprise number"
    register, colon, _ = form.partition(":")
    if not colon:
        return "a VAT number of another country"
    return _IN_WORDS.get(register, f"a number of {form.rpartition(':')[0]}")


def contradictions(invoice: Traded) -> tuple[str, ...]:
    """Why nobody can tell who the supplier or the customer is, in words for a person; empty where it is plain.

    Two different numbers of a register that gives a company only one contradict each other. Identifiers of different
    registers never do: a GLN, an establishment's number or another country's VAT number beside the VAT number.
    """
    found: list[str] = []
    for role, party in (("supplier", invoice.supplier), ("customer", invoice.customer)):
        found += (_remembered_contradictions if _is_remembered(party) else _contradictions)(role, party)
    return tuple(dict.fromkeys(found))


def _contradictions(role: str, party: Party) -> tuple[str, ...]:
    found = []
    first: dict[str, tuple[_Written, Identity]] = {}
    for written, identity in _identities(party):
        if not identity.is_the_only_one:
            continue
        before, known = first.setdefault(identity.register, (written, identity))
        if known != identity:
            found.append(f"the {role}'s {before} ({known}) and {written} ({identity}) are two companies' numbers")
    return tuple(found)


_remembered_contradictions = lru_cache(maxsize=4096)(_contradictions)


def _identity(party: Party) -> Identity:
    found = [identity for _, identity in _identities(party)]
    for fits in (
        lambda identity: identity.register == BELGIAN,
        lambda identity: identity.is_telling,
        lambda identity: identity.register != PLAIN,
        lambda identity: True,
    ):
        for identity in found:
            if fits(identity):
                return identity
    return Identity(NAME, compact(party.name) or party.name)


def _identities(party: Party) -> Iterator[tuple[_Written, Identity]]:
    """Each identifier with its number, the most telling role first."""
    written = list(_written(party))
    country = _country(party, written)
    schemes = {compact(one.text): one.scheme for one in written if one.scheme and one.scheme != VAT}
    for one in written:
        if one.role == VAT_NUMBER or one.scheme == VAT:
            identity = _as_vat_number(one, country)
        elif one.scheme or compact(one.text) in schemes:
            # The same digits under a scheme, elsewhere in the party, say what those without one are.
            identity = under_scheme(one.scheme or schemes[compact(one.text)], one.text)
        elif one.role == OTHER:
            # Often the supplier's own number for its customer: only BE in front makes it a Belgian company's.
            identity = without_scheme(one.text, ELSEWHERE)
        else:
            identity = without_scheme(one.text, country)
        if identity is not None:
            yield one, identity


def _as_vat_number(one: _Written, country: str) -> Identity | None:
    if one.scheme in VAT_SCHEMES or one.scheme in BELGIAN_SCHEMES:
        return under_scheme(one.scheme, one.text)
    return as_vat_number(one.text, country)


def _written(party: Party) -> Iterator[_Written]:
    yield from _one(VAT_NUMBER, party.vat_scheme, party.vat_id)
    yield from _one(LEGAL_NUMBER, party.legal_scheme, party.legal_id)
    yield from _one(ENDPOINT, None, party.endpoint)
    for identifier in party.other_ids:
        yield from _one(OTHER, None, identifier)


def _one(role: str, scheme: str | None, identifier: str | None) -> Iterator[_Written]:
    before, _, text = (identifier or "").rpartition(":")
    if text.strip():
        yield _Written(role, scheme_code(scheme or before), text.strip())


def _country(party: Party, written: list[_Written]) -> str:
    """The address', else the one that another number names: BE, ``?`` for any other, empty where nothing says it."""
    said = compact(party.country or "")
    if said:
        return BELGIAN if said in _BELGIUM else said
    named = {_named_by(one) for one in written}
    return next((country for country in (BELGIAN, ELSEWHERE) if country in named), "")


def _named_by(one: _Written) -> str:
    if one.role == VAT_NUMBER or one.scheme == VAT:
        identity = _as_vat_number(one, ELSEWHERE)
    else:
        identity = under_scheme(one.scheme, one.text) if one.scheme else None
    if identity is None or identity.register == PLAIN or identity.register in OF_NO_COUNTRY:
        return ""
    if identity.register == BELGIAN:
        return BELGIAN
    return ELSEWHERE if identity.is_telling or one.role in (LEGAL_NUMBER, ENDPOINT) else ""
