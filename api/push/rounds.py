"""One round of an endpoint: what was to be sent, what became of it, and what follows. Pure; time and chance come in.

An endpoint that takes nothing rests, its cursor stays, and nothing is written for each message, so that a receiver may
be down for days and finds everything in order. A message that is refused while others are taken, or all by itself, gets
a row and a schedule of its own; where the endpoint is ordered, its subject waits behind it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from api.push.http import Answer
from api.push.schedule import DISABLE_AFTER, REFUSED_REST_MAX, Verdict, next_try, pause, retry_after
from api.push.sources import Kind, Message

State = Literal["waiting", "delivered", "failed", "withheld"]
SLOW_REST = timedelta(seconds=5)  # of an endpoint that takes some, and is too busy for others


class Row(NamedTuple):
    """A message in push_messages that waits."""

    endpoint_id: UUID
    message_id: str
    kind: Kind
    position: int
    subject: str  # "": replayed by its id alone
    replay: bool
    attempts: int
    next_at: datetime
    made_at: datetime


class Work(msgspec.Struct, gc=False):
    """A message to be sent. No row: it is new, and stands behind the cursor."""

    message_id: str
    message: Message
    row: Row | None = None
    held: bool = False  # an earlier message of its subject waits: it may not be sent yet

    @property
    def attempts(self) -> int:
        return self.row.attempts if self.row else 0

    @property
    def replayed(self) -> bool:
        return self.row is not None and self.row.replay


class Tried(msgspec.Struct, gc=False):
    work: Work
    verdict: Verdict
    answer: Answer
    at: datetime


class Standing(msgspec.Struct, frozen=True):
    """How an endpoint stands between two rounds."""

    after: int
    failures: int
    failing_since: datetime | None
    next_at: datetime
    succeeded_at: datetime | None
    state: str = "active"
    reason: str = ""


class Put(NamedTuple):
    """A row as it shall be."""

    message_id: str
    position: int
    subject: str
    state: State
    replay: bool
    attempts: int
    next_at: datetime
    status: int | None
    error: str


class Round(msgspec.Struct):
    """What was read for an endpoint, in the order of the source, and tried so far."""

    before: Standing
    works: list[Work]
    last: int  # the cursor, if all that is new is dealt with
    ordered: bool = True
    tried: list[Tried] = []
    withheld: Sequence[Row] = ()  # rows that may no longer be sent


Line = tuple[bool, str]
"""What is sent one after the other: (replay, subject)."""


class Settled(NamedTuple):
    standing: Standing
    puts: list[Put]
    released: set[Line]  # that need not wait any longer


def line(work: Work) -> Line:
    return work.replayed, work.message.subject


def groups(works: Sequence[Work], *, ordered: bool) -> Iterator[list[Work]]:
    """What must go one after the other, subject by subject; replays are a line of their own."""
    lines: dict[object, list[Work]] = {}
    for work in works:
        if not work.held:
            lines.setdefault(line(work) if ordered else work.message_id, []).append(work)
    return iter(lines.values())


def settle(done: Round, now: datetime, chance: Random) -> Settled:
    """What follows."""
    taken = any(each.verdict == "taken" for each in done.tried)
    failed = [each for each in done.tried if each.verdict != "taken"]
    lone = len(done.tried) == 1 and not done.before.failures and not taken and failed[0].verdict == "refused"
    standing = _standing(done.before, failed, now, chance, taken=taken, lone=lone)
    gone = [_withheld(row, now) for row in done.withheld]
    if done.tried and not (taken or lone):
        return Settled(standing, gone, set())
    cut = _cut(done)
    released = {(row.replay, row.subject) for row in done.withheld}
    settled = Settled(msgspec.structs.replace(standing, after=cut), gone, released)
    ends = {each.work.message_id: each for each in done.tried}
    for work in done.works:
        if work.row is not None or work.message.position <= cut:
            _settle_one(settled, work, ends.get(work.message_id), now, chance)
    return settled


def _standing(
    before: Standing, failed: Sequence[Tried], now: datetime, chance: Random, *, taken: bool, lone: bool
) -> Standing:
    after = before.after
    if not (failed or taken):
        return msgspec.structs.replace(before, next_at=now)
    asked = max((retry_after(each.answer.retry_after, now) for each in failed), default=timedelta())
    slow = any(each.verdict == "slow" for each in failed)
    reason = _why(failed[-1]) if failed else ""
    state = "disabled" if any(each.verdict == "gone" for each in failed) else "active"
    if taken:
        rest = max(asked, SLOW_REST) if slow else timedelta()
        return Standing(after, 0, None, now + rest, now, state, reason if rest or state != "active" else "")
    since = before.failing_since or now
    if now - since >= DISABLE_AFTER:
        state, reason = "disabled", f"连续五天无一成功 / nothing was taken for five days: {reason}"
    if lone:
        return Standing(after, 0, since, now + asked, before.succeeded_at, state, reason)
    rest = pause(before.failures + 1, chance)
    if not slow:
        rest = min(rest, REFUSED_REST_MAX)
    return Standing(after, before.failures + 1, since, now + max(rest, asked), before.succeeded_at, state, reason)


def _cut(done: Round) -> int:
    """How far the cursor goes: over all that was dealt with, so that what was left out before that needs a row."""
    tried = {each.work.message_id for each in done.tried}
    failed = {line(each.work) for each in done.tried if each.verdict != "taken"} if done.ordered else set()
    new = [work for work in done.works if work.row is None]
    far = max((work.message.position for work in new if work.message_id in tried), default=done.before.after)
    left = [work for work in new if not (work.message_id in tried or work.held or line(work) in failed)]
    return far if any(work.message.position > far for work in left) else done.last


def _settle_one(settled: Settled, work: Work, tried: Tried | None, now: datetime, chance: Random) -> None:
    row = work.row
    put = Put(work.message_id, work.message.position, work.message.subject, "waiting", line(work)[0], 0, now, None, "")
    if tried is None:
        if row is None:
            settled.puts.append(put)
        return
    put = put._replace(attempts=work.attempts + 1, status=tried.answer.status)
    if tried.verdict == "taken":
        if row is not None:
            settled.puts.append(put._replace(state="delivered"))
            settled.released.add(line(work))
        return
    again = next_try(put.attempts, row.made_at if row else now, now, chance)
    if again is None:
        settled.released.add(line(work))
        settled.puts.append(put._replace(state="failed", error=_why(tried)))
        return
    again = max(again, now + retry_after(tried.answer.retry_after, now))
    settled.puts.append(put._replace(next_at=again, error=_why(tried)))


def _withheld(row: Row, now: datetime) -> Put:
    return Put(row.message_id, row.position, row.subject, "withheld", row.replay, row.attempts, now, None, "")


def _why(tried: Tried) -> str:
    return tried.answer.error or f"HTTP {tried.answer.status}"
