"""What the alerts remember of each subject: the facts that some rule minds, in a compact form, and who belongs to whom.

A state is a set: the newest facts by when they happened, OWN_MAX of them and DEVICE_MAX of what devices tell, and the
subjects that facts have linked with it. Sets do not depend on the order in which facts come. What later facts say of a
fact (confirmed, retracted, corrected, reinstated) is kept with it. Times are UTC.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.container import HoldPlaced, HoldReleased
from domain.declaration import Received, Withdrawn
from domain.fact import Confirmed, Corrected, Moved, Reinstated, Retracted, Stated
from domain.instruction import FULFILLED_BY, Instruction, InstructionGiven
from domain.journal import Entry
from projections.alert_conditions import ARRIVALS, ENDS, GROUP, RELEASES, SUBMITTED, UNRELEASES, Condition, Known
from projections.alert_journey import ON
from projections.alert_rules import CELSIUS, EMPTY_KG, sensitive_word

OWN_MAX = 192
DEVICE_MAX = 32
NUMBER_MAX = 600  # characters of a subject; none that is longer is a number of any cargo, and an index holds no more

Remark = Confirmed | Retracted | Corrected | Reinstated


class State(msgspec.Struct, array_like=True):
    facts: list[Known] = []
    links: list[str] = []  # sorted
    conditions: list[Condition] = []  # as they stood at the last look


encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
decode = msgspec.msgpack.Decoder(State).decode

# --- which facts of which subjects ---

PAPERS = frozenset({"bl", "booking", "rail"})
"""They pass on to their containers what customs and the ship do to all of them."""

PASSED_ON = (
    frozenset({"EXP_RELEASED", "IMP_RELEASED", "RAIL_RELEASE", "INSP_ORDERED", "INSP_SITE_IN", "INSP_DONE"})
    | frozenset({"INSP_SITE_OUT", "MAN_ADV_OK", "TALLY_RPT", "VSL_ARR", "VSL_DEP", "BARGE_ARR", "BARGE_DEP"})
    | RELEASES
    | UNRELEASES
    | ENDS
    | ARRIVALS
)
_FULFILLING = frozenset(chain.from_iterable(FULFILLED_BY.values()))
_DECLARED = SUBMITTED | RELEASES | UNRELEASES | ENDS | {"INSP_ORDERED", "INSP_DONE", "INSP_SITE_IN", "INSP_SITE_OUT"}
_BOX = frozenset(GROUP) | frozenset(ON) | _FULFILLING
_PAPER = PASSED_ON | _FULFILLING | {"MAN_SUBMITTED"}
_BY_KIND = {"container": _BOX, "truck": _BOX, "awb": _FULFILLING, "declaration": _DECLARED} | dict.fromkeys(
    PAPERS, _PAPER
)
WANTED = {
    kind: codes | {f"{code}_REVERSED" for code in codes} | ({""} if kind in {"container", "truck"} else frozenset())
    for kind, codes in _BY_KIND.items()
}
"""Codes that matter, by kind of subject; of those without a code, the readings of devices."""

LINKED = {
    "container": PAPERS | {"declaration"},
    "declaration": PAPERS | {"container", "declaration"},  # one declaration has several numbers
    **dict.fromkeys(PAPERS, frozenset({"container", "declaration"})),
}
DEVICES = frozenset({"ESEAL_ALARM", "OVERSTAY", "ROUTE_DEVIATION", "TEMPERATURE", "SCALE"})
_WEIGHED = frozenset({"EMPTY_IN", "EMPTY_OUT"})


def kind_of(subject: str) -> str:
    return subject.partition(":")[0]


class Told(NamedTuple):
    """What a batch tells: facts by subject, what is said of facts told before, and who belongs to whom."""

    facts: dict[str, list[Known]]
    remarks: list[tuple[str, UUID, Remark]]
    pairs: set[tuple[str, str]]


def gather(entries: Sequence[Entry]) -> Told:
    """What concerns some rule. Most facts of a batch may not: of those nothing is made."""
    facts: defaultdict[str, list[Known]] = defaultdict(list)
    remarks: list[tuple[str, UUID, Remark]] = []
    named: set[tuple[str, tuple[str, ...]]] = set()
    for entry in entries:
        told, stream = entry.fact, entry.stream
        if isinstance(told, Stated):
            if isinstance(told, Moved) and told.classifier != "ACT":
                continue
            kind = kind_of(stream)
            if kind in WANTED and told.code in WANTED[kind]:
                known = _moved(entry, told, kind) if isinstance(told, Moved) else _received(entry, told)
                if known is not None:
                    facts[stream].append(known)
            if told.refs and kind in LINKED:
                named.add((stream, told.refs))
        elif isinstance(told, Remark):
            remarks.append((stream, entry.fact_id, told))
        elif (own := _own(entry)) is not None:
            facts[own[0]].append(own[1])
    return Told(facts, remarks, {pair for each in named for pair in _pairs(*each)})


def _own(entry: Entry) -> tuple[str, Known] | None:
    """A decision of Kouan's own, and whom it is about."""
    told = entry.fact
    if isinstance(told, HoldPlaced | HoldReleased):
        code = "HOLD" if isinstance(told, HoldPlaced) else "HOLD_LIFTED"
        return entry.stream, Known(entry.fact_id, told.happened_at, code, detail=told.reference)
    if isinstance(told, Withdrawn):
        return entry.stream, Known(entry.fact_id, told.happened_at, "DEC_WITHDRAWN")
    return (told.subject, _instructed(entry, told)) if isinstance(told, Instruction) else None


