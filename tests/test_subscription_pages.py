"""The subscriber's page: what is ordered and used, how endpoints fare, in both languages, and one's own alone."""

from datetime import UTC, datetime

import psycopg
import pytest

from api.identity import Account
from api.portal.subscriptions import Line
from tests.fixtures_node import Node
from tests.open_register import subscribed

PATH = "/subscriptions"
OURS, THEIRS = "91320000MA0000277B", "91320000MA0000269G"
ENDPOINT = """
INSERT INTO push_endpoints (
    endpoint_id, account, item, dialect, url, state, reason, made_at, changed_at, epoch, after, next_at
) VALUES (
    gen_random_uuid(), %s, 'feed.push', 'webhook', %s, 'paused', '由用户暂停 / paused by its owner', %s, %s, 0, 0, %s
)
"""


@pytest.fixture
def subscriber(closed_node: Node) -> Node:
    closed_node.open("us", Account("us", "logistics", "甲", "Us", party=OURS))
    closed_node.open("them", Account("them", "logistics", "乙", "Them", party=THEIRS))
    closed_node.decide("commerce", *subscribed("us", OURS, ["feed.pull", "bulk.query"]))
    return closed_node


def shown(node: Node, who: str, lang: str = "zh") -> str:
    answer = node.get(PATH, who, lang=lang)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def test_whoever_is_not_signed_in_is_asked_to(closed_node: Node) -> None:
    assert closed_node.get(PATH, "").status_code == 401


def test_ones_subscriptions_and_what_else_is_on_sale(subscriber: Node) -> None:
    for lang, word in (("zh", "有效"), ("en", "active")):
        page = shown(subscriber, "us", lang)
        assert f"S-{OURS}" in page
        assert word in page
        ordered, _, others = page.partition("可订阅的项目" if lang == "zh" else "On sale")
        assert "feed.pull" in ordered
        assert "feed.push" in others


def test_nobody_sees_anothers(subscriber: Node) -> None:
    with psycopg.connect(subscriber.conninfo, autocommit=True) as connection:
        now = datetime.now(UTC)
        connection.execute(ENDPOINT, ("us", "https://hooks.example.com/ours", now, now, now))
    assert "hooks.example.com/ours" in shown(subscriber, "us")
    assert "paused by its owner" in shown(subscriber, "us", "en")
    for who in ("them", "logistics", "operator"):
        page = shown(subscriber, who)
        assert f"S-{OURS}" not in page
        if who != "operator":
            assert "hooks.example.com/ours" not in page


@pytest.mark.parametrize(
    ("used", "limit", "mark", "per_cent"),
    [(0, 10, 0, 0), (7, 10, 0, 70), (8, 10, 80, 80), (10, 10, 100, 100), (30, 10, 100, 100), (5, None, 0, 0)],
)
def test_eighty_and_a_hundred_per_cent_are_marked(used: int, limit: int | None, mark: int, per_cent: int) -> None:
    line = Line(offer=None, item="x", tariff="", used=used, limit=limit)
    assert (line.mark, line.per_cent) == (mark, per_cent)
