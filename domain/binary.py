"""PostgreSQL's binary forms, made by hand where the driver's general way costs more than the database's work.

Arrays of ids and of names as parameters, rows for COPY. Source: PostgreSQL documentation, "COPY", binary format, and
the send functions of uuid, text, int8, bytea and one-dimensional arrays. All integers are big-endian.
"""

import struct
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
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
_COUNT = struct.Struct("!h")
_SIXTEEN = _LENGTH.pack(16)
_ROW = struct.Struct("!hi")  # number of fields, length of the first
_VALUE = struct.Struct("!iq")  # length and value of an int8
_NUMBER = struct.Struct("!iqi")  # the same, and the length of the next field
_ONE_UUID = struct.Struct("!iiiIiii")  # length of the field, and the head of an array with one uuid

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
COPY_TAIL = struct.pack("!h", -1)


class Uuids(bytes):
    """A uuid[] in binary form."""


class Texts(bytes):
    """A text[] in binary form."""


def uuids(ids: Collection[UUID]) -> Uuids:
    """Ids as a parameter."""
    items = b"".join([_SIXTEEN + each.int.to_bytes(16, "big") for each in ids])
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


Row = tuple[str, int, str, bytes, UUID]
"""A fact about to be written, everything but its position: stream, version, tag, state, id."""


def journal_row(row: Row, position: int) -> bytes:
    """One row of a journal's table in the order of its columns."""
    stream, version, tag, state, fact_id = row
    name, topic = stream.encode(), _words(tag)
    return b"".join(
        (
            _ROW.pack(6, len(name)),
            name,
            _VALUE.pack(8, version),
            topic,
            _LENGTH.pack(len(state)),
            state,
            _NUMBER.pack(8, position, 16),
            fact_id.int.to_bytes(16, "big"),
        )
    )


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEAD = struct.Struct("!hi16si16siiiii")  # twelve fields: two ids, two integers, the length of the digest
_NULL = _LENGTH.pack(-1)


@lru_cache(maxsize=1024)
def instant(at: datetime | None) -> bytes:
    """A timestamptz field: its length, and microseconds since 2000; or NULL."""
    return _NULL if at is None else _VALUE.pack(8, (at - _EPOCH) // _MICROSECOND)


def message_row(  # noqa: PLR0917  names in the call would cost as much as the work
    ids: tuple[UUID, UUID],
    span: tuple[int, int],
    digest: bytes,
    times: tuple[datetime, datetime | None],
    words: tuple[str, str, str],
    document: str,
    fact_ids: Sequence[UUID],
) -> bytes:
    """One row of cargo_messages in the order of domain/messages.py; `words` are source, function and status."""
    mine, came = ids[0].int.to_bytes(16, "big"), ids[1].int.to_bytes(16, "big")
    head = _HEAD.pack(12, 16, mine, 16, came, 4, span[0], 4, span[1], len(digest))
    if len(fact_ids) == 1:
        facts = _ONE_UUID.pack(40, 1, 0, UUID_OID, 1, 1, 16) + fact_ids[0].int.to_bytes(16, "big")
    else:
        facts = raw(uuids(fact_ids))
    return b"".join((head, digest, instant(times[0]), instant(times[1]), _words(*words), text(document), facts))


def row(*fields: bytes) -> bytes:
    """One row for COPY, of fields as the functions here make them."""
    return b"".join((_COUNT.pack(len(fields)), *fields))


def number(value: int) -> bytes:
    """An int8 field."""
    return _VALUE.pack(8, value)


def uuid(value: UUID) -> bytes:
    """A uuid field."""
    return _SIXTEEN + value.int.to_bytes(16, "big")


def text(value: str | None) -> bytes:
    """A text field, or NULL."""
    return _NULL if value is None else raw(value.encode())


def raw(value: bytes) -> bytes:
    """A bytea field, or any other whose bytes are known."""
    return _LENGTH.pack(len(value)) + value


@lru_cache(maxsize=1024)
def _words(*words: str) -> bytes:
    return b"".join(map(text, words))
