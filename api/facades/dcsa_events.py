"""A line as a DCSA event: the inverse of the reader api/formats/dcsa.py, as data.

A milestone is told only where its event reads back as the same milestone. Left out therefore: everything by air; what
came with version 3 only (customs selections, border crossing, available for pick-up); what has no code there at all.
Left out too: an equipment event of which nobody knows whether the box was laden, and a document's event that is planned
or expected. Retracted and corrected lines are no events: version 2.2 has no word for them.

Vessel names without IMO number and seals have no place, for the standard demands the number, and the type of the seal.
Times carry the offset of the place; `eventCreatedDateTime` is the receipt in UTC, but for a document the event's own,
for the standard demands that they are equal.
Source: DCSA Track & Trace 2.2.0 (OpenAPI TNT_v2.2.0); isTransshipmentMove as later editions have it.
"""

import re
from datetime import UTC
from typing import Any, NamedTuple

from api.facades.around import Around
from domain import places
from domain.fact import digest_id
from domain.places import Place
from domain.report import Mode
from projections.journeys import kind
from projections.timeline import Line

Event = dict[str, Any]
ID_CHARS_MAX, NUMBER_CHARS_MAX, NAME_CHARS_MAX, REMARK_CHARS_MAX = 100, 15, 50, 250
LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_SHIP = re.compile(r"\A(?:IMO ?)?(?P<imo>[0-9]{7})(?![^\s])\s*")
_VOYAGE = re.compile(r"(?:\A|\s)(?P<voyage>\S*[0-9]\S*)\Z")
VOYAGE_CHARS_MIN = 3  # "XIN HAI 8" is a name


class Pair(NamedTuple):
    """What the standard calls a milestone."""

    kind: str
    code: str
    mode: Mode = ""  # "": that of the line
    facility: str = ""  # facilityTypeCode, where the meaning hangs on it
    document: str = ""  # documentTypeCode
    numbered: str = ""  # whose number is the documentID: a kind of subject
    transhipment: bool = False


def event(line: Line, around: Around) -> Event | None:
    """None if the standard cannot say it."""
    pair = PAIRS.get(line.code)
    if pair is None or not tellable(line):
        return None
    if pair.kind == "TRANSPORT":
        return _transport(line, pair, around)
    return _equipment(line, pair, around) if pair.kind == "EQUIPMENT" else _shipment(line, pair, around)


def tellable(line: Line) -> bool:
    """Whether a line by itself may be an event: what it needs of the others is not looked at."""
    pair = PAIRS.get(line.code)
    if pair is None or not line.stands or line.mode == "AIR" or kind(line.subject) not in SUBJECTS:
        return False
    return line.classifier == "ACT" if pair.kind == "SHIPMENT" else pair.kind != "EQUIPMENT" or _is_box(line)


def bare(line: Line) -> Event:
    """What the filters that concern the line itself can see of its event; not for handing out."""
    pair = PAIRS[line.code]
    told = _base(line, pair)
    if pair.kind == "SHIPMENT":
        return told
    call = _call(line, pair)
    place = {"eventLocation": {"UNLocationCode": line.place}} if LOCODE.fullmatch(line.place) else {}
    return {**told, **place, **({"transportCall": call} if call else {})}


def _is_box(line: Line) -> bool:
    return kind(line.subject) == "container"


# --- the three kinds ---


def _base(line: Line, pair: Pair) -> Event:
    created = line.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        "eventID": str(line.fact_id),
        "eventType": pair.kind,
        "eventCreatedDateTime": line.happened_at if pair.kind == "SHIPMENT" else created,
        "eventClassifierCode": line.classifier,
        "eventDateTime": line.happened_at,
        MEMBERS[pair.kind]: pair.code,
        **({"documentTypeCode": pair.document} if pair.document else {}),
    }


def _transport(line: Line, pair: Pair, around: Around) -> Event | None:
    named = _named(line, around)
    if not named:
        return None  # about nothing that the standard knows
    remark = {"changeRemark": line.text[:REMARK_CHARS_MAX]} if line.text else {}
    call = _call(line, pair)
    assert call is not None, "a transport event's mode stands in PAIRS"
    location = _location(line)
    return (
        _base(line, pair) | remark | {"transportCall": {**call, **({"location": location} if location else {})}} | named
    )


def _equipment(line: Line, pair: Pair, around: Around) -> Event | None:
    laden, number = around.laden(line), line.subject.removeprefix("container:")
    if laden is None or len(number) > ID_CHARS_MAX:
        return None
    told = _base(line, pair)
    if len(number) <= NUMBER_CHARS_MAX:
        told["equipmentReference"] = number
    told["emptyIndicatorCode"] = "LADEN" if laden else "EMPTY"
    if pair.transhipment:
        told["isTransshipmentMove"] = True
    if location := _location(line):
        told["eventLocation"] = location
    if call := _call(line, pair):
        told["transportCall"] = call
    return told | _named(line, around)


