"""What happened to be sold: one random bill, always the same one for the same seed, day and position in the day."""

from __future__ import annotations

import base64
from bisect import bisect
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from random import Random

from clearfacts_assets.simulator.trade import RECEIVERS, SUPPLIERS, Good, Supplier, structured_communication
from clearfacts_assets.simulator.ubl import ZERO, Attachment, Bill, Line, Surcharge, cents

MOST_LINES = 200
CREDIT_NOTES = 0.08  # share of all documents
WITH_SURCHARGE = 0.15
WITH_LINE_DISCOUNT = 0.06  # share of lines
WITH_ATTACHMENT = 0.06
PREPAID = 0.03
WITHOUT_ORDER = 0.4

_SUPPLIER_STEPS = list(accumulate(supplier.weight for supplier in SUPPLIERS))
_LINES = ((0.72, 1, 3), (0.95, 4, 10), (0.99, 11, 40), (1.0, 41, MOST_LINES))  # (up to this draw, least, most)
_TERMS = (8, 14, 30, 30, 30, 45, 60)  # days
_ATTACHMENTS = ("Werkstaat", "Leveringsbon", "Relevé des prestations", "Detail van de verbruiken")


def compose(seed: int, day: date, index: int) -> Bill:
    """The bill at a position of a day. Its number is unique per supplier."""
    draw = Random(f"{seed}/{day}/{index}")  # noqa: S311  a simulation, no secret
    supplier = SUPPLIERS[bisect(_SUPPLIER_STEPS, draw.random() * _SUPPLIER_STEPS[-1])]
    issued = day - timedelta(days=int(draw.random() ** 3 * 4))
    number = supplier.numbering.format(d=day, i=index)
    is_credit_note = draw.random() < CREDIT_NOTES
    lines = tuple(_line(draw, supplier.goods) for _ in range(_number_of_lines(draw)))
    return Bill(
        is_credit_note=is_credit_note,
        number=number,
        issued=issued,
        due=issued + timedelta(days=_TERMS[int(draw.random() * len(_TERMS))]),
        supplier=supplier,
        receiver=RECEIVERS[int(draw.random() ** 1.5 * len(RECEIVERS))],
        buyer_reference=f"KP-{int(draw.random() * 900) + 100}",
        order="" if draw.random() < WITHOUT_ORDER else f"PO{issued:%y}{int(draw.random() * 90_000) + 10_000}",
        lines=lines,
        surcharges=_surcharges(draw, lines) if draw.random() < WITH_SURCHARGE else (),
        communication=structured_communication(int(draw.random() * 10**10)),
        corrects=_earlier_number(draw, supplier, day) if is_credit_note else "",
        prepaid=_prepaid(draw, lines) if not is_credit_note and draw.random() < PREPAID else ZERO,
        attachment=_attachment(int(draw.random() * len(_ATTACHMENTS))) if draw.random() < WITH_ATTACHMENT else None,
    )


def _number_of_lines(draw: Random) -> int:
    chance = draw.random()
    for limit, least, most in _LINES:
        if chance < limit:
            return least + int(draw.random() * (most - least + 1))
    return 1


def _line(draw: Random, goods: tuple[Good, ...]) -> Line:
    good = goods[int(draw.random() * len(goods))]
    if good.by_fraction:
        quantity = Decimal(int(draw.random() * 400) + 5).scaleb(-1)
    else:
        quantity = Decimal((int(draw.random() ** 2 * 40) + 1) * (good.base if good.base > 1 else 1))
    discount = (5, 10, 15)[int(draw.random() * 3)] if draw.random() < WITH_LINE_DISCOUNT else 0
    return Line(good, quantity, discount)


def _surcharges(draw: Random, lines: tuple[Line, ...]) -> tuple[Surcharge, ...]:
    """A discount in percent or a freight charge, taxed as the first line is."""
    vat = lines[0].good.vat
    if draw.random() < 0.5:
        return (Surcharge(True, "FC", "Transport", Decimal(int(draw.random() * 4000) + 495).scaleb(-2), vat),)
    base = sum((line.gross - line.allowance for line in lines if line.good.vat == vat), ZERO)
    percent = (2, 3, 5)[int(draw.random() * 3)]
    return (Surcharge(False, "95", "Korting", cents(base * percent / 100), vat, percent, base),)


def _prepaid(draw: Random, lines: tuple[Line, ...]) -> Decimal:
    """An advance below what the lines alone come to."""
    return cents(lines[0].gross * int(draw.random() * 50 + 10) / 100)


def _earlier_number(draw: Random, supplier: Supplier, day: date) -> str:
    return supplier.numbering.format(d=day - timedelta(days=int(draw.random() * 30) + 5), i=int(draw.random() * 40))


@lru_cache(maxsize=len(_ATTACHMENTS))
def _attachment(kind: int) -> Attachment:
    title = _ATTACHMENTS[kind]
    return Attachment(
        f"BIJLAGE-{kind + 1}", title, f"bijlage-{kind + 1}.pdf", base64.b64encode(small_pdf(title)).decode()
    )


def small_pdf(title: str) -> bytes:
    """A PDF of one A4 page with one line of text, under 1 KB, with a right cross-reference table."""
    content = b"BT /F1 18 Tf 72 760 Td (" + title.encode("cp1252") + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)
