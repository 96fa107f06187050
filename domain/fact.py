"""Facts: what every one of them carries, the facts about facts, and how they are stored.

A fact's tag (`container.gated_in`) is its permanent name: it is stored inside the JSON and in the journal's topic
column, never a Python path. Adding a field with a default is allowed; renaming or retyping is not
(tests/test_facts.py holds the frozen list). Times are UTC: `happened_at` when the world changed, `recorded_at` when
Kouan was told.
"""

from datetime import UTC, datetime
from functools import reduce
from hashlib import blake2b
from operator import or_
from typing import Any, TypeVar
from uuid import UUID, SafeUUID

import msgspec

from domain.report import Classifier, Mode, Movement, ZoneFrom


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", omit_defaults=True, gc=False):
    """Something that happened. Never changed once it is in the journal."""

    happened_at: datetime  # UTC
    recorded_at: datetime  # UTC


class Stated(Fact, frozen=True, kw_only=True):
    """A fact that a source stated in a message, with the source's own time and words."""

    source: str
    message_id: UUID
    sent_at: datetime | None = None  # from the message's header
    wall: str = ""  # the source's clock, without offset
    zone: str = ""  # IANA name or ±HH:MM
    zone_from: ZoneFrom = "stated"
    code: str = ""  # canonical milestone; "" if the source's code is not known
    raw_code: str = ""  # as the source sent it
    refs: tuple[str, ...] = ()  # other subjects that the statement names
    text: str = ""
    warnings: tuple[str, ...] = ()


class Moved(Stated, frozen=True, kw_only=True):
    """A statement about the movement of a container or a consignment."""

    classifier: Classifier = "ACT"
    place: str = ""  # domain/places.py, or as reported
    facility: str = ""
    mode: Mode = ""
    transport: str = ""  # vessel and voyage, flight, train or plate
    laden: bool | None = None  # None: the source did not say
    pieces: int | None = None
    pieces_total: int | None = None
    partial: bool = False  # about a part of the consignment only
    weight_kg: float | None = None
    seal: str = ""


class Unreadable(Fact, frozen=True, kw_only=True):
    """What stands in for an entry of the journal that cannot be decoded. Never stored: it has no permanent name."""

    happened_at: datetime = datetime.min.replace(tzinfo=UTC)  # not known
    recorded_at: datetime = datetime.min.replace(tzinfo=UTC)
    error: str


# --- facts about facts: on the stream of the fact they name ---


class Confirmed(Fact, frozen=True, kw_only=True, tag="fact.confirmed"):
    """Another source said the same: still one fact, now with one more witness."""

    fact_id: UUID
    source: str
    message_id: UUID
    refs: tuple[str, ...] = ()  # other subjects that this source names, and the first one did not


class Retracted(Fact, frozen=True, kw_only=True, tag="fact.retracted"):
    """The source takes its statement back."""

    fact_id: UUID
    source: str
    message_id: UUID
    reason: str = ""


class Corrected(Fact, frozen=True, kw_only=True, tag="fact.corrected"):
    """The source replaces its statement by another one."""

    fact_id: UUID
    replaced_by: UUID
    source: str
    message_id: UUID
    reason: str = ""


class Reinstated(Fact, frozen=True, kw_only=True, tag="fact.reinstated"):
    """The source states again what it had taken back."""

    fact_id: UUID
    source: str
    message_id: UUID


M = TypeVar("M", bound=Moved)


def moved(
    kind: type[M], report: Movement, *, source: str, message_id: UUID, sent_at: datetime | None, now: datetime
) -> M:
    """A report as a fact of the given kind: the same words, with who said it, in which message, and when.

    In two steps: Python passes more than fifteen keywords by way of a dictionary, which costs more than a second step.
    """
    when = report.when
    told = kind(
        happened_at=when.at,
        recorded_at=now,
        source=source,
        message_id=message_id,
        sent_at=sent_at,
        wall=when.wall,
        zone=when.zone,
        zone_from=when.zone_from,
        code=report.code,
        raw_code=report.raw_code,
        refs=report.refs,
        text=report.text,
        warnings=report.warnings,
        classifier=report.classifier,
        place=report.place,
    )
    return msgspec.structs.replace(
        told,
        facility=report.facility,
        mode=report.mode,
        transport=report.transport,
        laden=report.laden,
        pieces=report.pieces,
        pieces_total=report.pieces_total,
        partial=report.partial,
        weight_kg=report.weight_kg,
        seal=report.seal,
    )


