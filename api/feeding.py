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

from api.answer import Header
from api.pool import Pool
from api.problems import NoLeave
from api.way_out import Looking
from domain.fact import Corrected, Retracted, tag_of
from domain.feed_filter import EVERYTHING, FeedFilter
from domain.terms import FIELDS
from projections import feed as feed_of_view
from projections import feed_index
from projections.feed import Seen
from projections.rights import View
from projections.shown import Veil

WINDOW = 50_000  # positions that one page looks at
ROUNDS_MAX = 8  # for one page, where what looked promising was not to be shown
CONFIDENTIAL = [tag_of(kind) for kind in feed_index.CONFIDENTIAL]  # nor are they in the index
REVERSALS = frozenset({tag_of(Retracted), tag_of(Corrected)})
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


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One fact. `fact` is as stored: its tag under `fact`, times in UTC; null where it is `unreadable`, and free."""

    position: int
    subject: str
    fact_id: UUID
    fact: msgspec.Raw
    version: int | None = None  # within its subject; only for who sees everything, for its gaps tell of the rest
    unreadable: bool = False
    state: Header | None = None  # of its subject, as it stood then; on demand (api/feed_state.py)


class _Stored(msgspec.Struct, gc=False):
    """The least that a stored fact is, also one that a newer Kouan wrote."""

    fact: str


class Page(NamedTuple):
    items: list[FeedItem]
    last: int  # the cursor's position
    more: bool
    datasets: set[str]
    paid: int
    reversals: int = 0  # of the paid ones, those that take back what was told: retractions, corrections
    end: int = 0  # how far the feed went when the page was made; not to be told

    @property
    def read(self) -> list[int]:
        """The positions of the items that are paid for."""
        return [item.position for item in self.items if not item.unreadable]


def sees_something(view: View) -> bool:
    """Whether there is anything that the view could ever show."""
    return bool(view.whole or (view.own and view.parties))


def with_leave(view: View) -> View:
    """The view, if it sees something. Raises NoLeave: who follows would wait in vain."""
    if not sees_something(view):
        raise NoLeave(
            "数据主管部门未授权经此渠道有偿提供，本单位也没有自己的货物 / no data owner permits anything to this caller"
            " through this channel for commercial use, and it has no cargo of its own"
        )
    return view


def page(looking: Looking, pool: Pool, start: int, limit: int, wanted: FeedFilter = EVERYTHING) -> Page:
    """At the end of the journal the cursor stays with the last fact shown: how much else there is tells nobody."""
    end = feed_of_view.horizon(looking.look)
    subjects = feed_of_view.starts(looking.look, wanted)
    top, edge = end if subjects is not None else min(end, start + WINDOW), start
    numbered = feed_of_view.sees_all(looking.view)
    items: list[FeedItem] = []
    seen: dict[int, Seen] = {}
    reversals = 0
    for _ in range(ROUNDS_MAX):
        if edge >= top or len(items) >= limit:
            break
        found = feed_of_view.step(looking.look, edge, top, limit - len(items), wanted=wanted, subjects=subjects)
        edge = found.edge
        seen |= found.seen
        told, taken_back = _items(pool, found.seen, numbered=numbered)
        items += told
        reversals += taken_back
        if found.weary:
            break
    more = edge < end
    last = edge if more else items[-1].position if items else start
    read = [item for item in items if not item.unreadable]
    return Page(items, last, more, {seen[item.position].dataset for item in read}, len(read), reversals, end)


def _items(pool: Pool, seen: Mapping[int, Seen], *, numbered: bool) -> tuple[list[FeedItem], int]:
    """And how many of them take back what was told before."""
    if not seen:
        return [], 0
    with pool.connection() as connection, connection.cursor(binary=True) as rows:
        found = rows.execute(FACTS, (list(seen), CONFIDENTIAL), prepare=True).fetchall()
    items, reversals = [], 0
    for place, subject, version, fact_id, state in found:
        veil = seen[place].veil
        try:
            str(state, "utf-8")  # what msgspec passes over it does not check
            reversals += _stored(state).fact in REVERSALS
            told = msgspec.Raw(state if veil is None else veiled(state, veil))
            items.append(FeedItem(place, subject, fact_id, told, version if numbered else None))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            log.warning("第 %d 条无法解读 / entry %d of %s cannot be read: %s", place, place, subject, error)
            items.append(FeedItem(place, subject, fact_id, UNREAD, version if numbered else None, unreadable=True))
    return items, reversals


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


_stored = msgspec.json.Decoder(_Stored).decode
UNREAD = msgspec.Raw(b"null")
