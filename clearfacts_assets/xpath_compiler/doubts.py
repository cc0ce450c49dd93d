"""Where a document that is not proved may break rules, and whether a part of it is enough to find out.

Of a long document most is repeated: thousands of elements of one name below the root. An assert is local where what
it says of an element depends on nothing that is repeated elsewhere. If only such asserts are in doubt, the engine whose
words are final need not see the repeated elements of which nothing is in doubt: of the others it would say the same.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from clearfacts_assets.xpath_compiler import runtime
from clearfacts_assets.xpath_compiler.asserts import Rule
from clearfacts_assets.xpath_compiler.elements import Element, ElementIndex
from clearfacts_assets.xpath_compiler.prover import DIGITS, Absent, Prover, set_before
from clearfacts_assets.xpath_compiler.reads import Reads, unread
from clearfacts_assets.xpath_compiler.translation import ROOT
from clearfacts_assets.xpath_compiler.xpath import (
    Binary,
    Call,
    Every,
    Node,
    NotUnderstood,
    Path,
    Step,
    last_names,
    parse,
)

_UP = ("parent", "ancestor")
DOUBTFUL = (runtime.Unproved, decimal.DecimalException)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Rules that may fail: local ones with every element of which one may, and others, for which all is needed that is
    repeated."""

    rules: frozenset[str]
    far: frozenset[str]
    elements: list[Element]


@dataclass(frozen=True, slots=True)
class _Asked:
    rule: str
    is_local: bool
    at_root: bool
    body: str  # of a function that returns the elements of which the assert does not surely hold


