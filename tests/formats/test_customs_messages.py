"""CUSCAR and CUSRES: what is declared to customs, and what customs answers; nothing releases by accident."""

from pathlib import Path

import pytest

from api.formats import cuscar, cusres
from domain import declaration
from domain.milestones import MILESTONES
from domain.report import Movement, Reading, Receipt

SAMPLES = Path(__file__).parent / "samples"
READERS = {"cuscar": cuscar.read, "cusres": cusres.read}
RELEASES = {"IMP_RELEASED", "EXP_RELEASED", "DEC_RELEASED", "AIR_CCD"}


def sample(name: str) -> list[Reading]:
    readings = READERS[name.partition("-")[0]]((SAMPLES / name).read_bytes())
    assert [reading.fault for reading in readings if reading.fault] == []
    return readings


def moves(reading: Reading) -> list[Movement]:
    return [report for report in reading.reports if isinstance(report, Movement)]


def told(reading: Reading) -> list[tuple[str, str, str]]:
    return [(move.subject, move.code, move.raw_code) for move in moves(reading)]


def answer(*segments: str, kind: str = "D:96B") -> Reading:
    """A CUSRES with these segments after its BGM and date."""
    body = "".join(f"{segment}'" for segment in ("BGM+962+R1+11", "DTM+9:202406080920:203", *segments))
    text = f"UNB+UNOA:2+CNCUS+X+240608:0930+1'UNH+1+CUSRES:{kind}:UN'{body}UNT+{len(segments) + 4}+1'UNZ+1+1'"
    [reading] = cusres.read(text.encode())
    return reading


# --- the cargo report ---


def test_a_manifest_is_submitted_and_never_accepted_by_its_sender() -> None:
    codes = {
        report.code
        for name in ("cuscar-manifest.edi", "cuscar-house.edi")
        for one in sample(name)
        for report in moves(one)
    }
    assert codes == {"MAN_SUBMITTED", "MAN_SUBMITTED_REVERSED"}
    assert "MAN_SUBMITTED" in MILESTONES


def test_a_bill_tells_its_goods_packages_weight_and_containers() -> None:
    first, second, *_ = moves(sample("cuscar-manifest.edi")[0])
    assert (first.subject, first.pieces, first.weight_kg) == ("bl:COSU6123456780", 45, 8850.5)
    assert first.text == "POL GRPIR POD CNSHG; OLIVE OIL IN TINS; SOAP"
    assert first.refs == ("container:CSQU3054383", "container:TCNU7200794", "manifest:MN24060001")
    assert (second.weight_kg, second.refs[1]) == (12400.0, "bl:COSU6123456700")


def test_a_container_names_every_bill_in_it_and_an_empty_one_none() -> None:
    boxes = {move.subject: move for move in moves(sample("cuscar-manifest.edi")[0])}
    shared, empty = boxes["container:TCNU7200794"], boxes["container:TOLU4734787"]
    assert shared.refs == ("bl:COSU6123456780", "bl:COSU6123456781", "manifest:MN24060001")
    assert (empty.refs, empty.laden) == (("manifest:MN24060001",), False)
    assert boxes["container:CSQU3054383"].seal == "GR44100 GR44101"
    assert "container:TRL77" not in boxes  # a trailer


def test_a_deletion_takes_back_the_consignments_that_it_names() -> None:
    _, deletion, cancellation = sample("cuscar-manifest.edi")
    assert told(deletion) == [("bl:COSU6123456781", "MAN_SUBMITTED_REVERSED", "785")]
    assert (deletion.function, cancellation.function) == ("original", "cancel")
    assert deletion.document == cancellation.document


def test_house_bills_under_one_number_are_told_apart_and_name_their_master() -> None:
    first, second, *masters = moves(sample("cuscar-house.edi")[0])
    assert (first.subject, first.pieces, first.refs) == ("bl:H 8888388", 3, ("awb:11200000011", "manifest:MF7"))
    assert (second.subject, second.weight_kg, second.text) == ("bl:H 8888389", 4.536, "SAMPLES")
    assert [move.subject for move in masters] == ["awb:11200000022", "awb:11200000033", "manifest:MF7"]


