"""Estimates of arrival: Kouan's own, explained number by number, and apart from what sources say."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import routes
from domain.milestones import MILESTONES
from projections import eta, legs
from projections.eta import Estimate, Silence
from projections.timeline import Line, Remark
from tests.fixtures_node import Node

START = datetime(2026, 3, 1, tzinfo=UTC)
SPACE = UUID("00000000-0000-8000-8000-000000000000")
BOX = "container:CSQU3054383"


def hour(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def line(code: str, hours: float, classifier: str = "ACT", *, said: float | None = None, **more: Any) -> Line:
    """A line that was recorded when it happened, or at `said`."""
    common: dict[str, Any] = {
        "position": 1,
        "subject": BOX,
        "fact_id": uuid5(SPACE, f"{code}{hours}{classifier}{more}"),
        "fact": "container.reported",
        "code": code,
        "zh": MILESTONES[code].zh,
        "en": MILESTONES[code].en,
        "classifier": classifier,
        "happened_at": hour(hours).isoformat(),
        "zone": "+00:00",
        "zone_from": "stated",
        "recorded_at": hour(hours if said is None else said),
        "source": "line",
        "message_id": SPACE,
    }
    return Line(**{**common, **more})


SAILED = line("VSL_DEP", 0, place="CNYSA", mode="VESSEL", transport="NING AN 032E")
DUE = line("VSL_ARR", 700, "EST", said=-10, place="NLRTM", mode="VESSEL")
PLAN = [
    line("VSL_DEP", -6, "PLN", said=-200, place="CNYSA", mode="VESSEL"),
    line("VSL_ARR", 714, "PLN", said=-200, place="NLRTM", mode="VESSEL"),
]
WAY_NM = 10_540.0


def estimated(*lines: Line, at: float = 100) -> Estimate:
    found = eta.estimate(lines, hour(at))
    assert isinstance(found, Estimate), found
    return found


def silent(*lines: Line, at: float = 100) -> Silence:
    found = eta.estimate(lines, hour(at))
    assert isinstance(found, Silence), found
    return found


def hours_to(found: Estimate, at: datetime | None = None) -> float:
    return ((at or found.eta_at) - START) / timedelta(hours=1)


# --- three ways ---


def test_without_plan_and_position_a_usual_speed_is_assumed_and_named_as_an_assumption() -> None:
    found = estimated(SAILED, DUE)
    assert (found.method, found.assumed, found.speed_kn, found.source) == ("typical", True, 14.5, "kouan")
    assert hours_to(found) == pytest.approx(WAY_NM / 14.5, rel=0.01)
    assert hours_to(found, found.low_at) == pytest.approx(WAY_NM / 18, rel=0.01)
    assert hours_to(found, found.high_at) == pytest.approx(WAY_NM / 11, rel=0.01)
    assert "假定" in found.basis_zh[-1]
    assert "assumption" in found.basis_en[-1]
    assert found.facts == [SAILED.fact_id, DUE.fact_id]


def test_a_plan_of_the_leg_tells_how_long_it_takes_from_the_real_departure() -> None:
    found = estimated(SAILED, DUE, *PLAN)
    assert (found.method, hours_to(found), found.assumed) == ("schedule", 720.0, False)
    assert (hours_to(found, found.low_at), hours_to(found, found.high_at)) == (684.0, 756.0)
    assert {line.fact_id for line in PLAN} < set(found.facts)


def test_reported_positions_tell_the_speed_and_the_rest_of_the_way() -> None:
    at_singapore = line("TRUCK_POS", 100, text="1.26,103.8 device=GPS-7")
    found = estimated(SAILED, DUE, at_singapore, at=110)
    first, rest = routes.sea_route("CNYSA", "SGSIN"), routes.sea_route("SGSIN", "NLRTM")
    assert first is not None
    assert rest is not None
    assert found.method == "observed"
    assert found.speed_kn == pytest.approx(first.distance_nm / 100, rel=0.02)
    assert hours_to(found) == pytest.approx(100 + rest.distance_nm / (first.distance_nm / 100), rel=0.02)
    assert found.remaining_nm == pytest.approx(rest.distance_nm - 10 * (found.speed_kn or 0), rel=0.02)
    assert found.low_at < found.eta_at < found.high_at
    assert at_singapore.fact_id in found.facts


def test_positions_and_plan_together_give_the_range_and_the_positions_the_middle() -> None:
    at_singapore = line("TRUCK_POS", 100, text="1.26,103.8 device=GPS-7")
    found, alone = estimated(SAILED, DUE, at_singapore, *PLAN), estimated(SAILED, DUE, at_singapore)
    assert (found.method, found.eta_at) == ("observed", alone.eta_at)
    assert found.low_at <= alone.low_at
    assert found.high_at >= alone.high_at
    assert len(found.basis_en) == len(alone.basis_en) + 1


def test_every_number_of_the_estimate_stands_in_its_basis() -> None:
    found = estimated(SAILED, DUE)
    for said in (" ".join(found.basis_zh), " ".join(found.basis_en)):
        assert f"{found.distance_nm:.0f}" in said
        assert "14.5" in said
        assert "2026-03-01 00:00 UTC" in said


def test_by_rail_only_a_plan_gives_an_estimate() -> None:
    left = line("TRAIN_DEP", 0, place="CNXIA", mode="RAIL")
    due = line("TRAIN_ARR", 300, "EST", said=0, place="DEDUI", mode="RAIL")
    assert "schedule" in silent(left, due).en
    planned = [
        line("TRAIN_DEP", 1, "PLN", said=-99, place="CNXIA", mode="RAIL"),
        line("TRAIN_ARR", 385, "PLN", said=-99, place="DEDUI", mode="RAIL"),
    ]
    found = estimated(left, due, *planned)
    assert (found.method, hours_to(found), found.distance_nm, found.remaining_nm) == ("schedule", 384.0, None, None)


def test_a_flight_is_reckoned_along_the_great_circle() -> None:
    left = line("AIR_DEP", 0, place="CNSIA", mode="AIR", transport="CZ461", subject="awb:99912345675")
    booked = line(
        "AIR_BKD", -1, "PLN", said=-9, place="CNSIA", mode="AIR", transport="CZ461", text="XIYAMS/S2340/S0510-N"
    )
    found = estimated(left, booked, at=2)
    assert (found.leg.destination, found.leg.destination_from) == ("NLAMS", "ports")
    assert 9 < hours_to(found) < 12
    assert found.zone == "Europe/Amsterdam"


# --- what is no input ---


@settings(deadline=None)
@given(st.floats(10, 2_000), st.sampled_from(["line", "terminal"]))
def test_what_a_source_expects_does_not_move_our_estimate(hours: float, source: str) -> None:
    told = line("VSL_ARR", hours, "EST", said=-5, place="NLRTM", mode="VESSEL", source=source)
    found, other = estimated(SAILED, told), estimated(SAILED, DUE)
    assert (found.eta_at, found.low_at, found.high_at) == (other.eta_at, other.low_at, other.high_at)


def test_what_was_sent_or_happened_later_is_not_known_at_the_moment() -> None:
    arrived = line("VSL_ARR", 650, place="NLRTM", mode="VESSEL")
    assert estimated(SAILED, DUE, arrived, at=600).method == "typical"
    assert "Nothing is under way" in silent(SAILED, DUE, arrived, at=660).en
    late = [msgspec.structs.replace(each, recorded_at=hour(500)) for each in PLAN]
    assert estimated(SAILED, DUE, *late, at=400).method == "typical"
    assert estimated(SAILED, DUE, *late, at=501).method == "schedule"


def test_what_was_taken_back_does_not_count() -> None:
    remark = Remark("retracted", SPACE, "line", SPACE, hour(1))
    assert "Nothing" in silent(msgspec.structs.replace(SAILED, retracted=remark), DUE).en


# --- nothing to go by ---


def test_without_a_departure_there_is_nothing_to_estimate() -> None:
    assert "没有" in silent().zh
    assert silent(DUE).en.startswith("Nothing is under way")


def test_without_a_destination_the_reason_says_so() -> None:
    assert "not known" in silent(SAILED).en


def test_the_port_of_discharge_in_a_message_is_a_destination_too() -> None:
    stowed = line("STOWED", -1, place="CNYSA", mode="VESSEL", text="0350182 POL CNSHG POD NLRTM")
    found = estimated(SAILED, stowed)
    assert (found.leg.destination, found.leg.destination_from) == ("NLRTM", "ports")


@pytest.mark.parametrize("code", ["VSL_ARR", "DISCHARGED", "GATE_OUT", "EMPTY_IN"])
def test_a_leg_is_over_with_any_word_that_the_cargo_is_there(code: str) -> None:
    assert "Nothing" in silent(SAILED, DUE, line(code, 50, place="NLRTM", mode=MILESTONES[code].mode)).en


def test_after_a_transhipment_the_next_ship_counts() -> None:
    again = line("VSL_DEP", 80, place="SGSIN", mode="VESSEL", transport="FAR SEA 1W")
    found = estimated(SAILED, line("TS_DISC", 60, place="SGSIN", mode="VESSEL"), again, DUE)
    assert (found.leg.origin, found.leg.transport) == ("SGSIN", "FAR SEA 1W")


def test_an_estimate_that_has_passed_is_marked_overdue() -> None:
    found = estimated(SAILED, DUE, at=5_000)
    assert (found.overdue, found.remaining_nm) == (True, 0.0)
    assert "passed" in found.basis_en[-1]


def test_a_ship_that_lies_still_gives_no_speed() -> None:
    here = line("TRUCK_POS", 1, text="30.63,122.07 device=GPS-7")
    there = line("TRUCK_POS", 99, text="30.63,122.07 device=GPS-7")
    assert estimated(SAILED, DUE, here, there).method == "typical"


numbers = st.floats(-400, 400, allow_nan=False)
some_line = st.builds(
    lambda code, hours, classifier, place, text: line(
        code, hours, classifier, place=place, text=text, mode=MILESTONES[code].mode
    ),
    st.sampled_from([*legs.DEPARTURES, *legs.ARRIVALS, *legs.PASSED, "GATE_OUT", "STOWED"]),
    st.floats(-1_000, 1_000),
    st.sampled_from(["ACT", "EST", "PLN"]),
    st.sampled_from(["", "CNYSA", "NLRTM", "CNXIA", "CNSIA", "gate 7", "SGSIN"]),
    st.one_of(st.just(""), st.builds("{},{} x".format, numbers, numbers), st.sampled_from(["POD NLRTM", "XIYAMS/S"])),
)


@settings(deadline=None)  # each may search a way over all oceans
@given(st.lists(some_line, max_size=8), st.floats(-1_000, 1_000), st.randoms())
def test_no_lines_make_it_fail_and_their_order_means_nothing(lines: list[Line], at: float, random: Any) -> None:
    found = eta.estimate(lines, hour(at))
    shuffled = list(lines)
    random.shuffle(shuffled)
    assert eta.estimate(shuffled, hour(at)) == found
    if isinstance(found, Estimate):
        assert found.low_at <= found.eta_at <= found.high_at
        assert found.eta_at > found.leg.departed_at
        assert found.remaining_nm is None or found.remaining_nm >= 0


# --- over HTTP ---


def told(code: str, at: str, place: str, classifier: str = "ACT", **more: Any) -> dict[str, Any]:
    shared = {"subject": BOX, "code": code, "happened_at": at, "place": place, "classifier": classifier}
    return {"id": f"{code}{at}{classifier}", "mode": "VESSEL", "refs": ["bl:KOUA0000001"], **shared, **more}


VOYAGE = [
    told(
        "VSL_DEP", "2026-03-01T08:00:00+08:00", "CNYSA", sent_at="2026-03-01T09:00:00+08:00", transport="NING AN 032E"
    ),
    told("VSL_ARR", "2026-03-30T08:00:00+02:00", "NLRTM", "EST", sent_at="2026-03-01T09:00:00+08:00"),
]


def test_the_answer_holds_estimate_basis_leg_on_the_map_and_apart_from_it_what_sources_say(node: Node) -> None:
    node.tell(*VOYAGE)
    for number in ("CSQU3054383", "KOUA0000001"):
        answer = node.get(f"/v1/eta/{number}", at="2026-03-10T00:00:00+08:00").json()
        assert (answer["estimate"]["source"], answer["estimate"]["method"]) == ("kouan", "typical")
        assert answer["estimate"]["leg"]["destination"] == "NLRTM"
        [stated] = answer["stated"]
        assert (stated["source"], stated["happened_at"]) == ("terminal", "2026-03-30T08:00:00+02:00")
        assert answer["feature"]["geometry"]["type"] == "LineString"
        assert answer["feature"]["properties"]["method"] == "sea"
        assert answer["position"] == 2


def test_an_estimate_is_never_a_fact(node: Node) -> None:
    node.tell(*VOYAGE)
    before = node.rows("SELECT count(*) FROM cargo_events")
    node.get("/v1/eta/CSQU3054383")
    assert node.rows("SELECT count(*) FROM cargo_events") == before
    assert "kouan" not in {each["source"] for each in node.get("/v1/track/CSQU3054383").json()["lines"]}


def test_what_sources_said_later_than_the_moment_does_not_stand_beside_it(node: Node) -> None:
    node.tell(*VOYAGE, told("VSL_ARR", "2026-03-31T08:00:00+02:00", "NLRTM", "EST", sent_at="2026-03-20T00:00:00Z"))
    early, late = (
        node.get("/v1/eta/CSQU3054383", at=f"2026-03-{day}T00:00:00Z").json()["stated"] for day in ("10", "21")
    )
    assert (len(early), len(late)) == (1, 2)


def test_where_there_is_nothing_to_go_by_the_answer_says_why(node: Node) -> None:
    node.tell(VOYAGE[1])
    answer = node.get("/v1/eta/CSQU3054383").json()
    assert (answer["estimate"], answer["feature"], answer["reason_zh"] != "") == (None, None, True)
    assert (answer["stated"], answer["service"]["quantity"]) == ([], 0), "nothing is handed over, nothing charged"
    assert node.get("/v1/track/CSQU3054383").json()["header"]["eta"], "what sources expect is free"


def test_the_answer_says_what_it_was_and_what_it_cost(node: Node) -> None:
    node.tell(*VOYAGE)
    service = node.get("/v1/eta/CSQU3054383").json()["service"]
    assert (service["item"], service["item_class"], service["quantity"]) == ("eta.estimate", "commercial", 1)
    assert service["tariff"].startswith("eta.estimate/")


def test_every_answer_is_a_delivery_the_empty_one_too(node: Node) -> None:
    node.tell(*VOYAGE)
    node.get("/v1/eta/CSQU3054383")
    assert node.get("/v1/eta/TOLU4734787").status_code == 404
    made = [
        json.loads(bytes(row[0]))
        for row in node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    ]
    assert [(each["item"], each["item_class"], each.get("result", "ok"), each.get("datasets")) for each in made] == [
        ("eta.estimate", "commercial", "ok", ["port.movements"]),
        ("eta.estimate", "commercial", "empty", None),
    ]


@pytest.mark.parametrize("at", ["2026-03-01T12:00:00", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_moment_without_offset_or_sense_is_a_problem(node: Node, at: str) -> None:
    answer = node.get("/v1/eta/CSQU3054383", at=at)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_the_ends_of_the_calendar_are_moments_like_others(node: Node, at: str) -> None:
    node.tell(*VOYAGE)
    assert node.get("/v1/eta/CSQU3054383", at=at).status_code in {200, 422}
