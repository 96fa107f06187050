"""What is told of a number: header, lines, position. Pure; made of the lines of projections/timeline.py.

Lines that were retracted or corrected are counted in the header and shown on demand. Where sources disagree all of them
are shown, and the header follows those that count (projections/history.py).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from api.delivery import TRACK_QUERY
from api.words import said
from domain.errors import Unknown
from projections import history, journeys, lineage
from projections.freshness import Silence
from projections.history import Eta, Parts
from projections.timeline import Line

KINDS = {
    "container": ("集装箱", "Container"),
    "bl": ("提单", "Bill of lading"),
    "booking": ("订舱", "Booking"),
    "awb": ("航空运单", "Air waybill"),
    "rail": ("铁路运单", "Rail consignment"),
    "declaration": ("报关单", "Customs declaration"),
    "manifest": ("舱单", "Manifest"),
    "truck": ("车辆", "Truck"),
    "object": ("物流对象", "Logistics object"),
}
MODE_DATASETS = {
    "VESSEL": "port.movements",
    "BARGE": "port.movements",
    "RAIL": "rail.movements",
    "AIR": "air.movements",
} | {"TRUCK": "road.movements"}
CLEARANCE, MANIFEST = "customs.clearance", "manifest"
KIND_DATASETS = {"awb": "air.movements", "rail": "rail.movements", "truck": "road.movements", "manifest": MANIFEST}


class Standing(msgspec.Struct, frozen=True):
    """The latest actual milestone of one subject."""

    subject: str
    kind_zh: str
    kind_en: str
    number: str
    code: str
    zh: str
    en: str
    happened_at: str
    place: str
    place_zh: str
    place_en: str


class Journey(msgspec.Struct, frozen=True):
    """From where to where, as far as the actual lines tell; places are canonical codes."""

    origin: str = ""
    origin_zh: str = ""
    origin_en: str = ""
    latest: str = ""
    latest_zh: str = ""
    latest_en: str = ""
    started_at: str = ""
    modes: tuple[str, ...] = ()


class Trip(msgspec.Struct, frozen=True):
    """One of the journeys of a container that is used again and again. Instants are UTC."""

    index: int  # 1: the oldest; `journey=` asks for it
    started_at: datetime
    ended_at: datetime | None  # None: it goes on
    closed: bool
    shown: bool  # this answer is about it


class Withdrawn(msgspec.Struct, frozen=True):
    """How many lines no longer stand; `include=retracted` shows them."""

    retracted: int = 0
    corrected: int = 0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    kind: str
    kind_zh: str
    kind_en: str
    journey: Journey
    journeys: list[Trip] = []  # of a container
    cargoes: list[list[str]] = []  # subjects of each, where several cargoes share a house number; else none
    latest: Standing | None  # of the number asked for
    linked: list[Standing]  # of everything that belongs to it
    eta: list[Eta] = []
    parts: list[Parts] = []  # where pieces come in parts
    withdrawn: Withdrawn = Withdrawn()
    conflicts: int = 0  # on how many milestones sources disagree
    warnings: list[str]


class Service(msgspec.Struct, frozen=True):
    """What this answer was and what it cost."""

    item: str
    item_class: str
    charged: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`position`: the answer tells everything up to this position of the cargo journal.

    `sources`: those of the lines that are silent for longer than is usual with them, so that nothing new from them may
    mean anything. It and the position come last, so that they can be told anew without making the rest again.
    """

    number: str
    header: Header
    lines: list[Line]
    service: Service = Service(TRACK_QUERY.code, TRACK_QUERY.item_class)
    sources: Sequence[Silence] = ()
    position: int


def answer(
    number: str,
    own: Sequence[str],
    lines: list[Line],
    position: int,
    *,
    journey: int | None = None,
    withdrawn: bool = False,
) -> Answer:
    """What is told of a number: `own` are the subjects of that number, `lines` those of its whole consignment.

    Lines of what else names its boxes may be among them: they help to tell the journeys apart, and are not shown. Of a
    number that several cargoes share only its own lines are shown, and which cargoes they are. `journey`: that one of
    a container; else its latest. `withdrawn`: with the lines that stand no more. Raises Unknown if there is no such
    journey.
    """
    trips = _trips(number, own, lines, journey)
    told = history.marked(_once(own, journeys.visible(lines, own, journey)))
    header = _header(number, own, told, trips)
    if _is_paper(own[0]) and len(cargoes := lineage.cargoes(lines, own[0])) > 1:
        header = msgspec.structs.replace(header, cargoes=cargoes)
        told = [line for line in told if line.subject in own]
    shown = told if withdrawn else [line for line in told if line.stands]
    return Answer(number=number, header=header, lines=shown, position=position)


def _is_paper(subject: str) -> bool:
    return journeys.kind(subject) in journeys.TRANSPORT


