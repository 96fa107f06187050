"""Reading a quarantined message again: as it came, under another format, with its counts accepted, or with new bytes.

New bytes stand in the place of the message, among what was around it (the envelope of an interchange, the array around
an object); where they cannot be understood there, they are read as a body of their own. What is read goes to the same
intake as anything that the source sends. Its facts are recorded now; years that a format does not bear are those of the
first receipt. Times are UTC, offsets bytes.
"""

from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid4

import msgspec

from api.formats import registry as formats
from api.formats.edifact import COUNTS
from api.intake import asked, readings
from domain.clocks import STRICT, Policy
from domain.errors import Malformed
from domain.intent import Intent, Mending, Transmission
from domain.quarantine import Kept
from domain.report import Fault, Reading


class NoCounts(Malformed):
    slug = "no-counts"
    title = "This format counts nothing"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants done with a quarantined message."""

    message_id: UUID
    operator: str  # account
    at: datetime
    body: bytes = b""  # none: as it came
    format: str = ""  # "": as it was labelled
    counts: bool = False  # counts that do not agree are accepted


class Place(msgspec.Struct, frozen=True):
    """Bytes to read, and the part of them that is meant."""

    body: bytes
    start: int
    end: int


class Again(msgspec.Struct, frozen=True):
    """What reading again found, and where what is meant begins in the bytes that were read."""

    intents: list[Intent]
    start: int


def again(kept: Kept, order: Order, policy: Policy = STRICT) -> Again:
    """What a message wants written now. Raises NoCounts for a format in which there is nothing to count."""
    name = order.format or kept.transmission.format
    if order.counts and name not in formats.LENIENT:
        raise NoCounts(f"格式 {name} 没有计数 / the format {name} counts nothing", formats=sorted(formats.LENIENT))
    found = [(place, _read(place, name, kept, order)) for place in _places(kept, order.body)]
    place, read = max(found, key=lambda each: _soundness(each[1]))  # of equals the first
    mending = Mending(order.message_id, order.operator, accepted(order.operator) if order.counts else "")
    return Again(asked(_transmission(place, name, kept, order), read, mending, policy), place.start)


def accepted(operator: str) -> str:
    """The warning of a message whose counts do not agree."""
    return f"计数不符，经操作员 {operator} 确认 / counts do not match, accepted by operator {operator}"


def _places(kept: Kept, new: bytes) -> list[Place]:
    old, start, end = kept.transmission.body, kept.start, kept.end
    if not new:
        return [Place(old, start, end)]
    inside = old[:start] + new + old[end:]
    return [Place(inside, start, start + len(new)), Place(new, 0, len(new))]


def _read(place: Place, name: str, kept: Kept, order: Order) -> list[Reading]:
    """The messages in this place; a fault where there is none."""
    now = kept.transmission.sent_at or kept.transmission.received_at
    found = [each for each in readings(formats.READERS[name], place.body, now) if _in(each, place)]
    if order.counts:
        miscounted = {(each.start, each.end) for each in found if each.fault and each.fault.code in COUNTS}
        found = [each for each in readings(formats.LENIENT[name], place.body, now) if _in(each, place)]
        for each in found:
            if (each.start, each.end) in miscounted:
                _warn(each, accepted(order.operator))
    if found:
        return found
    fault = Fault("replay.nothing", "其中没有报文 / there is no message in it", place.start)
    digest = sha256(place.body).hexdigest()
    return [Reading(key=f"nothing {digest} {place.start}", start=place.start, end=place.end, fault=fault)]


def _in(reading: Reading, place: Place) -> bool:
    """Whether a message lies in what is meant, be it in part; an empty slice stands for a message that is missing."""
    return max(reading.start, place.start) < min(reading.end, place.end) or (
        (reading.start, reading.end) == (place.start, place.end)
    )


def _warn(reading: Reading, warning: str) -> None:
    reading.reports = [
        msgspec.structs.replace(report, warnings=(*report.warnings, warning)) for report in reading.reports
    ]


def _soundness(read: list[Reading]) -> int:
    sound = sum(each.fault is None for each in read)
    return 2 if sound == len(read) else min(sound, 1)


def _transmission(place: Place, name: str, kept: Kept, order: Order) -> Transmission:
    """The same bytes under the same name are the same transmission; anything else is one of its own."""
    came = kept.transmission
    if place.body == came.body and name == came.format:
        return msgspec.structs.replace(came, received_at=order.at)
    digest = sha256(place.body).digest()
    return Transmission(uuid4(), came.source, name, order.at, digest, place.body, came.sent_at, order.message_id)
