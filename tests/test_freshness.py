"""How fresh a source is: its usual interval is learnt from what it sent, and only an unusual silence is called one."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from domain.container import GatedIn, HoldPlaced
from domain.fact import Confirmed, Fact, digest_id
from domain.journal import Entry
from projections import freshness
from projections.freshness import late
from tests.fixtures_node import Node

START = datetime(2026, 3, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BOX = "container:CSQU3054383"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as made:
        yield made


def told(at: datetime, source: str = "terminal", happened_at: datetime | None = None) -> GatedIn:
    happened = happened_at or at - 5 * MINUTE
    return GatedIn(happened_at=happened, recorded_at=at, source=source, message_id=digest_id("m"), code="GATE_IN")


def entries(facts: Sequence[Fact]) -> list[Entry]:
    return [Entry(place, BOX, place, digest_id(str(place)), each) for place, each in enumerate(facts, 1)]


def project(connection: psycopg.Connection[Any], facts: Sequence[Fact], batch: int = 2_000) -> None:
    found = entries(facts)
    with connection.cursor() as cursor:
        for start in range(0, len(found), batch):
            freshness.project(cursor, found[start : start + batch])


def every(gap: timedelta, count: int, start: datetime = START, source: str = "terminal") -> list[Fact]:
    return [told(start + number * gap, source) for number in range(count)]


def names(connection: psycopg.Connection[Any], now: datetime) -> list[str]:
    return [each.source for each in late(connection, None, now)]


def test_a_source_that_speaks_every_five_minutes_is_late_after_three_times_that(
    connection: psycopg.Connection[Any],
) -> None:
    project(connection, every(5 * MINUTE, 100))
    last = START + 99 * 5 * MINUTE
    assert names(connection, last + 15 * MINUTE) == []
    [silence] = late(connection, ["terminal"], last + 16 * MINUTE)
    assert (silence.source, silence.last_at, silence.usual_interval_s, silence.silent_for_s) == (
        "terminal",
        last,
        300,
        960,
    )
    assert silence.zh == "terminal 自北京时间 2026-03-02 16:15 起没有消息，已16分钟；平常每5分钟一次"
    assert silence.en == "nothing from terminal for 16 min, since 2026-03-02T08:15Z; usually every 5 min"


def test_a_source_with_too_few_messages_is_never_called_late(connection: psycopg.Connection[Any]) -> None:
    project(connection, every(5 * MINUTE, freshness.SENDINGS_MIN - 1))
    assert names(connection, START + 300 * DAY) == []


def test_a_source_that_was_never_heard_is_not_late_and_not_known(connection: psycopg.Connection[Any]) -> None:
    assert late(connection, ["nobody"], START) == []
    assert late(connection, [], START) == []


def test_a_burst_is_one_sending_and_makes_nobody_late(connection: psycopg.Connection[Any]) -> None:
    bursts = [told(START + hour * HOUR + n * timedelta(milliseconds=20)) for hour in range(48) for n in range(30)]
    project(connection, bursts)
    assert names(connection, bursts[-1].recorded_at + 2 * HOUR) == []
    assert names(connection, bursts[-1].recorded_at + 4 * HOUR) == ["terminal"]


def test_a_night_without_work_is_no_silence_when_it_is_usual(connection: psycopg.Connection[Any]) -> None:
    days = [told(START + day * DAY + n * 10 * MINUTE) for day in range(14) for n in range(60)]
    project(connection, days)
    evening = days[-1].recorded_at
    assert names(connection, evening + 14 * HOUR) == []
    assert names(connection, evening + 3 * DAY) == ["terminal"]


def test_an_old_rhythm_fades(connection: psycopg.Connection[Any]) -> None:
    slow = every(12 * HOUR, 60)
    quick = every(10 * MINUTE, 60 * 24 * 6, start=slow[-1].recorded_at)
    project(connection, [*slow, *quick])
    assert names(connection, quick[-1].recorded_at + 2 * HOUR) == ["terminal"]


def test_sources_are_told_apart(connection: psycopg.Connection[Any]) -> None:
    both = [*every(5 * MINUTE, 50), *every(5 * MINUTE, 300, source="line")]
    project(connection, sorted(both, key=lambda each: each.recorded_at))
    now = START + 300 * 5 * MINUTE
    assert names(connection, now) == ["terminal"]
    assert late(connection, ["line"], now) == []


def test_confirmations_are_words_of_their_source_and_decisions_of_nobody(connection: psycopg.Connection[Any]) -> None:
    confirmed = Confirmed(
        happened_at=START, recorded_at=START + HOUR, fact_id=digest_id("x"), source="line", message_id=digest_id("m")
    )
    hold = HoldPlaced(
        happened_at=START, recorded_at=START, authority="customs", reason="x", reference="H1", by="operator"
    )
    project(connection, [told(START), confirmed, hold])
    rows = {each.source: (each.facts, each.last_recorded_at) for each in freshness.freshness(connection)}
    assert rows == {"terminal": (1, START), "line": (1, START + HOUR)}


def test_the_lag_is_the_median_from_event_to_receipt(connection: psycopg.Connection[Any]) -> None:
    project(connection, [told(START + n * HOUR, happened_at=START + (n - 1) * HOUR) for n in range(9)])
    [heard] = freshness.freshness(connection)
    assert freshness.lag_s(heard) == 3600
    assert heard.last_happened_at == START + 7 * HOUR


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=some.lists(some.integers(0, 10**7), min_size=1, max_size=60),
    speakers=some.lists(some.sampled_from(["terminal", "line"]), min_size=60, max_size=60),
)
def test_batches_of_any_size_give_the_same_rows(
    connection: psycopg.Connection[Any], gaps: list[int], speakers: list[str]
) -> None:
    times = [START + timedelta(milliseconds=passed) for passed in accumulate(gaps)]
    facts = [told(at, source) for at, source in zip(times, speakers, strict=False)]
    found = []
    for batch in (1, 7, 2_000):
        project(connection, facts, batch)
        found.append(freshness.freshness(connection))
        connection.rollback()
    assert found[0] == found[1] == found[2]


# --- as it is asked for ---


def test_an_operator_sees_every_source_and_a_source_itself(node: Node) -> None:
    event = {"id": "1", "subject": BOX, "code": "GATE_IN", "happened_at": "2026-03-01T12:00:00+08:00"}
    node.tell(event)
    node.tell({**event, "id": "2", "code": "GATE_OUT", "happened_at": "2026-03-02T12:00:00+08:00"}, who="line")
    shown = node.get("/v1/sources/freshness", "operator").json()["sources"]
    assert [each["source"] for each in shown] == ["line", "terminal"]
    [own] = node.get("/v1/sources/freshness", "source").json()["sources"]
    assert (own["source"], own["facts"], own["sendings"], own["silence"]) == ("terminal", 1, 1, None)
    assert own["silent_for_s"] >= 0
    assert node.get("/v1/sources/freshness").status_code == 403