# --- storage: one registry of tags, JSON that an auditor can read ---

_types: dict[str, type[Fact]] = {}
_tags: dict[type[Fact], str] = {}
_decoder: msgspec.json.Decoder[Fact] | None = None
encode = msgspec.json.Encoder().encode


def tag_of(kind: type[Fact]) -> str:
    """The permanent name under which facts of this registered type are stored."""
    return _tags[kind]


def register(*kinds: type[Fact]) -> None:
    """Make fact types known to the journals; each aggregate's file does it once, at its end."""
    global _decoder  # noqa: PLW0603  the decoder is derived from the registry
    for kind in kinds:
        tag = str(kind.__struct_config__.tag)
        _types[tag], _tags[kind] = kind, tag
    _decoder = None


def tags() -> list[str]:
    """Every tag that can be stored, in order."""
    return sorted(_types)


def decode(state: bytes) -> Fact:
    """A stored fact. Raises msgspec.ValidationError for a tag that is not registered or a state that does not fit."""
    global _decoder  # noqa: PLW0603
    if _decoder is None:
        union: Any = reduce(or_, _types.values())
        _decoder = msgspec.json.Decoder(union)
    return _decoder.decode(state)


def read(state: bytes) -> Fact:
    """A stored fact, or `Unreadable` for what cannot be decoded: a reader of many must be able to go on behind it."""
    try:
        return decode(state)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return Unreadable(error=f"{type(error).__name__}: {error}")


# --- identity: derived from the meaning, so that a repetition is recognised ---

_VARIABLE = ((1 << 128) - 1) & ~(0xF << 76) & ~(0x3 << 62)
_FIXED = (0x8 << 76) | (0x2 << 62)
_SAFE, _new = SafeUUID.unknown, object.__new__  # looked up once, not for each id
_put_int, _put_safe = UUID.__dict__["int"].__set__, UUID.__dict__["is_safe"].__set__
_TEN, _SIXTEEN = blake2b(digest_size=10), blake2b(digest_size=16)  # a copy of them costs less than a new one


def uuid8(raw: bytes) -> UUID:
    """Sixteen bytes as a UUID that says of itself that it follows no other scheme (version 8, RFC 9562).

    Made without UUID's constructor: its checks of six kinds of argument cost more than the digest.
    """
    made = _new(UUID)
    _put_int(made, int.from_bytes(raw, "big") & _VARIABLE | _FIXED)
    _put_safe(made, _SAFE)
    return made


def digest_id(*parts: str) -> UUID:
    """A UUID (version 8) derived from text alone, for what has no time of its own."""
    digest = _SIXTEEN.copy()
    digest.update("\x1f".join(parts).encode())
    return uuid8(digest.digest())


_SHARED = ("truck:", "manifest:")  # they carry several people's cargo


def identity(stream: str, fact: Stated) -> UUID:
    """The id of a stated fact: the same meaning has the same id, whoever says it and however often.

    Actual events are the same when they agree on subject, code, place, mode, minute and number of pieces; by air the
    flight counts too, for parts of one consignment leave the same day. Plans and estimates are news each time they are
    stated, so the source and its sending time belong to their meaning.

    The first 48 bits are the time, seconds since 1970: facts of one time lie together in the index, however many there
    are; the rest is a digest of the meaning.
    """
    second = int(fact.happened_at.timestamp())
    meaning = f"{stream}\x1f{_tags[type(fact)]}\x1f{fact.code or fact.raw_code}"
    if isinstance(fact, Moved):
        second -= second % 60
        meaning += f"\x1f{fact.place}\x1f{fact.mode}\x1f{fact.pieces}\x1f{fact.partial}\x1f{fact.classifier}"
        if fact.mode == "AIR":
            meaning += f"\x1f{fact.transport}\x1f{fact.pieces_total}"
        if stream.startswith(_SHARED):  # the same minute of a truck is another statement for each box it carries
            meaning += f"\x1f{sorted(fact.refs)}"
        if not fact.code:  # of an unknown status nothing but its words tells two apart
            meaning += f"\x1f{fact.text}"
        if fact.classifier != "ACT":
            meaning += f"\x1f{fact.source}\x1f{fact.sent_at}"
    else:
        meaning += f"\x1f{fact.raw_code}"
    digest = _TEN.copy()
    digest.update(meaning.encode())
    return uuid8((second & 0xFFFFFFFFFFFF).to_bytes(6, "big") + digest.digest())


register(Confirmed, Retracted, Corrected, Reinstated)
