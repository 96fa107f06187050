"""What is told of a number: header, lines, position. Pure; made of the lines of projections/timeline.py."""

from collections.abc import Sequence

import msgspec

from api.delivery import TRACK_QUERY
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
DATASETS = {"VESSEL": "port.movements", "BARGE": "port.movements", "RAIL": "rail.movements", "AIR": "air.movements"}


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


class Header(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    kind: str
    kind_zh: str
    kind_en: str
    journey: Journey
    latest: Standing | None  # of the number asked for
    linked: list[Standing]  # of everything that belongs to it
    warnings: list[str]


class Service(msgspec.Struct, frozen=True):
    """What this answer was and what it cost."""

    item: str
    item_class: str
    charged: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`position`: the answer tells everything up to this position of the cargo journal."""

    number: str
    header: Header
    lines: list[Line]
    service: Service = Service(TRACK_QUERY.code, TRACK_QUERY.item_class)
    position: int  # last, so that it can be told anew without making the rest again


def answer(number: str, own: Sequence[str], lines: list[Line], position: int) -> Answer:
    """What is told of a number: `own` are the subjects of that number, `lines` those of its whole consignment."""
    told = _once(own, lines)
    return Answer(number=number, header=_header(number, own, told), lines=told, position=position)


def _once(own: Sequence[str], lines: list[Line]) -> list[Line]:
    """A message may state the same of a bill and of its boxes: what it says of the number asked for is said once."""
    said = {_statement(line) for line in lines if line.subject in own}
    return [line for line in lines if line.subject in own or _statement(line) not in said]


def _statement(line: Line) -> tuple[object, ...]:
    return (line.message_id, line.code or line.raw_code, line.happened_at, line.classifier, line.place)


def _header(number: str, own: Sequence[str], lines: list[Line]) -> Header:
    kind = own[0].partition(":")[0]
    latest: dict[str, Line] = {}
    for line in lines:
        if line.classifier == "ACT" and line.stands:
            latest[line.subject] = line
    first = own[0] if own[0] in latest else None
    return Header(
        number=number,
        kind=kind,
        kind_zh=KINDS[kind][0],
        kind_en=KINDS[kind][1],
        journey=_journey(lines),
        latest=_standing(latest[first]) if first else None,
        linked=[_standing(line) for subject, line in latest.items() if subject not in own],
        warnings=list(dict.fromkeys(warning for line in lines for warning in line.warnings)),
    )


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
    moves = [line for line in lines if line.stands and line.classifier == "ACT" and line.place and line.mode]
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


def datasets(lines: list[Line]) -> list[str]:
    """The datasets an answer draws on; each has an owner who decides what may leave."""
    named = {
        "customs.clearance" if line.subject.startswith("declaration:") else DATASETS.get(line.mode, "road.movements")
        for line in lines
    }
    return sorted(named)
