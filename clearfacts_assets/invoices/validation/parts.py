"""A long document shown to Saxon in parts: its head with the lines of which something is in doubt, some at a time.

Saxon's own tree of 20,000 lines takes as much memory as all that we read ourselves, and all rules of the norm take as
much again. So it is given the rules that are in doubt, and of the document only what these look at (``Doubts``): it
says of each line what it would say of it in the whole document. Rules that look at all lines, as sums do, are shown all
of them, each without the elements that no rule in doubt reads: to them it is the same document (``reads``). What is
needed for that is noted as text, packed, so that tree and index can go before Saxon comes.
"""

from __future__ import annotations

import re
import zlib
from array import array
from bisect import bisect, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from lxml import etree

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import element_index_of, location_of, step_of
from clearfacts_assets.invoices.validation.rules import MOST_OF_A_RULE, with_more
from clearfacts_assets.invoices.validation.saxon import (
    CannotRun,
    Failed,
    Stylesheet,
    as_finding,
    cannot_be_computed,
    without_attachments,
)
from clearfacts_assets.invoices.validation.ubl import CAC
from clearfacts_assets.xpath_compiler.doubts import Doubt, Doubts
from clearfacts_assets.xpath_compiler.elements import Element

LINES = ("cac:InvoiceLine", "cac:CreditNoteLine")
AT_ONCE = 2**18  # bytes of lines in a part; as many as the head has, where that is longer
_LINES = frozenset(f"{{{CAC}}}{name.partition(':')[2]}" for name in LINES)
_NAME = re.compile(rb"<([^\s/>]+)")
_DECLARATION = re.compile(rb' xmlns(?::[^=\s]+)?="[^"]*"')
_PACKED = 1  # zlib's quickest: lines resemble each other


