"""The elements of a UBL document as rules ask for them, and where an element stands, for people."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from itertools import islice
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.ubl import CREDIT_NOTE, INVOICE, PREFIXES
from clearfacts_assets.xpath_compiler import elements as plain
from clearfacts_assets.xpath_compiler.elements import MOST_TO_WALK
from clearfacts_assets.xpath_compiler.elements import Element as Element
from clearfacts_assets.xpath_compiler.runtime import forget

_SHORT = {
    namespace: "" if namespace in (INVOICE, CREDIT_NOTE) else f"{prefix}:" for prefix, namespace in PREFIXES.items()
}
_KEY = "element index"
LONG = 2**16  # bytes of a document whose values are not remembered for the next one


class _Walkable(Element):
    """With these, and ``node``, mock-einvoice's rules walk this tree as they walk their own."""

    __slots__ = ()

    text = Element.value

    @property
    def path(self) -> str:
        return location_of(self)


class ElementIndex(plain.ElementIndex):
    """The same for UBL."""

    element = _Walkable
    __slots__ = ()


def element_index_of(document: ParsedDocument) -> ElementIndex:
    """The index of the document's elements, made when the first rule set asks for it."""
    index: ElementIndex | None = document.shared.get(_KEY)
    if index is None:
        index = document.shared[_KEY] = ElementIndex(document.root)
    return index


def root_of(document: ParsedDocument) -> Element | etree._Element:
    """The root as the index has it, which is quicker to ask; lxml's own where no index was made."""
    index: ElementIndex | None = document.shared.get(_KEY)
    return document.root if index is None else index.root


def let_go_of_element_index(document: ParsedDocument) -> None:
    """For who has finished with the document: nothing made from its elements may be used any more."""
    index: ElementIndex | None = document.shared.pop(_KEY, None)
    if index is not None:
        index.let_go()
    if document.size > LONG:
        forget()


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


def location_of(element: Element | etree._Element) -> str:
    """An XPath for people: ``/Invoice/cac:InvoiceLine[2]/cbc:ID``, numbered where a name stands more than once."""
    steps = []
    current: Any = element
    while current is not None:
        is_ours = isinstance(current, Element)
        parent = current.parent if is_ours else current.getparent()
        twins = [current]
        if parent is not None:
            twins = parent.by.get(current.tag, twins) if is_ours else list(parent.iterchildren(current.tag))
        steps.append(step_of(current.tag, _place_of(current, twins) if len(twins) > 1 else 1, len(twins)))
        current = parent
    return "/" + "/".join(reversed(steps))


def step_of(tag: str, number: int, of: int) -> str:
    """One step of such a location: the so-manieth of so many of that name beside each other."""
    name = etree.QName(tag)
    step = f"{_SHORT.get(name.namespace or '', '')}{name.localname}"
    return f"{step}[{number}]" if of > 1 else step


def _place_of(element: Element | etree._Element, twins: Sequence[Any]) -> int:
    """From 1 on. Who asks for one after another, in order, is answered without looking at all of them each time."""
    if len(twins) <= MOST_TO_WALK:
        return twins.index(element) + 1
    before = _last.place if _last.place < len(twins) else 0
    try:
        _last.place = twins.index(element, before)
    except ValueError:
        _last.place = twins.index(element)
    return _last.place + 1


class _Last(threading.local):
    """Where the last one was found: only a hint."""

    place = 0


_last = _Last()
