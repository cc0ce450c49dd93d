"""Who trades with whom, and in what: the invented companies and goods of the simulated invoices.

All names are invented; all numbers carry right check digits. A Belgian enterprise number has ten digits of which the
last two are 97 minus the first eight modulo 97; a Belgian account has twelve of which the last two are the first ten
modulo 97 (97 for 0), and so has a structured communication (OGM).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class VatCategory(StrEnum):
    """UNCL 5305, as far as it occurs here (BT-151)."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"


@dataclass(frozen=True, slots=True)
class Vat:
    """A VAT category with its rate in percent and, where the law asks for one, the reason for no tax."""

    category: VatCategory
    rate: int
    reason_code: str = ""  # BT-121, VATEX
    reason: str = ""  # BT-120


VAT_21 = Vat(VatCategory.STANDARD, 21)
VAT_12 = Vat(VatCategory.STANDARD, 12)
VAT_6 = Vat(VatCategory.STANDARD, 6)
VAT_0 = Vat(VatCategory.ZERO, 0)
VAT_EXEMPT = Vat(VatCategory.EXEMPT, 0, "VATEX-EU-132-1I", "Vrijgesteld van btw, artikel 44 van het Btw-Wetboek")
VAT_REVERSE = Vat(VatCategory.REVERSE_CHARGE, 0, "VATEX-EU-AE", "Verlegging van heffing")


@dataclass(frozen=True, slots=True)
class Good:
    """Something that is sold: price in EUR for ``base`` units (BT-146, BT-149), unit in UN/ECE rec. 20."""

    code: str
    name: str
    price: Decimal
    unit: str
    vat: Vat
    base: int = 1
    by_fraction: bool = False  # sold by the tenth of a unit, as hours and kilograms are


@dataclass(frozen=True, slots=True)
class Company:
    """A party. ``number`` is its ten-digit enterprise number, which is also its VAT number and Peppol address."""

    name: str
    number: str
    street: str
    city: str
    postal_code: str
    contact: str
    email: str

    @property
    def vat_number(self) -> str:
        return f"BE{self.number}"


@dataclass(frozen=True, slots=True)
class Supplier:
    """A company that sends invoices. ``numbering`` makes an invoice number of the day ``d`` and a counter ``i``."""

    company: Company
    iban: str
    bic: str
    numbering: str
    goods: tuple[Good, ...]
    weight: int  # how often it sends invoices, compared with the others


def enterprise_number(first_eight: int) -> str:
    """Ten digits with the right check digits, for instance 0123456749 of 1234567."""
    return f"{first_eight:08d}{97 - first_eight % 97:02d}"


def belgian_iban(first_ten: int) -> str:
    """An account number with both its Belgian and its international check digits (ISO 13616)."""
    account = f"{first_ten:010d}{first_ten % 97 or 97:02d}"
    check = 98 - int(f"{account}111400") % 97  # B = 11, E = 14
    return f"BE{check:02d}{account}"


def structured_communication(first_ten: int) -> str:
    """``+++090/9337/55493+++`` of 909337554."""
    digits = f"{first_ten:010d}{first_ten % 97 or 97:02d}"
    return f"+++{digits[:3]}/{digits[3:7]}/{digits[7:]}+++"


def _good(code: str, name: str, price: str, unit: str, vat: Vat, base: int = 1, *, by_fraction: bool = False) -> Good:
    return Good(code, name, Decimal(price), unit, vat, base, by_fraction)