def _moved(entry: Entry, told: Moved, kind: str) -> Known | None:
    if told.partial and kind in PAPERS:
        return None  # a word about a part of a consignment says nothing of one of its boxes
    code, detail = told.code, ""
    if not code:
        return _reading(entry, told)
    if code == "MAN_SUBMITTED":
        detail = sensitive_word(told.text)
        if not detail:
            return None
    value = told.weight_kg if told.laden is False or code in _WEIGHED else None
    return Known(
        entry.fact_id, told.happened_at, code, told.place, told.transport, told.laden, detail, value, told.facility
    )


def _received(entry: Entry, told: Stated) -> Known:
    place = told.place if isinstance(told, Received) else ""
    return Known(entry.fact_id, told.happened_at, told.code, place)


def _reading(entry: Entry, told: Moved) -> Known | None:
    """Of a temperature or a weight only what is out of range; a weight that is no empty box's may be a laden one's."""
    kind, _, raw = told.raw_code.partition("/")
    if kind not in {"temperature", "scale"}:
        return None
    try:
        value = float(raw)
    except ValueError:
        return None
    low, high = CELSIUS if kind == "temperature" else EMPTY_KG
    if low <= value <= high:
        return None
    return Known(entry.fact_id, told.happened_at, kind.upper(), told.place, detail=raw, value=value)


def _instructed(entry: Entry, told: Instruction) -> Known:
    given = isinstance(told, InstructionGiven)
    return Known(
        entry.fact_id,
        told.happened_at,
        "INSTRUCTED" if given else "INSTRUCTION_ENDED",
        told.place if isinstance(told, InstructionGiven) else "",
        told.kind,
        detail=entry.stream,
        value=told.due_at.timestamp(),
    )


def _pairs(stream: str, refs: tuple[str, ...]) -> list[tuple[str, str]]:
    """The subjects that a statement links with its own, as far as alerts of one rest on facts of the other."""
    wanted = LINKED[kind_of(stream)]
    return [(stream, ref) for ref in refs if kind_of(ref) in wanted and len(ref) <= NUMBER_MAX]


# --- changing a state ---


def link(state: State, other: str) -> bool:
    """Whether this link is new."""
    place = bisect_left(state.links, other)
    if place < len(state.links) and state.links[place] == other:
        return False
    insort(state.links, other)
    return True


def add(state: State, told: Iterable[Known]) -> None:
    """More facts, in the order in which they happened; the oldest give way when there are too many."""
    facts = sorted([*state.facts, *told], key=_WHEN)
    if len(facts) > DEVICE_MAX:
        devices = [each for each in facts if each.code in DEVICES]
        others = [each for each in facts if each.code not in DEVICES]
        facts = sorted(devices[-DEVICE_MAX:] + others[-OWN_MAX:], key=_WHEN)
    state.facts = facts


_WHEN = attrgetter("at", "fact_id")


def remark(state: State, fact_id: UUID, told: Remark) -> bool:
    """What a later fact says of one in this state, or of one's confirmation; False if it concerns none of them."""
    for place, each in enumerate(state.facts):
        if each.fact_id == told.fact_id or (each.witnesses and told.fact_id in each.witnesses) or _gone(each, told):
            changes = _changes(each, fact_id, told)
            state.facts[place] = msgspec.structs.replace(each, **changes)
            return True
    return False


def _gone(each: Known, told: Remark) -> bool:
    """Whether it takes up a confirmation that was withdrawn before."""
    return isinstance(told, Reinstated) and told.fact_id in each.withdrawn


def _changes(each: Known, fact_id: UUID, told: Remark) -> dict[str, Any]:
    own = each.fact_id == told.fact_id
    match told:
        case Confirmed():
            return {"witnesses": tuple(sorted({*each.witnesses, fact_id}))}
        case Retracted() if own:
            return {"retracted": True}
        case Corrected() if own:
            return {"corrected": True}
        case Reinstated() if own:
            return {"retracted": False, "corrected": False}
        case Reinstated():
            witnesses = tuple(sorted({*each.witnesses, told.fact_id}))
            return {"witnesses": witnesses, "withdrawn": tuple(x for x in each.withdrawn if x != told.fact_id)}
        case _:
            witnesses = tuple(x for x in each.witnesses if x != told.fact_id)
            return {"witnesses": witnesses, "withdrawn": tuple(sorted({*each.withdrawn, told.fact_id}))}
