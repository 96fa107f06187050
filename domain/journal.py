"""The journal: the only way to write. An `eventsourcing` application, made fast and gap-safe.

All writers of one journal take one advisory lock for the length of a short transaction. Under it, fact ids that are
already known are dropped, the next versions of the streams assigned, positions reserved and the whole batch copied
in; so positions are handed out in the order of commits, and a reader that asks for "after position n" never misses a
fact. The messages are stored in the same transaction. What is decided under the lock stands in domain/intake.py.

Positions are integers from 1; gaps mean nothing.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from domain import binary, fact
from domain.binary import COPY_HEAD, COPY_TAIL, Row, journal_row
from domain.errors import Refused
from domain.fact import Fact

LOCKS = {"cargo": (0x4B4F, 1), "commerce": (0x4B4F, 2)}
"""Advisory lock of each journal: two 32-bit keys."""

ROWS_A_WRITE = 500  # the server takes in one part while the next is made
LOCK_WAIT_MS_MAX = 10_000
STATEMENT_MS_MAX = 30_000
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A server that no longer answers is noticed in seconds, on every path."""
TIMEOUTS = f"-c lock_timeout={LOCK_WAIT_MS_MAX} -c statement_timeout={STATEMENT_MS_MAX}"


class Entry(msgspec.Struct, frozen=True):
    """A fact with its place in the journal."""

    position: int
    stream: str
    version: int
    fact_id: UUID
    fact: Fact

    @property
    def originator_id(self) -> str:
        return self.stream

    @property
    def originator_version(self) -> int:
        return self.version


class FactMapper(Mapper[str]):
    """Stores a fact under its permanent tag instead of a Python path."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        state = fact.encode(domain_event.fact)
        return StoredEvent(domain_event.stream, domain_event.version, fact.tag_of(type(domain_event.fact)), state)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        stream = str(stored_event.originator_id)
        return Entry(0, stream, stored_event.originator_version, UUID(int=0), fact.decode(stored_event.state))


class JournalRecorder(PostgresApplicationRecorder):
    """The library's recorder with an advisory lock for its table lock and binary COPY for its insert.

    The table lock would stop VACUUM, ANALYZE and index builds; the advisory lock gives the same order of positions.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.journal = self.events_table_name.removesuffix("_events")
        self.lock_table_statements = [sql.SQL("SELECT pg_advisory_xact_lock({}, {})").format(*LOCKS[self.journal])]
        table = sql.Identifier(self.events_table_name)
        self.reserve_statement = sql.SQL("SELECT setval({0}, nextval({0}) + %s - 1)").format(
            sql.Literal(f"{self.events_table_name}_notification_id_seq")
        )
        self.copy_statement = sql.SQL(
            "COPY {} (originator_id, originator_version, topic, state, notification_id, fact_id)"
            " FROM STDIN (FORMAT BINARY)"
        ).format(table)

    def lock(self, cursor: psycopg.Cursor[Any]) -> None:
        """Take the journal's lock until the end of the transaction."""
        self._lock_table(cursor)

    def copy(self, cursor: psycopg.Cursor[Any], rows: Sequence[Row]) -> int:
        """Write rows under the lock. Returns the position of the last one."""
        cursor.execute(self.reserve_statement, (len(rows),), prepare=True)
        reserved = cursor.fetchone()
        assert reserved is not None
        last = int(next(iter(reserved.values())) if isinstance(reserved, dict) else reserved[0])
        first = last - len(rows) + 1
        with cursor.copy(self.copy_statement) as copy:
            copy.write(COPY_HEAD)
            for start in range(0, len(rows), ROWS_A_WRITE):
                part = rows[start : start + ROWS_A_WRITE]
                copy.write(b"".join([journal_row(row, place) for place, row in enumerate(part, first + start)]))
            copy.write(COPY_TAIL)
        return last

    def notify(self, cursor: psycopg.Cursor[Any]) -> None:
        """Wake the readers at the commit."""
        self._notify_channel(cursor)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """The library's own way in, for facts that repeat nobody: one attempt, each fact with a new id."""
        rows = [
            (str(event.originator_id), event.originator_version, event.topic, event.state, uuid4())
            for event in stored_events
        ]
        if not rows:
            return []
        with self.datastore.get_connection() as connection, connection.transaction(), connection.cursor() as cursor:
            self.lock(cursor)
            last = self.copy(cursor, rows)
            self.notify(cursor)
        return range(last - len(rows) + 1, last + 1)


