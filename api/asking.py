"""Questions about numbers, answered together: those that wait at the same moment share their queries and their commit.

One thread of the process takes whatever has gathered, looks up what is known of all of it, makes the answers (or finds
that one made before still holds, for nothing was recorded of its cargo since), and records all deliveries in one go. A
question is answered only after its delivery is durable; one about an unknown number is recorded too, and free.

A question with a wish (as of a past moment, one journey of several, withdrawn lines too) is answered by itself, in a
thread of its own: what was remembered is of no use to it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import msgspec
import psycopg

from api.answer import Answer, answer, datasets, witnesses
from api.delivery import TRACK_QUERY, Deliveries
from api.identity import Account
from api.pool import Kept, Pool
from api.together import Results, Together, chained
from domain import identifiers
from domain.errors import Unknown
from domain.intent import Intent
from domain.writer import Busy
from projections import freshness, links, nearby, timeline
from projections.freshness import Silence
from projections.nearby import Near

REMEMBERED_BYTES_MAX = 64_000_000
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
    """An answer, and what it rests on. It holds as long as that is what is near, and nothing of it is newer."""

    near: Near
    body: bytes  # up to its sources, which change without it
    lines: int
    datasets: tuple[str, ...]
    sources: tuple[str, ...]


class Asker:
    """Answers the questions of one process."""

    def __init__(self, pool: Pool, deliveries: Deliveries) -> None:
        self.pool = pool
        self.deliveries = deliveries
        self._made: OrderedDict[str, Made] = OrderedDict()
        self._made_bytes = 0
        self._silent: dict[str, Silence] = {}
        self._silent_known_until = 0.0  # monotonic
        self._kept = Kept(pool)
        self._questions: Together[Question] = Together("asker", self._serve)

    async def ask(self, account: Account, number: str) -> bytes:
        """The answer as JSON, once its delivery is durable. Raises Unknown, or Busy."""
        return await self._questions.ask(Question(account, identifiers.stored(number)))

    async def answer(self, account: Account, number: str) -> Answer:
        """The same as a record."""
        return msgspec.json.decode(await self.ask(account, number), type=Answer)

    async def look(self, account: Account, number: str, wish: Wish, channel: str = "query") -> Answer:
        """The answer to a question with a wish, once its delivery is durable. Raises Unknown, or Busy."""
        asked = identifiers.stored(number)
        found: Answer | Unknown
        try:
            found = await asyncio.to_thread(self._look, asked, wish)
        except Unknown as error:
            found = error
        except psycopg.OperationalError:
            raise _unreachable() from None
        told = found.lines if isinstance(found, Answer) else []
        await self.deliveries.record(
            account,
            TRACK_QUERY,
            subject=asked,
            count=len(told),
            result="ok" if isinstance(found, Answer) else "empty",
            datasets=datasets(told),
            channel=channel,
        )
        if isinstance(found, Unknown):
            raise found
        return found

    def stop(self) -> None:
        """Answer who waits, then end."""
        self._questions.stop()
        self._kept.give_back()

    # --- in the thread ---

    def _serve(self, questions: Sequence[Question]) -> "Future[Results]":
        numbers = list(dict.fromkeys(question.number for question in questions))
        now = datetime.now(UTC)
        made, position, silent = self._kept.run(lambda connection: self._found(connection, numbers, now))
        results = [_result(question.number, made.get(question.number), silent, position) for question in questions]
        intents = [self._delivery(question, made.get(question.number), now) for question in questions]
        return chained(cast("Future[object]", self.deliveries.writer.submit(intents)), results)

    def _found(
        self, connection: psycopg.Connection[Any], numbers: Sequence[str], now: datetime
    ) -> tuple[dict[str, Made], int, dict[str, Silence]]:
        made, position = self._make(connection, numbers)
        return made, position, self._silences(connection, now)

    def _silences(self, connection: psycopg.Connection[Any], now: datetime) -> dict[str, Silence]:
        if time.monotonic() >= self._silent_known_until:
            self._silent = {each.source: each for each in freshness.late(connection, None, now)}
            self._silent_known_until = time.monotonic() + SILENCE_SECONDS
        return self._silent

    def _delivery(self, question: Question, made: Made | None, now: datetime) -> Intent:
        return self.deliveries.intent(
            question.account,
            TRACK_QUERY,
            now,
            subject=question.number,
            count=made.lines if made else 0,
            result="ok" if made else "empty",
            datasets=made.datasets if made else (),
        )

    # --- answers ---

    def _make(self, connection: psycopg.Connection[Any], numbers: Sequence[str]) -> tuple[dict[str, Made], int]:
        """What is told of each number that is known, and up to which position."""
        candidates = [[f"{kind}:{number}" for kind in identifiers.kind_of(number)] for number in numbers]
        found, position = nearby.near(connection, candidates, range(len(numbers)))
        silent = [subject for near in found for subject in near.own if subject not in near.tips]
        named = links.known(connection, silent) if silent else set()
        told = {}
        for number, near in zip(numbers, found, strict=True):
            own = tuple(subject for subject in near.own if subject in near.tips or subject in named)
            if own:
                told[number] = self._answer(connection, number, near._replace(own=own), position)
        return told, position

    def _answer(self, connection: psycopg.Connection[Any], number: str, near: Near, position: int) -> Made:
        made = self._made.get(number)
        if made is not None and made.near == near:
            self._made.move_to_end(number)
            return made
        lines = timeline.lines(connection, near.subjects)
        fresh = answer(number, near.own, lines, position)
        body = msgspec.json.encode(fresh).rpartition(b',"sources":')[0]
        made = Made(near, body, len(fresh.lines), tuple(datasets(fresh.lines)), tuple(witnesses(fresh.lines)))
        self._remember(number, made)
        return made

    # --- one by one ---

    def _look(self, number: str, wish: Wish) -> Answer:
        """Raises Unknown if nothing was known of the number, or of that journey, at that moment."""
        candidates = [f"{kind}:{number}" for kind in identifiers.kind_of(number)]
        with self.pool.connection() as connection:
            position = timeline.position(connection)
            [others] = links.reached(connection, [candidates], wish.known_at)
            [strangers] = links.strangers(connection, [[*candidates, *others]])
            lines = timeline.lines(connection, [*candidates, *others, *strangers], wish.known_at)
            told = {name for line in lines for name in (line.subject, *line.refs)}
            named = links.known(connection, candidates) if wish.known_at is None else ()
            own = [subject for subject in candidates if subject in told or subject in named]
            if not own:
                raise _unknown(number)
            made = answer(number, own, lines, position, journey=wish.journey, withdrawn=wish.withdrawn)
            if wish.known_at is not None:
                return made  # who was silent then is not kept
            silent = freshness.late(connection, witnesses(made.lines), datetime.now(UTC))
            return msgspec.structs.replace(made, sources=silent)

    def _remember(self, number: str, made: Made) -> None:
        before = self._made.pop(number, None)
        self._made_bytes += len(made.body) - (len(before.body) if before else 0)
        self._made[number] = made
        while self._made_bytes > REMEMBERED_BYTES_MAX:
            _, oldest = self._made.popitem(last=False)
            self._made_bytes -= len(oldest.body)


def _result(number: str, made: Made | None, silent: dict[str, Silence], position: int) -> bytes | Exception:
    if made is None:
        return _unknown(number)
    sources = [silent[source] for source in made.sources if source in silent]
    return b'%b,"sources":%b,"position":%d}' % (made.body, msgspec.json.encode(sources), position)


def _unknown(number: str) -> Unknown:
    return Unknown(f"没有 {number} 的记录 / nothing is known under {number}", number=number)


def _unreachable() -> Busy:
    return Busy("数据库暂不可用 / the database cannot be reached; try again")
