"""May it leave, be loaded, come in? Customs' release, the terminal's arrival report and the manifest, compared.

Networked verification (联网核查). Pure: the same lines give the same verdict, in whatever order they came. What is not
known is a reason against: it fails closed. NEEDS says which of the three legs a move asks for; an empty box, one that
goes on by another ship and a domestic move need no declaration, and the answer names the line that says so. Release is
not the end: a declaration that is deleted or reviewed again after its release stops the cargo again.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from projections import clearance_case, clearance_customs, clearance_manifest, journeys
from projections.clearance_case import ARRIVED, LEFT, TALLIES, Case
from projections.clearance_words import Reason, named, reason
from projections.declarations import DEAD, Declared
from projections.timeline import Line

Action = Literal["gate-out", "load", "enter"]
ACTIONS: dict[str, tuple[str, str]] = {
    "gate-out": ("提离", "leave the gate"),
    "load": ("装载", "be loaded"),
    "enter": ("进场", "enter"),
}


class Needs(NamedTuple):
    """What a move asks for; "" for a leg that it does not need."""

    customs: str = ""  # release; withdrawn: no declaration in force
    arrival: str = ""  # landed: it is there; reported: an arrival report
    manifest: str = ""  # the milestone of the manifest


_INWARD = Needs("release", "landed", "MAN_ORIG_OK")
_OUTWARD = Needs("release", "reported", "MAN_ADV_OK")
NEEDS: dict[tuple[str, str, str], Needs] = {
    ("gate-out", "VESSEL", "import"): _INWARD,
    ("gate-out", "AIR", "import"): _INWARD,
    ("gate-out", "RAIL", "import"): Needs("release", "landed"),  # its manifest stays with the railway
    ("gate-out", "VESSEL", "export"): Needs("withdrawn", "landed"),  # export cargo that is taken back
    ("gate-out", "AIR", "export"): Needs("withdrawn", "landed"),
    ("gate-out", "RAIL", "export"): Needs("withdrawn", "landed"),
    ("load", "VESSEL", "export"): _OUTWARD,
    ("load", "AIR", "export"): _OUTWARD,
    ("load", "RAIL", "export"): Needs("release", "reported"),
    ("load", "VESSEL", "import"): _INWARD,  # on from the port of entry, released or in transit
    ("load", "AIR", "import"): _INWARD,
    ("load", "RAIL", "import"): Needs("release", "landed"),
}
"""By action, mode and direction. To enter a terminal nothing is needed: only a hold or a refusal stops it."""
REPORTS = frozenset({"ARRIVAL_RPT", "RAIL_ARRIVAL_RPT", "AIR_ARRIVAL_RPT"})


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three. `detail` says what was compared or why it is not needed."""

    status: Literal["ok", "missing", "mismatch", "not-needed"]
    zh: str
    en: str
    detail_zh: str = ""
    detail_en: str = ""
    fact_ids: tuple[UUID, ...] = ()


class Legs(msgspec.Struct, frozen=True):
    customs: Leg
    arrival: Leg
    manifest: Leg


class Ground(msgspec.Struct, frozen=True):
    """A fact that the verdict rests on."""

    fact_id: UUID
    position: int
    subject: str
    code: str
    raw_code: str
    source: str
    happened_at: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    kind: str  # container, awb, rail
    action: Action
    place: str
    mode: str
    direction: str
    allowed: bool
    verdict_zh: str
    verdict_en: str
    reasons: list[Reason]
    legs: Legs
    declarations: list[Declared]
    facts: list[Ground]


def verdict(subject: str, action: Action, place: str, lines: Sequence[Line]) -> Verdict:
    """`lines`: everything known of the subject and of its consignment, in the order of the timeline."""
    case = clearance_case.case(subject, place, lines)
    direction, mode = clearance_case.direction(case, action), clearance_case.mode(case, action)
    needs = NEEDS.get((action, mode, direction), Needs())
    free = clearance_case.exempt(case, action) if needs.customs else None
    stops = clearance_customs.stops(case, action)
    customs, why = _customs(case, needs, direction, free)
    left = _left(free) if free else needs
    arrival, absent = _arrival(case, left)
    manifest, wrong = _manifest(case, left)
    reasons = _once([*why, *stops, *absent, *wrong])
    rests = {*customs.fact_ids, *arrival.fact_ids, *manifest.fact_ids}
    rests.update(fact_id for each in reasons for fact_id in each.fact_ids)
    told = [story.declared for story in case.stories]
    rests.update(fact_id for declared in told for fact_id in declared.fact_ids)
    zh, en = named(subject)
    can = ("可以", "may") if not reasons else ("不可以", "may not")
    return Verdict(
        number=subject.partition(":")[2],
        kind=subject.partition(":")[0],
        action=action,
        place=place,
        mode=mode,
        direction=direction,
        allowed=not reasons,
        verdict_zh=f"{zh} {can[0]}{ACTIONS[action][0]}",
        verdict_en=f"{en} {can[1]} {ACTIONS[action][1]}",
        reasons=reasons,
        legs=Legs(customs, arrival, manifest),
        declarations=told,
        facts=[ground(line) for line in lines if line.fact_id in rests],
    )


def _left(free: tuple[str, str, Line]) -> Needs:
    """What is still needed where no declaration is: what goes on by another ship must be there."""
    return Needs(arrival="landed") if free[2].code == "TS_DISC" else Needs()


def _once(reasons: Iterable[Reason]) -> list[Reason]:
    return list({(each.code, each.subject, each.en): each for each in reasons}.values())


def ground(line: Line) -> Ground:
    """A line as what a verdict rests on."""
    return Ground(line.fact_id, line.position, line.subject, line.code, line.raw_code, line.source, line.happened_at)


