"""What several statements say together: whose word counts, how an estimate moved, how many pieces have come.

Pure folds over the lines of projections/timeline.py.

Disagreement. Statements of the same milestone of the same subject, of one classifier, by different sources, contradict
each other if they name another minute, another number of pieces, or, for what happens once on a voyage, another place.
All of them are shown. The one that counts is chosen by the first of these rules that tells them apart:

1. `owner`: it comes from a source whose business the milestone is (OWNERS): the terminal for its gate and its quay, the
   line for its ships and their estimates, the depot for empties, railway, airline and trucker for their own moves,
   customs for its receipts. The first word of a source's name is its trade: `terminal-cnnkg`, `customs-2200`.
2. `confirmed`: more sources say so.
3. `latest`: it was sent later; by its receipt where a message bears no sending time.
4. `id`: the lower fact id, so that any order of arrival gives the same answer.

Estimates supersede each other: of each source only its latest one takes part, and none once it has come true. Times
are instants; differences are hours.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.milestones import MILESTONES
from projections.timeline import Conflict, Line

WINDOW = timedelta(hours=72)
"""Further apart, two statements of one milestone are taken for two events."""
NEIGHBOURS = 8  # how many of the next statements in time each one is compared with

RULES: dict[str, tuple[str, str]] = {
    "owner": ("以主管该事项的来源为准", "the source whose business it is counts"),
    "confirmed": ("以证实来源较多者为准", "the one that more sources confirm counts"),
    "latest": ("以较晚发出者为准", "the one sent later counts"),
    "id": ("无其他依据，以标识在前者为准", "nothing else tells them apart: the lower id counts"),
}

# --- whose business a milestone is ---

_BUSINESS: tuple[tuple[str, str], ...] = (
    (
        "terminal port",
        """
        GATE_IN GATE_OUT LOADED DISCHARGED TS_LOAD TS_DISC BARGE_LOAD BARGE_DISC STOWED VSL_BERTH AVAILABLE
        DROP_AVAILABLE TERM_RELEASED TALLY_RPT ARRIVAL_RPT APPOINTED
        """,
    ),
    (
        "line carrier agent",
        """
        BKG_REQUESTED BKG_CONF BKG_REJECTED BKG_CANC SI_SUBMITTED VGM_SUB EIR_ISSUED BL_ISSUED BL_SURRENDERED VSL_DEP
        VSL_ARR ROLLED ARN_SENT DO_ISSUED
        """,
    ),
    ("barge", "BARGE_DEP BARGE_ARR LOCK_PASSED"),
    ("depot", "EMPTY_OUT EMPTY_IN YARD_IN YARD_OUT STRIPPED"),
    ("customs", "EXP_RELEASED IMP_RELEASED MAN_ADV_OK MAN_ORIG_OK AIR_CCD ENTRY_PERMITTED DUTY_ASSESSED"),
)
OWNERS: dict[str, frozenset[str]] = {
    code: frozenset(trades.split()) for trades, codes in _BUSINESS for code in codes.split()
}
BY_MODE = {"RAIL": frozenset({"rail"}), "AIR": frozenset({"air"}), "TRUCK": frozenset({"road", "truck"})}
CUSTOMS = frozenset({"customs"})
_WORD = re.compile(r"[^\W_]+")


def trade(source: str) -> str:
    """The trade of a source, by the first word of its name.

    >>> trade("terminal-cnnkg"), trade("customs.shanghai"), trade("line")
    ('terminal', 'customs', 'line')
    """
    found = _WORD.match(source)
    return found[0].lower() if found else ""


def owners(code: str) -> frozenset[str]:
    """The trades whose business a milestone is; empty if it is nobody's.

    >>> sorted(owners("GATE_IN")), sorted(owners("TRAIN_DEP")), sorted(owners("DEC_RELEASED")), sorted(owners("X9"))
    (['port', 'terminal'], ['rail'], ['customs'], [])
    """
    if code in OWNERS:
        return OWNERS[code]
    if code.startswith(("DEC_", "INSP_", "VALUATION_")):
        return CUSTOMS
    return BY_MODE.get(MILESTONES[code].mode, frozenset()) if code in MILESTONES else frozenset()


# --- disagreement ---

REPEATED = frozenset("TRUCK_POS ROUTE_DEVIATION OVERSTAY ESEAL_ALARM DAMAGED AIR_DIS AIR_OCI AIR_OSI".split())  # noqa: SIM905
ONCE_A_VOYAGE = frozenset("LOADED DISCHARGED TS_LOAD TS_DISC BARGE_LOAD BARGE_DISC WAGON_LOADED WAGON_UNLOADED".split())  # noqa: SIM905
PAIRED_MODES = frozenset({"TRUCK", "AIR"})
"""Where two plates or two flights are two events; ships and trains are written in as many ways as there are sources."""


def marked(lines: Sequence[Line]) -> list[Line]:
    """The same lines in the same order; those that contradict each other say so, and which of them counts."""
    said: dict[UUID, Conflict] = {}
    for group in _groups(lines):
        winner, rule = _winner(group)
        name = str(min(line.fact_id for line in group))
        said |= {line.fact_id: Conflict(name, line.fact_id == winner.fact_id, rule, *RULES[rule]) for line in group}
    return [
        msgspec.structs.replace(line, conflict=said[line.fact_id]) if line.fact_id in said else line for line in lines
    ]


def _groups(lines: Sequence[Line]) -> Iterable[list[Line]]:
    """Lines that contradict each other, together."""
    alike: dict[tuple[str, str, str], list[Line]] = {}
    done: set[tuple[str, str, str]] = set()
    for line in lines:
        if line.stands and line.code and line.code not in REPEATED:
            alike.setdefault((line.subject, line.code, line.classifier), []).append(line)
            if line.classifier == "ACT":
                done.add((line.subject, line.code, line.place))
    for (subject, code, classifier), many in alike.items():
        if len({line.source for line in many}) == 1:
            continue
        if classifier == "ACT":
            yield from _clusters(many)
        else:
            yield from _estimates([line for line in many if (subject, code, line.place) not in done])


def _estimates(many: Sequence[Line]) -> Iterable[list[Line]]:
    """The latest word of each source on one place, where they are not all the same."""
    latest: dict[tuple[str, str], Line] = {}
    for line in sorted(many, key=_issued):
        latest[line.place, line.source] = line
    for place in sorted({line.place for line in many}):
        standing = [line for (where, _), line in latest.items() if where == place]
        if len({_minute(line) for line in standing}) > 1:
            yield standing


def _clusters(many: Sequence[Line]) -> Iterable[list[Line]]:
    """The nearest in time belong together, as long as no source is among them twice."""
    ordered = sorted(many, key=lambda line: (_at(line), line.fact_id))
    pairs = [
        ((one.pieces != other.pieces, _at(other) - _at(one), one.fact_id, other.fact_id), one, other)
        for place, one in enumerate(ordered)
        for other in ordered[place + 1 : place + 1 + NEIGHBOURS]
        if _comparable(one, other)
    ]
    clusters = {line.fact_id: [line] for line in ordered}
    for _, one, other in sorted(pairs, key=lambda pair: pair[0]):
        left, right = clusters[one.fact_id], clusters[other.fact_id]
        if left is not right and not _sources(left) & _sources(right):
            left += right
            clusters.update((line.fact_id, left) for line in right)
    for cluster in {id(cluster): cluster for cluster in clusters.values()}.values():
        if len({(_minute(line), line.place, line.pieces) for line in cluster}) > 1:
            yield cluster


def _comparable(one: Line, other: Line) -> bool:
    if _at(other) - _at(one) > WINDOW:
        return False
    same = _written(one.transport) == _written(other.transport)
    if one.place != other.place:
        return one.code in ONCE_A_VOYAGE and same and bool(one.transport)
    if None not in (one.pieces, other.pieces) and one.pieces != other.pieces:
        return same and bool(one.transport)  # of different flights, they are parts that add up
    return same or one.mode not in PAIRED_MODES or not (one.transport and other.transport)


def _winner(group: Sequence[Line]) -> tuple[Line, str]:
    """The line that counts, and the rule that tells it from the next best."""
    by_rank = sorted(group, key=_rank, reverse=True)
    first, second = _rank(by_rank[0]), _rank(by_rank[1])
    return by_rank[0], next(rule for rule, one, other in zip(RULES, first, second, strict=True) if one != other)


def _rank(line: Line) -> tuple[bool, int, datetime, int]:
    owned = any(trade(source) in owners(line.code) for source in line.witnesses)
    return (owned, len(line.witnesses), line.sent_at or line.recorded_at, -line.fact_id.int)


def _sources(lines: Iterable[Line]) -> frozenset[str]:
    return frozenset().union(*(line.witnesses for line in lines))


def _written(transport: str) -> str:
    return "".join(transport.split()).upper()


# --- estimates over time ---

ARRIVALS = frozenset("VSL_ARR BARGE_ARR TRAIN_ARR BORDER_ARR TRUCK_ARR AIR_ARR".split())  # noqa: SIM905


class Estimate(msgspec.Struct, frozen=True):
    """One word on when it will arrive."""

    fact_id: UUID
    classifier: str  # PLN, EST
    expected_at: str  # in the place's own time
    source: str
    transport: str
    sent_at: datetime | None
    learnt_at: datetime  # when this node was told
    delta_hours: float | None  # later (+) or earlier (-) than the word before; None: the first
    stands: bool


class Eta(msgspec.Struct, frozen=True, kw_only=True):
    """When one number arrives at one place: the word that counts now, and all that was said, oldest first."""

    subject: str
    code: str
    zh: str
    en: str
    place: str
    place_zh: str
    place_en: str
    fact_id: UUID | None = None  # of the word that counts
    classifier: str = ""  # EST, or PLN where nobody estimates; "" if none stands
    expected_at: str = ""
    source: str = ""
    arrived_at: str = ""  # the actual arrival
    late_hours: float | None = None  # of the actual arrival behind the word that counts
    history: list[Estimate] = []


def etas(lines: Sequence[Line]) -> list[Eta]:
    """The estimates of each arrival in the order of the lines; `lines` are marked."""
    told: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        if line.classifier != "ACT" and line.code in ARRIVALS:
            told.setdefault((line.subject, line.code, line.place), []).append(line)
    arrived = {
        (line.subject, line.code, line.place): line for line in lines if line.classifier == "ACT" and line.counts
    }
    return [_eta(sorted(many, key=_issued), arrived.get(what)) for what, many in told.items()]


def _eta(said: Sequence[Line], arrived: Line | None) -> Eta:
    first = said[0]
    standing = [line for line in said if line.counts]
    current = next(
        (line for line in reversed(standing) if line.classifier == "EST"), standing[-1] if standing else None
    )
    history = [_estimate(first, None), *(_estimate(line, before) for before, line in pairwise(said))]
    return Eta(
        subject=first.subject,
        code=first.code,
        zh=first.zh,
        en=first.en,
        place=first.place,
        place_zh=first.place_zh,
        place_en=first.place_en,
        fact_id=current.fact_id if current else None,
        classifier=current.classifier if current else "",
        expected_at=current.happened_at if current else "",
        source=current.source if current else "",
        arrived_at=arrived.happened_at if arrived else "",
        late_hours=_hours(arrived, current) if arrived and current else None,
        history=history,
    )


def _estimate(line: Line, before: Line | None) -> Estimate:
    return Estimate(
        line.fact_id,
        line.classifier,
        line.happened_at,
        line.source,
        line.transport,
        line.sent_at,
        line.recorded_at,
        _hours(line, before) if before else None,
        line.stands,
    )


def _hours(later: Line, earlier: Line) -> float:
    return round((_at(later) - _at(earlier)) / timedelta(hours=1), 2)


# --- parts of a consignment ---

TAKEN_OFF = {"AIR_PRE": "AIR_OFLD", "AIR_MAN": "AIR_OFLD"}
"""What is manifested and then left behind is manifested no more."""

NO_STEP = frozenset({"", "AIR_OFLD", "AIR_DIS", "ROLLED", "DAMAGED"})
"""What goes wrong with some pieces is no step on which the others wait for them."""


class Parts(msgspec.Struct, frozen=True):
    """How many pieces have passed a milestone at a place, where they come in parts."""

    subject: str
    code: str
    zh: str
    en: str
    place: str
    place_zh: str
    place_en: str
    pieces: int
    pieces_total: int | None
    complete: bool


class _Key(NamedTuple):
    subject: str
    code: str
    place: str


def parts(lines: Sequence[Line]) -> list[Parts]:
    """Sums of what counts, in the order of the lines; `lines` are marked. Milestones told as a whole are left out."""
    told: dict[_Key, list[Line]] = {}
    for line in lines:
        if line.classifier == "ACT" and line.counts and line.pieces is not None:
            told.setdefault(_Key(line.subject, line.code, line.place), []).append(line)
    sums = {key: sum(line.pieces or 0 for line in many) for key, many in told.items()}
    off = {key: sums.get(key._replace(code=TAKEN_OFF.get(key.code, "")), 0) for key in told}
    return [
        _parts(many, sums[key] - off[key])
        for key, many in told.items()
        if key.code not in NO_STEP and (off[key] or any(_in_part(line) for line in many))
    ]


def _parts(many: Sequence[Line], count: int) -> Parts:
    last = many[-1]
    total = max((line.pieces_total for line in many if line.pieces_total is not None), default=None)
    shown = max(count, 0) if total is None else min(max(count, 0), total)
    where = (last.place, last.place_zh, last.place_en)
    return Parts(last.subject, last.code, last.zh, last.en, *where, shown, total, shown == total)


def _in_part(line: Line) -> bool:
    return line.partial or (
        line.pieces_total is not None and line.pieces is not None and line.pieces < line.pieces_total
    )


# --- times ---


def _at(line: Line) -> datetime:
    return datetime.fromisoformat(line.happened_at)


def _minute(line: Line) -> datetime:
    return _at(line).replace(second=0, microsecond=0)


def _issued(line: Line) -> tuple[datetime, datetime, UUID]:
    return (line.sent_at or line.recorded_at, _at(line), line.fact_id)
