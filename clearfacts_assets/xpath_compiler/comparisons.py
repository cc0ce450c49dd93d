"""Comparisons of XPath as Python source: general ones, of every value on one side with every one on the other."""

from __future__ import annotations

from clearfacts_assets.xpath_compiler.calls import Code
from clearfacts_assets.xpath_compiler.xpath import NotUnderstood

_NODES = ("element", "elements", "raw")
_NAMES = {"=": "equal", "!=": "unequal", "<": "less", "<=": "at_most", ">": "more", ">=": "at_least"}
_PYTHON = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def compared(operator: str, left: Code, right: Code, names: tuple[str, str]) -> str:
    """True where any value of the left compares so with any of the right. ``names`` are free in the code around it."""
    sign = _PYTHON[operator]
    a, b = names
    if left.kind == "nears" and right.kind == "number":
        return f"any([apart({a}, {b}) and {a} {sign} {b} for {a} in {left.python} for {b} in some({right.python})])"
    lefts, rights = _values(left, right), _values(right, left)
    if lefts is None and rights is None:
        if left.kind in ("number", "day") and not (_is_there(left) and _is_there(right)):
            return f"{_NAMES[operator]}({left.python}, {right.python})"
        return f"({left.python} {sign} {right.python})"
    if operator == "=" and (lefts is None or rights is None):  # a missing number is in no list
        return f"({right.python} in {lefts})" if rights is None else f"({left.python} in {rights})"
    if rights is None and _is_constant(right):
        return f"any([{a} {sign} {right.python} for {a} in {lefts}])"
    return f"any([{a} {sign} {b} for {a} in {lefts or _alone(left)} for {b} in {rights or _alone(right)}])"


def _values(code: Code, other: Code) -> str | None:
    """The values of a sequence as the other side wants them; None for a single value."""
    wanted = {"text": "text", "texts": "text", "number": "number", "numbers": "number", "truth": "truth"}
    as_what = "text" if other.kind in _NODES else wanted.get(other.kind)
    if code.kind in _NODES:
        texts = {"element": f"[{code.python}.value]", "elements": f"values({code.python})", "raw": code.python}[
            code.kind
        ]
        if as_what == "text":
            return texts
        if as_what in ("number", "truth"):
            return f"[{as_what}(t) for t in {texts}]"
        raise NotUnderstood(f"{code.kind} compared with {other.kind}")
    if code.kind in ("texts", "numbers"):
        if as_what != code.kind[:-1]:
            raise NotUnderstood(f"{code.kind} compared with {other.kind}")
        return code.python
    same = {
        "text": ("text", "texts", *_NODES),
        "number": ("number", "numbers", *_NODES),
        "truth": ("truth", *_NODES),
    }
    if other.kind not in same.get(code.kind, (code.kind,)):
        raise NotUnderstood(f"{code.kind} compared with {other.kind}")
    return None


def _is_constant(code: Code) -> bool:
    return code.python[0] in "'\"" or code.python.isdigit() or code.python in ("True", "False")


def _alone(code: Code) -> str:
    """A single value as a list; a missing number as an empty one."""
    return f"some({code.python})" if code.kind == "number" else f"[{code.python}]"


def _is_there(code: Code) -> bool:
    """A number that cannot be missing."""
    return code.python.isdigit() or code.python.startswith("len(")
