"""An answer arranged for the eye: the days of a timeline, what comes next, and which line took the place of which.

Pure: the moment "now" is an argument. Lines keep the order of the answer (by instant); a day is a day on the clock of
the place, so the same date may head two groups where a box crosses time zones.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from uuid import UUID

import msgspec

from api import words
from api.answer import KINDS, Answer, Journey
from projections.timeline import Line

ATTENTION = frozenset(
    """
    BKG_REJECTED BKG_CANC ROLLED DAMAGED AIR_DIS AIR_OFLD ESEAL_ALARM CHECKPOINT_REFUSED ROUTE_DEVIATION OVERSTAY
    DEC_REJECTED DEC_RETURNED DEC_SUSPENDED DEC_DELETED SCAN_ORDERED INSP_ORDERED DUTY_ASSESSED
    """.split()  # noqa: SIM905
)
CLEARED = frozenset(
    """
    EXP_RELEASED IMP_RELEASED TERM_RELEASED RAIL_RELEASE AIR_CCD DEC_RELEASED DEC_GUAR_REL DEC_PICKUP_REL INSP_DONE
    AVAILABLE AIR_DLV AIR_DDL POD
    """.split()  # noqa: SIM905
)
"""Codes that somebody must act on, and codes that clear the way: a colour beside the word, never instead of it."""


class Subject(msgspec.Struct, frozen=True):
    """Whose line it is, as `kind:number`."""

    kind: words.Pair
    shown: str
    number: str  # for the address


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line and what the eye needs beside it."""

    line: Line
    at: datetime  # on the clock of its place
    zone: str
    mode: str
    tone: str  # attention, cleared, ""
    other: Subject | None  # None: the line is about the number that was asked for
    replaces: UUID | None
    replacement: UUID | None  # only if that line is on this page
    is_next: bool  # the first line that lies ahead
    overtaken: str  # why an estimate is history, in the reader's words; "" if it is not


class Day(msgspec.Struct, frozen=True):
    on: date
    title: str
    steps: list[Step]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    answer: Answer
    journey: Journey
    days: list[Day]
    expected: Line | None  # what comes next
    destination: Line | None  # the first line at the last place ahead, unless the cargo is there already
    count: int
    now: datetime
    as_known_at: str = ""  # the past moment that was asked for, as it was written


def subject(text: str) -> Subject:
    """A subject with its kind's name in both languages."""
    kind, _, number = text.partition(":")
    return Subject(KINDS.get(kind, (kind, kind)), words.number(kind, number), number)


def arrange(answer: Answer, lang: str, now: datetime, as_known_at: str = "") -> Timeline:
    """The page of one answer."""
    history = words.overtaken(answer.header.eta)
    own = f"{answer.header.kind}:{answer.number}"
    replaces = {line.corrected.replaced_by: line.fact_id for line in answer.lines if line.corrected}
    here = {line.fact_id for line in answer.lines}
    coming = next((line.fact_id for line in answer.lines if words.at(line.happened_at) > now), None)

    def step(line: Line) -> Step:
        instant = words.at(line.happened_at)
        replacement = line.corrected.replaced_by if line.corrected else None
        return Step(
            line=line,
            at=instant,
            zone=words.zone_name(line.zone, instant, lang),
            mode=words.mode_name(line.mode, line.subject, lang),
            tone="attention" if line.code in ATTENTION else "cleared" if line.code in CLEARED else "",
            other=None if line.subject == own else subject(line.subject),
            replaces=replaces.get(line.fact_id),
            replacement=replacement if replacement in here else None,
            is_next=line.fact_id == coming,
            overtaken=words.pick(words.OVERTAKEN[history[line.fact_id]], lang) if line.fact_id in history else "",
        )

    steps = [step(line) for line in answer.lines]
    ahead = expected(answer.lines)
    last = next((line.place for line in reversed(ahead) if line.place), "")
    arrival = next((line for line in ahead if line.place == last), None)
    return Timeline(
        answer=answer,
        journey=answer.header.journey,
        days=[Day(on, words.day(many[0].at, lang), many) for on, many in _by_day(steps)],
        expected=ahead[0] if ahead else None,
        destination=arrival if last not in {"", answer.header.journey.latest} else None,
        count=len(steps),
        now=now,
        as_known_at=as_known_at,
    )


def _by_day(steps: list[Step]) -> list[tuple[date, list[Step]]]:
    return [(on, list(many)) for on, many in groupby(steps, key=lambda step: step.at.date())]


def expected(lines: Sequence[Line]) -> list[Line]:
    """What still stands of estimates and plans after the latest actual line, in order.

    Of several that tell of the same milestone at the same place, the one told last.
    """
    standing = [line for line in lines if line.counts]
    actual = [line for line in standing if line.classifier == "ACT"]
    done = {(line.subject, line.code, line.place) for line in actual if not _in_part(line)}
    latest = max((words.at(line.happened_at) for line in actual), default=None)
    told: dict[tuple[str, str, str], Line] = {}
    for line in sorted(standing, key=lambda line: line.position):
        if line.classifier != "ACT":
            told[line.subject, line.code, line.place] = line
    ahead = [
        line
        for what, line in told.items()
        if what not in done and (latest is None or words.at(line.happened_at) > latest)
    ]
    return sorted(ahead, key=lambda line: (words.at(line.happened_at), line.position))


def _in_part(line: Line) -> bool:
    """Whether it tells of some pieces only, so that the rest is still to come."""
    return line.pieces is not None and line.pieces_total is not None and line.pieces < line.pieces_total
