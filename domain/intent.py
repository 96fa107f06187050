"""What someone wants written, and what became of it.

An `Intent` is one message with the facts read from it, or facts of Kouan's own (a decision, a delivery); all of it or
nothing. Times are UTC; digests are SHA-256.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from domain.fact import Fact
from domain.report import Fault, Function

Status = Literal["recorded", "duplicate", "confirmed", "quarantined", "stale"]


class Transmission(msgspec.Struct, frozen=True, gc=False):
    """What came over the wire in one piece."""

    transmission_id: UUID
    source: str
    format: str
    received_at: datetime
    digest: bytes  # SHA-256
    body: bytes
    sent_at: datetime | None = None  # told with the request, where the format bears no year
    mends: UUID | None = None  # the quarantined message that an operator sent this one for


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a transmission."""

    message_id: UUID
    transmission: Transmission
    start: int
    end: int
    digest: bytes  # SHA-256 of the slice
    document: str = ""
    function: Function = "original"
    fault: Fault | None = None
    sent_at: datetime | None = None  # from its header, or told with the request
    warnings: tuple[str, ...] = ()  # odd in the message itself, beside what is odd in a fact


class Mending(msgspec.Struct, frozen=True):
    """A quarantined message is tried again, at an operator's hand (domain/quarantine.py)."""

    message_id: UUID  # of the quarantined message
    by: str  # account
    reason: str = ""  # what the operator accepted, if anything


class NewFact(msgspec.Struct, frozen=True, gc=False):
    """A fact on its way to the journal."""

    stream: str
    fact_id: UUID
    fact: Fact


class Intent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What someone wants written; all of it or nothing."""

    facts: Sequence[NewFact] = ()
    message: Message | None = None
    mending: Mending | None = None
    fresh: bool = False  # the ids are new by construction; looked for only after a lost reply
    expected: tuple[str, int] | None = None  # a decision: the stream and the version that it was based on
    register: int | None = None  # a delivery: the position of the newest fact of the register that it rests on


class Told(msgspec.Struct, frozen=True, gc=False):
    """What became of one fact."""

    fact_id: UUID
    subject: str  # its stream
    status: Literal["recorded", "duplicate", "confirmed"]


class Outcome(msgspec.Struct, kw_only=True, gc=False):
    """What became of one intent. `position`, known last, is that of the newest fact in its transaction."""

    status: Status
    position: int = 0
    message_id: UUID | None = None
    facts: Sequence[Told] = ()
    fault: Fault | None = None