def _trips(number: str, own: Sequence[str], lines: Sequence[Line], index: int | None) -> list[Trip]:
    box = next((subject for subject in own if subject.startswith("container:")), None)
    found = journeys.cut(lines, box) if box else []
    chosen = next((each for each in found if each.index == index), None) if index else journeys.latest(found)
    if index and chosen is None:
        raise Unknown(
            f"{number} 没有第 {index} 程，共 {len(found)} 程 / {number} has no journey {index}; there are {len(found)}",
            number=number,
            journey=index,
            journeys=len(found),
        )
    return [Trip(each.index, each.started_at, each.ended_at, each.closed, each is chosen) for each in found]


def _once(own: Sequence[str], lines: list[Line]) -> list[Line]:
    """A message may state the same of a bill and of its boxes: that is said once, of the number asked for if it can be.

    Else of the bill: only what is said of boxes alone is said of each of them.
    """
    first: dict[tuple[object, ...], int] = {}
    for line in lines:
        what = _statement(line)
        first[what] = min(first.get(what, OTHERS), _nearness(line, own))
    return [line for line in lines if line.message_id is None or first[_statement(line)] == _nearness(line, own)]


OWN, PAPERS, OTHERS = range(3)


def _nearness(line: Line, own: Sequence[str]) -> int:
    if line.subject in own:
        return OWN
    return OTHERS if journeys.kind(line.subject) in journeys.SHARED else PAPERS


def _statement(line: Line) -> tuple[object, ...]:
    return (line.message_id, line.code or line.raw_code, line.happened_at, line.classifier, line.place)


def _header(number: str, own: Sequence[str], lines: list[Line], trips: list[Trip]) -> Header:
    kind = own[0].partition(":")[0]
    latest: dict[str, Line] = {}
    for line in lines:
        if line.classifier == "ACT" and line.counts:
            latest[line.subject] = line
    first = own[0] if own[0] in latest else None
    former = {other for line in lines if _is_declaration(line.subject) for other in line.refs if _is_declaration(other)}
    return Header(
        number=number,
        kind=kind,
        kind_zh=KINDS[kind][0],
        kind_en=KINDS[kind][1],
        journey=_journey(lines),
        journeys=trips,
        latest=_standing(latest[first]) if first else None,
        linked=[_standing(line) for subject, line in latest.items() if subject not in own and subject not in former],
        eta=history.etas(lines),
        parts=history.parts(lines),
        withdrawn=Withdrawn(
            sum(not line.stands and line.corrected is None for line in lines),
            sum(line.corrected is not None for line in lines),
        ),
        conflicts=len({line.conflict.group for line in lines if line.conflict}),
        warnings=list(dict.fromkeys(warning for line in lines if line.stands for warning in line.warnings)),
    )


def _is_declaration(subject: str) -> bool:
    """A declaration that another one names is the same before customs gave it its number (SeqNo)."""
    return subject.startswith("declaration:")


def _standing(line: Line) -> Standing:
    kind, _, number = line.subject.partition(":")
    return Standing(
        line.subject,
        *KINDS[kind],
        number,
        line.code,
        line.zh,
        line.en,
        line.happened_at,
        line.place,
        line.place_zh,
        line.place_en,
    )


def _journey(lines: list[Line]) -> Journey:
    moves = [line for line in lines if line.counts and line.classifier == "ACT" and line.place and line.mode]
    if not moves:
        return Journey()
    start, end = moves[0], moves[-1]
    return Journey(
        start.place,
        start.place_zh,
        start.place_en,
        end.place,
        end.place_zh,
        end.place_en,
        start.happened_at,
        tuple(dict.fromkeys(line.mode for line in moves)),
    )


def witnesses(lines: Sequence[Line]) -> list[str]:
    """The sources of these lines."""
    return sorted({source for line in lines for source in line.witnesses})


def datasets(lines: Sequence[Line]) -> list[str]:
    """The datasets an answer draws on; each has an owner who decides what may leave."""
    return sorted({_dataset(line) for line in lines})


def _dataset(line: Line) -> str:
    kind = line.subject.partition(":")[0]
    if kind == "declaration" or line.code.startswith("HOLD_"):
        return CLEARANCE
    if line.code.startswith("MAN_"):
        return MANIFEST
    return MODE_DATASETS.get(line.mode) or KIND_DATASETS.get(kind, "port.movements")


# --- in one language ---


def in_one_language(told: Any, lang: str) -> Any:
    """The same record without the members of the other language; `told` is made of plain values.

    >>> in_one_language({"zh": "装船", "en": "Loaded", "place_en": "Nanjing", "warnings": ["一 / one"]}, "en")
    {'en': 'Loaded', 'place_en': 'Nanjing', 'warnings': ['one']}
    """
    other = "en" if lang == "zh" else "zh"
    match told:
        case dict():
            return {
                name: [said(each, lang) for each in value] if name == "warnings" else in_one_language(value, lang)
                for name, value in told.items()
                if name != other and not name.endswith(f"_{other}")
            }
        case list() | tuple():
            return [in_one_language(each, lang) for each in told]
        case _:
            return told
