"""When a message is tried again, and what an answer means. Pure; the moment and the chance are handed in.

Ten attempts over 75.6 hours, as Standard Webhooks 1.0.0 proposes, each pause longer or shorter by a fifth so that what
failed together does not come back together. Times are UTC.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random
from typing import Literal

from api.push.http import Answer

PAUSES = tuple(timedelta(seconds=each) for each in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Before each attempt, since the one before."""
ATTEMPTS_MAX = len(PAUSES)
SPAN = sum(PAUSES, timedelta())  # of the whole schedule: no message is given up before that
JITTER = 0.2
RETRY_AFTER_MAX = timedelta(hours=24)
REFUSED_REST_MAX = timedelta(minutes=30)
"""Who answers, if only to refuse, is asked again at least so often: the next message may be one that it takes."""
DISABLE_AFTER = timedelta(days=5)
SLOW = frozenset({408, 425, 429, 502, 503, 504})
GONE = 410

Verdict = Literal["taken", "refused", "slow", "gone"]
"""`refused`: this message was; `slow`: nobody there, or too busy, whatever the message."""


def verdict(answer: Answer) -> Verdict:
    """What an answer means. Only 2xx is a yes; a redirect is none, and is not followed.

    >>> [verdict(Answer(status, 0.1)) for status in (204, 302, 500, 429, None, 410)]
    ['taken', 'refused', 'refused', 'slow', 'slow', 'gone']
    """
    if answer.taken:
        return "taken"
    if answer.status == GONE:
        return "gone"
    return "slow" if answer.status is None or answer.status in SLOW else "refused"


def pause(attempts: int, chance: Random) -> timedelta:
    """How long to wait after so many attempts that failed."""
    longest = PAUSES[min(attempts, ATTEMPTS_MAX - 1)]
    return longest * chance.uniform(1 - JITTER, 1 + JITTER)


def next_try(attempts: int, made_at: datetime, now: datetime, chance: Random) -> datetime | None:
    """When a message that has failed so often is tried again; None: it has failed for good."""
    if attempts < ATTEMPTS_MAX:
        return now + pause(attempts, chance)
    return None if now >= made_at + SPAN else made_at + SPAN  # luck made the pauses short


def retry_after(said: str, now: datetime) -> timedelta:
    """What the header asks for, in seconds or as a date; zero if it says nothing that can be understood.

    >>> retry_after("120", datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()
    120.0
    """
    if said.isascii() and said.isdigit():
        return min(timedelta(seconds=int(said[:9])), RETRY_AFTER_MAX)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, TypeError, IndexError):
        return timedelta()
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), RETRY_AFTER_MAX)
