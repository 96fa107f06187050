r"""Writing IFTSTA: movements as a status message that the reader (iftsta.py) understands as the same movements.

One STS for each movement, under one CNI. A milestone goes out under the code that reads back as this milestone; under
a code of Recommendation 24 where that is the nearest there is and no reader takes it for another; else not at all, and
neither do plans, nor estimates of anything but arrivals and departures: the message has no date for them. Times are
wall times of the place; where the reader could not know its zone, they carry it.
Source: UN/EDIFACT D.00B IFTSTA; UN/ECE Recommendation 24 for numbers (9011/4405); ASC X12 element 157 for letters.

>>> from domain import places
>>> from domain.report import Movement
>>> move = Movement(subject="container:CSQU3054383", code="VSL_DEP", raw_code="DEPA", mode="VESSEL", place="CNSHG",
...                 when=places.moment("2024-05-01T07:10:00", "CNSHG"), transport="COSCO AFRICA 031W")
>>> print("\n".join(status(move, 1)))
CNI+1'
STS+1+24::6:Vessel departed'
DTM+334:202405010710:203'
LOC+175+CNSHG:139:6'
TDT+20+031W+1+++++:::COSCO AFRICA'
EQD+CN+CSQU3054383'
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from api.formats import edifact_writer
from api.formats.edifact_writer import join, segment
from domain import places
from domain.errors import Malformed
from domain.milestones import MILESTONES, name
from domain.report import Mode, Movement

KIND = join("IFTSTA", "D", "00B", "UN")
TEXT_CHARS_MAX, FACILITY_CHARS_MAX, VOYAGE_CHARS_MAX = 35, 25, 17  # 4404 and 8212, 3223, 8028
_VOYAGE = re.compile(r"(?P<name>.*?)(?:\A|\s)(?P<voyage>\S*[0-9]\S*)")


def write(
    movements: Sequence[Movement], *, number: str, sender: str, recipient: str, reference: str, at: datetime
) -> bytes:
    """One interchange with one message; what cannot be said is left out. `at` is the time of writing, UTC."""
    head = [
        segment("BGM", "23", number[:TEXT_CHARS_MAX], "9"),
        segment("DTM", join("137", f"{at:%Y%m%d%H%M}UTC", "303")),
    ]
    told = [text for place, one in enumerate(sayable(movements), 1) for text in status(one, place)]
    message = edifact_writer.message("1", KIND, [*head, *told])
    return edifact_writer.interchange([message], sender=sender, recipient=recipient, reference=reference, at=at)


def sayable(movements: Sequence[Movement]) -> list[Movement]:
    """Those that the message can hold."""
    return [one for one in movements if _code(one)[0] and _qualifier(one) and _kind(one) in _ORDER]


def status(one: Movement, place: int) -> list[str]:
    """The segments of one movement."""
    code, mode = _code(one)
    agency = "6" if code.isdigit() else ""
    segments = [
        segment("CNI", str(place)),
        segment("STS", "1", join(code, "", agency, name(one.code, "en")[:TEXT_CHARS_MAX])),
    ]
    segments += [segment("RFF", join(_REFERENCES[kind], number)) for kind, number in _references(one)]
    segments.append(segment("DTM", _date(one)))
    if one.place:
        composite = join(one.place, "139", "6") if _LOCODE.fullmatch(one.place) else join(one.place, "", "", one.place)
        segments.append(segment("LOC", "175", composite, one.facility[:FACILITY_CHARS_MAX]))
    if mode or one.transport:
        segments.append(_transport(one, mode))
    if _kind(one) == "container":
        laden = {True: "5", False: "4", None: ""}[one.laden]
        segments.append(segment("EQD", "CN", one.subject.partition(":")[2], "", "", "", laden))
        segments += [segment("SEL", seal) for seal in one.seal.split()]
    return segments


def _kind(one: Movement) -> str:
    return one.subject.partition(":")[0]


def _code(one: Movement) -> tuple[str, Mode]:
    """Status and mode of transport; ("", "") where there is none."""
    if one.code in _CODES:
        code, mode = _CODES[one.code]
        own: Mode = "" if one.mode == "RAIL" and one.code in {"GATE_IN", "GATE_OUT"} else one.mode  # not the station's
        return code, mode or own
    row = MILESTONES.get(one.code)
    free = [code for code in row.rec24.split(",") if code and code not in _TAKEN] if row else []
    return (free[0], one.mode) if free else ("", "")


def _qualifier(one: Movement) -> str:
    if one.classifier == "ACT":
        return "334"
    verb = {"1": "132", "40": "132", "24": "133"}.get(_code(one)[0], "")
    return verb if one.classifier == "EST" else ""


def _date(one: Movement) -> str:
    """To the minute, as the place's clock showed it; with its zone unless the place tells it."""
    shown = datetime.fromisoformat(one.when.wall) if one.when.wall else one.when.at.astimezone(UTC).replace(tzinfo=None)
    wall = f"{shown:%Y%m%d%H%M}"
    try:
        known = places.moment(wall, one.place).at.replace(second=0) == one.when.at.replace(second=0, microsecond=0)
    except (Malformed, ValueError, OverflowError):
        known = False
    if known:
        return join(_qualifier(one), wall, "203")
    return join(_qualifier(one), f"{one.when.at.astimezone(UTC):%Y%m%d%H%M}UTC", "303")


