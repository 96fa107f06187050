"""A made-up subscriber, for pages: what is ordered, some of it nearly used up; two endpoints, one of them broken."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.portal.pages import Offer
from api.portal.subscriptions import Card, Found, Line
from api.push.health import Attempt, Backlog, Health
from domain.subscription import STATES
from tests import sample_answers

NOW = datetime(2026, 10, 20, 4, tzinfo=UTC)
UNITS: Sequence[tuple[str, int, int | None]] = (
    ("feed.pull", 12_345, None),
    ("feed.push", 8_300, 10_000),
    ("bulk.query", 1_000, 1_000),
    ("eta.estimate", 3, 100),
)


def found(offers: Sequence[Offer]) -> Found:
    """All of the page."""
    listed = {offer.item.item: offer for offer in offers}
    cards = [
        Card("0198c0de-2", "active", STATES["active"], NOW - timedelta(days=50), None, _lines(listed)),
        Card("0198c0de-1", "suspended", STATES["suspended"], NOW - timedelta(days=90), None, _lines(listed)[:1]),
        Card("0198c0de-0", "ended", STATES["ended"], NOW - timedelta(days=150), NOW, _lines(listed)),
    ]
    others = [offer for offer in offers if offer.price and offer.item.item in {"alerts.push", "history.export"}]
    return Found(cards, others, [_well(), _broken()], sample_answers.used())


def _lines(listed: Mapping[str, Offer]) -> list[Line]:
    return [
        Line(
            offer=listed.get(item),
            item=item,
            tariff=f"{item}/sample-2026",
            used=used,
            limit=limit,
            hard=item == "bulk.query",
        )
        for item, used, limit in UNITS
    ]


def _well() -> Health:
    log = [
        Attempt(
            at=NOW - timedelta(minutes=number),
            message_id=f"msg_0198c0de_{number}",
            subject="container:CSQU3054383",
            attempt=1,
            seconds=0.03,
            status=200 if number else None,
            error="" if number else "连接超时 / connection timed out",
        )
        for number in range(3)
    ]
    return Health(
        id=UUID(int=1),
        account="mover",
        item="feed.push",
        url="https://hooks.example.com/kouan/events",
        state="active",
        reason="",
        succeeded_at=NOW,
        failing_since=None,
        failures=0,
        next_at=None,
        backlog=Backlog(waiting=0, oldest_at=None, failed=0, withheld=0),
        attempts=log,
    )


def _broken() -> Health:
    return Health(
        id=UUID(int=2),
        account="mover",
        item="alerts.push",
        url="https://a-very-long-name-of-a-host.logistics.example.com/receivers/of/alerts/that/goes/on?token=none",
        state="disabled",
        reason="连续五天无一成功 / nothing was taken for five days",
        succeeded_at=NOW - timedelta(days=6),
        failing_since=NOW - timedelta(days=6),
        failures=30,
        next_at=NOW,
        backlog=Backlog(waiting=17, oldest_at=NOW - timedelta(days=6), failed=2, withheld=0),
        attempts=[],
    )
