"""CONTRL: the syntax report that goes back on an interchange, one for each interchange of the body.

UCI acknowledges the interchange, UCM each of its messages: 7 where it was taken, 4 where it went to quarantine, for
whatever reason; a fault inside is shown by UCS with the position of its segment. Segments that belong to no message are
told in UCI. Messages that came in no interchange are answered under the reference 0.
Source: UN/EDIFACT CONTRL D.3 (syntax version 3, 1997) and 4.1 (syntax version 4), code lists 0083 and 0085.

>>> from datetime import UTC
>>> from types import SimpleNamespace
>>> taken = SimpleNamespace(status="recorded", problem=None, warnings=[])
>>> write(
...     b"UNB+UNOA:2+YS1:ZZZ+KOUAN+240501:2130+78'UNH+1+COARRI:D:95B:UN'BGM+46+B1+9'UNT+3+1'UNZ+1+78'",
...     [taken], reference="A1", at=datetime(2024, 5, 1, 13, 31, tzinfo=UTC),
... )
b"UNB+UNOC:3+KOUAN+YS1:ZZZ+240501:1331+A1'UNH+1+CONTRL:D:3:UN'UCI+78+YS1:ZZZ+KOUAN+7'UCM+1+COARRI:D:95B:UN+7'UNT+4+1'UNZ+1+A1'"
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from api.formats import edifact_writer
from api.formats.edifact_syntax import COMPONENT, ELEMENT, Interchange, Message
from api.formats.edifact_writer import UNKNOWN, Answered, Told, join, segment
from domain.report import Fault


def write(body: bytes, told: Sequence[Told], *, reference: str, at: datetime) -> bytes:
    """The answer on a body, when `told` says of each of its messages, in their order, what became of it."""
    answered = edifact_writer.pair(body, told)
    reports: list[list[str]] = []
    first = Interchange()
    for _, same in groupby(answered, lambda one: id(one[0].interchange) if one[0] else 0):
        rows = list(same)
        unb = rows[0][0].interchange if rows[0][0] else Interchange()
        first = first if reports else unb
        reports.append(_report(unb, rows))
    reports = reports or [[_uci(first, _RECEIVED)]]
    three = edifact_writer.latin("".join(text for report in reports for text in report))
    kind = join("CONTRL", *(("D", "3") if three else ("4", "1")), "UN")
    sender, recipient = first.parties
    return edifact_writer.interchange(
        [edifact_writer.message(str(number), kind, report) for number, report in enumerate(reports, 1)],
        sender=recipient, recipient=sender, reference=reference, at=at,
    )  # fmt: skip


def _report(unb: Interchange, rows: list[Answered]) -> list[str]:
    """UCI, then UCM for each message, under its group where there are groups."""
    stray = any(message is None or not message.number for message, _ in rows)
    segments = [_uci(unb, _ACKNOWLEDGED, _OUTSIDE if stray else "")]
    group = 0
    for message, told in rows:
        if message is None or not message.number:
            continue
        if message.group != group:
            group = message.group
            segments.append(_ucf(unb.groups[group - 1].split(ELEMENT)))
        segments += _ucm(message, told.problem)
    return segments


def _uci(unb: Interchange, action: str, error: str = "") -> str:
    sender, recipient = unb.parties
    return segment("UCI", unb.reference or "0", sender or UNKNOWN, recipient or UNKNOWN, action, error)


def _ucf(ung: list[str]) -> str:
    told = [*ung, *[""] * 6]
    return segment("UCF", told[5] or "0", told[2], told[3], _ACKNOWLEDGED)


def _ucm(message: Message, problem: Fault | None) -> list[str]:
    unh = [*message.texts[0].split(ELEMENT, 4), "", ""]
    kind = COMPONENT.join(text[:_COMPONENT_CHARS_MAX] for text in unh[2].split(COMPONENT)[:5])
    head = (message.reference[:_REFERENCE_CHARS_MAX] or "0", kind)
    if problem is None:
        return [segment("UCM", *head, _ACKNOWLEDGED)]
    error, tag = _ERRORS.get(problem.code, (_UNSPECIFIED, ""))
    if tag != _INSIDE:
        return [segment("UCM", *head, _REJECTED, error, tag)]
    return [segment("UCM", *head, _REJECTED), segment("UCS", str(_position(message, problem.offset)), error)]


def _position(message: Message, offset: int) -> int:
    """Which segment of the message an offset is in, UNH = 1."""
    tokens = message.tokens
    index = min(bisect_right(tokens.starts, offset - tokens.base) - 1, message.last)
    within = tokens.parts[message.first : index + 1]
    return max(len(within) - within.count(""), 1)


# --- code tables ---

_REJECTED, _ACKNOWLEDGED, _RECEIVED = "4", "7", "8"  # 0083
_OUTSIDE, _UNSPECIFIED = "33", "18"  # 0085
_INSIDE = "UCS"  # the fault is in a segment of the user, not in UNH or UNT
_REFERENCE_CHARS_MAX = 14
_COMPONENT_CHARS_MAX = 6
_ERRORS = {
    "edifact.count": ("29", "UNT"),
    "edifact.reference": ("28", "UNT"),
    "edifact.truncated": ("13", "UNT"),
    "edifact.type": ("17", "UNH"),
    "edifact.character": ("21", ""),
    "edifact.missing": ("13", _INSIDE),
    "edifact.time": ("12", _INSIDE),
    "message.conflict": ("26", ""),
}  # our fault -> 0085 and where
