"""The sources' clocks: rules at the door, policies that operators set, and figures that add up."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api import sources
from domain import clocks as rules
from projections import clocks
from projections.clocks import BUCKETS, EDGES, bucket, percentile
from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN, statuses

EPCIS = "/epcis/v2"


def event(number: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {**GATE_IN, "id": number, "happened_at": at.isoformat(), **more}


def post(node: Node, *events: dict[str, Any], who: str = "source") -> Any:
    return node.post("native", json.dumps(events).encode(), who)


def ahead(**how_much: int) -> datetime:
    return datetime.now(UTC) + timedelta(**how_much)


def put(node: Node, source: str, who: str = "operator", **policy: Any) -> Any:
    headers = {**node.bearer(who), "Content-Type": "application/json"}
    return node.client.put(f"/v1/sources/{source}/policy", content=json.dumps(policy), headers=headers)


def shown(node: Node, source: str, who: str = "operator") -> dict[str, Any]:
    node.catch_up()
    found: list[dict[str, Any]] = node.get("/v1/sources", who).json()["sources"]
    return next(each for each in found if each["source"] == source)


# --- at the door ---


def test_an_actual_event_of_tomorrow_is_quarantined_and_its_neighbour_recorded(node: Node) -> None:
    answer = post(node, event("1", ahead(days=1)), event("2", ahead(minutes=10)))
    assert statuses(answer) == ["quarantined", "recorded"]
    problem = answer.json()["receipts"][0]["problem"]
    assert problem["code"] == "time.future"
    assert "实际发生的时间晚于收到时间" in problem["detail"]
    assert json.dumps([event("1", ahead(days=1))]).encode()[problem["offset"] :].startswith(b"CSQU3054383")


def test_a_plan_for_tomorrow_is_recorded_and_one_for_the_next_decade_is_not(node: Node) -> None:
    answer = post(node, event("1", ahead(days=1), classifier="PLN"), event("2", ahead(days=4000), classifier="EST"))
    assert statuses(answer) == ["recorded", "quarantined"]
    assert answer.json()["receipts"][1]["problem"]["code"] == "time.far"


def test_what_was_future_is_taken_when_it_comes_again_in_its_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    early = event("1", ahead(days=1))
    assert statuses(post(node, early)) == ["quarantined"]
    monkeypatch.setattr(rules, "FUTURE", timedelta(days=1))  # as if a day had passed
    assert statuses(post(node, early)) == ["recorded"]


def test_a_local_time_in_doubt_is_recorded_with_its_warning(node: Node) -> None:
    doubtful = {**GATE_IN, "happened_at": "2025-10-26T02:30", "place": "DEHAM"}
    [receipt] = post(node, doubtful).json()["receipts"]
    assert receipt["status"] == "recorded"
    assert any("occurs twice" in warning for warning in receipt["warnings"])
    node.catch_up()
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert (line["zone"], line["zone_from"], line["warnings"]) == ("Europe/Berlin", "place", receipt["warnings"])


# --- policies ---


def test_a_source_may_have_its_future_taken_as_expected(node: Node) -> None:
    assert put(node, "terminal", on_future="estimate").json()["on_future"] == "estimate"
    answer = post(node, event("1", ahead(hours=3)))
    assert statuses(answer) == ["recorded"]
    assert any("taken as expected" in warning for warning in answer.json()["receipts"][0]["warnings"])
    node.catch_up()
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert line["classifier"] == "EST"
    assert statuses(post(node, event("1", ahead(hours=3), place="CNSHG"), who="line")) == ["quarantined"]


def test_a_policy_counts_for_every_way_in(node: Node) -> None:
    put(node, "terminal", on_future="estimate")
    told = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "ObjectEvent",
        "eventTime": ahead(hours=3).isoformat(),
        "eventTimeZoneOffset": "+00:00",
        "epcList": ["https://id.gs1.org/8004/CSQU3054383"],
        "action": "OBSERVE",
        "bizStep": "arriving",
    }
    headers = {**node.bearer("source"), "Content-Type": "application/ld+json"}
    answer = node.client.post(f"{EPCIS}/events", content=json.dumps(told), headers=headers)
    assert answer.status_code == 201, answer.text


def test_a_message_in_quarantine_is_replayed_under_the_policy_of_its_source(node: Node) -> None:
    assert statuses(post(node, event("1", ahead(hours=3)))) == ["quarantined"]
    [message_id] = [row[0] for row in node.rows("SELECT message_id FROM cargo_quarantine")]
    address = f"/v1/quarantine/{message_id}/replay"
    assert node.client.post(address, headers=node.bearer("operator")).json()["state"] == "open"
    put(node, "terminal", on_future="estimate")
    assert node.client.post(address, headers=node.bearer("operator")).json()["state"] == "mended"


def test_the_zone_of_a_source_is_taken_where_no_place_tells_one(node: Node) -> None:
    put(node, "terminal", zone="Asia/Shanghai")
    assert statuses(post(node, {**GATE_IN, "happened_at": "2026-03-01T12:00:00", "place": "gate 4"})) == ["recorded"]
    node.catch_up()
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert (line["happened_at"], line["zone_from"]) == ("2026-03-01T12:00:00+08:00", "source")


def test_other_processes_learn_of_a_policy_within_seconds(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "POLICY_SECONDS", 60.0)
    assert statuses(post(node, event("1", ahead(hours=3)))) == ["quarantined"]
    node.rows("INSERT INTO source_policies VALUES ('terminal', 'estimate', '', 'elsewhere', now()) RETURNING source")
    assert statuses(post(node, event("1", ahead(hours=3)))) == ["quarantined"]
    monkeypatch.setattr(sources, "POLICY_SECONDS", 0.0)
    assert statuses(post(node, event("1", ahead(hours=3)))) == ["recorded"]


@pytest.mark.parametrize(
    ("source", "who", "policy", "status"),
    [
        ("terminal", "source", {"on_future": "estimate"}, 403),
        ("terminal", "enterprise", {"on_future": "estimate"}, 403),
        ("terminal", "", {"on_future": "estimate"}, 401),
        ("nobody", "operator", {"on_future": "estimate"}, 404),
        ("%00", "operator", {"on_future": "estimate"}, 422),
        ("terminal", "operator", {"on_future": "drop"}, 422),
        ("terminal", "operator", {"on_futrue": "estimate"}, 422),
        ("terminal", "operator", {"zone": "Beijing"}, 422),
    ],
)
def test_only_an_operator_sets_a_policy_and_only_one_that_exists(
    node: Node, source: str, who: str, policy: dict[str, str], status: int
) -> None:
    assert put(node, source, who, **policy).status_code == status
    assert node.rows("SELECT * FROM source_policies") == []


def test_a_policy_says_who_set_it_and_the_strict_one_comes_back_with_an_empty_body(node: Node) -> None:
    put(node, "terminal", on_future="estimate", zone="Asia/Shanghai")
    assert node.rows("SELECT source, on_future, zone, changed_by FROM source_policies") == [
        ("terminal", "estimate", "Asia/Shanghai", "operator")
    ]
    assert put(node, "terminal").json()["on_future"] == "quarantine"


def test_the_policies_outlive_a_database_that_is_away(node: Node) -> None:
    put(node, "terminal", on_future="estimate")
    pool = node.client.app.state.gatekeeper.pool
    known = sources.policies(pool)
    assert known.of("terminal").on_future == "estimate"
    known.forget()
    pool.close()
    assert known.of("terminal").on_future == "estimate"


# --- figures ---


def test_an_operator_sees_every_source_and_a_source_itself_alone(node: Node) -> None:
    names = [each["source"] for each in node.get("/v1/sources", "operator").json()["sources"]]
    assert names == ["line", "terminal"]
    assert [each["source"] for each in node.get("/v1/sources", "line").json()["sources"]] == ["line"]
    assert node.get("/v1/sources", "enterprise").status_code == 403
    assert shown(node, "line")["remark_zh"] == "尚无报送"


def test_the_figures_of_a_source_are_told_with_their_verdict(node: Node) -> None:
    now = datetime.now(UTC)
    sent = (now - timedelta(hours=2)).isoformat()
    post(
        node,
        event("1", now - timedelta(hours=3), sent_at=sent),
        event("2", now - timedelta(days=1000), sent_at=sent),
        event("3", now - timedelta(hours=4), sent_at=sent),
        event("4", now + timedelta(days=9), classifier="EST"),
        event("5", now + timedelta(days=9)),
    )
    post(
        node, {**event("1", now - timedelta(hours=3)), "happened_at": "2026-03-01T12:00", "place": "CNSHG"}, who="line"
    )
    told = shown(node, "terminal")
    assert (told["facts"], told["without_sent_at"], told["old"], told["future"], told["quarantined"]) == (4, 1, 1, 0, 1)
    assert told["last_happened_at"] == (now - timedelta(hours=3)).isoformat().replace("+00:00", "Z")
    assert told["zone_from"] == {"stated": 4, "place": 0, "source": 0, "assumed": 0}
    assert 3600 < told["skew_seconds"] <= 14_400
    assert (told["skewed"], told["remark_en"][:23]) == (True, "received long after sen")
    assert shown(node, "line")["zone_from"]["place"] == 1
    assert shown(node, "line")["remark_en"].startswith("its messages do not say when")


@pytest.mark.parametrize(("minutes", "skewed"), [(-4, False), (-6, True), (4, False), (6, True)])
def test_a_clock_is_skewed_beyond_five_minutes_either_way(node: Node, minutes: int, skewed: bool) -> None:
    now = datetime.now(UTC)
    sent = (now - timedelta(minutes=minutes)).isoformat()
    post(node, *(event(str(number), now - timedelta(hours=number), sent_at=sent) for number in range(1, 6)))
    told = shown(node, "terminal")
    assert told["skewed"] is skewed
    assert told["sent_ahead"] == (5 if minutes < -5 else 0)
    assert (told["skew_seconds"] > 0) is (minutes > 0)


def test_confirmations_and_withdrawals_are_counted_for_who_made_them(node: Node) -> None:
    now = datetime.now(UTC)
    post(node, event("1", now, document="D1"))
    post(node, event("7", now), who="line")
    post(node, {"id": "2", "function": "cancel", "document": "D1"})
    told = {name: shown(node, name) for name in ("terminal", "line")}
    assert [told[name][what] for name in told for what in ("facts", "confirmations", "withdrawals")] == [
        1,
        0,
        1,
        0,
        1,
        0,
    ]


# --- delays ---


def test_five_minutes_and_no_more_are_even() -> None:
    for seconds in (-300, 300):
        counts = [0] * BUCKETS
        counts[bucket(seconds)] = 1
        told = percentile(counts, 0.5)
        assert told is not None
        assert abs(told) <= 300 < abs(percentile_of(seconds * 1.001))


def percentile_of(seconds: float) -> float:
    counts = [0] * BUCKETS
    counts[bucket(seconds)] = 1
    told = percentile(counts, 0.5)
    assert told is not None
    return told


@given(
    delays=some.lists(some.floats(min_value=-2.6e6, max_value=2.6e6), min_size=1),
    share=some.sampled_from([0.5, 0.99]),
)
def test_a_percentile_lies_in_the_bucket_of_the_delay_at_its_rank(delays: list[float], share: float) -> None:
    counts = [0] * BUCKETS
    for delay in delays:
        counts[bucket(delay)] += 1
    told = percentile(counts, share)
    rank = max(0, -(-int(share * 100) * len(delays) // 100) - 1)
    assert told is not None
    low, high = clocks._bounds(bucket(sorted(delays)[rank]) - len(EDGES))
    assert low <= told <= high


def test_no_delays_have_no_percentile() -> None:
    assert percentile([0] * BUCKETS, 0.5) is None


def test_buckets_have_no_gap_between_them() -> None:
    ends = [clocks._bounds(step) for step in range(-len(EDGES) + 1, len(EDGES))]
    assert all(one[1] == other[0] for one, other in pairwise(ends))
