"""Draws docs/map.svg, the rooms of clearfacts_assets and who uses whom, from the imports in the code: ``make map``.

An arrow that follows from others is left out: where A uses B and B uses C, A may use C too. Boxes stand on layers, and
arrows point down, since no import goes up (pyproject.toml holds that).
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from itertools import pairwise
from pathlib import Path

import grimp

PACKAGE = "clearfacts_assets"
FILE = Path(__file__).with_name("map.svg")

# What is drawn as one box: the longest beginning of a module's name counts. What stands in no line is a box by itself.
ROOMS = {
    "cli": "cli",
    "__main__": "cli",
    "api": "api",
    "invoices": "invoices: model, life cycle",
    "invoices.ports": "invoices/ports",
    "invoices.defs": "invoices/defs",
    "invoices.delivery": "invoices/delivery",
    "invoices.destinations": "invoices/destinations",
    "invoices.ledger": "invoices/ledger",
    "invoices.retrieval": "invoices/delivery",
    "invoices.sources": "invoices/sources",
    "invoices.validation": "invoices/validation",
    "chargeback": "chargeback",
    "chargeback.defs": "chargeback/defs",
    "chargeback.notifications": "chargeback/notifications",
    "storage": "storage: database, types",
    "storage.accounts": "storage/accounts",
    "storage.chargeback": "storage/chargeback",
    "storage.invoices": "storage/invoices",
    "storage.migrate": "storage/migrations",
    "storage.migrations": "storage/migrations",
    "storage.operations": "storage/operations",
    "alert_settings": "settings",
    "chargeback_settings": "settings",
    "customer_settings": "settings",
    "journal_settings": "settings",
    "setting_types": "settings",
    "invoice_settings": "settings",
    "rate_options": "settings",
    "retention_settings": "settings",
    "statement_settings": "settings",
    "trace_settings": "settings",
}
COLOURS = {"invoices": "#dbeafe", "chargeback": "#dcfce7", "storage": "#fef3c7"}
COLOURS |= dict.fromkeys(("api", "cli", "desk"), "#fce7f3")

WIDTH, HEIGHT, GAP, RISE, MARGIN = 176, 36, 26, 92, 20
SWEEPS = 24

Arrows = dict[str, set[str]]
Row = list[str | tuple[str, str, int]]  # a room; or where an arrow from one to the other passes this layer


def room_of(module: str) -> str:
    """The box that a module belongs to."""
    parts = module.split(".")[1:]
    for length in range(len(parts), 0, -1):
        if (start := ".".join(parts[:length])) in ROOMS:
            return ROOMS[start]
    return parts[0] if parts else ""


def arrows() -> Arrows:
    """Which room imports from which."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found: Arrows = {room: set() for module in graph.modules if (room := room_of(module))}
    for module in graph.modules:
        here = room_of(module)
        for other in graph.find_modules_directly_imported_by(module):
            there = room_of(other)
            if here and there and here != there:
                found[here].add(there)
    return found


def reachable(found: Arrows, room: str) -> set[str]:
    """All that a room uses, over however many others."""
    seen: set[str] = set()
    todo = list(found[room])
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += found[other]
    return seen


def reduced(found: Arrows) -> Arrows:
    """Without the arrows that follow from others."""
    return {
        room: {one for one in others if not any(one in reachable(found, other) for other in others - {one})}
        for room, others in found.items()
    }


def layers(found: Arrows) -> dict[str, int]:
    """Every room's layer, the lowest is 0. Raises ValueError where rooms use each other in a circle."""
    known: dict[str, int] = {}

    def layer(room: str, path: tuple[str, ...]) -> int:
        if room in path:
            raise ValueError(f"these rooms use each other: {' -> '.join((*path, room))}")
        if room not in known:
            known[room] = 1 + max((layer(other, (*path, room)) for other in sorted(found[room])), default=-1)
        return known[room]

    for room in sorted(found):
        layer(room, ())
    return known


