"""The sandbox: `POST /v1/sandbox/journeys` plays a whole invented journey, for a subscriber to build and test against.

A sandbox is a node of its own (`kouan sandbox run`): everything in it is real but the cargo. Its register says so: the
party SANDBOX owns every dataset. Where a department owns one, nobody may tell inventions and every request here is
refused. The cargo is named for the party of whoever plays, so no other party of the sandbox sees it; what is taken is
measured and priced, and never charged. The stories: examples/sandbox.py. Times are UTC.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.govern.shipments import fold
from api.identity import caller, needs
from api.intake import Whence, understood
from api.pool import Pool
from api.register import Register
from api.trail import Trail
from domain import container, sandbox, shipment
from domain.container import Container
from domain.deciding import Decider, folded
from domain.errors import KouanError, Malformed, Refused
from domain.fact import Fact, digest_id
from domain.writer import Busy, Writer
from examples.sandbox import DAYS_MAX, Hold, Journey, Numbers, Scenario, Step, journey
from projections.rights import Rights

START = date(2026, 1, 5)
SPEED_MIN = 1_440  # the longest journey in an hour
PLAYING_MAX = 100  # journeys in one process at a time that are not played at once
ATTEMPTS_MAX = 100
OTHERS = "SELECT 1 FROM party_cargo WHERE subject = ANY(%b) AND party <> %b LIMIT 1"
ACCEPTED = 202

log = logging.getLogger("kouan.sandbox")


class NotSandbox(Refused):
    slug = "not-a-sandbox"
    title = "Nothing is invented at this node"


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`speed`: seconds of the journey in one second; 0: all at once. `steps`: only so many; ask again for more."""

    scenario: Scenario
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 1
    speed: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0
    steps: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    starts_on: date = START  # UTC


class Shown(msgspec.Struct, frozen=True):
    """One step. `due_at`: when it is told to the node, if it has not been yet."""

    index: int
    source: str
    subject: str
    code: str
    classifier: str
    happened_at: datetime
    told_at: datetime  # by its source, in the story
    due_at: datetime | None


class Played(msgspec.Struct, frozen=True):
    """`position`: all that was told so far can be read at or before it (`min-position`)."""

    journey: str
    scenario: str
    numbers: Numbers
    steps: list[Shown]
    position: int


def is_sandbox(rights: Rights) -> bool:
    """Whether the party SANDBOX owns every dataset there is."""
    return sandbox.is_one({name: each.owner for name, each in rights.datasets.items()})


