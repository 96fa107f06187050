"""EDIFACT syntax and envelope: what is whole is read, what is broken is cut out exactly, and nothing is lost."""

import random
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydifact.segmentcollection import RawSegmentCollection

from api.formats import baplie, coarri, codeco, coprar, cuscar, cusres, edifact, edifact_syntax, iftsta
from domain.report import Movement, Reading

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / ".." / "shared" / "data" / "edifact"
READERS: dict[str, Callable[[bytes], list[Reading]]] = {
    "coarri": coarri.read,
    "codeco": codeco.read,
    "iftsta": iftsta.read,
    "coprar": coprar.read,
    "baplie": baplie.read,
    "cuscar": cuscar.read,
    "cusres": cusres.read,
}
SAMPLES = sorted((HERE / "samples").glob("*.edi"))
PUBLIC = {"D95BCOARRI.edi": "coarri", "codeco_d95b_smdg16.edi": "codeco", "d00b_iftsta.edi": "iftsta"}

HEAD = b"UNB+UNOA:2+YS1+COSCO+240501:2130+78'"
BOX = b"EQD+CN+CSQU3054383+45G1:102:5++2+5'DTM+203:202405012112:203'"
TAIL = b"UNZ+1+78'"


def message(number: int = 1, boxes: int = 1, *, told: int | None = None, box: bytes = BOX) -> bytes:
    segments = b"BGM+46+B1+9'TDT+20+032E+1'LOC+9+CNSHG:139:6'" + box * boxes + b"CNT+16:%d'" % boxes
    count = segments.count(b"'") + 2 if told is None else told
    return b"UNH+%d+COARRI:D:95B:UN'" % number + segments + b"UNT+%d+%d'" % (count, number)


def samples() -> list[tuple[str, bytes, str]]:
    found = [(path.name, path.read_bytes(), path.name.partition("-")[0]) for path in SAMPLES]
    if SHARED.is_dir():
        found += [(name, (SHARED / name).read_bytes(), kind) for name, kind in PUBLIC.items()]
    return found


every_sample = pytest.mark.parametrize(("name", "body", "kind"), samples(), ids=[name for name, _, _ in samples()])


def moves(readings: list[Reading]) -> list[Movement]:
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def lost(body: bytes, readings: list[Reading]) -> bytes:
    """What belongs to no reading and is neither envelope nor white space."""
    kept = bytearray(body)
    for reading in readings:
        kept[reading.start : reading.end] = b" " * (reading.end - reading.start)
    rest = re.sub(rb"UNA.{6}", b"", bytes(kept), flags=re.DOTALL)
    rest = re.sub(rb"[\r\n]", b"", rest)
    rest = re.sub(rb"UN[BZGE](?:[^'~?]|\?.)*(?:['~]|\Z)", b"", rest, flags=re.DOTALL)
    return rest.removeprefix(b"\xef\xbb\xbf").strip()


def check(body: bytes, readings: list[Reading]) -> None:
    """What holds for every body, however broken."""
    end = 0
    for reading in readings:
        assert end <= reading.start <= reading.end <= len(body)
        end = reading.end
        assert 0 < len(reading.key) <= 420
        if reading.fault:
            assert not reading.reports
            assert reading.start <= reading.fault.offset <= reading.end
            assert reading.fault.detail
        for report in reading.reports:
            assert report.subject.partition(":")[2]
            assert report.raw_code


@every_sample
def test_the_cut_into_segments_agrees_with_another_parser(name: str, body: bytes, kind: str) -> None:
    if name in {"coarri-own-separators.edi", "codeco-two-interchanges.edi"}:
        pytest.skip("the other parser takes no wrapped lines and no second UNA")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = RawSegmentCollection.from_str(body.decode()).segments
    told = [[segment.tag, *segment.elements] for segment in theirs if segment.tag != "UNA"]
    assert [bare(row) for row in edifact.segments(body)] == [bare(row) for row in told]


