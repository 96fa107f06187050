"""The sample day: right numbers, readable messages, whole journeys, and the oddities that it is meant to have.

Every message goes through the reader of its format, as it will on its way in; nothing is stored here.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

from api.formats.registry import CONTENT_TYPES, READERS
from domain import container, customs_districts, declaration, identifiers, shipment
from domain.fact import Stated, digest_id, identity
from domain.milestones import MILESTONES
from domain.report import Movement, Reading, Receipt
from examples import (
    air_consignment,
    background_export,
    background_import,
    rail_export,
    sea_import,
    two_step,
)
from examples.day import EXAMPLES, SOURCES, Post, deliveries
from examples.post import at

RECEIVED_AT = datetime(2026, 11, 21, tzinfo=UTC)  # FSU bears no year: it is the latest that has passed
MESSAGES = Path(__file__).parents[1] / "examples" / "messages"
Told = tuple[Post, Reading, Movement | Receipt]


@cache
def readings() -> tuple[tuple[Post, Reading], ...]:
    return tuple((post, reading) for post in deliveries() for reading in READERS[post.format](post.body, RECEIVED_AT))


@cache
def told() -> tuple[Told, ...]:
    return tuple((post, reading, report) for post, reading in readings() for report in reading.reports)


def fact_of(post: Post, report: Movement | Receipt) -> Stated:
    message_id = digest_id(post.source, post.note)
    if isinstance(report, Receipt):
        return declaration.observe(report, source=post.source, message_id=message_id, sent_at=None, now=RECEIVED_AT)
    observe = container.observe if report.subject.startswith("container:") else shipment.observe
    return observe(report, source=post.source, message_id=message_id, sent_at=None, now=RECEIVED_AT)


def journey(*subjects: str) -> list[str]:
    """What stands of these subjects, by time of happening, each thing once: milestones, or codes of receipts."""
    withdrawn = {
        (post.source, reading.document) for post, reading in readings() if reading.function in {"replace", "cancel"}
    }
    lines = {
        (report.when.at, _shown(report)): None
        for post, reading, report in told()
        if report.subject in subjects
        and (reading.function == "replace" or (post.source, reading.document) not in withdrawn)
    }
    return [code for _, code in sorted(lines, key=lambda line: line[0])]


def _shown(report: Movement | Receipt) -> str:
    """MILESTONE, with its classifier if that is not ACT, and its pieces."""
    if isinstance(report, Receipt):
        return report.raw_code
    classifier = "" if report.classifier == "ACT" else f":{report.classifier}"
    return f"{report.code or '?'}{classifier}{f':{report.pieces}' if report.pieces else ''}"


# --- numbers ---


def test_every_container_but_one_has_a_right_check_digit() -> None:
    numbers = {
        name.removeprefix("container:")
        for _, _, report in told()
        for name in (report.subject, *report.refs)
        if name.startswith("container:")
    }
    assert {number for number in numbers if identifiers.container(number)[1]} == {background_export.BAD_BOX}
    assert len(numbers) == 29


def test_every_air_waybill_and_ship_has_a_right_check_digit() -> None:
    waybills = {report.subject[4:] for _, _, report in told() if report.subject.startswith("awb:")}
    assert len(waybills) == 11
    assert not [number for number in waybills if identifiers.awb(number)[1]]
    assert not identifiers.imo(sea_import.VESSEL.imo)[1]
    assert not identifiers.imo(background_export.VESSEL.imo)[1]


def test_every_declaration_number_names_its_customs_year_and_direction() -> None:
    receipts = [report for _, _, report in told() if isinstance(report, Receipt) and report.raw_code not in {"7", "E"}]
    for receipt in receipts:
        entry = identifiers.entry_id(receipt.subject.removeprefix("declaration:"))
        assert entry.customs == receipt.place
        assert entry.year == 2026
        assert {receipt.place, receipt.border} <= customs_districts.CUSTOMS.keys()
    assert len({receipt.subject for receipt in receipts}) >= 25


def test_a_declaration_may_be_lodged_in_another_region_than_it_crosses_the_border() -> None:
    pairs = {(report.place, report.border) for _, _, report in told() if isinstance(report, Receipt)}
    assert {("2308", "2248"), ("9009", "9402"), ("2248", "2248"), ("9002", "9002")} == pairs


# --- messages ---


def test_the_day_has_some_hundreds_of_messages() -> None:
    assert 300 <= len(deliveries()) <= 500
    assert 300 <= len(readings()) <= 500


def test_two_builds_are_equal_byte_for_byte() -> None:
    assert deliveries() == deliveries()


def test_one_message_only_cannot_be_read() -> None:
    faults = [(post.source, reading.fault.code) for post, reading in readings() if reading.fault]
    assert faults == [("terminal-cnnkg", "edifact.truncated")]


def test_every_source_is_an_account_and_sends_something() -> None:
    assert {post.source for post in deliveries()} == SOURCES.keys()


NOT_OF_THE_DAY = {"edifact", "coprar", "baplie", "cuscar", "cusres", "epcis", "road", "device"}


def test_every_format_is_met_under_a_content_type_that_the_registry_knows() -> None:
    assert {post.format for post in deliveries()} == READERS.keys() - NOT_OF_THE_DAY
    for post in deliveries():
        assert CONTENT_TYPES[post.content_type] in {post.format, "edifact"}


def test_every_note_is_in_both_languages() -> None:
    assert not [post.note for post in deliveries() if " / " not in post.note]


def test_a_key_is_used_again_only_for_the_same_bytes() -> None:
    contents = defaultdict(set)
    for post, reading in readings():
        if reading.fault is None:
            digest = sha256(post.body[reading.start : reading.end]).digest()
            contents[post.source, post.format, reading.key].add(digest)
    assert not [key for key, digests in contents.items() if len(digests) > 1]


def test_every_time_has_its_zone_and_lies_within_the_journeys() -> None:
    for _, _, report in told():
        assert report.when.zone_from != "assumed", report
        assert at("02-10 00:00") <= report.when.at < at("04-05 00:00"), report


def test_nothing_is_told_before_it_happens_but_plans_and_estimates() -> None:
    expected = [report for _, _, report in told() if isinstance(report, Movement) and report.classifier != "ACT"]
    assert Counter(report.classifier for report in expected) == {"EST": 10, "PLN": 1}
    for post, reading, report in told():
        if reading.sent_at and report not in expected:
            assert report.when.at <= reading.sent_at, (post.note, report)


def test_the_day_reads_the_same_however_long_after_it_is_sent() -> None:
    """A year long, for the days of FSU bear no year."""
    for received_at in (datetime(2026, 4, 6, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)):
        for post in deliveries():
            assert READERS[post.format](post.body, received_at) == READERS[post.format](post.body, RECEIVED_AT), (
                post.note
            )


# --- oddities ---


def test_some_messages_come_twice() -> None:
    assert sum(count - 1 for count in Counter((post.source, post.body) for post in deliveries()).values()) == 4


def test_two_sources_tell_of_one_fact() -> None:
    sources = defaultdict(set)
    for post, _, report in told():
        fact = fact_of(post, report)
        sources[identity(report.subject, fact)].add((report.subject, fact.code, post.source))
    both = {(subject, code) for said in sources.values() for subject, code, _ in said if len({s for *_, s in said}) > 1}
    assert {code for subject, code in both if subject == f"container:{sea_import.BOX}"} == {
        "GATE_IN",
        "LOADED",
        "DISCHARGED",
    }
    assert {code for subject, code in both if subject == f"container:{rail_export.BOX}"} == {
        "RAIL_ARRIVAL_RPT",
        "WAGON_LOADED",
    }


def test_one_document_is_replaced_and_one_is_taken_back() -> None:
    changed = [(post.source, reading) for post, reading in readings() if reading.function in {"replace", "cancel"}]
    assert [(source, reading.function) for source, reading in changed] == [
        ("terminal-cnnkg", "replace"),
        ("depot-nanjing", "cancel"),
    ]
    for source, reading in changed:
        earlier = [
            one
            for post, one in readings()
            if (post.source, one.document, one.function) == (source, reading.document, "original")
        ]
        assert [one.reports[0].subject for one in earlier] == [reading.reports[0].subject]


def test_the_replacement_tells_another_time() -> None:
    [wrong, right] = [
        report.when.wall for _, _, report in told() if _is(report, f"container:{sea_import.BOX}", "GATE_OUT")
    ]
    assert (wrong, right) == ("2026-03-23T09:12", "2026-03-23T10:42")


def _is(report: Movement | Receipt, subject: str, code: str) -> bool:
    return isinstance(report, Movement) and (report.subject, report.code) == (subject, code)


def test_one_status_code_is_not_known() -> None:
    unknown = [
        report.raw_code
        for _, _, report in told()
        if isinstance(report, Movement) and not report.code and "/" not in report.raw_code
    ]
    assert unknown == ["MD7"]
    assert {report.code for _, _, report in told() if isinstance(report, Movement)} - {""} <= MILESTONES.keys()
    assert not [report for _, _, report in told() if isinstance(report, Receipt) and report.warnings]


def test_some_messages_overtake_others() -> None:
    seen: dict[str, datetime] = {}
    overtaken = set()
    for _, reading, report in told():
        if reading.function == "original" and getattr(report, "classifier", "ACT") == "ACT":
            if report.when.at < seen.get(report.subject, report.when.at):
                overtaken.add(report.subject)
            seen[report.subject] = max(report.when.at, seen.get(report.subject, report.when.at))
    stories = {f"container:{sea_import.BOX}", f"container:{rail_export.BOX}"}
    assert stories < overtaken
    assert f"declaration:{background_import.LOTS[3].entry.number}" in overtaken


# --- journeys ---


def test_import_by_sea_is_whole() -> None:
    assert journey(f"booking:{sea_import.BOOKING}", f"bl:{sea_import.BILL}") == [
        *("BKG_CONF", "MAN_ORIG_OK", "BL_ISSUED", "ARN_SENT", "BL_SURRENDERED", "TALLY_RPT"),
    ]
    assert journey(f"container:{sea_import.BOX}") == [
        *("EMPTY_OUT", "GATE_IN", "MAN_ORIG_OK", "LOADED", "VSL_DEP"),
        *("VSL_ARR:EST", "VSL_ARR:EST", "VSL_ARR", "VSL_ARR:EST", "DISCHARGED", "TALLY_RPT"),
        *("INSP_SITE_IN", "INSP_DONE", "INSP_SITE_OUT", "BARGE_LOAD", "BARGE_DEP", "?", "BARGE_ARR", "BARGE_DISC"),
        *("GATE_OUT", "TRUCK_DEP", "TRUCK_ARR", "STRIPPED", "EMPTY_IN"),
    ]
    entry = sea_import.ENTRY
    assert journey(f"declaration:{entry.seq}", f"declaration:{entry.number}") == ["7", "L", "J", "T", "C", "P", "R"]


def test_export_by_rail_is_whole() -> None:
    assert journey(f"container:{rail_export.BOX}") == [
        *("RWB_ISSUED", "STATION_IN", "RAIL_ARRIVAL_RPT", "RAIL_RELEASE", "LOAD_NOTICE", "WAGON_LOADED"),
        *("TRAIN_DEP", "TRAIN_PASS", "TRAIN_PASS", "BORDER_ARR", "BORDER_CROSSED", "BORDER_ARR", "GAUGE_CHANGE"),
        *("TRAIN_DEP", "BORDER_ARR", "BORDER_CROSSED", "GAUGE_CHANGE", "TRAIN_DEP", "TRAIN_ARR", "WAGON_UNLOADED"),
        "STATION_OUT",
    ]
    entry = rail_export.ENTRY
    assert journey(f"declaration:{entry.seq}", f"declaration:{entry.number}") == ["7", "L", "J", "P", "R"]


def test_air_consignment_is_whole_in_both_its_parts() -> None:
    assert journey(f"awb:{air_consignment.AWB}") == [
        *("AIR_FOH:12", "AIR_RCS:12", "AIR_SEC:12", "AIR_ARRIVAL_RPT", "EXP_RELEASED:12", "AIR_MAN:12", "AIR_OFLD:7"),
        *("AIR_BKD:PLN:12", "AIR_DEP:5", "AIR_ARR:5", "AIR_RCF:5", "AIR_MAN:7", "AIR_DEP:7", "AIR_ARR:7", "AIR_RCF:7"),
        *("AIR_NFD:12", "AIR_AWD:12", "AIR_CCD:12", "AIR_DLV:12"),
    ]
    entry = air_consignment.ENTRY
    assert journey(f"declaration:{entry.seq}", f"declaration:{entry.number}") == ["7", "L", "J", "P", "R"]


def test_two_step_declaration_is_whole() -> None:
    entry = two_step.ENTRY
    assert journey(f"declaration:{entry.seq}", f"declaration:{entry.number}") == [
        *("7", "SpL", "SpJ", "SpK", "Sp1", "L", "G", "T", "P", "R"),
    ]
    assert journey(f"container:{two_step.BOX}") == [
        *("EMPTY_OUT", "GATE_IN", "MAN_ORIG_OK", "LOADED", "VSL_DEP", "VSL_ARR:EST", "VSL_ARR", "DISCHARGED"),
        *("TALLY_RPT", "GATE_OUT", "TRUCK_ARR", "STRIPPED", "EMPTY_IN"),
    ]


def test_no_import_box_leaves_its_port_before_its_release() -> None:
    """By barge from Yangshan, or by truck: the declaration was released, or released for pick-up, before."""
    entries = (sea_import.ENTRY, two_step.ENTRY, *(lot.entry for lot in background_import.LOTS))
    for entry in entries:
        released = _first(f"declaration:{entry.number}", "P", "SpK")
        for box in entry.boxes:
            assert released < _first(f"container:{box}", "BARGE_LOAD", "GATE_OUT"), box


def _first(subject: str, *codes: str) -> datetime:
    return min(
        report.when.at
        for _, _, report in told()
        if report.subject == subject and (getattr(report, "code", "") or report.raw_code) in codes
    )


def test_examples_are_numbers_of_the_day() -> None:
    subjects = {report.subject.partition(":")[2] for _, _, report in told()}
    assert {"container", "rail_container", "awb", "declaration"} <= EXAMPLES.keys()
    assert set(EXAMPLES.values()) <= subjects


# --- messages to look at ---

FILES = {
    "codeco-gate-in.edi": "codeco",
    "coarri-discharge.edi": "coarri",
    "iftsta-rail.edi": "iftsta",
    "dcsa-events.json": "dcsa",
    "fsu-part-shipment.txt": "fsu",
    "one-record-event.json": "one-record",
    "customs-receipt.json": "customs-receipt",
    "customs-receipt.xml": "customs-receipt",
    "manifest-arrival.xml": "manifest",
    "rail-wljk-trel.json": "rail",
    "native.json": "native",
}
ODD = {"one-record-event.json"}  # a part of a shipment, of which its reader warns


def test_every_message_to_look_at_reads_without_fault_or_warning() -> None:
    assert {path.name for path in MESSAGES.iterdir()} == FILES.keys()
    for name, message_format in FILES.items():
        for reading in READERS[message_format]((MESSAGES / name).read_bytes(), RECEIVED_AT):
            assert reading.fault is None, name
            assert reading.reports, name
            assert name in ODD or not any(report.warnings for report in reading.reports), name


def test_messages_to_look_at_are_news_after_the_day() -> None:
    subjects = {report.subject for _, _, report in told()}
    for name, message_format in FILES.items():
        for reading in READERS[message_format]((MESSAGES / name).read_bytes(), RECEIVED_AT):
            assert not subjects & {report.subject for report in reading.reports}, name
