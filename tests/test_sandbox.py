"""The sandbox: invented journeys, the same each time, seen by whoever plays and by nobody else, and nowhere else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.govern import setup
from api.identity import Account
from domain import identifiers
from examples import parties
from examples.sandbox import DAYS_MAX, SCENARIOS, Scenario, journey
from tests.fixtures_node import Node, manned
from tests.open_register import subscribed

START = datetime(2026, 1, 5, tzinfo=UTC)
REGISTER = Path(parties.__file__).with_name("sandbox_register.json")
US, THEM = parties.LOGISTICS, parties.ENTERPRISE
PATH = "/v1/sandbox/journeys"


@pytest.fixture
def playground(closed_database: str) -> Iterator[Node]:
    """A sandbox with two customers in it."""
    setup.enter_file(closed_database, REGISTER)
    with manned(closed_database) as client:
        node = Node(closed_database, client)
        node.open("us", Account("us", "logistics", "甲", "Us", party=US))
        node.open("them", Account("them", "enterprise", "乙", "Them", party=THEM))
        yield node


def play(node: Node, who: str = "us", **wanted: Any) -> Any:
    answer = node.client.post(PATH, json=wanted, headers=node.bearer(who))
    assert answer.status_code == 202, answer.text
    node.catch_up()
    return answer.json()


def facts(node: Node) -> list[tuple[Any, ...]]:
    """Everything in the journal but the times of receipt."""
    return node.rows(
        "SELECT originator_id, topic, fact_id, "
        "convert_from(state, 'UTF8')::jsonb - ARRAY['recorded_at'] FROM cargo_events ORDER BY fact_id"
    )


def codes(node: Node, number: str, who: str = "us") -> list[str]:
    return [line["code"] for line in node.get(f"/v1/track/{number}", who).json()["lines"]]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_journey_follows_from_who_plays_the_scenario_and_the_seed(scenario: Scenario) -> None:
    made = journey(US, scenario, 7, START)
    assert made == journey(US, scenario, 7, START)
    others = [journey(THEM, scenario, 7, START), journey(US, scenario, 8, START), journey(US, scenario, 7, START, 1)]
    assert all(set(other.numbers.subjects).isdisjoint(made.numbers.subjects) for other in others)
    assert [step.told_at for step in made.steps] == sorted(step.told_at for step in made.steps)
    assert made.steps[-1].told_at - START < timedelta(days=DAYS_MAX)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_numbers_are_valid_and_known_by_sight(scenario: Scenario) -> None:
    for seed in range(200):
        numbers = journey(US, scenario, seed, START).numbers
        assert identifiers.container(numbers.container) == (numbers.container, "")
        assert identifiers.entry_id(numbers.declaration).number == numbers.declaration
        assert numbers.container.startswith("SBXU")
        assert numbers.bill.startswith("SANDBOX")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_recorded_whole_and_a_repetition_adds_nothing(playground: Node, scenario: Scenario) -> None:
    played = play(playground, scenario=scenario, seed=1)
    assert playground.rows("SELECT count(*) FROM cargo_quarantine") == [(0,)]
    first = facts(playground)
    told = codes(playground, played["numbers"]["container"])
    assert told[-1] == "EMPTY_IN" or "EMPTY_IN" in told
    assert play(playground, scenario=scenario, seed=1)["numbers"] == played["numbers"]
    assert facts(playground) == first


def test_what_goes_wrong_is_in_the_timeline(playground: Node) -> None:
    boxes = {name: play(playground, scenario=name)["numbers"]["container"] for name in SCENARIOS}
    assert codes(playground, boxes["delay"]).count("VSL_ARR") > codes(playground, boxes["smooth"]).count("VSL_ARR")
    assert "ROLLED" in codes(playground, boxes["roll_over"])
    assert {"HOLD_PLACED", "HOLD_RELEASED", "INSP_DONE"} <= set(codes(playground, boxes["hold"]))
    assert codes(playground, boxes["correction"]).count("GATE_OUT") == 1
    all_told = playground.get(f"/v1/track/{boxes['correction']}", "us", include="retracted").json()["lines"]
    assert [line["code"] for line in all_told].count("GATE_OUT") == 3


def test_nobody_else_sees_a_journey(playground: Node) -> None:
    """Neither another customer of the sandbox nor whoever runs it."""
    numbers = play(playground, scenario="hold")["numbers"]
    for number in (numbers["container"], numbers["bill"], numbers["declaration"]):
        assert playground.get(f"/v1/track/{number}", "us").status_code == 200
        for who in ("them", "operator", "logistics"):
            assert playground.get(f"/v1/track/{number}", who).status_code == 404


def test_two_parties_that_ask_for_the_same_get_journeys_of_their_own(playground: Node) -> None:
    mine, theirs = (play(playground, who, scenario="smooth", seed=1)["numbers"] for who in ("us", "them"))
    assert set(mine.values()).isdisjoint(theirs.values())


def test_numbers_of_another_party_are_passed_over(playground: Node) -> None:
    """The serials of containers are few: two parties' digests may meet."""
    boxes = {journey(THEM, "smooth", seed, START).numbers.container: seed for seed in range(3000)}
    ours = ((seed, journey(US, "smooth", seed, START).numbers.container) for seed in range(10_000))
    seed, box = next((seed, box) for seed, box in ours if box in boxes)
    assert play(playground, "them", scenario="smooth", seed=boxes[box])["numbers"]["container"] == box
    mine = play(playground, "us", scenario="smooth", seed=seed)["numbers"]["container"]
    assert mine != box
    assert play(playground, "us", scenario="smooth", seed=seed)["numbers"]["container"] == mine


