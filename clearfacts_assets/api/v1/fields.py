"""Fields that requests of several rooms have in common. Bodies are strict: no type is guessed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, SecretStr

UserName = Annotated[str, Field(min_length=1, max_length=150, examples=["an.peeters"])]
Email = Annotated[str, Field(min_length=3, max_length=320, examples=["an.peeters@example.com"])]
# No least length here: why a password is too weak is said in one place, auth/passwords.py.
Password = Annotated[SecretStr, Field(min_length=1, max_length=1024, examples=["plum tractor violet"])]
Token = Annotated[SecretStr, Field(min_length=1, max_length=512)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="the same key with the same request gets the same answer, and starts nothing a second time",
    ),
]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)
