"""What a delivery handed over, shown again as proof: facts and the messages that stated them. Not charged.

Two things are told of every fact that the record of a delivery names: its position, and the SHA-256 of its bytes in the
journal, which are what the feed hands out. The fact itself is shown as far as whoever asks may see it today, by the
rights through which it was delivered; who keeps the books sees no more of anybody's cargo than the data owners permit
(docs/decisions/020-drill-down.md). The bytes of a message belong to its source: beside it they are shown to whoever is
kept nothing from. To others their digest, their place in the transmission and when it came prove them. Whatever is
shown is on the trail first, and none of it after a revocation.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import psycopg

from api import feeding
from api.exporting import exporter, orders
from api.feeding import veiled
from api.identity import Account
from api.pool import Pool
from api.push.sources import position_of
from api.trail import Trail
from api.way_out import ATTEMPTS_MAX, Looking, WayOut
from domain import feed_filter, identifiers, positions
from domain.delivery import DeliveryMade, PushAccepted
from domain.fact import Fact
from domain.terms import Channel
from domain.writer import Busy
from projections import handed
from projections.feed import Seen
from projections.rights import View
from projections.shown import Veil
from projections.sight import Outdated, opened

T = TypeVar("T")
NAMED_CHARS_MAX = 800  # of the trail's detail
CARGO_SCOPES = frozenset({"track", "feed"})
"""A credential that is limited to other things than cargo shows no cargo here either."""
STORED = """
SELECT notification_id, originator_id, fact_id, state FROM cargo_events
WHERE notification_id = ANY(%b) ORDER BY notification_id
"""
MESSAGES = """
SELECT message_id, m.source, t.format, m.received_at, byte_from, byte_to, m.digest, t.digest
FROM cargo_messages AS m JOIN cargo_transmissions AS t USING (transmission_id)
WHERE message_id = ANY(%b)
"""


class MessageProof(msgspec.Struct, frozen=True, kw_only=True):
    """A message: so many bytes of a transmission, with what proves them.

    `message_id`, `source` and `format` are told with a fact that is shown with its source; `bytes_at` is where whoever
    asks may read the bytes, "" where he may not.
    """

    message_id: UUID | None = None
    source: str = ""
    format: str = ""
    received_at: datetime
    byte_from: int
    byte_to: int
    sha256: str  # of these bytes
    transmission_sha256: str  # of all bytes that came in one piece
    bytes_at: str = ""


class FactProof(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that was handed over. Nothing but position, digest and message is told of one that is not `shown`."""

    position: int
    sha256: str  # of the stored bytes
    shown: bool
    subject: str = ""
    fact_id: UUID | None = None
    fact: msgspec.Raw | None = None  # as it is stored, without what is kept back
    message: MessageProof | None = None  # None: Kouan's own decision, no message said so


class FactsPage(msgspec.Struct, frozen=True):
    """`named`: by the record of the delivery itself; else found again by what it says was asked for.

    Of the latter only what is shown today is listed. `next`: ask again with `after=` it; 0: that is all.
    """

    named: bool
    facts: list[FactProof]
    next: int = 0


NOTHING = FactsPage(named=True, facts=[])


class Wanted(NamedTuple):
    """The facts of one delivery that are to be shown."""

    told: Fact
    after: int  # position
    limit: int


class _Stored(msgspec.Struct, gc=False):
    """What leads from a stored fact to its message."""

    message_id: UUID | None = None


_stored = msgspec.json.Decoder(_Stored)


class Proving:
    """Shows facts again, in one process."""

    def __init__(self, way_out: WayOut, pool: Pool, trail: Trail) -> None:
        self.readers, self.register = way_out.readers, way_out.register
        self.pool, self.trail = pool, trail

    async def pages(self, account: Account, wanted: Sequence[Wanted], about: str, *, keeper: bool) -> list[FactsPage]:
        """The facts of some deliveries, in their order. `keeper`: of the node's books, to whom they were not made."""
        ways = [_way(each.told, keeper=keeper) for each in wanted]

        def look(look_by: "LookBy") -> list[FactsPage]:
            return [look_by(*way, lambda looking, one=one: self._page(looking, account, one))  # type: ignore[misc]
                    for way, one in zip(ways, wanted, strict=True)]  # fmt: skip

        return await self.proved(account, look, lambda found: (about, _summed(found)))

    async def proved(self, account: Account, work: Callable[["LookBy"], T], told: Callable[[T], tuple[str, str]]) -> T:
        """What the work, done in a thread, has come to, once the trail says so. Raises Barred, Busy.

        `told`: what the look was about, and what it came to, in the words of the trail.
        """
        for _ in range(ATTEMPTS_MAX):
            asof = self.register.rights.position
            try:
                found = await asyncio.to_thread(work, self._look_by(account))
            except Outdated:
                await asyncio.to_thread(self.register.refresh)
                continue
            about, detail = told(found)
            await self.trail.tell("books.drill", about, account=account, detail=detail)
            await asyncio.to_thread(self.register.refresh)
            if self.register.rights.position == asof:
                return found
        raise Busy("授权正在变动，请稍后再问 / permissions are changing this very moment; ask again")

    def _look_by(self, account: Account) -> "LookBy":
        def look_by(channel: Channel, commercial: bool, work: Callable[[Looking], Any]) -> Any:
            view = self.register.view(account, channel, commercial=commercial)
            if account.scopes and CARGO_SCOPES.isdisjoint(account.scopes):
                view = View(asof=view.asof)
            with self.readers.connection() as connection, opened(connection, view) as look:
                return work(Looking(look))

        return look_by

    def _page(self, looking: Looking, account: Account, wanted: Wanted) -> FactsPage:
        named = _named(wanted.told, self.pool)
        behind = [each for each in named or () if each > wanted.after]
        found = behind[: wanted.limit + 1] if named is not None else self._derived(looking, wanted)
        page, more = found[: wanted.limit], len(found) > wanted.limit
        seen = handed.shown(looking.look, page)
        if named is None:
            page = [each for each in page if each in seen]
        facts = _proofs(self.pool, account, looking.view, page, seen)
        return FactsPage(named is not None, facts, found[wanted.limit - 1] if more and wanted.limit else 0)

    def _derived(self, looking: Looking, wanted: Wanted) -> list[int]:
        """Positions of what was asked for then, behind one; one more than is wanted if there are so many."""
        told, limit = wanted.told, wanted.limit + 1
        if not isinstance(told, DeliveryMade) or told.result != "ok":
            return []
        if told.subject.startswith("export:"):
            return self._exported(looking, told, wanted.after, limit)
        subjects = [f"{kind}:{told.subject}" for kind in identifiers.kind_of(told.subject)]
        return handed.known_then(looking.look.connection, subjects, told.happened_at, wanted.after, limit)

    def _exported(self, looking: Looking, told: DeliveryMade, after: int, limit: int) -> list[int]:
        """Of the rows of a file those that are shown today: the order says which period it was made of."""
        with self.pool.connection() as connection:
            order = orders.find(connection, UUID(told.subject.removeprefix("export:")), told.account)
        if order is None:
            return []  # longer ago than orders are remembered
        with self.pool.connection() as connection:
            start, end = exporter.stretch(connection, order.asked)
        found: list[int] = []
        start, more = max(start, after), True
        while more and start < end and len(found) < limit:
            page = feeding.page(looking, self.pool, start, limit, feed_filter.checked(order.asked.filter))
            items = [item for item in page.items if item.position <= end]
            found += [item.position for item in items if exporter.within(item, order.asked)]
            more, start = page.more and page.last > start, page.last
        return found[:limit]


