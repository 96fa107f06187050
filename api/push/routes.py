"""Endpoints over HTTP: `/v1/endpoints`, where an account says where its feed and its alerts are pushed to.

    POST /v1/endpoints {url, …} ─▶ unverified ── POST …/verify ─▶ active ◀── POST …/enable ── paused, disabled

The key to verify messages with is told once, when it is made. Acts are on the trail. What is sent: docs/webhooks.md.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta

from api.cursor import position
from api.delivery import ALERTS_PUSH, FEED_PUSH
from api.identity import Account, caller, needs
from api.login.door import AnyRequest, body_as, tell
from api.pool import Pool
from api.push import counting, desk, health, keyring, replay, signing
from api.push.asking import prover
from api.push.desk import Changes, Kept, State, Wanted
from api.push.health import AttemptPage, Health
from api.push.keyring import OVERLAP_HOURS_MAX, OVERLAP_HOURS_MIN
from api.push.proving import Asked
from api.settings import Settings
from api.way_out import WayOut
from domain.errors import Malformed, Refused

T = TypeVar("T")
ROLES = needs("logistics", "enterprise", "enterprise-admin", "operator")
TAGS = ["push"]
OPT = {"item_class": FEED_PUSH.item_class}
OUTSIDE = {**OPT, "cost": 100}  # a message to a stranger's server is sent at once
SECRET = {"Cache-Control": "no-store"}


class DcsaOwned(Refused):
    slug = "dcsa-subscription"
    title = "This endpoint is changed through its DCSA subscription"


class Made(msgspec.Struct, frozen=True):
    """`key`: to verify messages with, `whsec_…` or `whpk_…`; a secret one is shown here and never again."""

    endpoint: Kept
    key: str


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change of keys. `overlap_hours`: for so long the old one signs too; 0: it is known to others, and ends now."""

    overlap_hours: Annotated[int, Meta(ge=0, le=OVERLAP_HOURS_MAX)] = OVERLAP_HOURS_MIN
    signing: Annotated[str, Meta(pattern="^(v1|v1a)$")] | None = None  # none: as before


