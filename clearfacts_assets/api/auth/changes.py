"""What somebody asks Dagster to change, read out of a GraphQL document, and how it stands in the audit log: without
secrets, and of a bounded size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    get_operation_ast,
    parse,
    value_from_ast_untyped,
)

from clearfacts_assets.telemetry.logging import HIDDEN, names_a_secret

MOST_TOKENS = 20_000  # of a GraphQL document; Dagster's own longest has under 5,000
MOST_ARGUMENTS = 20  # of a change that are kept; Dagster's own have under ten
LONGEST_NAME = 100  # characters of an argument's name
LONGEST_VALUE = 2000  # characters of an argument's value, as JSON
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to what, where that has an id, and the arguments as they are kept."""

    name: str
    of: str | None
    arguments: dict[str, Any]


def parsed(query: str) -> DocumentNode:
    """Raises GraphQLError for what is no document."""
    with bounded_depth():
        return parse(query, no_location=True, max_tokens=MOST_TOKENS)


def kinds(document: DocumentNode) -> set[OperationType]:
    """Of all operations, whichever of them would be executed."""
    return {one.operation for one in document.definitions if isinstance(one, OperationDefinitionNode)}


def changes(document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any] | None) -> list[Change]:
    """The fields of the mutation that is executed; empty where none is. Raises GraphQLError."""
    operation = get_operation_ast(document, operation_name)
    if operation is None or operation.operation is not OperationType.MUTATION:
        return []
    values = _values(operation, variables or {})
    with bounded_depth():
        return [_change(field, values) for field in chosen_fields(document, operation)]


def chosen_fields(document: DocumentNode, operation: OperationDefinitionNode) -> list[FieldNode]:
    """What the operation asks for, fragments included. Raises GraphQLError."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    with bounded_depth():  # fragments may name each other in a long row
        return [
            field
            for field in _fields(operation.selection_set, fragments, set())
            if not field.name.value.startswith("__")  # what every type has, and changes nothing
        ]


def kept(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without secrets, each cut where it is long: then it is the beginning of its JSON."""
    some = list(_open(arguments).items())[:MOST_ARGUMENTS]
    return {name[:LONGEST_NAME]: _cut(value) for name, value in some}


@contextmanager
def bounded_depth() -> Iterator[None]:
    """Raises GraphQLError for what is nested too deeply."""
    try:
        yield
    except RecursionError:
        raise GraphQLError("This document is nested too deeply.") from None


def _fields(
    chosen: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[FieldNode]:
    for selection in chosen.selections:
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, seen)
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
            seen.add(selection.name.value)
            if fragment := fragments.get(selection.name.value):
                yield from _fields(fragment.selection_set, fragments, seen)


def _values(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables; one whose name speaks of a secret is hidden here, since its argument's name may not."""
    defaults = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions
        if one.default_value is not None
    }
    return {name: HIDDEN if names_a_secret(name) else value for name, value in {**defaults, **given}.items()}


def _change(field: FieldNode, values: dict[str, Any]) -> Change:
    asked = {one.name.value: value_from_ast_untyped(one.value, values) for one in field.arguments}
    arguments = kept({name: value for name, value in asked.items() if value is not Undefined})
    ids = (value for name, value in arguments.items() if name == "id" or name.endswith("Id"))
    return Change(field.name.value, next((value for value in ids if isinstance(value, str)), None), arguments)


def _open(value: Any) -> Any:
    """What may be read of it by everybody who may read the audit log."""
    if isinstance(value, Mapping):
        secret = {name for name in value if names_a_secret(name)}
        # A tag or a variable of the environment is a pair: {"key": "api_token", "value": "..."}.
        if any(isinstance(value.get(name), str) and names_a_secret(value[name]) for name in ("key", "name")):
            secret.add("value")
        return {name: HIDDEN if item is not None and name in secret else _open(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_open(item) for item in value]
    # A run's configuration comes as YAML or JSON too, or as name=value. It is not taken apart: it is hidden where it
    # names a secret.
    if isinstance(value, str) and (":" in value or "=" in value) and any(map(names_a_secret, _WORD.findall(value))):
        return HIDDEN
    return value


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE]
