"""Charts as SVG, drawn on the server; the table with the same figures stands beside each of them in its template."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup, escape

WIDTH, HEIGHT, FOOT, HEAD = 400, 190, 24, 18
GAP = 0.32  # of a column's place


def columns(points: Sequence[tuple[str, str, str]], title: str) -> Markup:
    """A column a point: (label, amount as exact text, amount as people read it). Negative ones stand as nothing."""
    if not points:
        return Markup("")
    amounts = [max(Decimal(amount), Decimal(0)) for _, amount, _ in points]
    top = max(amounts) or Decimal(1)
    place = WIDTH / len(points)
    drawn = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<line class="ground" x1="0" x2="{WIDTH}" y1="{HEIGHT - FOOT}" y2="{HEIGHT - FOOT}"/>'
    ]
    for number, ((label, _, shown), amount) in enumerate(zip(points, amounts, strict=True)):
        tall = float(amount / top) * (HEIGHT - FOOT - HEAD)
        left, wide = place * (number + GAP / 2), min(place * (1 - GAP), 56)
        left += (place * (1 - GAP) - wide) / 2
        middle, last = left + wide / 2, number == len(points) - 1
        drawn.append(
            f'<rect class="{"bar now" if last else "bar"}" x="{left:.1f}" y="{HEIGHT - FOOT - tall:.1f}" '
            f'width="{wide:.1f}" height="{tall:.1f}" rx="3"><title>{escape(label)}: {escape(shown)}</title></rect>'
            f'<text x="{middle:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{escape(label)}</text>'
        )
        if last:
            drawn.append(
                f'<text class="value" x="{middle:.1f}" y="{HEIGHT - FOOT - tall - 5:.1f}" '
                f'text-anchor="middle">{escape(shown)}</text>'
            )
    return Markup("".join(drawn) + "</svg>")  # noqa: S704 - every text in it was escaped


def share(part: str, whole: str) -> Markup:
    """A thin bar: how much of the whole a part is."""
    of = Decimal(whole)
    wide = min(max(float(Decimal(part) / of), 0.0), 1.0) * 100 if of > 0 else 0.0
    return Markup(  # noqa: S704 - a number alone
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rest" width="100" height="6" rx="3"/>'
        f'<rect class="part" width="{wide:.1f}" height="6" rx="3"/></svg>'
    )
