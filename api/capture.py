"""Capturing EPCIS events: `POST /epcis/v2/capture` with a document, `POST /epcis/v2/events` with one event.

The answer comes after commit, so a job is finished when its address is given out. `GS1-Capture-Error-Behaviour` says
what one bad event means: `rollback` (the default), nothing of the document is recorded; `proceed`, the others are.
Either way no byte is lost: whatever is not recorded lies in quarantine. A source sees its own jobs only. Times are UTC.
Source: GS1 EPCIS 2.0, REST bindings, capture interface.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import psycopg
from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.types import Guard
from psycopg.types.json import Jsonb

from api.body import body_of
from api.identity import caller, needs
from api.intake import Whence, understood
from api.limits import BODY_BYTES_MAX, TooLarge
from api.pool import Pool
from api.problems import UnknownFormat
from api.sources import ruled
from domain.delivery import new_id
from domain.errors import Malformed, Unknown
from domain.intake import Batch
from domain.intent import Intent, Outcome
from domain.report import Fault
from domain.writer import Busy, Writer

PATH = "/epcis/v2"
EVENTS_MAX = 10_000
PAGE, PAGE_MAX = 30, 1_000
VERSIONS = {"GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}
LIMITS = {
    "GS1-EPCIS-Capture-Limit": str(EVENTS_MAX),
    "GS1-EPCIS-Capture-File-Size-Limit": str(BODY_BYTES_MAX),  # bytes
}
MEDIA_TYPES = frozenset({"", "application/json", "application/ld+json", "application/vnd.gs1.epcis+json"})
Behaviour = Literal["rollback", "proceed"]
BEHAVIOURS: dict[str, Behaviour] = {"": "rollback", "rollback": "rollback", "proceed": "proceed"}

TABLES = """
CREATE TABLE IF NOT EXISTS capture_jobs (
    capture_id  uuid PRIMARY KEY,        -- sorts by time
    source      text NOT NULL REFERENCES accounts,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    behaviour   text NOT NULL CHECK (behaviour IN ('rollback', 'proceed')),
    errors      jsonb NOT NULL           -- of CaptureError; an empty array where all went well
);
CREATE INDEX IF NOT EXISTS capture_jobs_of_source ON capture_jobs (source, capture_id);
"""
ADD = """
INSERT INTO capture_jobs (capture_id, source, created_at, finished_at, behaviour, errors)
VALUES (%s, %s, %s, %s, %s, %s)
"""
ONE = """
SELECT capture_id, created_at, finished_at, behaviour, errors
FROM capture_jobs
WHERE source = %s AND capture_id = %s
"""
NEWEST = """
SELECT capture_id, created_at, finished_at, behaviour, errors
FROM capture_jobs
WHERE source = %s AND (%s::uuid IS NULL OR capture_id < %s)
ORDER BY capture_id DESC
LIMIT %s
"""


class CaptureError(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with the place of the fault: the event's number from 0, the byte in the body, the path in the event."""

    type: str
    title: str
    status: int
    detail: str = ""
    event: int = -1
    offset: int = -1
    path: str = ""


class CaptureJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    capture_id: str = msgspec.field(name="captureID")
    created_at: datetime
    finished_at: datetime
    running: bool = False
    success: bool
    capture_error_behaviour: Behaviour
    errors: list[CaptureError]


class NotAnEvent(Malformed):
    slug = "not-an-event"
    title = "The body is not one EPCIS event that can be recorded"


class BadBehaviour(Malformed):
    slug = "bad-behaviour"
    title = "GS1-Capture-Error-Behaviour is neither rollback nor proceed"


class BadPage(Malformed):
    slug = "bad-page"
    title = "The page token was not given out by this list"


# --- writing ---


