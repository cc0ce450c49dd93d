"""The part of XPath 2.0 that CEN's rules are written in, parsed to a tree. Everything else is NotUnderstood."""

from __future__ import annotations

import re
from dataclasses import dataclass


class NotUnderstood(Exception):
    """This expression is outside the part of XPath that is translated here."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str  # or, and, =, !=, <, <=, >, >=, +, -, *, div, |
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Every:
    variable: str
    sequence: Node
    test: Node


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path. ``axis``: child, attribute, self, parent, ancestor, preceding, or ``expression``."""

    axis: str
    name: str = ""
    expression: Node | None = None
    predicates: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """``start`` is "" (from the context), "/" (from the document) or "//" (from anywhere in it)."""

    start: str
    steps: tuple[Step, ...]


Node = Literal | Variable | Call | Binary | Every | Path

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'[^']*'|\"[^\"]*\")|(?P<number>\d+(?:\.\d+)?)|(?P<variable>\$[\w.-]+)"
    r"|(?P<name>[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?)|(?P<mark>//|::|!=|<=|>=|\.\.|[/()\[\]@,|=<>+*.-]))"
)
_AXES = ("child", "self", "parent", "ancestor", "preceding")
_COMPARISONS = {"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "eq": "="}


def parse(text: str) -> Node:
    """The expression as a tree. Raises NotUnderstood."""
    parser = _Parser(_tokens(text))
    tree = parser.expression()
    if parser.peek() != ("end", ""):
        raise NotUnderstood(f"{parser.peek()[1]!r} in {text!r}")
    return tree


def last_names(pattern: Node) -> frozenset[str]:
    """The names of the elements that a pattern finds; ``*`` among them where they may have any."""
    if isinstance(pattern, Binary):
        return last_names(pattern.left) | last_names(pattern.right)
    last = pattern.steps[-1] if isinstance(pattern, Path) else None
    return frozenset({last.name if last is not None and last.axis == "child" else "*"})


def conjuncts(node: Node) -> list[Node]:
    """A, B and C of ``A and B and C``."""
    if isinstance(node, Binary) and node.operator == "and":
        return [*conjuncts(node.left), *conjuncts(node.right)]
    return [node]


def name_ending(node: Node | None) -> str:
    """X of ``ends-with(name(), 'X')``; empty where it is anything else, or X may reach into the prefix."""
    if not isinstance(node, Call) or node.name != "ends-with" or node.arguments[0] != Call("name", ()):
        return ""
    ending = node.arguments[1]
    if not isinstance(ending, Literal) or not isinstance(ending.value, str) or ":" in ending.value:
        return ""
    return ending.value


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match or match.lastgroup is None:
            raise NotUnderstood(f"{text[place : place + 20]!r}")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        place = match.end()
    return [*found, ("end", "")]


class _Parser:
    """Recursive descent; a method a level of precedence, loosest first."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._place = tokens, 0

    def peek(self, ahead: int = 0) -> tuple[str, str]:
        return self._tokens[min(self._place + ahead, len(self._tokens) - 1)]

    def _take(self, *values: str) -> str | None:
        kind, value = self.peek()
        if kind in ("mark", "name") and value in values:
            self._place += 1
            return value
        return None

    def _need(self, value: str) -> None:
        if self._take(value) is None:
            raise NotUnderstood(f"{self.peek()[1]!r} where {value!r} is expected")

    def expression(self) -> Node:
        if self.peek() == ("name", "every") and self.peek(1)[0] == "variable":
            return self._every()
        return self._chain(("or",), self._and)

    def _every(self) -> Node:
        self._take("every")
        variable = self.peek()[1][1:]
        self._place += 1
        self._need("in")
        sequence = self.expression()
        self._need("satisfies")
        return Every(variable, sequence, self.expression())

    def _chain(self, operators: tuple[str, ...], inner: object) -> Node:
        left: Node = inner()  # type: ignore[operator]
        while operator := self._take(*operators):
            left = Binary(operator, left, inner())  # type: ignore[operator]
        return left

    def _and(self) -> Node:
        return self._chain(("and",), self._comparison)

    def _comparison(self) -> Node:
        left = self._sum()
        operator = self._take(*_COMPARISONS)
        return Binary(_COMPARISONS[operator], left, self._sum()) if operator else left

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "div"), self._union)

    def _union(self) -> Node:
        return self._chain(("|",), self._path)

    def _path(self) -> Node:
        start = self._take("/", "//") or ""
        steps = [self._step()]
        while mark := self._take("/", "//"):
            if mark == "//":
                raise NotUnderstood("// inside a path")
            steps.append(self._step())
        only = steps[0]
        if not start and len(steps) == 1 and only.expression is not None and not only.predicates:
            return only.expression
        return Path(start, tuple(steps))

    def _step(self) -> Step:
        if self._take(".."):
            return Step("parent")
        if self._take("."):
            return Step("self", "*", predicates=self._predicates())
        if self._take("@"):
            return Step("attribute", self._name())
        if self._take("*"):
            return Step("child", "*", predicates=self._predicates())
        kind, value = self.peek()
        if kind == "name" and self.peek(1) == ("mark", "::"):
            if value not in _AXES:
                raise NotUnderstood(f"axis {value}")
            self._place += 2
            return Step(value, self._name(), predicates=self._predicates())
        if kind == "name" and self.peek(1) != ("mark", "("):
            return Step("child", self._name(), predicates=self._predicates())
        return Step("expression", expression=self._primary(), predicates=self._predicates())

    def _name(self) -> str:
        kind, value = self.peek()
        if kind != "name":
            raise NotUnderstood(f"{value!r} where a name is expected")
        self._place += 1
        return value

    def _predicates(self) -> tuple[Node, ...]:
        found = []
        while self._take("["):
            found.append(self.expression())
            self._need("]")
        return tuple(found)

    def _primary(self) -> Node:
        kind, value = self.peek()
        self._place += 1
        if kind == "string":
            return Literal(value[1:-1])
        if kind == "number" and "." not in value:
            return Literal(int(value))
        if kind == "variable":
            return Variable(value[1:])
        if kind == "name":
            return self._call(value)
        if (kind, value) == ("mark", "("):
            inner = self.expression()
            self._need(")")
            return inner
        raise NotUnderstood(f"{value!r}")

    def _call(self, name: str) -> Node:
        self._need("(")
        arguments: list[Node] = []
        while not self._take(")"):
            if arguments:
                self._need(",")
            arguments.append(self.expression())
        return Call(name, tuple(arguments))
