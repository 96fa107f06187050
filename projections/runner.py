"""Keeps read models in step with the journals: a batch's rows and the new position are one transaction.

A model's position moves only from where it was read, so two runners of one model fence each other off. `LISTEN` wakes
the runner and a poll backs it up. A fact that a model cannot take is put into its dead letters and the rest goes on.
Positions are those of the journal (domain/journal.py).
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from types import ModuleType
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from domain.fact import Unreadable
from domain.journal import Entry, Journal

BATCH = 2_000
POLL_SECONDS = 0.5

TABLES = """
CREATE TABLE IF NOT EXISTS read_model_positions (
    name     text PRIMARY KEY,
    position bigint NOT NULL           -- everything up to here is in the model
);
ALTER TABLE read_model_positions ADD COLUMN IF NOT EXISTS shape text NOT NULL DEFAULT '';  -- digest of the DDL
GRANT SELECT ON read_model_positions TO kouan_reader;
CREATE TABLE IF NOT EXISTS read_model_dead_letters (
    name     text NOT NULL,
    position bigint NOT NULL,
    subject  text NOT NULL,            -- the stream whose rows in this model can no longer be trusted
    error    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, position)
);
"""

log = logging.getLogger("kouan.projector")


class ReadModel(msgspec.Struct, frozen=True):
    """What a read model's file offers."""

    name: str
    journal: str  # cargo or commerce
    tables: str  # DDL
    table_names: tuple[str, ...]
    project: Callable[[psycopg.Cursor[Any], Sequence[Entry]], None]


def model(module: ModuleType) -> ReadModel:
    """A read model's file as the runner takes it."""
    return ReadModel(module.NAME, module.JOURNAL, module.TABLE, module.TABLES, module.project)