def test_a_consignment_without_number_is_a_fault() -> None:
    body = (SAMPLES / "cuscar-manifest.edi").read_bytes().replace(b"RFF+BM:COSU6123456780", b"RFF+BM:")
    assert (fault := cuscar.read(body)[0].fault) is not None
    assert (fault.code, fault.path) == ("edifact.missing", "UNH[1]/CNI")


# --- answers on goods ---


def test_a_release_of_a_bill_is_one_of_its_containers_too() -> None:
    _, release, *_ = sample("cusres-manifest.edi")
    assert told(release) == [
        ("bl:COSU6123456780", "IMP_RELEASED", "7365/4"),
        ("container:CSQU3054383", "IMP_RELEASED", "7365/4"),
        ("container:TCNU7200794", "IMP_RELEASED", "7365/4"),
    ]
    assert moves(release)[0].when.wall == "2024-06-08T09:15"


@pytest.mark.parametrize(("way", "code"), [("22", "EXP_RELEASED"), ("23", "IMP_RELEASED"), ("24", "DEC_RELEASED")])
def test_the_direction_is_only_claimed_where_it_is_told(way: str, code: str) -> None:
    assert told(answer(f"GIS+{way}", "GIS+4", "RFF+BM:A123")) == [("bl:A123", code, "7365/4")]
    assert told(answer("GIS+4", "RFF+BM:A123")) == [("bl:A123", "DEC_RELEASED", "7365/4")]
    assert told(answer("GIS+22", "GIS+23", "GIS+4", "RFF+BM:A123")) == [("bl:A123", "DEC_RELEASED", "7365/4")]


def test_each_document_has_its_own_answer() -> None:
    assert told(sample("cusres-manifest.edi")[2]) == [
        ("bl:COSU6123456781", "INSP_ORDERED", "7365/5"),
        ("container:TOLU4734787", "INSP_ORDERED", "7365/5"),
        ("bl:COSU6123456782", "DEC_SUSPENDED", "7365/7"),
    ]


def test_only_an_answer_on_a_manifest_accepts_one() -> None:
    first, *_ = sample("cusres-manifest.edi")
    assert told(first) == [("bl:COSU6123456780", "MAN_ORIG_OK", "7365/1")]
    assert moves(first)[0].refs == ("manifest:MN24060001",)
    assert told(answer("GIS+1", "RFF+BM:A123")) == [("bl:A123", "", "7365/1")]


@pytest.mark.parametrize(
    "segments",
    [
        ["GIS+4:120:ZZZ"],  # a national list
        ["GIS+4:109"],  # a list of nobody
        ["GEI+4+999"],
        ["GIS+44"],
        ["GIS+04"],
        ["GIS+4", "GIS+7"],
        ["GIS+4", "GIS+5"],
        ["GIS+4", "GIS+E:120:ZZZ"],
        ["GIS+1", "TAX+3+CUS", "GIS+4"],
        ["FTX+AHN+++RELEASED"],
    ],
)
def test_nothing_but_a_release_that_stands_alone_releases(segments: list[str]) -> None:
    for named in ("RFF+BM:A123", "EQD+CN+CSQU3054383", "RFF+MWB:112-00000011", "RFF+ABT:223320240000000013"):
        cut = 1 if named.startswith("EQD") else len(segments)
        for reading in (answer(*segments[:cut], named, *segments[cut:]), answer(named, *segments)):
            assert reading.fault is None
            assert {report.code for report in moves(reading)} & RELEASES == set()
            receipts = [report for report in reading.reports if isinstance(report, Receipt)]
            assert not any(
                declaration.INDICATORS.get(one.raw_code, (None,))[0] is declaration.Released for one in receipts
            )


@pytest.mark.parametrize("error", [["ERP+1:0", "ERC+487"], ["ERP+1:0", "FTX+AAO+++NOT KNOWN"], ["ERC+1"]])
def test_an_error_beside_a_release_is_no_release(error: list[str]) -> None:
    for segments in (["GIS+4", *error, "RFF+BM:A123"], ["GIS+4", "RFF+BM:A123", *error]):
        [move] = moves(answer(*segments))
        assert (move.code, bool(move.warnings)) == ("", True)
        assert move.raw_code.startswith("7365/4+ERC/")


