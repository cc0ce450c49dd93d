"""The pictures of docs/observing.md: ``python observability/pictures.py build/night/night.json`` draws them anew.

What ``night.py`` recorded: answers of Prometheus to the panels' own queries, its alerts, messages to Slack, a trace.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from dashboards import DASHBOARDS, Panel
from night import STEP_SECONDS

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "observing"
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 70, 20, 52, 76
# Okabe and Ito's colours, which people who see fewer colours can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6b4c9a", "#555555")
INK, PALE, AWAY, RED, GREEN = "#222222", "#dddddd", "#fbe3d6", "#c62828", "#2e7d32"
LONGEST_LEGEND = 8
PANELS = {
    "deliveries": "Delivery: Deliveries, by where they stand",
    "runs": "Operations: Runs that ended, by status",
    "calls": "Delivery: Calls to Clearfacts, by outcome",
    "latency": "API: 99 of 100 are answered within",
    "cpu": "System: Processors in use",
    "periods": "Chargeback: Periods",
}
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Night:
    """What was recorded; times are seconds since 1970."""

    told: Mapping[str, Any]

    @property
    def begun(self) -> float:
        return float(self.told["begun"])

    @property
    def ended(self) -> float:
        return float(self.told["ended"])

    @property
    def away(self) -> tuple[float, float]:
        """From when to when Clearfacts was away."""
        moments = self.told["moments"]
        return moments["Clearfacts goes away"], moments["Clearfacts is back"]

    def series(self, name: str, panel: Panel) -> dict[str, Points]:
        """A panel's lines by their legends."""
        found: dict[str, Points] = {}
        for query, legend in panel.queries.items():
            for one in self.told["series"][name][query]:
                label = legend
                for key, value in one["metric"].items():
                    label = label.replace("{{" + key + "}}", value)
                numbers = [(float(at), float(value)) for at, value in one["values"]]
                found[label] = [(at, value) for at, value in numbers if math.isfinite(value)]
        return found


def panel_of(name: str) -> Panel:
    title, _, panel = name.partition(": ")
    return next(one for one in DASHBOARDS[title] if one.title == panel)


