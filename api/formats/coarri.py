"""COARRI: containers that a terminal discharged from a ship, or loaded.

Times are wall times of the place, in its zone. Weights are kg.
Source: UN/EDIFACT D.95B and D.00B COARRI; SMDG user manuals 1.6 (D.95B, 2016) and 2.1 (D.00B, 2016) and ITIGG for the
codes of BGM, which are the guides' own: in the UN/EDIFACT list 1001 the numbers mean other documents.

>>> [reading] = read(
...     b"UNB+UNOA:2+YS1+COSCO+240501:2130+78'UNH+1+COARRI:D:95B:UN:ITG13'BGM+46+B1+9'"
...     b"TDT+20+032E+1+13+COS:172:20+++3ERX3:103::COSCO AFRICA'LOC+9+CNSHG:139:6+YS1:TER:ZZZ'"
...     b"EQD+CN+CSQU3054383+45G1:102:5++2+5'RFF+BN:9000157890'DTM+203:202405012112:203'"
...     b"LOC+11+GRPIR:139:6'CNT+16:1'UNT+10+1'UNZ+1+78'"
... )
>>> move = reading.reports[0]
>>> move.subject, move.code, move.facility, move.transport, move.refs
('container:CSQU3054383', 'LOADED', 'YS1', 'COSCO AFRICA 032E', ('booking:9000157890',))
"""

from functools import lru_cache

from api.formats import edifact
from api.formats.edifact import Group, Message, Transport, part
from domain import milestones
from domain.report import Mode, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "COARRI", _translate, lenient=lenient)


def _translate(message: Message, bgm: list[str]) -> list[Movement]:
    raw_code = part(bgm, 1, 0)
    act = _ACTS.get(raw_code, "")
    groups = edifact.gather(message)
    header = groups[0]
    main = _main(header)
    moves = []
    for ordinal, box in enumerate(groups[1:], 1):
        if part(box.eqd, 1, 0) not in _CONTAINERS:
            message.warnings.append(edifact.say("not container", f"{part(box.eqd, 1, 0)} {part(box.eqd, 2, 0)}"))
            continue
        ship = main or _main(box) or next(iter(header.transports), None)
        mode: Mode = (ship.mode if ship else "") or "VESSEL"  # what the message is for
        code, stayed = _meaning(act, mode, part(box.eqd, 5, 0))
        moves.append(edifact.movement(
            message, groups, ordinal, code=code, raw_code=raw_code, spot=_spot(box, header, act, mode), by=ship,
            mode=mode, unknown=stayed,
        ))  # fmt: skip
    return moves


def _main(group: Group) -> Transport | None:
    """The main carriage: of the message, in some guides of the box."""
    for found in group.transports:
        if found.stage == _MAIN:
            return found
    return None


@lru_cache(maxsize=1024)
def _meaning(act: str, mode: Mode, status: str) -> tuple[str, str]:
    """Milestone, and why there is none where the box stayed what and where it was."""
    if status in _STAYED:
        return "", edifact.say("stayed", status, _STAYED[status])
    return milestones.from_dcsa_equipment(act, mode=mode, empty=None, transhipment=status in _TRANSHIPPED), ""


def _spot(box: Group, header: Group, act: str, mode: Mode) -> tuple[str, str, str]:
    """Where the ship lay: LOC+165, else the port of loading or of discharge."""
    loc = box.places.get("165") or header.places.get("165")
    for port in _PORTS.get(act, ("9", "11")):
        loc = loc or header.places.get(port) or box.places.get(port)
    return edifact.locate(loc, mode) if loc else ("", "", edifact.say("missing", "LOC+165 / 9 / 11"))


# --- code tables ---

_MAIN = "20"  # 8051: main carriage
_ACTS = {
    "44": "DISC", "46": "LOAD",  # SMDG D.95B
    "98": "DISC", "270": "LOAD",  # SMDG D.00B, ITIGG; South Africa, Thailand
    "119": "DISC", "122": "LOAD",  # Costa Rica
}  # BGM 1001 by the guides  # fmt: skip
_PORTS = {"LOAD": ("9",), "DISC": ("11",)}  # 3227
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
_TRANSHIPPED = frozenset({"6", "17"})  # 8249: transhipment, transhipment by way of another terminal
# 8249: did not leave the ship or join it for good
_STAYED = {"4": "remains on board", "5": "shifted on board", "7": "short landed", "14": "reloaded"}
