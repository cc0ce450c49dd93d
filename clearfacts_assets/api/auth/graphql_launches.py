"""Runs that somebody launches through Dagster's GraphQL carry who that was: those tags are ours to write.

Each launching field of a mutation gets its arguments anew, as variables, with the tags put right, whether they stood in
the document, in a variable or partly in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_operation_ast,
    parse_type,
    print_ast,
    separate_operations,
    value_from_ast_untyped,
    visit,
)

from clearfacts_assets.api.auth.changes import bounded_depth, chosen_fields

OURS = "clearfacts/"  # tags that only we write
# Tags that only Dagster's daemon writes: a run that carries them would pass for the schedule's or a sensor's, or for
# one that is retried and of whose failure nobody is told.
DAEMONS = frozenset(
    {
        "dagster/schedule_name",
        "dagster/sensor_name",
        "dagster/tick",
        "dagster/run_key",
        "dagster/will_retry",
        "dagster/did_retry",
        "dagster/auto_retry_run_id",
    }
)
# Tags that say what a launcher executes: image, command, mounted secrets. An administrator's.
LAUNCHERS = ("dagster-k8s/", "dagster/image", "docker/", "ecs/")
# Where the tags stand in the arguments of the fields that launch.
_TAGS: Mapping[str, tuple[str, ...]] = {
    "executionParams": ("executionMetadata", "tags"),
    "executionParamsList": ("executionMetadata", "tags"),
    "reexecutionParams": ("extraTags",),
    "backfillParams": ("tags",),
}
LAUNCHING = frozenset(
    {
        "launchRun",
        "launchPipelineExecution",
        "launchMultipleRuns",
        "launchRunReexecution",
        "launchPipelineReexecution",
        "launchPartitionBackfill",
        "reexecutePartitionBackfill",
    }
)


class ForAdministrators(Exception):
    """A tag that decides what is executed, asked for by somebody who may not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What Dagster is asked to execute."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


def with_caller(
    asked: Asked, document: DocumentNode, schema: GraphQLSchema, tags: Mapping[str, str], *, administers: bool
) -> Asked:
    """The same request, whose launches carry ``tags``, and none that others write.

    Raises GraphQLError where the document has no such operation, ForAdministrators for tags that only they may give.
    """
    operation = get_operation_ast(document, asked.operation_name)
    if operation is None or operation.operation is not OperationType.MUTATION:
        return asked
    if not any(field.name.value in LAUNCHING for field in chosen_fields(document, operation)):
        return asked
    with bounded_depth():
        name = operation.name.value if operation.name else ""
        document = separate_operations(document)[name]
        (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        given = _values(operation, asked.variables or {})
        fresh: dict[str, Any] = {}
        for field in chosen_fields(document, operation):
            if field.name.value in LAUNCHING:
                _rewrite(field, operation, schema, given, fresh, lambda value: _put(value, tags, administers))
        _forget_unused(document, operation)
        declared = {one.variable.name.value for one in operation.variable_definitions}
        kept = {key: value for key, value in (asked.variables or {}).items() if key in declared}
        return Asked(print_ast(document), {**kept, **fresh}, name or None)


def _values(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions
        if one.default_value is not None
    }
    return {**defaults, **given}


def _rewrite(
    field: FieldNode,
    operation: OperationDefinitionNode,
    schema: GraphQLSchema,
    given: Mapping[str, Any],
    fresh: dict[str, Any],
    put: Callable[[Any], Any],
) -> None:
    """Each argument becomes a variable of its own, with the value that it would have had and the right tags."""
    known = schema.mutation_type.fields[field.name.value].args if schema.mutation_type else {}
    for argument in field.arguments:
        value = value_from_ast_untyped(argument.value, dict(given))
        path = _TAGS.get(argument.name.value)
        if path is None or argument.name.value not in known or value is Undefined or value is None:
            continue
        name = f"rewritten_{len(fresh)}"
        if name in given:
            raise GraphQLError(f"A variable is called ${name}: call it something else.")
        many = argument.name.value == "executionParamsList"
        fresh[name] = [put((one, path)) for one in _as_list(value)] if many else put((value, path))
        variable = VariableNode(name=NameNode(value=name))
        argument.value = variable
        kind = parse_type(str(known[argument.name.value].type))
        definition = VariableDefinitionNode(variable=variable, type=kind, default_value=None, directives=())
        operation.variable_definitions = (*operation.variable_definitions, definition)


def _put(asked: tuple[Any, tuple[str, ...]], tags: Mapping[str, str], administers: bool) -> Any:
    """The value with the right tags at the path; what has no such form is left for Dagster to refuse."""
    value, path = asked
    if not isinstance(value, Mapping):
        return value
    if len(path) > 1:
        inner = value.get(path[0])
        return {**value, path[0]: _put(({} if inner is None else inner, path[1:]), tags, administers)}
    there = [one for one in _as_list(value.get(path[0])) if not _is_anothers(one)]
    if not administers and any(_key(one).startswith(LAUNCHERS) for one in there):
        raise ForAdministrators
    return {**value, path[0]: [*there, *({"key": key, "value": text} for key, text in tags.items())]}


def _as_list(value: Any) -> list[Any]:
    """As GraphQL takes it where a list is wanted: one thing is a list of one."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _is_anothers(tag: Any) -> bool:
    return _key(tag).startswith(OURS) or _key(tag) in DAEMONS


def _key(tag: Any) -> str:
    return str(tag.get("key")) if isinstance(tag, Mapping) else ""


def _forget_unused(document: DocumentNode, operation: OperationDefinitionNode) -> None:
    """Variables whose only use was rewritten would make the document a wrong one."""
    used = set(_used(document))
    operation.variable_definitions = tuple(
        one for one in operation.variable_definitions if one.variable.name.value in used
    )


def _used(document: DocumentNode) -> Iterator[str]:
    found: list[str] = []

    class Names(Visitor):
        def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_: Any) -> None:
            if not isinstance(parent, VariableDefinitionNode):
                found.append(node.name.value)

    visit(document, Names())
    return iter(found)
