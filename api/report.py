"""Telling what happened: `POST /v1/reports` takes one message or many, in any format, and answers what became of each.

The answer comes after commit. A message that cannot be understood is kept in quarantine with its bytes and told so; the
others of the same body are recorded all the same. A body of any length goes as a stream (api/bulk.py); a request with
an `Idempotency-Key` may be sent again as it is (api/idempotency.py).
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, QueryParameter

from api import bulk, competence, idempotency, parts
from api.body import body_of
from api.formats import registry as formats
from api.idempotency import Answer
from api.identity import caller, needs
from api.intake import MessageReceipt, Whence, receipts, understood
from api.parts import Part
from api.pool import Pool
from api.problems import UnknownFormat
from api.register import Register
from api.sources import ruled
from domain.errors import Malformed
from domain.fact import digest_id
from domain.intent import Intent
from domain.places import BadTime
from domain.writer import Writer

EDIFACT = "application/edifact"
JSON = "application/json"
ACCEPTED = 202

Write = Callable[..., bytes]
"""Body and receipts, with reference and time of writing -> the answer in the words of the format."""


class ReportsReceived(msgspec.Struct, frozen=True):
    """`position`: every fact of this body can be read at or before it."""

    position: int
    receipts: list[MessageReceipt]


class NoSuchAnswer(Malformed):
    slug = "no-such-answer"
    title = "That answer cannot be given"


@post(
    "/v1/reports",
    guards=[needs("source")],
    status_code=ACCEPTED,
    tags=["report"],
    request_max_body_size=None,  # the limits are those of api/limits.py, and which of them applies is known later
    responses={ACCEPTED: ResponseSpec(ReportsReceived, generate_examples=False, description="A receipt for each")},
)
async def reports(
    request: Request[Any, Any, Any],
    cargo: NamedDependency[Writer],
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    *,
    message_format: Annotated[str | None, QueryParameter(name="format")] = None,
    sent_at: FromQuery[datetime | None] = None,
    answer: FromQuery[str | None] = None,
    stream: FromQuery[bool | None] = None,
) -> Response[Any]:
    """Take messages. The format is that of `?format=` or of the content type; see /v1/formats.

    `sent_at` says when the body was sent, where its format does not: for old messages whose times bear no year.
    `answer`: `contrl` or `aperak` answers an EDIFACT body in EDIFACT instead of in JSON.
    `stream`: NDJSON or EDIFACT of any length, answered in NDJSON; `Accept: application/x-ndjson` means the same.
    `Idempotency-Key`: the same request again gets the same answer.
    """
    name = _format(request, message_format)
    if sent_at is not None and sent_at.tzinfo is None:
        raise BadTime(f"sent_at has no offset: {sent_at.isoformat()}", field="sent_at")
    key, streamed = idempotency.key_of(request), bulk.wanted(request, stream)
    write = _writer(answer, name, streamed=streamed) if answer else None
    account = caller(request)
    whence = Whence(account.account, name, datetime.now(UTC), sent_at)

    def understand(body: bytes, ours: Whence) -> list[Intent]:
        return competence.judged(understood(body, ruled(ours, pool)), account, register)

    if streamed:
        return await bulk.take(request, cargo, parts.cutter(name), _reader(whence, understand, key))
    body = await body_of(request)

    async def work(transmission_id: UUID | None) -> Answer:
        ours = msgspec.structs.replace(whence, transmission_id=transmission_id)
        return await _record(body, ours, cargo, understand, write)

    if key is None:
        return (await work(None)).response()
    return await idempotency.once(pool, idempotency.ask(request, whence.source, key, body, name), work)


Understand = Callable[[bytes, Whence], list[Intent]]


async def _record(body: bytes, whence: Whence, cargo: Writer, understand: Understand, write: Write | None) -> Answer:
    wanted = await asyncio.to_thread(understand, body, whence)
    outcomes = await asyncio.wrap_future(cargo.submit(wanted))
    position = max((outcome.position for outcome in outcomes), default=0)
    told = receipts(wanted, outcomes)
    if write is None:
        return Answer(ACCEPTED, {"Content-Type": JSON}, msgspec.json.encode(ReportsReceived(position, told)))
    reference, at = uuid4().hex[:14].upper(), whence.received_at
    written = await asyncio.to_thread(lambda: write(body, told, reference=reference, at=at))
    return Answer(ACCEPTED, {"Content-Type": EDIFACT, "Kouan-Position": str(position)}, written)


def _reader(whence: Whence, understand: Understand, key: str | None) -> Callable[[Part], Sequence[Intent]]:
    """How a part of a stream is read. Under a key the same part is the same transmission, however often it comes."""

    def read(part: Part) -> list[Intent]:
        place = (whence.format, str(part.start), sha256(part.body).hexdigest())
        ours = None if key is None else digest_id(whence.source, "idempotency", key, *place)
        return understand(part.body, msgspec.structs.replace(whence, transmission_id=ours))

    return read


def _format(request: Request[Any, Any, Any], said: str | None) -> str:
    """Raises UnknownFormat."""
    name = said or formats.by_content_type(request.headers.get("content-type", ""))
    if name is None or name not in formats.READERS:
        raise UnknownFormat(
            f"Format {name or request.headers.get('content-type', '(none)')!r} is not known; say ?format=",
            formats=sorted(formats.READERS),
        )
    return name


def _writer(answer: str, name: str, *, streamed: bool) -> Write:
    """What writes the answer asked for. Raises NoSuchAnswer, before anything is recorded."""
    if answer not in formats.ANSWERS:
        detail = f"没有 {answer!r} 这种回执 / there is no answer {answer!r}"
        raise NoSuchAnswer(detail, answer=answer, answers=sorted(formats.ANSWERS))
    if name not in formats.EDIFACT:
        detail = (
            f"格式 {name!r} 不是 EDIFACT，只能以 JSON 回执 / format {name!r} is not EDIFACT; it is answered in JSON"
        )
        raise NoSuchAnswer(detail, answer=answer, format=name, formats=sorted(formats.EDIFACT))
    if streamed:
        raise NoSuchAnswer("流的回执只有 NDJSON / a stream is answered in NDJSON", answer=answer)
    return formats.ANSWERS[answer]