def _shipment(line: Line, pair: Pair, around: Around) -> Event | None:
    named = _named(line, around)
    numbers = [each.partition(":") for each in [*around.documents(line), *around.boxes(line)]]
    number = next((number for prefix, _, number in numbers if prefix == pair.numbered), "")
    if not number or (pair.document == "CUS" and "references" not in named):
        return None  # customs on cargo that came by air names no box
    return _base(line, pair) | {"documentID": number} | ({"reason": line.text} if line.text else {}) | named


def _named(line: Line, around: Around) -> Event:
    """The references: bookings and bills, and the boxes of whatever is not said of a box."""
    documents = [each.partition(":") for each in around.documents(line)]
    if PAIRS[line.code].numbered == "container":
        documents = []  # a mass is verified of one box, not of all that its papers name
    told: Event = {}
    if found := [(REFERENCES[prefix], number) for prefix, _, number in documents if prefix in REFERENCES]:
        told["documentReferences"] = [
            {"documentReferenceType": prefix, "documentReferenceValue": number} for prefix, number in found
        ]
    boxes = [each.removeprefix("container:") for each in around.boxes(line)]
    if PAIRS[line.code].kind != "EQUIPMENT" or len(boxes[0]) > NUMBER_CHARS_MAX:
        references = [
            {"referenceType": "EQ", "referenceValue": number} for number in boxes if len(number) <= ID_CHARS_MAX
        ]
        told |= {"references": references} if references else {}
    return told


# --- where, and by what ---


def _call(line: Line, pair: Pair) -> Event | None:
    """The call that the event is part of; None where nobody said by which mode, and nothing hangs on it."""
    mode = pair.mode or line.mode or (MODE_AT.get(pair.facility, "") if pair.facility else "")
    if mode not in MODES:
        return None
    call: Event = {"transportCallID": _call_id(line, mode), "modeOfTransport": mode}
    ship, name, voyage = ship_and_voyage(line.transport) if mode in {"VESSEL", "BARGE"} else ("", "", "")
    if voyage:
        inwards = pair.code in {"ARRI", "DISC"}  # as the reader takes it
        call["importVoyageNumber" if inwards else "exportVoyageNumber"] = voyage[:NAME_CHARS_MAX]
    if LOCODE.fullmatch(line.place):
        call["UNLocationCode"] = line.place
    if facility := pair.facility or (DEPOT if mode == "RAIL" and pair.code in {"GTIN", "GTOT"} else ""):
        call["facilityTypeCode"] = facility
    if line.facility:
        call["otherFacility"] = line.facility[:NAME_CHARS_MAX]
    if ship:
        call["vessel"] = {"vesselIMONumber": ship, **({"vesselName": name[:35]} if name else {})}
    return call


def _call_id(line: Line, mode: str) -> str:
    """The same for all that one ship or train does at one place; of its own where no transport is named."""
    if not line.transport:
        return str(line.fact_id)
    named = f"{mode}/{line.place}/{line.facility}/{line.transport}"
    return named if len(named) <= ID_CHARS_MAX else str(digest_id("call", named))


def ship_and_voyage(transport: str) -> tuple[str, str, str]:
    """IMO number, name and voyage of a vessel as sources report them together; "" for what is not there.

    >>> ship_and_voyage("COSCO AFRICA 031W"), ship_and_voyage("IMO9321483 2103S"), ship_and_voyage("XIN HAI 8")
    (('', 'COSCO AFRICA', '031W'), ('9321483', '', '2103S'), ('', 'XIN HAI 8', ''))
    """
    ship = _SHIP.match(transport)
    rest = transport[ship.end() :] if ship else transport
    voyage = _VOYAGE.search(rest)
    if voyage is None or len(voyage["voyage"]) < VOYAGE_CHARS_MIN:
        return ship["imo"] if ship else "", rest.strip(), ""
    return ship["imo"] if ship else "", rest[: voyage.start()].strip(), voyage["voyage"]


def _location(line: Line) -> Event:
    place: Place | None = places.find(line.place) if line.place else None
    told: Event = {}
    if line.place:
        told["locationName"] = (place.en or line.place if place else line.place)[:ID_CHARS_MAX]
    if place and place.lat is not None and place.lon is not None:
        told |= {"latitude": f"{place.lat:.5f}", "longitude": f"{place.lon:.5f}"}
    if LOCODE.fullmatch(line.place):
        told["UNLocationCode"] = line.place
    return told


# --- code tables ---

