"""Whether a document surely breaks none of an artefact's rules: compiled from the artefact when it is loaded."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from clearfacts_assets.xpath_compiler import runtime
from clearfacts_assets.xpath_compiler.asserts import Rule, read_rules
from clearfacts_assets.xpath_compiler.elements import Element, ElementIndex
from clearfacts_assets.xpath_compiler.translation import ROOT, Translation
from clearfacts_assets.xpath_compiler.xpath import (
    Binary,
    Call,
    Node,
    NotUnderstood,
    Path,
    Step,
    conjuncts,
    name_ending,
    parse,
)

_SHARED = re.compile(r"\bshared_\d+\b")
DIGITS = 60  # a result that needs more is not proved


@dataclass(slots=True)
class Absent:
    """Names that must not stand under an element, as a tree of paths: one walk answers for hundreds of asserts."""

    elements: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    below: dict[str, Absent] = field(default_factory=dict)

    def holds(self, element: Element) -> bool:
        by = element.by
        if not self.elements.isdisjoint(by) or not self.attributes.isdisjoint(element.attributes):
            return False
        for tag, inner in self.below.items():
            for child in by.get(tag, runtime.NONE):
                if not inner.holds(child):
                    return False
        return True


class Prover:
    """Built from one artefact. Raises NotUnderstood where any of its rules cannot be translated.

    ``roots`` are the names, as the artefact writes them, that the root of every document has that is looked at.
    """

    def __init__(self, xslt: bytes, roots: Collection[str]) -> None:
        self._roots = frozenset(f"/{root}" for root in roots)
        rules, prefixes = read_rules(xslt)
        self._translation = Translation(prefixes)
        self._absent = Absent()
        self._everywhere: set[str] = set()  # attribute names that no element may have
        self.asserts = sum(len(rule.asserts) for rule in rules)
        self._holds = self._compiled([source for rule in rules if (source := self._rule(rule))])

    def proves(self, index: ElementIndex) -> bool:
        """True where every assert surely holds; False where one may fail, or cannot be told."""
        if not self._everywhere.isdisjoint(index.attribute_names) or not self._absent.holds(index.root):
            return False
        with decimal.localcontext() as context:
            context.prec = DIGITS
            context.traps[decimal.Inexact] = True
            try:
                return self._holds(index)
            except (runtime.Unproved, decimal.DecimalException):
                return False

    def is_root(self, rule: Rule) -> bool:
        """Whether a rule is about the root of every document, whichever it is."""
        return {part.strip() for part in rule.context.split("|")} == self._roots

    # -- one rule ---------------------------------------------------------------------------------------------------

    def _rule(self, rule: Rule) -> str:
        """Lines of a function that look at every element of the rule's context; empty where nothing is left."""
        at_root = self.is_root(rule)
        tests = []
        self._translation.root = ROOT if at_root else ""
        for each in rule.asserts:
            node = parse(each.test)
            if not (at_root and self._is_absence(node)):
                tests.append(self._translation.truth(node, ROOT if at_root else "x", {}))
        tests = [test for test in dict.fromkeys(tests) if test != "True"]
        if not tests:
            return ""
        if at_root:
            return "".join(f"    if not {test}: return False\n" for test in tests)
        written = "".join(f"        if not {test}: return False\n" for test in tests)
        return "".join(f"    for x in {loop}{written}" for loop in self._candidates(parse(rule.context)))

    def _candidates(self, pattern: Node) -> list[str]:
        """For each alternative of a pattern, the head of a loop over the elements that match it. A rule of higher
        priority that claims an element first is left out of account: then more is asked than must hold, never less."""
        if isinstance(pattern, Binary) and pattern.operator == "|":
            return [*self._candidates(pattern.left), *self._candidates(pattern.right)]
        if not isinstance(pattern, Path) or any(step.axis != "child" for step in pattern.steps):
            raise NotUnderstood("a pattern in another form")
        *above, last = pattern.steps
        found, rest = self._by_name(last)
        conditions = self._above("x", above, anchored=pattern.start == "/")
        conditions += [self._translation.truth(predicate, "x", {}) for predicate in rest]
        others = f"        if not ({' and '.join(conditions)}): continue\n" if conditions else ""
        return [f"{found}:\n{others}"]

    def _by_name(self, step: Step) -> tuple[str, list[Node]]:
        """The elements of the last step's name, and the predicates that are still to be looked at."""
        predicates = list(step.predicates)
        if step.name == "*":
            # Leaving its other conditions out asks more elements than must be asked, never fewer.
            ending, others = _endings(predicates)
            named = f"tag.endswith({ending!r})" + (f" and not tag.endswith({others!r})" if others else "")
            return f"[e for tag, same in index.by_tag.items() if {named} for e in same]", []
        tag = self._translation.tag(step.name)
        grouping = self._translation.grouping(predicates[0]) if predicates else None
        if grouping:
            name = self._translation.tag(grouping[0])
            return f"{self._translation.groups(tag, name)}.get({grouping[1]!r}, NONE)", predicates[1:]
        return f"of_tag({tag}, NONE)", predicates

    def _above(self, element: str, steps: list[Step], *, anchored: bool) -> list[str]:
        conditions = []
        for step in reversed(steps):
            element += ".parent"
            conditions.append(f"{element} is not None")
            if step.name != "*":
                conditions.append(f"{element}.tag == {self._translation.tag(step.name)}")
            conditions += [self._translation.truth(predicate, element, {}) for predicate in step.predicates]
        if anchored:
            conditions.append(f"{element}.parent is None")
        return conditions

    # -- "must not be there" ----------------------------------------------------------------------------------------

    def _is_absence(self, node: Node) -> bool:
        """``not(a/b/c)`` at the root goes into the tree of absences, and ``not(//@a)`` into the set of names."""
        if not (isinstance(node, Call) and node.name == "not" and isinstance(node.arguments[0], Path)):
            return False
        path = node.arguments[0]
        if path.start == "//" and len(path.steps) == 1 and path.steps[0].axis == "attribute":
            self._everywhere.add(path.steps[0].name)
            return True
        names = [_alternatives(step) for step in path.steps]
        if path.start or not all(names):
            return False
        places = [self._absent]
        for step in names[:-1]:
            places = [place.below.setdefault(self._clark(name), Absent()) for place in places for name in step]
        for place in places:
            for name in names[-1]:
                if name.startswith("@"):
                    place.attributes.add(name[1:])
                else:
                    place.elements.add(self._clark(name))
        return True

    def _clark(self, name: str) -> str:
        prefix, _, local = name.partition(":")
        return f"{{{self._translation.prefixes[prefix]}}}{local}"

    # -- the program ------------------------------------------------------------------------------------------------

    def _compiled(self, bodies: list[str]) -> Callable[[ElementIndex], bool]:
        """All of it as one function: what rules share is a variable, and no rule costs a call."""
        names = self._names()
        shared = {name: code for code, name in self._translation.shared.items()}
        lines = [f"    {ROOT} = index.root\n    of_tag = index.by_tag.get\n"]
        for body in bodies:
            lines += set_before(body, shared)
            lines.append(body)
        source = f"def holds(index):\n{''.join(lines)}    return True\n"
        exec(compile(source, "<rules of the artefact>", "exec"), names)  # noqa: S102 - written just above
        holds: Callable[[ElementIndex], bool] = names["holds"]
        return holds

    def _names(self) -> dict[str, Any]:
        """What the written code finds there: the functions of ``runtime``, and the tags."""
        names = {name: value for name, value in vars(runtime).items() if not name.startswith("__")}
        return names | {name: tag for tag, name in self._translation.tags.items()}


