"""The connection that a thread keeps: lost ones are replaced, work that fails by itself is not done twice."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from api.pool import Kept, open_pool

Work = Callable[[psycopg.Connection[Any]], Any]


def plain(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute("SELECT 1").fetchall()


def piped(connection: psycopg.Connection[Any]) -> Any:
    with connection.pipeline():
        return [connection.execute("SELECT 1", prepare=True) for _ in range(2)][1].fetchall()


def in_a_transaction(connection: psycopg.Connection[Any]) -> Any:
    with connection.transaction():
        return connection.execute("SELECT 1").fetchall()


@pytest.mark.parametrize("work", [plain, piped, in_a_transaction])
def test_a_connection_that_was_lost_meanwhile_is_replaced_and_the_work_done(database: str, work: Work) -> None:
    with open_pool(database) as pool:
        kept = Kept(pool)
        lost = kept.run(lambda connection: connection.info.backend_pid)
        with psycopg.connect(database, autocommit=True) as other:
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", (lost,)).fetchone() == (True,)
        assert kept.run(work) == [(1,)]
        assert kept.run(lambda connection: connection.info.backend_pid) != lost
        kept.give_back()


def test_a_statement_that_takes_too_long_is_not_run_again_and_spoils_nothing(database: str) -> None:
    begun = 0

    def slow(connection: psycopg.Connection[Any]) -> None:
        nonlocal begun
        begun += 1
        with connection.transaction(), connection.pipeline():
            connection.execute("SET LOCAL statement_timeout = '20ms'")
            connection.execute("SELECT pg_sleep(10)")

    with open_pool(database) as pool:
        kept = Kept(pool)
        with pytest.raises(psycopg.errors.QueryCanceled):
            kept.run(slow)
        assert begun == 1
        assert kept.run(plain) == [(1,)]
        kept.give_back()


def test_whoever_finds_no_connection_waits_for_one_once(database: str) -> None:
    with open_pool(database) as pool:
        pool.timeout = 0.05
        taken = [pool.getconn() for _ in range(pool.max_size)]
        with pytest.raises(PoolTimeout):
            Kept(pool).run(plain)
        for connection in taken:
            pool.putconn(connection)