def bare(row: Sequence[object]) -> list[str]:
    """Empty components at the end of an element left out, in which parsers differ."""
    return ["|".join(part if isinstance(part, list) else [str(part)]).rstrip("|") for part in row]


@every_sample
def test_every_sample_is_read_whole(name: str, body: bytes, kind: str) -> None:
    readings = READERS[kind](body)
    assert [reading.fault for reading in readings if reading.fault] == []
    check(body, readings)
    assert lost(body, readings) == b""
    for reading in readings:
        cut = re.sub(rb"[\r\n]", b"", body[reading.start : reading.end])
        assert re.fullmatch(rb"UNH.*['~]UNT\W[0-9]+\W[0-9]+['~]", cut, re.DOTALL)


@every_sample
def test_a_truncated_body_yields_whole_messages_and_a_fault_for_the_rest(name: str, body: bytes, kind: str) -> None:
    whole = READERS[kind](body)
    for length in range(len(body)):
        readings = READERS[kind](body[:length])
        check(body[:length], readings)
        ended = [(reading.key, reading.start, reading.reports) for reading in whole if reading.end <= length]
        assert [(r.key, r.start, r.reports) for r in readings if not r.fault] == ended
        assert lost(body[:length], readings) == b""


def test_the_message_key_is_that_of_the_envelope_and_the_slice_is_exact() -> None:
    body = HEAD + message(1) + message(2) + b"UNZ+2+78'"
    first, second = coarri.read(body)
    assert (first.key, second.key) == ("YS1+COSCO+78/1", "YS1+COSCO+78/2")
    assert (first.document, first.function) == ("COARRI+YS1+B1", "original")
    assert body[first.start : first.end] == message(1)
    assert body[second.start : second.end] == message(2)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (HEAD + message() + message(2, told=9) + b"UNZ+2+78'", [None, "edifact.count"]),
        (HEAD + message().replace(b"UNT+8+1", b"UNT+8+7") + TAIL, ["edifact.reference"]),
        (HEAD + message().replace(b"CNT+16:1", b"CNT+16:2") + TAIL, ["edifact.count"]),
        (HEAD + message().removesuffix(b"UNT+8+1'") + message(2) + b"UNZ+2+78'", ["edifact.truncated", None]),
        (HEAD + message()[:-12] + b"'" + HEAD + message() + TAIL, ["edifact.truncated", None]),
        (HEAD + message() + b"FTX+AAI'" + message(2) + b"UNZ+2+78'", [None, "edifact.stray", None]),
        (HEAD + message() + TAIL + b"after", [None, "edifact.truncated"]),
        (HEAD + message() + TAIL + b"after'", [None, "edifact.stray"]),
        (b"before'" + HEAD + message() + TAIL, ["edifact.stray", None]),
        (HEAD + message().replace(b"COARRI", b"INVOIC") + TAIL, ["edifact.type"]),
        (HEAD + message().replace(b"BGM+46", b"RFF+46") + TAIL, ["edifact.missing"]),
        (HEAD + message(box=b"EQD+CN+CSQU3054383'DTM+203:20240501:999'") + TAIL, [None]),
        (HEAD + message(box=b"EQD+CN+CSQU3054383'DTM+203:202413012112:203'") + TAIL, ["edifact.time"]),
        (HEAD + message(box=b"EQD+CN+CSQU3054383'") + TAIL, ["edifact.missing"]),
        (HEAD + message(box=b"EQD+CN+'DTM+203:202405012112:203'") + TAIL, ["edifact.missing"]),
        (HEAD + message(boxes=0) + TAIL, ["edifact.empty"]),
        (HEAD + message().replace(b"032E", b"\x00") + TAIL, ["edifact.character"]),
        (HEAD + message().replace(b"032E", b"\x1d0") + TAIL, ["edifact.character"]),
        (HEAD + b"UNZ+1+78'", ["edifact.empty"]),
        (HEAD + b"UNZ+0+78'", ["edifact.empty"]),
        (HEAD, ["edifact.empty"]),
        (b"", []),
        (b"  \r\n", []),
        (b"hello", ["edifact.truncated"]),
    ],
)
def test_what_is_broken_is_set_aside_and_its_neighbours_are_read(body: bytes, codes: list[str | None]) -> None:
    readings = coarri.read(body)
    assert [reading.fault.code if reading.fault else None for reading in readings] == codes
    assert all(reading.reports for reading in readings if not reading.fault)
    check(body, readings)
    assert lost(body, readings) == b""


