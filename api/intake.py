"""From the bytes of a source to what the journal writes and what the source is told: the same for every way in.

`readings` finds the messages, `intents` says what each of them wants written, `receipts` says what became of it. Which
way the bytes came (HTTP, an EPCIS capture, an MQTT topic) makes no difference here. Times are UTC, digests SHA-256.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid4

import msgspec

from api.formats import registry as formats
from api.limits import REFERENCE_BYTES_MAX
from domain import clocks, container, declaration, shipment
from domain.fact import Stated, digest_id, identity
from domain.intent import Intent, Mending, Message, NewFact, Outcome, Told, Transmission
from domain.report import Fault, Movement, Reading, Receipt

UTF8_BYTES_MAX = 4  # of a character


class MessageReceipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one message. `index` counts the messages of the body from 0."""

    index: int
    status: str  # recorded, duplicate, confirmed, quarantined
    message_id: UUID | None
    facts: Sequence[Told]
    warnings: list[str]
    problem: Fault | None = None


# --- from bytes to readings ---


def readings(read: formats.Reader, body: bytes, now: datetime) -> list[Reading]:
    """The readings of a body; an empty one is kept as a fault like any other."""
    if not body.strip():
        digest = sha256(body).hexdigest()
        return [Reading(key=f"empty {digest}", start=0, end=len(body), fault=Fault("body.empty", "The body is empty"))]
    return read(body, now)


# --- from readings to intents: pure ---


class Whence(msgspec.Struct, frozen=True):
    """Where a body comes from: source, format, receipt, and the sending where the request tells it."""

    source: str
    format: str
    received_at: datetime
    sent_at: datetime | None = None
    policy: clocks.Policy = clocks.STRICT
    transmission_id: UUID | None = None  # where a repetition must be known for one; else by chance


def intents(body: bytes, readings: list[Reading], whence: Whence) -> list[Intent]:
    """What the messages of a body want written."""
    digest = sha256(body).digest()
    transmission_id = whence.transmission_id or uuid4()
    came = Transmission(transmission_id, whence.source, whence.format, whence.received_at, digest, body, whence.sent_at)
    return asked(came, readings, policy=whence.policy)


def asked(
    transmission: Transmission,
    readings: list[Reading],
    mending: Mending | None = None,
    policy: clocks.Policy = clocks.STRICT,
) -> list[Intent]:
    """What these messages of a transmission want written; `mending`: at an operator's hand."""
    now = clocks.rules(transmission.received_at, policy)
    has_nul = b"\x00" in transmission.body or b"\\u0000" in transmission.body
    return [_intent(transmission, reading, mending, now, has_nul=has_nul) for reading in readings]


def understood(body: bytes, whence: Whence) -> list[Intent]:
    """A body read and turned into intents, in the format that `whence` names."""
    read = formats.READERS[whence.format]
    return intents(body, readings(read, body, whence.sent_at or whence.received_at), whence)


def _intent(
    transmission: Transmission, reading: Reading, mending: Mending | None, now: clocks.Rules, *, has_nul: bool
) -> Intent:
    reports, untimely = clocks.judge(reading, transmission.body, now)
    whole = (reading.start, reading.end) == (0, len(transmission.body))
    digest = transmission.digest if whole else sha256(transmission.body[reading.start : reading.end]).digest()
    sent_at = reading.sent_at or transmission.sent_at
    unwritable = _unwritable(reading, has_nul=has_nul)
    fault = reading.fault or unwritable or untimely
    message = Message(
        message_id=digest_id(transmission.source, transmission.format, reading.key),
        transmission=transmission,
        start=reading.start,
        end=reading.end,
        digest=digest,
        document="" if unwritable else reading.document,
        function=reading.function,
        sent_at=sent_at,
        warnings=reading.warnings,
        fault=fault and _writable(fault),
    )
    if message.fault:
        return Intent(message=message, mending=mending)
    facts = [_fact(report, message, sent_at) for report in reports]
    return Intent(message=message, facts=facts, mending=mending)


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


def _unwritable(reading: Reading, *, has_nul: bool) -> Fault | None:
    """PostgreSQL text holds no NUL, and its indexes no long text; a reference with one, or so long, is no reference."""
    longest = reading.document
    for report in reading.reports:
        for text in (report.subject, *report.refs):
            if len(text) > len(longest):
                longest = text
    if has_nul and any("\x00" in text for text in _texts(reading)):
        return Fault("text.nul", "编号含空字符 / a reference holds a NUL character", reading.start)
    if len(longest) * UTF8_BYTES_MAX > REFERENCE_BYTES_MAX and len(longest.encode()) > REFERENCE_BYTES_MAX:
        detail = (
            f"编号超过 {REFERENCE_BYTES_MAX} 字节：{longest[:60]!r}… / "
            f"a reference of more than {REFERENCE_BYTES_MAX} bytes: {longest[:60]!r}…"
        )
        return Fault("text.long", detail, reading.start)
    return None


def _texts(reading: Reading) -> Iterator[str]:
    yield reading.document
    for report in reading.reports:
        yield report.subject
        yield from report.refs


def _writable(fault: Fault) -> Fault:
    """What a fault quotes may hold a NUL, too."""
    path, detail = (text.replace("\x00", "␀") for text in (fault.path, fault.detail))
    return fault if (path, detail) == (fault.path, fault.detail) else Fault(fault.code, detail, fault.offset, path)


# --- what the source is told ---


def receipts(wanted: Sequence[Intent], outcomes: Sequence[Outcome]) -> list[MessageReceipt]:
    """What the source is told about each message, in the order of the body."""
    return [receipt(index, *pair) for index, pair in enumerate(zip(wanted, outcomes, strict=True))]


def receipt(index: int, intent: Intent, outcome: Outcome) -> MessageReceipt:
    """What the source is told about one message."""
    warned = intent.message.warnings if intent.message else ()
    for new in intent.facts:
        if isinstance(new.fact, Stated) and new.fact.warnings:
            warned += new.fact.warnings
    return MessageReceipt(
        index=index,
        status=outcome.status,
        message_id=outcome.message_id,
        facts=outcome.facts,
        warnings=list(dict.fromkeys(warned)) if warned else [],
        problem=outcome.fault,
    )
