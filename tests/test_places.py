"""Places: one canonical code by mode of transport, names in both languages, and times in the right zone."""

import csv
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import customs_districts, places
from domain.errors import Malformed
from domain.places import BadTime, _own, canonical, doubt, find, moment, name, zone_of
from domain.report import Moment

GOTCHAS = Path(__file__).parents[1] / "../shared/data/places/cn-locode-gotchas.csv"


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Read the sources before anything is timed."""
    find("FRLEH")


# --- one code for one place ---


@pytest.mark.parametrize(
    ("trade", "port"),
    [
        ("CNSHA", "CNSHG"),
        ("CNTAO", "CNQDG"),
        ("CNXMN", "CNXMG"),
        ("CNNGB", "CNNBG"),
        ("CNTSN", "CNTXG"),
        ("CNNKG", "CNNJG"),
    ],
)
def test_the_sea_means_the_port_by_the_airports_code_and_the_air_the_airport(trade: str, port: str) -> None:
    assert canonical(trade, "VESSEL") == canonical(trade, "BARGE") == canonical(trade, "TRUCK") == port
    assert canonical(port, "VESSEL") == port
    assert canonical(trade, "AIR") == trade


def test_port_and_city_are_one_place_at_sea() -> None:
    assert {canonical(code, "VESSEL") for code in ("CNSHA", "CNSGH", "CNSHG", "cn sha", "CN-SHG")} == {"CNSHG"}
    assert {canonical(code, "VESSEL") for code in ("CNNKG", "CNNJP", "CNNJI", "CNNJG")} == {"CNNJG"}


def test_the_railway_means_the_city() -> None:
    assert canonical("CNURC", "RAIL") == "CNURM"
    assert canonical("CNCKG", "RAIL") == "CNCQI"
    assert canonical("CNERC", "RAIL") == "CNRLC"
    assert canonical("CNXAG", "RAIL") == "CNXAG"


def test_an_airport_has_one_code_whoever_writes_it() -> None:
    assert {canonical(code, "AIR") for code in ("XIY", "CNSIA", "CNXIA", " xiy ")} == {"CNSIA"}
    assert {canonical(code, "AIR") for code in ("MEM", "USMEM")} == {"MEM"}
    assert canonical("SHA", "AIR") == "CNSHA"
    assert canonical("CNSGH", "AIR") == "CNSGH"  # Shanghai has two airports; which one is not known


def test_a_container_place_without_a_mode_is_the_port() -> None:
    assert canonical("CNSHA", "") == "CNSHG"
    assert canonical("CNSIA", "") == "CNSIA"


@given(st.text(), st.sampled_from(["", "VESSEL", "BARGE", "RAIL", "TRUCK", "AIR"]))
def test_no_place_is_ever_refused(text: str, mode: str) -> None:
    canonical(text, mode)
    zone, _ = zone_of(text)
    assert ZoneInfo(zone)
    assert name(text, "zh") == text or find(text) is not None


def test_what_is_no_code_stays_as_reported() -> None:
    assert canonical(" Gate 4, Berth 7 ", "VESSEL") == "Gate 4, Berth 7"
    assert canonical("ZZXYZ", "VESSEL") == "ZZXYZ"
    assert canonical("", "AIR") == ""


def test_a_canonical_code_is_its_own_canonical_code() -> None:
    for mode in ("", "VESSEL", "BARGE", "RAIL", "TRUCK", "AIR"):
        for code in _own():
            once = canonical(code, mode)
            assert canonical(once, mode) == once, (code, mode)
            assert find(once) is not None


# --- look-up ---


def test_codes_that_name_the_airport_while_the_trade_means_the_port_are_known() -> None:
    if not GOTCHAS.exists():
        pytest.skip(f"no list of such codes at {GOTCHAS}")
    with GOTCHAS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    unknown = {row["locode"] for row in rows if find(row["locode"]) is None}
    assert unknown <= {"CNCDZ"}  # a station that nobody reports
    airports = [row["locode"] for row in rows if row["function"] == "---4----"]
    assert all(canonical(code, "AIR") == code for code in airports)
    assert all(canonical(code, "RAIL") != code for code in airports)
    ports = [row["locode"] for row in rows if row["function"] == "1-------"]
    assert all(canonical(code, "VESSEL") == code for code in ports)


def test_every_place_of_our_own_has_both_names_and_a_zone() -> None:
    assert len(_own()) > 200
    for place in _own().values():
        assert place.zh
        assert place.en
        assert ZoneInfo(place.zone)
        assert place.kind in {"port", "airport", "rail", "border", "city"}


@pytest.mark.parametrize(
    ("code", "zh", "en"),
    [
        ("CNNJG", "南京港", "Nanjing Port"),
        ("CNLYG", "连云港", "Lianyungang"),
        ("CNTAC", "太仓港", "Taicang Port"),
        ("CNXAG", "西安国际港（西安港）", "Xi'an International Inland Port"),
        ("XIY", "西安咸阳国际机场", "Xi'an Xianyang International Airport"),
        ("CNYSA", "洋山港", "Yangshan Port"),
        ("CNAKL", "阿拉山口", "Alashankou"),
        ("CNHRS", "霍尔果斯", "Horgos"),
        ("DEDUI", "杜伊斯堡", "Duisburg"),
        ("PLMAA", "马拉舍维奇", "Małaszewicze"),
        ("SGSIN", "新加坡", "Singapore"),
        ("FRA", "法兰克福", "Frankfurt am Main"),
    ],
)
def test_places_are_named_in_both_languages(code: str, zh: str, en: str) -> None:
    assert name(code, "zh-CN") == zh
    assert name(code, "en") == en


def test_a_name_falls_back_to_english_and_then_to_the_code() -> None:
    assert name("DZALG", "zh") == "Alger"
    assert name("XYZZY", "zh") == "XYZZY"


def test_old_codes_find_the_place_of_today() -> None:
    for old, now in {"CNNJP": "CNNJG", "CNCGU": "CNCGS", "CNDFE": "CNDFG", "CNSQI": "CNSUQ", "CNTSI": "CNJIJ"}.items():
        found = find(old)
        assert found is not None
        assert found.code == now


def test_chinese_codes_of_the_port_list_do_not_mislead() -> None:
    """The list of searoute calls CNAKL Dianbai and CNSHG Sanshan."""
    assert name("CNAKL", "en") == "Alashankou"
    assert name("CNSHG", "en") == "Shanghai Port"
    assert find("CNXIO") is None


# --- zones ---


@pytest.mark.parametrize(
    ("code", "zone"),
    [
        ("CNURC", "Asia/Shanghai"),
        ("KHG", "Asia/Shanghai"),  # Kashgar's airport keeps Beijing time
        ("CNZZZ", "Asia/Shanghai"),
        ("KZDOS", "Asia/Almaty"),
        ("RUZBK", "Asia/Chita"),
        ("BYBQT", "Europe/Minsk"),
        ("NLRTM", "Europe/Amsterdam"),
        ("INBLR", "Asia/Kolkata"),
        ("USLAX", "America/Los_Angeles"),
        ("USMEM", "America/Chicago"),
        ("CAHAL", "America/Halifax"),
        ("ESLPA", "Atlantic/Canary"),
        ("PTLIS", "Europe/Lisbon"),
        ("BRSSZ", "America/Sao_Paulo"),
        ("LON", "Europe/London"),
        ("SMSAI", "Europe/San_Marino"),
    ],
)
def test_a_zone_is_known_from_the_place(code: str, zone: str) -> None:
    assert zone_of(code) == (zone, "place")


@pytest.mark.parametrize("code", ["", "ZZABC", "Gate 4", "12345"])
def test_where_nothing_is_known_utc_is_assumed(code: str) -> None:
    assert zone_of(code) == ("UTC", "assumed")


@pytest.mark.parametrize(("code", "zone"), [("ESHUV", "Europe/Madrid"), ("RUXXX", "Europe/Moscow")])
def test_where_only_the_country_is_known_its_usual_zone_is_assumed(code: str, zone: str) -> None:
    assert zone_of(code) == (zone, "assumed")


# --- times ---

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("202603011200", "2026-03-01T12:00"),
        ("20260301120000", "2026-03-01T12:00:00"),
        ("20260301120000000", "2026-03-01T12:00:00.000"),
        ("2026-03-01T12:00", "2026-03-01T12:00"),
        ("2026-03-01 12:00:00", "2026-03-01T12:00:00"),
        ("2026/03/01 12:00:00", "2026-03-01T12:00:00"),
        ("20260301T120000", "2026-03-01T12:00:00"),
        (" 2026-03-01T12:00:00.00 ", "2026-03-01T12:00:00.00"),
    ],
)
def test_a_wall_time_is_told_in_the_zone_of_the_place(text: str, wall: str) -> None:
    assert moment(text, "CNLYG") == Moment(NOON, wall, "Asia/Shanghai", "place")


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-03-01T04:00:00Z", "+00:00"),
        ("2026-03-01T12:00:00+08:00", "+08:00"),
        ("2026-03-01T12:00:00.123456789+0800", "+08:00"),
        ("2026-03-01T12:00+08", "+08:00"),
        ("2026-02-28T20:30:00-07:30", "-07:30"),
        ("202603011200+0800", "+08:00"),
        ("202603010400UTC", "+00:00"),
    ],
)
def test_a_stated_offset_counts_whatever_the_place(text: str, zone: str) -> None:
    read = moment(text, "NLRTM", "America/New_York")
    assert (read.at.replace(microsecond=0), read.zone, read.zone_from) == (NOON, zone, "stated")


def test_a_day_is_its_midnight_and_stays_a_day() -> None:
    assert moment("20260301", "CNLYG") == Moment(NOON - timedelta(hours=12), "2026-03-01", "Asia/Shanghai", "place")
    assert moment("2026-03-01", "CNLYG").wall == "2026-03-01"
    assert moment("202602282400", "CNLYG").wall == "2026-03-01T00:00"


def test_place_goes_before_source_and_source_before_utc() -> None:
    assert moment("202603011200", "CNLYG", "Europe/Berlin").zone_from == "place"
    assert moment("202603011200", "Gate 4", "Asia/Shanghai") == Moment(
        NOON, "2026-03-01T12:00", "Asia/Shanghai", "source"
    )
    assert moment("202603011200", "", "+08:00").at == NOON
    assert moment("202603010400", "") == Moment(NOON, "2026-03-01T04:00", "UTC", "assumed")


@pytest.mark.parametrize(
    "text",
    ["", "now", "20260230", "202613011200", "202603012500", "2603011200", "2026-03-01T12:00:00+25:00", "0000-01-01"],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadTime) as refusal:
        moment(text, "CNLYG")
    assert isinstance(refusal.value, Malformed)
    assert refusal.value.facts == {"text": text}
    assert repr(text) in refusal.value.detail


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Asia", "../etc", "+8x"])
def test_a_source_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(BadTime):
        moment("202603011200", "", zone)


def test_an_hour_that_occurs_twice_is_the_first() -> None:
    read = moment("202610250230", "DEHAM")
    assert read.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert "occurs twice" in doubt(read)


def test_an_hour_that_is_skipped_is_counted_from_midnight() -> None:
    read = moment("202603290230", "DEHAM")
    assert read.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert "does not occur" in doubt(read)


def test_a_plain_time_leaves_no_doubt() -> None:
    assert doubt(moment("202603011200", "CNLYG")) == ""
    assert doubt(moment("2026-10-25T02:30:00+01:00", "DEHAM")) == ""


@given(
    st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2090-01-01")),
    st.sampled_from(["CNLYG", "DEHAM"]),
)
def test_a_time_without_doubt_reads_back_as_the_clock_showed_it(local: datetime, place: str) -> None:
    read = moment(local.isoformat(timespec="microseconds"), place)
    if doubt(read) == "":
        assert read.at.astimezone(ZoneInfo(read.zone)).replace(tzinfo=None) == local
        assert datetime.fromisoformat(read.wall) == local


# --- speed ---


def test_the_module_loads_nothing_before_it_is_asked() -> None:
    code = "import domain.places, sys; print('searoute' in sys.modules, domain.places._airports.cache_info().currsize)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "0"]


def test_times_are_read_fast_enough_for_the_ingest() -> None:
    moment("202603011200", "CNLYG")
    count = 5_000
    start = time.perf_counter()
    for minute in range(count):
        moment(f"20260301{minute % 24:02}{minute % 60:02}", canonical("CNSHA", "VESSEL"))
    assert count / (time.perf_counter() - start) > 20_000


# --- customs districts ---


def test_customs_districts_are_named_in_both_languages() -> None:
    assert customs_districts.name("2300", "zh") == "南京海关"
    assert customs_districts.name("9002", "en") == "Xianyang airport"
    assert customs_districts.name("0000", "en") == "0000"
    assert all(len(code) == 4 and zh and en.isascii() for code, (zh, en) in customs_districts.CUSTOMS.items())


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2199, 12, 31)),  # noqa: DTZ001
    st.sampled_from(["CNSHG", "DEHAM", "USNYC", "ESHUV", ""]),
    st.sampled_from(["+08:00", "-03:30", "+00:00", "-00:00", "+14:00"]),
)
def test_the_short_way_of_the_usual_forms_tells_the_same_as_the_long_one(at: datetime, place: str, offset: str) -> None:
    for text in (f"{at:%Y%m%d%H%M}", f"{at.isoformat(timespec='seconds')}{offset}"):
        assert moment(text, place) == places._read(text, place, "")


@pytest.mark.parametrize(
    "text", ["202613011200", "20260301120²", "2026-03-01T24:00:00+08:00", "2026-03-01T12:00:00+99:00"]
)
def test_what_the_short_way_cannot_take_goes_the_long_one(text: str) -> None:
    try:
        expected: object = places._read(text, "CNSHG", "")
    except BadTime as error:
        expected = str(error)
    try:
        told: object = moment(text, "CNSHG")
    except BadTime as error:
        told = str(error)
    assert told == expected
