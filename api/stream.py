"""Following without asking: `GET /v1/feed/stream`, the feed as server-sent events. Paid by the fact.

Each event is one fact, as in `GET /v1/feed`; its `id` is the cursor behind it, so that a browser, or whoever sends
`Last-Event-ID`, resumes where it was cut off. Facts go out in batches: permission, subscription and credential are
asked for again before each, and its delivery is durable before its first byte leaves. A reader that is slow is waited
for: nothing is made for it in advance. When there is no more leave the stream says why (`event: end`, a problem as in
docs/problems.md) and closes.
"""

import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from api import problems
from api.cursor import cursor, position
from api.delivery import FEED_STREAM
from api.feed_state import with_states
from api.feeding import FeedItem, Page, page, with_leave
from api.follow import Nothing
from api.followers import Followers
from api.identity import Account, Authentication, caller, needs
from api.login import door
from api.pool import Pool
from api.problems import EventStreamOnly, NoCredential, NoLeave
from api.way_out import Looking, WayOut
from api.wishes import resolved
from api.wishes import wanted as wishes
from domain.errors import KouanError
from domain.feed_filter import FeedFilter
from domain.writer import Busy
from projections.rights import View

BATCH = 500  # facts under one record
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 2_000  # after which a browser opens a stream again
SECONDS_MAX = 86_400
EVENTS = "text/event-stream"

log = logging.getLogger("kouan.stream")


class Ended(msgspec.Struct, frozen=True):
    """The stream has been open for as long as it may: open it again with the last id. No fault."""

    type: str = "/problems/stream-over"
    title: str = "The stream has been open for as long as it may"
    detail: str = "请以最后的 id 重新打开 / open it again with the last id"


class Served(msgspec.Struct, frozen=True):
    """Behind each batch: what it was and what it cost."""

    item: str
    item_class: str
    quantity: int
    tariff: str


class Streamer:
    """One open stream."""

    def __init__(self, request: Request[Any, Any, Any], pool: Pool, way_out: WayOut, followers: Followers) -> None:
        self.request, self.pool, self.way_out, self.followers = request, pool, way_out, followers
        self.account: Account = caller(request)
        self.path = request.url.path
        self._whole: set[str] = set()  # datasets that it was opened with, or came to see: not to fall silent on one

    async def admit(self) -> None:
        """Before the first byte. Raises CapacityReserved, Barred, NoLeave, PaymentRequired."""
        self.followers.admit()
        view = await self._view()
        grant = await self.way_out.entitlements.admit(self.account, FEED_STREAM, 1, asof=view.asof)
        grant.settle(0)

    async def events(self, start: int, wanted: FeedFilter, seconds: float) -> AsyncIterator[bytes]:
        """What goes over the wire, until the time is over or there is no more leave."""
        with self.followers.streaming():
            try:
                yield f"retry: {RETRY_MS}\n\n".encode()
                async for sent in self._followed(start, wanted, time.monotonic() + seconds):
                    yield sent
                yield _event(msgspec.json.encode(Ended()), kind="end")
            except KouanError as error:
                yield _event(msgspec.json.encode(problems.problem(error, self.path)), kind="end")
            except psycopg.OperationalError as error:
                log.warning("数据流中断 / the stream was interrupted: %s", error)
                away = Busy("数据库暂不可用 / the database cannot be reached; try again")
                yield _event(msgspec.json.encode(problems.problem(away, self.path)), kind="end")

    async def _followed(self, start: int, wanted: FeedFilter, until: float) -> AsyncIterator[bytes]:
        while (left := until - time.monotonic()) > 0:
            try:
                sent, start = await self._batch(start, wanted)
                yield sent
            except Nothing as nothing:
                start, found = nothing.page.last, nothing.page
                if not found.more and not await self.followers.wake.wait(found.end, min(left, HEARTBEAT_SECONDS)):
                    yield b": \n\n"

    async def _batch(self, start: int, wanted: FeedFilter) -> tuple[bytes, int]:
        """The next facts, once their delivery is durable, and where they end. Raises Nothing."""
        await self._known()
        await self._view()

        def read(looking: Looking) -> tuple[Page, list[bytes]]:
            wish = resolved(self.pool, self.account, wanted)
            made = page(looking, self.pool, start, min(BATCH, looking.allowed), wish)
            if not made.items:
                raise Nothing(made)
            if wanted.form == "state":
                made = with_states(looking, made)
            looking.subject = f"feed:{start}-{made.last}"
            looking.drew_on(sorted(made.datasets), made.paid, made.reversals)
            looking.named(made.read)
            return made, [self._told(item) for item in made.items]

        (made, told), tariff = await self.way_out.deliver(
            self.account, FEED_STREAM, read, subject=f"feed:{start}-{start}", channel="api", most=BATCH
        )
        served = Served(FEED_STREAM.code, FEED_STREAM.item_class, made.paid, tariff)
        told.append(_event(msgspec.json.encode(served), cursor(made.last, self.followers.epoch), "served"))
        return b"".join(told), made.last

    def _told(self, item: FeedItem) -> bytes:
        return _event(msgspec.json.encode(item), cursor(item.position, self.followers.epoch))

    async def _known(self) -> None:
        """Whoever opened the stream could still open it. Raises what the door raises."""
        found = await _door.authenticate_request(self.request)
        if found.user is None:
            raise NoCredential("会话已结束 / the session is over")
        self.account = found.user

    async def _view(self) -> View:
        """Raises Barred, NoLeave."""
        view = await self.way_out.view(self.account, "api", FEED_STREAM)
        if lost := sorted(self._whole.difference(view.whole)):
            raise NoLeave(
                f"{'、'.join(lost)} 的授权已结束；其余数据请重新打开"
                f" / the leave for {', '.join(lost)} is over; open the stream again for the rest",
                datasets=lost,
            )
        self._whole.update(view.whole)
        return with_leave(view)


