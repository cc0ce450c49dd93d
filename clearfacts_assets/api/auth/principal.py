"""Who asks: a person or a service, with what it may do at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from clearfacts_assets.api.auth.permissions import Permission, Role
from clearfacts_assets.storage.accounts.audit import Actor


class Kind(StrEnum):
    """How it showed who it is."""

    PERSON = "person"  # an access token or a session cookie
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who showed who it is. ``user_id`` and ``session_id`` are a person's, ``key_id`` is an API key's."""

    name: str
    role: Role
    kind: Kind
    permissions: frozenset[Permission]
    actor: Actor  # the same one, with address, user agent and correlation id, as the audit log wants it
    user_id: UUID | None = None
    session_id: UUID | None = None
    key_id: UUID | None = None
    investigator: str | None = None  # whose charges are all that a bound user sees

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions
