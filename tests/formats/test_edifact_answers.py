"""CONTRL and APERAK: what goes back says of every message what became of it, and can be read by anybody."""

import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydifact.segmentcollection import Interchange

from api.formats import aperak, coarri, contrl, edifact, edifact_writer, registry
from api.formats.edifact_syntax import COMPONENT, messages
from api.formats.edifact_writer import Told
from domain.report import Fault, Reading

SAMPLES = Path(__file__).parent / "samples"
PROBLEMS = Path(__file__).parents[2] / "docs" / "problems.md"
AT = datetime(2024, 5, 1, 13, 31, tzinfo=UTC)
WRITERS = {"contrl": contrl.write, "aperak": aperak.write}
HEAD = b"UNB+UNOA:2+YS1:ZZZ+KOUAN:ZZZ+240501:2130+78'"
GOOD = b"UNH+%d+COARRI:D:95B:UN:ITG13'BGM+46+B%d+9'EQD+CN+CSQU3054383'DTM+203:202405012112:203'UNT+5+%d'"
MISCOUNTED = b"UNH+2+COARRI:D:95B:UN'BGM+46+B2+9'EQD+CN+CSQU3054383'DTM+203:202405012112:203'UNT+9+2'"
UNTIMELY = b"UNH+3+COARRI:D:95B:UN'BGM+46+B3+9'EQD+CN+CSQU3054383'EQD+CN+TCNU7200794'DTM+203:202413012112:203'UNT+6+3'"

both = pytest.mark.parametrize("name", WRITERS)


def told(readings: list[Reading]) -> list[Told]:
    """What the server says of readings that nothing stands against."""
    return [
        SimpleNamespace(
            status="quarantined" if reading.fault else "recorded", problem=reading.fault, warnings=reading.warnings
        )
        for reading in readings
    ]


def answer(name: str, body: bytes, kind: str = "coarri") -> bytes:
    return WRITERS[name](body, told(registry.READERS[kind](body, AT)), reference="A1", at=AT)


def segments(written: bytes) -> list[str]:
    assert [message.fault for message in messages(written) if message.fault] == []
    return ["+".join(":".join(part) for part in row) for row in edifact.segments(written)]


def of(written: bytes, *tags: str) -> list[str]:
    return [text for text in segments(written) if text[:3] in tags]


def test_every_message_is_acknowledged_or_rejected_with_its_place() -> None:
    body = HEAD + GOOD % (1, 1, 1) + MISCOUNTED + UNTIMELY + b"UNZ+3+78'"
    assert of(answer("contrl", body), "UNB", "UCI", "UCM", "UCS") == [
        "UNB+UNOC:3+KOUAN:ZZZ+YS1:ZZZ+240501:1331+A1",
        "UCI+78+YS1:ZZZ+KOUAN:ZZZ+7",
        "UCM+1+COARRI:D:95B:UN:ITG13+7",
        "UCM+2+COARRI:D:95B:UN+4+29+UNT",
        "UCM+3+COARRI:D:95B:UN+4",
        "UCS+3+13",
    ]


def test_a_position_counts_the_segments_of_the_message_from_its_header() -> None:
    late = UNTIMELY.replace(b"EQD+CN+TCNU7200794'", b"DTM+203:202405012112:203'EQD+CN+TCNU7200794'").replace(
        b"T+6", b"T+7"
    )
    assert of(answer("contrl", HEAD + b"\r\n" + late + b"UNZ+1+78'"), "UCS") == ["UCS+5+12"]


def test_each_interchange_has_its_own_report() -> None:
    other = HEAD.replace(b"78", b"79").replace(b"YS1:ZZZ", b"YS2")
    body = HEAD + GOOD % (1, 1, 1) + b"UNZ+1+78'" + other + GOOD % (1, 1, 1) + b"UNZ+1+79'"
    written = answer("contrl", body)
    assert of(written, "UCI", "UCM", "UNZ") == [
        "UCI+78+YS1:ZZZ+KOUAN:ZZZ+7", "UCM+1+COARRI:D:95B:UN:ITG13+7",
        "UCI+79+YS2+KOUAN:ZZZ+7", "UCM+1+COARRI:D:95B:UN:ITG13+7", "UNZ+2+A1",
    ]  # fmt: skip


def test_groups_are_reported_as_groups() -> None:
    group = b"UNG+COARRI+A+B+240501:2130+G%d+UN+D:95B'"
    body = HEAD + group % 1 + GOOD % (1, 1, 1) + b"UNE+1+G1'" + group % 2 + GOOD % (2, 2, 2) + b"UNE+1+G2'UNZ+2+78'"
    assert of(answer("contrl", body), "UCI", "UCF", "UCM") == [
        "UCI+78+YS1:ZZZ+KOUAN:ZZZ+7", "UCF+G1+A+B+7", "UCM+1+COARRI:D:95B:UN:ITG13+7",
        "UCF+G2+A+B+7", "UCM+2+COARRI:D:95B:UN:ITG13+7",
    ]  # fmt: skip


def test_segments_outside_any_message_are_told_of_the_interchange() -> None:
    body = HEAD + GOOD % (1, 1, 1) + b"FTX+AAI'UNZ+1+78'"
    assert of(answer("contrl", body), "UCI", "UCM") == [
        "UCI+78+YS1:ZZZ+KOUAN:ZZZ+7+33", "UCM+1+COARRI:D:95B:UN:ITG13+7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "uci"), [(GOOD % (1, 1, 1), "UCI+0+UNKNOWN+UNKNOWN+7"), (b"", "UCI+0+UNKNOWN+UNKNOWN+8")]
)
def test_what_came_in_no_interchange_is_answered_under_none(body: bytes, uci: str) -> None:
    assert of(answer("contrl", body), "UCI") == [uci]