def rows(found: Arrows, at: dict[str, int]) -> tuple[list[Row], dict[tuple[str, str], Row]]:
    """The layers from below, each in an order in which few arrows cross; and each arrow's way from above to below."""
    filled: list[Row] = [[] for _ in range(max(at.values()) + 1)]
    for room in sorted(found):
        filled[at[room]].append(room)
    ways: dict[tuple[str, str], Row] = {}
    for room in sorted(found):
        for other in sorted(found[room]):
            passes: Row = [(room, other, level) for level in range(at[room] - 1, at[other], -1)]
            for level, one in zip(range(at[room] - 1, at[other], -1), passes, strict=True):
                filled[level].append(one)
            ways[room, other] = [room, *passes, other]
    near: dict[object, list[object]] = defaultdict(list)
    for way in ways.values():
        for upper, lower in pairwise(way):
            near[upper].append(lower)
            near[lower].append(upper)
    for sweep in range(SWEEPS):
        for level in range(len(filled)) if sweep % 2 else reversed(range(len(filled))):
            beside = [one for one in (level - 1, level + 1) if 0 <= one < len(filled)]
            place = {
                one: (position + 0.5) / len(filled[row]) for row in beside for position, one in enumerate(filled[row])
            }
            own = {one: (position + 0.5) / len(filled[level]) for position, one in enumerate(filled[level])}

            def middle(one: object, place: dict[object, float] = place, own: dict[object, float] = own) -> float:  # type: ignore[assignment]
                seen = [place[other] for other in near[one] if other in place]
                return sum(seen) / len(seen) if seen else own[one]

            filled[level].sort(key=middle)
    return filled, ways


def drawn(found: Arrows) -> str:
    """The picture."""
    found = reduced(found)
    filled, ways = rows(found, layers(found))
    widths = [sum((WIDTH if isinstance(one, str) else 0) + GAP for one in row) for row in filled]
    width, height = max(widths) + 2 * MARGIN, len(filled) * RISE + 2 * MARGIN
    centre: dict[object, tuple[float, float]] = {}
    for level, row in enumerate(filled):
        x = (width - widths[level]) / 2 + GAP / 2
        for one in row:
            wide = WIDTH if isinstance(one, str) else 0
            centre[one] = (x + wide / 2, height - MARGIN - RISE * level - RISE / 2)
            x += wide + GAP
    lines = [_line([centre[one] for one in way]) for _, way in sorted(ways.items())]
    boxes = [_box(room, *centre[room]) for room in sorted(found)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">'
    arrow = '<marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    defs = f'<defs>{arrow}<path d="M0,0L8,4L0,8z" fill="#475569"/></marker></defs>'
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>'
    return "\n".join([head, defs, ground, *lines, *boxes, "</svg>", ""])


def _line(points: list[tuple[float, float]]) -> str:
    (x, y), *others = points
    path = f"M{x:.0f},{y + HEIGHT / 2:.0f}"
    y += HEIGHT / 2
    for number, (to_x, to_y) in enumerate(others, start=1):
        end = to_y - HEIGHT / 2
        half = (y + end) / 2
        path += f"C{x:.0f},{half:.0f} {to_x:.0f},{half:.0f} {to_x:.0f},{end:.0f}"
        x, y = to_x, end
        if number < len(others):  # past the boxes of this layer
            y = to_y + HEIGHT / 2
            path += f"V{y:.0f}"
    return f'<path d="{path}" fill="none" stroke="#475569" stroke-width="1.1" marker-end="url(#a)"/>'


def _box(room: str, x: float, y: float) -> str:
    colour = COLOURS.get(room.replace(":", "/").split("/")[0], "#f1f5f9")
    return (
        f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" '
        f'fill="{colour}" stroke="#475569"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" font-size="12" text-anchor="middle">{escape(room)}</text>'
    )


if __name__ == "__main__":
    FILE.write_text(drawn(arrows()), "utf-8")
