"""Watching: `/v1/watches`, the numbers that an enterprise wants to hear about. Free; see domain/watch.py.

`GET` looks at each number as `GET /v1/track` does, through the caller's own view, and is a delivery like it. The feed
takes them as its subjects (`projections.watches.watched`): what it then hands over is paid, and nothing else is.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.delivery import TRACK_QUERY
from api.govern.acts import AnyRequest, Desk, admitted
from api.identity import Account, needs
from api.settings import Settings
from api.way_out import Looking, WayOut
from domain import watch
from domain.delivery import new_id
from domain.errors import Unknown
from domain.fact import digest_id
from domain.intent import Intent, NewFact
from domain.subscription import holder
from domain.watch import STATES, Seen, Watch, WatchCancelled, WatchRequested
from projections import shown, watches
from projections.timeline import Line

PEOPLE = [needs("enterprise", "enterprise-admin", "logistics", "operator")]
PAGE, PAGE_MAX = 100, 200
TAGS = ["subscribe"]
State = Literal["requested", "active", "ended", "not_found", "cancelled"]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    numbers: list[str]  # of containers, bills, bookings, air waybills, …; as anybody writes them


class Asked(msgspec.Struct, frozen=True):
    """What is new. Numbers that are watched already are not in it."""

    id: str
    number: str


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """`active_at`: when there was data for it first; `ended_at`: when its journey was told to be over."""

    id: str
    number: str
    state: str
    state_zh: str
    state_en: str
    requested_at: datetime
    active_at: datetime | None = None
    ended_at: datetime | None = None


@post("/v1/watches", guards=PEOPLE, tags=TAGS, status_code=201)
async def request_(request: AnyRequest, data: JSONBody[Wanted], desk: NamedDependency[Desk]) -> list[Asked]:
    """Watch these numbers, known or not. Free; an unknown one costs nothing and is given up after a while."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    standing = frozenset(await asyncio.to_thread(_numbers, desk, account))
    asked = [Asked(f"W-{uuid4().hex}", number) for number in watch.wanted(data.numbers, standing=standing)]
    about: dict[str, Any] = {"happened_at": now, "recorded_at": now, "by": account.account, "party": account.party}
    facts = [
        NewFact(watch.stream(each.id), new_id(now), WatchRequested(**about, watch=each.id, number=each.number))
        for each in asked
    ]
    if facts:
        await desk.trail.tell("watch.requested", f"{len(facts)}", account=account)
        await asyncio.wrap_future(desk.decider.writer.submit([Intent(facts=facts, fresh=True)]))
    return asked


def _numbers(desk: Desk, account: Account) -> tuple[str, ...]:
    with desk.pool.connection() as connection:
        return watches.watched(connection, account.account, account.party)


@get("/v1/watches", guards=PEOPLE, tags=TAGS, opt={"cost": 10})
async def listing(
    request: AnyRequest,
    *,
    desk: NamedDependency[Desk],
    way_out: NamedDependency[WayOut],
    settings: NamedDependency[Settings],
    standing: Annotated[State | None, QueryParameter(name="state")] = None,
    skip: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> list[Watched]:
    """The newest first, cancelled ones too; `state` chooses among those of this page."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    patience = timedelta(days=settings.watch_days)

    def held() -> Sequence[Watch]:
        with desk.pool.connection() as connection:
            return watches.held(connection, account.account, account.party, over=True, skip=skip, limit=limit)

    mine = await asyncio.to_thread(held)

    def look(looking: Looking) -> list[Watched]:
        seen = _seen(looking, {each.number for each in mine if each.cancelled_at is None})
        return [_told(each, seen.get(each.number), now, patience) for each in mine]

    told = await way_out.hand_over(account, TRACK_QUERY, look, subject="watches", channel="query")
    return [each for each in told if standing in {None, each.state}]


@delete("/v1/watches/{watched:str}", guards=PEOPLE, tags=TAGS, status_code=204)
async def cancel(request: AnyRequest, watched: FromPath[str], desk: NamedDependency[Desk]) -> None:
    """Watch it no longer. Said again, nothing new."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    await asyncio.to_thread(_known, desk, account, watched)
    about: dict[str, Any] = {"happened_at": now, "recorded_at": now, "by": account.account, "party": account.party}
    ended = NewFact(watch.stream(watched), _ending(watched), WatchCancelled(**about, watch=watched))
    await desk.trail.tell("watch.cancelled", watch.stream(watched), account=account)
    await asyncio.wrap_future(desk.decider.writer.submit([Intent(facts=[ended])]))


def _ending(name: str) -> UUID:
    return digest_id("watch.cancelled", name)


def _known(desk: Desk, account: Account, name: str) -> None:
    """From the journal itself, for who has only just asked. Raises Unknown, also for what is another's."""
    with desk.pool.connection() as connection:
        entries = desk.journal.stream(connection, watch.stream(name[:80]))
    first = entries[0].fact if entries else None
    whose = holder(first.by, first.party) if isinstance(first, WatchRequested) else ""
    if whose != holder(account.account, account.party):
        raise Unknown(f"没有跟踪 {name[:80]!r} / there is no watch {name[:80]!r}", watch=name[:80])


ROUTES = (request_, listing, cancel)


# --- what is seen of a number ---


def _seen(looking: Looking, numbers: set[str]) -> dict[str, Seen]:
    """Of the numbers that the caller is shown anything of."""
    streams = {name: number for number in sorted(numbers) for name in watches.candidates(number)}
    lines = [line for line in shown.lines(looking.look, list(streams)) if line.subject in streams and line.stands]
    looking.found(lines, count=len({streams[line.subject] for line in lines}))
    by_number: dict[str, list[Line]] = {}
    for line in lines:
        by_number.setdefault(streams[line.subject], []).append(line)
    return {number: _summed(found) for number, found in by_number.items()}


def _summed(lines: Sequence[Line]) -> Seen:
    """Lines of one number, oldest first."""
    happened = [line for line in lines if line.classifier == "ACT"]
    last = happened[-1] if happened else None
    over = last is not None and watch.completes(last.subject, last.code)
    return Seen(min(line.recorded_at for line in lines), last.recorded_at if last is not None and over else None)


def _told(kept: Watch, seen: Seen | None, now: datetime, patience: timedelta) -> Watched:
    state = watch.status(kept, seen, now, patience)
    living = seen if state in {"active", "ended"} else None
    return Watched(
        id=kept.id,
        number=kept.number,
        state=state,
        state_zh=STATES[state][0],
        state_en=STATES[state][1],
        requested_at=kept.requested_at,
        active_at=watch.active_from(kept, living) if living else None,
        ended_at=living.over_at if living else None,
    )
