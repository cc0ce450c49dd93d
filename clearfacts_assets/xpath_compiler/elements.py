"""A document's elements as plain Python objects, read once and then asked by many rules.

Going through lxml's elements costs more than a rule does, so one pass notes what rules ask for: an element's children
by name, every element of a name in the document, and every attribute name.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from lxml import etree

_NONE: Sequence[Element] = ()
_NOTHING: Mapping[str, list[Element]] = {}
_NO_ATTRIBUTES: Mapping[str, str] = {}
_STRING = etree.XPath("string()", regexp=False)


def value_of(element: etree._Element) -> str:
    """The value of an element: all text inside, as XPath's ``string()`` says it. No other place reads one."""
    return str(_STRING(element)) if len(element) else element.text or ""


class Element:
    """One element. ``by`` holds its children by tag, ``children`` all of them, both in the document's order."""

    __slots__ = ("_all", "_value", "attributes", "by", "children", "node", "parent", "source", "tag")

    def __init__(self, source: etree._Element, tag: str, parent: Element | None) -> None:
        self.source, self.tag, self.parent = source, tag, parent
        self.node: Element | None = self  # for who looks for an element in what it was handed
        self._value: str | None = None  # noted when it is read, if nothing but text is inside
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.children: Sequence[Element] = _NONE
        self.by: Mapping[str, list[Element]] = _NOTHING
        self._all: list[Element] | None = None

    @property
    def value(self) -> str:
        """XPath's string value: all text inside."""
        return self._value if self._value is not None else value_of(self.source)

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
    """A whole document: its root, its elements by tag, and the names of attributes that occur."""

    element: ClassVar[type[Element]] = Element
    __slots__ = ("attribute_names", "by_tag", "has_empty", "made", "root", "top")

    def __init__(self, source: etree._Element) -> None:
        self.by_tag: dict[str, list[Element]] = {}
        self.attribute_names: set[str] = set()
        self.has_empty = False  # some element has neither children nor text, or only blanks
        self.made: dict[Any, Any] = {}  # what rules have computed for other rules
        collecting = gc.isenabled()
        gc.disable()  # many objects and no garbage: looking for it would take longer than the reading
        try:
            self.root = self._read(source, source.tag, None)
        finally:
            if collecting:
                gc.enable()
        self.top = self.element(source, "", None)  # what stands above the root: XPath's document node
        self.top.children, self.top.by = [self.root], {self.root.tag: [self.root]}

    def _read(self, source: etree._Element, tag: str, parent: Element | None) -> Element:
        element = self.element(source, tag, parent)
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

    def _note(self, element: Element, attributes: Sequence[tuple[str, str]]) -> None:
        element.attributes = noted = dict(attributes)
        self.attribute_names.update(noted)

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
                element.node = element.parent = element._all = None
        self.top.node = None
