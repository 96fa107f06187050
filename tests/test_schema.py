"""The journals' tables are what the migrations make, whichever of them a database has seen before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from domain import schema
from tests.schema_dump import HEAD, dump

KEPT = Path(__file__).parents[1] / "docs" / "schema.sql"
NUMBERS = [number for number, _, _ in schema.migrations()]

ROWS = """
INSERT INTO cargo_events VALUES ('container:X', 1, 'container.gated_in', '{}', 1, gen_random_uuid());
INSERT INTO commerce_events VALUES ('item:x', 1, 'catalogue.listed', '{}', 1, gen_random_uuid());
INSERT INTO cargo_transmissions VALUES (gen_random_uuid(), 'a', 'native', now(), '', '');
INSERT INTO cargo_messages
VALUES (gen_random_uuid(), gen_random_uuid(), 0, 1, 'a', 'D', '', 'recorded', ARRAY[gen_random_uuid()], now());
INSERT INTO cargo_quarantine VALUES (gen_random_uuid(), 'a', 'native', 'json.syntax', '', 0, '', now(), now());
"""
TABLES = ("cargo_events", "commerce_events", "cargo_transmissions", "cargo_messages", "cargo_quarantine")


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    with made(postgres) as conninfo:
        yield conninfo


@contextmanager
def made(server: str) -> Iterator[str]:
    name = sql.Identifier(f"kouan_schema_{uuid4().hex[:12]}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield make_conninfo(server, dbname=name.as_string().strip('"'))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {}").format(name))


def migrate(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return schema.migrate(connection)


def apply(connection: psycopg.Connection, number: int, name: str, text: str) -> None:
    connection.execute(text.encode())
    connection.execute("INSERT INTO schema_migrations VALUES (%s, %s)", (number, name))


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS


def test_the_kept_description_is_what_the_migrations_make(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        if connection.info.server_version // 10_000 != 18:
            pytest.skip("the description is PostgreSQL 18's; this server is another one")
    migrate(empty)
    assert HEAD + dump(empty) == KEPT.read_text(), "run: python -m tests.schema_dump > docs/schema.sql"


def test_migrating_again_changes_nothing(empty: str) -> None:
    assert migrate(empty) == [name for _, name, _ in schema.migrations()]
    before = dump(empty)
    assert migrate(empty) == []
    assert dump(empty) == before


def test_several_processes_may_migrate_at_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, [empty] * 4))
    assert sorted(filter(None, done)) == [[name for _, name, _ in schema.migrations()]]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_database_with_rows_at_any_migration_becomes_like_a_new_one(postgres: str, empty: str, number: int) -> None:
    [first, *others] = schema.migrations()
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(schema.DONE.encode())
        apply(connection, *first)
        connection.execute(ROWS.encode())
        for each in others[: number - 1]:
            apply(connection, *each)
    assert migrate(empty) == [name for each, name, _ in others if each > number]
    with made(postgres) as fresh:
        migrate(fresh)
        assert dump(empty) == dump(fresh)
    with psycopg.connect(empty) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() for table in TABLES]  # noqa: S608
    assert counts == [(1,)] * len(TABLES)