def test_an_error_names_the_document_the_message_and_the_fault() -> None:
    body = HEAD + GOOD % (1, 1, 1) + MISCOUNTED + b"UNZ+2+78'"
    written = answer("aperak", body)
    assert of(written, "BGM", "RFF", "NAD", "ERC") == [
        "BGM+312+A1-1+29", "RFF+ACW:B1", "RFF+AGO:78/1", "NAD+MS+KOUAN", "NAD+MR+YS1",
        "BGM+313+A1-2+27", "RFF+ACW:B2", "RFF+AGO:78/2", "NAD+MS+KOUAN", "NAD+MR+YS1", "ERC+102:KOUAN:ZZZ",
    ]  # fmt: skip
    fault = coarri.read(body)[1].fault
    assert fault is not None
    assert of(written, "FTX")[-1] == f"FTX+AAO+++edifact.count:{fault.detail}:UNH[2]/UNT @{fault.offset}"
    assert of(written, "FTX")[:2] == ["FTX+AAI+++recorded", "FTX+AAI+++quarantined"]


def test_chinese_is_sent_in_the_syntax_that_can_carry_it() -> None:
    assert answer("aperak", HEAD + GOOD % (1, 1, 1) + b"UNZ+1+78'").startswith(
        b"UNB+UNOC:3+KOUAN:ZZZ+YS1:ZZZ+240501:1331+"
    )
    written = answer("aperak", HEAD + MISCOUNTED + b"UNZ+1+78'")
    assert written.startswith(b"UNB+UNOY:4+KOUAN:ZZZ+YS1:ZZZ+20240501:1331+")
    assert "声明" in written.decode()


def test_warnings_are_told_and_the_message_is_still_accepted() -> None:
    odd = SimpleNamespace(status="recorded", problem=None, warnings=[f"warning {number}" for number in range(30)])
    written = aperak.write(HEAD + GOOD % (1, 1, 1) + b"UNZ+1+78'", [odd], reference="A1", at=AT)
    assert len(of(written, "FTX")) == 9
    assert of(written, "BGM") == ["BGM+312+A1-1+29"]


def test_every_fault_of_the_edifact_formats_has_a_code_that_the_docs_tell() -> None:
    names = ("truncated", "count", "reference", "character", "limit", "stray", "type", "missing", "time", "empty")
    known = {f"edifact.{name}" for name in names}
    assert known <= aperak.CODES.keys()
    assert len(set(aperak.CODES.values())) == len(aperak.CODES)
    described = PROBLEMS.read_text()
    assert {slug for slug, code in aperak.CODES.items() if f"| `{slug}` | {code} |" not in described} == set()


@both
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.edi")), ids=lambda path: path.name)
def test_an_answer_is_read_by_our_tokenizer_and_by_another_parser(name: str, path: Path) -> None:
    body, kind = path.read_bytes(), path.name.partition("-")[0]
    written = answer(name, body, kind)
    ours = segments(written)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Interchange.from_str(written.decode("utf-8" if b"UNOY" in written else "latin-1"))
        found = list(theirs.get_messages())
    assert [message.type for message in found] == [name.upper()] * len(found)
    assert len(found) == sum(text.startswith("UNH+") for text in ours)
    flat = [[segment.tag, *segment.elements] for message in found for segment in message.segments]
    inner = [text for text in ours if text[:3] not in {"UNB", "UNH", "UNT", "UNZ"}]
    told_by_them = ["+".join(":".join(part) if isinstance(part, list) else str(part) for part in row) for row in flat]
    assert told_by_them == inner
    assert theirs.sender is not None
    if name == "aperak":
        assert len(found) == len(registry.READERS[kind](body, AT))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=3), max_size=4))
def test_whatever_text_goes_into_a_segment_comes_out_of_it(elements: list[list[str]]) -> None:
    clean = [[edifact_writer._CONTROL.sub(" ", text).replace("\x1c", " ") for text in parts] for parts in elements]
    written = edifact_writer.segment("FTX", *(COMPONENT.join(parts) for parts in clean))
    charset = b"UNB+UNOY:4+A+B+20240501:1331+1'UNH+1+COARRI:D:95B:UN'"
    body = charset + written.encode() + b"UNT+3+1'UNZ+1+1'"
    [message] = messages(body)
    got = [element.split(COMPONENT) for element in message.texts[1].split("\x1d")][1:]
    assert joined(got) == joined(clean)


def joined(elements: list[list[str]]) -> str:
    """Empty ends left out, and white space at an end, which the syntax does not keep."""
    return "+".join(":".join(parts).rstrip(":") for parts in elements).rstrip("+ :").strip()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.sampled_from(sorted(WRITERS)), st.booleans())
def test_no_body_is_without_an_answer(tail: bytes, name: str, whole: bool) -> None:
    body = HEAD + (GOOD % (1, 1, 1) if whole else b"UNH+1+COARRI:D:95B:UN'BGM+46+") + tail
    written = answer(name, body)
    assert written.startswith(b"UNB+UNO")
    assert [message.fault for message in messages(written) if message.fault] == []


def test_a_fault_that_the_syntax_does_not_know_rejects_without_a_place() -> None:
    fault = Fault("document.unknown", "No standing message", 60)
    one = SimpleNamespace(status="quarantined", problem=fault, warnings=[])
    body = HEAD + GOOD % (1, 1, 1) + b"UNZ+1+78'"
    assert of(contrl.write(body, [one], reference="A1", at=AT), "UCM") == ["UCM+1+COARRI:D:95B:UN:ITG13+4+18"]
    assert of(aperak.write(body, [one], reference="A1", at=AT), "ERC") == ["ERC+302:KOUAN:ZZZ"]