async def _nowhere(*_: Any) -> None:
    raise AssertionError("only its door is used")


_door = Authentication(_nowhere, admitted=door.within_scope)


def _event(data: bytes, cursor_behind: str = "", kind: str = "") -> bytes:
    """One event. JSON as it is stored may have lines; an event's data may not.

    >>> _event(b"{}", "MS40Mg", "served").split()
    [b'event:', b'served', b'id:', b'MS40Mg', b'data:', b'{}']
    """
    if b"\n" in data or b"\r" in data:
        data = msgspec.json.encode(msgspec.json.decode(data))
    named = f"event: {kind}\n" if kind else ""
    placed = f"id: {cursor_behind}\n" if cursor_behind else ""
    return b"".join(((named + placed).encode(), b"data: ", data, b"\n\n"))


@get(
    "/v1/feed/stream",
    guards=[needs("logistics", "operator")],
    tags=["follow"],
    opt={"cost": 10},
    dependencies={"wanted": Provide(wishes)},
    responses={200: ResponseSpec(FeedItem, generate_examples=False, media_type=EVENTS, description="Events")},
)
async def stream(
    request: Request[Any, Any, Any],
    *,
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    followers: NamedDependency[Followers],
    wanted: NamedDependency[FeedFilter],
    after: FromQuery[str] = "",
    seconds: Annotated[int, QueryParameter(ge=1, le=SECONDS_MAX, description="How long to keep it open")] = SECONDS_MAX,
) -> Response[Any]:
    """The facts behind a cursor, and whatever comes, as server-sent events. Send `Accept: text/event-stream`. Paid."""
    if EVENTS not in request.headers.get("accept", ""):
        raise EventStreamOnly(
            f"请以 Accept: {EVENTS} 请求，或改用 GET /v1/feed / ask with Accept: {EVENTS}, or pull: GET /v1/feed"
        )
    start = position(request.headers.get("last-event-id") or after, followers.epoch)
    streamer = Streamer(request, pool, way_out, followers)
    await streamer.admit()
    told = streamer.events(start, wanted, min(seconds, followers.seconds_max))
    return Stream(told, media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
