"""Which milestone comes out of which format, found by sending: `python -m tests.milestones_dump > docs/milestones.md`.

For each format the samples, the messages of the sample day and one generated body for each code of its own vocabulary
go through the real reader and become facts; the codes of the facts are noted. Nothing is taken from the readers'
tables of milestones but the source's codes to send. tests/test_milestone_coverage.py holds the page to this.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from api.formats import customs_receipt, iftsta, registry, road
from api.intake import Whence, understood
from domain.declaration import INDICATORS
from domain.fact import Moved, Stated
from domain.milestones import MILESTONES
from examples.day import deliveries

SAMPLES = Path(__file__).parent / "formats/samples"
RECEIVED = datetime(2026, 4, 10, tzinfo=UTC)
BOX, BILL, AWB, ENTRY = "CSQU3054383", "KOUA0000001", "999-12345675", "230120261000000015"
AT = "2026-03-01T12:00:00+08:00"

Reached = dict[str, set[str]]


def reached() -> Reached:
    """For each milestone that came out, reversals too, the formats that said it."""
    found: Reached = defaultdict(set)
    for name, body in (*samples(), *day(), *generated()):
        for code in codes(name, body):
            found[code].add(name)
    return found


def codes(name: str, body: bytes) -> set[str]:
    """The milestones of the facts that a body is read into."""
    wanted = understood(body, Whence("source", name, RECEIVED))
    facts = [new.fact for intent in wanted for new in intent.facts]
    return {told.code for told in facts if isinstance(told, Moved | Stated) and told.code}


# --- what is sent ---


def samples() -> Iterator[tuple[str, bytes]]:
    """The files of tests/formats/samples, each under the format that its name begins with."""
    for path in sorted(SAMPLES.iterdir()):
        names = [name for name in registry.READERS if path.name.startswith((f"{name}-", f"{name}."))]
        if path.name.startswith("customs-receipts"):
            names = ["customs-receipt"]
        if path.name.startswith("manifest-answers"):
            names = ["manifest"]
        assert names, f"{path.name} begins with no format's name"
        yield max(names, key=len), path.read_bytes()


def day() -> Iterator[tuple[str, bytes]]:
    return ((post.format, post.body) for post in deliveries())


def generated() -> Iterator[tuple[str, bytes]]:
    makers = {
        "native": native,
        "dcsa": dcsa,
        "fsu": fsu,
        "one-record": one_record,
        "customs-receipt": receipts,
        "manifest": manifests,
        "rail": rail,
        "road": roads,
        "device": devices,
        "codeco": codeco,
        "coarri": coarri,
        "iftsta": statuses,
        "cusres": cusres,
        "epcis": epcis,
    }
    for name, make in makers.items():
        yield from ((name, body) for body in make())


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def native() -> Iterator[bytes]:
    """Each milestone and its reversal."""
    for code in MILESTONES:
        kind = "awb:99912345675" if code.startswith("AIR_") else f"container:{BOX}"
        subject = f"declaration:{ENTRY}" if code.startswith("DEC_") else kind
        for said in (code, f"{code}_REVERSED"):
            yield _json({"subject": subject, "code": said, "happened_at": AT, "place": "CNNJG"})


_EQUIPMENT = "LOAD DISC GTIN GTOT STUF STRP PICK DROP INSP RSEA RMVD AVPU AVDO CUSS CUSI CUSR CROS"
_DOCUMENTS = "CBR BKG SHI SRM TRD ARN VGM CRO DEO CUC CUS"
_SHIPMENTS = "RECE DRFT PENA PENU PENC CONF REJE APPR ISSU SURR SUBM VOID REQS CMPL HOLD RELS CANC"
_RAIL = "WLJK_ERRA WLJK_ERRR WLJK_TREL WLJK_TLN WLJK_TLA WLJK_TLR WLJK_IRTA WLJK_IRTR WLJK_ERTA WLJK_ERTR"


def dcsa() -> Iterator[bytes]:
    common = {"eventClassifierCode": "ACT", "eventCreatedDateTime": AT, "eventDateTime": AT}
    facilities = ("", "POTE", "DEPO", "RAMP", "BOCR", "CLOC")
    for mode, facility in product(("VESSEL", "BARGE", "RAIL", "TRUCK"), facilities):
        call = {"modeOfTransport": mode, "UNLocationCode": "CNSHG", "facilityTypeCode": facility}
        boxed = {**common, "equipmentReference": BOX, "transportCall": call}
        for code in ("ARRI", "DEPA"):
            yield _json({**boxed, "eventType": "TRANSPORT", "transportEventTypeCode": code})
        for code, empty, moved in product(_EQUIPMENT.split(), ("EMPTY", "LADEN"), (True, False)):
            told = {"equipmentEventTypeCode": code, "emptyIndicatorCode": empty, "isTransshipmentMove": moved}
            yield _json({**boxed, **told, "eventType": "EQUIPMENT"})
    for document, code in product(_DOCUMENTS.split(), _SHIPMENTS.split()):
        named = {"documentTypeCode": document, "documentID": BILL, "references": [_box()]}
        yield _json({**common, **named, "eventType": "SHIPMENT", "shipmentEventTypeCode": code})


def _box() -> dict[str, str]:
    return {"referenceType": "EQ", "referenceValue": BOX}


_STATUSES = [row.fsu for row in MILESTONES.values() if row.code.startswith("AIR_") and row.fsu]


def fsu() -> Iterator[bytes]:
    """The status lines of IATA's message improvement programme: with a flight, or with a time and a station."""
    for status in _STATUSES:
        code, _, _ = status.partition(" ")
        for rest in ("01MAR1200/XIY/T12K340.0", "CZ461/01MAR1200/XIY/T12K340.0", "CZ461/01MAR/XIYAMS/T12K340.0"):
            yield f"FSU/14\n{AWB}XIYAMS/T12K340.0\n{code}/{rest}\n".encode()
        yield f"FSU/14\n{AWB}XIYAMS/T12K340.0\nDIS/CZ461/01MAR/XIY/OFLD/P7K200.0\n".encode()
    yield f"FSU/14\n{AWB}XIYAMS/T12K340.0\nDIS/CZ461/01MAR/XIY/MSCA/P7K200.0\n".encode()


