"""What a round consists of, read in a thread: the owner's view of this moment, what is due and new, what is covered.

Nothing is sent here, and nothing written. Whoever may see nothing, or has no subscription, waits; his cursor stays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from api.delivery import Delivered, Item
from api.feeding import sees_something, with_leave
from api.identity import Account
from api.pool import Pool
from api.push import books
from api.push.books import Held, Waiting
from api.push.rounds import Round, Row, Work
from api.push.sender import Target
from api.push.sources import ITEMS, Batch, Kind, Source, message_id
from api.register import Register
from api.way_out import Looking, leaves
from api.wishes import resolved
from domain.delivery import Waiver
from domain.errors import KouanError
from projections import sight
from projections.rights import View

ROWS_MAX = 64  # in one round: each is read again by itself
WIDTH_MIN, WIDTH_MAX = 16, 256  # new messages in one round: it widens while they are taken
PROBES = 4  # messages that an endpoint is tried with that refuses; one, if it does not answer at all
SUSPENDED = "账户未开通或已停用 / the account is not open"


class Granted(Protocol):
    """Leave to hand out so many units (api/entitlement.py)."""

    allowed: int

    @property
    def waived(self) -> Waiver: ...

    def settle(self, used: int) -> None: ...


class Entitling(Protocol):
    """Raises KouanError where nothing may be handed out."""

    def take(self, account: Account, item: Item, most: int = 1, *, asof: int | None = None) -> Granted: ...


class Served(msgspec.Struct):
    """An endpoint that is ours, and what we remember of it beside its row."""

    held: Held
    target: Target
    waiting: Waiting | None = None
    cursor: int = 0  # everything up to here was looked at; may be ahead of the row's
    seen: int = -1  # how far the source had come when nothing more was found
    more: bool = False
    width: int = WIDTH_MIN
    busy: bool = False
    turn: int = 0  # rounds so far
    not_before: float = 0.0  # monotonic

    @property
    def item(self) -> Item:
        return ITEMS[self.held.endpoint.item]

    @property
    def kind(self) -> Kind:
        return "feed" if self.held.endpoint.item == "feed.push" else "alert"


class Parcel(NamedTuple):
    """A round that may be sent once its delivery is on the books."""

    served: Served
    round: Round
    delivered: Delivered
    grant: Granted | None  # none: there is nothing to send
    asof: int


class Means(NamedTuple):
    """What rounds are read with."""

    pool: Pool
    readers: Pool  # of the reader's role
    register: Register
    entitlements: Entitling
    sources: Mapping[tuple[str, str], Source]  # by item and dialect


class Reader:
    """Reads rounds; safe in several threads."""

    def __init__(self, means: Means, clock: Callable[[], datetime]) -> None:
        self.pool, self.readers, self.register, self.entitlements, self.sources = means
        self.clock = clock

    def read(self, served: Served) -> Parcel | None:
        """The next round of an endpoint; None if there is nothing for it now.

        Raises Outdated, and where nothing may be sent KouanError (Barred, NoLeave, NotSubscribed, QuotaExhausted).
        """
        view = self._view(served)
        with self._looking(view) as looking:
            round_, batch, again = self._round(served, looking)
            datasets = sorted({*batch.datasets, *again.datasets})
        served.more, served.cursor = batch.more, batch.last if not batch.messages else served.cursor
        if not (round_.works or round_.withheld):
            with_leave(view)
        sendable = [work for work in round_.works if not work.held]
        if not sendable:
            delivered = Delivered(register=view.asof)
            return Parcel(served, round_, delivered, None, view.asof) if round_.works or round_.withheld else None
        grant = self._grant(served, round_, sendable, view)
        sent = [work for work in round_.works if not work.held]
        subject = f"push:{served.held.endpoint.short}:{sent[0].message.position}-{sent[-1].message.position}"
        leave = leaves(view, datasets)
        delivered = Delivered(
            subject, len(sent), "sent", tuple(datasets), leave, "push", view.asof, waived=grant.waived
        )
        return Parcel(served, round_, delivered, grant, view.asof)

    def _view(self, served: Served) -> View:
        if not served.held.is_open:
            raise NotOpen(SUSPENDED, account=served.held.owner.account)
        commercial = served.item.item_class == "commercial"
        return self.register.view(served.target.owner, "push", commercial=commercial)

    @contextmanager
    def _looking(self, view: View) -> Iterator[Looking]:
        with self.readers.connection() as connection, sight.opened(connection, view) as look:
            yield Looking(look)

    def _round(self, served: Served, looking: Looking) -> tuple[Round, Batch, Batch]:
        """With what of it is new, and what was read again."""
        endpoint, failures = served.held.endpoint, served.held.standing.failures
        wanted = resolved(self.pool, served.target.owner, endpoint.wanted)
        endpoint = msgspec.structs.replace(endpoint, wanted=wanted)
        source = self.sources[endpoint.item, endpoint.dialect]
        batch = Batch([], served.cursor, more=False)
        if sees_something(looking.view):  # else the cursor stays: leave may yet be given
            batch = source.next(looking, endpoint, served.cursor, WIDTH_MIN if failures else served.width)
        rows = [] if failures and batch.messages else self._due(served)
        again = source.again(looking, endpoint, [row.position for row in rows]) if rows else Batch([], 0, more=False)
        found = {message.position: message for message in again.messages}
        works = [Work(row.message_id, found[row.position], row) for row in rows if row.position in found]
        works += self._new(served, batch)
        before = msgspec.structs.replace(served.held.standing, after=served.cursor)
        withheld = [row for row in rows if row.position not in found]
        round_ = Round(before, works, batch.last, endpoint.ordered, withheld=withheld)
        if failures:
            _probe(round_, PROBES if served.held.standing.reason.startswith("HTTP") else 1)
        return round_, batch, again

    def _due(self, served: Served) -> list[Row]:
        now = self.clock()
        if served.waiting is None or served.waiting.due_at > now:
            return []
        with self.pool.connection() as connection:
            return books.due(connection, served.held.endpoint.endpoint_id, now, ROWS_MAX)

    def _new(self, served: Served, batch: Batch) -> list[Work]:
        endpoint = served.held.endpoint
        waits = served.waiting.subjects if served.waiting is not None and endpoint.ordered else frozenset()
        return [
            Work(message_id(endpoint.endpoint_id, served.kind, each.position), each, held=each.subject in waits)
            for each in batch.messages
        ]

    def _grant(self, served: Served, round_: Round, sendable: Sequence[Work], view: View) -> Granted:
        """Leave for what is sent for the first time; what it does not cover stays behind the cursor."""
        new = [work for work in sendable if not work.replayed]
        grant = self.entitlements.take(served.target.owner, served.item, len(new), asof=view.asof)
        if grant.allowed < len(new):
            cut = [*new][: max(grant.allowed, 0)]
            kept = {work.message_id for work in cut}
            last = max((work.message.position for work in cut if work.row is None), default=round_.before.after)
            round_.works = [
                work
                for work in round_.works
                if work.message_id in kept or work.replayed or (work.held and work.message.position <= last)
            ]
            round_.last = last
        return grant


class NotOpen(KouanError):
    """The account that the endpoint belongs to is not open (any more)."""

    slug = "account-not-open"
    title = "The account is not open"


def _probe(round_: Round, most: int) -> None:
    """Few messages, each of another subject, are enough to learn whether somebody takes them again."""
    chosen: dict[str, Work] = {}
    for work in round_.works:
        if not work.held and len(chosen) < most:
            chosen.setdefault(work.message.subject, work)
    ids = {work.message_id for work in chosen.values()}
    edge = max((work.message.position for work in chosen.values() if work.row is None), default=round_.before.after)
    kept = []
    for work in round_.works:
        if work.row is None and work.message.position > edge:
            round_.last = edge
        elif work.message_id in ids or work.row is None:
            work.held |= work.message_id not in ids
            kept.append(work)
    round_.works = kept
