"""BAPLIE: the bay plan of a ship, which container stands in which cell.

A plan with the actual time of departure (136, 186) says how the ship left: ACT, at the time of the document, so that a
later plan of the same call is a new statement. Any other one is a plan, PLN, at the expected departure. The place is
the port that the plan is made for; where the box was loaded and where it leaves the ship stands in `text` behind its
cell (bay, row, tier). Function 3 of BGM takes back what it names. In versions 1 and 2 the attributes of a box stand
before its EQD, in version 3 behind it. Times are wall times of the place. Weights are kg.
Source: UN/EDIFACT D.95B and D.13B BAPLIE; SMDG user manuals 2.0 to 2.2.1 (D.95B) and 3.1.1 (D.13B, 2015).

>>> [reading] = read(
...     b"UNB+UNOA:2+YS1+COSCO+240501:2230+92'UNH+1+BAPLIE:D:95B:UN:SMDG22'BGM++B1+9'DTM+137:2405012200:201'"
...     b"TDT+20+032E+++COS:172:20+++9516404:146:11:COSCO AFRICA'LOC+5+CNSHG:139:6'LOC+61+SGSIN:139:6'"
...     b"DTM+136:2405012130:201'LOC+147+0350182::5'MEA+VGM++KGM:27450'LOC+9+CNSHG:139:6'LOC+11+NLRTM:139:6'RFF+BM:1'"
...     b"EQD+CN+CSQU3054383+45G1+++5'NAD+CA+COS:172:20'UNT+15+1'UNZ+1+92'"
... )
>>> move = reading.reports[0]
>>> move.subject, move.code, move.classifier, move.place, move.text
('container:CSQU3054383', 'STOWED', 'ACT', 'CNSHG', '0350182 POL CNSHG POD NLRTM')
>>> move.refs, move.weight_kg
((), 27450.0)
"""

from api.formats import edifact
from api.formats.edifact import ELEMENT, Group, Message, part
from domain.report import Mode, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "BAPLIE", _translate, lenient=lenient)


def _translate(message: Message, bgm: list[str]) -> list[Movement]:
    groups = _gather(message)
    header = groups[0]
    by = next(iter(header.transports), None)
    mode: Mode = (by.mode if by else "") or "VESSEL"  # what the message is for
    code = "STOWED_REVERSED" if edifact.deletes(message, bgm) else "STOWED"
    departed = any(time in header.times for time in _DEPARTED)
    moves = []
    for ordinal, box in enumerate(groups[1:], 1):
        if part(box.eqd, 1, 0) not in _CONTAINERS:
            message.warnings.append(edifact.say("not container", f"{part(box.eqd, 1, 0)} {part(box.eqd, 2, 0)}"))
            continue
        cell = part(box.places[_CELL].split(ELEMENT), 2, 0)
        moves.append(edifact.movement(
            message, groups, ordinal, code=code, raw_code=part(bgm, 1, 0) or f"LOC+{_CELL}",
            spot=_spot(box, header, mode), by=by, mode=mode, text=f"{cell} {edifact.ports(box)}".strip(),
            times=_DOCUMENT if departed else _EXPECTED, classifier="ACT" if departed else "PLN",
        ))  # fmt: skip
    return moves


def _gather(message: Message) -> list[Group]:
    """The header and a group for each EQD; what stands before the EQD of a cell is said of all in the cell."""
    group = header = Group(0, [])
    groups = [header]
    cell: Group | None = None
    for index, text in enumerate(message.texts):
        if text.startswith(_NEW_CELL):
            cell = group = Group(index, [])
        if text[:3] == "EQD" and cell is not None:
            group = _box(cell, index, text)
            groups.append(group)
        elif text[:3] == "CNT":
            edifact.check_count(message, index, text, len(groups) - 1)
        elif not text.startswith(_NO_BILL):
            edifact.take(group, text)
    return groups


def _box(cell: Group, index: int, text: str) -> Group:
    box = Group(index, text.split(ELEMENT, 10))
    box.places, box.measures, box.times = dict(cell.places), dict(cell.measures), dict(cell.times)
    box.refs = list(cell.refs)
    return box


def _spot(box: Group, header: Group, mode: Mode) -> tuple[str, str, str]:
    """The port of departure of the plan, else where the box was loaded."""
    loc = header.places.get("5") or box.places.get("9") or box.places.get("6")
    return edifact.locate(loc, mode) if loc else ("", "", edifact.say("missing", "LOC+5"))


# --- code tables ---

_CELL = "147"  # 3227: stowage cell
_NEW_CELL = f"LOC{ELEMENT}{_CELL}{ELEMENT}"
_NO_BILL = f"RFF{ELEMENT}BM{edifact.COMPONENT}"  # the guides demand it and fill it with 1; no bill is ever meant
_DEPARTED = ("136", "186")  # 2005: actual departure from the port of the plan
_DOCUMENT = ("137", "171")  # 2005: of the document; reference time in version 3
_EXPECTED = ("133", "132", "178", "171")  # 2005: expected departure, arrival at the next port; actual arrival
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
