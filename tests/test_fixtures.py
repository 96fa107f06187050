"""The tests' own ground: a database is gone after its test, whoever forgot to leave."""

from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.fixtures_postgres import drop


def test_a_database_is_dropped_though_somebody_is_still_connected(postgres: str) -> None:
    name = f"kouan_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with psycopg.connect(make_conninfo(postgres, dbname=name)) as lingering:
        lingering.execute("SELECT 1")
        drop(postgres, name)
        with pytest.raises(psycopg.OperationalError):
            lingering.execute("SELECT 1")
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None