GLUED = [
    # cut in mid-segment, then the next message or the next interchange, glued to it
    (HEAD + message()[:-30] + message(2) + b"UNZ+2+78'", ["78/1", "78/2"]),
    (HEAD + message()[:-30] + message(2) + message(3) + b"UNZ+3+78'", ["78/1", "78/2", "78/3"]),
    (HEAD + message() + message(2)[:50] + message(3) + b"UNZ+3+78'", ["78/1", "78/2", "78/3"]),
    (HEAD + message()[:-1] + message(2) + b"UNZ+2+78'", ["78/1", "78/2"]),
    (HEAD + message()[:-30] + HEAD.replace(b"78", b"79") + message() + b"UNZ+1+79'", ["78/1", "79/1"]),
    (HEAD + message(boxes=3)[:-30] + b"\r\n" + message(2, boxes=2) + b"UNZ+2+78'", ["78/1", "78/2"]),
]


@pytest.mark.parametrize(("body", "keys"), GLUED)
def test_a_message_cut_in_mid_segment_does_not_take_the_next_one_with_it(body: bytes, keys: list[str]) -> None:
    readings = coarri.read(body)
    check(body, readings)
    assert [reading.key.removeprefix("YS1+COSCO+") for reading in readings] == keys
    broken = [reading for reading in readings if reading.fault]
    assert [reading.fault.code for reading in broken if reading.fault] == ["edifact.truncated"]
    assert lost(body, readings) == b""
    whole = [body[reading.start : reading.end] for reading in readings if not reading.fault]
    assert all(text.startswith(b"UNH+") and text.endswith(b"'") and text.count(b"UNH+") == 1 for text in whole)


def test_wherever_a_message_is_cut_the_next_one_is_read() -> None:
    whole, first = coarri.read(HEAD + message(2) + TAIL)[0].reports, message(boxes=2)
    for length in range(first.index(b"'") + 1, len(first)):
        body = HEAD + first[:length] + message(2) + b"UNZ+2+78'"
        broken, sound = coarri.read(body)
        assert (broken.fault is not None, sound.reports) == (True, whole), first[:length]
        assert lost(body, [broken, sound]) == b""


@pytest.mark.parametrize(
    "body",
    [
        HEAD + message()[:-30] + message(2, told=9) + b"UNZ+2+78'",  # the second is not whole either
        HEAD + message().replace(b"UNT+8+1", b"UNT+7+2") + TAIL,  # nothing is glued
        HEAD + b"UNH+1+COA" + message(2) + TAIL,  # the cut is in the header: there is no first message to keep
    ],
)
def test_what_cannot_be_told_apart_with_certainty_stays_together(body: bytes) -> None:
    [reading] = coarri.read(body)
    assert reading.fault is not None
    assert lost(body, [reading]) == b""


def test_a_name_that_only_looks_like_a_header_is_data() -> None:
    odd = message(box=BOX + b"FTX+AAI+++SEE UNH?+2?+COARRI'")
    assert [reading.fault for reading in coarri.read(HEAD + odd + TAIL)] == [None]
    unreleased = message(box=BOX + b"FTX+AAI+++SEE UNH+2'")
    assert [reading.fault for reading in coarri.read(HEAD + unreleased + TAIL)] == [None]


