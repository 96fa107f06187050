"""Cutting a stream: the parts hold every byte once, say together what the whole says, and lie where they lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from api import limits
from api.formats import codeco, native
from api.limits import BadStream, TooLarge
from api.parts import Cutter, Interchanges, Lines, Part, cutter
from domain.report import Reading

SAMPLES = Path(__file__).parent / "formats" / "samples"
BOX = (
    "BGM+34+D{n}+9'TDT+20++1'NAD+MS+X'EQD+CN+CSQU3054383+22G1:102:5+++5'"
    "DTM+7:202403011200:203'LOC+165+CNSHA:139:6'FTX+AAA+++it?'s 3??'CNT+16:1'"
)


def messages(*numbers: int) -> str:
    return "".join(f"UNH+{n}+CODECO:D:95B:UN:ITG14'{BOX.format(n=n)}UNT+10+{n}'\r\n" for n in numbers)


def unb(reference: str) -> str:
    return f"UNB+UNOA:2+TERM+PORT+240301:1200+{reference}'\r\n"


ADVISED = f"UNA:+.? '{unb('A')}{messages(*range(9))}UNZ+9+A'\r\n"
RELEASED = f"UNA:+.? '{unb('R?+1')}{messages(*range(9))}UNZ+9+R?+1'\r\n"
GROUPED = (
    f"{unb('G')}UNG+CODECO+A+B+240301:1200+1+UN+D:95B'{messages(*range(5))}UNE+5+1'"
    f"UNG+CODECO+A+B+240301:1200+2+UN+D:95B'{messages(*range(5, 9))}UNE+4+2'UNZ+2+G'\r\n"
)
OWN_SIGNS = ("UNA:+.? ' " + unb("O") + messages(1, 2, 3) + "UNZ+3+O'\r\n").replace("'", "~").replace("+", "*")
CUT_OFF = f"UNA:+.? '{unb('C')}{messages(1, 2)}UNH+77+CODECO:D:95B:UN'BGM+34{unb('D')}{messages(3, 4)}UNZ+2+D'"
WRAPPED = f"UNA:+.? '{unb('W')}{messages(1, 2, 3)}UNZ+3+W'".replace("UNH", "U\r\nNH")
MISCOUNTED = f"{unb('M')}{messages(1, 2, 3)}UNZ+4+N'"
UNENDED = unb("U").rstrip("'\r\n") + messages(1, 2, 3) + "UNZ+3+U'"
STRAY = f"stray'{unb('S')}stray'{messages(1, 2)}stray'{messages(3)}UNZ+3+S'stray"
INTERCHANGES = {
    "advised": ADVISED,
    "grouped": GROUPED,
    "several": ADVISED + GROUPED + OWN_SIGNS + CUT_OFF,
    "cut off": CUT_OFF,
    "released": RELEASED,
    "wrapped": WRAPPED,
    "unended": UNENDED,
    "stray": STRAY,
    "none": "nothing of this is EDIFACT",
    "empty": "",
}


def parts(cut: Cutter, body: bytes, piece_bytes: int) -> Iterator[Part]:
    for at in range(0, len(body), piece_bytes):
        yield from cut.feed(body[at : at + piece_bytes])
    yield from cut.finish()


def check_seams(found: list[Part], body: bytes) -> None:
    assert b"".join(part.body[part.envelope :] for part in found) == body
    assert [part.start for part in found] == [0, *(part.end for part in found[:-1])]


def said(readings: list[Reading], part: Part) -> list[tuple[object, ...]]:
    return [
        (
            *(each.key, part.offset(each.start), part.offset(each.end)),
            *(each.fault and (each.fault.code, part.offset(each.fault.offset)), len(each.reports)),
        )
        for each in readings
    ]


@pytest.mark.parametrize("body", [body.encode() for body in INTERCHANGES.values()], ids=list(INTERCHANGES))
@pytest.mark.parametrize("messages_max", [1, 2, 4, 1000])
@pytest.mark.parametrize("bytes_max", [200, 900, 1_000_000])
def test_the_parts_of_interchanges_say_what_the_whole_says(body: bytes, messages_max: int, bytes_max: int) -> None:
    whole = said(codeco.read(body), Part(body, 0, 0, 0))
    layouts = set()
    for piece_bytes in (1, 7, 333, 100_000):
        found = list(parts(Interchanges(bytes_max, messages_max), body, piece_bytes))
        check_seams(found, body)
        assert [each for part in found for each in said(codeco.read(part.body), part)] == whole
        layouts.add(tuple((part.start, part.envelope) for part in found))
    assert len(layouts) == 1, "where the cuts lie depends on the pieces in which the body came"


@pytest.mark.parametrize("name", ["coarri-barge-rail", "codeco-two-interchanges", "coarri-own-separators"])
def test_the_samples_can_be_cut_between_any_two_messages(name: str) -> None:
    body = (SAMPLES / f"{name}.edi").read_bytes()
    whole = [reading.key for reading in codeco.read(body)]
    found = list(parts(Interchanges(1, 1), body, 100))
    check_seams(found, body)
    assert len(found) == len(whole)
    assert [reading.key for part in found for reading in codeco.read(part.body)] == whole


def test_messages_are_numbered_over_the_whole_stream() -> None:
    found = list(parts(Interchanges(1, 2), (ADVISED + GROUPED).encode(), 50))
    opened = [part.body[part.envelope :].count(b"UNH+") for part in found]
    assert [part.messages for part in found] == [sum(opened[:index]) for index in range(len(found))]


def test_what_unz_says_is_checked_against_the_whole_interchange() -> None:
    for body, wrong in ((ADVISED, []), (GROUPED, []), (MISCOUNTED, ["'4'", "UNZ N"]), (ADVISED[:-13], ["UNZ"])):
        cut = Interchanges(1, 1)
        list(parts(cut, body.encode(), 64))
        assert len(cut.warnings) == len(wrong), cut.warnings
        assert all(word in warning for word, warning in zip(wrong, cut.warnings, strict=True))


def test_envelopes_without_messages_do_not_gather_either() -> None:
    for flood in (unb("A"), "UNG+CODECO'", "UNZ+0+A'", f"UNA:+.? '{unb('A')}"):
        found = list(parts(Interchanges(1_000, 10), (unb("F") + flood * 5_000).encode(), 4_096))
        assert max(len(part.body) for part in found) < 2_000 + limits.SEGMENT_CHARS_MAX


def test_a_message_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES_MAX", 5_000)
    body = (unb("L") + messages(1, 2) + "UNH+3+CODECO:D:95B:UN'" + "FTX+AAA'" * 1_000).encode()
    cut = Interchanges(1, 1)
    with pytest.raises(TooLarge) as caught:
        list(parts(cut, body, 500))
    assert caught.value.facts["offset"] == body.index(b"UNH+3")


LINE = b'{"subject":"container:CSQU3054383","code":"GATE_IN","happened_at":"2026-03-01T12:00:00Z","id":"%d"}'
LINES = b"\xef\xbb\xbf" + b"\r\n".join(LINE % n for n in range(20)) + b'\n\n{"broken\n' + LINE % 99


@pytest.mark.parametrize("messages_max", [1, 3, 1000])
@pytest.mark.parametrize("bytes_max", [100, 500, 1_000_000])
def test_the_parts_of_ndjson_say_what_the_whole_says(messages_max: int, bytes_max: int) -> None:
    whole = said(native.read(LINES), Part(LINES, 0, 0, 0))
    layouts = set()
    for piece_bytes in (1, 7, 333, 100_000):
        found = list(parts(Lines(bytes_max, messages_max), LINES, piece_bytes))
        check_seams(found, LINES)
        told = [each for part in found if part.body.strip() for each in said(native.read(part.body), part)]
        assert [each[3:] for each in told] == [each[3:] for each in whole]
        assert [each[0] for each in told if not each[3]] == [each[0] for each in whole if not each[3]]
        layouts.add(tuple(part.start for part in found))
    assert len(layouts) == 1


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES_MAX", 1_000)
    with pytest.raises(TooLarge) as caught:
        list(parts(Lines(500, 10), LINE % 1 + b"\n" + b"x" * 2_000, 100))
    assert caught.value.facts["offset"] == len(LINE % 1) + 1


@pytest.mark.parametrize("body", [b'[\n{"a": 1}\n]', b"\xef\xbb\xbf <a>\n</a>"])
def test_what_is_not_ndjson_is_refused_and_not_cut_into_faults(body: bytes) -> None:
    with pytest.raises(BadStream):
        list(parts(Lines(500, 10), body, 1))


def test_text_messages_cannot_be_told_apart_on_the_way() -> None:
    with pytest.raises(BadStream):
        cutter("fsu")


@settings(max_examples=300, deadline=None)
@given(
    some.lists(some.sampled_from([ADVISED, GROUPED, OWN_SIGNS, CUT_OFF, "UNB+", "UNA", "'", "?", "UNZ+1+A'", "\n"])),
    some.integers(1, 5),
    some.integers(1, 2_000),
    some.integers(1, 400),
)
@example(["UNA", "'", GROUPED], 1, 1, 1)
def test_no_stream_loses_a_byte(pieces: list[str], messages_max: int, bytes_max: int, piece_bytes: int) -> None:
    body = "".join(pieces).encode()
    check_seams(list(parts(Interchanges(bytes_max, messages_max), body, piece_bytes)), body)


@settings(max_examples=200, deadline=None)
@given(some.binary(max_size=400), some.integers(1, 3), some.integers(1, 50), some.integers(1, 50))
def test_no_bytes_at_all_are_lost(body: bytes, messages_max: int, bytes_max: int, piece_bytes: int) -> None:
    check_seams(list(parts(Interchanges(bytes_max, messages_max), body, piece_bytes)), body)
    if not body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"<")):
        check_seams(list(parts(Lines(bytes_max, messages_max), body, piece_bytes)), body)
