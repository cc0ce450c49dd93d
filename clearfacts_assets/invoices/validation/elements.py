"""A document's elements as plain Python objects, read once and then asked by many rules.

Going through lxml's elements costs more than a rule does, so one pass notes what rules ask for: an element's children
by name, every element of a name in the document, every identifier scheme and every attribute name.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.ubl import CREDIT_NOTE, INVOICE, PREFIXES, value_of

_NONE: Sequence[Element] = ()
_NOTHING: Mapping[str, list[Element]] = {}
_NO_ATTRIBUTES: Mapping[str, str] = {}
_SHORT = {
    namespace: "" if namespace in (INVOICE, CREDIT_NOTE) else f"{prefix}:" for prefix, namespace in PREFIXES.items()
}
_KEY = "element index"


class Element:
    """One element. ``by`` holds its children by tag, ``children`` all of them, both in the document's order."""

    __slots__ = ("_all", "_value", "attributes", "by", "children", "node", "parent", "source", "tag")

    def __init__(self, source: etree._Element, tag: str, parent: Element | None) -> None:
        self.source, self.tag, self.parent = source, tag, parent
        self.node = self
        self._value: str | None = None  # noted when it is read, if nothing but text is inside
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.children: Sequence[Element] = _NONE
        self.by: Mapping[str, list[Element]] = _NOTHING
        self._all: list[Element] | None = None

    @property
    def value(self) -> str:
        """XPath's string value: all text inside."""
        return self._value if self._value is not None else value_of(self.source)

    # These, and ``node``, let mock-einvoice's rules walk this tree as they walk their own.

    text = value

    @property
    def path(self) -> str:
        return location_of(self.source)

    def everything(self) -> list[Element]:
        """This element and every one under it, in the document's order."""
        if self._all is None:
            found, waiting = [], [self]
            while waiting:
                element = waiting.pop()
                found.append(element)
                waiting.extend(reversed(element.children))
            self._all = found
        return self._all

    def ancestors(self) -> Iterator[Element]:
        element = self.parent
        while element is not None:
            yield element
            element = element.parent


class ElementIndex:
    """A whole document: its root, its elements by tag, and the names and schemes that occur."""

    __slots__ = ("attribute_names", "by_tag", "has_empty", "made", "root", "schemes", "top")

    def __init__(self, source: etree._Element) -> None:
        self.by_tag: dict[str, list[Element]] = {}
        self.attribute_names: set[str] = set()
        self.schemes: set[str] = set()
        self.has_empty = False  # some element has neither children nor text, or only blanks
        self.made: dict[Any, Any] = {}  # what rules have computed for other rules
        collecting = gc.isenabled()
        gc.disable()  # many objects and no garbage: looking for it would take longer than the reading
        try:
            self.root = self._read(source, source.tag, None)
        finally:
            if collecting:
                gc.enable()
        self.top = Element(source, "", None)  # what stands above the root: XPath's document node
        self.top.children, self.top.by = [self.root], {self.root.tag: [self.root]}

    def _read(self, source: etree._Element, tag: str, parent: Element | None) -> Element:
        element = Element(source, tag, parent)
        same = self.by_tag.get(tag)
        if same is None:
            self.by_tag[tag] = [element]
        else:
            same.append(element)
        attributes: list[tuple[str, str]] = source.items()  # type: ignore[assignment]
        if attributes:
            self._note(element, attributes)
        if len(source):
            self._read_children(source, element)
        if not element.children:
            value = element._value = value_of(source)
            if not value or value.isspace():
                self.has_empty = True
        return element

    def _note(self, element: Element, attributes: list[tuple[str, str]]) -> None:
        element.attributes = noted = dict(attributes)
        self.attribute_names.update(noted)
        if "schemeID" in noted:
            self.schemes.add(noted["schemeID"])

    def _read_children(self, source: etree._Element, element: Element) -> None:
        children: list[Element] = []
        by: dict[str, list[Element]] = {}
        for inner in source:
            tag = inner.tag
            if not isinstance(tag, str):  # a comment or a processing instruction
                continue  # type: ignore[unreachable]
            child = self._read(inner, tag, element)
            children.append(child)
            same = by.get(tag)
            if same is None:
                by[tag] = [child]
            else:
                same.append(child)
        if children:
            element.children, element.by = children, by

    def all(self, tag: str) -> Sequence[Element]:
        return self.by_tag.get(tag, _NONE)

    def let_go(self) -> None:
        """Untie parents from children, so that memory is free at once: finding such rings is a fifth of all work."""
        for elements in self.by_tag.values():
            for element in elements:
                element.node = element.parent = element._all = None  # type: ignore[assignment]
        self.top.node = None  # type: ignore[assignment]


def element_index_of(document: ParsedDocument) -> ElementIndex:
    """The index of the document's elements, made when the first rule set asks for it."""
    index: ElementIndex | None = document.shared.get(_KEY)
    if index is None:
        index = document.shared[_KEY] = ElementIndex(document.root)
    return index


def let_go_of_element_index(document: ParsedDocument) -> None:
    """For who has finished with the document: nothing made from its elements may be used any more."""
    index: ElementIndex | None = document.shared.pop(_KEY, None)
    if index is not None:
        index.let_go()


_STEP = re.compile(r"/(?:(\w+):)?(\w[\w.-]*)(?:\[(\d+)\])?")


def element_at(root: etree._Element, location: str) -> etree._Element | None:
    """The element that ``location_of`` wrote this for; None where there is none."""
    if _STEP.sub("", location):
        return None
    current: etree._Element | None = None
    for prefix, name, position in _STEP.findall(location):
        if current is None:
            current = root if etree.QName(root.tag).localname == name else None
        else:
            twins = current.iterchildren(f"{{{PREFIXES[prefix]}}}{name}" if prefix in PREFIXES else name)
            current = next(islice(twins, int(position or 1) - 1, None), None)
        if current is None:
            return None
    return current


def location_of(element: etree._Element) -> str:
    """An XPath for people: ``/Invoice/cac:InvoiceLine[2]/cbc:ID``, numbered where a name stands more than once."""
    steps = []
    current: etree._Element | None = element
    while current is not None:
        parent = current.getparent()
        name = etree.QName(current.tag)
        step = f"{_SHORT.get(name.namespace or '', '')}{name.localname}"
        if parent is not None:
            twins = list(parent.iterchildren(current.tag))
            if len(twins) > 1:
                step += f"[{twins.index(current) + 1}]"
        steps.append(step)
        current = parent
    return "/" + "/".join(reversed(steps))
