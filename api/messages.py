"""A message as it came: `GET /v1/messages/ID`, the bytes that a source sent, and what proves that these are they.

For the source itself, and for whoever is kept nothing from: a message holds more than the facts that were read from it,
and other people's cargo beside one's own. To all others it is not there. What could not be read has its own desk
(api/quarantine.py). Each look is on the trail.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.evidence import LookBy, Proving, may_read
from api.identity import Account, caller, needs
from api.pool import Pool
from api.quarantine import codec_of
from api.trail import Trail
from api.way_out import Looking, WayOut
from domain.errors import Unknown

KEPT = """
SELECT m.message_id, m.source, t.format, m.received_at, m.sent_at, m.status, m.document, t.transmission_id,
       m.byte_from, m.byte_to, octet_length(t.body), m.digest, t.digest, cardinality(m.fact_ids),
       substring(t.body FROM m.byte_from + 1 FOR m.byte_to - m.byte_from)
FROM cargo_messages AS m JOIN cargo_transmissions AS t USING (transmission_id)
WHERE m.message_id = %b AND m.status <> 'quarantined'
"""
OPT = {"cost": 5}


class RawMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its bytes. Digests are SHA-256, in hexadecimal."""

    message_id: UUID
    source: str
    format: str
    received_at: datetime
    sent_at: datetime | None
    status: str  # recorded, confirmed, duplicate
    document: str  # by which a later message cancels or replaces it; ""
    transmission_id: UUID
    byte_from: int  # of the transmission
    byte_to: int
    transmission_bytes: int
    sha256: str  # of these bytes
    transmission_sha256: str
    facts: int  # that it stated
    codec: str  # by which `text` was read; "": the bytes are no text
    text: str | None
    base64: bytes


class Messages:
    """Shows messages, in one process."""

    def __init__(self, pool: Pool, way_out: WayOut, trail: Trail) -> None:
        self.pool, self.proving = pool, Proving(way_out, pool, trail)

    async def read(self, account: Account, message_id: UUID) -> RawMessage:
        """Raises Unknown, the same for what is not to be shown as for what is not there."""

        def look(look_by: LookBy) -> RawMessage:
            return look_by("query", False, lambda looking: self._found(looking, account, message_id))  # type: ignore[no-any-return]

        about = f"message:{message_id}"
        return await self.proving.proved(account, look, lambda found: (about, f"sha256 {found.sha256}"))

    def _found(self, looking: Looking, account: Account, message_id: UUID) -> RawMessage:
        with self.pool.connection() as connection:
            found = kept(connection, message_id)
        if found is None or not may_read(account, looking.view, found.source):
            raise Unknown(f"没有报文 {message_id} / there is no message {message_id}", message_id=str(message_id))
        return found


def kept(connection: psycopg.Connection[Any], message_id: UUID) -> RawMessage | None:
    """A message that was understood; None: there is none."""
    with connection.cursor(binary=True) as rows:
        row = rows.execute(KEPT, (message_id,)).fetchone()
    if row is None:
        return None
    *about, digest, whole, facts, raw = row
    names = RawMessage.__struct_fields__[: len(about)]
    codec = codec_of(raw)
    return RawMessage(
        **dict(zip(names, about, strict=True)),
        sha256=digest.hex(),
        transmission_sha256=whole.hex(),
        facts=facts,
        codec=codec,
        text=raw.decode(codec) if codec else None,
        base64=raw,
    )


@get("/v1/messages/{message_id:uuid}", guards=[needs()], tags=["report"], opt=OPT)
async def message(
    request: Request[Any, Any, Any], message_id: FromPath[UUID], messages: NamedDependency[Messages]
) -> RawMessage:
    """A message that was understood, as it came. For its source, and for whoever is kept nothing from."""
    return await messages.read(caller(request), message_id)


@get("/v1/messages/{message_id:uuid}/bytes", guards=[needs()], tags=["report"], opt=OPT)
async def verbatim(
    request: Request[Any, Any, Any], message_id: FromPath[UUID], messages: NamedDependency[Messages]
) -> Response[bytes]:
    """The bytes alone."""
    found = await messages.read(caller(request), message_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{message_id}.bin"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(found.base64, media_type="application/octet-stream", headers=headers)


ROUTES = (message, verbatim)
