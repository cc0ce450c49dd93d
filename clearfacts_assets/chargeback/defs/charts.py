"""Small charts as SVG: columns by month, bars beside the month before. Drawn for light and dark pages alike, with text
that can be read without colours; amounts come rounded, since a chart is no account."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH = 720
INK, PALE, LINE, PAPER, BEFORE = "#1f2933", "#616e7c", "#d5dbe1", "#ffffff", "#b6c0ca"
# Okabe and Ito's colours, which people tell apart who see colours differently; the last one is for what is left.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
OTHERS = "#9aa5b1"
HEADING, BOLD = 15, 600  # size and weight of a chart's name
FONT = "font-family='Inter,Segoe UI,Helvetica,Arial,sans-serif'"
MOST_BARS, MOST_SERIES, LONGEST_NAME, MOST_STEPS = 10, 6, 30, 5


def as_markdown(svg: str, words: str) -> str:
    """An image that needs no file and no server; ``words`` for who does not see it."""
    packed = base64.b64encode(svg.encode()).decode()
    return f"![{words.replace('[', '(').replace(']', ')')}](data:image/svg+xml;base64,{packed})"


def columns(title: str, months: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """A column a month, with a piece for each series, the largest at the bottom; the sum stands above. What is below
    zero (credits) hangs under the line."""
    names = sorted(series, key=lambda name: -sum(map(abs, series[name])))
    shown = {name: list(series[name]) for name in names[:MOST_SERIES]}
    if rest := names[MOST_SERIES:]:
        shown[f"{len(rest)} others"] = [sum(series[name][place] for name in rest) for place in range(len(months))]
    colours = dict(zip(shown, [*COLOURS[: min(len(names), MOST_SERIES)], OTHERS], strict=False))
    top = max((sum(max(one[p], 0) for one in shown.values()) for p in range(len(months))), default=0)
    low = min((sum(min(one[p], 0) for one in shown.values()) for p in range(len(months))), default=0)
    legend = _legend(colours)
    plot = _Plot(left=64, top=52 + 18 * legend.count("<rect") // 3 + 14, height=190, high=_round_up(top), low=low)
    parts = [_text(20, 26, title, size=HEADING, colour=INK), legend, *plot.grid()]
    step = (WIDTH - plot.left - 20) / max(len(months), 1)
    width = min(step * 0.66, 56)
    for place, month in enumerate(months):
        x = plot.left + step * place + (step - width) / 2
        up = down = 0.0
        for name, values in shown.items():
            value = values[place]
            begin = up if value >= 0 else down
            parts.append(plot.piece(x, width, begin, value, colours[name], f"{month}, {name}: {amount(value)}"))
            up, down = up + max(value, 0), down + min(value, 0)
        parts.append(_text(x + width / 2, plot.y(up) - 5, amount(up + down), size=10, anchor="middle", colour=INK))
        parts.append(_text(x + width / 2, plot.bottom + 16, month, size=10, anchor="middle"))
    return _svg(plot.bottom + 28, parts)


def bars(title: str, rows: Sequence[tuple[str, float, float]], month: str, before: str) -> str:
    """A bar for each (name, now, the month before), the largest first; thin and grey below it, what was before."""
    ordered = sorted(rows, key=lambda one: -abs(one[1]))
    shown = ordered[:MOST_BARS]
    if rest := ordered[MOST_BARS:]:
        shown = [*shown, (f"{len(rest)} others", sum(one[1] for one in rest), sum(one[2] for one in rest))]
    left, room = 210, WIDTH - 210 - 150
    most = max((max(abs(now), abs(then)) for _, now, then in shown), default=0) or 1
    parts = [
        _text(20, 26, title, size=HEADING, colour=INK),
        f"<rect x='20' y='38' width='14' height='8' fill='{COLOURS[0]}'/>",
        _text(40, 46, month, size=11),
        f"<rect x='100' y='42' width='14' height='4' fill='{BEFORE}'/>",
        _text(120, 46, f"{before}, and ▲▼ the change since", size=11),
    ]
    y = 60
    for name, now, then in shown:
        colour = OTHERS if name.endswith(" others") else COLOURS[5 if now < 0 else 0]
        told = f"{name}: {amount(now)}, {before} {amount(then)}"
        length = abs(now) / most * room
        parts += [
            _text(left - 10, y + 14, shortened(name), size=12, anchor="end", colour=INK, title=name),
            _rect(left, y + 2, length, 14, colour, told),
            _rect(left, y + 17, abs(then) / most * room, 4, BEFORE, told),
            _text(left + length + 8, y + 14, f"{amount(now)}  {change(now, then)}", size=12, colour=INK),
        ]
        y += 30
    return _svg(y + 8, parts)


def amount(value: float) -> str:
    """Rounded so that it can be read: 1.2M, 34.5k, 812, 3.40."""
    size, sign = abs(value), "−" if value < 0 else ""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            scaled = size / (1e3 if letter == "k" else unit)
            return f"{sign}{scaled:.1f}{letter}"
    return f"{sign}{size:,.0f}" if size >= 100 else f"{sign}{size:.2f}"


def change(now: float, then: float) -> str:
    """In words that need no colour."""
    if not then:
        return "new" if now else ""
    percent = (now - then) / abs(then) * 100
    if abs(percent) < 0.5:
        return "="
    return f"{'▲' if percent > 0 else '▼'} {abs(percent):,.0f} %" if abs(percent) < 1000 else "▲ > 1,000 %"


def shortened(name: str) -> str:
    """Both ends of a long name say most."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


