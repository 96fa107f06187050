"""Following the cargo: `GET /v1/feed`, the facts that one may see, in the order of the journal. Paid by the fact.

The same cursor gives the same facts for as long as the journal and the caller's permissions last, so a reader that was
away resumes where it stopped. What came to be shown later (a permission, a party named afterwards) behind the cursor is
not told again: begin anew, or ask for its number. How a page is made: api/feeding.py.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.cursor import cursor, position
from api.delivery import FEED_PULL
from api.feeding import FeedItem, Page, page
from api.identity import caller, needs
from api.pool import Pool
from api.way_out import Looking, WayOut

PAGE_MAX = 10_000
PAGE = 500


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


@get(
    "/v1/feed",
    guards=[needs("logistics", "operator")],
    tags=["follow"],
    opt={"item_class": FEED_PULL.item_class, "cost": 10},
)
async def feed(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> FeedPage:
    """The facts behind a cursor that the caller may see, in order. Paid by the fact."""
    start = position(after)

    def read(looking: Looking) -> Page:
        made = page(looking, pool, start, limit)
        looking.subject = f"feed:{start}-{made.last}"
        looking.drew_on(sorted(made.datasets), made.paid)
        return made

    told, tariff = await way_out.deliver(
        caller(request), FEED_PULL, read, subject=f"feed:{start}-{start}", channel="api"
    )
    service = FeedService(FEED_PULL.code, FEED_PULL.item_class, told.paid, tariff)
    return FeedPage(told.items, cursor(told.last), told.more, service)
