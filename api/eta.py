"""Kouan's own estimate of an arrival: `GET /v1/eta/NUMBER`, with its basis, its range and the leg as GeoJSON.

What sources expect stands beside it under `stated`, in their own words; neither is made of the other. `at` asks for the
estimate at a moment, from what had happened and had been sent by then. It is a service beyond the duty to tell, so it
has a price, and some are included; where there is no estimate nothing is handed over, and nothing is charged. What the
sources expect is told by `GET /v1/track/NUMBER`, free.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api.answer import answer
from api.delivery import ETA_ESTIMATE
from api.identity import caller, needs
from api.way_out import Looking, WayOut
from domain import identifiers, routes
from domain.errors import Malformed, Unknown
from projections import eta, legs, links, shown, timeline
from projections.eta import Estimate
from projections.legs import Leg
from projections.timeline import Line


class Stated(msgspec.Struct, frozen=True):
    """An arrival that a source plans or expects."""

    code: str
    zh: str
    en: str
    classifier: str  # PLN, EST
    happened_at: str  # in the place's own time
    place: str
    source: str
    recorded_at: datetime
    fact_id: UUID


class Feature(msgspec.Struct, frozen=True):
    """GeoJSON. `method`: sea (along the lanes) or great_circle."""

    geometry: dict[str, Any]
    properties: dict[str, Any]
    type: str = "Feature"


class EtaService(msgspec.Struct, frozen=True):
    item: str
    item_class: str
    quantity: int  # 1: an estimate
    tariff: str


class EtaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`estimate` is null where there is nothing to go by; the reason says why, and `stated` is empty."""

    number: str
    at: datetime
    estimate: Estimate | None
    reason_zh: str = ""
    reason_en: str = ""
    stated: list[Stated]
    feature: Feature | None
    position: int
    service: EtaService | None = None


class BadMoment(Malformed):
    slug = "bad-moment"
    title = "The moment cannot be understood"


@get("/v1/eta/{number:str}", guards=[needs()], tags=["track"], opt={"item_class": ETA_ESTIMATE.item_class})
async def eta_of(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    *,
    way_out: NamedDependency[WayOut],
    at: FromQuery[datetime | None] = None,
) -> EtaAnswer:
    """When the cargo that is under way may arrive, by Kouan's own reckoning. Paid by the estimate, some included."""
    if at is not None and at.tzinfo is None:
        detail = "at 须带时区，如 2026-03-01T12:00:00+08:00 / at needs an offset, such as 2026-03-01T12:00:00+08:00"
        raise BadMoment(detail, field="at", value=at.isoformat())
    asked = identifiers.stored(number)
    moment = at or datetime.now(UTC)
    told, tariff = await way_out.deliver(
        caller(request), ETA_ESTIMATE, lambda looking: estimated(looking, asked, moment), subject=asked
    )
    service = EtaService(ETA_ESTIMATE.code, ETA_ESTIMATE.item_class, int(told.estimate is not None), tariff)
    return msgspec.structs.replace(told, service=service)


ROUTES = (eta_of,)


def estimated(looking: Looking, number: str, at: datetime) -> EtaAnswer:
    """The answer at a moment, made of what the caller may see. Raises Unknown if that is nothing."""
    look = looking.look
    candidates = [f"{kind}:{number}" for kind in identifiers.kind_of(number)]
    position = timeline.position(look.connection)
    [others] = links.reached(look, [candidates])
    lines = shown.lines(look, [*candidates, *others])
    told = {name for line in lines for name in (line.subject, *line.refs)}
    own = [subject for subject in candidates if subject in told]
    if not own:
        raise Unknown(f"没有 {number} 的记录 / nothing is known under {number}", number=number)
    journey = answer(number, own, lines, position).lines
    found = eta.estimate(journey, at)
    common: dict[str, Any] = {"number": number, "at": at, "position": position}
    if isinstance(found, eta.Silence):
        return EtaAnswer(estimate=None, reason_zh=found.zh, reason_en=found.en, feature=None, stated=[], **common)
    looking.found(journey, count=1)
    basis = set(found.facts)
    looking.named(line.position for line in journey if line.fact_id in basis)
    return EtaAnswer(estimate=found, feature=_feature(found), stated=_stated(journey, found.leg, at), **common)


def _feature(found: Estimate) -> Feature | None:
    """The leg as it lies on the map; None by rail, or where a place is not known."""
    way = routes.between(found.leg.origin, found.leg.destination, found.leg.mode)
    if way is None:
        return None
    said = {
        "source": found.source,
        "mode": found.leg.mode,
        "origin": found.leg.origin,
        "destination": found.leg.destination,
        "distance_nm": round(way.distance_nm, 1),
        "method": way.method,
    }
    return Feature(way.geometry, said)


def _stated(lines: list[Line], leg: Leg, at: datetime) -> list[Stated]:
    """What sources planned or expected by then of the arrival that ends this leg."""
    return [
        Stated(
            line.code,
            line.zh,
            line.en,
            line.classifier,
            line.happened_at,
            line.place,
            line.source,
            line.recorded_at,
            line.fact_id,
        )
        for line in lines
        if line.stands and line.classifier != "ACT" and line.code in legs.ARRIVALS
        if (line.sent_at or line.recorded_at) <= at
        if (legs.ARRIVALS[line.code], line.place) == (leg.mode, leg.destination)
    ]