class Again(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be sent again: one of the three. Cursors as of the feed: behind `from`, up to `to`."""

    ids: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=replay.REPLAY_MAX)] = []
    after: str = msgspec.field(default="", name="from")
    to: str = ""
    failed_since: Annotated[datetime, Meta(tz=True)] | None = None


class Replayed(msgspec.Struct, frozen=True):
    """How many messages wait to be sent again: not those that were never sent, or are waiting already."""

    messages: int


def _now() -> datetime:
    return datetime.now(UTC)


async def _with(pool: Pool, work: Callable[[Any], T]) -> T:
    """In a thread, on a connection."""

    def run() -> T:
        with pool.connection() as connection:
            return work(connection)

    return await asyncio.to_thread(run)


async def one(pool: Pool, account: Account, text: str) -> Kept:
    """Raises Unknown."""
    endpoint_id = desk.id_of(text)
    return await _with(pool, lambda connection: desk.one(connection, account, endpoint_id, _now()))


async def _told(request: AnyRequest, action: str, kept: Kept, detail: str = "") -> None:
    await tell(request, f"endpoint.{action}", f"endpoint:{kept.id}", account=caller(request), detail=detail)


def _host(url: str) -> str:
    """What the trail is told of a URL: the rest may hold what is secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


# --- endpoints ---


@post("/v1/endpoints", guards=[ROLES], tags=TAGS, opt=OPT, status_code=201)
async def make(request: AnyRequest, pool: NamedDependency[Pool], settings: NamedDependency[Settings]) -> Response[Made]:
    """A new endpoint; its key is shown this once. Verify it next."""
    account, wanted, vault = caller(request), await body_as(request, Wanted), request.app.state.vault

    def work(connection: Any) -> Made:
        begins = desk.Begin(counting.newest(connection, wanted.item), settings.following.epoch)
        endpoint_id, key = desk.make(connection, vault, account, wanted, now=_now(), begins=begins)
        return Made(desk.one(connection, account, endpoint_id, _now()), key)

    made = await _with(pool, work)
    await _told(request, "made", made.endpoint, f"{made.endpoint.item} {_host(made.endpoint.url)}")
    return Response(made, headers=SECRET)


@get("/v1/endpoints", guards=[ROLES], tags=TAGS, opt=OPT)
async def endpoints(request: AnyRequest, pool: NamedDependency[Pool]) -> list[Kept]:
    """One's own endpoints, oldest first; those of DCSA subscriptions too."""
    account = caller(request)
    return await _with(pool, lambda connection: desk.mine(connection, account, _now()))


@get("/v1/endpoints/{endpoint:str}", guards=[ROLES], tags=TAGS, opt=OPT)
async def endpoint(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> Kept:
    """One of them."""
    return await one(pool, caller(request), endpoint)


@patch("/v1/endpoints/{endpoint:str}", guards=[ROLES], tags=TAGS, opt=OPT)
async def change(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> Kept:
    """Another address, filter or order. At another address it must be verified anew."""
    kept = await one(pool, caller(request), endpoint)
    _ours(kept)
    changes = await body_as(request, Changes)
    await _with(pool, lambda connection: desk.change(connection, kept, changes, _now()))
    said = [*changes.named, *([_host(changes.url)] if changes.url else [])]
    await _told(request, "changed", kept, " ".join(said))
    return await one(pool, caller(request), endpoint)


@delete("/v1/endpoints/{endpoint:str}", guards=[ROLES], tags=TAGS, opt=OPT, status_code=204)
async def remove(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> None:
    """Nothing is sent there from now on; what waits is dropped. The facts stay in the feed."""
    kept = await one(pool, caller(request), endpoint)
    await _with(pool, lambda connection: desk.remove(connection, kept))
    await _told(request, "removed", kept)


def _ours(kept: Kept) -> None:
    if kept.dialect == "dcsa":
        raise DcsaOwned(
            f"请经 /dcsa/v2/event-subscriptions/{kept.id} 修改 / change it at /dcsa/v2/event-subscriptions/{kept.id}",
            endpoint=str(kept.id),
        )


# --- asking the receiver ---


@post("/v1/endpoints/{endpoint:str}/verify", guards=[ROLES], tags=TAGS, opt=OUTSIDE, status_code=200)
async def verify(
    request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool], settings: NamedDependency[Settings]
) -> Asked:
    """Send a challenge now; the receiver that brings it back is active from then on."""
    kept = await one(pool, caller(request), endpoint)
    async with prover(pool, request.app.state.vault, settings) as asking:
        asked = await asking.verify(kept, _now())
    await _told(request, "verified" if asked.verified else "not_verified", kept, f"{asked.status or asked.error}")
    return asked


@post("/v1/endpoints/{endpoint:str}/test", guards=[ROLES], tags=TAGS, opt=OUTSIDE, status_code=200)
async def test(
    request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool], settings: NamedDependency[Settings]
) -> Asked:
    """Send a sample now. Free."""
    kept = await one(pool, caller(request), endpoint)
    async with prover(pool, request.app.state.vault, settings) as asking:
        asked = await asking.test(kept, _now())
    await _told(request, "tested", kept, f"{asked.status or asked.error}")
    return asked


# --- states and keys ---


@post("/v1/endpoints/{endpoint:str}/pause", guards=[ROLES], tags=TAGS, opt=OPT, status_code=200)
async def pause(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> Kept:
    """Send nothing there until it is enabled; its place in the feed is kept."""
    return await _set(request, pool, endpoint, "paused")


@post("/v1/endpoints/{endpoint:str}/enable", guards=[ROLES], tags=TAGS, opt=OPT, status_code=200)
async def enable(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> Kept:
    """Go on where it stopped, from a pause or after it was disabled."""
    return await _set(request, pool, endpoint, "active")


async def _set(request: AnyRequest, pool: Pool, endpoint: str, state: State) -> Kept:
    kept = await one(pool, caller(request), endpoint)
    reason = desk.PAUSED if state == "paused" else ""
    await _with(pool, lambda connection: desk.set_state(connection, kept, state, reason, _now()))
    await _told(request, "paused" if state == "paused" else "enabled", kept)
    return await one(pool, caller(request), endpoint)


@post("/v1/endpoints/{endpoint:str}/rotate", guards=[ROLES], tags=TAGS, opt=OPT, status_code=200)
async def rotate(request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool]) -> Response[Made]:
    """A new key, shown this once; the old one signs on beside it for `overlap_hours`, 24 or more, or 0."""
    kept, vault = await one(pool, caller(request), endpoint), request.app.state.vault
    _ours(kept)
    wanted = await body_as(request, Rotation)
    if 0 < wanted.overlap_hours < OVERLAP_HOURS_MIN:
        raise Malformed(
            f"overlap_hours 须为 0 或 {OVERLAP_HOURS_MIN} 至 {OVERLAP_HOURS_MAX} / must be 0, or {OVERLAP_HOURS_MIN} "
            f"to {OVERLAP_HOURS_MAX}",
            field="overlap_hours",
        )
    key = signing.new_key("v1" if (wanted.signing or kept.keys[0].algorithm) == "v1" else "v1a")

    def work(connection: Any) -> None:
        with connection.transaction():
            keyring.change(connection, vault, kept.id, key, _now(), overlap_hours=wanted.overlap_hours)

    await _with(pool, work)
    await _told(request, "key_changed", kept, f"{key.algorithm} {wanted.overlap_hours} h")
    return Response(Made(await one(pool, caller(request), endpoint), key.shown), headers=SECRET)


# --- how it fares ---


@get("/v1/endpoints/{endpoint:str}/health", guards=[ROLES], tags=TAGS, opt=OPT)
async def endpoint_health(
    request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool], way_out: NamedDependency[WayOut]
) -> Health:
    """State, last success, backlog, next try, and the newest attempts. Free."""
    kept = await one(pool, caller(request), endpoint)
    found = await _with(pool, lambda connection: health.health(connection, [kept.id]))
    if not found:
        raise desk.unknown(endpoint)
    pending = await counting.pending(way_out, pool, kept)
    return msgspec.structs.replace(found[0], backlog=counting.added(found[0].backlog, pending))


@get("/v1/endpoints/{endpoint:str}/attempts", guards=[ROLES], tags=TAGS, opt=OPT)
async def attempts(
    request: AnyRequest,
    endpoint: FromPath[str],
    pool: NamedDependency[Pool],
    *,
    before: FromQuery[str] = "",
    failed: FromQuery[bool] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=health.PAGE_MAX)] = 100,
) -> AttemptPage:
    """The delivery log, newest first; `failed=true`: only what was not taken. Free."""
    kept = await one(pool, caller(request), endpoint)
    return await _with(
        pool, lambda connection: health.attempts(connection, kept.id, before=before, failed=failed, limit=limit)
    )


