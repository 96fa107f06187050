"""CODECO: containers that entered or left a terminal, depot or ramp by its gate.

Times are wall times of the place, in its zone. Weights are kg.
Source: UN/EDIFACT D.95B and D.00B CODECO; SMDG user manuals 1.6 (D.95B, 2016) and 2.1 (D.00B, 2015) for the codes of
BGM, which are the guide's own: in the UN/EDIFACT list 1001 the numbers 34 and 36 mean other documents.

>>> [reading] = read(
...     b"UNB+UNOA:2+CNSHG+COSCO+240501:0930+77'UNH+1+CODECO:D:95B:UN:SMDG16'BGM+34+A1+9'"
...     b"EQD+CN+CSQU3054383+45G1:102:5++2+5'DTM+7:202405010912:203'LOC+165+CNSHG:139:6+YS1:TER:ZZZ'"
...     b"TDT+1++3++:172:ZZZ+++HU A12345:146'CNT+16:1'UNT+8+1'UNZ+1+77'"
... )
>>> move = reading.reports[0]
>>> reading.key, reading.document, move.subject, move.code, move.facility, move.transport
('CNSHG+COSCO+77/1', 'CODECO+CNSHG+A1', 'container:CSQU3054383', 'GATE_IN', 'YS1', 'HU A12345')
"""

from api.formats import edifact
from api.formats.edifact import Group, Message, Transport, part
from domain import identifiers, milestones
from domain.report import Mode, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "CODECO", _translate, lenient=lenient)


def _translate(message: Message, bgm: list[str]) -> list[Movement]:
    groups = edifact.gather(message)
    header, raw_code = groups[0], part(bgm, 1, 0)
    main = next((found for found in header.transports if found.stage == _MAIN), None)
    moves = []
    for ordinal, box in enumerate(groups[1:], 1):
        if part(box.eqd, 1, 0) not in _CONTAINERS:
            message.warnings.append(edifact.say("not container", f"{part(box.eqd, 1, 0)} {part(box.eqd, 2, 0)}"))
            continue
        by = _carrier(box, header, main)
        mode: Mode = by.mode if by else ""
        truck = identifiers.normalise(by.identity) if by and mode == "TRUCK" else ""
        moves.append(edifact.movement(
            message, groups, ordinal, code=_code(raw_code, mode, edifact.laden(box.eqd)), raw_code=raw_code,
            spot=_spot(box, header, mode), by=by or main, mode=mode,
            text=main.said if main and main is not by else "",  # the voyage that the gate serves
            extra=(f"truck:{truck}",) if truck else (),
        ))  # fmt: skip
    return moves


def _carrier(box: Group, header: Group, main: Transport | None) -> Transport | None:
    """What brought the box to the gate or takes it away; the main carriage only if that is not a ship."""
    for group in (box, header):
        for found in group.transports:
            if found.stage != _MAIN:
                return found
    return main if main and main.mode != "VESSEL" else None


def _code(bgm: str, mode: Mode, laden: bool | None) -> str:
    gate = _GATES.get(bgm)
    return milestones.from_dcsa_equipment(gate, mode=mode, empty=None if laden is None else not laden) if gate else ""


def _spot(box: Group, header: Group, mode: Mode) -> tuple[str, str, str]:
    """Where the gate is: LOC+165, else the port that the box is for."""
    port = _PORTS.get(box.eqd[5] if len(box.eqd) > 5 else "", "9")  # noqa: PLR2004  element 8249
    loc = box.places.get("165") or header.places.get("165") or box.places.get(port) or header.places.get(port)
    place, facility, odd = edifact.locate(loc, mode) if loc else ("", "", edifact.say("missing", "LOC+165"))
    return place, facility or header.parties.get("TR", ""), odd


# --- code tables ---

_MAIN = "20"  # 8051: main carriage
_GATES = {"34": "GTIN", "36": "GTOT"}  # BGM 1001 by the SMDG guide: gate-in report, gate-out report
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
_PORTS = {"2": "9", "3": "11"}  # 8249 -> 3227: export by the port of loading, import by that of discharge
