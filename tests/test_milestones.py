"""The vocabulary of milestones: complete, bilingual, ordered, and reached from every code of other vocabularies."""

import csv
import json
from pathlib import Path
from typing import get_args

import pytest

from domain.milestones import (
    _EQUIPMENT,
    _HANDLED,
    _SHIPMENT,
    _TRANSPORT,
    MILESTONES,
    from_dcsa_equipment,
    from_dcsa_shipment,
    from_dcsa_transport,
    from_fsu,
    name,
    rank,
)
from domain.report import Mode

DATA = Path(__file__).parents[1] / "../shared/data"

FSU_LIST = DATA / "air/air-fsu-status-codes.csv"
DCSA_SETS = DATA / "dcsa/dcsa-tnt-code-sets.json"


def test_every_milestone_has_both_languages_of_its_own() -> None:
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in row.zh) for row in MILESTONES.values())
    assert all(row.en.isascii() and row.en for row in MILESTONES.values())
    assert len({row.zh for row in MILESTONES.values()}) == len(MILESTONES)
    assert len({row.en for row in MILESTONES.values()}) == len(MILESTONES)


def test_a_milestone_belongs_to_a_known_mode_of_transport() -> None:
    assert {row.mode for row in MILESTONES.values()} <= set(get_args(Mode))


def test_an_unknown_code_is_shown_as_it_came() -> None:
    assert name("RINGED", "zh") == "RINGED"
    assert name("RINGED_REVERSED", "en") == "RINGED_REVERSED"


def test_a_reversal_is_named_after_what_it_takes_back() -> None:
    assert name("DEC_RELEASED_REVERSED", "zh-CN") == "放行（撤销）"
    assert name("DEC_RELEASED_REVERSED", "en") == "Released (reversed)"


def test_no_two_milestones_share_a_rank() -> None:
    assert len({rank(code) for code in MILESTONES}) == len(MILESTONES)


@pytest.mark.parametrize(
    "journey",
    [
        (
            "BKG_CONF EMPTY_OUT STUFFED GATE_IN ARRIVAL_RPT DEC_SUBMITTED EXP_RELEASED LOADED VSL_DEP VSL_ARR "
            "DISCHARGED IMP_RELEASED AVAILABLE GATE_OUT STRIPPED EMPTY_IN"
        ),
        (
            "RAIL_REQ STATION_IN RAIL_ARRIVAL_RPT RAIL_RELEASE WAGON_LOADED TRAIN_DEP TRAIN_PASS BORDER_ARR "
            "GAUGE_CHANGE BORDER_CROSSED TRAIN_ARR WAGON_UNLOADED STATION_OUT"
        ),
        "AIR_BKD AIR_FOH AIR_RCS AIR_SEC AIR_PRE AIR_MAN AIR_DEP AIR_ARR AIR_RCF AIR_NFD AIR_AWD AIR_CCD AIR_DLV POD",
        "DEC_DRAFT DEC_SUBMITTED DEC_ACCEPTED DEC_REVIEWED DUTY_PAID INSP_ORDERED INSP_DONE DEC_RELEASED DEC_CLOSED",
    ],
)
def test_lines_of_one_time_follow_the_journey(journey: str) -> None:
    codes = journey.split()
    assert sorted(codes, key=rank) == codes


def test_a_manifest_is_submitted_before_it_is_accepted() -> None:
    assert rank("MAN_SUBMITTED") < rank("MAN_ADV_OK") < rank("MAN_ORIG_OK")


def test_an_unknown_code_sorts_after_all_known_ones() -> None:
    assert rank("RINGED") > max(rank(f"{code}_REVERSED") for code in MILESTONES)


def test_loading_and_discharging_differ_by_mode() -> None:
    loaded = [from_dcsa_equipment("LOAD", mode=mode, empty=False) for mode in ("VESSEL", "BARGE", "RAIL", "TRUCK")]
    assert loaded == ["LOADED", "BARGE_LOAD", "WAGON_LOADED", "TRUCK_LOADED"]
    out = [from_dcsa_equipment("DISC", mode=mode, empty=False) for mode in ("VESSEL", "BARGE", "RAIL", "TRUCK")]
    assert out == ["DISCHARGED", "BARGE_DISC", "WAGON_UNLOADED", "TRUCK_UNLOADED"]


def test_transhipment_is_between_vessels() -> None:
    assert from_dcsa_equipment("DISC", mode="VESSEL", empty=False, transhipment=True) == "TS_DISC"
    assert from_dcsa_equipment("LOAD", mode="VESSEL", empty=False, transhipment=True) == "TS_LOAD"
    assert from_dcsa_equipment("LOAD", mode="RAIL", empty=False, transhipment=True) == "WAGON_LOADED"


