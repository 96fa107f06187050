"""An account as those see it who manage it, and who manages whom."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from api.identity import Account, Role

UNDER_ADMIN = frozenset({"enterprise", "logistics"})
"""Roles that an enterprise's administrator appoints, for its own party."""


class Person(msgspec.Struct, frozen=True):
    """An account without its secrets."""

    account: str
    role: Role
    zh: str
    en: str
    party: str
    rights: tuple[str, ...]
    state: str  # waiting, open, suspended, dismissed
    made_by: str
    created_at: datetime
    has_password: bool
    has_totp: bool

    def under(self, account: Account) -> bool:
        """Whether that account is the administrator of this one's party."""
        return (
            account.role == "enterprise-admin"
            and bool(self.party)
            and self.party == account.party
            and self.role in UNDER_ADMIN
        )


COLUMNS = """
SELECT account, role, zh, en, party, rights, state, made_by, created_at, password IS NOT NULL, totp IS NOT NULL
FROM accounts
"""


def of(row: tuple[Any, ...]) -> Person:
    return msgspec.convert(dict(zip(Person.__struct_fields__, row, strict=True)), Person)


def person(connection: psycopg.Connection[Any], name: str) -> Person | None:
    """None if there is no such account."""
    row = connection.execute(f"{COLUMNS} WHERE account = %s".encode(), (name,)).fetchone()
    return of(row) if row else None