class _Plot:
    """Where amounts lie on the paper."""

    def __init__(self, left: int, top: int, height: int, high: float, low: float) -> None:
        self.left, self.bottom, self._top = left, top + height, top
        self._low, self._scale = low, height / ((high - low) or 1)
        self._high = high

    def y(self, value: float) -> float:
        return self.bottom - (value - self._low) * self._scale

    def grid(self) -> list[str]:
        parts = []
        step = _step(self._high)
        for place in range(round(self._high / step) + 1):
            value = step * place
            y = self.y(value)
            stroke = LINE if place else PALE
            parts.append(f"<line x1='{self.left}' x2='{WIDTH - 20}' y1='{y:.1f}' y2='{y:.1f}' stroke='{stroke}'/>")
            parts.append(_text(self.left - 8, y + 4, amount(value) if value else "0", size=10, anchor="end"))
        return parts

    def piece(self, x: float, width: float, begin: float, value: float, colour: str, told: str) -> str:
        top, low = max(self.y(begin), self.y(begin + value)), min(self.y(begin), self.y(begin + value))
        return _rect(x, low, width, top - low, colour, told)


def _legend(colours: Mapping[str, str]) -> str:
    parts, x, y = [], 20, 42
    for name, colour in colours.items():
        width = 20 + 7 * len(shortened(name))
        if x + width > WIDTH - 20:
            x, y = 20, y + 18
        parts.append(f"<rect x='{x}' y='{y}' width='11' height='11' rx='2' fill='{colour}'/>")
        parts.append(_text(x + 16, y + 10, shortened(name), size=11))
        x += width + 12
    return "".join(parts)


def _step(most: float) -> float:
    """Between two lines of the grid: 1, 2, 2.5 or 5 with zeros, so that at most five steps reach ``most``."""
    if most <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(most / MOST_STEPS))
    return next(unit * one for one in (1, 2, 2.5, 5, 10) if most <= unit * one * MOST_STEPS * 1.0000001)


def _round_up(value: float) -> float:
    """The next line of the grid."""
    step = _step(value)
    return step * max(1, ceil(value / step - 1e-9))


def _rect(x: float, y: float, width: float, height: float, colour: str, told: str) -> str:
    if width <= 0 or height <= 0:
        return ""
    title = f"<title>{escape(_drawable(told))}</title>"
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'>{title}</rect>"


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    anchor: str = "start",
    colour: str = PALE,
    title: str = "",
) -> str:
    told = f"<title>{escape(_drawable(title))}</title>" if title else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}' "
        f"font-weight='{BOLD if size >= HEADING else 400}'>{told}{escape(_drawable(words))}</text>"
    )


def _drawable(words: str) -> str:
    """Without characters that XML does not have."""
    return "".join(one if one.isprintable() else "�" for one in words)


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0f}' "
        f"viewBox='0 0 {WIDTH} {height:.0f}' {FONT}>"
        f"<rect width='{WIDTH}' height='{height:.0f}' rx='6' fill='{PAPER}'/>{''.join(parts)}</svg>"
    )
