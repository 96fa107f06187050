"""What a source may say, independent of any format, and what every fact made of it carries.

A format reads bytes into `Reading`s, one for each message it finds; a reading holds `Movement`s and `Receipt`s.
Subjects and references are written `kind:number`, for example `container:CSQU3054383` or `awb:11200000011`; the kinds
are those of `KINDS`. Instants are UTC; `Moment` keeps beside them what the source's own clock showed.

The records of the intake are made by the million and hold nothing that could hold them: `gc=False` keeps the cycle
collector from walking over them.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

Classifier = Literal["PLN", "EST", "ACT"]
Mode = Literal["", "VESSEL", "BARGE", "RAIL", "TRUCK", "AIR"]
ZoneFrom = Literal["stated", "place", "source", "assumed"]
Function = Literal["original", "supersede", "replace", "cancel"]
"""`supersede`: takes the place of what was said under the same document before, if anything was (a re-sent status)."""

KINDS = ("container", "bl", "booking", "awb", "rail", "declaration", "manifest", "truck", "object")
"""Container, ocean bill of lading (master or house), booking, air waybill, rail consignment note, customs declaration
(entry id, or `SeqNo` before there is one), manifest, truck plate, ONE Record logistics object."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A claimed time: the instant, and how it was known."""

    at: datetime  # UTC
    wall: str = ""  # the source's own clock, ISO 8601 without offset, as precise as it was given
    zone: str = ""  # IANA name or ±HH:MM
    zone_from: ZoneFrom = "stated"


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened, or is planned or expected, to a container or a consignment."""

    subject: str  # kind:number
    code: str  # canonical milestone of domain/milestones.py; "" if the source's code is not known
    raw_code: str  # as the source sent it
    when: Moment
    classifier: Classifier = "ACT"
    place: str = ""  # canonical code of domain/places.py, or as reported if it is not known there
    facility: str = ""  # terminal, depot, station or shed, as reported
    mode: Mode = ""
    transport: str = ""  # vessel and voyage, flight, train or plate, as reported
    laden: bool | None = None  # None: the source did not say
    pieces: int | None = None  # how many pieces this statement is about
    pieces_total: int | None = None  # of how many
    partial: bool = False  # about a part of the consignment only
    weight_kg: float | None = None
    seal: str = ""
    refs: tuple[str, ...] = ()  # other subjects this statement names, kind:number
    text: str = ""  # the source's own words
    warnings: tuple[str, ...] = ()  # odd, yet recorded: a bad check digit, an unknown place


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customs receipt (回执) on a declaration. Codes and variants: domain/declaration.py."""

    subject: str  # declaration:ENTRY_ID, or declaration:SEQ_NO before an entry id exists
    raw_code: str
    when: Moment  # notice time 回执时间
    text: str = ""  # 回执详细信息
    code_table: str = ""  # which code table the source uses, if it says
    refs: tuple[str, ...] = ()
    place: str = ""  # declaring customs 申报地海关, 4 digits
    border: str = ""  # border customs 进出境关别, 4 digits
    warnings: tuple[str, ...] = ()


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why a message could not be understood, and where."""

    code: str  # permanent slug, such as edifact.truncated
    detail: str  # a sentence with the value met
    offset: int = 0  # byte offset in the body
    path: str = ""  # segment or JSON path


class Reading(msgspec.Struct, kw_only=True, gc=False):
    """One message found in the bytes that a source sent."""

    key: str  # the source's own reference, unique for this source; a digest of the bytes where it has none
    start: int  # slice of the body that is this message, kept verbatim
    end: int
    document: str = ""  # the number by which a later message cancels or replaces this one
    function: Function = "original"
    sent_at: datetime | None = None  # UTC, from the message's header
    reports: list[Movement | Receipt] = []
    warnings: tuple[str, ...] = ()
    fault: Fault | None = None  # set: nothing of this message is recorded, it goes to quarantine


def utc(instant: datetime) -> datetime:
    """The same instant in UTC; a naive time is a programming error."""
    assert instant.tzinfo is not None
    return instant.astimezone(UTC)
