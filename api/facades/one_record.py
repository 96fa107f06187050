"""ONE Record: `GET /onerecord/v1/logistics-objects/ID/logistics-events`, what is known of an air consignment or object.

ID is the number of an air waybill, or the URI of a logistics object as its airline names it. The answer is a collection
in JSON-LD, oldest first, with every event of air cargo; `eventType`, `occurred_after`, `occurred_before`,
`created_after`, `created_before` narrow it. Each event names the waybill itself, so nobody need follow the link. Events
that were retracted or corrected are left out: there they are immutable, and never existed. Free; errors are the
standard's `api:Error`. Times carry the offset of the place, weights are kilograms.
Source: IATA ONE Record API 2.0 and cargo ontology 3, class LogisticsEvent; core code lists, StatusCode.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath

from api.facades.asking import BadQuery, instant, parameters, shown
from api.facades.handing import ONE_RECORD_QUERY, hand_over
from api.facades.paging import CONTROL, Pairs
from api.identity import caller, needs
from api.problems import log, status_of
from api.way_out import Looking, WayOut
from domain import identifiers
from domain.errors import KouanError, Malformed, Unknown
from domain.milestones import MILESTONES
from projections import events
from projections.journeys import kind
from projections.timeline import Line

PATH = "/onerecord/v1"
JSON_LD = "application/ld+json"
CARGO, API, CODES = (f"https://onerecord.iata.org/ns/{name}#" for name in ("cargo", "api", "coreCodeLists"))
XSD = "http://www.w3.org/2001/XMLSchema#"
CONTEXT = {"cargo": CARGO, "api": API}
TAIL = "/logistics-events"
ID_CHARS_MAX = 500

Node = dict[str, Any]
Wanted = Callable[[Line], bool]


# --- one event ---


def event(line: Line, base: str) -> Node:
    """A line of air cargo. `base` is the URI of the object that it hangs on."""
    told: Node = {
        "@id": f"{base}{TAIL}/{line.fact_id}",
        "@type": "cargo:LogisticsEvent",
        "cargo:creationDate": _time(line.recorded_at.astimezone(UTC).isoformat()),
        "cargo:eventCode": {"@id": f"{CODES}StatusCode_{status(line)}"},
        "cargo:eventDate": _time(line.happened_at),
        "cargo:eventName": line.en or line.text or line.raw_code,
        "cargo:eventTimeType": {"@id": f"{CARGO}{TIME_TYPES[line.classifier]}"},
        "cargo:partialEventIndicator": line.partial,
    }
    if line.place:
        told["cargo:recordedAtLocation"] = _location(line)
    if line.pieces is not None:
        told["cargo:recordedPieceCount"] = line.pieces
    if line.weight_kg is not None:
        told["cargo:recordedWeight"] = {"@type": "cargo:Value", "cargo:numericalValue": line.weight_kg,
                                        "cargo:unit": {"@id": f"{CODES}MeasurementUnitCode_KGM"}}  # fmt: skip
    if line.transport:
        told["cargo:transportIdentifier"] = line.transport
    return told | {"cargo:linkedObject": _owner(line, base)}


def status(line: Line) -> str:
    """The Cargo-IMP status: that of the milestone, else the source's own word."""
    row = MILESTONES.get(line.code)
    return (row.fsu if row else "").replace(" ", "_") or re.sub(r"[^A-Za-z0-9_]", "_", line.raw_code) or "OSI"


def tellable(line: Line) -> bool:
    """Air cargo, as it stands: a status that the standard's code list has, or that came in another one's words."""
    own = kind(line.subject) == "awb" or line.mode == "AIR"
    row = MILESTONES.get(line.code)
    return own and line.stands and (not line.code or bool(row and row.fsu))


def _owner(line: Line, base: str) -> Node:
    prefix, _, number = line.subject.partition(":")
    if prefix == "awb" and len(number) > len("112"):
        return {"@id": base, "@type": "cargo:Waybill", "cargo:waybillPrefix": number[:3],
                "cargo:waybillNumber": number[3:]}  # fmt: skip
    return {"@id": number if prefix == "object" else base, "@type": "cargo:LogisticsObject"}


def _location(line: Line) -> Node:
    told = {"@type": "cargo:Location", "cargo:locationName": line.facility or line.place_en or line.place}
    code = {"@type": "cargo:CodeListElement", "cargo:code": line.place}
    return {**told, "cargo:locationCodes": [code]}


def _time(text: str) -> Node:
    return {"@type": f"{XSD}dateTime", "@value": text}


TIME_TYPES = {"ACT": "ACTUAL", "EST": "ESTIMATED", "PLN": "PLANNED"}


# --- asking ---


def subjects(identifier: str) -> list[str]:
    """What an id may mean: an air waybill, or an object by its URI."""
    number = identifiers.stored(identifier)
    return [f"{each}:{number}" for each in identifiers.kind_of(number) if each in {"awb", "object"}]