def one_record() -> Iterator[bytes]:
    for status in _STATUSES:
        uri = f"https://1r.kouan.example/logistics-objects/piece-4/logistics-events/{status.replace(' ', '_')}"
        told = {"@type": "LogisticsEvent", "@id": uri, "eventCode": status.replace(" ", "_"), "eventDate": AT}
        yield _json({**told, "eventTimeType": "ACTUAL", "recordedAtLocation": "XIY"})


def receipts() -> Iterator[bytes]:
    for code in sorted(customs_receipt.CODES):
        yield _json({"EntryId": ENTRY, "ReceiptCode": code, "NoticeDate": AT, "BillNo": BILL})


def manifests() -> Iterator[bytes]:
    for document, mode, answer in product("12345", "124", ("01", "11")):
        response = {"ResponseCode": answer, "BillNo": BILL, "NoticeTime": AT}
        yield _json({"Head": {"MessageID": "A1", "MessageType": f"MT{document}{mode}01"}, "Response": response})


def rail() -> Iterator[bytes]:
    """The types of customs, and what the stations report themselves: the milestones of the railway."""
    own = [row.code for row in MILESTONES.values() if row.mode == "RAIL" or row.code == "BORDER_CROSSED"]
    for kind in (*_RAIL.split(), *own):
        boxes = [{"number": BOX}]
        yield _json({"messageType": kind, "consignmentNo": "31234567", "eventTime": AT, "containers": boxes})


def roads() -> Iterator[bytes]:
    for status in road.STATUSES:
        yield _json({"PassportNo": "H2301260000017", "Status": status, "VehicleNo": "苏A12345", "StatusTime": AT})
    own = [row.code for row in MILESTONES.values() if row.mode == "TRUCK"]
    for kind in (*road.WORDS, *own):
        yield _json({"MessageType": kind, "VehicleNo": "苏A12345", "ContainerNo": BOX, "EventTime": AT})


def devices() -> Iterator[bytes]:
    common = {"device": "D7", "container": BOX, "at": AT}
    yield _json({**common, "kind": "position", "lat": 34.7, "lon": 119.4})
    for state in ("on", "off", "alarm"):
        yield _json({**common, "kind": "seal", "state": state, "seal": "S1"})


# --- EDIFACT ---


def _interchange(kind: str, *segments: str) -> bytes:
    count = len(segments) + 2
    body = "'".join([f"UNH+1+{kind}:D:95B:UN", *segments, f"UNT+{count}+1"])
    return f"UNB+UNOC:3+A+B+260301:1300+77'{body}'UNZ+1+77'".encode()


_MODES = ("1", "2", "3", "8")  # 8067: sea, rail, road, inland water


