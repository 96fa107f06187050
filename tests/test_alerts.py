"""What is amiss with a box or a declaration is found from the facts alone, whatever the order in which they came."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from domain import container, declaration, shipment
from domain.container import HoldPlaced, HoldReleased
from domain.fact import Confirmed, Corrected, Fact, Reinstated, Retracted, digest_id, identity
from domain.instruction import InstructionCancelled, InstructionGiven
from domain.journal import Entry
from domain.report import Moment, Movement, Receipt
from projections import alert_states, alerts
from projections.alert_states import DEVICE_MAX, OWN_MAX
from projections.alerts import Asked, Choice
from projections.sight import Look

MON = datetime(2026, 3, 2, 4, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATER = MON + 400 * DAY
BOX, OTHER, BILL = "container:CSQU3054383", "container:MSCU6639870", "bl:COSU6123456780"
IMPORT, EXPORT = "declaration:222920261000000001", "declaration:222920260000000001"
HOME, ABROAD = "CNSHG", "NLRTM"
Told = tuple[str, Fact]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as made:
        yield made


def said(code: str, at: datetime, subject: str = BOX, source: str = "terminal", **more: Any) -> Told:
    """A movement as a source states it."""
    told = {"place": HOME, "laden": True, "raw_code": code, **more}
    report = Movement(subject=subject, code=code, when=Moment(at), **told)
    observe = container.observe if subject.startswith(("container:", "truck:")) else shipment.observe
    return subject, observe(report, source=source, message_id=digest_id(source), sent_at=at, now=at + HOUR)


def receipt(raw_code: str, at: datetime, number: str, *refs: str) -> Told:
    """What customs answers on a declaration."""
    report = Receipt(subject=number, raw_code=raw_code, when=Moment(at), refs=refs)
    told = declaration.observe(report, source="customs", message_id=digest_id("c"), sent_at=at, now=at + HOUR)
    return number, told


def entries(*told: Told) -> list[Entry]:
    return [Entry(place, *_entry(stream, place, fact), fact) for place, (stream, fact) in enumerate(told, 1)]


def _entry(stream: str, place: int, fact: Any) -> tuple[str, int, Any]:
    own = hasattr(fact, "raw_code")
    return stream, place, identity(stream, fact) if own else digest_id(stream, type(fact).__name__, repr(fact))


def project(connection: psycopg.Connection[Any], found: Sequence[Entry], batch: int = 2_000) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(found), batch):
            alerts.project(cursor, found[start : start + batch])


def codes(
    connection: psycopg.Connection[Any], state: Choice = "active", now: datetime = LATER, **more: Any
) -> list[str]:
    return sorted(each.code for each in alerts.alerts(Look(connection, None), Asked(now=now, state=state, **more)))


def after(connection: psycopg.Connection[Any], *told: Told, now: datetime = LATER) -> list[str]:
    """The alerts that are active once all this was told."""
    project(connection, entries(*told))
    return codes(connection, now=now)


ARRIVED, DISCHARGED = said("VSL_ARR", MON), said("DISCHARGED", MON + HOUR)
GATED_OUT = said("GATE_OUT", MON + 3 * DAY)
GATED_IN = said("GATE_IN", MON)
LOADED = said("LOADED", MON + 2 * DAY)
SAILED = said("VSL_DEP", MON + 2 * DAY + 6 * HOUR)
IMPORT_RELEASED = said("IMP_RELEASED", MON + 2 * DAY, source="customs")
EXPORT_RELEASED = said("EXP_RELEASED", MON + DAY, source="customs")
PAPERS = (said("ARRIVAL_RPT", MON + HOUR), said("MAN_ADV_OK", MON), said("TALLY_RPT", MON + 2 * DAY + HOUR))

# --- loaded or gated out without release ---


def test_loading_without_release_is_an_alarm_at_once(connection: psycopg.Connection[Any]) -> None:
    project(connection, entries(GATED_IN, LOADED))
    [alert] = alerts.alerts(Look(connection, None), Asked(now=MON + 2 * DAY))
    assert (alert.code, alert.severity, alert.state) == ("loaded_unreleased", "alarm", "active")
    assert (alert.zh, alert.en) == ("海关未放行集装箱装船", "Loaded without customs release")
    assert (alert.subject, alert.place, alert.raised_at) == (BOX, HOME, MON + 2 * DAY)
    assert alert.facts == (identity(*LOADED),)  # type: ignore[arg-type]


def test_gating_out_without_release_is_an_alarm_at_once(connection: psycopg.Connection[Any]) -> None:
    assert after(connection, ARRIVED, DISCHARGED, GATED_OUT) == ["gated_out_unreleased"]


@pytest.mark.parametrize(
    "told",
    [
        (DISCHARGED, IMPORT_RELEASED, GATED_OUT),
        (DISCHARGED, receipt("L", MON, IMPORT, BOX), receipt("P", MON + DAY, IMPORT), GATED_OUT),
        (said("DISCHARGED", MON, refs=(BILL,)), receipt("P", MON + DAY, IMPORT, BILL), GATED_OUT),
        (said("DISCHARGED", MON, refs=(BILL,)), said("IMP_RELEASED", MON + DAY, BILL), GATED_OUT),
        (DISCHARGED, receipt("SpK", MON + DAY, IMPORT, BOX), GATED_OUT),
    ],
    ids=["of the box", "by declaration", "by the declaration of its bill", "of its bill", "for pick-up"],
)
def test_a_release_of_any_kind_lets_a_box_go(connection: psycopg.Connection[Any], told: Sequence[Told]) -> None:
    assert after(connection, *told) == []


def test_a_release_that_was_told_late_leaves_no_trace(connection: psycopg.Connection[Any]) -> None:
    assert after(connection, DISCHARGED, GATED_OUT) == ["gated_out_unreleased"]
    project(connection, entries(IMPORT_RELEASED))
    assert codes(connection) == codes(connection, "cleared") == []


def test_a_release_that_came_late_clears_the_alarm_and_keeps_it(connection: psycopg.Connection[Any]) -> None:
    late = said("IMP_RELEASED", MON + 5 * DAY)
    assert after(connection, DISCHARGED, GATED_OUT, late) == []
    [alert] = alerts.alerts(Look(connection, None), Asked(now=LATER, state="cleared"))
    assert (alert.code, alert.cleared_at, alert.cleared_by) == (
        "gated_out_unreleased",
        MON + 5 * DAY,
        identity(*late),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "told",
    [
        (DISCHARGED, EXPORT_RELEASED, GATED_OUT),
        (DISCHARGED, receipt("P", MON + DAY, EXPORT, BOX), GATED_OUT),
        (DISCHARGED, receipt("P", MON + DAY, IMPORT, BOX), receipt("M", MON + 2 * DAY, IMPORT), GATED_OUT),
        (DISCHARGED, receipt("P", MON + DAY, IMPORT, BOX), receipt("L", MON, f"{IMPORT[:-1]}2", BOX), GATED_OUT),
        (DISCHARGED, said("IMP_RELEASED", MON + DAY, OTHER), GATED_OUT),
        (said("DISCHARGED", MON, refs=(BILL,)), receipt("P", MON + DAY, IMPORT, BILL, OTHER), GATED_OUT),
    ],
    ids=["the other way", "an export declaration", "taken back", "one of two declarations", "another box", "its part"],
)
def test_what_does_not_release_this_box_does_not_let_it_go(
    connection: psycopg.Connection[Any], told: Sequence[Told]
) -> None:
    assert "gated_out_unreleased" in after(connection, *told)


def test_a_declaration_of_several_numbers_is_one(connection: psycopg.Connection[Any]) -> None:
    before = "declaration:I20260001632104587"
    told = [receipt("7", MON, before, BOX), receipt("L", MON, IMPORT, before), receipt("P", MON + DAY, IMPORT)]
    assert after(connection, DISCHARGED, *told, GATED_OUT) == []


def test_the_release_of_the_last_journey_does_not_count_for_this_one(connection: psycopg.Connection[Any]) -> None:
    again = [said(code, MON + day * DAY) for code, day in (("EMPTY_IN", 5), ("DISCHARGED", 60), ("GATE_OUT", 61))]
    assert after(connection, DISCHARGED, IMPORT_RELEASED, GATED_OUT, *again) == ["gated_out_unreleased"]


@pytest.mark.parametrize(
    "told",
    [
        (said("LOADED", MON, place=ABROAD), said("GATE_OUT", MON + DAY, place=ABROAD)),
        (said("LOADED", MON, laden=False),),
        (said("TS_DISC", MON), said("TS_LOAD", MON + DAY)),
        (said("DISCHARGED", MON), said("BARGE_LOAD", MON + DAY)),
        (GATED_IN, said("GATE_OUT", MON + DAY)),
        (said("LOADED", MON + DAY, classifier="EST"),),
        (said("WAGON_LOADED", MON, mode="RAIL"), said("STATION_OUT", MON + DAY, mode="RAIL")),
    ],
    ids=["abroad", "empty", "transhipped", "by barge from abroad", "taken back", "expected only", "domestic rail"],
)
def test_what_needs_no_release_is_no_alarm(connection: psycopg.Connection[Any], told: Sequence[Told]) -> None:
    assert after(connection, *told) == []


def test_a_hold_or_an_inspection_that_is_passed_over_is_an_alarm(connection: psycopg.Connection[Any]) -> None:
    placed = HoldPlaced(
        happened_at=MON + HOUR, recorded_at=MON, authority="customs", reason="x", reference="H1", by="operator"
    )
    lifted = HoldReleased(happened_at=MON + 4 * DAY, recorded_at=MON, reference="H1", by="operator")
    ordered, done = said("INSP_ORDERED", MON + 2 * HOUR), said("INSP_DONE", MON + 5 * DAY)
    told = [DISCHARGED, IMPORT_RELEASED, (BOX, placed), ordered, GATED_OUT]
    # a release ends the inspection that was ordered on the same paper; this one was ordered afterwards
    told[3] = said("INSP_ORDERED", MON + 2 * DAY + HOUR)
    assert after(connection, *told) == ["left_on_hold", "left_under_inspection"]
    project(connection, entries((BOX, lifted)))
    assert codes(connection) == ["left_under_inspection"]
    assert ordered != done


# --- what takes too long ---


@pytest.mark.parametrize(
    ("told", "code", "since"),
    [
        ((DISCHARGED,), "import_unreleased.7d", MON + HOUR + 7 * DAY),
        ((DISCHARGED,), "import_unreleased.14d", MON + HOUR + 14 * DAY),
        ((DISCHARGED,), "import_unreleased.90d", MON + HOUR + 90 * DAY),
        ((ARRIVED, DISCHARGED), "import_unreleased.7d", MON + 7 * DAY),
        ((DISCHARGED, IMPORT_RELEASED), "import_not_picked_up.15d", MON + 17 * DAY),
        ((GATED_IN,), "export_unreleased.7d", MON + 7 * DAY),
        ((GATED_IN,), "export_unreleased.90d", MON + 90 * DAY),
        ((GATED_IN, EXPORT_RELEASED), "export_not_loaded.10d", MON + 11 * DAY),
        ((said("TS_DISC", MON),), "transhipment_overstay.180d", MON + 180 * DAY),
        ((said("INSP_ORDERED", MON),), "inspection_not_moved_in.24h", MON + 24 * HOUR),
        ((said("INSP_ORDERED", MON),), "inspection_not_moved_in.72h", MON + 72 * HOUR),
        ((said("INSP_SITE_IN", MON),), "inspection_not_done.24h", MON + 24 * HOUR),
        ((said("INSP_SITE_IN", MON - HOUR), said("INSP_DONE", MON)), "inspection_not_moved_out.12h", MON + 12 * HOUR),
        ((receipt("L", MON, IMPORT),), "clearance_long_import.72h", MON + 72 * HOUR),
        ((receipt("L", MON, EXPORT),), "clearance_long_export.24h", MON + 24 * HOUR),
        ((receipt("L", MON, EXPORT, BOX),), "advance_not_arrived.72h", MON + 72 * HOUR),
        ((said("TRUCK_DEP", MON, "truck:A1"),), "truck_under_way.24h", MON + 24 * HOUR),
        ((GATED_IN, EXPORT_RELEASED, LOADED, SAILED, *PAPERS[:2]), "tally_missing.24h", MON + 2 * DAY + 30 * HOUR),
    ],
)
def test_what_lasts_too_long_is_an_alert_from_the_minute_on_which_it_does(
    connection: psycopg.Connection[Any], told: Sequence[Told], code: str, since: datetime
) -> None:
    project(connection, entries(*told))
    assert codes(connection, now=since - MINUTE, code=code) == []
    assert codes(connection, "pending", now=since - MINUTE, code=code) == [code]
    assert codes(connection, now=since, code=code) == [code]
    assert [each.raised_at for each in alerts.alerts(Look(connection, None), Asked(now=since, code=code))] == [since]


def test_what_ends_in_time_is_no_alert_and_what_ends_late_is_cleared(connection: psycopg.Connection[Any]) -> None:
    late = said("IMP_RELEASED", MON + 10 * DAY)
    project(connection, entries(DISCHARGED, IMPORT_RELEASED, GATED_OUT))
    project(connection, entries(said("DISCHARGED", MON, OTHER), said("IMP_RELEASED", MON + 10 * DAY, OTHER)))
    assert codes(connection, subjects=(BOX,)) == codes(connection, "cleared", subjects=(BOX,)) == []
    assert codes(connection, "cleared", subjects=(OTHER,)) == ["import_unreleased.7d"]
    assert late[0] == BOX


def test_cargo_that_comes_in_time_was_not_declared_too_early(connection: psycopg.Connection[Any]) -> None:
    declared = receipt("L", MON, EXPORT, BOX)
    assert after(connection, declared, said("ARRIVAL_RPT", MON + 2 * DAY)) == ["clearance_long_export.24h"]
    assert codes(connection, "cleared") == []


# --- papers, seals, weights, words, instructions ---


def test_a_ship_that_sails_without_papers_of_the_box_is_an_alarm_until_they_come(
    connection: psycopg.Connection[Any],
) -> None:
    went = [GATED_IN, EXPORT_RELEASED, LOADED, SAILED]
    missing = ["departed_without_arrival_report", "departed_without_manifest", "tally_missing.24h"]
    assert after(connection, *went) == missing
    project(connection, entries(*PAPERS))
    assert codes(connection) == []


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (said("ESEAL_ALARM", MON), "seal_alarm"),
        (said("OVERSTAY", MON, "truck:A1"), "truck_overstay"),
        (said("ROUTE_DEVIATION", MON, "truck:A1"), "truck_off_route"),
        (said("EMPTY_IN", MON, laden=False, weight_kg=18_500.0), "empty_weight"),
        (said("MAN_SUBMITTED", MON, BILL, text="GARDEN TOOLS; FIREWORKS"), "sensitive_goods"),
    ],
)
def test_what_a_source_reports_as_amiss_is_an_alert_at_once(
    connection: psycopg.Connection[Any], told: Told, code: str
) -> None:
    assert after(connection, told, now=MON) == [code]


def test_a_temperature_out_of_range_is_an_alarm_for_as_long_as_it_is_read(connection: psycopg.Connection[Any]) -> None:
    hot = [said("", MON + n * 30 * MINUTE, raw_code=f"temperature/{40 + n}") for n in range(4)]
    assert after(connection, *hot, said("", MON + HOUR, raw_code="temperature/4"), now=MON + 2 * HOUR) == [
        "temperature"
    ]
    assert codes(connection, now=MON + 3 * HOUR) == []
    assert codes(connection, "cleared", now=MON + 3 * HOUR) == ["temperature"]


def test_an_instruction_that_is_not_carried_out_is_overdue(connection: psycopg.Connection[Any]) -> None:
    common: dict[str, Any] = {"kind": "load", "subject": BOX, "due_at": MON + DAY, "by": "operator", "to": "terminal"}
    told = InstructionGiven(happened_at=MON, recorded_at=MON, **common)
    cancelled = InstructionCancelled(happened_at=MON + 3 * DAY, recorded_at=MON, reason="", **common)
    project(connection, entries(("instruction:1", told)))
    assert codes(connection, now=MON + DAY - MINUTE) == []
    assert codes(connection, now=MON + DAY) == ["instruction_overdue"]
    project(connection, entries(("instruction:1", cancelled)))
    assert codes(connection, "cleared") == ["instruction_overdue"]
    project(connection, entries(said("LOADED", MON + HOUR, laden=False)))
    assert codes(connection, "cleared") == []


# --- anomalies of order ---


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ((said("LOADED", MON), said("LOADED", MON + 2 * DAY)), "loaded_twice"),
        ((said("DISCHARGED", MON), said("DISCHARGED", MON + 2 * DAY)), "discharged_twice"),
        ((said("GATE_IN", MON), said("GATE_IN", MON + 2 * DAY)), "gated_in_twice"),
        ((said("GATE_OUT", MON), said("GATE_OUT", MON + 2 * DAY)), "gated_out_twice"),
        ((said("DISCHARGED", MON), said("VSL_ARR", MON + 3 * HOUR)), "discharged_before_arrival"),
        ((said("VSL_DEP", MON), said("LOADED", MON + 3 * HOUR)), "departed_before_loading"),
        ((said("LOADED", MON), said("GATE_IN", MON + 3 * HOUR)), "loaded_before_gate_in"),
        ((said("LOADED", MON), said("GATE_OUT", MON + 3 * HOUR)), "gated_out_aboard"),
        ((said("GATE_OUT", MON), said("DISCHARGED", MON + 3 * HOUR)), "gated_out_before_discharge"),
    ],
)
def test_reports_that_can_hardly_all_be_true_are_told_of(
    connection: psycopg.Connection[Any], told: Sequence[Told], code: str
) -> None:
    project(connection, entries(*told))
    [alert] = [each for each in alerts.alerts(Look(connection, None), Asked(now=LATER)) if each.family == "order"]
    assert alert.code == code
    assert set(alert.facts) == {identity(*each) for each in told}  # type: ignore[arg-type]


def test_one_event_told_by_two_sources_with_times_that_differ_is_no_anomaly(
    connection: psycopg.Connection[Any],
) -> None:
    told = [said("LOADED", MON + 2 * DAY + n * HOUR, source=f"s{n}") for n in range(3)]
    assert after(connection, GATED_IN, EXPORT_RELEASED, *PAPERS, *told) == []


def test_an_ordinary_journey_out_and_back_raises_nothing(connection: psycopg.Connection[Any]) -> None:
    abroad = [
        said(code, MON + day * DAY, place=ABROAD)
        for code, day in (("VSL_ARR", 30), ("DISCHARGED", 31), ("GATE_OUT", 33), ("EMPTY_IN", 36), ("LOADED", 40))
    ]
    home = [
        said(code, MON + day * DAY)
        for code, day in (("VSL_ARR", 70), ("DISCHARGED", 71), ("IMP_RELEASED", 72), ("GATE_OUT", 73))
    ]
    assert after(connection, GATED_IN, EXPORT_RELEASED, *PAPERS, LOADED, SAILED, *abroad, *home) == []
    assert codes(connection, "cleared") == []


# --- corrections ---


def about(told: Told, kind: type[Fact], at: datetime, **more: Any) -> Told:
    stream, fact = told
    common = {"happened_at": at, "recorded_at": at, "source": "terminal", "message_id": digest_id("r")}
    return stream, kind(fact_id=identity(stream, fact), **common, **more)  # type: ignore[arg-type,call-arg]


def test_a_retraction_clears_an_alert_and_a_reinstatement_raises_it_again(connection: psycopg.Connection[Any]) -> None:
    assert after(connection, DISCHARGED, GATED_OUT) == ["gated_out_unreleased"]
    before = alerts.alerts(Look(connection, None), Asked(now=LATER))
    project(connection, entries(about(GATED_OUT, Retracted, MON + 4 * DAY)))
    assert "gated_out_unreleased" not in codes(connection)
    project(connection, entries(about(GATED_OUT, Reinstated, MON + 5 * DAY)))
    assert alerts.alerts(Look(connection, None), Asked(now=LATER)) == before


def test_what_another_source_still_states_stands(connection: psycopg.Connection[Any]) -> None:
    confirmed = about(GATED_OUT, Confirmed, MON + 4 * DAY)
    witness = _entry(confirmed[0], 0, confirmed[1])[2]
    common: dict[str, Any] = {"happened_at": MON, "recorded_at": MON, "source": "line", "message_id": digest_id("w")}
    told = [DISCHARGED, GATED_OUT, confirmed, about(GATED_OUT, Retracted, MON + 4 * DAY)]
    assert after(connection, *told) == ["gated_out_unreleased"]
    project(connection, entries((BOX, Retracted(fact_id=witness, **common))))
    assert "gated_out_unreleased" not in codes(connection)
    project(connection, entries((BOX, Reinstated(fact_id=witness, **common))))
    assert codes(connection) == ["gated_out_unreleased"]


def test_a_correction_is_what_counts(connection: psycopg.Connection[Any]) -> None:
    again = said("GATE_OUT", MON + DAY)
    replaced = about(GATED_OUT, Corrected, MON + 4 * DAY, replaced_by=identity(*again))  # type: ignore[arg-type]
    project(connection, entries(DISCHARGED, GATED_OUT, again, replaced))
    [alert] = alerts.alerts(Look(connection, None), Asked(now=LATER))
    assert (alert.code, alert.raised_at) == ("gated_out_unreleased", MON + DAY)


def test_a_retracted_release_raises_the_alarm_that_it_had_prevented(connection: psycopg.Connection[Any]) -> None:
    release = receipt("P", MON + DAY, IMPORT, BILL)
    landed = said("DISCHARGED", MON, refs=(BILL,))
    assert after(connection, landed, release, GATED_OUT) == []
    project(connection, entries(about(release, Retracted, MON + 9 * DAY)))
    assert codes(connection) == ["gated_out_unreleased"]


def test_a_reversal_takes_the_milestone_back(connection: psycopg.Connection[Any]) -> None:
    assert after(connection, GATED_IN, LOADED, said("LOADED_REVERSED", MON + 3 * DAY), now=MON + 4 * DAY) == []


# --- any order, any batch ---

STORY = (
    said("DISCHARGED", MON, refs=(BILL,)),
    said("DISCHARGED", MON + HOUR, OTHER, refs=(BILL,)),
    said("VSL_ARR", MON + 4 * HOUR, BILL),
    receipt("7", MON, "declaration:I20260001632104587", BILL),
    receipt("L", MON + HOUR, IMPORT, "declaration:I20260001632104587", BILL),
    receipt("C", MON + 2 * HOUR, IMPORT, BOX),
    receipt("P", MON + 5 * DAY, IMPORT),
    GATED_OUT,
    said("GATE_OUT", MON + 6 * DAY, OTHER),
    said("GATE_OUT", MON + 8 * DAY, OTHER),
    said("ESEAL_ALARM", MON + 3 * DAY),
    said("EMPTY_IN", MON + 9 * DAY, laden=False, weight_kg=9_000.0),
    receipt("L", MON, EXPORT, OTHER),
)


STATES = "SELECT * FROM alert_states ORDER BY subject"
CONDITIONS = "SELECT * FROM alert_conditions ORDER BY subject, condition, cause"


def dump(connection: psycopg.Connection[Any]) -> list[list[tuple[Any, ...]]]:
    return [connection.execute(STATES).fetchall(), connection.execute(CONDITIONS).fetchall()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=some.permutations(range(len(STORY))), batch=some.sampled_from([1, 2, 7, 2_000]))
def test_any_order_of_arrival_and_any_batch_give_the_same_alerts(
    connection: psycopg.Connection[Any], order: list[int], batch: int
) -> None:
    project(connection, entries(*STORY))
    usual = dump(connection)
    connection.rollback()
    project(connection, entries(*(STORY[place] for place in order)), batch)
    found = dump(connection)
    connection.rollback()
    assert found[1] == usual[1]
    assert found[0] == usual[0]
    assert {row[1] for row in usual[1]} > {"gated_out_unreleased", "seal_alarm", "left_under_inspection"}


@pytest.mark.parametrize("batch", [1, 7])
def test_corrections_in_batches_of_any_size_give_the_same_alerts(
    connection: psycopg.Connection[Any], batch: int
) -> None:
    told = [
        *STORY,
        *(about(each, Confirmed, MON + 10 * DAY) for each in STORY[:8]),
        *(about(each, Retracted, MON + 11 * DAY) for each in STORY[::2]),
        *(about(each, Reinstated, MON + 12 * DAY) for each in STORY[::4]),
    ]
    project(connection, entries(*told))
    usual = dump(connection)
    connection.rollback()
    project(connection, entries(*told), batch)
    assert dump(connection) == usual


@pytest.mark.parametrize("batch", [1, 100, 2_000])
def test_of_a_box_that_never_rests_the_newest_facts_are_remembered(
    connection: psycopg.Connection[Any], batch: int
) -> None:
    many = [said(("GATE_IN", "GATE_OUT")[n % 2], MON - n * HOUR) for n in range(OWN_MAX + 60)]
    alarms = [said("ESEAL_ALARM", MON - n * MINUTE) for n in range(DEVICE_MAX + 20)]
    project(connection, entries(*many, *alarms), batch)
    [(_, state)] = dump(connection)[0]
    kept = alert_states.decode(state).facts
    assert len(kept) == OWN_MAX + DEVICE_MAX
    assert kept[0].at == MON - (OWN_MAX - 1) * HOUR
