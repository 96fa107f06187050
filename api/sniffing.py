"""Which format a file has, told by its beginning: whoever understands most of it has it.

EDIFACT is known by its service segments and FSU by its head lines; among JSON and XML each reader has a try, which is
truer than any list of field names, for the readers take nothing that is not theirs.
"""

import re
from datetime import UTC, datetime

import msgspec

from api.formats import registry as formats

HEAD_BYTES = 65_536
EDIFACT = "edifact"
FSU = "fsu"
_BOM = b"\xef\xbb\xbf"
_SERVICE = re.compile(rb"(?:UNA[^\w\s]{2}|UNB\W|UNG\W|UNH\W)")
_TYPE = re.compile(rb"UNH\W[^'\r\n]{0,40}?\W([A-Z]{6})\W")
_STATUS = re.compile(rb"^(?:FSU|FSA)/\d", re.MULTILINE)
_LINES = frozenset({".ndjson", ".jsonl"})


def format_of(head: bytes) -> str:
    """The name of the format; "" if nobody understands any message in it."""
    begun = head.removeprefix(_BOM).lstrip()
    if _SERVICE.match(begun):
        found = _TYPE.search(begun)
        name = found[1].decode().lower() if found else ""
        return name if name in formats.EDIFACT else EDIFACT
    if begun[:1] not in {b"{", b"[", b"<"}:
        return FSU if _STATUS.search(begun) else ""
    now = datetime.now(UTC)
    sound = {
        name: sum(reading.fault is None for reading in read(head, now))
        for name, read in formats.READERS.items()
        if name not in formats.EDIFACT and name != FSU
    }
    best = max(sound, key=lambda name: sound[name])
    return best if sound[best] else ""


def is_lined(head: bytes, suffix: str) -> bool:
    """Whether this is NDJSON: by the name of the file, or by a first line that is an object, and a second."""
    if suffix.lower() in _LINES:
        return True
    first, newline, rest = head.removeprefix(_BOM).lstrip().partition(b"\n")
    return bool(newline and rest.strip()) and first.startswith(b"{") and _is_json(first)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