SUPPLIERS: tuple[Supplier, ...] = (
    Supplier(
        Company(
            "Drukkerij De Ganzenveer BV",
            enterprise_number(4127730),
            "Nieuwevaart 118",
            "Gent",
            "9000",
            "Annelies Wouters",
            "facturen@ganzenveer.example",
        ),
        belgian_iban(7350144021),
        "KREDBEBB",
        "{d:%Y}/{d:%m%d}{i:05d}",
        (
            _good("DG-A5", "Flyers A5, 135 g, vierkleurendruk", "38.50", "C62", VAT_21, base=1000),
            _good("DG-BR", "Brochure 24 bladzijden, geniet", "2.145", "C62", VAT_21),
            _good("DG-BK", "Boek paperback 192 bladzijden", "6.80", "C62", VAT_6),
            _good("DG-VK", "Visitekaartjes, set van 250", "31.00", "SET", VAT_21),
            _good("DG-OP", "Opmaak en drukvoorbereiding", "62.00", "HUR", VAT_21, by_fraction=True),
        ),
        5,
    ),
    Supplier(
        Company(
            "Traiteur Van Roosbroeck NV",
            enterprise_number(8731954),
            "Grote Steenweg 41",
            "Mechelen",
            "2800",
            "Bart Van Roosbroeck",
            "boekhouding@vanroosbroeck.example",
        ),
        belgian_iban(3100788123),
        "BBRUBEBB",
        "VR{d:%y%m%d}-{i:05d}",
        (
            _good("LUNCH-1", "Broodjeslunch per persoon", "11.50", "C62", VAT_6),
            _good("BUFFET", "Warm buffet met bediening", "34.90", "C62", VAT_12),
            _good("WATER-1L", "Mineraalwater, fles 1 l", "1.05", "XBO", VAT_6),
            _good("WIJN-HW", "Huiswijn, fles 75 cl", "9.75", "XBO", VAT_21),
            _good("KOFFIE", "Koffie en thee, thermoskan", "8.40", "C62", VAT_12),
            _good("ZAAL", "Huur zaal, halve dag", "180.00", "C62", VAT_21),
        ),
        6,
    ),
    Supplier(
        Company(
            "Atelier Numérique Sambre SRL",
            enterprise_number(6549012),
            "Rue des Brasseurs 7",
            "Namur",
            "5000",
            "Élodie Lambert",
            "compta@ansambre.example",
        ),
        belgian_iban(680901340),
        "GKCCBEBB",
        "FA-{d:%Y%m%d}-{i:05d}",
        (
            _good("DEV", "Développement logiciel", "92.50", "HUR", VAT_21, by_fraction=True),
            _good("ANALYSE", "Analyse fonctionnelle", "105.00", "HUR", VAT_21, by_fraction=True),
            _good("HEBERG", "Hébergement géré, par mois", "149.00", "MON", VAT_21),
            _good("SUPPORT", "Contrat de support, par mois", "275.00", "MON", VAT_21),
            _good("DEPL", "Déplacement", "0.4297", "KMT", VAT_21),
        ),
        7,
    ),
    Supplier(
        Company(
            "Bouwwerken Heirman & Zonen BV",
            enterprise_number(4663381),
            "Industrielaan 22",
            "Aalst",
            "9300",
            "Jozef Heirman",
            "administratie@heirmanenzonen.example",
        ),
        belgian_iban(17822310),
        "GEBABEBB",
        "{d:%Y}-{d:%j}-{i:05d}",
        (
            _good("SLOOP", "Afbraakwerken binnenmuren", "48.00", "MTK", VAT_REVERSE, by_fraction=True),
            _good("PLEISTER", "Pleisterwerken", "23.75", "MTK", VAT_REVERSE, by_fraction=True),
            _good("TEGEL", "Plaatsen vloertegels", "39.20", "MTK", VAT_REVERSE, by_fraction=True),
            _good("UREN", "Regiewerk, geschoold arbeider", "46.50", "HUR", VAT_REVERSE, by_fraction=True),
        ),
        3,
    ),
    Supplier(
        Company(
            "Meuse Sciences SA",
            enterprise_number(5082277),
            "Quai de Rome 64",
            "Liège",
            "4000",
            "Thomas Delvaux",
            "facturation@meusesciences.example",
        ),
        belgian_iban(3630455610),
        "BBRUBEBB",
        "MS{d:%Y%m%d}{i:05d}",
        (
            _good("TIP-200", "Embouts de pipette 200 µl, rack de 96", "7.36", "C62", VAT_21),
            _good("FALCON-50", "Tubes coniques 50 ml", "14.905", "C62", VAT_21, base=25),
            _good("GANT-M", "Gants nitrile, taille M, boîte de 100", "8.95", "XBX", VAT_21),
            _good("ETHANOL", "Éthanol absolu, qualité analyse", "21.40", "LTR", VAT_21, by_fraction=True),
            _good("PLAQUE-96", "Plaques 96 puits, fond plat", "3.18", "C62", VAT_21),
            _good("AZOTE", "Azote liquide", "1.9350", "KGM", VAT_21, by_fraction=True),
            _good("ANTICORPS", "Anticorps monoclonal, 100 µg", "318.00", "C62", VAT_21),
        ),
        8,
    ),
    Supplier(
        Company(
            "Vormingscentrum De Brug VZW",
            enterprise_number(4310098),
            "Bondgenotenlaan 150",
            "Leuven",
            "3000",
            "Griet Claes",
            "secretariaat@debrug-vorming.example",
        ),
        belgian_iban(9790881123),
        "ARSPBE22",
        "BRUG/{d:%y}/{d:%j}/{i:05d}",
        (
            _good("CURSUS-D", "Beroepsopleiding, dag per deelnemer", "165.00", "DAY", VAT_EXEMPT),
            _good("CURSUS-A", "Avondcursus, reeks van tien lessen", "240.00", "C62", VAT_EXEMPT),
            _good("SYLLABUS", "Cursusboek", "18.50", "C62", VAT_6),
        ),
        3,
    ),
    Supplier(
        Company(
            "Uitgeverij Het Scheldeblad NV",
            enterprise_number(4049915),
            "Brouwersvliet 30",
            "Antwerpen",
            "2000",
            "Karim El Idrissi",
            "advertenties@scheldeblad.example",
        ),
        belgian_iban(4144500120),
        "KREDBEBB",
        "SB-{d:%Y%m}-{d:%d}{i:05d}",
        (
            _good("KRANT", "Dagblad, abonnement per exemplaar", "1.15", "C62", VAT_0),
            _good("WEEK", "Weekblad, abonnement per exemplaar", "3.60", "C62", VAT_0),
            _good("ADV-Q", "Advertentie kwartpagina", "425.00", "C62", VAT_21),
            _good("ADV-V", "Vacaturebericht online, 30 dagen", "290.00", "C62", VAT_21),
        ),
        2,
    ),
    Supplier(
        Company(
            "Groene Stroom Schelde CV",
            enterprise_number(7290463),
            "Kapeldreef 9",
            "Temse",
            "9140",
            "Nele De Smedt",
            "facturatie@groenestroom.example",
        ),
        belgian_iban(5230801560),
        "TRIOBEBB",
        "GS{d:%y}{d:%j}{i:06d}",
        (
            _good("KWH-P", "Elektriciteit piek", "14.8732", "KWH", VAT_21, base=100),
            _good("KWH-D", "Elektriciteit dal", "11.2091", "KWH", VAT_21, base=100),
            _good("NET", "Nettarief en heffingen", "6.0145", "KWH", VAT_21, base=100),
            _good("VAST", "Vaste vergoeding per maand", "5.42", "MON", VAT_21),
            _good("WARMTE", "Restwarmte", "4.9120", "KWH", VAT_6, base=100),
        ),
        4,
    ),
)

# All of them can deduct VAT in part, so a domestic reverse charge for works in immovable property is legal.
RECEIVERS: tuple[Company, ...] = (
    Company(
        "Zenne Onderzoek VZW",
        enterprise_number(8420167),
        "Koolmijnenkaai 62",
        "Brussel",
        "1080",
        "Hilde Maes",
        "crediteuren@zenne-onderzoek.example",
    ),
    Company(
        "Instituut voor Toegepaste Biologie NV",
        enterprise_number(4755102),
        "Technologiepark 71",
        "Zwijnaarde",
        "9052",
        "Pieter Goossens",
        "ap@itb-biologie.example",
    ),
    Company(
        "Maison Horlait Recherche ASBL",
        enterprise_number(6810940),
        "Avenue Louise 203",
        "Bruxelles",
        "1050",
        "Sophie Marchal",
        "fournisseurs@horlait.example",
    ),
)
