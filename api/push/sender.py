"""Sending the messages of one round: side by side, but one subject's one after the other.

A round ends early where it makes no sense, or is no longer lawful, to go on: nobody answers, nearly all is refused, the
register has moved (what may be seen must be asked anew), or it has lasted long enough. What was not begun is left.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic

import msgspec

from api.identity import Account
from api.push import signing
from api.push.http import Answer, Client
from api.push.rounds import Round, Tried, Work, groups
from api.push.schedule import verdict
from api.push.signing import Key
from api.push.sources import Endpoint, body
from api.push.ssrf import Network

LANES = 4  # of one endpoint: messages on their way at the same time
LANES_ACCOUNT = 32
LANES_PROCESS = 1_000
REFUSALS_MAX = 8  # and nothing taken: the rest of the round is spared
ROUND_SECONDS = 10.0  # then no message is begun any more


class Target(msgspec.Struct, frozen=True):
    """Whom a round goes to."""

    endpoint: Endpoint
    owner: Account
    keys: Sequence[Key]
    networks: tuple[Network, ...]


class Sender:
    """Sends, in one event loop; keeps count of what is on its way."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self.client = client
        self.clock = clock
        self._process = asyncio.Semaphore(LANES_PROCESS)
        self._accounts: dict[str, asyncio.Semaphore] = {}

    async def send(self, target: Target, round_: Round, lawful: Callable[[], bool]) -> None:
        """Tell in `round_.tried` what became of it. `lawful`: false once nothing may be sent on this view any more."""
        lines = deque(groups(round_.works, ordered=target.endpoint.ordered))
        course = _Course(lawful)
        lanes = [self._lane(target, lines, round_.tried, course) for _ in range(min(LANES, len(lines)))]
        await asyncio.gather(*lanes)

    async def _lane(self, target: Target, lines: deque[list[Work]], tried: list[Tried], course: "_Course") -> None:
        account = self._accounts.setdefault(target.endpoint.account, asyncio.Semaphore(LANES_ACCOUNT))
        while lines:
            for work in lines.popleft():
                async with account, self._process:
                    if not course.goes_on():
                        return
                    at = self.clock()
                    answer = await self._post(target, work, at)
                one = Tried(work, verdict(answer), answer, at)
                tried.append(one)
                course.heard(one)
                if one.verdict != "taken":
                    break  # its subject waits

    async def _post(self, target: Target, work: Work, at: datetime) -> Answer:
        told = body(work.message)
        headers = signing.headers(target.keys, work.message_id, at, told)
        if target.endpoint.dialect == "dcsa":
            headers |= signing.dcsa_headers(target.keys, target.endpoint.endpoint_id, told)
        if work.row is not None and work.row.replay:
            headers["webhook-replay"] = "1"
        return await self.client.post(target.endpoint.url, told, headers, target.networks)


class _Course:
    """Whether a round goes on."""

    def __init__(self, lawful: Callable[[], bool]) -> None:
        self._lawful = lawful
        self._until = monotonic() + ROUND_SECONDS
        self._refused, self._taken, self._over = 0, 0, False

    def goes_on(self) -> bool:
        return not self._over and monotonic() < self._until and self._lawful()

    def heard(self, tried: Tried) -> None:
        if tried.verdict == "taken":
            self._taken += 1
        elif tried.verdict == "refused":
            self._refused += 1
        self._over |= tried.verdict in {"slow", "gone"} or (not self._taken and self._refused >= REFUSALS_MAX)