def test_a_journey_can_be_played_step_by_step(playground: Node) -> None:
    played = play(playground, scenario="smooth", steps=3)
    box = played["numbers"]["container"]
    assert [step["code"] for step in played["steps"]] == ["BKG_CONF", "EMPTY_OUT", "GATE_IN"]
    assert "LOADED" not in codes(playground, box)
    play(playground, scenario="smooth", steps=4)
    assert codes(playground, box)[-1] == "LOADED"


def test_a_journey_can_be_played_over_time(playground: Node) -> None:
    import time

    played = play(playground, scenario="smooth", speed=36 * 86_400)  # about one second
    box, last = played["numbers"]["container"], played["steps"][-1]
    assert last["due_at"] is not None
    assert "EMPTY_IN" not in codes(playground, box)
    deadline = time.monotonic() + 10
    while "EMPTY_IN" not in codes(playground, box) and time.monotonic() < deadline:
        time.sleep(0.1)
        playground.catch_up()
    assert "EMPTY_IN" in codes(playground, box)


def test_a_node_whose_data_has_an_owner_of_its_own_takes_no_inventions(node: Node, closed_node: Node) -> None:
    """Neither where departments own the datasets, nor where nobody does yet."""
    for real in (node, closed_node):
        real.open("us", Account("us", "logistics", "甲", "Us", party=US))
        answer = real.client.post(PATH, json={"scenario": "smooth"}, headers=real.bearer("us"))
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-a-sandbox")
        assert real.rows("SELECT count(*) FROM cargo_events") == [(0,)]


def test_what_is_taken_in_a_sandbox_is_measured_and_not_charged(playground: Node) -> None:
    playground.decide("commerce", *subscribed("us", US))
    play(playground, scenario="smooth")
    page = playground.get("/v1/feed", "us")
    assert page.json()["service"]["quantity"] > 10
    assert page.headers["usage-price"] == "0"
    playground.catch_up()
    report = playground.get("/v1/usage", "us").json()
    [row] = [row for row in report["rows"] if row["item"] == "feed.pull"]
    assert (row["waived"], row["quantity"]) == ("sandbox", page.json()["service"]["quantity"])
    assert report["amount_minor"] == 0
    assert row["list_minor"] > 0


@pytest.mark.parametrize(
    "body",
    [
        {"scenario": "fire"},
        {"scenario": "smooth", "speed": 1},
        {"scenario": "smooth", "speed": -1},
        {"scenario": "smooth", "starts_on": "2999-01-01"},
        {"scenario": "smooth", "starts_on": "0001-01-01"},
        {"scenario": "smooth", "seed": 2**60},
        {"scenario": "smooth", "steps": 0},
        {"scenario": "smooth", "colour": "red"},
        {},
    ],
)
def test_what_cannot_be_played_is_told(playground: Node, body: dict[str, Any]) -> None:
    answer = playground.client.post(PATH, json=body, headers=playground.bearer("us"))
    assert answer.status_code == 422, answer.text


def test_who_has_no_party_or_another_role_plays_nothing(playground: Node) -> None:
    for who, status in (("logistics", 409), ("source", 403), ("", 401)):
        answer = playground.client.post(PATH, json={"scenario": "smooth"}, headers=playground.bearer(who))
        assert answer.status_code == status