def test_a_group_may_not_name_more_references_than_any_guide_allows() -> None:
    body = HEAD + message(box=BOX + b"RFF+BN:123'" * 100) + TAIL
    assert [reading.fault and reading.fault.code for reading in coarri.read(body)] == ["edifact.limit"]


def test_a_fault_says_where_it_is() -> None:
    late = BOX + BOX.replace(b"203:202405", b"203:202413")
    body = HEAD + message() + b"\r\n" + message(2, boxes=1, box=late).replace(b"CNT+16:1", b"CNT+16:2") + b"UNZ+2+78'"
    fault = coarri.read(body)[1].fault
    assert fault is not None
    assert fault.path == "UNH[2]/EQD[2]/DTM"
    assert "'202413012112'" in fault.detail
    assert body[fault.offset :].startswith(b"EQD+CN")
    assert fault.offset == body.rindex(b"EQD")


def test_wrong_unz_is_a_warning_on_the_last_message() -> None:
    first, second = coarri.read(HEAD + message() + message(2) + b"UNZ+3+79'")
    assert not first.warnings
    assert [bool(re.search("'3' messages|'UNZ 79'", warning)) for warning in second.warnings] == [True, True]
    assert coarri.read(HEAD + message())[0].warnings == ("交换 '78' 没有 UNZ / the interchange '78' has no UNZ",)
    assert coarri.read(HEAD + message() + TAIL[:-1])[0].warnings == ()


@pytest.mark.parametrize("advice", ["", "UNA:+.? '", "UNA|^.! ~"])
@example(reference="A+1").via("a false warning")
@given(reference=st.text("AB1 :+?'|^!~港é", min_size=1, max_size=8).filter(lambda text: text == text.strip()))
def test_references_hold_separators_that_are_released(advice: str, reference: str) -> None:
    component, element, _, release, _, terminator = list(advice[3:] or ":+.? '")
    told = "".join(release + c if c in {component, element, release, terminator} else c for c in reference)
    plain = "UNB+UNOA:2+YS1+COSCO+240501:2130+#'UNH+#+COARRI:D:95B:UN'BGM+46+B1+9'UNT+3+#'UNZ+1+#'"
    body = advice + plain.translate(str.maketrans(":+'", component + element + terminator)).replace("#", told)
    [found] = edifact_syntax.messages(body.encode())
    assert (found.fault, found.warnings, found.reference) == (None, [], reference)
    if reference.isascii():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            segments = RawSegmentCollection.from_str(body).segments
        assert {segment.elements[-1] for segment in segments if segment.tag in {"UNB", "UNT", "UNZ"}} == {reference}
    wrong = body.encode().removesuffix(f"{told}{terminator}".encode()) + f"X{terminator}".encode()
    assert len(edifact_syntax.messages(wrong)[0].warnings) == (reference != "X")


def test_a_key_used_twice_in_a_body_stays_two_messages() -> None:
    first, second = coarri.read(HEAD + message() + message() + b"UNZ+2+78'")
    assert (first.key, second.key) == ("YS1+COSCO+78/1", "YS1+COSCO+78/1#2")
    assert second.warnings


def test_a_message_without_envelope_is_known_by_its_digest() -> None:
    [reading] = coarri.read(message())
    assert reading.key.startswith("sha256:")
    assert len(moves([reading])) == 1


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("UNOA", "ascii", "COSCO AFRICA"),
        ("UNOB", "ascii", "Cosco Africa"),
        ("UNOC", "latin-1", "L'Étoile"),
        ("UNOD", "iso8859-2", "Łódź"),
        ("UNOY", "utf-8", "中远之星"),
        ("UNOX", "gb18030", "中远之星"),
        ("UNOA", "utf-8", "中远之星"),
        ("UNOA", "gb18030", "中远之星"),
    ],
)
def test_names_are_read_in_the_declared_repertoire(charset: str, codec: str, name: str) -> None:
    ship = name.replace("'", "?'").encode(codec)
    body = HEAD.replace(b"UNOA", charset.encode()) + message().replace(b"+1'LOC", b"+1+13++++:::%s'LOC" % ship) + TAIL
    [reading] = coarri.read(body)
    assert [move.transport for move in moves([reading])] == [f"{name} 032E"]
    assert (reading.start, reading.end) == (len(HEAD), len(body) - len(TAIL))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("FTX+a?+b:c'", [["FTX"], ["a+b", "c"]]),
        ("FTX+a??+b'", [["FTX"], ["a?"], ["b"]]),
        ("FTX+a???+b'", [["FTX"], ["a?+b"]]),
        ("FTX+?:?'?+??:?x'", [["FTX"], [":'+?", "x"]]),
        ("FTX+a????'", [["FTX"], ["a??"]]),
    ],
)
def test_released_characters_are_data(sent: str, read: list[list[str]]) -> None:
    assert edifact.segments(sent.encode()) == [read]


