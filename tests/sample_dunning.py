"""Dunning with statements at every step, a holder whose subscriptions stand still, and what was told: for pages."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from api import dunning as desk
from api.portal import dunning as pages
from api.portal.dunning import Found, Stopped
from domain.dunning import DunningFact, DunningLifted, DunningReminded, DunningSuspended, Ladder
from projections.receivables import Receivable
from tests.sample_fapiao import NAMES
from tests.sample_statement import OURS, THEIRS

NOW = datetime(2026, 12, 20, 3, tzinfo=UTC)
OWED = {  # statement: holder, days after the due day, fen
    "KS-202609-000003": (OURS, 50, 1_234_567),
    "KS-202610-000017": (THEIRS, 24, 42_000),
    "KS-202610-000021": (THEIRS, 8, 106),
    "KS-202611-000004": (THEIRS, 3, 9_900),
}


def about(holder: str, days_ago: int) -> dict[str, Any]:
    at = NOW - timedelta(days=days_ago)
    return {"happened_at": at, "recorded_at": at, "holder": holder, "is_party": True, "by": "finance-demo"}


def due_on(number: str) -> date:
    return (NOW - timedelta(days=OWED[number][1])).date()


def reminded(number: str, level: int, days_ago: int) -> DunningReminded:
    holder, _, minor = OWED[number]
    told = about(holder, days_ago)
    return DunningReminded(**told, statement=number, level=level, due_on=due_on(number), outstanding_minor=minor)


SUSPENDED = DunningSuspended(
    **about(OURS, 5), statements=("KS-202609-000003",), outstanding_minor=1_234_567, subscriptions=("S-1",)
)
TOLD: list[DunningFact] = [
    reminded("KS-202609-000003", 1, 43),
    DunningLifted(**about(THEIRS, 40), subscriptions=("S-2",)),
    reminded("KS-202609-000003", 2, 29),
    reminded("KS-202610-000017", 1, 17),
    SUSPENDED,
    reminded("KS-202610-000017", 2, 3),
]


def receivable(number: str) -> Receivable:
    holder, _, minor = OWED[number]
    sums: dict[str, Any] = {"total_minor": minor, "outstanding_minor": minor}
    sums |= dict.fromkeys(("paid_minor", "credited_minor", "refunded_minor"), 0)
    told: dict[str, Any] = {"statement": number, "period": f"{number[3:7]}-{number[7:9]}", "holder": holder}
    told |= dict.fromkeys(("invoice", "number", "url", "stopped"), "")
    state: dict[str, Any] = {"provider": "bank", "currency": "CNY", "sent_at": NOW, "voided": False}
    return Receivable(**told, **sums, **state, is_party=True, due_on=due_on(number))


def shown(holder: str | None = None, ran: str = "") -> dict[str, Any]:
    """As finance sees it, or one holder his own."""
    told = [each for each in TOLD if holder in {None, each.holder}]
    owed = [receivable(number) for number, (whose, _, _) in OWED.items() if holder in {None, whose}]
    standing = desk.standing(owed, desk.by_holder(told), Ladder(), NOW)
    stopped = [Stopped(SUSPENDED, ["bulk.query", "feed.pull"], overdue=True)] if holder in {None, OURS} else []
    found = Found(standing, stopped, told[::-1], 1, set(), NAMES, Ladder())
    return {"refused": "", "acts": holder is None, "everybody": holder is None, **pages.view(found, NOW, ran=ran)}
