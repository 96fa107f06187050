"""Telling what happened: `POST /v1/reports` takes one message or many, in any format, and answers what became of each.

The answer comes after commit. A message that cannot be understood is kept in quarantine with its bytes and told so; the
others of the same body are recorded all the same.
"""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import FromQuery, QueryParameter

from api.formats import registry as formats
from api.identity import caller, needs
from api.problems import TooLarge, UnknownFormat
from domain import container, declaration, shipment
from domain.fact import Stated, digest_id, identity
from domain.intent import Intent, Message, NewFact, Outcome, Told, Transmission
from domain.places import BadTime
from domain.report import Fault, Movement, Reading, Receipt
from domain.writer import Writer

BODY_BYTES_MAX = 10_000_000


class FactReceipt(msgspec.Struct, frozen=True):
    fact_id: UUID
    subject: str
    status: str  # recorded, duplicate, confirmed


class MessageReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message. `index` counts the messages of the body from 0."""

    index: int
    status: str  # recorded, duplicate, confirmed, quarantined
    message_id: UUID | None
    facts: list[FactReceipt]
    warnings: list[str]
    problem: Fault | None = None


class ReportsReceived(msgspec.Struct, frozen=True):
    """`position`: every fact of this body can be read at or before it."""

    position: int
    receipts: list[MessageReceipt]


# --- from readings to intents: pure ---


class Whence(msgspec.Struct, frozen=True):
    """Where a body comes from: source, format, receipt, and the sending where the request tells it."""

    source: str
    format: str
    received_at: datetime
    sent_at: datetime | None = None


def intents(body: bytes, readings: list[Reading], whence: Whence) -> list[Intent]:
    """What the messages of a body want written."""
    transmission = Transmission(uuid4(), whence.source, whence.format, whence.received_at, sha256(body).digest(), body)
    return [_intent(transmission, reading, whence.sent_at) for reading in readings]


def _intent(transmission: Transmission, reading: Reading, sent_at: datetime | None) -> Intent:
    whole = (reading.start, reading.end) == (0, len(transmission.body))
    digest = transmission.digest if whole else sha256(transmission.body[reading.start : reading.end]).digest()
    message = Message(
        message_id=digest_id(transmission.source, transmission.format, reading.key),
        transmission=transmission,
        start=reading.start,
        end=reading.end,
        digest=digest,
        document=reading.document,
        function=reading.function,
        fault=reading.fault or _unwritable(reading),
    )
    if message.fault:
        return Intent(message=message)
    facts = [_fact(report, message, reading.sent_at or sent_at) for report in reading.reports]
    return Intent(message=message, facts=facts)


def _fact(report: Movement | Receipt, message: Message, sent_at: datetime | None) -> NewFact:
    source, now = message.transmission.source, message.transmission.received_at
    told: Stated
    if isinstance(report, Receipt):
        told = declaration.observe(report, source=source, message_id=message.message_id, sent_at=sent_at, now=now)
    elif report.subject.startswith("container:"):
        told = container.observe(report, source=source, message_id=message.message_id, sent_at=sent_at, now=now)
    else:
        told = shipment.observe(report, source=source, message_id=message.message_id, sent_at=sent_at, now=now)
    return NewFact(report.subject, identity(report.subject, told), told)


def _unwritable(reading: Reading) -> Fault | None:
    """PostgreSQL text holds no NUL; a reference with one is no reference."""
    texts = [reading.document, *(report.subject for report in reading.reports)]
    if any("\x00" in text for text in texts):
        return Fault("text.nul", "A reference holds a NUL character", reading.start)
    return None


def receipt(index: int, intent: Intent, outcome: Outcome) -> MessageReceipt:
    """What the source is told about one message."""
    facts = {new.fact_id: new for new in intent.facts}
    return MessageReceipt(
        index=index,
        status=outcome.status,
        message_id=outcome.message_id,
        facts=[_fact_receipt(told, facts.get(told.fact_id)) for told in outcome.facts],
        warnings=list(
            dict.fromkeys(
                warning for new in intent.facts if isinstance(new.fact, Stated) for warning in new.fact.warnings
            )
        ),
        problem=outcome.fault,
    )


def _fact_receipt(told: Told, new: NewFact | None) -> FactReceipt:
    return FactReceipt(told.fact_id, told.stream or (new.stream if new else ""), told.status)


# --- over HTTP ---


@post("/v1/reports", guards=[needs("source")], status_code=202, tags=["report"])
async def reports(
    request: Request[Any, Any, Any],
    cargo: NamedDependency[Writer],
    message_format: Annotated[str | None, QueryParameter(name="format")] = None,
    sent_at: FromQuery[datetime | None] = None,
) -> ReportsReceived:
    """Take messages. The format is that of `?format=` or of the content type; see /v1/formats.

    `sent_at` says when the body was sent, where its format does not: for old messages whose times bear no year.
    """
    name = message_format or formats.by_content_type(request.headers.get("content-type", ""))
    read = formats.READERS.get(name or "")
    if name is None or read is None:
        raise UnknownFormat(
            f"Format {name or request.headers.get('content-type', '(none)')!r} is not known; say ?format=",
            formats=sorted(formats.READERS),
        )
    body = await _body(request)
    if sent_at is not None and sent_at.tzinfo is None:
        raise BadTime(f"sent_at has no offset: {sent_at.isoformat()}", field="sent_at")
    account, now = caller(request), datetime.now(UTC)
    whence = Whence(account.account, name, now, sent_at)
    wanted = await asyncio.to_thread(lambda: intents(body, _read(read, body, sent_at or now), whence))
    outcomes = await asyncio.wrap_future(cargo.submit(wanted))
    position = max((outcome.position for outcome in outcomes), default=0)
    return ReportsReceived(
        position, [receipt(index, *pair) for index, pair in enumerate(zip(wanted, outcomes, strict=True))]
    )


def _read(read: formats.Reader, body: bytes, now: datetime) -> list[Reading]:
    """The readings of a body; an empty one is kept as a fault like any other."""
    if not body.strip():
        digest = sha256(body).hexdigest()
        return [Reading(key=f"empty {digest}", start=0, end=len(body), fault=Fault("body.empty", "The body is empty"))]
    return read(body, now)


async def _body(request: Request[Any, Any, Any]) -> bytes:
    try:
        return await request.body()
    except ClientException as error:
        raise TooLarge(f"A body may have {BODY_BYTES_MAX} bytes at most", limit_bytes=BODY_BYTES_MAX) from error
