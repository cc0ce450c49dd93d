"""SQL in words of its own, where the expression language would hide what the database is asked."""

from __future__ import annotations

import re

from sqlalchemy import BigInteger, String, TextClause, bindparam, text

_TEXTS = frozenset({"period", "posted", "source", "status", "person", "project", "flag", "kind", "currency"})
_LISTS = frozenset({"people"})
_NUMBERS = frozenset({"import", "id", "before", "after", "old"})


def sql(statement: str) -> TextClause:
    """The statement, with the types of its values told: PostgreSQL does not guess them where one value meets columns of
    two types."""
    names = set(re.findall(r"(?<![:\w]):([a-z_]+)", statement))
    typed = [bindparam(name, type_=String()) for name in sorted(names & _TEXTS)]
    typed += [bindparam(name, type_=String(), expanding=True) for name in sorted(names & _LISTS)]
    return text(statement).bindparams(
        *typed, *(bindparam(name, type_=BigInteger()) for name in sorted(names & _NUMBERS))
    )
