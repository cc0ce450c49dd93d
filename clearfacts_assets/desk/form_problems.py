"""What is wrong with what somebody typed into a form, where pydantic says it: in words for the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.desk.translations import mark
from clearfacts_assets.messages import Message, Messages

# By pydantic's type of the error; in braces what its context holds.
TEXTS = {
    "missing": mark("it is missing"),
    "string_too_short": mark("at least {min_length} characters"),
    "string_too_long": mark("at most {max_length} characters"),
    "too_short": mark("at least {min_length} characters"),  # of a password
    "too_long": mark("at most {max_length} characters"),
    "string_pattern_mismatch": mark("it is not written as it has to be"),
    "int_parsing": mark("it is a whole number"),
    "greater_than_equal": mark("at least {ge}"),
    "less_than_equal": mark("at most {le}"),
    "literal_error": mark("one of {expected}"),
    "enum": mark("one of {expected}"),
    "extra_forbidden": mark("it is not asked for"),
}
MOST = 20  # problems told at once


def invalid_form(errors: Iterable[Mapping[str, Any]]) -> ApiError:
    """Each field and its problem, from ``ValidationError.errors()``."""
    told = Messages(_told(str(one["loc"][-1]), _problem(one)) for one in list(errors)[:MOST])
    return ApiError(ErrorCode.VALIDATION_ERROR, Message("{problems}.", {"problems": told}))


def _told(field: str, problem: Message) -> Message:
    return Message("{field}: {problem}", {"field": Message(field.replace("_", " ")), "problem": problem})


def _problem(error: Mapping[str, Any]) -> Message:
    text = TEXTS.get(error["type"])
    if not text:
        return Message(str(error["msg"]))
    return Message(text, {name: str(value).replace(" or ", ", ") for name, value in error.get("ctx", {}).items()})
