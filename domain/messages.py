"""The messages beside the journal: what is known of them, and how they are kept. Inside the writer's transaction.

A transmission is what came over the wire in one piece, a message a slice of it; see domain/migrations. Times are UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from domain.binary import COPY_HEAD, COPY_TAIL, instant, message_row, texts, uuids
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
    (message_id, transmission_id, byte_from, byte_to, source, document, digest, status, fact_ids, received_at,
     function, sent_at)
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


class Seen(NamedTuple):
    """A message that is kept already, or about to be."""

    transmission_id: UUID
    start: int  # where in the transmission
    digest: bytes
    status: Status
    fact_ids: Sequence[UUID]


class Taken(NamedTuple):
    """A message that will be kept, and what became of it."""

    message: Message
    status: Status
    fact_ids: Sequence[UUID]


def seen(cursor: psycopg.Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, Seen]:
    """What is known of these messages."""
    found = cursor.execute(MESSAGES, (uuids(ids),), prepare=True)
    return {row[0]: Seen(row[1], row[2], bytes(row[3]), row[4], row[5]) for row in found}


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


def store(cursor: psycopg.Cursor[Any], taken: Sequence[Taken], faulty: Sequence[tuple[Message, UUID]]) -> None:
    """Keep messages with their transmissions; faulty ones under the id of the quarantine."""
    messages = [each.message for each in taken] + [message for message, _ in faulty]
    transmissions = {message.transmission.transmission_id: message.transmission for message in messages}
    if not transmissions:
        return
    cursor.executemany(TRANSMISSION, [_values(each) for each in transmissions.values()])
    if taken:
        with cursor.copy(COPY) as copy:
            copy.write(COPY_HEAD + b"".join([_row(each) for each in taken]) + COPY_TAIL)
    if faulty:
        columns = zip(*(_quarantined(*each) for each in faulty), strict=True)
        cursor.execute(QUARANTINED, [list(column) for column in columns])


def _values(each: Transmission) -> tuple[object, ...]:
    return msgspec.structs.astuple(each)


def _quarantined(message: Message, message_id: UUID) -> tuple[object, ...]:
    came = message.transmission
    span = (message.start, message.end, came.source, message.document, message.digest)
    return (message_id, came.transmission_id, *span, came.received_at)


def _row(each: Taken) -> bytes:
    message = each.message
    came = message.transmission
    return message_row(
        ids=(message.message_id, came.transmission_id),
        span=(message.start, message.end),
        names=(came.source, message.document),
        digest=message.digest,
        status=each.status,
        fact_ids=each.fact_ids,
        received=instant(came.received_at),
        function=message.function,
        sent=instant(message.sent_at) if message.sent_at else None,
    )
