"""EDIFACT as terminals, depots and carriers write it: COARRI and CODECO (D.95B, SMDG), IFTSTA (D.00B).

Times are wall times of the place, without zone (format 203). Weights are kg. One segment stands on each line, as many
senders do it. Source: UN/EDIFACT directories D.95B and D.00B; SMDG user manuals 1.6; UN/ECE Recommendation 24.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

Segments = list[str]
IMPORT, EXPORT = "3", "2"  # 8249
ORIGINAL, CANCEL, REPLACE = "9", "1", "5"  # 1225
DISCHARGE, LOAD = "44", "46"  # BGM of COARRI by the SMDG guide
GATE_IN, GATE_OUT = "34", "36"  # BGM of CODECO by the SMDG guide


class Ship(msgspec.Struct, frozen=True):
    """A ship or a barge on one voyage."""

    name: str
    voyage: str
    imo: str = ""
    barge: bool = False

    @property
    def tdt(self) -> str:
        mode, means = ("8", "16") if self.barge else ("1", "13")
        return f"TDT+20+{self.voyage}+{mode}+{means}+KOU:172:20+++{self.imo}:146::{self.name}"


class Spot(msgspec.Struct, frozen=True):
    """A terminal or depot, by the codes that its own system uses."""

    place: str
    facility: str
    kind: str = "TER"

    def loc(self, qualifier: str) -> str:
        return f"LOC+{qualifier}+{self.place}:139:6+{self.facility}:{self.kind}:ZZZ"


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A container in a message: what was done to it, and when."""

    number: str
    when: datetime
    laden: bool = True
    trade: str = IMPORT
    size: str = "45G1"  # ISO 6346 type: high cube, 40 feet
    bill: str = ""
    booking: str = ""
    gross_kg: int = 0
    seal: str = ""
    truck: str = ""

    @property
    def eqd(self) -> str:
        return f"EQD+CN+{self.number}+{self.size}:102:5++{self.trade}+{'5' if self.laden else '4'}"

    @property
    def references(self) -> Segments:
        return [f"RFF+{kind}:{number}" for kind, number in (("BM", self.bill), ("BN", self.booking)) if number]

    @property
    def goods(self) -> Segments:
        weight = [f"MEA+AAE+EGW+KGM:{self.gross_kg}"] if self.gross_kg else []
        return weight + ([f"SEL+{self.seal}+CA"] if self.seal else [])


def coarri(act: str, document: str, spot: Spot, ship: Ship, boxes: Sequence[Box]) -> tuple[str, Segments]:
    """What a terminal loaded to or discharged from a ship."""
    body = [f"BGM+{act}+{document}+{ORIGINAL}", ship.tdt, spot.loc("9" if act == LOAD else "11"), "NAD+CF+KOU:172:20"]
    for box in boxes:
        body += [box.eqd, *box.references, "TMD+3", f"DTM+203:{_told(box.when)}:203", *box.goods]
    return "COARRI:D:95B:UN:SMDG16", [*body, f"CNT+16:{len(boxes)}"]


def codeco(
    gate: str, document: str, spot: Spot, boxes: Sequence[Box], *, ship: Ship | None = None, function: str = ORIGINAL
) -> tuple[str, Segments]:
    """What passed a gate, by truck."""
    body = [f"BGM+{gate}+{document}+{function}", *([ship.tdt] if ship else []), "NAD+CF+KOU:172:20"]
    for box in boxes:
        body += [box.eqd, *box.references, f"DTM+7:{_told(box.when)}:203", spot.loc("165"), *box.goods]
        body.append(f"TDT+1++3++:172:ZZZ+++{box.truck}:146")
    return "CODECO:D:95B:UN:SMDG16", [*body, f"CNT+16:{len(boxes)}"]


def iftsta(status: tuple[str, str, str], box: Box, place: str, transport: str) -> tuple[str, Segments]:
    """One status (document, code, words) of one container; `transport` is what stands in TDT after its qualifier."""
    document, code, said = status
    body = [f"BGM+23+{document}+9", *box.references, "CNI+1", f"STS+1+{code}:::{said}"]
    body += [f"DTM+334:{_told(box.when)}:203", f"LOC+175+{place}:139", f"TDT+20+{transport}", box.eqd]
    return "IFTSTA:D:00B:UN", body


def interchange(sender: str, recipient: str, when: datetime, *messages: tuple[str, Segments]) -> bytes:
    """An interchange of these messages; in UTF-8 (UNOY) where a plate is Chinese.

    >>> interchange("A", "B", datetime(2026, 3, 17, 9, 5), ("X:D:95B:UN", ["BGM+44+DOC0001+9"])).decode().split()[:2]
    ["UNB+UNOA:2+A+B+260317:0905+031709050001'", "UNH+1+X:D:95B:UN'"]
    """
    document = messages[0][1][0].split("+")[2]
    reference = f"{when:%m%d%H%M}{document[-4:]}"
    lines = []
    for ordinal, (kind, segments) in enumerate(messages, 1):
        lines += [f"UNH+{ordinal}+{kind}", *segments, f"UNT+{len(segments) + 2}+{ordinal}"]
    charset = "UNOA:2" if all(line.isascii() for line in lines) else "UNOY:4"
    head = f"UNB+{charset}+{sender}+{recipient}+{when:%y%m%d:%H%M}+{reference}"
    return "".join(f"{line}'\n" for line in [head, *lines, f"UNZ+{len(messages)}+{reference}"]).encode()


def _told(when: datetime) -> str:
    return f"{when:%Y%m%d%H%M}"
