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


class Transmission(msgspec.Struct, frozen=True):
    """What came over the wire in one piece."""

    transmission_id: UUID
    source: str
    format: str
    received_at: datetime
    digest: bytes  # SHA-256
    body: bytes


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a transmission."""

    message_id: UUID
    transmission: Transmission
    start: int
    end: int
    digest: bytes  # SHA-256 of the slice
    document: str = ""
    function: Function = "original"
    fault: Fault | None = None


class NewFact(msgspec.Struct, frozen=True):
    """A fact on its way to the journal."""

    stream: str
    fact_id: UUID
    fact: Fact


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What someone wants written; all of it or nothing."""

    facts: Sequence[NewFact] = ()
    message: Message | None = None
    expected: tuple[str, int] | None = None  # a decision: the stream and the version that it was based on


class Told(msgspec.Struct, frozen=True):
    """What became of one fact."""

    fact_id: UUID
    stream: str
    status: Literal["recorded", "duplicate", "confirmed"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one intent. `position` is that of the newest fact in its transaction."""

    status: Status
    position: int = 0
    message_id: UUID | None = None
    facts: Sequence[Told] = ()
    fault: Fault | None = None
