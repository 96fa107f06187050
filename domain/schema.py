"""The journals' own tables, made by numbered migrations (domain/migrations); read models are rebuilt, not migrated."""

import re
from importlib.resources import files
from typing import Any

import psycopg

LOCK = "SELECT pg_advisory_xact_lock(19279, 0)"
DONE = "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY, name text NOT NULL)"


def migrate(connection: psycopg.Connection[Any]) -> list[str]:
    """Apply what has not been applied yet, all in one transaction. Returns the names of what was new."""
    with connection.transaction():
        connection.execute(LOCK)
        connection.execute(DONE)
        done = {row[0] for row in connection.execute("SELECT number FROM schema_migrations")}
        new = [(number, name, text) for number, name, text in migrations() if number not in done]
        for number, name, text in new:
            connection.execute(text.encode())
            connection.execute("INSERT INTO schema_migrations VALUES (%s, %s)", (number, name))
    return [name for _, name, _ in new]


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) in order."""
    found = []
    for item in (files("domain") / "migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", item.name)
        if match:
            found.append((int(match[1]), item.name, item.read_text()))
    return sorted(found)
