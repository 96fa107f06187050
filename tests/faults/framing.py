"""What a body holds beside its messages: white space, brackets, commas, the envelope; and nothing else.

The readers say where each message lies. Whatever lies between must say nothing that a source could miss, which is told
here by other means than theirs: JSON is put together again without its messages and parsed by the standard library,
EDIFACT is walked through segment by segment. A body without messages must be framing from end to end, and sound.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from api.formats.edifact_syntax import separators
from api.formats.registry import EDIFACT
from domain.report import KINDS, Movement, Reading

ENVELOPES = {"dcsa": ("events",), "one-record": ("events", "@graph"), "epcis": ("epcisBody.eventList",)}
"""Formats whose body may be an object, and the names that hold its messages."""

TREES = frozenset({"customs-receipt", "manifest", "road"})
BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n\x0b\x0c"
TELEX = b"\x01\x02\x03"  # start of header, start and end of text
KEY_CHARS_MAX = 600


class Wrong(AssertionError):
    """A rule of the intake does not hold for this body."""


def check(name: str, body: bytes, readings: Sequence[Reading]) -> None:
    """Raises Wrong unless the readings are in order, sound, and hold all of the body but its framing."""
    end = 0
    for reading in readings:
        _say(end <= reading.start <= reading.end <= len(body), f"slice {reading.start}:{reading.end} after {end}")
        end = reading.end
        _check_one(body, reading)
    outside = stretches(body, readings)
    if name in EDIFACT:
        loose = _of_edifact(outside)
    elif name == "fsu":
        loose = b"".join(outside).translate(None, BLANKS + TELEX)
    elif name in TREES and body.removeprefix(BOM).lstrip().startswith(b"<"):
        loose = _of_xml(outside)
    else:
        loose = _of_json(name, body, outside, readings)
    _say(not loose, f"outside all messages: {loose[:200]!r}")
    _say(bool(readings) or _empty(name, body), "a body that is not empty has no message")


def _check_one(body: bytes, reading: Reading) -> None:
    _say(0 < len(reading.key) <= KEY_CHARS_MAX, f"key of {len(reading.key)} characters")
    if reading.fault is not None:
        _say(not reading.reports, "a faulty message states something")
        _say(bool(reading.fault.code and reading.fault.detail), "a fault without words")
        _say(reading.start <= reading.fault.offset <= len(body), f"fault at {reading.fault.offset}")
    else:
        _say(bool(reading.reports) or reading.function == "cancel", "neither a statement nor a fault")
    for report in reading.reports:
        for subject in (report.subject, *report.refs):
            kind, _, number = subject.partition(":")
            _say(kind in KINDS and number.strip() != "", f"subject {subject!r}")
        _say(report.raw_code != "", "no code")
        known = not isinstance(report, Movement) or report.code or report.warnings or "/" in report.raw_code
        _say(bool(known), f"a code that is not known, and no warning: {report.raw_code!r}")


def stretches(body: bytes, readings: Sequence[Reading]) -> list[bytes]:
    """What lies before, between and behind the messages: one more than there are messages."""
    marks = [0, *(mark for reading in readings for mark in (reading.start, reading.end)), len(body)]
    return [body[start:end] for start, end in zip(marks[::2], marks[1::2], strict=True)]


def _of_xml(outside: Sequence[bytes]) -> bytes:
    """Tags and comments of the envelope say nothing; text and CDATA between messages do."""
    left = b"".join(_TAG.sub(b"", each) for each in outside)
    return left.replace(BOM, b"").translate(None, BLANKS)  # files that were joined have a mark between them


def _of_json(name: str, body: bytes, outside: Sequence[bytes], readings: Sequence[Reading]) -> bytes:
    first = outside[0].removeprefix(BOM).strip(BLANKS)
    if name not in ENVELOPES or not first.startswith(b"{"):
        broken = name in ENVELOPES and readings and readings[0].fault  # the head of the envelope is a message itself
        return b"".join([first, *outside[1:]]).translate(None, BLANKS + (b",[]}" if broken else b",[]"))
    between = b"".join(outside[1:-1]).translate(None, BLANKS + b",]") if readings else b""
    if between:
        return between
    if readings and readings[-1].fault and not outside[-1].strip(BLANKS):
        return b""  # the end of the envelope is a message of its own, and faulty: somebody will look at the whole
    envelope = first + outside[-1] if readings else first
    return b"" if _told(name, envelope) == 0 else envelope


def _empty(name: str, body: bytes) -> bool:
    """Whether a body says in so many words that it holds no message: an empty list."""
    try:
        value = json.loads(body.removeprefix(BOM))
    except (ValueError, RecursionError):
        return False
    return value == [] or (name in ENVELOPES and isinstance(value, dict) and _told(name, body.removeprefix(BOM)) == 0)


def _told(name: str, envelope: bytes) -> int:
    """How many messages an envelope holds besides those taken out of it; -1 if it is none."""
    try:
        members = json.loads(envelope.decode(errors="replace"), object_pairs_hook=tuple)  # a member may be there twice
    except (ValueError, RecursionError):
        return -1
    found = [value for path in ENVELOPES[name] for value in _under(members, path.split("."))]
    arrays = [value for value in found if isinstance(value, list)]
    return sum(map(len, arrays)) if arrays else -1


def _under(members: Any, path: Sequence[str]) -> list[Any]:
    """All values under this path; an object is a tuple of its members, an array a list."""
    if not path:
        return [members]
    inside = members if isinstance(members, tuple) else ()
    return [found for name, value in inside if name == path[0] for found in _under(value, path[1:])]


def _of_edifact(outside: Sequence[bytes]) -> bytes:
    """Service segments of the envelope say nothing, unless a UNH is glued to one; separators are as UNA has them."""
    terminator, release, element = "'", "?", "+"
    left = b""
    for stretch in outside:
        text = stretch.removeprefix(BOM).decode("latin-1").lstrip(_EDIFACT_BLANKS)
        while text:
            if una := separators(text):
                _, element, release, terminator = una
                text = text[9:].lstrip(_EDIFACT_BLANKS)
                continue
            escape = f"{re.escape(release)}.|" if release != " " else ""
            found = re.match(f"(?:{escape}[^{re.escape(terminator)}])*{re.escape(terminator)}?", text, re.DOTALL)
            assert found is not None
            segment = re.sub(r"[\r\n]", "", found.group().strip(_EDIFACT_BLANKS))
            tag = segment[:3]
            if segment.strip(terminator) and (tag not in {"UNB", "UNG", "UNE", "UNZ"} or f"UNH{element}" in segment):
                left += segment.encode("latin-1")
            text = text[found.end() :].lstrip(_EDIFACT_BLANKS)
    return left


def _say(holds: bool, rule: str) -> None:
    if not holds:
        raise Wrong(rule)


_EDIFACT_BLANKS = " \t\r\n"
_TAG = re.compile(rb"<!--.*?-->|<\?.*?\?>|<(?!!\[CDATA\[)[^<>]*>", re.DOTALL)
