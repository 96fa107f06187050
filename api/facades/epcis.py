"""Querying EPCIS events: `GET /epcis/v2/events`, and `GET /epcis/v2/events/{eventID}`; capturing is api/capture.py.

The answer is an EPCISQueryDocument; `Link` leads to the next page where there is one. A page token carries its whole
query and page size, and does not run out. Errors are RFC 9457 problems whose type is the standard's exception. Every
answer is a delivery, free. Times carry an offset.
Source: GS1 EPCIS 2.0, query interface and REST bindings.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import HttpMethod, Request, Response, get, route
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath

from api.capture import PATH, VERSIONS
from api.facades import epcis_events, epcis_filters, searching
from api.facades.asking import BadQuery, parameters, whole
from api.facades.epcis_filters import EpcisSearch
from api.facades.handing import EPCIS_QUERY, hand_over
from api.facades.paging import Cut, Pairs, Token, decode, encode, foreign
from api.facades.searching import Event, Eyes, Made, TooMuchToOrder
from api.identity import Account, caller, needs
from api.pool import Pool
from api.problems import log, status_of
from api.way_out import Looking, WayOut
from domain.errors import KouanError, Malformed, Unknown
from projections import events as lines_of_all

PAGE, PAGE_MAX = 30, 1_000
COUNTED_PAGES_MAX = 10
SIMPLE = "SimpleEventQuery"
JSON = "application/json"


class QueryTooLarge(Malformed):
    slug = "query-too-large"
    title = "More events match than the query allows"


# --- errors in the standard's shape ---


def problem(status: int, title: str, detail: str, **more: Any) -> Response[bytes]:
    exception = EXCEPTIONS.get(status, "ValidationException" if status < HTTPStatus.INTERNAL_SERVER_ERROR else OURS)
    body = {"type": f"epcisException:{exception}", "title": title, "status": status, "detail": detail, **more}
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/problem+json", headers=dict(VERSIONS)
    )


def on_kouan_error(request: Request[Any, Any, Any], fault: KouanError) -> Response[bytes]:
    status = status_of(fault)
    if isinstance(fault, TooMuchToOrder | QueryTooLarge):
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    elif isinstance(fault, Malformed) and status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = HTTPStatus.BAD_REQUEST
    faults = (
        {"errors": [{"parameter": name, "detail": detail} for name, detail in fault.faults]}
        if isinstance(fault, BadQuery)
        else {}
    )
    answer = problem(int(status), fault.title, fault.detail, instance=request.url.path, **faults)
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kouan"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = "1"
    return answer


def on_http_exception(request: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes]:
    status = fault.status_code
    answer = problem(status, HTTPStatus(status).phrase, str(fault.detail), instance=request.url.path)
    answer.headers.update(fault.headers or {})
    return answer


def on_exception(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=fault)
    return problem(500, "A fault of this server", "服务器故障，已记录 / it is logged", instance=request.url.path)


OURS = "ImplementationException"
EXCEPTIONS = {
    400: "QueryParameterException", 401: "SecurityException", 403: "SecurityException",
    404: "NoSuchResourceException", 409: "ResourceAlreadyExistsException", 413: "QueryTooLargeException",
    415: "UnsupportedMediaTypeException",
}  # fmt: skip
HANDLERS: dict[type[Exception] | int, Any] = {
    KouanError: on_kouan_error,
    HTTPException: on_http_exception,
    Exception: on_exception,
}


# --- answering ---


def paged(request: Request[Any, Any, Any]) -> tuple[Pairs, Token, int]:
    """The filters, the place in the list, and how many events a page."""
    pairs = parameters(request.scope.get("query_string", b""))
    filters: Pairs = tuple(pair for pair in pairs if pair[0] not in epcis_filters.PAGING)
    text = next((value for name, value in reversed(pairs) if name == "nextPageToken"), "")
    token = decode(text) if text else Token()
    if token.backwards:
        raise foreign()
    limit = whole(pairs, "perPage", default=min(token.limit or PAGE, PAGE_MAX), largest=PAGE_MAX)
    return filters, token, limit


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question, and where in its answer the page begins."""

    account: Account
    search: EpcisSearch
    token: Token
    limit: int
    path: str  # of the list, for the link to the next page
    name: str = SIMPLE
    pairs: Pairs = ()  # what the page tokens belong to