def test_a_document_that_is_stopped_stops_the_release_of_the_heading() -> None:
    reading = answer("GIS+4", "DOC+705", "RFF+BM:A123", "DOC+705", "RFF+BM:B123", "GIS+7", kind="D:00A")
    assert {move.subject: move.code for move in moves(reading)} == {"bl:A123": "", "bl:B123": "DEC_SUSPENDED"}


def test_the_release_of_a_document_without_number_is_kept_and_releases_nothing() -> None:
    reading = answer("GIS+1", "RFF+BM:A123", "DOC+705", "GIS+4", kind="D:00A")
    assert told(reading) == [("bl:A123", "", "7365/1"), ("bl:A123", "", "DOC/7365/4")]


def test_what_the_heading_says_of_all_is_kept_beside_what_is_said_of_each() -> None:
    reading = answer("GIS+17", "DOC+705", "RFF+BM:A123", "GIS+5", kind="D:00A")
    assert told(reading) == [("bl:A123", "INSP_ORDERED", "7365/5"), ("bl:A123", "", "7365/17")]


def test_air_cargo_is_cleared_by_its_own_milestone() -> None:
    assert told(sample("cusres-manifest.edi")[3]) == [("awb:11200000011", "AIR_CCD", "7365/4")]


def test_an_answer_without_indicator_keeps_its_own_name() -> None:
    [status] = moves(sample("cusres-manifest.edi")[4])
    assert (status.subject, status.code, status.raw_code) == ("manifest:936", "", "BGM/34/8")
    assert status.text == "CONSOLIDATED STATUS HELD"
    assert len(status.warnings) == 2  # neither its time nor a better one can be read


def test_an_answer_about_nothing_is_a_fault_and_a_cancellation_is_none() -> None:
    assert (fault := answer("GIS+4").fault) is not None
    assert fault.code == "edifact.missing"
    assert sample("cusres-manifest.edi")[7].function == "cancel"


# --- answers on declarations ---


def test_a_declaration_gets_a_receipt_and_its_goods_are_only_linked() -> None:
    [receipt] = sample("cusres-declaration.edi")[0].reports
    assert isinstance(receipt, Receipt)
    assert (receipt.subject, receipt.raw_code, receipt.place) == ("declaration:10207400004068", "7365/4", "0497")
    assert receipt.refs == ("bl:37132536987", "container:CSQU3054383")


def test_the_codes_of_receipts_are_never_taken_for_those_of_another_table() -> None:
    raws = [report.raw_code for reading in sample("cusres-declaration.edi") for report in reading.reports]
    assert raws == ["7365/4", "7365/6:120:ZZZ", "7365/4+ERC/487", "7365/5"]
    assert not set(raws) & declaration.RECEIPTS.keys()
    known = [declaration.INDICATORS[raw][1] for raw in raws if raw in declaration.INDICATORS]
    assert known == ["DEC_RELEASED", "INSP_ORDERED"]


def test_every_meaning_that_a_receipt_has_is_a_milestone() -> None:
    assert {code for _, code in declaration.INDICATORS.values()} <= set(MILESTONES)
    assert declaration.INDICATORS.keys() <= cusres._MEANINGS.keys()


def test_several_declarations_in_one_answer_share_no_goods() -> None:
    reading = answer("GIS+5", "EQD+CN+CSQU3054383", "RFF+ABT:1234567", "RFF+ABT:1234568")
    assert [(report.subject, report.refs) for report in reading.reports] == [
        ("declaration:1234567", ()),
        ("declaration:1234568", ()),
    ]


def test_a_reference_of_an_error_is_not_that_of_the_goods() -> None:
    reading = answer("GIS+2", "RFF+BM:A123", "ERP+1:0", "RFF+BM:B123", "ERC+12", kind="D:00A")
    assert told(reading) == [("bl:A123", "", "7365/2")]
