"""The feed's filters: every combination brings what the rule says, by pages of any size and by stream."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from api import feeding
from api.identity import Account
from api.pool import Pool, open_pool, open_readers
from api.register import Register
from api.way_out import Looking
from domain.datasets import PORT, ROAD
from domain.fact import digest_id
from domain.feed_filter import BadFilter, Estimate, FeedFilter, checked, held_back, streams
from projections import sight
from projections.rights import View
from tests.feed_world import AWB, BILL, BOX, expected, fill, pairs, shown_to
from tests.fixtures_node import PEOPLE, Node
from tests.test_sight import decide, granted, named, owned

KINDS: dict[str, Any] = {
    "subject": ([], [BOX], [f"bl:{BILL}", AWB]),
    "code": ([], ["VSL_ARR"], ["DISCHARGED", "ROLLED", "HOLD_PLACED"]),
    "place": ([], ["CNSHA"], ["NLRTM", "Berth 7"]),
    "mode": ([], ["VESSEL"], ["TRUCK", "AIR"]),
    "class": ([], ["EST"], ["ACT", "PLN"]),
    "source": ([], ["line"]),
    "eta": ((0, 0), (2, 0), (2, 60), (0, 120)),
    "exceptions": (False, True),
    "form": ("fact", "state"),
}


def asked(chosen: dict[str, Any]) -> dict[str, Any]:
    """A combination as query parameters."""
    hours, minutes = chosen["eta"]
    several = {name: chosen[name] for name in ("subject", "code", "place", "mode", "class", "source") if chosen[name]}
    return {**several, "eta_hours": hours, "eta_quiet_minutes": minutes} | {
        "exceptions": str(chosen["exceptions"]).lower(),
        "form": chosen["form"],
    }


def wish(chosen: dict[str, Any]) -> FeedFilter:
    hours, minutes = chosen["eta"]
    wanted = FeedFilter(
        subjects=tuple(chosen["subject"]),
        codes=tuple(chosen["code"]),
        places=tuple(chosen["place"]),
        modes=tuple(chosen["mode"]),
        classes=tuple(chosen["class"]),
        sources=tuple(chosen["source"]),
        eta_hours=hours,
        eta_quiet_minutes=minutes,
        exceptions=chosen["exceptions"],
    )
    return checked(wanted)


def pulled(node: Node, who: str, limit: int, **params: Any) -> list[Any]:
    items, after, more = [], "", True
    while more:
        answer = node.get("/v1/feed", who, after=after, limit=limit, **params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        after, more = page["next"], page["more"]
    return items


def streamed(node: Node, who: str, **params: Any) -> list[Any]:
    """All that comes in one second."""
    headers = {**node.bearer(who), "Accept": "text/event-stream"}
    answer = node.client.get("/v1/feed/stream", params={**params, "seconds": 1}, headers=headers)
    assert answer.status_code == 200, answer.text
    events = [dict(line.split(": ", 1) for line in each.splitlines()) for each in answer.text.split("\n\n") if each]
    return [json.loads(event["data"]) for event in events if "data" in event and "event" not in event]


def view_of(node: Node, account: Account) -> View:
    with open_pool(node.conninfo) as pool:
        return Register(pool).view(account, "api", commercial=True)


@pytest.mark.slow
def test_every_pair_of_conditions_brings_what_the_rule_says(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    fill(node, dice)
    everything = shown_to(node, view_of(node, PEOPLE["logistics"]))
    assert len(everything) == 150
    combinations = list(pairs(KINDS, dice))
    found = []
    for number, chosen in enumerate(combinations):
        rule = expected(everything, wish(chosen))
        found.append(len(rule))
        monkeypatch.setattr(feeding, "WINDOW", dice.choice([7, 50_000]))
        for limit in (1 + number % 3, 11, 10_000):
            items = pulled(node, "logistics", limit, **asked(chosen))
            assert [item["position"] for item in items] == rule, (chosen, limit)
    assert sum(map(bool, found)) > len(found) / 3, "hardly any combination brings anything"
    print(f"{len(combinations)} combinations of {len(KINDS)} conditions, {sum(found)} facts")


@pytest.mark.slow
def test_a_stream_brings_what_the_pages_bring(node: Node) -> None:
    dice = random.Random(4)
    fill(node, dice)
    combinations = list(pairs(KINDS, dice))
    everything = shown_to(node, view_of(node, PEOPLE["logistics"]))
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda chosen: streamed(node, "logistics", **asked(chosen)), combinations))
    for chosen, items in zip(combinations, told, strict=True):
        assert [item["position"] for item in items] == expected(everything, wish(chosen)), chosen


CARRIER = "LOGISTICS-1"
VIEWS: dict[str, list[Any]] = {
    "own": [named(CARRIER, BILL)],
    "own and in part": [
        named(CARRIER, BILL),
        owned(PORT),
        granted(CARRIER, dataset=PORT, channels=("api",), commercial=True, masking=("source", "place")),
    ],
    "in part": [
        owned(PORT),
        owned(ROAD),
        granted(CARRIER, dataset=PORT, channels=("api",), commercial=True, masking=("source",), number="P1"),
        granted(CARRIER, dataset=ROAD, channels=("api",), commercial=True, number="P2"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_what_a_view_hides_meets_no_condition(closed_node: Node, name: str) -> None:
    dice = random.Random(5)
    fill(closed_node, dice, 100)
    decide(closed_node, *VIEWS[name])
    view = view_of(closed_node, Account("carrier", "logistics", "物流", "Carrier", party=CARRIER))
    everything = shown_to(closed_node, view)
    assert 10 < len(everything) < 100
    with open_pool(closed_node.conninfo) as pool, open_readers(closed_node.conninfo) as readers:
        for number, chosen in enumerate(pairs(KINDS, dice)):
            rule = expected(everything, wish(chosen))
            for limit in (1 + number % 3, 10_000):
                assert paged(pool, readers, view, limit, wish(chosen)) == rule, (chosen, limit)


def paged(pool: Pool, readers: Pool, view: View, limit: int, wanted: FeedFilter) -> list[int]:
    positions, after, more = [], 0, True
    while more:
        with readers.connection() as connection, sight.opened(connection, view) as look:
            page = feeding.page(Looking(look), pool, after, limit, wanted)
        positions += [item.position for item in page.items]
        after, more = page.last, page.more
    return positions


@pytest.mark.slow
def test_a_wish_for_what_is_hidden_does_not_tell_by_its_cursor_where_it_is(closed_node: Node) -> None:
    """The same pages, whether or not a hidden source is the one that is asked for."""
    fill(closed_node, random.Random(6), 60)
    decide(closed_node, *VIEWS["own and in part"])
    view = view_of(closed_node, Account("carrier", "logistics", "物流", "Carrier", party=CARRIER))
    view = msgspec.structs.replace(view, own=(), parties=())
    with open_pool(closed_node.conninfo) as pool, open_readers(closed_node.conninfo) as readers:
        told = []
        for source in ("terminal", "nobody"):
            with readers.connection() as connection, sight.opened(connection, view) as look:
                page = feeding.page(Looking(look), pool, 0, 1, FeedFilter(sources=(source,)))
            told.append((page.items, page.last, page.more))
    assert told[0] == told[1]


# --- on the way in ---


def test_a_number_stands_for_all_that_it_may_be_and_a_stream_for_itself() -> None:
    assert streams("csqu 305438-3") == (f"container:{BOX}", f"bl:{BOX}", f"booking:{BOX}")
    assert streams(f"bl:{BILL}") == (f"bl:{BILL}",)
    assert checked(FeedFilter(subjects=(BILL, f"bl:{BILL}"))).subjects[0] == f"bl:{BILL}"


def test_a_place_is_found_under_every_name_it_is_kept_by() -> None:
    assert {"CNSHG", "CNSHA"} <= set(checked(FeedFilter(places=("CNSHA",))).places)
    assert checked(FeedFilter(places=("Berth 7",))).places == ("Berth 7",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "NEVER_HEARD"),
        ("class", "REQ"),
        ("mode", "SPACESHIP"),
        ("place", "x" * 129),
        ("source", " "),
        ("eta_hours", "-1"),
        ("eta_hours", "nan"),
        ("eta_quiet_minutes", "99999999"),
        ("form", "poem"),
    ],
)
def test_a_wish_that_nothing_could_meet_is_refused(node: Node, name: str, value: str) -> None:
    for path in ("/v1/feed", "/v1/feed/stream"):
        headers = {**node.bearer("logistics"), "Accept": "text/event-stream"}
        answer = node.client.get(path, params={name: value}, headers=headers)
        assert answer.status_code == 422, answer.text


def test_who_names_an_unknown_milestone_is_told_the_known_ones(node: Node) -> None:
    facts = node.get("/v1/feed", "logistics", code="LODED").json()["facts"]
    assert "LOADED" in facts["known"]
    assert facts["unknown"] == ["LODED"]


def test_too_many_values_are_refused() -> None:
    with pytest.raises(BadFilter):
        checked(FeedFilter(sources=tuple(map(str, range(1_001)))))


# --- estimates ---

MON = datetime(2026, 3, 2, tzinfo=UTC)
CALM = FeedFilter(eta_hours=2, eta_quiet_minutes=60)


def said(name: str, hours: float, minutes: int, word: str = "") -> Estimate:
    """An estimate of so many hours from Monday, told so many minutes into it."""
    key = ("container:X", "CNSHG", "VSL_ARR")
    return Estimate(digest_id(name), key, MON + timedelta(hours=hours), MON + timedelta(minutes=minutes), word)


def held(*estimates: Estimate) -> list[str]:
    found = held_back(CALM, estimates)
    return [name for name in "abcd" if digest_id(name) in found]


def test_an_estimate_that_hardly_moves_is_held_back_until_the_moves_add_up() -> None:
    assert held(said("a", 10, 0), said("b", 11.5, 90), said("c", 12, 180), said("d", 13, 300)) == ["b", "d"]


def test_an_estimate_that_jumps_too_soon_is_held_back() -> None:
    assert held(said("a", 10, 0), said("b", 20, 59), said("c", 20, 60)) == ["b"]


def test_behind_an_estimate_that_was_taken_back_the_next_one_is_told() -> None:
    assert held(said("a", 10, 0), said("a", 10, 5, "retracted"), said("b", 10, 10)) == []
    again = said("a", 10, 6, "reinstated")
    assert held(said("a", 10, 0), said("a", 10, 5, "corrected"), again, said("b", 10, 10)) == ["b"]