class Player:
    """Plays journeys in one process. What is not told yet when it ends is told when the same is asked for again."""

    def __init__(self, cargo: Writer, decider: Decider, pool: Pool) -> None:
        self._cargo, self._decider, self._pool = cargo, decider, pool
        self._playing: set[asyncio.Task[None]] = set()

    def cast(self, party: str, wanted: Wanted) -> Journey:
        """The journey with numbers that are nobody else's."""
        start = datetime(wanted.starts_on.year, wanted.starts_on.month, wanted.starts_on.day, tzinfo=UTC)
        for attempt in range(ATTEMPTS_MAX):
            made = journey(party, wanted.scenario, wanted.seed, start, attempt)
            with self._pool.connection() as connection:
                if connection.execute(OTHERS, (list(made.numbers.subjects), party), prepare=True).fetchone() is None:
                    return made
        raise Busy("沙箱编号用尽，请换一个 seed / the sandbox has run out of numbers: take another seed")

    async def name(self, made: Journey, party: str, account: str) -> int:
        """Say whose cargo it is. Returns the position."""
        position = 0
        for paper in made.numbers.papers:
            about: dict[str, Any] = {"role": "consignee", "party": party, "by": account, "at": datetime.now(UTC)}
            named = self._decider.submit(
                paper,
                fold(paper),
                lambda state, about=about: shipment.name_party(state, **about),  # type: ignore[misc]
                key=digest_id("sandbox", party, paper),
            )
            position = max(position, (await asyncio.wrap_future(named)).position)
        return position

    async def tell(self, step: Step) -> int:
        """As its source would. Returns the position."""
        if step.hold is not None:
            return await self._stop(step, step.hold)
        whence = Whence(step.source, step.format, datetime.now(UTC), step.told_at)
        wanted = await asyncio.to_thread(understood, step.body, whence)
        outcomes = await asyncio.wrap_future(self._cargo.submit(wanted))
        return max(outcome.position for outcome in outcomes)

    async def _stop(self, step: Step, hold: Hold) -> int:
        now = datetime.now(UTC)
        about: dict[str, Any] = {"reference": hold.reference, "by": step.source, "at": step.happened_at}

        def decide(box: Container) -> Sequence[Fact]:
            stop: dict[str, Any] = {
                "authority": "沙箱海关 / Sandbox customs",
                "reason": "布控查验 / Selected for inspection",
            }
            facts = (
                container.release_hold(box, **about) if hold.released else container.place_hold(box, **about, **stop)
            )
            return [msgspec.structs.replace(each, recorded_at=now) for each in facts]

        folding = folded(Container(step.subject.partition(":")[2]), container.evolve)
        key = digest_id("sandbox", step.subject, hold.reference, str(hold.released))
        return (await asyncio.wrap_future(self._decider.submit(step.subject, folding, decide, key=key))).position

    async def play(self, steps: Sequence[Step], speed: float) -> tuple[int, datetime]:
        """Tell them, at once or over time. Returns the position of what is told now, and when that was."""
        now, position = datetime.now(UTC), 0
        due = [step for step in steps if not speed or step.told_at == steps[0].told_at]
        for step in due:
            position = max(position, await self.tell(step))
        if len(due) < len(steps):
            if len(self._playing) >= PLAYING_MAX:
                raise Busy("同时播放的行程过多，请稍后 / too many journeys are being played; ask again later")
            task = asyncio.create_task(self._go_on(steps[len(due) :], steps[0].told_at, speed))
            self._playing.add(task)
            task.add_done_callback(self._playing.discard)
        return position, now

    async def _go_on(self, steps: Sequence[Step], begun: datetime, speed: float) -> None:
        at = asyncio.get_running_loop().time()
        for step in steps:
            due = at + (step.told_at - begun).total_seconds() / speed
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            try:
                await self.tell(step)
            except (KouanError, psycopg.Error) as error:
                log.warning("行程中断，再次请求即可续播 / a journey broke off; asked again, it goes on: %s", error)
                return

    def stop(self) -> None:
        """What is not told by now is not told."""
        for task in self._playing:
            task.cancel()


@post(
    "/v1/sandbox/journeys",
    guards=[needs("enterprise", "enterprise-admin", "logistics")],
    status_code=ACCEPTED,
    tags=["sandbox"],
)
async def play(
    request: Request[Any, Any, Any],
    data: JSONBody[Wanted],
    player: NamedDependency[Player],
    register: NamedDependency[Register],
    trail: NamedDependency[Trail],
) -> Played:
    """Play a journey for the caller's party: the same request gives the same facts, however often. Sandboxes only."""
    account = caller(request)
    await asyncio.to_thread(register.refresh)
    if not is_sandbox(register.rights):
        raise NotSandbox("本节点不是沙箱，不接受虚构的行程 / this node is no sandbox: no journey is invented here")
    if not account.party:
        raise Refused("账户不属于任何单位，行程无从归属 / the account has no party whose cargo it could be")
    _check(data)
    made = await asyncio.to_thread(player.cast, account.party, data)
    await trail.tell("sandbox.played", made.id, account=account, detail=f"{data.scenario} {data.seed}")
    named = await player.name(made, account.party, account.account)
    steps = made.steps[: data.steps]
    position, now = await player.play(steps, data.speed)
    return Played(made.id, made.scenario, made.numbers, _shown(steps, data.speed, now), max(named, position))


def _check(wanted: Wanted) -> None:
    """Raises Malformed."""
    if 0 < wanted.speed < SPEED_MIN:
        raise Malformed(f"speed 须为 0 或不小于 {SPEED_MIN} / speed must be 0, or at least {SPEED_MIN}", field="speed")
    latest = datetime.now(UTC).date() - timedelta(days=DAYS_MAX)
    if not date(2000, 1, 1) <= wanted.starts_on <= latest:
        detail = f"starts_on 须在 2000-01-01 至 {latest} 之间 / starts_on must lie from 2000-01-01 to {latest}"
        raise Malformed(f"{detail}: what has happened lies in the past", field="starts_on")


def _shown(steps: Sequence[Step], speed: float, now: datetime) -> list[Shown]:
    begun = steps[0].told_at
    return [
        Shown(
            index=index,
            source=step.source,
            subject=step.subject,
            code=step.code,
            classifier=step.classifier,
            happened_at=step.happened_at,
            told_at=step.told_at,
            due_at=now + (step.told_at - begun) / speed if speed and step.told_at > begun else None,
        )
        for index, step in enumerate(steps, 1)
    ]