async def answer(pool: Pool, way_out: WayOut, asked: Asked) -> Response[bytes]:
    """A page of what a search finds, once its delivery is on record."""
    search, most = asked.search, asked.search.event_count_limit
    size = min(asked.limit, most) if most else asked.limit

    def look(looking: Looking) -> Cut[Made]:
        with pool.connection() as node:
            eyes = Eyes(looking.look, node)
            if search.max_event_count is not None:
                _count(eyes, search, search.max_event_count)
            page = searching.page(eyes, search, asked.token, size)
        looking.found([line for line, _ in page.items])
        return page

    subject = ",".join(search.subjects) or f"epcis:{asked.name}"
    found = await hand_over(way_out, asked.account, EPCIS_QUERY, look, subject=subject)
    headers = dict(VERSIONS)
    if found.behind and not most:
        behind = msgspec.structs.replace(found.behind, query=asked.pairs, limit=asked.limit)
        query = urlencode({"perPage": asked.limit, "nextPageToken": encode(behind)})
        headers["Link"] = f'<{asked.path}?{query}>; rel="next"'
    body = document([event for _, event in found.items], asked.name, datetime.now(UTC))
    return Response(msgspec.json.encode(body), media_type=JSON, headers=headers)


def _count(eyes: Eyes, search: EpcisSearch, most: int) -> None:
    """Raises QueryTooLarge: `maxEventCount` is all or nothing, and nothing where counting takes too long."""
    place: Token | None = Token()
    counted = 0
    for _ in range(COUNTED_PAGES_MAX):
        found = searching.page(eyes, search, place or Token(), PAGE_MAX)
        counted, place = counted + len(found.items), found.behind
        if place is None or counted > most:
            break
    if place is not None or counted > most:
        raise QueryTooLarge(
            f"超过 {most} 个事件，或无法计数 / more than {most} events match, or too many to count", most=most
        )


def document(events: list[Event], name: str, at: datetime) -> Event:
    return {
        "@context": epcis_events.CONTEXT,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": at.isoformat(timespec="milliseconds"),
        "epcisBody": {"queryResults": {"queryName": name, "resultsBody": {"eventList": events}}},
    }


# --- over HTTP ---


# Under its whole path: a router of its own would bring a second answer to OPTIONS along, which capture.py gives.
@get(f"{PATH}/events", guards=[needs()], exception_handlers=HANDLERS, tags=["epcis"], opt={"cost": 5})
async def find_events(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], way_out: NamedDependency[WayOut]
) -> Response[bytes]:
    """Events by the standard's parameters, in the order of recording unless `orderBy` says otherwise. Free."""
    account = caller(request)
    filters, token, limit = paged(request)
    pairs = filters or token.query
    search = epcis_filters.of_pairs(pairs)
    if token != Token() and filters and search != epcis_filters.of_pairs(token.query):
        raise foreign()
    asked = Asked(account=account, search=search, token=token, limit=limit, path=f"{PATH}/events", pairs=pairs)
    return await answer(pool, way_out, asked)


@get("/events/{event_id:str}", guards=[needs()])
async def find_event(
    request: Request[Any, Any, Any],
    event_id: FromPath[str],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """One event by its id, `urn:uuid:…`. Free."""

    def look(looking: Looking) -> Event:
        with pool.connection() as node:
            line = lines_of_all.named(looking.look, node, event_id.removeprefix("urn:uuid:"))
            told = epcis_filters.told_of(Eyes(looking.look, node), [line]) if line else []
        if not told:
            raise Unknown(f"没有事件 {event_id[:60]} / no event {event_id[:60]}", event_id=event_id[:60])
        looking.found([line for line, _ in told])
        return told[0][1]

    event = await hand_over(way_out, caller(request), EPCIS_QUERY, look, subject=f"event:{event_id}")
    body = {"@context": epcis_events.CONTEXT, **event}
    return Response(msgspec.json.encode(body), media_type=JSON, headers=dict(VERSIONS))


METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]


@route("/{rest:path}", http_method=METHODS)
async def nothing_here() -> None:
    """So that what is not there is told in the standard's shape too."""
    raise NotFoundException("此处没有内容 / there is nothing at this path")
