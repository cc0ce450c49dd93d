"""A document's elements as plain Python objects, read once and then asked by many rules.

Going through lxml's elements costs more than a rule does, so one pass notes what rules ask for: an element's children
by name, every element of a name in the document, and every attribute name.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from lxml import etree

_NONE: Sequence[Element] = ()
_NOTHING: Mapping[str, Sequence[Element]] = {}
_NO_ATTRIBUTES: Mapping[str, str] = {}
MOST_TO_WALK = 32  # siblings; among more of them each element keeps lxml's own
LONGEST_KEPT = 100  # characters of a value in a long document; longer ones are read again when they are asked for
MOST_SHARED = 1000  # different values, and different attributes, that elements have in common
_STRING = etree.XPath("string()", regexp=False)


def value_of(element: etree._Element) -> str:
    """The value of an element: all text inside, as XPath's ``string()`` says it. No other place reads one."""
    return str(_STRING(element)) if len(element) else element.text or ""


class Element:
    """One element. ``by`` holds its children by tag, ``children`` all of them, both in the document's order.

    A long document has hundreds of thousands: of lxml's own elements only those are kept that would be far to walk to.
    """

    __slots__ = ("_all", "_children", "_source", "_value", "attributes", "by", "node", "parent", "tag")

    def __init__(self, source: etree._Element | None, tag: str, parent: Element | None) -> None:
        self._source, self.tag, self.parent = source, tag, parent
        self.node: Element | None = self  # for who looks, often, for an element in what it was handed
        self._value: str | None = None  # noted when it is read, if nothing but text is inside
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.by: Mapping[str, Sequence[Element]] = _NOTHING
        self._children: Sequence[Element] | None = _NONE  # None where ``by`` tells as well
        self._all: list[Element] | None = None

    @property
    def children(self) -> Sequence[Element]:
        return [same[0] for same in self.by.values()] if self._children is None else self._children

    @property
    def source(self) -> etree._Element:
        """The same element of lxml's."""
        if self._source is not None:
            return self._source
        if self.parent is None:
            raise LookupError(f"{self.tag} was let go of")
        before = next(place for place, one in enumerate(self.parent.children) if one is self)
        return next(islice(self.parent.source.iterchildren(etree.Element), before, None))

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
                noted = element._children
                waiting.extend(reversed(element.children if noted is None else noted))
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
    __slots__ = ("_attributes", "_is_long", "_values", "attribute_names", "by_tag", "has_empty", "made", "root", "top")

    def __init__(self, source: etree._Element) -> None:
        self.by_tag: dict[str, list[Element]] = {}
        self.attribute_names: set[str] = set()
        self.has_empty = False  # some element has neither children nor text, or only blanks
        self.made: dict[Any, Any] = {}  # what rules have computed for other rules
        self._is_long = len(source) > MOST_TO_WALK  # then memory is spared, and not time
        self._values: dict[str, str] = {}
        self._attributes: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        collecting = gc.isenabled()
        gc.disable()  # many objects and no garbage: looking for it would take longer than the reading
        try:
            self.root = self._read(source)
        finally:
            if collecting:
                gc.enable()
        self.top = self.element(source, "", None)  # what stands above the root: XPath's document node
        self.top.by = {self.root.tag: [self.root]}
        self.top._children = [self.root]

    def _read(self, source: etree._Element) -> Element:
        """The element of the document's root, with all below it."""
        element = self.element(source, source.tag, None)
        self.by_tag[element.tag] = [element]
        self._read_inside(source, element)
        return element

    def _read_inside(self, source: etree._Element, element: Element) -> None:
        """What the element says of itself, and all below it."""
        attributes: list[tuple[str, str]] = source.items()  # type: ignore[assignment]
        if attributes:
            self._note(element, attributes)
        if len(source):
            self._read_children(source, element)
            if element.by:
                return
        value = value_of(source)
        if not self._is_long:
            element._value = value
        elif len(value) <= LONGEST_KEPT:
            element._value = self._shared(value)
        if not value or value.isspace():
            self.has_empty = True

    def _note(self, element: Element, attributes: Sequence[tuple[str, str]]) -> None:
        if not self._is_long:
            element.attributes = noted = dict(attributes)
            self.attribute_names.update(noted)
            return
        key = tuple(attributes)
        shared = self._attributes.get(key)
        if shared is None:
            shared = dict(attributes)
            self.attribute_names.update(shared)
            if len(self._attributes) < MOST_SHARED:
                self._attributes[key] = shared
        element.attributes = shared

    def _read_children(self, source: etree._Element, element: Element) -> None:
        children: list[Element] = []
        by: dict[str, Sequence[Element]] = {}
        keep, of_tag, make = len(source) > MOST_TO_WALK, self.by_tag, self.element
        for inner in source:
            tag = inner.tag
            everywhere = of_tag.get(tag)
            if everywhere is None:
                if not isinstance(tag, str):  # a comment or a processing instruction
                    continue  # type: ignore[unreachable]
                everywhere = of_tag[tag] = []
            else:
                tag = everywhere[0].tag  # lxml makes a new text of each tag
            child = make(inner if keep else None, tag, element)
            everywhere.append(child)
            children.append(child)
            same = by.get(tag)
            if same is None:
                by[tag] = (child,) if self._is_long else [child]
            elif isinstance(same, list):
                same.append(child)
            else:  # a list takes twice the memory, and few are twice there
                by[tag] = [*same, child]
            self._read_inside(inner, child)
        element.by = by
        element._children = None if self._is_long and len(by) == len(children) else children

    def _shared(self, value: str) -> str:
        """One text for all elements that say the same, as far as they are few."""
        found = self._values.setdefault(value, value) if len(self._values) < MOST_SHARED else self._values.get(value)
        return value if found is None else found

    def all(self, tag: str) -> Sequence[Element]:
        return self.by_tag.get(tag, _NONE)

    def let_go(self) -> None:
        """Untie parents from children, so that memory is free at once: finding such rings is a fifth of all work."""
        for elements in self.by_tag.values():
            for element in elements:
                element.node = element.parent = element._all = None
        self.top.node = None
