"""Asking where the cargo is: `GET /v1/track/NUMBER`, one timeline over all modes, free for every account."""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery

from api.answer import Answer
from api.asking import Asker
from api.identity import caller, needs

TOLD = {200: ResponseSpec(Answer, generate_examples=False, description="The timeline")}


@get("/v1/track/{number:str}", guards=[needs()], tags=["track"], responses=TOLD)
async def track(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    asker: NamedDependency[Asker],
) -> Response[bytes]:
    """The timeline of a container, bill of lading, booking, air waybill, rail consignment or declaration. Free."""
    return Response(await asker.ask(caller(request), number), media_type=MediaType.JSON)


@get("/v1/track", guards=[needs()], tags=["track"], responses=TOLD)
async def track_any(
    request: Request[Any, Any, Any],
    number: FromQuery[str],
    asker: NamedDependency[Asker],
) -> Response[bytes]:
    """The same for a number that does not fit into a path, such as the URI of a ONE Record object."""
    return Response(await asker.ask(caller(request), number), media_type=MediaType.JSON)