def set_before(code: str, unset: dict[str, str]) -> list[str]:
    """Lines that set the shared variables that this code needs and nobody has set; they are taken out of ``unset``."""
    lines = []
    for name in dict.fromkeys(_SHARED.findall(code)):
        if name in unset:
            value = unset.pop(name)
            lines += [*set_before(value, unset), f"    {name} = {value}\n"]
    return lines


def _alternatives(step: Step) -> list[str]:
    """The names that a plain step stands for, ``@`` before an attribute's; none where it is not plain."""
    if step.predicates or step.name == "*":
        return []
    if step.axis in ("child", "attribute"):
        return [f"@{step.name}" if step.axis == "attribute" else step.name]
    return _names(step.expression) if step.axis == "expression" else []


def _names(node: Node | None) -> list[str]:
    """``a|b`` as its names; none where it is anything else."""
    if isinstance(node, Binary) and node.operator == "|":
        left, right = _names(node.left), _names(node.right)
        return [*left, *right] if left and right else []
    if isinstance(node, Path) and not node.start and len(node.steps) == 1:
        return _alternatives(node.steps[0])
    return []


def _endings(predicates: list[Node]) -> tuple[str, tuple[str, ...]]:
    """The ending in ``[ends-with(name(), 'X') and not(ends-with(name(), 'Y')) and ...]``, and those that it refuses.

    Many a unit price has four decimals: asked what the rules ask of amounts, no document with one would be proved.
    """
    first, *more = conjuncts(predicates[0]) if len(predicates) == 1 else [None]
    ending = name_ending(first)
    if not ending:
        raise NotUnderstood("a pattern for any element")
    refused = [name_ending(each.arguments[0]) for each in more if isinstance(each, Call) and each.name == "not"]
    return ending, tuple(filter(None, refused))
