"""IFTSTA: `GET /v1/iftsta/NUMBER`, the status message of a number, as EDIFACT.

What happened to the number and to its consignment, and the arrivals and departures expected, as they stand now; of a
container its latest journey. What the message cannot say is left out (api/formats/iftsta_writer.py says what). Free.
"""

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.facades.handing import IFTSTA_QUERY, hand_over
from api.formats import iftsta_writer
from api.identity import caller, needs
from api.way_out import Looking, WayOut
from domain import identifiers
from domain.errors import Unknown
from domain.report import Moment, Movement
from projections import journeys, links, shown
from projections.timeline import Line

SENDER = "KOUAN"
EDIFACT = "application/edifact"  # RFC 1767


def movement(line: Line) -> Movement:
    """A line as the statement that it was made of."""
    at = datetime.fromisoformat(line.happened_at)
    when = Moment(at.astimezone(UTC), at.replace(tzinfo=None).isoformat(), line.zone)
    return Movement(
        subject=line.subject,
        code=line.code,
        raw_code=line.raw_code,
        when=when,
        classifier=line.classifier,  # type: ignore[arg-type]
        place=line.place,
        facility=line.facility,
        mode=line.mode,  # type: ignore[arg-type]
        transport=line.transport,
        laden=line.laden,
        seal=line.seal,
        refs=line.refs,
    )


@get("/v1/iftsta/{number:str}", guards=[needs()], tags=["track"])
async def iftsta(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """The status message of a container, bill of lading, booking or air waybill. Free."""
    account, named = caller(request), identifiers.stored(number)
    own = [f"{kind}:{named}" for kind in identifiers.kind_of(named)]

    def look(looking: Looking) -> list[Line]:
        [others] = links.reached(looking.look, [own])
        [strangers] = links.strangers(looking.look.connection, [[*own, *others]])  # they help to cut the journeys
        found = shown.lines(looking.look, [*own, *others, *strangers])
        known = [line for line in journeys.visible(found, own) if line.stands]
        if not known:
            raise Unknown(f"没有 {named[:60]} 的记录 / nothing is known under {named[:60]}", number=named[:60])
        lines = [line for line in known if iftsta_writer.sayable([movement(line)])]
        looking.found(lines)
        return lines

    lines = await hand_over(way_out, account, IFTSTA_QUERY, look, subject=named, channel="query")
    now = datetime.now(UTC)
    body = iftsta_writer.write(
        [movement(line) for line in lines],
        number=named,
        sender=SENDER,
        recipient=account.account,
        reference=f"{now:%y%m%d%H%M%S}",
        at=now,
    )
    disposition = f'attachment; filename="iftsta-{now:%Y%m%d%H%M%S}.edi"'
    return Response(body, media_type=EDIFACT, headers={"Content-Disposition": disposition})
