"""Questions about numbers, answered together: those that wait at the same moment share their queries and their commit.

One thread of the process takes whatever has gathered, looks up what is known of all of it, makes the answers (or finds
that one made before still holds, for nothing was recorded of its cargo since), and records all deliveries in one go. A
question is answered only after its delivery is durable; one about an unknown number is recorded too, and free.

A question with a wish (as of a past moment, one journey of several, withdrawn lines too) is answered by itself, in a
thread of its own: what was remembered is of no use to it.
"""

import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from api.answer import Answer, answer, datasets, witnesses
from api.delivery import TRACK_QUERY, Delivered
from api.identity import Account
from api.newer import Newer
from api.pool import Kept, Pool
from api.together import Results, Together, chained
from api.way_out import Looking, WayOut, leaves
from domain import identifiers
from domain.errors import KouanError, Unknown
from domain.intent import Intent
from domain.permission import Channel
from projections import freshness, links, nearby, shown, sight, timeline
from projections.freshness import Silence
from projections.nearby import Near
from projections.rights import Barred, View
from projections.sight import Look, Outdated
from projections.timeline import Line

REMEMBERED_BYTES_MAX = 64_000_000
VIEWS_MAX = 10_000  # told apart; then what was made for them is forgotten
SILENCE_SECONDS = 5.0  # for so long it is taken as known which sources are silent


class Wish(NamedTuple):
    """What a question may ask for beyond the plain timeline of today."""

    known_at: datetime | None = None  # as this node would have answered then
    journey: int | None = None  # which journey of a container; None: the latest
    withdrawn: bool = False  # also the lines that were retracted or corrected


class Question(NamedTuple):
    account: Account
    number: str  # as it is stored


class Made(NamedTuple):
    """An answer, and what it rests on. It holds for as long as nothing newer speaks of what is near."""

    near: Near
    position: int  # of the cargo journal: since then nothing newer was seen
    body: bytes  # up to its sources, which change without it
    lines: int
    datasets: tuple[str, ...]
    permissions: tuple[str, ...]
    sources: tuple[str, ...]


class Found(NamedTuple):
    """What became of one question."""

    made: Made | None  # None: nothing that the caller may see
    position: int  # of the cargo journal, up to which is told
    asof: int  # position of the register on which it rests


