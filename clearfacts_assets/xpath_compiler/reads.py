"""Which elements of what is repeated a rule reads, told from its XPath.

A document of which only the other elements are left out is to that rule the same document: what it counts, adds up,
compares and finds is still there, in the same order, and stands under the same elements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from clearfacts_assets.xpath_compiler.elements import ElementIndex
from clearfacts_assets.xpath_compiler.xpath import (
    Binary,
    Call,
    Every,
    Literal,
    Node,
    NotUnderstood,
    Path,
    Step,
    Variable,
    conjuncts,
    name_ending,
)

_PRESENCE = frozenset({"exists", "count", "not", "name", "local-name"})  # they look at elements, not into them
_VALUE = frozenset(
    {"sum", "abs", "round", "concat", "contains", "matches", "number", "string-length", "substring", "normalize-space"}
    | {"substring-after", "substring-before", "upper-case", "ends-with", "starts-with", "tokenize", "distinct-values"}
    | {"xs:decimal", "xs:date", "string", "true", "false", "string-join"}
)
_TRUTH = ("and", "or")


@dataclass(frozen=True, slots=True)
class At:
    """Where a path stands. ``inside``: perhaps in what is repeated, and not surely at the root or beside it."""

    names: frozenset[str] = frozenset()  # as the artefact writes them; none: not known
    at_root: bool = False
    inside: bool = True


ROOT = At(at_root=True, inside=False)
ANYWHERE = At()
_NO_ELEMENT = At(inside=False)  # a number, a text, an attribute


@dataclass(slots=True)
class Reads:
    """Names as the artefact writes them: of elements that are looked at, and of those whose value is. ``*Amount`` are
    all names that end so."""

    repeated: frozenset[str]  # what stands many times below the root
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)  # with all that is inside

    def pattern(self, node: Node) -> At:
        """What finds the elements of a rule. Raises NotUnderstood where it may look at everything."""
        if isinstance(node, Binary) and node.operator == "|":
            return _either(self.pattern(node.left), self.pattern(node.right))
        if not isinstance(node, Path):
            raise NotUnderstood("a pattern in another form")
        last = node.steps[-1]
        if (node.start, last.name, len(node.steps)) == ("//", "*", 1) and (ending := _ending(last)):
            self.names.add(f"*{ending}")
            for predicate in last.predicates:
                self.expression(predicate, ANYWHERE, {}, value=False)
            return At(frozenset({f"*{ending}"}))
        return self._path(node, ANYWHERE, {}, value=False)

    def expression(self, node: Node | None, at: At, bound: Mapping[str, At], *, value: bool) -> At:
        """Note what is read, from this place; ``value`` where more is asked than whether there is any."""
        if isinstance(node, Path):
            return self._path(node, at, bound, value=value)
        if isinstance(node, Variable):
            return self._used(bound[node.name], value=value)
        if isinstance(node, Call):
            return self._call(node, at, bound)
        if isinstance(node, Every):
            item = self.expression(node.sequence, at, bound, value=False)
            self.expression(node.test, at, {**bound, node.variable: item}, value=False)
        elif isinstance(node, Binary):
            inner = value if node.operator == "|" else node.operator not in _TRUTH
            sides = [self.expression(one, at, bound, value=inner) for one in (node.left, node.right)]
            if node.operator == "|":
                return _either(*sides)
        elif not isinstance(node, Literal):
            raise NotUnderstood(f"{node}")
        return _NO_ELEMENT

    def _call(self, call: Call, at: At, bound: Mapping[str, At]) -> At:
        if call.name not in _PRESENCE | _VALUE:
            raise NotUnderstood(f"what {call.name} reads")
        if not call.arguments and call.name in ("normalize-space", "string", "number", "string-length"):
            self._used(at, value=True)
        for argument in call.arguments:
            self.expression(argument, at, bound, value=call.name in _VALUE)
        return _NO_ELEMENT

    def _path(self, path: Path, at: At, bound: Mapping[str, At], *, value: bool) -> At:
        here = ANYWHERE if path.start == "//" else at
        if path.start == "//" and path.steps[0].axis not in ("child", "expression"):
            raise NotUnderstood("everything is looked at")
        for place, step in enumerate(path.steps):
            if not place and path.start == "/":
                here = self._top(step)
            elif step.axis == "expression":
                last = place == len(path.steps) - 1
                here = self.expression(step.expression, here, bound, value=value and last)
            else:
                here = self._step(step, here)
            for predicate in step.predicates:
                self.expression(predicate, here, bound, value=False)
        return self._used(here, value=value)

    @staticmethod
    def _top(step: Step) -> At:
        if step.axis != "child":
            raise NotUnderstood("a path from the top in another form")
        return ROOT

    def _step(self, step: Step, here: At) -> At:
        if step.axis == "attribute":
            return _NO_ELEMENT
        if step.axis == "self" and step.name == "*":
            return here
        if step.axis == "parent" and not step.name:
            return ANYWHERE  # whoever is there keeps what stands above it
        if step.name in ("", "*"):
            raise NotUnderstood("elements of any name are looked at")
        inside = here.inside or step.axis not in ("child", "self") or (here.at_root and step.name in self.repeated)
        if inside:
            self.names.add(step.name)
        return At(frozenset({step.name}), at_root=here.at_root and step.axis == "self", inside=inside)

    def _used(self, here: At, *, value: bool) -> At:
        if not value or here == _NO_ELEMENT:
            return here
        if here.at_root or (here.inside and not here.names):
            raise NotUnderstood("the value of elements of any name is read")
        if here.inside:
            self.values |= here.names
        return here


def _either(left: At, right: At) -> At:
    if left == right:
        return left
    known = all(one.names or one == _NO_ELEMENT for one in (left, right))
    names = left.names | right.names if known else frozenset[str]()
    return At(names, left.at_root or right.at_root, left.inside or right.inside)


def _ending(step: Step) -> str:
    """The ending in ``*[ends-with(name(), 'Amount') and ...]``; "" where it is written otherwise."""
    return name_ending(conjuncts(step.predicates[0])[0]) if len(step.predicates) == 1 else ""


def unread(index: ElementIndex, reads: Reads, prefixes: Mapping[str, str]) -> frozenset[str]:
    """The tags of this document of which nothing is read: none of their elements is, or holds one that is, or stands
    in one whose value is."""
    above = {tag: {one.parent.tag for one in same if one.parent} for tag, same in index.by_tag.items()}
    below: dict[str, set[str]] = {}
    for tag, parents in above.items():
        for parent in parents:
            below.setdefault(parent, set()).add(tag)
    looked_at = _tags(reads.names, above, prefixes)
    read = looked_at | set(_closure(_tags(reads.values, above, prefixes), below))
    return frozenset(above).difference(_closure(read, above))


def _tags(names: Collection[str], tags: Collection[str], prefixes: Mapping[str, str]) -> set[str]:
    """Those of the document that have these names."""
    found = {tag for name in names if name.startswith("*") for tag in tags if tag.endswith(name[1:])}
    for name in names:
        prefix, _, local = name.partition(":")
        if local:
            found.add(f"{{{prefixes[prefix]}}}{local}")
        elif not name.startswith("*"):
            found.add(name)
    return found


def _closure(begin: Collection[str], leads_to: Mapping[str, Collection[str]]) -> Iterator[str]:
    """All that is reached from these, with them."""
    seen, waiting = set(begin), list(begin)
    while waiting:
        tag = waiting.pop()
        yield tag
        for other in leads_to.get(tag, ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
