"""What acts on the books need, in a route and in a terminal at the node itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from api import embedded
from api.govern.acts import Act
from api.pool import Pool, open_pool
from api.settings import Settings
from api.trail import Trail
from domain.deciding import Decider
from domain.journal import Journal
from domain.writer import Writer


class Books(NamedTuple):
    """What an act needs."""

    pool: Pool
    decider: Decider  # of the commerce journal

    @property
    def writer(self) -> Writer:
        return self.decider.writer

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection whose statements may take as long as they need."""
        return psycopg.connect(self.writer.journal.conninfo, autocommit=True)


# --- in a terminal ---


def conninfo() -> str:
    """Of the node that the environment names."""
    settings = Settings.read()
    return settings.database_url or embedded.start(settings.home)


@contextmanager
def opened(conninfo: str) -> Iterator[Books]:
    """The books, at the node itself."""
    with Journal("commerce", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        decider = Decider(writer, pool)
        try:
            yield Books(pool, decider)
        finally:
            decider.stop()
            writer.stop()


def carry_out(books: Books, act: Act, by: str) -> bool:
    """Decide, and tell the trail; whether that is new. Raises what the decision raises."""
    decided = books.decider.decide(act.stream, act.fold, act.decision)
    if decided.facts:
        detail = " ".join(part for part in (f"kouan, by {by}", act.detail) if part)
        asyncio.run(Trail(books.writer).tell(act.action, act.stream, detail=detail))
    return bool(decided.facts)