def _references(one: Movement) -> list[tuple[str, str]]:
    """The subject's own number, and those of kinds that the reader looks at after it."""
    own, rank = _kind(one), _ORDER.index(_kind(one))
    named = [ref.partition(":") for ref in ((one.subject, *one.refs) if own != "container" else one.refs)]
    return [
        (kind, number)
        for kind, _, number in named
        if kind in _REFERENCES and (_ORDER.index(kind) > rank or f"{kind}:{number}" == one.subject)
    ]


def _transport(one: Movement, mode: Mode) -> str:
    voyage = _VOYAGE.fullmatch(one.transport) if mode in {"VESSEL", "BARGE"} else None
    named, number = (voyage["name"], voyage["voyage"]) if voyage else (one.transport, "")
    carrier = join("", "", "", named[:TEXT_CHARS_MAX]) if named else ""
    return segment("TDT", "20", number[:VOYAGE_CHARS_MAX], _MODES.get(mode, ""), "", "", "", "", carrier)


# --- code tables ---

_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_REFERENCES = {"bl": "BM", "booking": "BN", "awb": "AWB"}  # 1153
_ORDER = ("container", "bl", "booking", "awb")  # in which the reader looks for whom a status is about
_MODES = {"VESSEL": "1", "RAIL": "2", "TRUCK": "3", "AIR": "4", "BARGE": "8"}  # 8067
_CODES: dict[str, tuple[str, Mode]] = {
    "VSL_DEP": ("24", "VESSEL"), "BARGE_DEP": ("24", "BARGE"), "TRAIN_DEP": ("24", "RAIL"),
    "TRUCK_DEP": ("24", "TRUCK"), "AIR_DEP": ("24", "AIR"), "VSL_ARR": ("40", "VESSEL"), "BARGE_ARR": ("1", "BARGE"),
    "TRAIN_ARR": ("1", "RAIL"), "TRUCK_ARR": ("1", "TRUCK"), "AIR_ARR": ("1", "AIR"), "LOADED": ("48", "VESSEL"),
    "BARGE_LOAD": ("48", "BARGE"), "WAGON_LOADED": ("70", "RAIL"), "TRUCK_LOADED": ("48", "TRUCK"),
    "DISCHARGED": ("29", "VESSEL"), "BARGE_DISC": ("29", "BARGE"), "WAGON_UNLOADED": ("26", "RAIL"),
    "TRUCK_UNLOADED": ("29", "TRUCK"), "STUFFED": ("93", ""), "STRIPPED": ("28", ""), "SEALED": ("83", ""),
    "GATE_IN": ("I", ""), "GATE_OUT": ("OA", ""), "STATION_IN": ("I", "RAIL"), "STATION_OUT": ("OA", "RAIL"),
    "EMPTY_OUT": ("EE", ""), "EMPTY_IN": ("RD", ""), "AVAILABLE": ("AV", ""), "BKG_CONF": ("6", ""),
    "BKG_CANC": ("7", ""), "BORDER_CROSSED": ("16", ""), "DAMAGED": ("18", ""), "ARN_SENT": ("45", ""),
    "POD": ("21", ""),
}  # milestone -> 4405 and the mode that goes with it; "": that of the movement  # fmt: skip
_TAKEN = frozenset("1 6 7 16 18 21 22 24 26 28 29 40 45 48 59 70 83 93 94".split())  # noqa: SIM905
"""Numbers that the reader takes for one milestone: they stand for no other one."""
