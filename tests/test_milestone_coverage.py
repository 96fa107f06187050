"""Every milestone comes out of a real message of some format, and docs/milestones.md says of which ones."""

from pathlib import Path

import pytest

from api.formats import registry
from domain.milestones import MILESTONES
from tests.milestones_dump import Reached, codes, generated, page, reached, samples

PAGE = Path(__file__).parents[1] / "docs/milestones.md"
VOCABULARY = """
BKG_CONF BKG_CANC EIR_ISSUED EMPTY_OUT STUFFED SEALED VGM_SUB MAN_ADV_OK GATE_IN ARRIVAL_RPT EXP_RELEASED TERM_RELEASED
STOWED LOADED ROLLED VSL_DEP TS_DISC TS_LOAD BARGE_LOAD BARGE_DEP BARGE_ARR BARGE_DISC LOCK_PASSED VSL_ARR VSL_BERTH
MAN_ORIG_OK DISCHARGED TALLY_RPT ARN_SENT DO_ISSUED IMP_RELEASED AVAILABLE APPOINTED GATE_OUT STRIPPED EMPTY_IN DAMAGED
RAIL_REQ RWB_ISSUED STATION_IN CONSOLIDATED RAIL_ARRIVAL_RPT RAIL_RELEASE LOAD_NOTICE WAGON_LOADED TRAIN_DEP TRAIN_PASS
BORDER_ARR GAUGE_CHANGE BORDER_CROSSED TRAIN_ARR WAGON_UNLOADED RAIL_TALLY STATION_OUT INTERCHANGE
AIR_BKD AIR_FOH AIR_RCS AIR_SEC AIR_ARRIVAL_RPT AIR_PRE AIR_MAN AIR_OFLD AIR_DEP AIR_TRM AIR_RCT AIR_TFD AIR_ARR AIR_RCF
AIR_TALLY AIR_NFD AIR_AWD AIR_CRC AIR_TGC AIR_CCD AIR_DLV AIR_DDL AIR_DIS
TRUCK_DISPATCHED PICKUP_ARR TRUCK_LOADED ESEAL_ON ESEAL_OFF ESEAL_ALARM TRUCK_DEP TRUCK_POS CHECKPOINT_PASS
CHECKPOINT_REFUSED ROUTE_DEVIATION OVERSTAY TRUCK_ARR TRUCK_UNLOADED POD
DEC_DRAFT DEC_SUBMITTED DEC_ACCEPTED DEC_REJECTED DEC_RETURNED DEC_SUSPENDED DEC_REVIEWED DUTY_ASSESSED DUTY_PAID
INSP_ORDERED INSP_DONE DEC_GUAR_REL DEC_PICKUP_REL DEC_RELEASED DEC_CLOSED DEC_AMENDED DEC_DELETED
DEC_TRANSIT_DECLARED DEC_TRANSIT_PERMITTED DEC_TRANSIT_ARRIVED DEC_TRANSIT_WRITTEN_OFF
"""
"""What an electronic port must be able to tell, whatever is added."""


@pytest.fixture(scope="module")
def found() -> Reached:
    return reached()


def test_every_milestone_comes_out_of_a_message_of_some_format(found: Reached) -> None:
    assert [code for code in dict.fromkeys([*VOCABULARY.split(), *MILESTONES]) if not found.get(code)] == []


def test_every_reversal_comes_out_of_a_message_of_some_format(found: Reached) -> None:
    assert [code for code in MILESTONES if not found.get(f"{code}_REVERSED")] == []


def test_no_message_yields_a_code_that_nobody_knows(found: Reached) -> None:
    assert [code for code in found if code.removesuffix("_REVERSED") not in MILESTONES] == []


def test_the_page_says_what_came_out(found: Reached) -> None:
    assert PAGE.read_text() == page(found), "run: python -m tests.milestones_dump > docs/milestones.md"


def test_every_format_tells_some_milestone(found: Reached) -> None:
    told = {name for names in found.values() for name in names}
    assert set(registry.READERS) - told == {"edifact"}  # it is any of the EDIFACT ones


def test_the_messages_that_were_made_are_sound_and_say_something() -> None:
    """A body that went to quarantine would prove nothing. Combinations without a meaning say no milestone."""
    by_format: dict[str, list[bool]] = {}
    for name, body in generated():
        by_format.setdefault(name, []).append(bool(codes(name, body)))
    assert {name for name, told in by_format.items() if sum(told) < 4} == set()
    assert all(by_format["native"])


def test_samples_are_read_under_the_format_of_their_name() -> None:
    assert {name for name, _ in samples()} >= {"customs-receipt", "one-record", "rail", "baplie"}