class Asker:
    """Answers the questions of one process."""

    def __init__(self, pool: Pool, way_out: WayOut) -> None:
        """`pool`: connections of the node itself, for what is nobody's cargo."""
        self.pool = pool
        self.way_out = way_out
        self._made: OrderedDict[tuple[str, int], Made] = OrderedDict()
        self._made_bytes = 0
        self._views: dict[View, int] = {}  # a number for each: what was made for one is for those who see the same
        self._silent: dict[str, Silence] = {}
        self._silent_known_until = 0.0  # monotonic
        self._kept = Kept(way_out.readers)
        self._own = Kept(pool)
        self._newer = Newer()
        self._dressed: tuple[object, View] | None = None
        self._questions: Together[Question] = Together("asker", self._serve)

    async def ask(self, account: Account, number: str) -> bytes:
        """The answer as JSON, once its delivery is durable. Raises Unknown, Barred or Busy."""
        question = Question(account, identifiers.stored(number))
        return await self._questions.ask_until_settled(question, self.way_out.register.refresh)

    async def answer(self, account: Account, number: str) -> Answer:
        """The same as a record."""
        return msgspec.json.decode(await self.ask(account, number), type=Answer)

    async def look(self, account: Account, number: str, wish: Wish, channel: Channel = "query") -> Answer:
        """The answer to a question with a wish, once its delivery is durable. Raises Unknown, Barred or Busy."""
        asked = identifiers.stored(number)
        return await self.way_out.hand_over(
            account, TRACK_QUERY, lambda looking: self._look(looking, asked, wish), subject=asked, channel=channel
        )

    def stop(self) -> None:
        """Answer who waits, then end."""
        self._questions.stop()
        self._kept.give_back()
        self._own.give_back()

    # --- in the thread ---

    def _serve(self, questions: Sequence[Question]) -> "Future[Results]":
        now = datetime.now(UTC)
        results: list[bytes | Exception] = []
        intents: list[Intent] = []
        silent = self._silences(now)
        for question, found in zip(questions, self._found(questions, now), strict=True):
            if isinstance(found, KouanError):
                results.append(found)
                intents.append(Intent())
                continue
            results.append(_result(question.number, found, silent))
            intents.append(
                self.way_out.deliveries.intent(question.account, TRACK_QUERY, now, _delivered(question, found))
            )
        return chained(self.way_out.deliveries.writer.submit(intents), results)

    def _found(self, questions: Sequence[Question], now: datetime) -> Sequence[Found | KouanError]:
        """What is told to each; those who see the same share what is read."""
        while True:
            self._own.run(self._newer.look)
            try:
                return self._by_view(questions, now)
            except Outdated:
                self.way_out.register.refresh()

    def _by_view(self, questions: Sequence[Question], now: datetime) -> Sequence[Found | KouanError]:
        told: list[Found | KouanError] = []
        groups: dict[int, tuple[View, list[int]]] = {}
        for place, question in enumerate(questions):
            try:
                view = self.way_out.register.view(question.account, "query", at=now)
            except Barred as error:
                told.append(error)
                continue
            told.append(Found(None, 0, view.asof))
            groups.setdefault(id(view), (view, []))[1].append(place)
        position = self._newer.position
        for view, places in groups.values():
            if self._newer.register > view.asof:
                raise Outdated
            numbers = list(dict.fromkeys(questions[place].number for place in places))
            made = self._told(view, numbers)
            for place in places:
                told[place] = Found(made.get(questions[place].number), position, view.asof)
        return told

    def _told(self, view: View, numbers: Sequence[str]) -> dict[str, Made]:
        """What is told of each number that is known to who has this view."""
        seen = self._number_of(view)
        made = {number: found for number in numbers if (found := self._held(number, seen))}
        if unsure := [number for number in numbers if number not in made]:
            made |= self._kept.run(lambda connection: self._make(self._through(connection, view), unsure))
        return made

    def _held(self, number: str, seen: int) -> Made | None:
        """What was made before, if it holds."""
        made = self._made.get((number, seen))
        if made is None or not self._newer.holds(made.near.subjects, made.position):
            return None
        self._made.move_to_end((number, seen))
        return made

    def _through(self, connection: psycopg.Connection[Any], view: View) -> Look:
        """The thread's connection, dressed for a view unless it is already."""
        if self._dressed is None or self._dressed[0] is not connection or self._dressed[1] is not view:
            self._dressed = None
            sight.dress(connection, view)
            self._dressed = (connection, view)
        return Look(connection, view)

    def _silences(self, now: datetime) -> dict[str, Silence]:
        if time.monotonic() >= self._silent_known_until:
            with self.pool.connection() as connection:
                self._silent = {each.source: each for each in freshness.late(connection, None, now)}
            self._silent_known_until = time.monotonic() + SILENCE_SECONDS
        return self._silent

    # --- answers ---

    def _make(self, look: Look, numbers: Sequence[str]) -> dict[str, Made]:
        """What is told of each number that is known to who looks."""
        candidates = [[f"{kind}:{number}" for kind in identifiers.kind_of(number)] for number in numbers]
        found, _ = nearby.near(look, candidates, range(len(numbers)))
        silent = [subject for near in found for subject in near.own if subject not in near.tips]
        named = links.known(look.connection, silent) if silent else set()
        told = {}
        for number, near in zip(numbers, found, strict=True):
            doubtful = near.tips or near.mine or not named.isdisjoint(near.own)
            if doubtful and (made := self._answer(look, number, near)):
                told[number] = made
        return told

    def _answer(self, look: Look, number: str, near: Near) -> Made | None:
        """None if nothing of it is shown."""
        assert look.view is not None
        key, position = (number, self._number_of(look.view)), self._newer.position
        made = self._made.get(key)
        if made is not None and made.near == near:
            self._made[key] = made = made._replace(position=position)
            self._made.move_to_end(key)
            return made
        lines = shown.lines(look, near.subjects, mine=near.mine)
        own = _own(near.own, lines, near.mine) or _once_named(look, near.own)
        if not own:
            return None
        fresh = answer(number, own, lines, position)
        body = msgspec.json.encode(fresh).rpartition(b',"sources":')[0]
        drawn = tuple(datasets(fresh.lines))
        made = Made(
            near, position, body, len(fresh.lines), drawn, leaves(look.view, drawn), tuple(witnesses(fresh.lines))
        )
        self._remember(key, made)
        return made

    def _number_of(self, view: View) -> int:
        same = msgspec.structs.replace(view, asof=0, until=None)
        if len(self._views) >= VIEWS_MAX:
            self._views.clear()
            self._made.clear()
            self._made_bytes = 0
        return self._views.setdefault(same, len(self._views))

    # --- one by one ---

    def _look(self, looking: Looking, number: str, wish: Wish) -> Answer:
        """Raises Unknown if nothing was known of the number, or of that journey, at that moment."""
        look = looking.look
        candidates = [f"{kind}:{number}" for kind in identifiers.kind_of(number)]
        position = timeline.position(look.connection)
        [others] = links.reached(look, [candidates], wish.known_at)
        [strangers] = links.strangers(look.connection, [[*candidates, *others]])
        lines = shown.lines(look, [*candidates, *others, *strangers], wish.known_at)
        own = _own(candidates, lines, ())
        if not own and wish.known_at is None:
            own = _once_named(look, candidates)
        if not own:
            raise _unknown(number)
        made = answer(number, own, lines, position, journey=wish.journey, withdrawn=wish.withdrawn)
        looking.found(made.lines)
        if wish.known_at is not None:
            return made  # who was silent then is not kept
        silent = self._silences(datetime.now(UTC))
        sources = [silent[source] for source in witnesses(made.lines) if source in silent]
        return msgspec.structs.replace(made, sources=sources)

    def _remember(self, key: tuple[str, int], made: Made) -> None:
        before = self._made.pop(key, None)
        self._made_bytes += len(made.body) - (len(before.body) if before else 0)
        self._made[key] = made
        while self._made_bytes > REMEMBERED_BYTES_MAX:
            _, oldest = self._made.popitem(last=False)
            self._made_bytes -= len(oldest.body)


def _own(candidates: Sequence[str], lines: Sequence[Line], mine: Collection[str]) -> list[str]:
    """Those of a number's subjects of which something is told: by themselves, by what names them, or as one's own."""
    told = {name for line in lines for name in (line.subject, *line.refs)}.union(mine)
    return [subject for subject in candidates if subject in told]


def _once_named(look: Look, candidates: Sequence[str]) -> list[str]:
    """Those that were named once, be it withdrawn since, by what the view shows."""
    return [subject for subject in candidates if links.once_named(look, subject)]


def _delivered(question: Question, found: Found) -> Delivered:
    made = found.made
    if made is None:
        return Delivered(question.number, register=found.asof)
    return Delivered(question.number, made.lines, "ok", made.datasets, made.permissions, "query", found.asof)


def _result(number: str, found: Found, silent: dict[str, Silence]) -> bytes | Exception:
    made = found.made
    if made is None:
        return _unknown(number)
    sources = [silent[source] for source in made.sources if source in silent]
    return b'%b,"sources":%b,"position":%d}' % (made.body, msgspec.json.encode(sources), found.position)


def _unknown(number: str) -> Unknown:
    return Unknown(f"没有 {number} 的记录 / nothing is known under {number}", number=number)
