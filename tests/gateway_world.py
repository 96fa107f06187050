"""Statements that wait to be paid, machines that send their invoices, and seams at which a process can be made to die.

What dies raises Crash: a wrapper about the gateway before or after each call, a wrapper about the connection before or
after each commit. Everything else is the real thing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg

from billing import drafting, invoicing
from billing.gateway import Gateway
from billing.inbox import Inbox
from billing.outbox import Outbox
from domain import invoice, period, statement
from domain.invoice import Invoice
from domain.journal import Journal
from domain.statement import Statement
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.test_usage import SEPTEMBER, cut, made

MONTH = "2026-09"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
PAUSE = timedelta(hours=2)  # longer than any


class Crash(Exception):
    """The process is gone."""


class Fuse:
    """Counts the seams that are passed, and burns at one of them."""

    def __init__(self, at: int = 0) -> None:
        self.at = at  # 0: never
        self.passed = 0
        self.names: list[str] = []

    def pass_(self, name: str) -> None:
        self.passed += 1
        self.names.append(name)
        if self.passed == self.at:
            raise Crash(name)


class Seamed:
    """A gateway with a seam before and behind each call."""

    def __init__(self, gateway: Gateway, fuse: Fuse) -> None:
        self._gateway = gateway
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        if not callable(found):
            return found

        def call(*values: Any, **named: Any) -> Any:
            self._fuse.pass_(f"before {name}")
            answer = found(*values, **named)
            self._fuse.pass_(f"behind {name}")
            return answer

        return call


class Line:
    """A connection with a seam before and behind each commit."""

    def __init__(self, connection: psycopg.Connection[Any], fuse: Fuse) -> None:
        self._connection = connection
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._connection.transaction() as begun:
            yield begun
            self._fuse.pass_("before a commit")
        self._fuse.pass_("behind a commit")


class Books:
    """A node whose September is issued: a statement for each holder, and what can be asked of them."""

    def __init__(self, conninfo: str, counts: dict[str, int], *, zero: bool = False) -> None:
        node = self.node = Node(conninfo, cast("Any", None))  # nobody asks by HTTP
        told = [made(SEPTEMBER, count, account=holder) for holder, count in counts.items()]
        told += [made(SEPTEMBER, 2, account=holder, waived="trial") for holder in counts]
        told += [
            made(SEPTEMBER, 3, account=holder, item="track.query", item_class="government", tariff="")
            for holder in counts
        ]
        if zero:
            told.append(made(SEPTEMBER, 9, account="zz-free", item="track.query", item_class="government", tariff=""))
        node.decide("commerce", "metering:a", *told)
        node.decide("commerce", period.stream(MONTH), cut(MONTH))
        self.journal = Journal("commerce", node.conninfo)
        writer = Writer(self.journal)
        with self.connected() as connection:
            drafting.issue(connection, writer, MONTH, by="clerk", at=NOW)
        writer.stop()
        self.numbers = [number for (number,) in self.rows("SELECT statement FROM issued_statements ORDER BY 1")]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.node.rows(query, *values)

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.node.conninfo, autocommit=True) as connection:
            yield connection

    def document(self, number: str) -> Statement:
        with self.connected() as connection:
            return statement.read(drafting.stored(connection, number))

    def ask(self, provider: str, number: str = "", at: datetime = NOW) -> invoicing.Asked:
        with self.connected() as connection:
            month = "" if number else MONTH
            return invoicing.ask(connection, provider, due_days=30, by="clerk", at=at, statement=number, month=month)

    def folded(self, number: str) -> Invoice:
        state = Invoice(number)
        for each in self.told(number):
            state = invoice.evolve(state, each)
        return state

    def told(self, number: str) -> list[Any]:
        with self.connected() as connection:
            return [entry.fact for entry in self.journal.stream(connection, invoice.stream(number))]

    def work(self, gateway: Gateway, at: datetime = NOW, fuse: Fuse | None = None) -> int:
        """A process of its own: takes what is due, or dies on the way. How many steps it took."""
        with self.journal.connect(autocommit=True) as connection:
            line: Any = Line(connection, fuse) if fuse else connection
            port: Any = Seamed(gateway, fuse) if fuse else gateway
            return Outbox(line, self.journal, port).run(at) + Inbox(line, self.journal, port).run(at)

    def sweep(self, gateway: Gateway, at: datetime, since: datetime | None = None, fuse: Fuse | None = None) -> Any:
        with self.journal.connect(autocommit=True) as connection:
            line: Any = Line(connection, fuse) if fuse else connection
            port: Any = Seamed(gateway, fuse) if fuse else gateway
            return Inbox(line, self.journal, port).sweep(at, since)

    def close(self) -> None:
        self.journal.close()