def narrowed(pairs: Pairs) -> Wanted:
    """Raises BadQuery with everything that is wrong."""
    types: set[str] = set()
    tests: list[Wanted] = []
    faults: list[tuple[str, str]] = []
    for name, value in pairs:
        if name == "eventType":
            types |= {re.split(r"[#:/_]", text.strip())[-1].upper() for text in value.split(",")}
        elif name in TIMES:
            try:
                tests.append(_in_time(name, _instant(value)))
            except ValueError:
                faults.append((name, f"不是时间 / not a time: {shown(value)!r}"))
        else:
            faults.append((shown(name), "没有此参数 / there is no such parameter"))
    if faults:
        raise BadQuery(*faults)
    return lambda line: (not types or not types.isdisjoint(status(line).split("_"))) and all(t(line) for t in tests)


def _instant(text: str) -> datetime:
    """RFC 3339, or the standard's example `20190926T075830Z`."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", text.strip(), re.ASCII)
    return instant("{}-{}-{}T{}:{}:{}Z".format(*found.groups()) if found else text)


def _in_time(name: str, at: datetime) -> Wanted:
    def when(line: Line) -> datetime:
        happened = name.startswith("occurred")
        return datetime.fromisoformat(line.happened_at).astimezone(UTC) if happened else line.recorded_at

    return (lambda line: when(line) > at) if name.endswith("after") else (lambda line: when(line) < at)


TIMES = frozenset({"created_after", "created_before", "occurred_after", "occurred_before"})


@get("/logistics-objects/{rest:path}", guards=[needs()])
async def logistics_events(
    request: Request[Any, Any, Any],
    rest: FromPath[str],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """The events of an air waybill or a logistics object, oldest first. Free."""
    account, identifier = caller(request), str(rest).strip("/")
    if not identifier.endswith(TAIL.strip("/")) or len(identifier) > ID_CHARS_MAX or CONTROL.search(identifier):
        raise NotFoundException("此处只有物流事件 / logistics events only: …/logistics-objects/ID/logistics-events")
    identifier = identifier.removesuffix(TAIL.strip("/")).strip("/")
    wanted, named = narrowed(parameters(request.scope.get("query_string", b""))), subjects(identifier)

    def look(looking: Looking) -> list[Line]:
        told = [line for line in events.of(looking.look, named) if tellable(line)]
        if not told:
            raise Unknown(
                f"没有 {identifier[:60]} 的物流事件 / no logistics events of {identifier[:60]}", id=identifier[:60]
            )
        lines = [line for line in told if wanted(line)]
        looking.found(lines)
        return lines

    lines = await hand_over(way_out, account, ONE_RECORD_QUERY, look, subject=identifier)
    return _told(200, collection(lines, _base(request, identifier)))


def collection(lines: Sequence[Line], base: str) -> Node:
    items = [event(line, base) for line in lines]
    head = {"@context": CONTEXT, "@id": f"{base}{TAIL}", "@type": "api:Collection"}
    return {**head, "api:hasTotalItems": len(items), "api:hasItem": items}


def _base(request: Request[Any, Any, Any], identifier: str) -> str:
    """The URI of the object; one that is a URI already keeps its own."""
    stored = identifiers.stored(identifier)
    return stored if "://" in stored else f"{str(request.base_url).rstrip('/')}{PATH}/logistics-objects/{stored}"


# --- errors in the standard's shape ---


def _told(status_code: int, body: Node) -> Response[bytes]:
    headers = {"Content-Language": "en-US", "Type": f"{API}{body['@type'].partition(':')[2]}"}
    return Response(msgspec.json.encode(body), status_code=status_code, media_type=JSON_LD, headers=headers)


def _error(request: Request[Any, Any, Any], status_code: int, title: str, *messages: str) -> Response[bytes]:
    details = [
        {"@type": "api:ErrorDetails", "api:hasCode": str(status_code), "api:hasMessage": message,
         "api:hasResource": str(request.url)[:2_000]}
        for message in messages
    ]  # fmt: skip
    return _told(
        status_code,
        {"@context": {"api": API}, "@type": "api:Error", "api:hasTitle": title, "api:hasErrorDetail": details},
    )


def on_kouan_error(request: Request[Any, Any, Any], fault: KouanError) -> Response[bytes]:
    code = status_of(fault)
    if isinstance(fault, Malformed) and code == HTTPStatus.UNPROCESSABLE_ENTITY:
        code = HTTPStatus.BAD_REQUEST
    answer = _error(request, int(code), fault.title, fault.detail)
    if code == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kouan"'
    if code == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = "1"
    return answer


def on_http_exception(request: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes]:
    answer = _error(request, fault.status_code, HTTPStatus(fault.status_code).phrase, str(fault.detail))
    answer.headers.update(fault.headers or {})
    return answer


def on_exception(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=fault)
    return _error(request, 500, "A fault of this server", "服务器故障，已记录 / it is logged")


HANDLERS: dict[type[Exception] | int, Any] = {
    KouanError: on_kouan_error,
    HTTPException: on_http_exception,
    Exception: on_exception,
}