def text(x: float, y: float, words: str, *, size: int = 13, colour: str = INK, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {more}>{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, colour: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" {more}/>'


def line(x: float, y: float, to_x: float, to_y: float, colour: str = PALE) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def drawing(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif" role="img" aria-label="{escape(title)}">'
    )
    heading = text(16, 26, title, size=16, more='font-weight="bold"')
    return "\n".join([head, rect(0, 0, WIDTH, height, "#ffffff"), heading, *parts, "</svg>"]) + "\n"


def in_unit(unit: str, value: float) -> str:
    """A number as people read it."""
    if unit == "s":
        steps = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
        for size, name in steps:
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{1000 * value:.3g} ms"
    if unit.startswith("percent"):
        return f"{value * (100 if unit == 'percentunit' else 1):.3g} %"
    return f"{value:.3g}" + {"reqps": "/s", "ops": "/s"}.get(unit, "")


def steps_to(highest: float, unit: str) -> list[float]:
    """Round numbers from 0 to at least the highest."""
    factor = 60 if unit == "s" and highest > 120 else 1
    rough = max(highest, 1e-9) / factor / 4
    size = 10 ** math.floor(math.log10(rough))
    step = factor * size * next(one for one in (1, 2, 2.5, 5, 10) if one * size >= rough)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


class Time:
    """Where a moment is from left to right."""

    def __init__(self, night: Night, left: float = LEFT) -> None:
        self.night, self.left = night, left

    def __call__(self, at: float) -> float:
        share = (at - self.night.begun) / (self.night.ended - self.night.begun)
        return self.left + share * (WIDTH - RIGHT - self.left)

    def background(self, top: float, bottom: float) -> Iterator[str]:
        """The time without Clearfacts, and the clock below."""
        start, end = map(self, self.night.away)
        yield rect(start, top, end - start, bottom - top, AWAY)
        yield text(start + 4, top + 13, "Clearfacts away", size=11, colour="#8a4b2a")
        first = math.ceil(self.night.begun / 300) * 300
        for at in range(first, int(self.night.ended), 300):
            yield line(self(at), bottom, self(at), bottom + 4, INK)
            clock = f"{datetime.fromtimestamp(at, UTC):%H:%M}"
            yield text(self(at), bottom + 18, clock, size=11, more='text-anchor="middle"')


def lines(night: Night, name: str) -> str:
    panel, found, place = panel_of(name), {}, Time(night)
    silent = 0
    for label, points in night.series(name, panel).items():
        if any(value for _, value in points):
            found[label] = points
        else:
            silent += 1
    most = sorted(found, key=lambda one: -max(value for _, value in found[one]))[:LONGEST_LEGEND]
    steps = steps_to(max((value for label in most for _, value in found[label]), default=1.0), panel.unit)
    height, bottom = 340, 340 - BOTTOM

    def up(value: float) -> float:
        return bottom - value / steps[-1] * (bottom - TOP)

    parts = list(place.background(TOP, bottom))
    for step in steps:
        parts += [line(LEFT, up(step), WIDTH - RIGHT, up(step))]
        parts += [text(LEFT - 8, up(step) + 4, in_unit(panel.unit, step), size=11, more='text-anchor="end"')]
    for colour, label in zip(COLOURS, most, strict=False):
        for piece in _unbroken(found[label]):
            way = " ".join(f"{place(at):.1f},{up(value):.1f}" for at, value in piece)
            parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
    parts += _legend(most, height - 36, f"(and {silent} that stay 0)" if silent else "")
    return drawing(name, height, parts)


def _unbroken(points: Points) -> Iterator[Points]:
    """The line without what was not told: where an answer is missing, it begins anew."""
    piece: Points = []
    for at, value in points:
        if piece and at - piece[-1][0] > 2 * STEP_SECONDS:
            yield piece
            piece = []
        piece.append((at, value))
    yield piece


def _legend(labels: Sequence[str], y: float, more: str) -> Iterator[str]:
    x = float(LEFT)
    for colour, label in (*zip(COLOURS, labels, strict=False), ("", more)):
        if x > LEFT and x + 24 + 6.4 * len(label) > WIDTH:
            x, y = float(LEFT), y + 20
        if colour:
            yield rect(x, y, 12, 4, colour)
        yield text(x + 16, y + 6, label, size=11, colour=INK if colour else "#777777")
        x += 32 + 6.4 * len(label)


def stats(night: Night) -> str:
    """The single figures of the first dashboard, at their worst while Clearfacts was away."""
    found = [one for one in DASHBOARDS["Operations"] if one.kind == "stat"]
    panels = [one for one in found if night.series(f"Operations: {one.title}", one)]
    width, parts = (WIDTH - 32) / len(panels), list[str]()
    for number, panel in enumerate(panels):
        values = [v for points in night.series(f"Operations: {panel.title}", panel).values() for _, v in points]
        x = 16 + number * width
        worst = min(values) if panel.alarm is None else max(values)
        colour = RED if panel.alarm is not None and worst >= panel.alarm else GREEN
        parts.append(rect(x + 3, 44, width - 6, 110, "#f6f6f6", 'rx="4"'))
        for place, row in enumerate(_wrapped(panel.title, 22)):
            parts.append(text(x + 14, 66 + 16 * place, row, size=12))
        parts.append(
            text(x + width / 2, 138, in_unit(panel.unit, worst), size=30, colour=colour, more='text-anchor="middle"')
        )
    return drawing("Operations: the figures at their worst", 170, parts)


def _wrapped(words: str, longest: int) -> list[str]:
    rows = [""]
    for word in words.split():
        if len(rows[-1]) + len(word) >= longest:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return rows


def bars(night: Night, name: str) -> str:
    panel = panel_of(name)
    last = {label: points[-1][1] for label, points in night.series(name, panel).items() if points}
    highest, parts = max(last.values(), default=1.0) or 1.0, list[str]()
    for number, (label, value) in enumerate(last.items()):
        y = 50 + 34 * number
        parts += [text(110, y + 17, label, more='text-anchor="end"'), rect(120, y, 700, 24, "#f0f0f0")]
        parts += [rect(120, y, 700 * value / highest, 24, COLOURS[0])]
        parts += [text(830, y + 17, in_unit(panel.unit, value))]
    return drawing(name, 64 + 34 * len(last), parts)


def alerts(night: Night) -> str:
    """Each alert's time of waiting and of firing, and when Slack was told what."""
    rows: dict[str, list[tuple[str, Points]]] = {}
    for one in night.told["series"]["alerts"]:
        points = [(float(at), float(value)) for at, value in one["values"]]
        rows.setdefault(one["metric"]["alertname"], []).append((one["metric"]["alertstate"], points))
    left, height = 210.0, 96 + 34 * (len(rows) + 2)
    place, bottom = Time(night, left), 96 + 34 * (len(rows) + 2) - 34.0
    parts = list(place.background(44, bottom))
    for number, (name, states) in enumerate(sorted(rows.items())):
        y = 66 + 34 * number
        parts.append(text(left - 18, y + 15, name, more='text-anchor="end"'))
        for state, points in states:
            colour = RED if state == "firing" else "#e6a23c"
            ends = [(place(one[0][0]), place(one[-1][0] + STEP_SECONDS)) for one in _unbroken(points)]
            parts += [rect(start, y, min(end, WIDTH - RIGHT) - start, 20, colour) for start, end in ends]
    for number, (label, theirs) in enumerate((("Slack, from the system", False), ("Slack, from the rules", True))):
        y = 66 + 34 * (len(rows) + number)
        parts.append(text(left - 18, y + 15, label, more='text-anchor="end"'))
        for message in night.told["slack"]:
            if (message.get("username") == "Alertmanager") == theirs and float(message["ts"]) >= night.begun:
                parts.append(f'<circle cx="{place(float(message["ts"])):.1f}" cy="{y + 10}" r="6" fill="#4a154b"/>')
    parts += [rect(620, 14, 12, 12, "#e6a23c"), text(638, 25, "holds, not told yet", size=12)]
    parts += [rect(766, 14, 12, 12, RED), text(784, 25, "fires", size=12)]
    return drawing("Alerts, and what Slack was told", height, parts)


def waterfall(night: Night) -> str:
    """One trace: from the call that asked for the run to the alert that told what it came to."""
    spans = night.told["spans"]
    (asked,) = [one for one in spans if one["name"] == "POST /api/v1/invoices/process"]
    mine = sorted((one for one in spans if one["trace"] == asked["trace"]), key=lambda one: one["start"])
    shown = _worth_showing(mine)
    first, last = min(one["start"] for one in mine), max(one["end"] for one in mine)
    left, scale = 400.0, (WIDTH - RIGHT - 400.0 - 60) / (last - first)
    parts = list[str]()
    for number, (depth, one, count) in enumerate(shown):
        y, colour = 46 + 19 * number, RED if one["status"] else COLOURS[0] if one["kind"] == 3 else COLOURS[2]
        more = f"  x{count}" if count > 1 else ""
        summary = one["attributes"].get("db.query.summary") if one["name"] == "write" else ""
        label = one["name"] + more + (f": {summary}" if summary else "")
        parts.append(text(16 + 12 * depth, y + 12, label[: 58 - 2 * depth], size=11))
        begin, width = left + (one["start"] - first) * scale, max((one["end"] - one["start"]) * scale, 2)
        parts += [rect(begin, y + 2, width, 12, colour)]
        parts += [text(begin + width + 4, y + 12, in_unit("s", (one["end"] - one["start"]) / 1e9), size=10)]
    return drawing(f"One trace, {len(mine)} spans: the run that found Clearfacts away", 60 + 19 * len(shown), parts)


def _worth_showing(spans: Sequence[dict[str, Any]]) -> list[tuple[int, dict[str, Any], int]]:
    """Depth, span and how many of its name stand beside it, of which the longest is shown."""
    by_parent: dict[str, list[dict[str, Any]]] = {}
    known = {one["id"] for one in spans}
    for one in spans:
        by_parent.setdefault(one["parent"] if one["parent"] in known else "", []).append(one)
    found: list[tuple[int, dict[str, Any], int]] = []

    def walk(parent: str, depth: int) -> None:
        groups: dict[str, list[dict[str, Any]]] = {}
        for one in by_parent.get(parent, ()):
            groups.setdefault(one["name"], []).append(one)
        for same in groups.values():
            longest = max(same, key=lambda one: one["end"] - one["start"])
            found.append((depth, longest, len(same)))
            walk(longest["id"], depth + 1)

    walk("", 0)
    return found


DRAWN: dict[str, Callable[[Night], str]] = {
    **{name: (lambda night, panel=panel: lines(night, panel)) for name, panel in PANELS.items() if name != "periods"},
    "periods": lambda night: bars(night, PANELS["periods"]),
    "operations": stats,
    "alerts": alerts,
    "trace": waterfall,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", type=Path, help="night.json")
    parser.add_argument("--into", type=Path, default=FOLDER)
    given = parser.parse_args()
    night = Night(json.loads(given.recorded.read_text(encoding="utf-8")))
    given.into.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWN.items():
        (given.into / f"{name}.svg").write_text(draw(night), encoding="utf-8")


if __name__ == "__main__":
    main()
