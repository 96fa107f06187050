"""A page of the feed: the facts behind a position that a view shows, as it is handed out.

Whoever hands out the feed makes its pages here. A page looks at a bounded stretch of the journal, so it may be short,
or empty, and still have a next one. What is seen in part is told in part (VEILED). An entry whose bytes cannot be read
keeps its place and says so, for a page without it would hide that something happened, and one with its bytes would be
no JSON.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from api.pool import Pool
from api.way_out import Looking
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Withdrawn
from domain.fact import tag_of
from domain.terms import FIELDS
from projections import feed as feed_of_view
from projections.feed import Seen
from projections.shown import Veil

WINDOW = 50_000  # positions that one page looks at
ROUNDS_MAX = 8  # for one page, where what looked promising was not to be shown
CONFIDENTIAL = [
    tag_of(kind) for kind in (Lodged, Amended, CompletionLodged, DeletionRequested, Withdrawn)
]  # what a declarant enters, goods and prices, is between him and customs: it is in nobody's feed
FACTS = """
SELECT notification_id, originator_id, originator_version, fact_id, state
FROM cargo_events
WHERE notification_id = ANY(%b) AND topic <> ALL(%b)
ORDER BY notification_id
"""
OPEN = ""
VEILED = {
    **dict.fromkeys(
        (
            "fact", "happened_at", "recorded_at", "sent_at", "wall", "zone", "zone_from", "code", "classifier", "mode",
            "partial", "warnings", "fact_id", "replaced_by", "kind",
        ),
        OPEN,
    ),
    **{name: name for name in FIELDS if not name.startswith("place_")},
    "by": "source",
    "to": "source",
    "reference": "raw_code",
    "code_table": "raw_code",
    "authority": "text",
    "reason": "text",
    "note": "text",
}  # fmt: skip
"""Fields of a stored fact, and the field of a line (domain/terms.py) with which each is kept back. Of a fact that is
shown in part all others are left out."""


log = logging.getLogger("kouan.feeding")


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact. `fact` is as stored: its tag under `fact`, times in UTC; null where it is `unreadable`, and free."""

    position: int
    subject: str
    fact_id: UUID
    fact: msgspec.Raw
    version: int | None = None  # within its subject; only for who sees everything, for its gaps tell of the rest
    unreadable: bool = False


class _Stored(msgspec.Struct):
    """The least that a stored fact is, also one that a newer Kouan wrote."""

    fact: str


class Page(NamedTuple):
    items: list[FeedItem]
    last: int  # the cursor's position
    more: bool
    datasets: set[str]
    paid: int


def page(looking: Looking, pool: Pool, start: int, limit: int) -> Page:
    """At the end of the journal the cursor stays with the last fact shown: how much else there is tells nobody."""
    end = feed_of_view.horizon(looking.look)
    top, edge = min(end, start + WINDOW), start
    numbered = feed_of_view.sees_all(looking.view)
    items: list[FeedItem] = []
    seen: dict[int, Seen] = {}
    for _ in range(ROUNDS_MAX):
        if edge >= top or len(items) >= limit:
            break
        found = feed_of_view.step(looking.look, edge, top, limit - len(items))
        edge = found.edge
        seen |= found.seen
        items += _items(pool, found.seen, numbered=numbered)
        if found.weary:
            break
    more = edge < end
    last = edge if more else items[-1].position if items else start
    read = [item for item in items if not item.unreadable]
    return Page(items, last, more, {seen[item.position].dataset for item in read}, len(read))


def _items(pool: Pool, seen: Mapping[int, Seen], *, numbered: bool) -> list[FeedItem]:
    if not seen:
        return []
    with pool.connection() as connection, connection.cursor(binary=True) as rows:
        found = rows.execute(FACTS, (list(seen), CONFIDENTIAL), prepare=True).fetchall()
    items = []
    for place, subject, version, fact_id, state in found:
        told = _readable(place, subject, state, seen[place].veil)
        raw = msgspec.Raw(told or b"null")
        items.append(FeedItem(place, subject, fact_id, raw, version if numbered else None, told is None))
    return items


def _readable(place: int, subject: str, state: bytes, veil: Veil | None) -> bytes | None:
    """What is handed out of a stored fact; None if it cannot be read."""
    try:
        str(state, "utf-8")  # what msgspec passes over it does not check
        _stored.decode(state)
        return state if veil is None else veiled(state, veil)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.warning("第 %d 条无法解读 / entry %d of %s cannot be read: %s", place, place, subject, error)
        return None


def veiled(state: bytes, veil: Veil) -> bytes:
    """A stored fact without what is kept back.

    >>> veiled(b'{"fact":"x","seal":"A1","refs":["bl:1","bl:2"]}', Veil(frozenset({"seal"}), frozenset({"bl:1"})))
    b'{"fact":"x","refs":["bl:1"]}'
    """
    told: dict[str, Any] = msgspec.json.decode(state)
    if not veil.hidden and veil.named is not None and veil.named.issuperset(told.get("refs", ())):
        return state
    kept = {name: value for name, value in told.items() if name in VEILED and VEILED[name] not in veil.hidden}
    if veil.named is not None and "refs" in kept:
        kept["refs"] = [ref for ref in kept["refs"] if ref in veil.named]
    return msgspec.json.encode(kept)


_stored = msgspec.json.Decoder(_Stored)