# --- sending again ---


@post("/v1/endpoints/{endpoint:str}/replay", guards=[ROLES], tags=TAGS, opt=OPT, status_code=202)
async def send_again(
    request: AnyRequest, endpoint: FromPath[str], pool: NamedDependency[Pool], settings: NamedDependency[Settings]
) -> Replayed:
    """Messages by id, from one cursor to another, or all that were given up since a moment. Not charged again."""
    kept = await one(pool, caller(request), endpoint)
    wanted = await body_as(request, Again)
    epoch = settings.following.epoch
    count = await _with(pool, lambda connection: replayed(connection, kept, wanted, epoch, _now()))
    await _told(request, "replayed", kept, f"{count}")
    return Replayed(count)


def replayed(connection: Any, kept: Kept, wanted: Again, epoch: int, now: datetime) -> int:
    """How many messages will be sent again. `epoch`: of cursors. Raises Malformed, BadCursor."""
    kind: replay.Kind = "alert" if kept.item == ALERTS_PUSH.code else "feed"
    if (bool(wanted.ids), bool(wanted.to), wanted.failed_since is not None).count(True) != 1:
        raise Malformed(
            "须给出 ids、from 与 to、failed_since 三者之一 / say one of: ids; from and to; failed_since", field="ids"
        )
    if wanted.ids:
        return replay.by_ids(connection, kept.id, wanted.ids, kind=kind, now=now)
    if wanted.failed_since is not None:
        return replay.failed_since(connection, kept.id, wanted.failed_since, kind=kind, now=now)
    after, upto = position(wanted.after, epoch), position(wanted.to, epoch)
    return replay.by_range(connection, kept.id, after, upto, kind=kind, now=now)


ROUTES = (
    *(make, endpoints, endpoint, change, remove, verify, test),
    *(pause, enable, rotate, endpoint_health, attempts, send_again),
)
