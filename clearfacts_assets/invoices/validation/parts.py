"""A long document shown to Saxon in parts: its head with the lines of which something is in doubt, some at a time.

Saxon's own tree of 20,000 lines takes as much memory as all that we read ourselves. Where a part is enough, it says of
each line what it would say of it in the whole document (``Doubts``). What it says of a part as a whole, as of sums, is
not believed: that was proved of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

from lxml import etree

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import element_index_of, let_go_of_element_index
from clearfacts_assets.invoices.validation.saxon import CannotRun, Failed, Stylesheet, as_findings
from clearfacts_assets.invoices.validation.ubl import CAC
from clearfacts_assets.xpath_compiler.doubts import Doubt, Doubts
from clearfacts_assets.xpath_compiler.elements import Element

LINES = ("cac:InvoiceLine", "cac:CreditNoteLine")
AT_ONCE = 500  # lines
_LINES = frozenset(f"{{{CAC}}}{name.partition(':')[2]}" for name in LINES)


def findings_by_parts(
    doubts: Doubts,
    stylesheet: Callable[[], Stylesheet],
    document: ParsedDocument,
    layer: str,
    *,
    most: int,
    at_once: int = AT_ONCE,
) -> list[Finding] | None:
    """What the stylesheet has to say, as it would say it of the whole document; None where only the whole will do."""
    doubt = doubts.where(element_index_of(document))
    if doubt is None:
        return None
    chosen = _lines_of(doubt)
    doubt = Doubt(doubt.rules, [])
    let_go_of_element_index(document)  # Saxon's memory takes its place; who needs it makes it anew
    try:
        told = list(_told(doubts, doubt, stylesheet(), document, chosen))
    except CannotRun:
        return None
    told.sort(key=lambda one: one[0])
    return as_findings([(failed, element) for _, failed, element in told], layer, most_of_a_rule=most)


def _lines_of(doubt: Doubt) -> list[int]:
    """The places, below the root, of what holds the elements in doubt."""
    below: dict[int, Element] = {}
    root: Element | None = None
    for element in doubt.elements:
        one = element
        while one.parent is not None and one.parent.parent is not None:
            one = one.parent
        if one.parent is not None:
            below[id(one)], root = one, one.parent
    return [place for place, one in enumerate(root.children) if id(one) in below] if root is not None else []


_Place = tuple[int, int, int]  # the pattern of a rule, then the child of the root, then the rule's or the order there


def _told(
    doubts: Doubts,
    doubt: Doubt,
    stylesheet: Stylesheet,
    document: ParsedDocument,
    chosen: Sequence[int],
) -> Iterator[tuple[_Place, Failed, etree._Element]]:
    """What is believed of each part, with its place in what would be said of the whole. Raises CannotRun."""
    children = list(document.root.iterchildren(etree.Element))
    is_line = [child.tag in _LINES for child in children]
    lines = [place for place in chosen if is_line[place]] or [place for place, line in enumerate(is_line) if line][:1]
    seen: set[tuple[str, etree._Element]] = set()
    for first in range(0, max(len(lines), 1), AT_ONCE):
        shown = set(lines[first : first + AT_ONCE])
        kept = [place for place in range(len(children)) if place in shown or not is_line[place]]
        part, elements = _part(document.root, children, kept)
        before = frozenset(seen)
        for order, failed in enumerate(stylesheet.failed(ParsedDocument(part, 0))):
            place, element = elements[int(failed.location.removeprefix("#")) - 1]
            if failed.rule not in doubt.rules or (failed.rule, element) in before:
                continue
            if place < 0 or not is_line[place]:  # the head is in every part
                seen.add((failed.rule, element))
            mode, rule = doubts.places[failed.rule]
            yield (mode, place, rule if place < 0 else order), failed, element


def _part(
    root: etree._Element, children: Sequence[etree._Element], kept: Sequence[int]
) -> tuple[etree._Element, list[tuple[int, etree._Element]]]:
    """A document of these children alone; and for each of its elements, in order, what it is in the whole document
    and below which child of the root, -1 for the root."""
    part = etree.Element(root.tag, nsmap=root.nsmap)  # type: ignore[arg-type]
    for name, value in root.items():
        part.set(name, value)
    elements = [(-1, root)]
    for place in kept:
        part.append(deepcopy(children[place]))
        elements += [(place, one) for one in children[place].iter(etree.Element)]
    return part, elements