def codeco() -> Iterator[bytes]:
    for bgm, mode, load in product(("34", "36"), _MODES, ("4", "5")):
        carrier = f"TDT+1++{mode}++:172:ZZZ+++HU A12345:146"
        box = (f"EQD+CN+{BOX}+45G1:102:5++2+{load}", "DTM+7:202603011200:203", "LOC+165+CNSHG:139:6", carrier)
        yield _interchange("CODECO", f"BGM+{bgm}+A1+9", *box, "CNT+16:1")


def coarri() -> Iterator[bytes]:
    for bgm, mode, status in product(("44", "46"), ("1", "2", "8"), ("2", "6")):
        ship = (f"TDT+20+032E+{mode}++COS:172:20+++3ERX3:103::COSCO AFRICA", "LOC+9+CNSHG:139:6")
        box = (f"EQD+CN+{BOX}+45G1:102:5++{status}+5", "DTM+203:202603011200:203", "LOC+165+CNSHG:139:6")
        yield _interchange("COARRI", f"BGM+{bgm}+B1+9", *ship, *box, "CNT+16:1")


def statuses() -> Iterator[bytes]:
    for status, mode, load in product(iftsta._MEANINGS, _MODES, ("4", "5")):
        where = (f"RFF+BM:{BILL}", "CNI+1", f"STS+1+{status}", "DTM+334:202603011200:203", "LOC+175+CNSHG:139")
        box = (f"TDT+20+031W+{mode}+13", f"EQD+CN+{BOX}+45G1:102:5+++{load}")
        yield _interchange("IFTSTA", "BGM+23+S1+9", *where, *box)


def cusres() -> Iterator[bytes]:
    heads = ("BGM+962+R1+11", "BGM+785+R1+11", "BGM+833+R1+11")
    for indicator, head, way in product([*range(1, 34)], heads, ("22", "23", "24")):
        said = (head, "LOC+22+CNSHG:139:6", "DTM+58:202603011200:203", f"GIS+{way}", f"GIS+{indicator}")
        for about in (f"RFF+BM:{BILL}", f"RFF+ABT:{ENTRY}"):
            yield _interchange("CUSRES", *said, about)
    assert INDICATORS


def epcis() -> Iterator[bytes]:
    common = {"eventTime": AT, "eventTimeZoneOffset": "+08:00"}
    box, ship = f"urn:epc:id:bic:{BOX}", "urn:epc:id:imovn:9400291"
    for step in ("arriving", "departing", "loading", "unloading"):
        told = {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": step, "epcList": [box, ship]}
        yield _json({**common, **told})
    for step, action in (("packing", "ADD"), ("unpacking", "DELETE")):
        told = {"type": "AggregationEvent", "action": action, "bizStep": step, "parentID": box}
        yield _json({**common, **told, "childEPCs": ["urn:epc:id:sscc:0614141.1234567890"]})


# --- the page ---

HEAD = """# Milestones, and the formats that tell them

Found by sending: for each format its samples, the messages of the sample day and a message for each of its own codes
went through the reader; here stands what came out. Made by `python -m tests.milestones_dump > docs/milestones.md`; do
not edit.

`native` takes every milestone, and every reversal, `CODE_REVERSED` (…撤销). A statement is taken back in every format
whose messages bear a document number (cancel, replace); reversals as statements of their own come from {reversals}.
"""
SECTIONS = (
    ("Sea, inland waterway and what all share", ("VESSEL", "BARGE", "")),
    ("Rail", ("RAIL",)),
    ("Air", ("AIR",)),
    ("Road", ("TRUCK",)),
)
CUSTOMS = ("DEC_", "DUTY_", "INSP_", "SCAN_", "DOCS_", "VALUATION_", "ENTRY_", "HOLD_")


def page(found: Reached) -> str:
    """docs/milestones.md."""
    reversals = sorted({f"`{name}`" for code, names in found.items() if code.endswith("_REVERSED") for name in names})
    parts = [HEAD.format(reversals=", ".join(reversals))]
    own = [row.code for row in MILESTONES.values() if row.code.startswith(CUSTOMS)]
    for title, modes in SECTIONS:
        rows = [row.code for row in MILESTONES.values() if row.mode in modes and row.code not in own]
        parts.append(_table(title, rows, found))
    parts.append(_table("Customs", own, found))
    return "\n".join(parts)


def _table(title: str, rows: list[str], found: Reached) -> str:
    lines = [f"## {title}\n", "| code | 中文 | English | formats |", "|---|---|---|---|"]
    for code in rows:
        row, names = MILESTONES[code], ", ".join(sorted(found.get(code, ())))
        lines.append(f"| `{code}` | {row.zh} | {row.en} | {names} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(reached()), end="")
