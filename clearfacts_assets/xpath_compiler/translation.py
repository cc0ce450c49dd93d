"""XPath as Python source: every expression becomes one Python expression over the element index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from clearfacts_assets.xpath_compiler.calls import CALLS, Code, as_number, as_text, is_there, listed
from clearfacts_assets.xpath_compiler.comparisons import compared
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
)

ROOT = "root"  # the variable that holds the document's root
_MANY = {"text": "texts", "number": "numbers", "truth": "truths"}
_ARITHMETIC = {"+": "plus", "-": "minus", "*": "times", "div": "divided"}


@dataclass(slots=True)
class Translation:
    """Translates the expressions of one artefact. ``shared`` collects what is computed once a document."""

    prefixes: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)  # Clark name -> Python name
    shared: dict[str, str] = field(default_factory=dict)  # Python source -> Python name
    root: str = ""  # the Python name of a context that is surely the document's root
    _variables: int = 0

    # -- names ------------------------------------------------------------------------------------------------------

    def tag(self, name: str) -> str:
        """The Python name that holds this element name."""
        prefix, colon, local = name.partition(":")
        if not colon or prefix not in self.prefixes:
            raise NotUnderstood(f"name {name}")
        return self.tags.setdefault(f"{{{self.prefixes[prefix]}}}{local}", f"T{len(self.tags)}")

    def variable(self) -> str:
        self._variables += 1
        return f"x{self._variables}"

    def _once(self, code: str) -> str:
        """The same for the whole document: a variable, set before the first rule that asks for it."""
        return self.shared.setdefault(code, f"shared_{len(self.shared)}")

    # -- expressions ------------------------------------------------------------------------------------------------

    def truth(self, node: Node, context: str, bound: dict[str, Code]) -> str:
        """The effective boolean value."""
        code = self.code(node, context, bound)
        if code.kind in ("truth", "elements", "raw", "text"):
            return code.python if code.kind == "truth" else is_there(code.python)
        if code.kind == "truths":
            return f"only_truth({code.python})"
        if code.kind == "element":
            return "True"
        raise NotUnderstood(f"a {code.kind} as a condition")

    def code(self, node: Node, context: str, bound: dict[str, Code]) -> Code:
        if isinstance(node, Literal):
            return Code("text", repr(node.value)) if isinstance(node.value, str) else Code("number", str(node.value))
        if isinstance(node, Variable):
            return bound[node.name]
        if isinstance(node, Call):
            return self._call(node, context, bound)
        if isinstance(node, Every):
            return self._every(node, context, bound)
        if isinstance(node, Path):
            return self._path(node, context, bound)
        return self._binary(node, context, bound)

    def _every(self, node: Every, context: str, bound: dict[str, Code]) -> Code:
        sequence = self.code(node.sequence, context, bound)
        name = self.variable()
        if sequence.kind == "elements":
            item, over = Code("element", name), sequence.python
        elif sequence.kind == "number":
            item, over = Code("number", name), f"some({sequence.python})"
        else:
            raise NotUnderstood(f"every over {sequence.kind}")
        test = self.truth(node.test, context, {**bound, node.variable: item})
        return Code("truth", f"all({test} for {name} in {over})")

    def _binary(self, node: Binary, context: str, bound: dict[str, Code]) -> Code:
        if node.operator == "and" and (listed_code := _listed(node)):
            text, codes = listed_code
            among = ", ".join(map(repr, sorted(set(codes))))
            return Code("truth", f"({as_text(self.code(text, context, bound))} in {{{among}}})")
        if node.operator in ("and", "or"):
            left, right = (self.truth(each, context, bound) for each in (node.left, node.right))
            return Code("truth", f"({left} {node.operator} {right})")
        first, second = (self.code(each, context, bound) for each in (node.left, node.right))
        if node.operator == "|":
            if (first.kind, second.kind) != ("elements", "elements"):
                raise NotUnderstood("a union of something else than elements")
            return Code("elements", f"[*{first.python}, *{second.python}]")
        if node.operator in ("+", "-") and first.kind == "elements" and second.kind == "number":
            return Code("nears", f"near({first.python}, {node.operator}{second.python})")
        if node.operator in _ARITHMETIC:
            operands = ", ".join(as_number(each) for each in (first, second))
            return Code("number", f"{_ARITHMETIC[node.operator]}({operands})")
        return Code("truth", compared(node.operator, first, second, (self.variable(), self.variable())))

    # -- paths ------------------------------------------------------------------------------------------------------

    def _path(self, path: Path, context: str, bound: dict[str, Code]) -> Code:
        """A path that asks the same of every context is computed once a document, and so are its beginnings."""
        from_root = not path.start and context == self.root and path.steps[0].axis == "child"
        if not (path.start or from_root) or _mentions_variables(path):
            return self._steps(path, context, bound)
        outer, self._variables = self._variables, 0  # the same path gets the same source, and is found again
        code = self._start(path.start, path.steps[0], ROOT, {})
        for step in path.steps[1:]:
            code = self._step(self._remembered(code), step, {})
        self._variables = outer
        return self._remembered(code)

    def _remembered(self, code: Code) -> Code:
        worth = code.kind != "element" and ("(" in code.python.replace("of_tag(", "").replace(".get(", ""))
        return Code(code.kind, self._once(code.python)) if worth and not code.python.startswith("shared_") else code

    def _steps(self, path: Path, context: str, bound: dict[str, Code]) -> Code:
        first, *others = path.steps
        code = self._start(path.start, first, context, bound)
        for step in others:
            code = self._step(code, step, bound)
        return code if path.steps[-1].axis != "parent" else Code("elements", listed(code))

    def _start(self, start: str, step: Step, context: str, bound: dict[str, Code]) -> Code:
        if start == "//":
            return self._anywhere(step, bound)
        if start == "/":
            return self._step(Code("element", "index.top"), step, bound)
        return self._step(Code("element", context), step, bound)

    def _anywhere(self, step: Step, bound: dict[str, Code]) -> Code:
        if step.axis == "attribute":
            return Code("raw", f"all_attributes(index, {step.name!r})")
        if step.axis == "expression" and not step.predicates:  # //(a|b)
            return self._either(step.expression, bound)
        if step.axis != "child":
            raise NotUnderstood(f"//{step.axis}")
        if step.predicates and (grouped := self._grouped(step)):
            return self._filtered(grouped, step.predicates[1:], bound)
        return self._filtered(Code("elements", f"of_tag({self.tag(step.name)}, NONE)"), step.predicates, bound)

    def _either(self, node: Node | None, bound: dict[str, Code]) -> Code:
        if isinstance(node, Binary) and node.operator == "|":
            parts = [self._either(each, bound) for each in (node.left, node.right)]
            return Code("elements", f"[*{parts[0].python}, *{parts[1].python}]")
        if isinstance(node, Path) and not node.start and len(node.steps) == 1:
            return self._anywhere(node.steps[0], bound)
        raise NotUnderstood("// of an expression")

    def grouping(self, predicate: Node) -> tuple[str, str] | None:
        """``normalize-space(a) = 'X'`` as ("a", "X"): the elements that meet it can be looked up."""
        if not (isinstance(predicate, Binary) and predicate.operator == "=" and isinstance(predicate.right, Literal)):
            return None
        call = predicate.left
        if not (isinstance(call, Call) and call.name == "normalize-space" and isinstance(call.arguments[0], Path)):
            return None
        path = call.arguments[0]
        plain = (
            not path.start and len(path.steps) == 1 and path.steps[0].axis == "child" and not path.steps[0].predicates
        )
        return (path.steps[0].name, str(predicate.right.value)) if plain and predicate.right.value else None

    def _grouped(self, step: Step) -> Code | None:
        found = self.grouping(step.predicates[0])
        if found is None:
            return None
        tag, name = self.tag(step.name), self.tag(found[0])
        return Code("elements", f"{self.groups(tag, name)}.get({found[1]!r}, NONE)")

    def groups(self, tag: str, name: str) -> str:
        """The elements of a tag by the value of one child."""
        return self._once(f"grouped(index, {tag}, {name})")

    def _step(self, code: Code, step: Step, bound: dict[str, Code]) -> Code:
        if code.kind not in ("element", "elements"):
            raise NotUnderstood(f"a step from {code.kind}")
        if step.axis == "expression":
            return self._mapped(code, step, bound)
        return self._filtered(_MOVES[step.axis](self, code, step.name), step.predicates, bound)

    def _child(self, code: Code, name: str) -> Code:
        if name == "*":
            return Code("elements", f"[k for e in {listed(code)} for k in e.children]")
        tag = self.tag(name)
        if code.kind == "element":
            return Code("elements", f"{code.python}.by.get({tag}, NONE)")
        return Code("elements", f"kids({code.python}, {tag})")

    def _attribute(self, code: Code, name: str) -> Code:
        return Code("raw", f"attributes({listed(code)}, {name!r})")

    def _parent(self, code: Code, name: str) -> Code:
        if code.kind == "element":
            return Code("element", f"({code.python}.parent or index.top)")
        return Code("elements", f"parents({code.python}, index)")

    def _itself(self, code: Code, name: str) -> Code:
        if name == "*":
            return code
        return Code("elements", f"[e for e in {listed(code)} if e.tag == {self.tag(name)}]")

    def _ancestor(self, code: Code, name: str) -> Code:
        if code.kind != "element":
            raise NotUnderstood("ancestors of several")
        return Code("elements", f"ancestors({code.python}, {self.tag(name)})")

    def _preceding(self, code: Code, name: str) -> Code:
        if code.kind != "element":
            raise NotUnderstood("what precedes several")
        return Code("elements", f"preceding({code.python}, {self.tag(name)}, index)")

    def _filtered(self, code: Code, predicates: tuple[Node, ...], bound: dict[str, Code]) -> Code:
        if not predicates:
            return code
        if code.kind not in ("element", "elements"):
            raise NotUnderstood(f"a predicate on {code.kind}")
        name = self.variable()
        tests = " and ".join(self.truth(predicate, name, bound) for predicate in predicates)
        return Code("elements", f"[{name} for {name} in {listed(code)} if {tests}]")

    def _mapped(self, code: Code, step: Step, bound: dict[str, Code]) -> Code:
        """``a/function(b)``: the function of each."""
        if step.predicates or step.expression is None:
            raise NotUnderstood("a predicate on an expression")
        if code.kind == "element":
            return self.code(step.expression, code.python, bound)
        name = self.variable()
        inner = self.code(step.expression, name, bound)
        if inner.kind in ("elements", "nears"):
            return Code(inner.kind, f"[k for {name} in {code.python} for k in {inner.python}]")
        if inner.kind not in _MANY:
            raise NotUnderstood(f"{inner.kind} of each")
        if inner.kind == "number":
            return Code("numbers", f"present([{inner.python} for {name} in {code.python}])")
        return Code(_MANY[inner.kind], f"[{inner.python} for {name} in {code.python}]")

    # -- functions --------------------------------------------------------------------------------------------------

    def _call(self, call: Call, context: str, bound: dict[str, Code]) -> Code:
        if call.name in ("true", "false") and not call.arguments:
            return Code("truth", call.name.capitalize())
        if call.name == "not":
            return Code("truth", f"(not {self.truth(call.arguments[0], context, bound)})")
        arguments = [self.code(argument, context, bound) for argument in call.arguments]
        if (call.name, len(arguments)) not in CALLS:
            raise NotUnderstood(f"function {call.name}")
        return CALLS[call.name, len(arguments)](*arguments)


def _listed(node: Binary) -> tuple[Node, list[str]] | None:
    """``not(contains(a, ' ')) and contains(' X Y ', concat(' ', a, ' '))``: the text, and the codes it is to be one of.

    What has no blank in it, and stands between blanks, is what stands between two that follow each other.
    """
    match node:
        case Binary(
            "and",
            Call("not", (Call("contains", (text, Literal(" "))),)),
            Call("contains", (Literal(str(codes)), Call("concat", (Literal(" "), same, Literal(" "))))),
        ) if text == same and codes.count(" ") > 1:
            return text, codes.split(" ")[1:-1]
    return None


def _mentions_variables(node: Node | None) -> bool:
    if isinstance(node, Variable):
        return True
    if isinstance(node, Call):
        return any(map(_mentions_variables, node.arguments))
    if isinstance(node, Binary):
        return _mentions_variables(node.left) or _mentions_variables(node.right)
    if isinstance(node, Every):
        return True
    if isinstance(node, Path):
        return any(
            _mentions_variables(step.expression) or any(map(_mentions_variables, step.predicates))
            for step in node.steps
        )
    return False


_MOVES: dict[str, Callable[[Translation, Code, str], Code]] = {
    "child": Translation._child,
    "attribute": Translation._attribute,
    "parent": Translation._parent,
    "self": Translation._itself,
    "ancestor": Translation._ancestor,
    "preceding": Translation._preceding,
}