def test_lines_may_be_wrapped_and_the_body_may_begin_with_a_mark() -> None:
    body = HEAD + message() + TAIL
    wrapped = b"\xef\xbb\xbf" + b"\r\n".join(body[i : i + 30] for i in range(0, len(body), 30)) + b"\r\n"
    assert [r.reports for r in coarri.read(wrapped)] == [r.reports for r in coarri.read(body)]


def test_a_body_past_its_limits_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edifact_syntax, "SEGMENT_CHARS_MAX", 100)
    long = HEAD + message().replace(b"032E", b"x" * 200) + TAIL
    assert [reading.fault and reading.fault.code for reading in coarri.read(long)] == ["edifact.limit"]
    monkeypatch.setattr(edifact_syntax, "BODY_MESSAGES_MAX", 2)
    many = HEAD + b"".join(message(number) for number in range(9)) + b"UNZ+9+78'"
    assert [bool(reading.fault) for reading in coarri.read(many)] == [False, False, True]
    assert lost(many, coarri.read(many)) == b""
    monkeypatch.setattr(edifact_syntax, "BODY_SEGMENTS_MAX", 12)
    assert [reading.fault and reading.fault.code for reading in coarri.read(many)] == [None, "edifact.limit"]


@pytest.mark.parametrize(
    "body", [b"'" * 300_000, b"UNH'" * 60_000, b"+" * 300_000, b"?" * 300_001, b"UNB+" + b":" * 300_000]
)
def test_a_bomb_is_no_burden(body: bytes) -> None:
    check(body, coarri.read(body))


PIECES = [
    b"'",
    b"+",
    b":",
    b"?",
    b"UNH+1+COARRI",
    b"UNT+1+1'",
    b"UNZ+1+1'",
    b"UNB+",
    b"UNA:+.? '",
    b"\xff",
    b"\r\n",
    b"9" * 30,
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A sample with a few bytes taken, put in, doubled or moved."""
    _, body, kind = draw(st.sampled_from(samples()))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 40)))
        middle = draw(
            st.one_of(st.just(b""), st.binary(max_size=8), st.sampled_from(PIECES), st.just(body[start:end] * 2))
        )
        body = body[:start] + middle + body[end:]
    return kind, body


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
@example(("coarri", b"UNH"))
@example(("coarri", b"UNA:+.? 'UNA:+.? 'UNB"))
def test_no_mutation_makes_it_raise(case: tuple[str, bytes]) -> None:
    kind, body = case
    for read in (READERS[kind], READERS[random.Random(len(body)).choice(sorted(READERS))]):
        check(body, read(body))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    for read in READERS.values():
        check(body, read(body))
        check(HEAD + body, read(HEAD + body))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_good_messages_survive_bad_neighbours(good: list[bool]) -> None:
    parts = [message(number, told=None if sound else 3) for number, sound in enumerate(good, 1)]
    readings = coarri.read(HEAD + b"".join(parts) + b"UNZ+%d+78'" % len(good))
    assert [reading.fault is None for reading in readings] == good
    assert len(moves(readings)) == sum(good)
