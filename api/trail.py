"""The trail: acts and refusals go into the commerce journal, durable before anybody is answered.

Each process owns one stream, `access:PROCESS`. Refused requests (no or a wrong credential, a role that may not, a
reference that is not known to the caller) are told by `denied`, a hook that runs before the answer is made. A flood is
told in full at its beginning and by its count at the end of the minute, so nobody can fill the journal from outside.
Times are UTC.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.types import Scope

from api.identity import Account
from api.problems import status_of
from domain.access import AccessTold, Result
from domain.delivery import new_id
from domain.errors import KouanError, Unknown
from domain.fact import digest_id
from domain.intent import Intent, NewFact
from domain.writer import Busy, Writer

WINDOW = timedelta(minutes=1)
STRANGERS_MAX, KNOWN_MAX = 10, 300
"""So many refusals of one address, or of one account at one address, are told one by one in a minute."""
CALLERS_MAX = 1_000  # told apart in a minute; the others share one count
OBJECT_CHARS_MAX, DETAIL_CHARS_MAX = 200, 1_000

log = logging.getLogger("kouan.trail")


class Trail:
    """Tells what happened in this process."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.stream = f"access:{uuid4()}"
        self._flood = Flood()
        self._due: asyncio.TimerHandle | None = None

    async def tell(
        self,
        action: str,
        object: str,  # noqa: A002  the word of the trail
        *,
        account: Account | None = None,
        result: Result = "ok",
        detail: str = "",
        address: str = "",
        credential: str = "",
        key: UUID | None = None,
    ) -> None:
        """Durable when it returns. Raises Busy if it cannot be told: then it may not be done.

        `key`: of the request; the same act told again under it, by whatever process, stands there once.
        """
        who = _Who.of(account, address, credential)
        told = _told(who, (action, object, result, detail), datetime.now(UTC))
        await asyncio.wrap_future(self.writer.submit([self._intent(told, key)]))

    async def denied(self, error: Exception, scope: Scope) -> None:
        """A hook for requests that failed: tells of those that were refused. Never raises: the refusal stands."""
        status = _refusal(error)
        if status is None or scope["type"] != ScopeType.HTTP:
            return
        now = datetime.now(UTC)
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        who = _Who.of(scope.get("user"), connection.app.state.gatekeeper.address(connection))
        sums, alone = self._flood.take(Caller(who.account, who.address, status), now)
        told = [_summed(each) for each in sums]
        if alone:
            reason = error.detail if isinstance(error, KouanError | HTTPException) else ""
            told.append(_told(who, ("access", _asked_for(scope), "denied", f"{status} {reason}"), now))
        elif self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(WINDOW.total_seconds(), self._over)
        if told:
            try:
                await asyncio.wrap_future(self.writer.submit([self._intent(each) for each in told]))
            except Exception:  # whatever it is, the caller is refused all the same
                log.exception("%d 次拒绝访问未能记录 / %d refusals could not be told", len(told), len(told))

    def stop(self) -> None:
        """Hand what was only counted to the writer, which must stop after us."""
        if self._due is not None:
            self._due.cancel()
        self._over()

    def _over(self) -> None:
        self._due = None
        told = [self._intent(_summed(each)) for each in self._flood.end()]
        if told:
            try:
                self.writer.submit(told)
            except Busy:
                log.exception("拒绝访问的计数未能记录 / counts of refusals could not be told")

    def _intent(self, told: AccessTold, key: UUID | None = None) -> Intent:
        if key is None:
            return Intent(facts=[NewFact(self.stream, new_id(told.recorded_at), told)], fresh=True)
        name = digest_id("told", str(key), told.action, told.object)
        return Intent(facts=[NewFact(self.stream, name, told)])


async def denied(error: Exception, scope: Scope) -> None:
    """The hook of an application: its trail tells of it."""
    trail: Trail = scope["litestar_app"].state.trail
    await trail.denied(error, scope)


