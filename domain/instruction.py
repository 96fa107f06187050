"""An instruction to a terminal, a station or a carrier: release, gate in or out, load, inspect, move this cargo.

Its stream is `instruction:ID`. Whoever is told confirms or refuses it, whoever gave it may cancel it; and a reported
fact of the right kind fulfils it as well, which is looked up when asked (`fulfils`) and never written, so a fact that
is taken back leaves the instruction open again. Each fact says which instruction it is about in full, so that a reader
of the journal needs no other. Times are UTC.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from domain import fact
from domain.errors import Refused
from domain.fact import Fact, Moved

Kind = Literal["release", "gate-out", "gate-in", "load", "inspect", "move"]
KINDS: dict[Kind, tuple[str, str]] = {
    "release": ("放行", "release"),
    "gate-out": ("出闸（提箱）", "gate out"),
    "gate-in": ("进闸（进港）", "gate in"),
    "load": ("装载", "load"),
    "inspect": ("查验", "inspect"),
    "move": ("移位", "move"),
}
FULFILLED_BY: dict[Kind, frozenset[str]] = {
    "release": frozenset({"EXP_RELEASED", "IMP_RELEASED", "TERM_RELEASED", "RAIL_RELEASE", "AIR_CCD"}),
    "gate-out": frozenset({"GATE_OUT", "STATION_OUT", "YARD_OUT", "AIR_FOW"}),
    "gate-in": frozenset({"GATE_IN", "STATION_IN", "YARD_IN", "AIR_FIW"}),
    "load": frozenset({"LOADED", "TS_LOAD", "BARGE_LOAD", "WAGON_LOADED", "TRUCK_LOADED"}),
    "inspect": frozenset({"INSP_DONE"}),
    "move": frozenset({"GATE_IN", "STATION_IN", "YARD_IN", "INSP_SITE_IN", "TRUCK_ARR"}),
}
"""Milestones (domain/milestones.py) whose report does what the instruction asked."""

State = Literal["open", "confirmed", "refused", "cancelled"]

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class Instruction(Fact, frozen=True, kw_only=True):
    """What every fact about an instruction says."""

    kind: Kind
    subject: str  # kind:number of the cargo
    due_at: datetime
    to: str  # the account that is told
    by: str  # the account that gave, confirmed, refused or cancelled it


class InstructionGiven(Instruction, frozen=True, kw_only=True, tag="instruction.given"):
    place: str = ""  # domain/places.py, or a facility; "": anywhere
    note: str = ""


class InstructionConfirmed(Instruction, frozen=True, kw_only=True, tag="instruction.confirmed"):
    note: str = ""


class InstructionRefused(Instruction, frozen=True, kw_only=True, tag="instruction.refused"):
    reason: str


class InstructionCancelled(Instruction, frozen=True, kw_only=True, tag="instruction.cancelled"):
    reason: str


# --- state: the least that the decisions need ---


class Order(msgspec.Struct, frozen=True):
    """An instruction as it stands."""

    given: InstructionGiven | None = None
    state: State = "open"


def evolve(order: Order, happened: Fact) -> Order:
    """The instruction after one more fact."""
    match happened:
        case InstructionGiven():
            return Order(happened)
        case InstructionConfirmed():
            return Order(order.given, "confirmed")
        case InstructionRefused():
            return Order(order.given, "refused")
        case InstructionCancelled():
            return Order(order.given, "cancelled")
        case _:
            raise AssertionError(happened)


# --- observations: which reported facts do what was asked ---


class Seen(NamedTuple):
    """As much of a reported fact as an instruction looks at."""

    subject: str
    code: str
    classifier: str
    place: str
    facility: str
    happened_at: datetime


def seen(subject: str, told: Moved) -> Seen:
    """A stored fact of this stream."""
    return Seen(subject, told.code, told.classifier, told.place, told.facility, told.happened_at)


def fulfils(given: InstructionGiven, what: Seen) -> bool:
    """Whether a reported fact does what was asked: the same cargo, the right milestone, there, and not before."""
    return (
        what.subject == given.subject
        and what.classifier == "ACT"
        and what.code in FULFILLED_BY[given.kind]
        and given.place in {"", what.place, what.facility}
        and what.happened_at >= given.happened_at.replace(second=0, microsecond=0)
    )


def fulfilled(orders: Iterable[InstructionGiven], what: Seen) -> list[InstructionGiven]:
    """Which of these instructions a reported fact fulfils."""
    return [given for given in orders if fulfils(given, what)]


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def give(order: Order, given: InstructionGiven) -> tuple[Fact, ...]:
    """Tell somebody what to do. Raises Refused if it would be due before it is given, or says not where to move to."""
    if order.given is not None:
        return ()
    if given.due_at <= given.happened_at:
        due = given.due_at.isoformat()
        raise Refused(f"期限 {due} 已过 / it would be due at {due}, before it is given", due_at=due)
    if given.kind == "move" and not given.place:
        raise Refused("移位指令须说明目的地 / an instruction to move must say where to", kind=given.kind)
    return (given,)


def confirm(order: Order, *, by: str, at: datetime, note: str = "") -> tuple[Fact, ...]:
    """Say that it was done. Raises Refused if it was refused or cancelled."""
    given = _open(order, "confirmed")
    return () if given is None else (InstructionConfirmed(**_about(given, by, at), note=note),)


def refuse(order: Order, *, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """Say that it will not be done. Raises Refused if it was confirmed or cancelled."""
    given = _open(order, "refused")
    return () if given is None else (InstructionRefused(**_about(given, by, at), reason=reason),)


def cancel(order: Order, *, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """Take it back. Raises Refused if it was confirmed or refused."""
    given = _open(order, "cancelled")
    return () if given is None else (InstructionCancelled(**_about(given, by, at), reason=reason),)


def _about(given: InstructionGiven, by: str, at: datetime) -> dict[str, Any]:
    """What an ending repeats of its instruction."""
    return {
        "happened_at": at,
        "recorded_at": at,
        "kind": given.kind,
        "subject": given.subject,
        "due_at": given.due_at,
        "to": given.to,
        "by": by,
    }


def _open(order: Order, wanted: State) -> InstructionGiven | None:
    """The instruction if it is open; None if it has ended in this very way. Raises Refused if in another."""
    if order.given is None:
        raise Refused("没有这条指令 / there is no such instruction")
    if order.state == wanted:
        return None
    if order.state != "open":
        raise Refused(
            f"指令已{STATES[order.state][0]} / the instruction is {STATES[order.state][1]}", state=order.state
        )
    return order.given


STATES: dict[str, tuple[str, str]] = {
    "open": ("待办", "open"),
    "confirmed": ("确认", "confirmed"),
    "fulfilled": ("完成（据报告）", "fulfilled, as reported"),
    "refused": ("拒绝", "refused"),
    "cancelled": ("取消", "cancelled"),
}
FACTS: tuple[type[Fact], ...] = (InstructionGiven, InstructionConfirmed, InstructionRefused, InstructionCancelled)
fact.register(*FACTS)
