"""Following the cargo: `GET /v1/feed`, the facts that one may see, in the order of the journal. Paid by the fact.

The same cursor gives the same facts for as long as the journal and the caller's permissions last, so a reader that was
away resumes where it stopped. What came to be shown later (a permission, a party named afterwards) behind the cursor is
not told again: begin anew, or ask for its number. How a page is made: api/feeding.py; what is wanted: api/wishes.py.

With `wait=` an answer that would be empty is held back until there is something, for so many seconds: nothing is handed
out meanwhile, so nothing is recorded, and no thread is held.
"""

import asyncio
import gzip
import time
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, QueryParameter

from api.cursor import cursor, position
from api.delivery import FEED_PULL
from api.feed_state import with_states
from api.feeding import FeedItem, Page, page
from api.followers import Followers
from api.identity import Account, caller, needs
from api.pool import Pool
from api.track import Behind
from api.way_out import Looking, WayOut
from api.wishes import resolved
from api.wishes import wanted as wishes
from domain.feed_filter import FeedFilter

PAGE_MAX = 10_000
PAGE = 500
WAIT_SECONDS_MAX = 60
BEHIND_SECONDS_MAX = 2.0  # for one's own write
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.05, 1.0  # behind news that was not for this caller; each time twice as long
PACKED_BYTES_MIN = 1_400  # less is not worth packing: it fits one packet


class FeedService(msgspec.Struct, frozen=True):
    """`tariff`: the price version; "" where nothing was handed out."""

    item: str
    item_class: str
    quantity: int
    tariff: str


class FeedPage(msgspec.Struct, frozen=True):
    """`next` is the cursor behind the last item; ask again with `after=` it. `more`: there are facts behind it."""

    items: list[FeedItem]
    next: str
    more: bool
    service: FeedService


class _Written(msgspec.Struct, frozen=True):
    """The same, its items written already."""

    items: msgspec.Raw
    next: str
    more: bool
    service: FeedService


class Nothing(Exception):
    """There is nothing to hand over; raised out of a look, it leaves no record."""

    def __init__(self, page: Page) -> None:
        self.page = page


class Asked(msgspec.Struct, frozen=True):
    """One question for a page."""

    account: Account
    wanted: FeedFilter
    start: int
    limit: int
    wait: float


class Puller:
    """Makes the pages of one process."""

    def __init__(self, pool: Pool, way_out: WayOut, followers: Followers) -> None:
        self.pool, self.way_out, self.followers = pool, way_out, followers

    async def pull(self, asked: Asked) -> _Written:
        """A page; if it would be empty, whatever comes within `wait` seconds, or an empty one."""
        if not asked.wait or not self.followers.may_wait:
            return await self._page(asked, patient=False)
        with self.followers.waiting():
            return await self._awaited(asked, time.monotonic() + asked.wait)

    async def _awaited(self, asked: Asked, until: float) -> _Written:
        pause = PAUSE_SECONDS
        while True:
            try:
                return await self._page(asked, patient=True)
            except Nothing as nothing:
                found = nothing.page
            asked = msgspec.structs.replace(asked, start=found.last)
            left = until - time.monotonic()
            if left <= 0:
                return self._empty(found)
            if not found.more:
                await self.followers.wake.wait(found.end, left)
                await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))
                pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _page(self, asked: Asked, *, patient: bool) -> _Written:
        def read(looking: Looking) -> tuple[Page, bytes]:
            wanted = resolved(self.pool, asked.account, asked.wanted)
            made = page(looking, self.pool, asked.start, min(asked.limit, looking.allowed), wanted)
            if patient and not made.items:
                raise Nothing(made)
            if asked.wanted.form == "state":
                made = with_states(looking, made)
            looking.subject = f"feed:{asked.start}-{made.last}"
            looking.drew_on(sorted(made.datasets), made.paid, made.reversals)
            looking.named(made.read)
            return made, _encode(made.items)

        (made, items), tariff = await self.way_out.deliver(
            asked.account,
            FEED_PULL,
            read,
            subject=f"feed:{asked.start}-{asked.start}",
            channel="api",
            most=asked.limit,
        )
        service = FeedService(FEED_PULL.code, FEED_PULL.item_class, made.paid, tariff)
        return _Written(msgspec.Raw(items), cursor(made.last, self.followers.epoch), made.more, service)

    def _empty(self, found: Page) -> _Written:
        service = FeedService(FEED_PULL.code, FEED_PULL.item_class, 0, "")
        return _Written(msgspec.Raw(b"[]"), cursor(found.last, self.followers.epoch), found.more, service)


_encode = msgspec.json.Encoder().encode


@get(
    "/v1/feed",
    guards=[needs("logistics", "operator")],
    tags=["follow"],
    opt={"item_class": FEED_PULL.item_class, "cost": 10},
    dependencies={"wanted": Provide(wishes)},
    responses={200: ResponseSpec(FeedPage, generate_examples=False, description="A page")},
)
async def feed(
    request: Request[Any, Any, Any],
    *,
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    followers: NamedDependency[Followers],
    wanted: NamedDependency[FeedFilter],
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
    wait: Annotated[float, QueryParameter(ge=0, le=WAIT_SECONDS_MAX)] = 0,
    at_least: Annotated[int, QueryParameter(name="min-position", ge=0)] = 0,
) -> Response[bytes]:
    """The facts behind a cursor that the caller may see, in order. Paid by the fact."""
    if at_least and not await followers.wake.wait(at_least - 1, BEHIND_SECONDS_MAX):
        raise Behind(
            f"还未到记录 {at_least} 号；请稍后再问，或不带 min-position"
            f" / the feed has not reached position {at_least} yet; ask again, or without min-position",
            asked=at_least,
        )
    asked = Asked(caller(request), wanted, position(after, followers.epoch), limit, wait)
    told = await Puller(pool, way_out, followers).pull(asked)
    return await _answer(told, request.headers.get("accept-encoding", ""))


async def _answer(told: _Written, accepted: str) -> Response[bytes]:
    body, headers = _encode(told), {"Vary": "Accept-Encoding"}
    if len(body) >= PACKED_BYTES_MIN and _takes_gzip(accepted):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Of Accept-Encoding.

    >>> _takes_gzip("gzip, deflate"), _takes_gzip("br;q=1, gzip;q=0"), _takes_gzip("")
    (True, False, False)
    """
    for each in accepted.lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