class _Who(NamedTuple):
    account: str = ""
    party: str = ""
    behalf: str = ""
    credential: str = ""
    purpose: str = ""
    address: str = ""

    @classmethod
    def of(cls, account: Account | None, address: str = "", credential: str = "") -> "_Who":
        if account is None:
            return cls(credential=credential, address=address)
        return cls(
            account.account,
            account.party,
            account.behalf,
            credential or account.credential,
            account.purpose,
            address or account.address,
        )


def _told(who: _Who, what: tuple[str, str, Result, str], now: datetime) -> AccessTold:
    """`what`: action, object, result, detail."""
    action, thing, result, detail = what
    account, party, behalf, credential, purpose, address = (_clean(each)[:OBJECT_CHARS_MAX] for each in who)
    return AccessTold(
        happened_at=now,
        recorded_at=now,
        action=action,
        object=_clean(thing)[:OBJECT_CHARS_MAX],
        result=result,
        account=account,
        party=party,
        behalf=behalf,
        credential=credential,
        purpose=purpose,
        address=address,
        detail=_clean(detail)[:DETAIL_CHARS_MAX],
    )


def _clean(text: str) -> str:
    """What came over the wire may hold halves of characters, which no JSON can."""
    return text.encode("utf-8", "replace").decode()


# --- refusals ---


def _refusal(error: Exception) -> Literal[401, 402, 403, 404] | None:
    """404 only where a reference is not known to the caller: a path that does not exist tells nothing."""
    if isinstance(error, Unknown):
        return 404
    status = status_of(error) if isinstance(error, KouanError) else 0
    if status == 401 or isinstance(error, NotAuthorizedException):  # noqa: PLR2004
        return 401
    if status == 402:  # noqa: PLR2004
        return 402
    return 403 if status == 403 or isinstance(error, PermissionDeniedException) else None  # noqa: PLR2004


def _asked_for(scope: Any) -> str:
    """Method, route and path. No query: it may hold what must not be kept."""
    template, path = scope.get("path_template") or "", scope["path"]
    return " ".join(dict.fromkeys(part for part in (scope["method"], template, path) if part))


class Caller(NamedTuple):
    """Whose refusals are counted together."""

    account: str
    address: str
    status: int


OTHERS = Caller("", "*", 0)


class Sum(msgspec.Struct, frozen=True):
    """How many refusals of a window were not told one by one."""

    caller: Caller
    count: int
    first: datetime
    last: datetime


class Flood:
    """Counts refusals by the minute. Bounded, whoever comes; it reads no clock."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._seen: dict[Caller, int] = {}
        self._more: dict[Caller, Sum] = {}

    def take(self, caller: Caller, now: datetime) -> tuple[Sequence[Sum], bool]:
        """(the sums of a window that is over, whether this refusal is told one by one)."""
        over: Sequence[Sum] = ()
        if self._since is None or not timedelta() <= now - self._since < WINDOW:
            over, self._since = self.end(), now
        if caller not in self._seen and len(self._seen) >= CALLERS_MAX:
            caller = OTHERS
        count = self._seen[caller] = self._seen.get(caller, 0) + 1
        if count <= (KNOWN_MAX if caller.account else STRANGERS_MAX):
            return over, True
        had = self._more.get(caller)
        self._more[caller] = Sum(caller, (had.count if had else 0) + 1, had.first if had else now, now)
        return over, False

    def end(self) -> Sequence[Sum]:
        """The window is over."""
        sums = list(self._more.values())
        self._since, self._seen, self._more = None, {}, {}
        return sums


def _summed(each: Sum) -> AccessTold:
    return AccessTold(
        happened_at=each.first,
        recorded_at=each.last,
        action="access",
        object="*",
        result="denied",
        account=each.caller.account,
        address=each.caller.address,
        detail=f"{each.caller.status or '*'} 同一分钟内另有多次 / more of them within one minute",
        count=each.count,
    )
