"""The clock rules: what may lie how far ahead, what is done about it, and which local times are in doubt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain import places
from domain.clocks import FAR, FUTURE, STRICT, Policy, judge, known_zone, rules, turning
from domain.report import Classifier, Fault, Function, Moment, Movement, Reading, Receipt

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
BODY = b"UNH+1+CODECO'EQD+CN+CSQU3054383+22G1'UNT+3+1'"
BOX = "container:CSQU3054383"
ESTIMATE = Policy(on_future="estimate")


def movement(when: Moment, classifier: Classifier = "ACT") -> Movement:
    return Movement(subject=BOX, code="GATE_IN", raw_code="34", when=when, classifier=classifier)


def judged(
    *reports: Movement | Receipt, policy: Policy = STRICT, function: Function = "original", now: datetime = NOW
) -> tuple[list[Movement | Receipt], Fault | None]:
    reading = Reading(key="1", start=4, end=len(BODY), function=function, reports=list(reports))
    return judge(reading, BODY, rules(now, policy))


def code(*reports: Movement | Receipt, policy: Policy = STRICT) -> str:
    fault = judged(*reports, policy=policy)[1]
    return fault.code if fault else ""


# --- the future ---


@given(ahead=some.timedeltas(min_value=timedelta(days=-9000), max_value=timedelta(days=9000)))
def test_an_actual_event_may_be_fifteen_minutes_ahead_and_no_more(ahead: timedelta) -> None:
    assert code(movement(Moment(NOW + ahead))) == ("time.future" if ahead > timedelta(minutes=15) else "")


def test_fifteen_minutes_are_allowed_to_the_microsecond() -> None:
    assert code(movement(Moment(NOW + FUTURE))) == ""
    assert code(movement(Moment(NOW + FUTURE + MICROSECOND))) == "time.future"


@given(
    ahead=some.timedeltas(min_value=timedelta(days=-9000), max_value=timedelta(days=9000)),
    classifier=some.sampled_from(["EST", "PLN"]),
)
def test_a_plan_or_an_estimate_may_be_two_years_ahead_and_no_more(ahead: timedelta, classifier: Classifier) -> None:
    assert code(movement(Moment(NOW + ahead), classifier)) == ("time.far" if ahead > FAR else "")


def test_two_years_are_allowed_to_the_microsecond() -> None:
    for classifier in ("EST", "PLN"):
        assert code(movement(Moment(NOW + FAR), classifier)) == ""
        assert code(movement(Moment(NOW + FAR + MICROSECOND), classifier)) == "time.far"


def test_what_is_old_is_recorded_as_it_came() -> None:
    old = movement(Moment(datetime(2016, 3, 1, tzinfo=UTC)))
    assert judged(old) == ([old], None)


def test_a_source_may_have_its_future_events_taken_as_expected_with_a_warning() -> None:
    [taken], fault = judged(movement(Moment(NOW + timedelta(hours=1))), policy=ESTIMATE)
    assert fault is None
    assert isinstance(taken, Movement)
    assert taken.classifier == "EST"
    assert taken.warnings == (
        "时间在收到之后，按预计记录 / later than its receipt, taken as expected: 2026-11-21T05:00:00Z",
    )


def test_even_as_an_estimate_nothing_is_taken_from_beyond_two_years() -> None:
    assert code(movement(Moment(NOW + FAR + MICROSECOND)), policy=ESTIMATE) == "time.far"


@pytest.mark.parametrize("policy", [STRICT, ESTIMATE])
def test_a_customs_receipt_is_never_an_estimate(policy: Policy) -> None:
    receipt = Receipt(subject="declaration:1", raw_code="P", when=Moment(NOW + timedelta(hours=1)))
    assert code(receipt, policy=policy) == "time.future"


def test_one_report_in_the_future_holds_back_its_whole_message_and_says_where() -> None:
    reports, fault = judged(movement(Moment(NOW)), movement(Moment(NOW + timedelta(hours=8))))
    assert reports == []
    assert fault is not None
    assert BODY[fault.offset :].startswith(b"CSQU3054383")
    zh, _, en = fault.detail.partition(" / ")
    assert zh == f"{BOX} 34：实际发生的时间晚于收到时间，2026-11-21T12:00:00Z，收到 2026-11-21T04:00:00Z"
    assert en == f"{BOX} 34 had not happened when it came: 2026-11-21T12:00:00Z, received 2026-11-21T04:00:00Z"


def test_a_subject_that_the_message_writes_otherwise_is_told_by_where_the_message_begins() -> None:
    elsewhere = Movement(subject="awb:11200000011", code="AIR_DEP", raw_code="DEP", when=Moment(NOW + 2 * FUTURE))
    fault = judged(elsewhere)[1]
    assert fault is not None
    assert fault.offset == 4


def test_a_cancellation_states_nothing_so_its_times_are_not_judged() -> None:
    later = movement(Moment(NOW + timedelta(hours=1)))
    assert judged(later, function="cancel") == ([later], None)
    assert judged(later, function="replace")[1] is not None


# --- local times ---


def warnings(text: str, place: str, policy: Policy = STRICT) -> tuple[str, ...]:
    [report], fault = judged(movement(places.moment(text, place)), policy=policy)
    assert fault is None
    return report.warnings


def test_an_hour_that_the_clock_shows_twice_is_warned_of() -> None:
    [warning] = warnings("2026-10-25T02:30", "DEHAM")
    zh, _, en = warning.partition(" / ")
    assert zh == "Europe/Berlin 2026-10-25T02:30：该时刻出现两次，取第一次"
    assert en == "2026-10-25T02:30 occurs twice in Europe/Berlin; the first is taken"


def test_an_hour_that_the_clock_never_shows_is_warned_of() -> None:
    [warning] = warnings("2026-03-29T02:30", "DEHAM")
    assert "没有该时刻" in warning
    assert "2026-03-29T02:30 does not occur in Europe/Berlin" in warning


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("2025-10-26T01:59", "DEHAM"),
        ("2025-10-26T03:00", "DEHAM"),
        ("2026-03-29T01:59", "DEHAM"),
        ("2026-03-29T03:00", "DEHAM"),
        ("2026-03-29T02:30", "CNNKG"),
        ("2025-10-26T02:30+01:00", "DEHAM"),
        ("2025-10-26T00:30Z", "DEHAM"),
    ],
)
def test_the_hours_beside_other_zones_and_stated_offsets_leave_no_doubt(text: str, place: str) -> None:
    assert warnings(text, place) == ()


@pytest.mark.parametrize(("day", "both"), [("2025-10-26", "2025-10-26T02:30"), ("2026-03-29", "2026-03-29T02:30")])
def test_the_days_on_which_clocks_move_are_found(day: str, both: str) -> None:
    assert turning("Europe/Berlin", day)
    assert warnings(both, "DEHAM") != ()


@given(
    local=some.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2026, 11, 1)),  # noqa: DTZ001
    place=some.sampled_from(["DEHAM", "USNYC", "USLAX", "AUSYD", "CNSHG", "KZDOS", "PLGDN", "BRSSZ", "ZZZZZ"]),
)
def test_no_doubt_escapes_the_quick_look(local: datetime, place: str) -> None:
    when = places.moment(local.isoformat(timespec="minutes"), place)
    doubt = places.doubt(when)
    [report], _ = judged(movement(when))
    assert report.warnings == ((doubt,) if doubt else ())


@pytest.mark.parametrize("day", ["", "0001-01-01", "9999-12-31", "no day"])
def test_a_day_that_cannot_be_looked_at_is_no_turning_day(day: str) -> None:
    assert not turning("Europe/Berlin", day)
    assert not turning("Atlantis/Port", "2026-03-29")


def test_the_zone_of_a_source_stands_in_where_one_was_but_assumed() -> None:
    chinese = Policy(zone="Asia/Shanghai")
    local = places.moment("2026-03-01T12:00", "gate 4")
    assert (local.zone, local.zone_from) == ("UTC", "assumed")
    [report], _ = judged(movement(local), policy=chinese)
    assert report.when == Moment(datetime(2026, 3, 1, 4, tzinfo=UTC), "2026-03-01T12:00", "Asia/Shanghai", "source")
    for plain in (places.moment("2026-03-01T12:00", "DEHAM"), places.moment("2026-03-01T12:00Z", "gate 4")):
        assert judged(movement(plain), policy=chinese)[0][0].when == plain


def test_the_zone_of_a_source_is_taken_before_the_future_is_judged() -> None:
    noon = places.moment("2026-11-21T12:00", "gate 4")
    assert code(movement(noon)) == "time.future"
    assert code(movement(noon), policy=Policy(zone="Asia/Shanghai")) == ""


def test_a_zone_that_passes_the_end_of_the_calendar_is_left_as_it_was() -> None:
    first = places.moment("0001-01-01T00:00", "gate 4")
    assert judged(movement(first), policy=Policy(zone="Asia/Shanghai"))[0][0].when == first


@pytest.mark.parametrize("zone", ["", "Asia", "../etc/passwd", "/etc/localtime", "Beijing", "a" * 5000, "\x00"])
def test_what_is_no_iana_name_is_no_zone(zone: str) -> None:
    assert not known_zone(zone)
