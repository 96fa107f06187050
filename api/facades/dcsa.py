"""DCSA Track & Trace 2.2: `GET /dcsa/v2/events`, with errors in the standard's own shape.

The answer is a bare array; the headers `Current-Page`, `Next-Page`, `Prev-Page`, `First-Page` and `Last-Page` hold
cursors, `Next-Page-Cursor` the next one once more (the conformance gateway looks there). A cursor carries its whole
query and limit, so it may come alone. Every answer is a delivery, free. Times carry an offset.
Source: DCSA Track & Trace 2.2.0 (OpenAPI TNT_v2.2.0), error domain 1.0.0.
"""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import HttpMethod, MediaType, Request, Response, get, route
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.params import FromPath

from api.facades import dcsa_filters, dcsa_search, searching
from api.facades.asking import BadQuery, parameters, whole
from api.facades.dcsa_events import Event
from api.facades.dcsa_search import DcsaSearch
from api.facades.handing import DCSA_QUERY, hand_over
from api.facades.paging import Cut, Pairs, Token, decode, encode, foreign
from api.facades.searching import Eyes, Made
from api.identity import caller, needs
from api.pool import Pool
from api.problems import log, status_of
from api.way_out import Looking, WayOut
from domain.errors import KouanError, Malformed, Unknown
from projections import events as lines_of_all

PATH = "/dcsa/v2"
VERSION = "2.2.0"
PAGE, PAGE_MAX = 100, 1_000


class BadVersion(Malformed):
    slug = "bad-api-version"
    title = "This path speaks another major version"


# --- errors in the standard's shape ---


def error(request: Request[Any, Any, Any], status: int, *told: tuple[str, str]) -> Response[bytes]:
    """The standard's error object; `told` are reason and message of each fault."""
    body = {
        "httpMethod": request.method,
        "requestUri": str(request.url)[:2_000],
        "errors": [{"reason": reason, "message": message} for reason, message in told],
        "statusCode": status,
        "statusCodeText": HTTPStatus(status).phrase,
        "errorDateTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON, headers=versioned({}))


def on_kouan_error(request: Request[Any, Any, Any], fault: KouanError) -> Response[bytes]:
    status = status_of(fault)
    if isinstance(fault, Malformed) and status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = HTTPStatus.BAD_REQUEST
    if isinstance(fault, BadQuery):
        return error(request, status, *((fault.slug, f"{name}: {detail}") for name, detail in fault.faults))
    answer = error(request, status, (fault.slug, fault.detail))
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kouan"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = "1"
    return answer


def on_http_exception(request: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes]:
    answer = error(request, fault.status_code, (HTTPStatus(fault.status_code).phrase, str(fault.detail)))
    answer.headers.update(fault.headers or {})
    return answer


def on_exception(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=fault)
    return error(request, 500, ("internal", "服务器故障，已记录 / a fault of this server; it is logged"))


HANDLERS: dict[type[Exception] | int, Any] = {
    KouanError: on_kouan_error,
    HTTPException: on_http_exception,
    Exception: on_exception,
}


def versioned(headers: dict[str, str]) -> dict[str, str]:
    return {"API-Version": VERSION, **headers}


# --- paging ---


def paged(request: Request[Any, Any, Any]) -> tuple[Pairs, Token, int]:
    """The filters, the place in the list, and how many items. Raises Malformed."""
    version = request.headers.get("API-Version", "").strip()
    if version and not re.fullmatch(r"v?2(\.[0-9]{1,4}){0,2}", version):
        raise BadVersion(f"API-Version {version[:20]!r}：此处为 2 / here it is 2", value=version[:20])
    pairs = parameters(request.scope.get("query_string", b""))
    filters: Pairs = tuple(pair for pair in pairs if pair[0] not in dcsa_filters.PAGING)
    cursor = next((value for name, value in reversed(pairs) if name == "cursor"), "")
    token = decode(cursor) if cursor else Token()
    limit = whole(pairs, "limit", default=min(token.limit or PAGE, PAGE_MAX), largest=PAGE_MAX)
    return filters, token, limit


def links(query: Pairs, token: Token, limit: int, before: Token | None, behind: Token | None) -> dict[str, str]:
    """The published headers."""
    ends = {"First-Page": Token(), "Last-Page": Token(backwards=True), "Current-Page": token}
    around = {"Prev-Page": before, "Next-Page": behind, "Next-Page-Cursor": behind}
    pages = {name: to for name, to in {**ends, **around}.items() if to is not None}
    return {name: encode(msgspec.structs.replace(to, query=query, limit=limit)) for name, to in pages.items()}


# --- over HTTP ---


@get("/events", guards=[needs()], opt={"cost": 5})
async def find_events(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], way_out: NamedDependency[WayOut]
) -> Response[bytes]:
    """Events by filter, in the order in which this node recorded them unless `sort` says otherwise. Free."""
    account = caller(request)
    filters, token, limit = paged(request)
    pairs = filters or token.query
    query = dcsa_filters.read(pairs)
    if token != Token() and filters and query != dcsa_filters.read(token.query):
        raise foreign()

    def search(looking: Looking) -> Cut[Made]:
        with pool.connection() as node:
            page = searching.page(Eyes(looking.look, node), DcsaSearch(query), token, limit)
        looking.found([line for line, _ in page.items])
        return page

    subject = ",".join(query.subjects) or "dcsa.events"
    found = await hand_over(way_out, account, DCSA_QUERY, search, subject=subject)
    body = msgspec.json.encode([event for _, event in found.items])
    headers = versioned(links(pairs, token, limit, found.before, found.behind))
    return Response(body, media_type=MediaType.JSON, headers=headers)


@get("/events/{event_id:str}", guards=[needs()])
async def find_event(
    request: Request[Any, Any, Any],
    event_id: FromPath[str],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """One event by its id. Free."""

    def look(looking: Looking) -> Event:
        with pool.connection() as node:
            line = lines_of_all.named(looking.look, node, event_id)
        event = dcsa_search.one(looking.look, line) if line else None
        if line is None or event is None:
            raise Unknown(f"没有事件 {event_id[:60]} / no event {event_id[:60]}", event_id=event_id[:60])
        looking.found([line])
        return event

    event = await hand_over(way_out, caller(request), DCSA_QUERY, look, subject=f"event:{event_id}")
    return Response(msgspec.json.encode(event), media_type=MediaType.JSON, headers=versioned({}))


@route(
    ["/events", "/events/{rest:str}"],
    http_method=[HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE],
)
async def read_only() -> None:
    """Events are told here, not taken."""
    raise MethodNotAllowedException("只可读取 / events can be read only", headers={"Allow": "GET"})


@route(
    "/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]
)
async def nothing_here() -> None:
    """So that what is not there is told in the standard's shape too."""
    raise NotFoundException("此处没有内容 / there is nothing at this path")