def write(cargo: Writer, wanted: list[Intent], behaviour: Behaviour) -> list[Outcome]:
    """Record the events, or put them into quarantine. Raises Busy: send the same again, nothing doubles."""
    if behaviour == "proceed" or len(wanted) < 2:  # noqa: PLR2004  one event is all or nothing by itself
        return cargo.write(wanted)
    faults = [intent.message.fault if intent.message else None for intent in wanted]
    if not any(faults):
        outcomes = _all_or_none(cargo, wanted)
        faults = [outcome.fault for outcome in outcomes]
        if not any(faults):
            return outcomes
    return cargo.write([_withheld(intent, fault) for intent, fault in zip(wanted, faults, strict=True)])


def _all_or_none(cargo: Writer, wanted: Sequence[Intent]) -> list[Outcome]:
    """What the journal says to each event; it is written only if every one was taken.

    A transaction of its own, for the writer's would record the good ones of a batch.
    """
    try:
        with cargo.journal.connect() as connection, connection.transaction():
            outcomes = Batch(cargo.journal.recorder, connection, wanted).write()
            if any(outcome.fault for outcome in outcomes):
                raise psycopg.Rollback
    except psycopg.OperationalError as error:
        raise Busy("The cargo journal cannot be reached; try again") from error
    return outcomes


def _withheld(intent: Intent, fault: Fault | None) -> Intent:
    """For quarantine: the bad event with its own fault, a good one with its neighbour's."""
    assert intent.message is not None
    detail = "同一文档中另有事件无法记录，本事件未记录 / not recorded, for another event of its document cannot be"
    why = fault or Fault(ROLLED_BACK, detail, intent.message.start)
    return Intent(message=msgspec.structs.replace(intent.message, fault=why))


def errors(outcomes: Sequence[Outcome]) -> list[CaptureError]:
    """What went wrong, for each event that is bad in itself."""
    found = [
        CaptureError(VALIDATION, f"{fault.code}: {fault.detail}", 400, fault.code, index, fault.offset, fault.path)
        for index, fault in enumerate(outcome.fault for outcome in outcomes)
        if fault is not None and fault.code != ROLLED_BACK
    ]
    if not outcomes:
        found.append(CaptureError(VALIDATION, "没有事件 / there is no event", 400))
    return found


async def _capture(request: Request[Any, Any, Any], cargo: Writer, pool: Pool, *, single: bool) -> CaptureJob:
    behaviour, body, now = _behaviour(request), await _body(request), datetime.now(UTC)
    whence = Whence(caller(request).account, "epcis", now)

    def work() -> CaptureJob:
        wanted = understood(body, ruled(whence, pool))
        if len(wanted) > EVENTS_MAX:
            raise TooLarge(f"A document may have {EVENTS_MAX} events at most", limit_events=EVENTS_MAX)
        if single and len(wanted) != 1:
            raise NotAnEvent(f"One event is wanted, the body has {len(wanted)}", events=len(wanted))
        wrong = errors(write(cargo, wanted, behaviour))
        job = CaptureJob(
            capture_id=str(new_id(now)),
            created_at=now,
            finished_at=datetime.now(UTC),
            success=not wrong,
            capture_error_behaviour=behaviour,
            errors=wrong,
        )
        row = (job.capture_id, whence.source, now, job.finished_at, behaviour, Jsonb(msgspec.to_builtins(wrong)))
        with pool.connection() as connection:
            connection.execute(ADD, row)
        return job

    return await asyncio.to_thread(work)


def _behaviour(request: Request[Any, Any, Any]) -> Behaviour:
    said = request.headers.get("GS1-Capture-Error-Behaviour", "").strip()
    if said.lower() not in BEHAVIOURS:
        raise BadBehaviour(f"{said[:40]!r} is neither rollback nor proceed", value=said[:40])
    return BEHAVIOURS[said.lower()]


async def _body(request: Request[Any, Any, Any]) -> bytes:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        known = sorted(MEDIA_TYPES - {""})
        raise UnknownFormat(f"{media} is not taken here; send {' or '.join(known)}", formats=known)
    return await body_of(request)


# --- over HTTP ---

