"""COPRAR: containers that a line orders a terminal to discharge from a ship, or to load.

An order is a plan: the movements have the classifier PLN, the time is that at which the ship is expected, for the
order gives none for a box (arrival for a discharge, departure for a loading). Function 3 of BGM takes back the
containers that it names and no others; 1 takes back the whole order. Boxes ordered by number of pieces only (empty ones
of any number) are not recorded. Times are wall times of the place, in its zone. Weights are kg.
Source: UN/EDIFACT D.95B and D.00B COPRAR; SMDG user manuals 1.6 (D.95B, 2016) and 2.1 (D.00B, 2016) for the codes 43
and 45 of BGM, which are the guides' own; 118 and 121 are those of the UN/EDIFACT list 1001.

>>> [reading] = read(
...     b"UNB+UNOA:2+COSCO+YS1+240501:0830+91'UNH+1+COPRAR:D:95B:UN:SMDG16'BGM+45+P1+9'RFF+XXX:1'"
...     b"TDT+20+032E+1++COS:172:20+++3ERX3:103::COSCO AFRICA'LOC+9+CNSHG:139:6+YS1:TER:ZZZ'DTM+133:202405020600:203'"
...     b"EQD+CN+CSQU3054383+45G1:102:5++2+5'RFF+BN:9000157890'LOC+11+GRPIR:139:6'CNT+16:1'UNT+11+1'UNZ+1+91'"
... )
>>> move = reading.reports[0]
>>> move.subject, move.code, move.classifier, move.when.wall, move.transport, move.refs
('container:CSQU3054383', 'LOADED', 'PLN', '2024-05-02T06:00', 'COSCO AFRICA 032E', ('booking:9000157890',))
"""

from api.formats import edifact
from api.formats.edifact import Group, Message, Transport, part
from domain import milestones
from domain.report import Mode, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "COPRAR", _translate, lenient=lenient)


def _translate(message: Message, bgm: list[str]) -> list[Movement]:
    raw_code = part(bgm, 1, 0)
    act = _ACTS.get(raw_code, "")
    groups = edifact.gather(message)
    header = groups[0]
    by = next((found for found in header.transports if found.stage == _MAIN), next(iter(header.transports), None))
    mode: Mode = (by.mode if by else "") or "VESSEL"  # what the message is for
    moves = []
    for ordinal, box in enumerate(groups[1:], 1):
        if part(box.eqd, 1, 0) not in _CONTAINERS:
            message.warnings.append(edifact.say("not container", f"{part(box.eqd, 1, 0)} {part(box.eqd, 2, 0)}"))
        elif not part(box.eqd, 2, 0):
            message.warnings.append(edifact.say("missing", f"EQD[{ordinal}] 8260"))
        else:
            moves.append(edifact.movement(
                message, groups, ordinal, code=_code(message, bgm, act, mode, box), raw_code=raw_code,
                spot=_spot(box, header, act, mode), by=_later(box) or by, mode=mode, text=_text(box),
                unknown=_stays(box), times=_TIMES[act], classifier="PLN",
            ))  # fmt: skip
    return moves


def _code(message: Message, bgm: list[str], act: str, mode: Mode, box: Group) -> str:
    status = part(box.eqd, 5, 0)
    if status in _STAY:
        return ""
    code = milestones.from_dcsa_equipment(act, mode=mode, empty=None, transhipment=status in _TRANSHIPPED)
    return f"{code}_REVERSED" if code and edifact.deletes(message, bgm) else code


def _stays(box: Group) -> str:
    status = part(box.eqd, 5, 0)
    return edifact.say("stayed", status, _STAY[status]) if status in _STAY else ""


def _later(box: Group) -> Transport | None:
    """The main carriage, where a guide names it for the box; any other transport of the box is another leg."""
    return next((found for found in box.transports if found.stage == _MAIN), None)


def _text(box: Group) -> str:
    """The ports of the box and, in a loading order, the cell that it is meant for."""
    cell = part(box.places.get("147", "").split(edifact.ELEMENT), 2, 0)
    return f"{edifact.ports(box)} {cell}".strip()


def _spot(box: Group, header: Group, act: str, mode: Mode) -> tuple[str, str, str]:
    """Where the ship is expected: the port of loading or of discharge of the message, else of the box."""
    loc = header.places.get("165", "")
    for port in _PORTS.get(act, ("9", "11")):
        loc = loc or header.places.get(port) or box.places.get(port, "")
    return edifact.locate(loc, mode) if loc else ("", "", edifact.say("missing", "LOC+9 / 11"))


# --- code tables ---

_MAIN = "20"  # 8051: main carriage
_ACTS = {"43": "DISC", "45": "LOAD", "118": "DISC", "121": "LOAD"}  # BGM 1001
_TIMES = {  # 2005: expected and actual departure or arrival of the ship, then the other one
    "LOAD": ("133", "136", "186", "132", "178"),
    "DISC": ("132", "178", "133"),
    "": ("133", "132"),
}
_PORTS = {"LOAD": ("9",), "DISC": ("11",)}  # 3227
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
_TRANSHIPPED = frozenset({"6", "17"})  # 8249: transhipment, transhipment by way of another terminal
# 8249: not to leave the ship
_STAY = {"4": "remains on board", "5": "shifted on board"}
