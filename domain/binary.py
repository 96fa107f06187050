"""PostgreSQL's binary forms, made by hand where the driver's general way costs more than the database's work.

Arrays of ids and of names as parameters, rows for COPY. Source: PostgreSQL documentation, "COPY", binary format, and
the send functions of uuid, text, int8, bytea and one-dimensional arrays. All integers are big-endian.
"""

import struct
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

UUID_OID, TEXT_OID = 2950, 25
UUIDS_OID, TEXTS_OID = 2951, 1009
_ARRAY = struct.Struct("!iiIii")  # dimensions, nulls, element type, length, lower bound
_EMPTY = struct.Struct("!iiI")
_LENGTH = struct.Struct("!i")
_SIXTEEN = _LENGTH.pack(16)
_ROW = struct.Struct("!hi")  # number of fields, length of the first
_NUMBER = struct.Struct("!iqi")  # length and value of an int8, length of the next field

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
COPY_TAIL = struct.pack("!h", -1)


class Uuids(bytes):
    """A uuid[] in binary form."""


class Texts(bytes):
    """A text[] in binary form."""


def uuids(ids: Collection[UUID]) -> Uuids:
    """Ids as a parameter."""
    items = b"".join([_SIXTEEN + each.bytes for each in ids])
    return Uuids(_head(UUID_OID, len(ids)) + items)


def texts(names: Collection[str]) -> Texts:
    """Names as a parameter."""
    items = b"".join([_LENGTH.pack(len(raw)) + raw for raw in map(str.encode, names)])
    return Texts(_head(TEXT_OID, len(names)) + items)


def _head(oid: int, length: int) -> bytes:
    return _ARRAY.pack(1, 0, oid, length, 1) if length else _EMPTY.pack(0, 0, oid)


class _UuidsDumper(Dumper):
    oid = UUIDS_OID
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


class _TextsDumper(_UuidsDumper):
    oid = TEXTS_OID


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Teach a connection these two parameters."""
    connection.adapters.register_dumper(Uuids, _UuidsDumper)
    connection.adapters.register_dumper(Texts, _TextsDumper)


class Row(NamedTuple):
    """A fact about to be written: everything but its position."""

    stream: str
    version: int
    tag: str
    state: bytes
    fact_id: UUID


def journal_row(row: Row, position: int) -> bytes:
    """One row of a journal's table in the order of its columns."""
    stream, version, tag, state, fact_id = row
    name, topic = stream.encode(), tag.encode()
    return b"".join(
        (
            _ROW.pack(6, len(name)),
            name,
            _NUMBER.pack(8, version, len(topic)),
            topic,
            _LENGTH.pack(len(state)),
            state,
            _NUMBER.pack(8, position, 16),
            fact_id.bytes,
        )
    )


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEAD = struct.Struct("!hi16si16siiii")  # twelve fields: two ids, two integers
_NULL = _LENGTH.pack(-1)
_EIGHT = struct.Struct("!iq")


@lru_cache(maxsize=1024)
def instant(at: datetime) -> bytes:
    """A timestamptz field: its length, and microseconds since 2000."""
    return _EIGHT.pack(8, (at - _EPOCH) // _MICROSECOND)


def message_row(
    *,
    ids: tuple[UUID, UUID],
    span: tuple[int, int],
    names: tuple[str, str],
    digest: bytes,
    status: str,
    fact_ids: Collection[UUID],
    received: bytes,
    function: str,
    sent: bytes | None,
) -> bytes:
    """One row of cargo_messages in the order of domain/messages.py."""
    facts = uuids(fact_ids)
    return b"".join(
        (
            _HEAD.pack(12, 16, ids[0].bytes, 16, ids[1].bytes, 4, span[0], 4, span[1]),
            *(_LENGTH.pack(len(raw)) + raw for raw in (names[0].encode(), names[1].encode(), digest, status.encode())),
            _LENGTH.pack(len(facts)),
            facts,
            received,
            _LENGTH.pack(len(function)),
            function.encode(),
            sent or _NULL,
        )
    )
