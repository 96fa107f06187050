"""Customs' word: declarations, transit, inspections, holds.

A declaration releases what it covers when its own story says so (domain/declaration.py), or when customs itself says so
of the box. One that came to nothing blocks until another one, made later, covers the same bills. Goods in transit leave
the customs of entry on the permit alone; at the other end they need its arrival, its writing off, and a release.
Three forms of transit are told apart: in advance (提前报关: declared at the destination before), through (中转: the
carrier takes it on under one bill), direct (直转: all the rest).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from projections.clearance_case import ARRIVED, Case, covers
from projections.clearance_words import Reason, named, reason
from projections.declarations import DEAD, DUTY_FIRST, Story
from projections.history import trade
from projections.timeline import Line

RELEASES = {"import": frozenset({"IMP_RELEASED", "AIR_CCD", "RAIL_RELEASE", "DEC_RELEASED"})}
RELEASES["export"] = frozenset({"EXP_RELEASED", "AIR_CCD", "RAIL_RELEASE", "DEC_RELEASED"})
STAGES = {
    "DEC_TRANSIT_DECLARED": "declared",
    "DEC_TRANSIT_PERMITTED": "permitted",
    "DEC_TRANSIT_ARRIVED": "arrived",
    "DEC_TRANSIT_WRITTEN_OFF": "written_off",
}
FORMS = {
    "advance": ("提前报关转关", "transit, declared in advance"),
    "through": ("中转转关", "through transit"),
    "direct": ("直转转关", "direct transit"),
}
_DEATHS = {"deleted": "declaration.deleted", "rejected": "declaration.rejected", "withdrawn": "declaration.withdrawn"}
_STATES = {
    "re_reviewed": "declaration.re_reviewed",
    "suspended": "declaration.suspended",
    "returned": "declaration.returned",
}
_OPEN = {
    "inspection": "inspection.open",
    "duty": "duty.unpaid",
    "valuation": "valuation.open",
    "documents": "documents.requested",
}
_INSPECTIONS = frozenset({"INSP_ORDERED", "SCAN_ORDERED", "INSP_SITE_IN"})


class Word(NamedTuple):
    """What customs says: why not, or on which lines it rests, and in words."""

    reasons: list[Reason]
    rests: list[Line]
    zh: str = ""
    en: str = ""


# --- release ---


def release(case: Case, direction: str) -> Word:
    """Whether customs has released everything the question is about."""
    transit = _transit(case)
    if transit and transit.lets_go and direction == "import":
        return Word([], transit.lines, FORMS[transit.form][0] + "：已核放", FORMS[transit.form][1] + ": permitted")
    word = Word([], list(transit.lines) if transit else [])
    for member in case.members:
        found = _of_member(case, member, direction)
        word.reasons.extend(found.reasons)
        word.rests.extend(found.rests)
    released = not word.reasons
    if transit:
        word.reasons.extend(_transit_reasons(case, transit, direction, released=released))
    if word.reasons:
        return word
    guarantee = any(story.declared.procedure == "guarantee" for story in case.stories)
    pick_up = any(story.declared.completion_due for story in case.stories)
    zh = "担保放行" if guarantee else "提货放行，完整申报待补" if pick_up else "已放行"
    en = "released under guarantee" if guarantee else "released for pick-up" if pick_up else "released"
    return word._replace(zh=zh, en=en)


def _of_member(case: Case, member: str, direction: str) -> Word:
    covering = [
        story
        for story in case.stories
        if covers(story, member, case.bills, case.own) and story.declared.direction in {"", direction}
    ]
    living = [story for story in covering if story.declared.status not in DEAD]
    dead = [story for story in covering if story.declared.status in DEAD and not _replaced(case, story, living)]
    reasons = [each for story in (*dead, *living) for each in _reasons(case, story)]
    if covering:
        missing = [reason("declaration.missing", bill) for bill in _undeclared(case, member, covering)]
        return Word([*reasons, *missing], [line for story in living for line in _basis(story)])
    own = case.last(RELEASES[direction], [line for line in case.own if line.subject == member])
    if own and _by_customs(own):
        return Word([], [own])
    return Word([reason("declaration.missing", member)], [])


def _by_customs(line: Line) -> bool:
    return "customs" in {trade(source) for source in line.witnesses}


def _replaced(case: Case, dead: Story, living: Sequence[Story]) -> bool:
    """By a declaration made after it came to nothing, for the same bills."""
    return any(
        case.after(story.lines[0], dead.turned)
        and (not dead.declared.bills or not set(dead.declared.bills).isdisjoint(story.declared.bills))
        for story in living
    )


def _undeclared(case: Case, member: str, covering: Sequence[Story]) -> list[str]:
    """Bills that customs' own manifest says are in the box, and that no declaration is about.

    A house bill is written behind its master's number.
    """
    declared = {bill for story in covering for bill in story.declared.bills}
    if not declared:
        return []
    manifested = {
        line.subject for line in case.papers if line.code.startswith("MAN_") and member in line.refs
    } & case.bills
    left = [bill for bill in sorted(manifested) if not any(_same_bill(bill, each) for each in declared)]
    return left if len(left) < len(manifested) else []  # none at all: the manifest disagrees, which is told there


def _same_bill(one: str, other: str) -> bool:
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in "_*/-")


def _reasons(case: Case, story: Story) -> list[Reason]:
    declared = story.declared
    subject = f"declaration:{declared.number}"
    zh, en = named(subject)
    found = []
    if not declared.released:
        code = _DEATHS.get(declared.status) or _STATES.get(declared.status, "declaration.not_released")
        shown = (f"{zh}（{declared.zh}）", f"{en} ({declared.en})")
        found.append(reason(code, subject, *shown, [story.turned]))
    for what, line in story.blocked.items():
        if _stands(case, story, what, line):
            found.append(reason(_OPEN[what], subject, zh, en, [line]))
    return found


def _stands(case: Case, story: Story, what: str, line: Line) -> bool:
    """After release only an inspection still counts; duty only where the procedure asks for it first."""
    if what == "inspection":
        done = case.last({"INSP_DONE"})
        return done is None or case.after(line, done)
    if what == "duty":
        paid = case.last({"DUTY_PAID"}, [*case.own, *case.papers])
        unpaid = paid is None or case.after(line, paid)
        return unpaid and not story.declared.released and DUTY_FIRST[story.declared.procedure]
    return what in _OPEN and not story.declared.released


def _basis(story: Story) -> Iterable[Line]:
    return [line for line in story.lines if line.fact_id in story.declared.fact_ids]


# --- transit ---


class Transit(NamedTuple):
    stage: str
    form: str  # a key of FORMS
    lets_go: bool  # permitted, and still where it was permitted
    lines: list[Line]  # the latest of each stage


def _transit(case: Case) -> Transit | None:
    told = [line for line in (*case.own, *case.papers) if line.code in STAGES]
    if not told:
        return None
    told.sort(key=lambda line: case.order[line.fact_id])
    latest = {STAGES[line.code]: line for line in told}
    stage = STAGES[told[-1].code]
    permit = latest.get("permitted")
    here = stage == "permitted" and permit is not None and case.is_here(permit.place) and not _moved(case, permit)
    return Transit(stage, _form(case, told), here, list(latest.values()))


def _moved(case: Case, permit: Line) -> bool:
    """It has been reported elsewhere since."""
    return any(
        line.code in ARRIVED and line.place and line.place != permit.place and case.after(line, permit)
        for line in case.own
    )


def _form(case: Case, told: Sequence[Line]) -> str:
    if any(story.declared.direction == "import" and case.after(told[0], story.lines[0]) for story in case.stories):
        return "advance"
    onward = {line.mode for line in told}
    onward |= {line.mode for line in case.own if line.code in {"BARGE_LOAD", "WAGON_LOADED"}}
    return "through" if onward & {"VESSEL", "BARGE", "RAIL"} else "direct"


def _transit_reasons(case: Case, transit: Transit, direction: str, *, released: bool) -> list[Reason]:
    shown = FORMS[transit.form]
    match transit.stage:
        case "declared" if direction == "export" or not released:
            code = "transit.not_permitted"
        case "permitted" if direction == "import" or any(_moved(case, line) for line in transit.lines):
            code = "transit.not_arrived"
        case "arrived" if direction == "import":
            code = "transit.not_written_off"
        case _:
            return []
    return [reason(code, case.subject, *shown, transit.lines[-1:])]


# --- holds and inspections of the box itself ---


def stops(case: Case, action: str) -> list[Reason]:
    """What stops it whatever its papers say."""
    found = [*_holds(case)]
    for member in case.members:
        own = [line for line in case.own if line.subject == member]
        if action == "enter":
            refused = case.last({"CHECKPOINT_REFUSED", "CHECKPOINT_PASS", "ENTRY_PERMITTED"}, own)
            if refused and refused.code == "CHECKPOINT_REFUSED":
                found.append(reason("entry.refused", member, refused.text, refused.text, [refused]))
            continue
        found += _open(case, own, member)
    return found


def _holds(case: Case) -> Iterable[Reason]:
    """By the authority's own number, whichever journey the hold was placed on."""
    open_holds: dict[tuple[str, str], Line] = {}
    for line in case.holds:
        if line.code == "HOLD_PLACED":
            open_holds[line.subject, line.raw_code] = line
        else:
            open_holds.pop((line.subject, line.raw_code), None)
    for (subject, reference), line in open_holds.items():
        said = " · ".join(filter(None, (reference, line.text)))
        yield reason("hold.placed", subject, said, said, [line])


def _open(case: Case, own: Sequence[Line], member: str) -> Iterable[Reason]:
    """Ended by customs' release, by whichever way that was told; an inspection also by its own end."""
    released = [story.turned for story in case.stories if story.declared.released]
    released += [line for line in own if line.code in RELEASES["import"] | RELEASES["export"] and _by_customs(line)]
    done = [line for line in own if line.code == "INSP_DONE"]
    detained, inspected = case.last({"DEC_SUSPENDED"}, own), case.last(_INSPECTIONS, own)
    if detained and not any(case.after(line, detained) for line in released):
        yield reason("hold.customs", member, detained.text, detained.text, [detained])
    if inspected and not any(case.after(line, inspected) for line in (*released, *done)):
        yield reason("inspection.open", member, lines=[inspected])