class Cargo(Application[str]):
    """What happened to goods."""

    name = "cargo"


class Commerce(Application[str]):
    """Deliveries, tariffs, statements, payments."""

    name = "commerce"


APPLICATIONS: dict[str, type[Application[str]]] = {"cargo": Cargo, "commerce": Commerce}


class Journal:
    """One of the two journals, read side and connections. Writing: domain/intake.py, domain/writer.py."""

    def __init__(self, name: str, conninfo: str) -> None:
        """Raises Refused if the environment asks for the library's database functions, which lose events."""
        if os.environ.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").lower() in {"y", "yes", "t", "true", "on", "1"}:
            raise Refused("POSTGRES_ENABLE_DB_FUNCTIONS drops the journal's lock and loses facts; unset it")
        self.name = name
        self.conninfo = conninfo
        self._application = APPLICATIONS[name](_environment(conninfo))
        recorder = self._application.recorder
        assert isinstance(recorder, JournalRecorder)
        self.recorder = recorder
        self.channel = recorder.channel_name
        table = sql.Identifier(recorder.events_table_name)
        self._read = sql.SQL(
            "SELECT notification_id, originator_id, originator_version, fact_id, state FROM {}"
            " WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        ).format(table)
        self._stream = sql.SQL(
            "SELECT notification_id, originator_id, originator_version, fact_id, state FROM {}"
            " WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version"
        ).format(table)
        self._last = sql.SQL("SELECT coalesce(max(notification_id), 0) FROM {}").format(table)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection of one's own, with time-outs on the wire, on locks and on statements."""
        wire: dict[str, Any] = {**KEEPALIVE, **options}
        connection = psycopg.connect(self.conninfo, connect_timeout=5, options=TIMEOUTS, **wire)
        binary.prepare(connection)
        return connection

    def read(self, connection: psycopg.Connection[Any], *, after: int, limit: int) -> list[Entry]:
        """The next entries behind a position, in order; empty if there are none yet.

        What cannot be decoded is among them as `Unreadable`, so that one bad entry stops no reader.
        """
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(self._read, (after, limit), prepare=True)
            return [Entry(row[0], row[1], row[2], row[3], fact.read(row[4])) for row in rows]

    def stream(self, connection: psycopg.Connection[Any], stream: str, after_version: int = 0) -> list[Entry]:
        """The facts of one stream behind a version, oldest first; empty if there are none.

        Raises msgspec.DecodeError for one that cannot be decoded: nobody decides on half a story.
        """
        with connection.cursor(binary=True) as cursor:
            return [_entry(row) for row in cursor.execute(self._stream, (stream, after_version), prepare=True)]

    def last(self, connection: psycopg.Connection[Any]) -> int:
        """The position of the newest fact, 0 if there is none."""
        row = connection.execute(self._last).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Give the pool's connections back."""
        self._application.close()

    @contextmanager
    def opened(self) -> Iterator["Journal"]:
        """Closes at the end of a `with`."""
        try:
            yield self
        finally:
            self.close()


def _entry(row: tuple[int, str, int, UUID, bytes]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], fact.decode(row[4]))


def _environment(conninfo: str) -> dict[str, str]:
    """The library takes the parts of a conninfo one by one."""
    parts = conninfo_to_dict(conninfo)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "domain.journal:JournalRecorder",
        "MAPPER_TOPIC": "domain.journal:FactMapper",
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "n",  # tables are made by migrations
        "POSTGRES_DBNAME": str(parts.get("dbname") or ""),
        "POSTGRES_HOST": str(parts.get("host") or ""),
        "POSTGRES_PORT": str(parts.get("port") or "5432"),
        "POSTGRES_USER": str(parts.get("user") or ""),
        "POSTGRES_PASSWORD": str(parts.get("password") or "-"),
        "POSTGRES_PRE_PING": "y",
    }
