"""Following the cargo: `GET /v1/feed`, every fact in the order of the journal. Paid by the fact; an empty page is free.

The cursor is opaque: it names the journal's epoch and a position. The same cursor gives the same facts for as long as
the journal lives, so a reader that was away resumes where it stopped. An entry whose bytes cannot be read keeps its
place and says so, for a page without it would hide that something happened, and one with its bytes would be no JSON.
"""

import asyncio
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.delivery import FEED_PULL, Deliveries
from api.identity import caller, needs
from api.pool import Pool
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Withdrawn
from domain.delivery import Result
from domain.errors import Malformed
from domain.fact import tag_of

PAGE_MAX = 10_000
PAGE = 500
EPOCH = 1
"""Raised when a node is restored to an earlier point: positions after it would mean other facts."""

CONFIDENTIAL = [
    tag_of(kind) for kind in (Lodged, Amended, CompletionLodged, DeletionRequested, Withdrawn)
]  # what a declarant enters, goods and prices, is between him and customs: it is in nobody's feed
FACTS = """
SELECT notification_id, originator_id, originator_version, fact_id, state
FROM cargo_events
WHERE notification_id > %s AND topic <> ALL(%s)
ORDER BY notification_id
LIMIT %s
"""


log = logging.getLogger("kouan.follow")


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact. `fact` is as stored: its tag under `fact`, times in UTC; null where it is `unreadable`, and free."""

    position: int
    subject: str
    version: int  # within its subject
    fact_id: UUID
    fact: msgspec.Raw
    unreadable: bool = False


class _Stored(msgspec.Struct):
    """The least that a stored fact is, also one that a newer Kouan wrote."""

    fact: str


class FeedService(msgspec.Struct, frozen=True):
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


class BadCursor(Malformed):
    slug = "bad-cursor"
    title = "The cursor is not one of this feed"


def cursor(position: int) -> str:
    """The opaque cursor behind a position."""
    return urlsafe_b64encode(f"{EPOCH}.{position}".encode()).decode().rstrip("=")


def position(text: str) -> int:
    """The position behind which to read; "" and "0" are the beginning. Raises BadCursor.

    >>> position(cursor(42)), position("")
    (42, 0)
    """
    if text in {"", "0"}:
        return 0
    try:
        epoch, _, number = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        found = int(number) if number.isdecimal() else -1
    except ValueError:
        epoch, found = "", -1
    if epoch != str(EPOCH) or not 0 <= found < 2**63:
        raise BadCursor(f"Cursor {text[:80]!r} was not given out by this feed", after=text[:80])
    return found


@get("/v1/feed", guards=[needs("logistics", "operator")], tags=["follow"])
async def feed(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    deliveries: NamedDependency[Deliveries],
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> FeedPage:
    """The facts behind a cursor, in order. Paid by the fact."""
    account, start = caller(request), position(after)

    def read() -> list[FeedItem]:
        with pool.connection() as connection, connection.cursor(binary=True) as rows:
            found = rows.execute(FACTS, (start, CONFIDENTIAL, limit), prepare=True).fetchall()
        return [_item(*row) for row in found]

    items = await asyncio.to_thread(read)
    last = items[-1].position if items else start
    count = sum([not item.unreadable for item in items])
    result: Result = "ok" if count else "empty"
    tariff = await deliveries.record(
        account, FEED_PULL, subject=f"feed:{start}-{last}", count=count, result=result, channel="api"
    )
    service = FeedService(FEED_PULL.code, FEED_PULL.item_class, count, tariff)
    return FeedPage(items, cursor(last), len(items) == limit, service)


def _item(position: int, subject: str, version: int, fact_id: UUID, state: bytes) -> FeedItem:
    try:
        str(state, "utf-8")  # what msgspec passes over it does not check
        _stored.decode(state)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.warning("第 %d 条无法解读 / entry %d of %s cannot be read: %s", position, position, subject, error)
        return FeedItem(position, subject, version, fact_id, msgspec.Raw(b"null"), unreadable=True)
    return FeedItem(position, subject, version, fact_id, msgspec.Raw(state))


_stored = msgspec.json.Decoder(_Stored)
