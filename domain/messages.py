"""The messages beside the journal: what is known of them, and how they are kept. Inside the writer's transaction.

A transmission is what came over the wire in one piece, a message a slice of it; see domain/migrations. Times are UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from domain.binary import COPY_HEAD, COPY_TAIL, message_row, texts
from domain.documents import Said
from domain.intent import Message, Status, Transmission

MESSAGES = """
SELECT message_id, transmission_id, byte_from, digest, status, fact_ids
FROM cargo_messages
WHERE message_id = ANY(%s)
"""
DOCUMENTS = """
SELECT source, document, message_id, coalesce(sent_at, received_at), function, fact_ids
FROM cargo_messages
WHERE (source, document) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND status <> 'quarantined'
"""
TRANSMISSION = """
INSERT INTO cargo_transmissions (transmission_id, source, format, received_at, digest, body, sent_at, mends)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
COPY = """
COPY cargo_messages
    (message_id, transmission_id, byte_from, byte_to, digest, received_at, sent_at, source, function, status,
     document, fact_ids)
FROM STDIN (FORMAT BINARY)
"""
QUARANTINED = """
INSERT INTO cargo_messages
    (message_id, transmission_id, byte_from, byte_to, source, document, digest, received_at, status, fact_ids)
SELECT *, 'quarantined', '{}'
FROM unnest(
    %s::uuid[], %s::uuid[], %s::int[], %s::int[], %s::text[], %s::text[], %s::bytea[], %s::timestamptz[]
)
ON CONFLICT DO NOTHING
"""
Key = tuple[str, str]
"""Source and document."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A message that is kept already, or about to be, and what became of it."""

    transmission_id: UUID
    start: int  # where in the transmission
    digest: bytes
    status: Status
    fact_ids: Sequence[UUID]
    message: Message | None = None  # that is about to be kept


def seen(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, Seen]:
    """What is known of messages, from the rows of `MESSAGES`."""
    return {row[0]: Seen(row[1], row[2], bytes(row[3]), row[4], row[5]) for row in rows}


def said(cursor: psycopg.Cursor[Any], keys: Iterable[Key]) -> dict[Key, list[Said]]:
    """All that was said under these documents."""
    told: dict[Key, list[Said]] = {key: [] for key in keys}
    sources, documents = zip(*told, strict=True)
    for row in cursor.execute(DOCUMENTS, (texts(sources), texts(documents)), prepare=True):
        told[row[0], row[1]].append(Said(row[2], row[3].astimezone(UTC), row[4], tuple(row[5])))
    return told


def sent(message: Message) -> datetime:
    """When a message counts: its sending, or its receipt where that is not known."""
    return message.sent_at or message.transmission.received_at


def store(cursor: psycopg.Cursor[Any], taken: Sequence[Seen]) -> None:
    """Keep messages."""
    if taken:
        rows = [_row(each.message, each) for each in taken if each.message]
        with cursor.copy(COPY) as copy:
            copy.write(b"".join((COPY_HEAD, *rows, COPY_TAIL)))


def store_rest(cursor: psycopg.Cursor[Any], taken: Sequence[Seen], faulty: Sequence[tuple[Message, UUID]]) -> None:
    """Keep their transmissions, and faulty messages under the id of the quarantine; asks nothing back."""
    kept = [each.message for each in taken if each.message]
    transmissions = {id(each.transmission): each.transmission for each in (*kept, *(message for message, _ in faulty))}
    for each in transmissions.values():
        cursor.execute(TRANSMISSION, _values(each), prepare=True)
    if faulty:
        columns = zip(*(_quarantined(*each) for each in faulty), strict=True)
        cursor.execute(QUARANTINED, [list(column) for column in columns])


def _values(each: Transmission) -> tuple[object, ...]:
    return msgspec.structs.astuple(each)


def _quarantined(message: Message, message_id: UUID) -> tuple[object, ...]:
    came = message.transmission
    span = (message.start, message.end, came.source, message.document, message.digest)
    return (message_id, came.transmission_id, *span, came.received_at)


def _row(message: Message, kept: Seen) -> bytes:
    came = message.transmission
    return message_row(
        (message.message_id, came.transmission_id),
        (message.start, message.end),
        message.digest,
        (came.received_at, message.sent_at),
        (came.source, message.function, kept.status),
        message.document,
        kept.fact_ids,
    )
