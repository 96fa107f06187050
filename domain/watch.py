"""A watch: a number that an enterprise wants to hear about, for as long as its journey lasts.

Its stream is `watch:ID` in the commerce journal. What a holder does is on record: asked for, cancelled. The rest of its
life follows from what the holder may see of the number, by `status`, so it can be told again at any time:

    requested ─▶ active ─▶ ended
        │  └───▶ not_found         nothing shown within so many days
        └──────▶ cancelled

A watch has no price of its own. It chooses what the paid feed delivers, and the feed charges facts that were handed
over: the first charge is the first data, and a number that nobody knows costs nothing. Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from domain import fact
from domain.errors import Refused
from domain.fact import Fact
from domain.identifiers import stored

NUMBERS_MAX = 1_000  # in one request
OPEN_MAX = 10_000  # of one holder
CHARS_MAX = 64
RETURNED = frozenset({"EMPTY_IN"})
DELIVERED = frozenset({"POD", "AIR_DLV", "AIR_DDL", "EMPTY_IN"})
"""Milestones with which the journey of a container is over, and of anything else."""

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class WatchFact(Fact, frozen=True, kw_only=True):
    """What every fact about a watch says."""

    watch: str  # its ID
    by: str  # account
    party: str = ""  # that holds it; "": the account does


class WatchRequested(WatchFact, frozen=True, kw_only=True, tag="watch.requested"):
    number: str  # as it is stored


class WatchCancelled(WatchFact, frozen=True, kw_only=True, tag="watch.cancelled"):
    pass


# --- state ---

STATES: dict[str, tuple[str, str]] = {
    "requested": ("已登记", "requested"),
    "active": ("跟踪中", "active"),
    "ended": ("已完成", "ended"),
    "not_found": ("未找到", "not found"),
    "cancelled": ("已取消", "cancelled"),
}


class Watch(msgspec.Struct, frozen=True):
    """A watch as its holder left it."""

    id: str
    number: str
    account: str
    party: str
    requested_at: datetime
    cancelled_at: datetime | None = None


class Seen(msgspec.Struct, frozen=True):
    """What the holder is shown of a number."""

    first_at: datetime  # when Kouan was told the first of it
    over_at: datetime | None = None  # when it was told that the journey told last is complete; None: it is not


def completes(subject: str, code: str) -> bool:
    """Whether a milestone ends the journey of a subject."""
    return code in (RETURNED if subject.startswith("container:") else DELIVERED)


def stream(watch: str) -> str:
    """Where the facts of a watch are."""
    return f"watch:{watch}"


def status(watch: Watch, seen: Seen | None, at: datetime, patience: timedelta) -> str:
    """One of STATES. A journey that was over before the watch began is not the one that is waited for."""
    if watch.cancelled_at is not None:
        return "cancelled"
    if seen is None or (seen.over_at is not None and seen.over_at < watch.requested_at):
        return "not_found" if at >= watch.requested_at + patience else "requested"
    return "ended" if seen.over_at is not None else "active"


def active_from(watch: Watch, seen: Seen) -> datetime:
    """When the first data was there for it."""
    return max(watch.requested_at, seen.first_at)


# --- decisions ---


def wanted(numbers: Sequence[str], *, standing: frozenset[str]) -> tuple[str, ...]:
    """The numbers of a request that are not watched yet, each once. Raises Refused for what is none, or too many."""
    if not 0 < len(numbers) <= NUMBERS_MAX:
        raise Refused(f"一次 1 至 {NUMBERS_MAX} 个号码 / 1 to {NUMBERS_MAX} numbers at a time", numbers=len(numbers))
    kept = dict.fromkeys(stored(each) for each in numbers)
    for each in kept:
        if not each or len(each) > CHARS_MAX or not each.isprintable():
            raise Refused(f"{each[:80]!r} 不是号码 / {each[:80]!r} is no number", number=each[:80])
    new = tuple(each for each in kept if each not in standing)
    if len(standing) + len(new) > OPEN_MAX:
        raise Refused(f"同时至多跟踪 {OPEN_MAX} 个号码 / at most {OPEN_MAX} numbers are watched", watched=len(standing))
    return new


fact.register(WatchRequested, WatchCancelled)