# --- the three legs ---


def _customs(case: Case, needs: Needs, direction: str, free: tuple[str, str, Line] | None) -> tuple[Leg, list[Reason]]:
    if free:
        return _not_needed(f"{free[0]}，无需报关", f"{free[1]}: no declaration is needed", [free[2]]), []
    if not needs.customs:
        return _not_needed(), []
    if needs.customs == "withdrawn":
        found = [_in_force(each) for each in _declared(case, direction)]
        leg = _not_needed("未申报或已退关", "not declared, or withdrawn")
        return (_leg(found, [], ("", "")) if found else leg), found
    word = clearance_customs.release(case, direction)
    return _leg(word.reasons, word.rests, (word.zh, word.en)), word.reasons


def _declared(case: Case, direction: str) -> list[Declared]:
    told = (story.declared for story in case.stories)
    return [each for each in told if each.direction in {"", direction} and each.status not in DEAD]


def _in_force(declared: Declared) -> Reason:
    subject = f"declaration:{declared.number}"
    zh, en = named(subject)
    code = "declaration.not_withdrawn"
    found = reason(code, subject, f"{zh}（{declared.zh}）", f"{en} ({declared.en})")
    return msgspec.structs.replace(found, fact_ids=declared.fact_ids, since=declared.released_at)


def _arrival(case: Case, needs: Needs) -> tuple[Leg, list[Reason]]:
    if not needs.arrival:
        return _not_needed(), []
    reasons: list[Reason] = []
    rests: list[Line] = []
    for member in case.members:
        own = [line for line in case.own if line.subject in {member, case.subject}]
        line, found = (_landed if needs.arrival == "landed" else _reported)(case, member, own)
        rests += [line] if line else []
        reasons += found
    places = "、".join(dict.fromkeys(line.place_zh for line in rests if line.place_zh))
    places_en = ", ".join(dict.fromkeys(line.place_en for line in rests if line.place_en))
    return _leg(reasons, rests, (f"已到 {places}".strip(), f"arrived {places_en}".strip())), reasons


def _landed(case: Case, member: str, own: Sequence[Line]) -> tuple[Line | None, list[Reason]]:
    """It is there: discharged, unloaded or gated in, and not gone since. A tally stands in where nothing else tells."""
    here = case.last(ARRIVED | LEFT, own) or case.last(TALLIES, own)
    if here is None:
        return None, [reason("arrival.missing", member)]
    if here.code in LEFT:
        return here, [reason("arrival.left", member, *_where(here), [here])]
    if not case.is_here(here.place):
        return here, [reason("arrival.elsewhere", member, *_where(here), [here])]
    return here, []


def _reported(case: Case, member: str, own: Sequence[Line]) -> tuple[Line | None, list[Reason]]:
    """The arrival report: of the box, or of a bill all of whose boxes it speaks for; void once the box left again."""
    answers = [line for line in case.own if line.subject == member] + [
        line for line in (*case.own, *case.papers)
        if journeys.kind(line.subject) != "container" and (member in line.refs or not _names_boxes(line))
    ]  # fmt: skip
    answers = [line for line in answers if line.code in REPORTS or line.raw_code.startswith("MT3")]
    answers.sort(key=lambda line: case.order[line.fact_id])
    told = [line for line in answers if line.code in REPORTS or line.raw_code.endswith("/03")]
    if not told:
        return None, [reason("arrival.missing", member)]
    last, gone = told[-1], case.last({"GATE_OUT", "STATION_OUT", "YARD_OUT"}, own)
    if last.code not in REPORTS:
        return last, [reason("arrival.rejected", member, lines=[last])]
    if gone and case.after(gone, last):
        return last, [reason("arrival.left", member, *_where(gone), [gone])]
    if not case.is_here(last.place):
        return last, [reason("arrival.elsewhere", member, *_where(last), [last])]
    return last, []


def _names_boxes(line: Line) -> bool:
    return any(ref.startswith("container:") for ref in line.refs)


def _where(line: Line) -> tuple[str, str]:
    return f"{line.zh} · {line.place_zh}", f"{line.en} · {line.place_en}"


def _manifest(case: Case, needs: Needs) -> tuple[Leg, list[Reason]]:
    if not needs.customs:
        return _not_needed(), []
    checked = clearance_manifest.check(case, needs.manifest)
    if not (needs.manifest or checked.reasons):
        return _not_needed("铁路舱单由铁路掌握", "the railway keeps its own manifest"), []
    return _leg(checked.reasons, checked.accepted, ("舱单已入库，相符", "accepted, and it agrees")), checked.reasons


def _leg(reasons: Sequence[Reason], rests: Iterable[Line], fine: tuple[str, str]) -> Leg:
    rest_ids = [line.fact_id for line in rests]
    fact_ids = tuple(dict.fromkeys([*rest_ids, *(fact_id for each in reasons for fact_id in each.fact_ids)]))
    if not reasons:
        return Leg(status="ok", zh="符合", en="in order", detail_zh=fine[0], detail_en=fine[1], fact_ids=fact_ids)
    missing = all(each.code.endswith(".missing") for each in reasons)
    return Leg(
        status="missing" if missing else "mismatch",
        zh="缺失" if missing else "不符",
        en="missing" if missing else "not in order",
        detail_zh="；".join(each.zh for each in reasons),
        detail_en="; ".join(each.en for each in reasons),
        fact_ids=fact_ids,
    )


def _not_needed(zh: str = "", en: str = "", lines: Iterable[Line] = ()) -> Leg:
    fact_ids = tuple(line.fact_id for line in lines)
    return Leg(status="not-needed", zh="不需要", en="not needed", detail_zh=zh, detail_en=en, fact_ids=fact_ids)
