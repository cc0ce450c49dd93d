"""What the desk itself refuses, in a text that its page tells in the reader's language."""

from __future__ import annotations

from typing import Any

from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.messages import Message


class Refused(ApiError):
    """A text of the desk, with {values} in it. The message is the English one, for logs and for programs."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.VALIDATION_ERROR, **values: Any) -> None:
        super().__init__(code, Message(text, values))
