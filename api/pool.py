"""The connections that a process reads with: the pool, and the one that a thread keeps of it.

Checked before use, and never waiting for ever. Milliseconds, seconds.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from domain.journal import KEEPALIVE

Pool = ConnectionPool[psycopg.Connection[Any]]
POOL_SIZE = 10
STATEMENT_MS_MAX = 15_000
WAIT_SECONDS_MAX = 5
T = TypeVar("T")


READER = "kouan_reader"


def open_readers(conninfo: str) -> Pool:
    """Connections through which answers about cargo are read: they see what a view lets them (projections/sight.py)."""
    return open_pool(conninfo, f"-c role={READER}")


def open_pool(conninfo: str, more: str = "") -> Pool:
    """Connections of the node itself, each statement a transaction of its own. `more`: options of the session."""
    session = f"-c statement_timeout={STATEMENT_MS_MAX} {more}".strip()
    options = {"autocommit": True, "options": session, **KEEPALIVE}
    return ConnectionPool(
        conninfo,
        min_size=2,
        max_size=POOL_SIZE,
        kwargs=options,
        check=ConnectionPool.check_connection,
        timeout=WAIT_SECONDS_MAX,
        open=True,
    )


class Kept:
    """The connection that a thread keeps: to ask the pool each time would cost as much as the question."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Work that only reads; once more if the connection was lost, not if it is the work that takes too long."""
        try:
            return work(self._connected())
        except psycopg.OperationalError:
            lost = self._connection is not None and self._connection.closed
            self.give_back()
            if not lost:
                raise
            return work(self._connected())

    def give_back(self) -> None:
        """Ended, for it may be dressed for somebody's view; the pool opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._pool.putconn(self._connection)
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = self._pool.getconn()
        return self._connection