SOURCES: list[Guard] = [needs("source")]


@post("/capture", guards=SOURCES, status_code=202)
async def capture(
    request: Request[Any, Any, Any], cargo: NamedDependency[Writer], pool: NamedDependency[Pool]
) -> Response[None]:
    """Take a document of events. `Location` is the job that says what became of them."""
    job = await _capture(request, cargo, pool, single=False)
    headers = {"Location": _address(job), "GS1-Capture-Error-Behaviour": job.capture_error_behaviour}
    return Response(None, status_code=202, headers=headers)


@post("/events", guards=SOURCES, status_code=201)
async def event(
    request: Request[Any, Any, Any], cargo: NamedDependency[Writer], pool: NamedDependency[Pool]
) -> Response[None]:
    """Take one event. One that cannot be recorded is told at once; its bytes are kept."""
    job = await _capture(request, cargo, pool, single=True)
    if job.errors:
        told = msgspec.to_builtins(job.errors)
        raise NotAnEvent(job.errors[0].title, captureID=job.capture_id, errors=told)
    return Response(None, status_code=201, headers={"Location": _address(job)})


@get("/capture/{capture_id:uuid}", guards=SOURCES)
async def capture_job(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], capture_id: FromPath[UUID]
) -> CaptureJob:
    """What became of a document of one's own."""
    account = caller(request).account

    def look() -> CaptureJob:
        with pool.connection() as connection:
            row = connection.execute(ONE, (account, capture_id)).fetchone()
        if row is None:
            raise Unknown(f"No capture job {capture_id}", capture_id=str(capture_id))
        return _job(row)

    return await asyncio.to_thread(look)


@get("/capture", guards=SOURCES)
async def capture_jobs(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    per_page: Annotated[int, QueryParameter(name="perPage", ge=1, le=PAGE_MAX)] = PAGE,
    token: Annotated[str | None, QueryParameter(name="nextPageToken")] = None,
) -> Response[list[CaptureJob]]:
    """One's own jobs, newest first; `Link` leads to the next page where there is one."""
    account, before = caller(request).account, _page(token)

    def look() -> list[CaptureJob]:
        with pool.connection() as connection:
            return [_job(row) for row in connection.execute(NEWEST, (account, before, before, per_page + 1))]

    jobs = await asyncio.to_thread(look)
    headers = {}
    if len(jobs) > per_page:
        following = f"{PATH}/capture?perPage={per_page}&nextPageToken={jobs[per_page - 1].capture_id}"
        headers["Link"] = f'<{following}>; rel="next"'
    return Response(jobs[:per_page], headers=headers)


@route(["/capture", "/events"], http_method=[HttpMethod.OPTIONS], status_code=204, sync_to_thread=False)
def limits() -> Response[None]:
    """Which versions are spoken and how much is taken at a time. No login."""
    return Response(None, status_code=204, headers=LIMITS)


def _address(job: CaptureJob) -> str:
    return f"{PATH}/capture/{job.capture_id}"


def _page(token: str | None) -> UUID | None:
    """The last job of the page before. Raises BadPage."""
    try:
        return UUID(token) if token else None
    except ValueError as error:
        raise BadPage(f"{(token or '')[:60]!r} was not given out by this list") from error


def _job(row: tuple[Any, ...]) -> CaptureJob:
    capture_id, created_at, finished_at, behaviour, told = row
    return CaptureJob(
        capture_id=str(capture_id),
        created_at=created_at,
        finished_at=finished_at,
        success=not told,
        capture_error_behaviour=behaviour,
        errors=msgspec.convert(told, list[CaptureError]),
    )


ROLLED_BACK = "epcis.rolled_back"
VALIDATION = "epcisException:ValidationException"
# The framework answers OPTIONS itself where no handler of ours was registered before the others of the path.
router = Router(
    PATH,
    route_handlers=[limits, capture, event, capture_job, capture_jobs],
    response_headers=VERSIONS,
    tags=["report"],
)
