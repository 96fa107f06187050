"""Asking where the cargo is: `GET /v1/track/NUMBER`, one timeline over all modes, free for every account."""

import asyncio
from typing import Any

import msgspec
import psycopg
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from psycopg_pool import ConnectionPool

from api.delivery import TRACK_QUERY, Deliveries
from api.identity import caller, needs
from domain import identifiers
from domain.errors import Unknown
from projections import links, timeline
from projections.timeline import Line

Pool = ConnectionPool[psycopg.Connection[Any]]

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
    position: int
    service: Service = Service(TRACK_QUERY.code, TRACK_QUERY.item_class)


def answer(connection: psycopg.Connection[Any], number: str) -> Answer:
    """Everything known about a number. Raises Unknown."""
    wanted = identifiers.stored(number)
    candidates = [f"{kind}:{wanted}" for kind in identifiers.kind_of(wanted)]
    known = timeline.known(connection, candidates) | links.known(connection, candidates)
    found = [subject for subject in candidates if subject in known]
    if not found:
        raise Unknown(f"Nothing is known under {wanted}", number=wanted)
    subjects = [*found, *links.reached(connection, found)]
    lines = _once(found, timeline.lines(connection, subjects))
    return Answer(
        number=wanted, header=_header(wanted, found, lines), lines=lines, position=timeline.position(connection)
    )


def _once(own: list[str], lines: list[Line]) -> list[Line]:
    """A message may state the same of a bill and of its boxes: what it says of the number asked for is said once."""
    said = {_statement(line) for line in lines if line.subject in own}
    return [line for line in lines if line.subject in own or _statement(line) not in said]


def _statement(line: Line) -> tuple[object, ...]:
    return (line.message_id, line.code or line.raw_code, line.happened_at, line.classifier, line.place)


def _header(number: str, own: list[str], lines: list[Line]) -> Header:
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


async def hand_over(pool: Pool, deliveries: Deliveries, request: Request[Any, Any, Any], number: str) -> Answer:
    """Answer a question about a number; that it was answered, or could not be, is durable before this returns."""
    account = caller(request)

    def ask() -> Answer:
        with pool.connection() as connection:
            return answer(connection, number)

    try:
        told = await asyncio.to_thread(ask)
    except Unknown:
        await deliveries.record(account, TRACK_QUERY, subject=number[:64], count=0, result="empty")
        raise
    await deliveries.record(
        account, TRACK_QUERY, subject=told.number, count=len(told.lines), result="ok", datasets=datasets(told.lines)
    )
    return told


@get("/v1/track/{number:str}", guards=[needs()], tags=["track"])
async def track(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    pool: NamedDependency[Pool],
    deliveries: NamedDependency[Deliveries],
) -> Answer:
    """The timeline of a container, bill of lading, booking, air waybill, rail consignment or declaration. Free."""
    return await hand_over(pool, deliveries, request, number)


@get("/v1/track", guards=[needs()], tags=["track"])
async def track_any(
    request: Request[Any, Any, Any],
    number: FromQuery[str],
    pool: NamedDependency[Pool],
    deliveries: NamedDependency[Deliveries],
) -> Answer:
    """The same for a number that does not fit into a path, such as the URI of a ONE Record object."""
    return await hand_over(pool, deliveries, request, number)