@dataclass(frozen=True, slots=True)
class _Run:
    """Children of the root that follow each other, all of them lines or none."""

    is_line: bool
    in_doubt: bool  # of some line among them rules may say something that look at no other line
    packed: bytes  # the text of all of them
    steps: tuple[str, ...]  # of each: how a location in the whole document names it
    lines: array[int]  # of each element in it, in order, on which line of the document it stands
    tags: array[int]  # and its tag, as a place in Excerpt.tags


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What Saxon has to be asked of a document, and all that it needs for that; the document itself may go."""

    doubt: Doubt  # without its elements
    begin: bytes  # the root's tag
    end: bytes
    line: int  # of the root
    root: str  # its name in locations
    runs: tuple[_Run, ...]
    tags: tuple[str, ...]  # the root's first


def excerpt_of(doubts: Doubts, document: ParsedDocument, at_once: int) -> Excerpt | None:
    """None where nothing but the whole document, with all rules, will do."""
    index = element_index_of(document)
    doubt = doubts.where(index)
    if doubt is None:
        return None
    root = document.root
    shell = etree.Element(root.tag, nsmap=root.nsmap)  # type: ignore[arg-type]
    for name, value in root.items():
        shell.set(name, value)
    tag = etree.tostring(shell, encoding="UTF-8", xml_declaration=False).removesuffix(b"/>")
    unread = doubts.unread(index, doubt.rules | doubt.far) if doubt.far else frozenset[str]()
    writing = _Writing(_declared(tag), unread, {root.tag: 0})
    with without_attachments(root):
        runs = tuple(_runs(root, _lines_of(doubt), writing, at_once, every=bool(doubt.far)))
    line: int = root.sourceline  # type: ignore[assignment]
    end = b"</" + _NAME.match(tag)[1] + b">"  # type: ignore[index]
    return Excerpt(
        Doubt(doubt.rules, doubt.far, []), tag + b">", end, line, location_of(root), runs, tuple(writing.tags)
    )


def _lines_of(doubt: Doubt) -> frozenset[int]:
    """The places, below the root, of what holds the elements in doubt."""
    below: dict[int, Element] = {}
    root: Element | None = None
    for element in doubt.elements:
        one = element
        while one.parent is not None and one.parent.parent is not None:
            one = one.parent
        if one.parent is not None:
            below[id(one)], root = one, one.parent
    return frozenset(place for place, one in enumerate(root.children) if id(one) in below) if root else frozenset()


def _declared(tag: bytes) -> frozenset[bytes]:
    """The namespaces that a tag declares, as lxml writes them in each of its children again."""
    return frozenset(_DECLARATION.findall(tag))


class _Writing:
    """Children of the root as text."""

    def __init__(self, declared: frozenset[bytes], unread: frozenset[str], tags: dict[str, int]) -> None:
        self._declared, self._unread = declared, unread
        self.tags = tags  # in the order in which they come

    def whole(self, child: etree._Element) -> tuple[bytes, list[etree._Element]]:
        """The text, and the elements in it."""
        return self._text(child), list(child.iter(etree.Element))

    def read(self, child: etree._Element) -> tuple[bytes, list[etree._Element]]:
        """The same without elements that nobody reads. Nothing that is read stands in one of them, so none is left of
        what stands in them either."""
        if not self._unread:
            return self.whole(child)
        copy = deepcopy(child)
        etree.strip_elements(copy, *self._unread, with_tail=True)
        return self._text(copy), [one for one in child.iter(etree.Element) if one.tag not in self._unread]

    def _text(self, child: etree._Element) -> bytes:
        text = etree.tostring(child, encoding="UTF-8", xml_declaration=False, with_tail=False)
        tag, mark, rest = text.partition(b">")
        tag = _DECLARATION.sub(lambda found: b"" if found[0] in self._declared else found[0], tag)  # the root has it
        return tag + mark + rest


class _Building:
    """A run that grows by children."""

    def __init__(self, tags: dict[str, int], *, is_line: bool) -> None:
        self.is_line, self.size = is_line, 0
        self._known, self._in_doubt = tags, False
        self._texts: list[bytes] = []
        self._steps: list[str] = []
        self._lines, self._tags = array("I"), array("I")

    def add(self, written: tuple[bytes, list[etree._Element]], step: str, *, in_doubt: bool) -> None:
        text, elements = written
        self._texts.append(text)
        self.size += len(text)
        self._in_doubt = self._in_doubt or in_doubt
        self._steps.append(step)
        self._lines.extend(cast("int", one.sourceline) for one in elements)
        self._tags.extend(self._known.setdefault(one.tag, len(self._known)) for one in elements)

    def built(self) -> _Run:
        packed = zlib.compress(b"".join(self._texts), _PACKED)
        return _Run(self.is_line, self._in_doubt, packed, tuple(self._steps), self._lines, self._tags)


def _runs(
    root: etree._Element, in_doubt: Collection[int], writing: _Writing, at_once: int, *, every: bool
) -> Iterator[_Run]:
    """All children but, if not every one is asked for, the lines of which nothing is in doubt; in order."""
    totals = Counter(child.tag for child in root.iterchildren(etree.Element))
    seen: Counter[str] = Counter()
    run = _Building(writing.tags, is_line=False)
    head = 0  # bytes of what is no line, so far
    for place, child in enumerate(root.iterchildren(etree.Element)):
        seen[child.tag] += 1
        is_line, doubtful = child.tag in _LINES, place in in_doubt
        if is_line and not every and not doubtful:
            continue
        if is_line != run.is_line or (is_line and run.size >= max(at_once, head)):
            if run.size:
                yield run.built()
            run = _Building(writing.tags, is_line=is_line)
        written = writing.read(child) if is_line else writing.whole(child)
        run.add(written, step_of(child.tag, seen[child.tag], totals[child.tag]), in_doubt=doubtful)
        head += 0 if is_line else len(written[0])
    if run.size:
        yield run.built()


# -- asking Saxon ---------------------------------------------------------------------------------------------------


def findings_of(
    excerpt: Excerpt, doubts: Doubts, stylesheet: Callable[[Collection[str]], Stylesheet], layer: str
) -> list[Finding]:
    """What all rules say of the whole document, bounded and in their order. ``stylesheet`` compiles some of them."""
    told = _Told(doubts, excerpt)
    try:
        if excerpt.doubt.rules:
            sheet = stylesheet(excerpt.doubt.rules)
            for number, part in enumerate(_parts(excerpt.runs)):
                told.hear(sheet, part, head=not number)
        if excerpt.doubt.far:
            told.hear(stylesheet(excerpt.doubt.far), range(len(excerpt.runs)), head=True)
    except CannotRun:
        return _error_of_all(excerpt, stylesheet, layer)
    return list(told.findings(layer))


def _parts(runs: Sequence[_Run]) -> Iterator[Sequence[int]]:
    """The head with each run of lines in doubt; the head alone where no line is."""
    head = [number for number, run in enumerate(runs) if not run.is_line]
    lines = [number for number, run in enumerate(runs) if run.is_line and run.in_doubt]
    for number in lines:
        yield sorted([*head, number])
    if not lines:
        yield head


def _error_of_all(excerpt: Excerpt, stylesheet: Callable[[Collection[str]], Stylesheet], layer: str) -> list[Finding]:
    """The rules raise an error: the first one that all of them raise, on all that was noted of the document."""
    everything = range(len(excerpt.runs))
    try:
        stylesheet(excerpt.doubt.rules | excerpt.doubt.far).failed_in(lambda: _text(excerpt, everything))
    except CannotRun as error:
        return [cannot_be_computed(error, layer)]
    raise AssertionError("Saxon raises an error on a part of a document, and none on the whole")


def _text(excerpt: Excerpt, runs: Sequence[int]) -> str:
    text = bytearray(excerpt.begin)
    for number in runs:
        text += zlib.decompress(excerpt.runs[number].packed)
    text += excerpt.end
    return text.decode()


_Element = tuple[int, int]  # a run, and the place of an element in it; ROOT
_Key = tuple[int, _Element, int]  # the pattern of a rule, the element, the rule: the order in which all would be said
_ROOT: _Element = (-1, 0)


class _Told:
    """What Saxon has said so far: of each rule how often, and as many as a report holds."""

    def __init__(self, doubts: Doubts, excerpt: Excerpt) -> None:
        self._doubts, self._excerpt = doubts, excerpt
        self._counts: Counter[str] = Counter()
        self._first: dict[str, list[tuple[_Key, Failed]]] = {}

    def hear(self, sheet: Stylesheet, runs: Sequence[int], *, head: bool) -> None:
        """Ask about these runs; what is said of the head is taken from one part, for all parts have it."""
        counted = [self._counted(sheet, self._excerpt.runs[number].tags) for number in runs]
        ends = list(accumulate(map(len, counted), initial=len(self._counted(sheet, [0]))))
        for failed in sheet.failed_in(lambda: _text(self._excerpt, runs)):
            place = int(failed.location.removeprefix("#")) - 1
            which = bisect(ends, place) - 1
            element = (runs[which], counted[which][place - ends[which]]) if which >= 0 else _ROOT
            if head or (which >= 0 and self._excerpt.runs[element[0]].is_line):
                self._note(failed, element)

    def _counted(self, sheet: Stylesheet, tags: Sequence[int]) -> Sequence[int]:
        """The places of the elements that the sheet counts, among those with these tags."""
        if sheet.counted is None:
            return range(len(tags))
        these = {number for number, tag in enumerate(self._excerpt.tags) if tag in sheet.counted}
        return array("I", (place for place, tag in enumerate(tags) if tag in these))

    def _note(self, failed: Failed, element: _Element) -> None:
        mode, rule = self._doubts.places[failed.rule]
        self._counts[failed.rule] += 1
        kept = self._first.setdefault(failed.rule, [])
        insort(kept, ((mode, element, rule), failed), key=lambda one: one[0])
        del kept[MOST_OF_A_RULE:]

    def findings(self, layer: str) -> Iterator[Finding]:
        located = _Located(self._excerpt)
        left = self._counts.copy()
        for (_, element, _), failed in sorted(
            (one for kept in self._first.values() for one in kept), key=lambda one: one[0]
        ):
            finding = as_finding(failed, layer, *located.at(element))
            left[failed.rule] -= 1
            is_last = self._counts[failed.rule] - left[failed.rule] == MOST_OF_A_RULE
            yield with_more(finding, left[failed.rule]) if is_last else finding


class _Located:
    """Where elements stand in the whole document. Reads one run at a time, in their order."""

    def __init__(self, excerpt: Excerpt) -> None:
        self._excerpt = excerpt
        self._number, self._elements = -1, list[etree._Element]()
        self._steps: dict[etree._Element, str] = {}

    def at(self, element: _Element) -> tuple[str, int]:
        """Location and line."""
        if element == _ROOT:
            return self._excerpt.root, self._excerpt.line
        number, place = element
        if number != self._number:
            self._read(number)
        one = self._elements[place]
        line = self._excerpt.runs[number].lines[place]
        inside = location_of(one).split("/", 3)[3:]
        while one not in self._steps:
            one = one.getparent()  # type: ignore[assignment]
        return "/".join([self._excerpt.root, self._steps[one], *inside]), line

    def _read(self, number: int) -> None:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        root = etree.fromstring(_text(self._excerpt, [number]).encode(), parser)
        children = list(root)
        self._number, self._elements = number, [one for child in children for one in child.iter(etree.Element)]
        self._steps = dict(zip(children, self._excerpt.runs[number].steps, strict=True))