@pytest.mark.parametrize(
    ("mode", "empty", "facility", "way"),
    [
        ("TRUCK", False, "POTE", "GATE"),
        ("TRUCK", None, "POTE", "GATE"),
        ("RAIL", False, "POTE", "GATE"),
        ("", False, "", "GATE"),
        ("TRUCK", True, "DEPO", "EMPTY"),
        ("", None, "DEPO", "EMPTY"),
        ("TRUCK", True, "POTE", "EMPTY"),
        ("TRUCK", False, "DEPO", "YARD"),
        ("TRUCK", False, "CLOC", "YARD"),
        ("TRUCK", False, "RAMP", "STATION"),
        ("RAIL", False, "", "STATION"),
        ("RAIL", True, "INTE", "STATION"),
    ],
)
def test_a_gate_is_named_for_the_facility_and_the_load(mode: str, empty: bool | None, facility: str, way: str) -> None:
    assert from_dcsa_equipment("GTIN", mode=mode, empty=empty, facility_type=facility) == f"{way}_IN"
    assert from_dcsa_equipment("GTOT", mode=mode, empty=empty, facility_type=facility) == f"{way}_OUT"


def test_pick_up_and_drop_off_mean_an_empty_box_unless_it_is_stated_laden() -> None:
    assert from_dcsa_equipment("PICK", mode="TRUCK", empty=True) == "EMPTY_OUT"
    assert from_dcsa_equipment("DROP", mode="TRUCK", empty=None) == "EMPTY_IN"
    assert from_dcsa_equipment("PICK", mode="TRUCK", empty=False) == "YARD_OUT"
    assert from_dcsa_equipment("DROP", mode="TRUCK", empty=False) == "YARD_IN"


def test_a_box_loaded_at_a_rail_border_has_changed_gauge() -> None:
    assert from_dcsa_equipment("LOAD", mode="RAIL", empty=False, facility_type="BOCR") == "GAUGE_CHANGE"
    assert from_dcsa_equipment("DISC", mode="RAIL", empty=False, facility_type="BOCR") == "WAGON_UNLOADED"


def test_only_a_train_arrives_at_a_border_station() -> None:
    assert from_dcsa_transport("ARRI", mode="RAIL", border=True) == "BORDER_ARR"
    assert from_dcsa_transport("DEPA", mode="RAIL", border=True) == "TRAIN_DEP"
    assert from_dcsa_transport("ARRI", mode="TRUCK", border=True) == "TRUCK_ARR"
    assert from_dcsa_transport("PASS", mode="RAIL") == ""


def test_a_document_status_without_a_milestone_has_none() -> None:
    assert from_dcsa_shipment("ISSU", "ARN") == "ARN_SENT"
    assert from_dcsa_shipment("PENA", "CBR") == ""
    assert from_dcsa_shipment("RELS", "ZZZ") == ""


def test_every_fsu_code_of_the_list_has_a_milestone_of_the_air() -> None:
    if not FSU_LIST.exists():
        pytest.skip(f"no list of FSU codes at {FSU_LIST}")
    with FSU_LIST.open(encoding="utf-8", newline="") as file:
        found = {row["code"]: from_fsu(row["code"]) for row in csv.DictReader(file)}
    assert len(found) == 37
    assert all(MILESTONES[code].mode == "AIR" for code in found.values())
    assert {code for code, known in found.items() if known == "AIR_DIS"} == {
        code for code in found if code.startswith("DIS_") and code != "DIS_OFLD"
    }


def test_a_discrepancy_is_read_in_all_its_spellings() -> None:
    assert [from_fsu(code) for code in ("DIS", "DIS_OFLD", "DIS/OFLD", "dis ofld", "DIS NEWC")] == [
        "AIR_DIS",
        "AIR_OFLD",
        "AIR_OFLD",
        "AIR_OFLD",
        "AIR_DIS",
    ]
    assert from_fsu("DISX") == ""


def test_every_equipment_and_transport_code_of_dcsa_has_a_milestone() -> None:
    if not DCSA_SETS.exists():
        pytest.skip(f"no DCSA code sets at {DCSA_SETS}")
    for version, sets in json.loads(DCSA_SETS.read_text()).items():
        if "full words" in version:
            continue
        kinds = {name.rpartition(".")[2]: codes for name, codes in sets.items()}
        modes = [mode for mode in kinds.get("modeOfTransport", []) if mode != "MULTIMODAL"]
        assert modes
        for mode in modes:
            for code in kinds["equipmentEventTypeCode"]:
                assert from_dcsa_equipment(code, mode=mode, empty=False) in MILESTONES, (version, code, mode)
            for code in kinds["transportEventTypeCode"]:
                assert from_dcsa_transport(code, mode=mode) in MILESTONES, (version, code, mode)


def test_what_a_map_answers_is_a_milestone() -> None:
    answers = {*_SHIPMENT.values(), *_TRANSPORT.values(), *_HANDLED.values(), *_EQUIPMENT.values()}
    assert answers <= set(MILESTONES)
