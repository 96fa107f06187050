"""APERAK: what became of each message, told as EDIFACT: one for each message of the body.

BGM 312 acknowledges (1225 is 29, accepted), 313 reports an error (27, not accepted). RFF+ACW bears the number of the
document, RFF+AGO the references of UNB and UNH. A message in quarantine has an ERC, whose code is Kouan's own (list
KOUAN, table below), and an FTX with the fault's name, its sentence and where it is; warnings are FTX+AAI. Times are
UTC.
Source: UN/EDIFACT D.00B APERAK, code lists 1001, 1153, 1225, 4451.

>>> from datetime import UTC
>>> from types import SimpleNamespace
>>> fault = Fault("edifact.count", "UNT 声明 '9' 段，实为 3 段 / UNT says '9' segments, there are 3", 60, "UNH[1]/UNT")
>>> answer = write(
...     b"UNB+UNOA:2+YS1+KOUAN+240501:2130+78'UNH+1+COARRI:D:95B:UN'BGM+46+B1+9'UNT+9+1'UNZ+1+78'",
...     [SimpleNamespace(status="quarantined", problem=fault, warnings=[])],
...     reference="A1", at=datetime(2024, 5, 1, 13, 31, tzinfo=UTC),
... )
>>> [text for text in answer.decode().split("'") if text[:3] in {"BGM", "RFF", "ERC"}]
['BGM+313+A1-1+27', 'RFF+ACW:B1', 'RFF+AGO:78/1', 'ERC+102:KOUAN:ZZZ']
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from api.formats import edifact_writer
from api.formats.edifact_syntax import ELEMENT, Interchange, Message, part
from api.formats.edifact_writer import Told, join, segment
from domain.report import Fault


def write(body: bytes, told: Sequence[Told], *, reference: str, at: datetime) -> bytes:
    """The answer on a body, when `told` says of each of its messages, in their order, what became of it."""
    answered = edifact_writer.pair(body, told)
    unb = next((message.interchange for message, _ in answered if message), Interchange())
    sender, recipient = unb.parties
    messages = []
    for number, (message, one) in enumerate(answered, 1):
        segments = list(_segments(message, one, f"{reference}-{number}", at))
        messages.append(edifact_writer.message(str(number), _KIND, segments))
    return edifact_writer.interchange(messages, sender=recipient, recipient=sender, reference=reference, at=at)


def _segments(message: Message | None, told: Told, number: str, at: datetime) -> Iterator[str]:
    problem = told.problem
    yield segment("BGM", *((_ACKNOWLEDGED, number, "29") if problem is None else (_ERROR, number, "27")))
    yield segment("DTM", join("137", f"{at:%Y%m%d%H%M}UTC", "303"))
    yield _text("AAI", told.status)
    for warning in list(dict.fromkeys(told.warnings))[: _TEXTS_MAX - 1]:
        yield _text("AAI", warning)
    if message is not None:
        yield from _references(message)
    if problem is not None:
        yield segment("ERC", join(CODES.get(problem.code, _OTHER), "KOUAN", "ZZZ"))
        yield _text("AAO", problem.code, problem.detail, _where(problem))


def _references(message: Message) -> Iterator[str]:
    """The document, the message and the parties of the question, each where it has them."""
    unb = message.interchange
    if document := _document(message):
        yield segment("RFF", join("ACW", document))
    if named := "/".join(filter(None, (unb.reference, message.reference))):
        yield segment("RFF", join("AGO", named[:_NAME_CHARS_MAX]))
    for role, party in (("MS", unb.recipient), ("MR", unb.sender)):
        if party:
            yield segment("NAD", role, party[:_NAME_CHARS_MAX])


def _document(message: Message) -> str:
    """BGM 1004, also of a message that is broken elsewhere."""
    for text in message.texts[:_HEADER_SEGMENTS] if message.number else ():
        if text.startswith(f"BGM{ELEMENT}"):
            return part(text.split(ELEMENT, 4), 2, 0)[:_NAME_CHARS_MAX]
    return ""


def _where(problem: Fault) -> str:
    return " ".join(filter(None, (problem.path, f"@{problem.offset}")))


def _text(subject: str, *lines: str) -> str:
    return segment("FTX", subject, "", "", join(*(line[:_LINE_CHARS_MAX] for line in lines)))


# --- code tables ---

_KIND = join("APERAK", "D", "00B", "UN")
_ACKNOWLEDGED, _ERROR = "312", "313"  # 1001
_TEXTS_MAX = 9
_LINE_CHARS_MAX = 512  # 4440
_NAME_CHARS_MAX = 35  # 1154, 3039
_HEADER_SEGMENTS = 50
_OTHER = "999"
CODES = {
    "body.empty": "100",
    "edifact.truncated": "101",
    "edifact.count": "102",
    "edifact.reference": "103",
    "edifact.character": "104",
    "edifact.limit": "105",
    "edifact.stray": "106",
    "edifact.type": "201",
    "edifact.missing": "202",
    "edifact.time": "203",
    "edifact.empty": "204",
    "message.conflict": "301",
    "document.unknown": "302",
    "text.nul": "303",
    "time.future": "304",
    "time.far": "305",
}
"""Fault -> 9321 of list KOUAN; docs/problems.md has the same."""