def install(connection: psycopg.Connection[Any], models: Sequence[ReadModel]) -> None:
    """Create the tables of the models that are not there yet, or not in this shape; they start at position 0.

    Whoever changes what the rows of a model hold changes its DDL, if only a comment in it: then they are made anew.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(19279, 9)")
        connection.execute(TABLES)
        for each in models:
            _shape(connection, each)


def _shape(connection: psycopg.Connection[Any], each: ReadModel) -> None:
    shape = sha256(each.tables.encode()).hexdigest()[:16]
    had = connection.execute("SELECT shape FROM read_model_positions WHERE name = %s", (each.name,)).fetchone()
    if had and had[0] != shape:
        log.warning("%s 结构已变，重建 / %s has a new shape and is built again", each.name, each.name)
        tables = sql.SQL(", ").join(map(sql.Identifier, each.table_names))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(tables))  # policies that ask for them
        connection.execute("DELETE FROM read_model_dead_letters WHERE name = %s", (each.name,))
        connection.execute("DELETE FROM read_model_positions WHERE name = %s", (each.name,))
    connection.execute(each.tables.encode())
    connection.execute(
        "INSERT INTO read_model_positions (name, position, shape) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING",
        (each.name, shape),
    )


def position(connection: psycopg.Connection[Any], name: str) -> int:
    """How far a model has come; 0 if it was never built."""
    row = connection.execute("SELECT position FROM read_model_positions WHERE name = %s", (name,)).fetchone()
    return row[0] if row else 0


def step(connection: psycopg.Connection[Any], journal: Journal, models: Sequence[ReadModel], limit: int = BATCH) -> int:
    """Take models one batch further; those that have come equally far share what is read.

    Returns how many entries were read; 0 means that all are up to date. A batch that fails is halved until the entry
    that cannot be taken stands alone and goes to the dead letters.
    """
    places: dict[int, list[ReadModel]] = {}
    for each in models:
        places.setdefault(position(connection, each.name), []).append(each)
    count = 0
    for reached, together in places.items():
        entries = journal.read(connection, after=reached, limit=limit)
        for each in together if entries else ():
            _project(connection, each, reached, entries)
        count += len(entries)
    return count


def _project(connection: psycopg.Connection[Any], each: ReadModel, reached: int, entries: list[Entry]) -> None:
    try:
        with connection.transaction(), connection.cursor() as cursor:
            _move(cursor, each.name, reached, entries[-1].position)
            _readable(entries)
            each.project(cursor, entries)
    except TOO_LONG as error:
        _halve(connection, each, reached, entries, error)
    except (psycopg.OperationalError, Fenced):
        raise
    except Exception as error:  # noqa: BLE001  any fault of one fact must not stop the others
        _halve(connection, each, reached, entries, error)


TOO_LONG = psycopg.errors.ProgramLimitExceeded
"""Counted among the faults of the server, yet it is one text that is too long for its index."""


def _readable(entries: Sequence[Entry]) -> None:
    for entry in entries:
        if isinstance(entry.fact, Unreadable):
            raise CannotRead(entry.fact.error)


def _halve(
    connection: psycopg.Connection[Any], each: ReadModel, reached: int, entries: list[Entry], error: Exception
) -> None:
    if len(entries) == 1:
        _set_aside(connection, each.name, reached, entries[0], error)
        return
    middle = len(entries) // 2
    _project(connection, each, reached, entries[:middle])
    _project(connection, each, entries[middle - 1].position, entries[middle:])


class CannotRead(Exception):
    """An entry of the journal cannot be decoded."""


class Fenced(Exception):
    """Another runner has moved this model meanwhile."""


def _move(cursor: psycopg.Cursor[Any], name: str, reached: int, to: int) -> None:
    moved = cursor.execute(
        "UPDATE read_model_positions SET position = %s WHERE name = %s AND position = %s", (to, name, reached)
    )
    if moved.rowcount != 1:
        raise Fenced(name)


def _set_aside(connection: psycopg.Connection[Any], name: str, reached: int, entry: Entry, error: Exception) -> None:
    log.error("%s cannot take position %s (%s): %s", name, entry.position, entry.stream, error)
    reason = f"{type(error).__name__}: {error}".replace("\x00", "\\0")  # text holds no NUL
    with connection.transaction(), connection.cursor() as cursor:
        _move(cursor, name, reached, entry.position)
        cursor.execute(
            "INSERT INTO read_model_dead_letters (name, position, subject, error) VALUES (%s, %s, %s, %s)",
            (name, entry.position, entry.stream, reason),
        )


def catch_up(
    connection: psycopg.Connection[Any], journal: Journal, models: Sequence[ReadModel], batch: int = BATCH
) -> None:
    """Take the models of a journal to its end."""
    own = [each for each in models if each.journal == journal.name]
    _unhurried(connection)
    while step(connection, journal, own, batch):
        pass


def _unhurried(connection: psycopg.Connection[Any]) -> None:
    """Nobody need wait for the disk: what a crash takes away, rows and position together, is projected again."""
    connection.execute("SET synchronous_commit = off")


def rebuild(connection: psycopg.Connection[Any], journal: Journal, each: ReadModel, batch: int = BATCH) -> None:
    """Empty a model and build it again from position 0."""
    with connection.transaction():
        tables = sql.SQL(", ").join(map(sql.Identifier, each.table_names))  # in one go: they may refer to each other
        connection.execute(sql.SQL("TRUNCATE {}").format(tables))
        connection.execute("UPDATE read_model_positions SET position = 0 WHERE name = %s", (each.name,))
        connection.execute("DELETE FROM read_model_dead_letters WHERE name = %s", (each.name,))
    catch_up(connection, journal, [each], batch)


class Runner:
    """Follows one journal for ever, in a thread of its own; reconnects after any fault of the database."""

    def __init__(self, journal: Journal, models: Sequence[ReadModel]) -> None:
        self.journal = journal
        self.models = [each for each in models if each.journal == journal.name]
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name=f"{journal.name}-projector", daemon=True)

    def start(self) -> "Runner":
        self.thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with self.journal.connect(autocommit=True) as connection:
                    self._lead(connection)
                    _unhurried(connection)
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.journal.channel)))
                    self._follow(connection)
            except (psycopg.Error, Fenced) as error:
                log.warning("%s projector: %s", self.journal.name, error)
                self.stopping.wait(POLL_SECONDS)

    def _lead(self, connection: psycopg.Connection[Any]) -> None:
        """Wait until no other runner follows this journal; the lock ends with the connection."""
        while not self.stopping.is_set():
            key = f"kouan projector {self.journal.name}"
            row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
            if row and row[0]:
                return
            self.stopping.wait(POLL_SECONDS)

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            if not step(connection, self.journal, self.models):
                for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                    pass


def wait_for(connection: psycopg.Connection[Any], name: str, at_least: int, seconds: float) -> bool:
    """Wait until a model has taken a position; False if it has not within that time."""
    deadline = time.monotonic() + seconds
    while position(connection, name) < at_least:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
