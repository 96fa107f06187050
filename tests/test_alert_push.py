"""Alerts as they are pushed: each comes and goes once, in one order for all, and to whom may see it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from api.app import Works
from api.delivery import ALERTS_PUSH
from api.identity import Account
from api.pool import open_pool
from api.push import alert_log
from api.push.alert_source import Alerts
from api.push.sources import Batch, Endpoint
from api.settings import Settings
from api.way_out import Looking
from domain.feed_filter import FeedFilter
from projections import sight
from tests.fixtures_node import PEOPLE, Node
from tests.test_alerts_api import BOX, OTHER, event

NOW = datetime.now(UTC)
UNRELEASED = "gated_out_unreleased"


class Desk:
    """A source, and whoever looks through it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.works = Works(node.conninfo, Settings.read())
        self.source = Alerts(self.works.pool)

    def next(self, after: int = 0, who: str = "logistics", limit: int = 100, **wanted: Any) -> Batch:
        self.source._noticed = -alert_log.KEPT.total_seconds()
        return self.look(lambda looking: self.source.next(looking, endpoint(who, **wanted), after, limit), PEOPLE[who])

    def look(self, work: Callable[[Looking], Batch], account: Account) -> Batch:
        view = self.works.register.view(account, "push", commercial=True)
        with self.works.readers.connection() as connection, sight.opened(connection, view) as look:
            return work(Looking(look))

    def stop(self) -> None:
        async def over() -> None:
            async with self.works.lifespan():
                pass

        asyncio.run(over())


def endpoint(who: str, **wanted: Any) -> Endpoint:
    account = PEOPLE[who].account
    return Endpoint(
        endpoint_id=UUID(int=1),
        account=account,
        item=ALERTS_PUSH.code,
        dialect="webhook",
        url="http://127.0.0.1:1/",
        wanted=FeedFilter(**wanted),
    )


@pytest.fixture
def desk(node: Node) -> Iterator[Desk]:
    made = Desk(node)
    yield made
    made.stop()


def told(batch: Batch) -> list[tuple[str, str, str]]:
    return [
        (each.type, each.subject.partition(":")[2], json.loads(bytes(each.data))["alert"]["code"])
        for each in batch.messages
    ]


def gate_out(node: Node, *boxes: str) -> None:
    node.tell(*(event(code, box) for box in boxes for code in ("DISCHARGED", "GATE_OUT")))


def test_an_alert_comes_and_goes_once_each(desk: Desk) -> None:
    gate_out(desk.node, BOX, OTHER)
    first = desk.next()
    assert sorted(told(first)) == [("alert.raised", BOX, UNRELEASED), ("alert.raised", OTHER, UNRELEASED)]
    assert told(desk.next(first.last)) == []
    desk.node.tell(event("IMP_RELEASED", OTHER))
    second = desk.next(first.last)
    assert told(second) == [("alert.ended", OTHER, UNRELEASED)]
    ended = json.loads(bytes(second.messages[0].data))
    assert (ended["event"], ended["alert"]["state"]) == ("ended", "cleared")
    assert told(desk.next(second.last)) == []
    assert [told(desk.next(0))[: len(first.messages)], told(desk.next(0))[-1:]] == [told(first), told(second)]


def test_a_message_can_be_read_again_by_its_position(desk: Desk) -> None:
    gate_out(desk.node, BOX, OTHER)
    batch = desk.next()
    positions = [each.position for each in batch.messages]
    again = desk.look(lambda looking: desk.source.again(looking, endpoint("logistics"), positions), PEOPLE["logistics"])
    assert again.messages == batch.messages


def test_pages_follow_each_other_without_gap_or_double(desk: Desk) -> None:
    boxes = [BOX, OTHER, "TOLU4734787"]
    gate_out(desk.node, *boxes)
    seen, after, more = [], 0, True
    while more:
        batch = desk.next(after, limit=1)
        seen += told(batch)
        after, more = batch.last, batch.more
    assert sorted(box for _, box, _ in seen) == sorted(boxes)


def test_what_was_over_before_it_was_noticed_is_not_told(desk: Desk) -> None:
    gate_out(desk.node, OTHER)
    desk.node.tell(event("IMP_RELEASED", OTHER))
    assert told(desk.next()) == []


def test_two_that_look_at_once_write_nothing_twice(desk: Desk) -> None:
    gate_out(desk.node, BOX, OTHER)
    with open_pool(desk.node.conninfo) as pool, ThreadPoolExecutor(4) as many:
        counts = list(many.map(lambda _: alert_log.notice(pool, NOW), range(8)))
    assert sum(counts) == 2
    assert desk.node.rows("SELECT count(*) FROM alert_log") == [(2,)]


def test_a_rebuild_of_the_alerts_ends_none(desk: Desk) -> None:
    gate_out(desk.node, BOX)
    assert len(desk.next().messages) == 1
    with psycopg.connect(desk.node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE read_model_positions SET position = 0 WHERE name = 'alerts'")
        connection.execute("TRUNCATE alert_conditions, alert_states")
    assert alert_log.notice(desk.works.pool, NOW) == 0
    desk.node.catch_up()
    assert alert_log.notice(desk.works.pool, NOW) == 0
    assert desk.node.rows("SELECT event FROM alert_log") == [("raised",)]


def test_of_a_wish_the_subjects_count(desk: Desk) -> None:
    gate_out(desk.node, BOX, OTHER)
    assert told(desk.next(subjects=(f"container:{BOX}",))) == [("alert.raised", BOX, UNRELEASED)]


def test_who_may_not_see_it_is_told_nothing(closed_node: Node) -> None:
    gate_out(closed_node, BOX)
    desk = Desk(closed_node)
    try:
        batch = desk.next()
        assert (told(batch), batch.last > 0) == ([], True)
    finally:
        desk.stop()


def test_the_log_is_kept_for_a_while(desk: Desk) -> None:
    gate_out(desk.node, BOX)
    assert alert_log.notice(desk.works.pool, NOW) == 1
    alert_log.notice(desk.works.pool, NOW + alert_log.KEPT + timedelta(days=1))
    assert desk.node.rows("SELECT count(*) FROM alert_log WHERE noticed_at = %s", NOW) == [(0,)]