LookBy = Callable[[Channel, bool, Callable[[Looking], Any]], Any]


def _way(told: Fact, *, keeper: bool) -> tuple[Channel, bool]:
    """Through which rights it is shown: those it was delivered by; to who keeps the books, those of a free question."""
    if keeper:
        return "query", False
    if isinstance(told, PushAccepted):
        return "push", told.item_class == "commercial"
    assert isinstance(told, DeliveryMade)
    return msgspec.convert(told.channel, Channel), told.item_class == "commercial"


def _named(told: Fact, pool: Pool) -> list[int] | None:
    """The facts that a record names; None: it does not, but says what was asked for."""
    if isinstance(told, PushAccepted):
        place = position_of(UUID(told.endpoint), told.message) if told.cause is None else None
        if told.cause is not None:
            with pool.connection() as connection:
                place = handed.position_of(connection, told.cause)
        return [place] if place else []
    if isinstance(told, DeliveryMade) and told.told:
        return positions.unpack(told.told)
    return None


def _proofs(
    pool: Pool, account: Account, view: View, page: Collection[int], seen: Mapping[int, Seen]
) -> list[FactProof]:
    if not page:
        return []
    with pool.connection() as connection:
        with connection.cursor(binary=True) as rows:
            found = rows.execute(STORED, (list(page),)).fetchall()
        said = {place: _message_of(state) for place, _, _, state in found}
        kept = _messages(connection, [each for each in said.values() if each])
    proofs = []
    for place, subject, fact_id, state in found:
        told, message = seen.get(place), kept.get(said[place])
        proof = FactProof(position=place, sha256=sha256(state).hexdigest(), shown=told is not None)
        if told is None:
            message = message and _anonymous(message)
        else:
            veil = told.veil or Veil()
            fact = msgspec.Raw(state if told.veil is None else veiled(state, veil))
            proof = msgspec.structs.replace(proof, subject=subject, fact_id=fact_id, fact=fact)
            if message is not None:
                message = _anonymous(message) if veil.hidden & {"source", "message_id"} else message
        if message is not None and message.message_id and may_read(account, view, message.source):
            message = msgspec.structs.replace(message, bytes_at=f"/v1/messages/{message.message_id}")
        proofs.append(msgspec.structs.replace(proof, message=message))
    return proofs


def _message_of(state: bytes) -> UUID | None:
    try:
        return _stored.decode(state).message_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _messages(connection: psycopg.Connection[Any], wanted: Sequence[UUID]) -> dict[UUID | None, MessageProof]:
    with connection.cursor(binary=True) as rows:
        return {row[0]: _proof(row) for row in rows.execute(MESSAGES, (sorted(set(wanted)),))}


def _proof(row: Sequence[Any]) -> MessageProof:
    message_id, source, form, received_at, start, end, digest, whole = row
    return MessageProof(
        message_id=message_id,
        source=source,
        format=form,
        received_at=received_at,
        byte_from=start,
        byte_to=end,
        sha256=bytes(digest).hex(),
        transmission_sha256=bytes(whole).hex(),
    )


def _anonymous(message: MessageProof) -> MessageProof:
    """Who sent it would say where the cargo is."""
    return msgspec.structs.replace(message, message_id=None, source="", format="")


def may_read(account: Account, view: View, source: str) -> bool:
    """Whether the bytes of a message are shown: to its source, and to whom no dataset and no field is kept back."""
    return account.account == source or view.sees_all


def _summed(found: Sequence[FactsPage]) -> str:
    """For the trail."""
    facts = [each for page in found for each in page.facts]
    shown = [each.position for each in facts if each.shown]
    told = positions.pack(shown)
    places = told if len(told) <= NAMED_CHARS_MAX else f"{min(shown)}-{max(shown)}"
    return f"{len(facts)} facts proved, {len(shown)} shown: {places}"