SUBJECTS = frozenset({"container", "bl", "booking", "declaration", "rail"})
MODES = frozenset({"VESSEL", "RAIL", "TRUCK", "BARGE"})
DEPOT = "DEPO"  # where empties come and go by rail: without it the gate would be a station's
MEMBERS = {
    "TRANSPORT": "transportEventTypeCode", "EQUIPMENT": "equipmentEventTypeCode", "SHIPMENT": "shipmentEventTypeCode",
}  # fmt: skip
REFERENCES = {"booking": "BKG", "bl": "TRD"}
MODE_AT = {"OFFD": "TRUCK", "RAMP": "RAIL", "BOCR": "RAIL"}


def _moves(kind: str, pairs: str, facility: str = "") -> dict[str, Pair]:
    rows = (row.split() for row in pairs.split(","))
    return {milestone: Pair(kind, code, mode, facility) for milestone, code, mode in rows}  # type: ignore[arg-type]


PAIRS: dict[str, Pair] = {
    **_moves("TRANSPORT", "VSL_DEP DEPA VESSEL, BARGE_DEP DEPA BARGE, TRAIN_DEP DEPA RAIL, TRUCK_DEP DEPA TRUCK"),
    **_moves("TRANSPORT", "VSL_ARR ARRI VESSEL, BARGE_ARR ARRI BARGE, TRAIN_ARR ARRI RAIL, TRUCK_ARR ARRI TRUCK"),
    **_moves("TRANSPORT", "BORDER_ARR ARRI RAIL", "BOCR"),
    **_moves("EQUIPMENT", "LOADED LOAD VESSEL, BARGE_LOAD LOAD BARGE, WAGON_LOADED LOAD RAIL, TRUCK_LOADED LOAD TRUCK"),
    **_moves("EQUIPMENT", "DISCHARGED DISC VESSEL, BARGE_DISC DISC BARGE, WAGON_UNLOADED DISC RAIL"),
    **_moves("EQUIPMENT", "TRUCK_UNLOADED DISC TRUCK"),
    **_moves("EQUIPMENT", "GAUGE_CHANGE LOAD RAIL", "BOCR"),
    **_moves("EQUIPMENT", "STATION_IN GTIN RAIL, STATION_OUT GTOT RAIL", "RAMP"),
    "TS_LOAD": Pair("EQUIPMENT", "LOAD", "VESSEL", transhipment=True),
    "TS_DISC": Pair("EQUIPMENT", "DISC", "VESSEL", transhipment=True),
    "GATE_IN": Pair("EQUIPMENT", "GTIN", facility="POTE"),
    "GATE_OUT": Pair("EQUIPMENT", "GTOT", facility="POTE"),
    "YARD_IN": Pair("EQUIPMENT", "GTIN", facility="OFFD"),
    "YARD_OUT": Pair("EQUIPMENT", "GTOT", facility="OFFD"),
    "EMPTY_OUT": Pair("EQUIPMENT", "GTOT"),
    "EMPTY_IN": Pair("EQUIPMENT", "GTIN"),
    "STUFFED": Pair("EQUIPMENT", "STUF"),
    "STRIPPED": Pair("EQUIPMENT", "STRP"),
    "SEAL_INSPECTED": Pair("EQUIPMENT", "INSP"),
    "SEAL_REMOVED": Pair("EQUIPMENT", "RMVD"),
    "RESEALED": Pair("EQUIPMENT", "RSEA"),
    "BKG_REQUESTED": Pair("SHIPMENT", "RECE", document="CBR", numbered="booking"),
    "BKG_CONF": Pair("SHIPMENT", "CONF", document="BKG", numbered="booking"),
    "BKG_REJECTED": Pair("SHIPMENT", "REJE", document="BKG", numbered="booking"),
    "BKG_CANC": Pair("SHIPMENT", "VOID", document="BKG", numbered="booking"),
    "SI_SUBMITTED": Pair("SHIPMENT", "SUBM", document="SHI", numbered="bl"),
    "VGM_SUB": Pair("SHIPMENT", "SUBM", document="VGM", numbered="container"),
    "BL_ISSUED": Pair("SHIPMENT", "ISSU", document="TRD", numbered="bl"),
    "BL_SURRENDERED": Pair("SHIPMENT", "SURR", document="TRD", numbered="bl"),
    "ARN_SENT": Pair("SHIPMENT", "ISSU", document="ARN", numbered="bl"),
    "INSP_ORDERED": Pair("SHIPMENT", "REQS", document="CUS", numbered="declaration"),
    "INSP_DONE": Pair("SHIPMENT", "CMPL", document="CUS", numbered="declaration"),
    "DEC_RELEASED": Pair("SHIPMENT", "RELS", document="CUS", numbered="declaration"),
}