class Doubts(Prover):
    """Built from one artefact, as a Prover is; ``repeated`` are the names, as the artefact writes them, of what stands
    many times below the root."""

    def __init__(self, xslt: bytes, roots: Collection[str], repeated: Collection[str]) -> None:
        self._repeated, self._root_names = frozenset(repeated), frozenset(roots)
        self._asked: list[_Asked] = []
        self._absences: set[str] = set()  # rules of what must not stand under the root
        self._far: set[str] = set()  # rules with an assert that is not local
        self._twice: set[str] = set()  # one name in two patterns: what it says first cannot be told
        self._whole = False  # some pattern looks further than its own element: nothing is to be concluded from a part
        self.places: dict[str, tuple[int, int]] = {}  # of each rule: its pattern, and its place there
        self._modes: dict[str, int] = {}
        self._find: list[Callable[[ElementIndex], list[Element]]] = []
        self._rules: list[Rule] = []
        super().__init__(xslt, roots)

    def where(self, index: ElementIndex) -> Doubt | None:
        """None where nothing can be told of single rules."""
        if self._whole or not self._everywhere.isdisjoint(index.attribute_names):
            return None
        rules, far, elements = set[str](), set[str](), list[Element]()
        with decimal.localcontext() as context:
            context.prec = DIGITS
            context.traps[decimal.Inexact] = True
            for asked, find in zip(self._asked, self._find, strict=True):
                try:
                    found = find(index)
                except DOUBTFUL:
                    far.add(asked.rule)
                    continue
                if found and (not asked.is_local or (not asked.at_root and index.root in found)):
                    far.add(asked.rule)
                elif found:
                    rules.add(asked.rule)
                    elements += found
        if missed := list(_present(self._absent, index.root)):
            rules |= self._absences
            elements += missed
        if not self._twice.isdisjoint(rules | far):
            return None
        far |= rules & self._far
        return Doubt(frozenset(rules - far), frozenset(far), elements)

    def unread(self, index: ElementIndex, rules: Collection[str]) -> frozenset[str]:
        """Tags of which these rules, all asserts of them, read nothing in what is repeated; none where that cannot be
        told. They find the same in the document without these elements."""
        reads = Reads(self._repeated)
        try:
            for rule in self._rules:
                self._note(reads, rule, rules)
        except NotUnderstood:
            return frozenset()
        return unread(index, reads, self._translation.prefixes)

    def _note(self, reads: Reads, rule: Rule, rules: Collection[str]) -> None:
        """What the rule reads if it is asked; else, where it may claim an element of one that is, whether it does."""
        asked = [one for one in rule.asserts if one.rule in rules]
        if asked or any(
            _may_both_claim(rule.context, other.context)
            for other in self._rules
            if other.mode == rule.mode and any(one.rule in rules for one in other.asserts)
        ):
            at = reads.pattern(parse(rule.context))
            for one in asked:
                if not one.is_fixed:
                    raise NotUnderstood(f"what the words of {one.rule} read")
                reads.expression(parse(one.test), at, {}, value=False)

    def _rule(self, rule: Rule) -> str:
        self._rules.append(rule)
        mode = self._modes.setdefault(rule.mode, len(self._modes))
        pattern = parse(rule.context)
        self._whole = self._whole or not self._is_local_pattern(pattern)
        at_root = self.is_root(rule)
        self._translation.root = ROOT if at_root else ""
        loops = [f"[{ROOT}]:\n"] if at_root else self._candidates(pattern)
        for each in rule.asserts:
            place = (mode, len(self.places))
            if self.places.setdefault(each.rule, place)[0] != mode:
                self._twice.add(each.rule)
            node = parse(each.test)
            if at_root and self._is_absence(node):
                self._absences.add(each.rule)
                continue
            is_local = each.is_fixed and self._is_local(node, at_root=at_root)
            if not is_local:
                self._far.add(each.rule)
            test = self._translation.truth(node, ROOT if at_root else "x", {})
            body = "".join(
                f"    for x in {loop}        try:\n            if not {test}: found.append(x)\n"
                "        except DOUBTFUL: found.append(x)\n"
                for loop in loops
            )
            self._asked.append(_Asked(each.rule, is_local, at_root, body))
        return ""

    def _compiled(self, bodies: list[str]) -> Callable[[ElementIndex], bool]:
        names = self._names() | {"DOUBTFUL": DOUBTFUL}
        shared = {name: code for code, name in self._translation.shared.items()}
        begins = f"    {ROOT} = index.root\n    of_tag = index.by_tag.get\n    found = []\n"
        for asked in self._asked:
            sets = "".join(set_before(asked.body, dict(shared)))
            source = f"def find(index):\n{begins}{sets}{asked.body}    return found\n"
            exec(compile(source, f"<where {asked.rule} may fail>", "exec"), names)  # noqa: S102 - written just above
            self._find.append(names["find"])
        return lambda index: False

    def _is_local_pattern(self, node: Node) -> bool:
        if isinstance(node, Binary):
            return self._is_local_pattern(node.left) and self._is_local_pattern(node.right)
        return isinstance(node, Path) and all(
            self._is_local(predicate, at_root=step.name in self._root_names)
            for step in node.steps
            for predicate in step.predicates
        )

    def _is_local(self, node: Node | None, *, at_root: bool) -> bool:
        """Whether the value depends on the element that is looked at, and what is inside; of the root without what is
        repeated there."""
        if isinstance(node, Path):
            return self._is_local_path(node, at_root)
        if isinstance(node, Call):
            return all(self._is_local(one, at_root=at_root) for one in node.arguments)
        if isinstance(node, Binary):
            return all(self._is_local(one, at_root=at_root) for one in (node.left, node.right))
        if isinstance(node, Every):
            return all(self._is_local(one, at_root=at_root) for one in (node.sequence, node.test))
        return True

    def _is_local_path(self, path: Path, at_root: bool) -> bool:
        first, *others = path.steps
        # Up, and down again by another name, may pass the root; what is asked of a way from there is asked of it then.
        up = any(step.axis in _UP for step in path.steps)
        if path.start or (path.steps[-1].axis in _UP and not self._is_below_root(path.steps[-1])):
            return False
        return self._stays(first, at_root or up) and all(self._stays(one, up) for one in others)

    def _is_below_root(self, step: Step) -> bool:
        return step.axis == "ancestor" and step.name not in {"*", *self._root_names}

    def _stays(self, step: Step, at_root: bool) -> bool:
        if step.axis == "expression":
            inside = self._is_local(step.expression, at_root=at_root)
        elif at_root:
            inside = step.axis in ("attribute", *_UP)
            inside = inside or (step.axis == "child" and step.name not in {"*", *self._repeated})
        else:
            inside = step.axis in ("child", "attribute", "self")
        return inside and all(self._is_local(one, at_root=at_root) for one in step.predicates)


def _may_both_claim(pattern: str, other: str) -> bool:
    """Whether one element may match both patterns, as far as its name tells."""
    first, second = last_names(parse(pattern)), last_names(parse(other))
    return not first.isdisjoint(second) or "*" in first | second


def _present(absent: Absent, element: Element) -> Iterator[Element]:
    """The elements under this one that hold what must not be there."""
    if not absent.elements.isdisjoint(element.by) or not absent.attributes.isdisjoint(element.attributes):
        yield element
        for tag in absent.elements & element.by.keys():
            yield from element.by[tag]
    for tag, inner in absent.below.items():
        for child in element.by.get(tag, runtime.NONE):
            yield from _present(inner, child)
