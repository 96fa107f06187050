"""What is pushed: sources, each a sequence of messages in an order of its own, read through the view of the moment.

A source keeps nothing of what it handed out: a message that must be sent again is read again, by its position, and what
may no longer be seen is then not found. Positions are integers that grow; times are UTC.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec

from api import feeding
from api.delivery import ALERTS_PUSH, FEED_PUSH, Item
from api.feed_state import with_states
from api.feeding import FeedItem, Page
from api.pool import Pool
from api.way_out import Looking
from domain.fact import Corrected, Retracted, tag_of
from domain.feed_filter import FeedFilter
from projections import feed as feed_of_view

Kind = Literal["feed", "alert", "test"]
ITEMS: dict[str, Item] = {item.code: item for item in (FEED_PUSH, ALERTS_PUSH)}
REVERSALS = frozenset(tag_of(kind) for kind in (Retracted, Corrected))
UNREADABLE = "fact.unreadable"  # the type of an entry whose bytes cannot be read; it is free


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to send to, and what: as much of its row in push_endpoints as a source needs."""

    endpoint_id: UUID
    account: str
    item: str  # feed.push, alerts.push
    dialect: str  # webhook, dcsa
    url: str
    wanted: FeedFilter
    ordered: bool = True

    @property
    def short(self) -> str:
        """Its part of a message's id."""
        return self.endpoint_id.hex[:12]


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message. Either `data`, which is wrapped as Standard Webhooks say, or `body`: the exact bytes to send."""

    position: int  # in the source's own order
    subject: str  # stream; the next message of a subject waits for the one before
    type: str = ""  # the fact's tag: container.gated_in
    timestamp: str = ""  # RFC 3339, when the node was told
    data: msgspec.Raw = msgspec.Raw(b"")
    body: bytes = b""
    reversals: int = 0  # 1: it takes back what was told before
    free: bool = False  # it is told, and never charged
    cause: UUID | None = None  # of an alert, the fact with which it began


class Batch(NamedTuple):
    """What was found behind a position."""

    messages: Sequence[Message]
    last: int  # everything up to here was looked at
    more: bool  # there is something behind it already
    datasets: Collection[str] = ()  # that the messages are made of

    @property
    def reversals(self) -> int:
        return sum(message.reversals for message in self.messages)


class Source(Protocol):
    """Both are called in a thread, within one look."""

    def next(self, looking: Looking, endpoint: Endpoint, after: int, limit: int) -> Batch:
        """Up to `limit` messages behind a position, in order; none: there is nothing (more) to be told now."""

    def again(self, looking: Looking, endpoint: Endpoint, positions: Sequence[int]) -> Batch:
        """These messages as they may be told now; what may no longer be told is left out. `last` means nothing."""


class Feed:
    """The feed, as `GET /v1/feed` hands it out."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def next(self, looking: Looking, endpoint: Endpoint, after: int, limit: int) -> Batch:
        """`last` goes on over what is not shown: an endpoint of a narrow view need not look at it twice."""
        end = feed_of_view.horizon(looking.look)
        page = _stated(looking, feeding.page(looking, self.pool, after, limit, endpoint.wanted), endpoint)
        last = page.last if page.more else max(page.last, end)
        return Batch([_told(item) for item in page.items], last, page.more, page.datasets)

    def again(self, looking: Looking, endpoint: Endpoint, positions: Sequence[int]) -> Batch:
        messages: list[Message] = []
        datasets: set[str] = set()
        for position in positions:
            page = _stated(looking, feeding.page(looking, self.pool, position - 1, 1, endpoint.wanted), endpoint)
            if page.items and page.items[0].position == position:
                messages.append(_told(page.items[0]))
                datasets |= page.datasets
        return Batch(messages, 0, more=False, datasets=datasets)


def _stated(looking: Looking, page: Page, endpoint: Endpoint) -> Page:
    return with_states(looking, page) if endpoint.wanted.form == "state" else page


class _Stored(msgspec.Struct, gc=False):
    """The least of a stored fact."""

    fact: str
    recorded_at: datetime | None = None
    happened_at: datetime | None = None


_stored = msgspec.json.Decoder(_Stored)


def _told(item: FeedItem) -> Message:
    if item.unreadable:
        data = msgspec.Raw(msgspec.json.encode(item))
        return Message(position=item.position, subject=item.subject, type=UNREADABLE, data=data, free=True)
    stored = _stored.decode(item.fact)
    at = stored.recorded_at or stored.happened_at
    return Message(
        position=item.position,
        subject=item.subject,
        type=stored.fact,
        timestamp=at.isoformat().replace("+00:00", "Z") if at else "",
        data=msgspec.Raw(msgspec.json.encode(item)),
        reversals=int(stored.fact in REVERSALS),
    )


class _Wrapped(msgspec.Struct, gc=False):
    type: str
    timestamp: str
    data: msgspec.Raw


def body(message: Message) -> bytes:
    """The bytes to sign and to send."""
    return message.body or _encode(_Wrapped(message.type, message.timestamp, message.data))


_encode = msgspec.json.Encoder().encode


# --- ids ---


def message_id(endpoint: UUID, kind: Kind, position: int) -> str:
    """Derived, so that it is the same at every attempt and needs no row.

    >>> message_id(UUID("0198c0de-0000-8000-8000-000000000001"), "feed", 7)
    'msg_0198c0de0000_7'
    """
    mark = "" if kind == "feed" else f"{kind}_"
    return f"msg_{endpoint.hex[:12]}_{mark}{position}"


def position_of(endpoint: UUID, message: str) -> int | None:
    """Where a message of this endpoint stands in its source; None: it is not the id of one.

    >>> position_of(UUID("0198c0de-0000-8000-8000-000000000001"), "msg_0198c0de0000_7")
    7
    """
    place = message.rsplit("_", 1)[-1]
    if not (place.isascii() and place.isdigit() and len(place) < 19):  # noqa: PLR2004  what a bigint holds
        return None
    same = (message_id(endpoint, kind, int(place)) for kind in ("feed", "alert", "test"))
    return int(place) if message in same else None
