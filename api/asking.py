"""Questions about numbers, answered together: those that wait at the same moment share their queries and their commit.

One thread of the process takes whatever has gathered, looks up what is known of all of it, makes the answers (or finds
that one made before still holds, for nothing was recorded of its cargo since), and records all deliveries in one go. A
question is answered only after its delivery is durable; one about an unknown number is recorded too, and free.

A question with a wish (as of a past moment, one journey of several, withdrawn lines too) is answered by itself, in a
thread of its own: what was remembered is of no use to it.
"""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from api.answer import Answer, answer, datasets, witnesses
from api.delivery import TRACK_QUERY, Deliveries
from api.identity import Account
from domain import identifiers
from domain.errors import Unknown
from domain.intent import Intent, Outcome
from domain.writer import Busy
from projections import freshness, links, timeline
from projections.freshness import Silence

TOGETHER_MAX = 256
WAITING_MAX = 20_000
REMEMBERED_BYTES_MAX = 64_000_000
SUBJECT_MAX = 64  # characters of a number on the books
SILENCE_SECONDS = 5.0  # for so long it is taken as known which sources are silent

Pool = ConnectionPool[psycopg.Connection[Any]]


class Wish(NamedTuple):
    """What a question may ask for beyond the plain timeline of today."""

    known_at: datetime | None = None  # as this node would have answered then
    journey: int | None = None  # which journey of a container; None: the latest
    withdrawn: bool = False  # also the lines that were retracted or corrected


class Question(NamedTuple):
    account: Account
    number: str  # as it is stored
    told: "asyncio.Future[bytes]"
    loop: asyncio.AbstractEventLoop


class Found(NamedTuple):
    """The subjects of a number, and those of its whole consignment, and of what else names its boxes."""

    own: Sequence[str]
    subjects: tuple[str, ...]


class Made(NamedTuple):
    """An answer, and what it rests on. It holds as long as these subjects have these tips."""

    subjects: tuple[str, ...]
    tips: tuple[int, ...]
    body: bytes  # up to its sources, which change without it
    lines: int
    datasets: tuple[str, ...]
    sources: tuple[str, ...]


class Asker:
    """The queue and its thread."""

    def __init__(self, pool: Pool, deliveries: Deliveries) -> None:
        self.pool = pool
        self.deliveries = deliveries
        self._waiting: deque[Question] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._made: OrderedDict[str, Made] = OrderedDict()
        self._made_bytes = 0
        self._silent: dict[str, Silence] = {}
        self._silent_known_until = 0.0  # monotonic
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)
        self._thread.start()

    async def ask(self, account: Account, number: str) -> bytes:
        """The answer as JSON, once its delivery is durable. Raises Unknown, or Busy."""
        loop = asyncio.get_running_loop()
        question = Question(account, identifiers.stored(number), loop.create_future(), loop)
        with self._changed:
            if self._stopping or len(self._waiting) >= WAITING_MAX:
                raise Busy("提问过多，请稍后再试 / too many questions are waiting; try again")
            self._waiting.append(question)
            self._changed.notify()
        return await question.told

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
        intent = self.deliveries.intent(
            account,
            TRACK_QUERY,
            datetime.now(UTC),
            subject=asked[:SUBJECT_MAX],
            count=len(told),
            result="ok" if isinstance(found, Answer) else "empty",
            datasets=datasets(told),
            channel=channel,
        )
        await asyncio.wrap_future(self.deliveries.writer.submit([intent]))
        if isinstance(found, Unknown):
            raise found
        return found

    def stop(self) -> None:
        """Answer who waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    # --- the thread ---

    def _run(self) -> None:
        while questions := self._gather():
            try:
                self._serve(questions)
            except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear it
                failure = _unreachable() if isinstance(error, psycopg.OperationalError) else error
                _settle(questions, [failure] * len(questions))

    def _gather(self) -> list[Question]:
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]

    def _serve(self, questions: list[Question]) -> None:
        numbers = list(dict.fromkeys(question.number for question in questions))
        with self.pool.connection() as connection:
            made, position = self._make(connection, numbers)
            now = datetime.now(UTC)
            silent = self._silences(connection, now)
        results = [_result(question.number, made.get(question.number), silent, position) for question in questions]
        intents = [self._delivery(question, made.get(question.number), now) for question in questions]
        written = self.deliveries.writer.submit(intents)
        written.add_done_callback(lambda done: _settle(questions, _after(done, results)))

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
            subject=question.number[:SUBJECT_MAX],
            count=made.lines if made else 0,
            result="ok" if made else "empty",
            datasets=made.datasets if made else (),
        )

    # --- answers ---

    def _make(self, connection: psycopg.Connection[Any], numbers: Sequence[str]) -> tuple[dict[str, Made], int]:
        """What is told of each number that is known, and up to which position."""
        position = timeline.position(connection)
        candidates = [[f"{kind}:{number}" for kind in identifiers.kind_of(number)] for number in numbers]
        flat = [subject for subjects in candidates for subject in subjects]
        named = links.known(connection, flat)
        reached = links.reached(connection, candidates)
        consignments = [[*own, *others] for own, others in zip(candidates, reached, strict=True)]
        strangers = links.strangers(connection, consignments)
        others = [[*near, *far] for near, far in zip(reached, strangers, strict=True)]
        tips = timeline.tips(connection, list({*flat, *(other for found in others for other in found)}))
        told = {}
        for number, subjects, found in zip(numbers, candidates, others, strict=True):
            own = [subject for subject in subjects if subject in tips or subject in named]
            if own:
                told[number] = self._answer(connection, number, Found(own, (*own, *found)), tips, position)
        return told, position

    def _answer(
        self, connection: psycopg.Connection[Any], number: str, found: Found, tips: dict[str, int], position: int
    ) -> Made:
        standing = tuple(tips.get(subject, 0) for subject in found.subjects)
        made = self._made.get(number)
        if made is not None and (made.subjects, made.tips) == (found.subjects, standing):
            self._made.move_to_end(number)
            return made
        fresh = answer(number, found.own, timeline.lines(connection, found.subjects), position)
        body = msgspec.json.encode(fresh).rpartition(b',"sources":')[0]
        made = Made(
            found.subjects,
            standing,
            body,
            len(fresh.lines),
            tuple(datasets(fresh.lines)),
            tuple(witnesses(fresh.lines)),
        )
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


def _after(done: "Future[list[Outcome]]", results: Sequence[bytes | Exception]) -> Sequence[bytes | Exception]:
    """Nothing leaves if its record could not be made."""
    error = done.exception()
    return results if error is None else [error if isinstance(error, Exception) else Busy(str(error))] * len(results)


def _settle(questions: Sequence[Question], results: Sequence[bytes | Exception]) -> None:
    """Tell all who wait in one loop in one call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Question, bytes | Exception]]] = {}
    for question, result in zip(questions, results, strict=True):
        by_loop.setdefault(question.loop, []).append((question, result))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, pairs)


def _tell(pairs: Sequence[tuple[Question, bytes | Exception]]) -> None:
    for question, result in pairs:
        if question.told.done():
            continue  # who asked has gone
        if isinstance(result, Exception):
            question.told.set_exception(result)
        else:
            question.told.set_result(result)
