"""A line as an EPCIS 2.0 event: the inverse of the reader api/formats/epcis.py.

Only what has happened is an event there: plans and estimates are left out. What was retracted or corrected is shown
with its error declaration. A container goes by its EPC, an object by its URI; every other number is a business
transaction, `urn:kouan:KIND:NUMBER`. A business step says less than a milestone, so the milestone stands beside it as
`kouan:milestone`; one without a word in the vocabulary goes out as `urn:kouan:step:CODE`. A packing is an aggregation
where its contents are named, an unpacking always. Event times carry the offset of the place; record times are UTC.
Source: GS1 EPCIS 2.0 and CBV 2.0 (2022), EPC Tag Data Standard 2.0 for the URIs.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from api.facades.dcsa_events import LOCODE, ship_and_voyage
from api.formats import epc
from projections.journeys import kind
from projections.timeline import Line

Event = dict[str, Any]
CONTEXT: list[Any] = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"kouan": "urn:kouan:vocabulary:"},
]
_BIC = re.compile(r"[A-Z]{3}[UJZR][0-9]{7}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4]):[0-5][0-9]")
_DISPOSITION = re.compile(r"(?:\A|\s)disposition=(\S+)")


def tellable(line: Line) -> bool:
    return line.classifier == "ACT"


def event(line: Line, shown: Collection[UUID] = ()) -> Event:
    """Of a line that is tellable. `shown`: the facts that the caller may see too."""
    at = datetime.fromisoformat(line.happened_at)
    offset = line.happened_at[-6:] if _OFFSET.fullmatch(line.happened_at[-6:]) else "+00:00"
    told: Event = {
        "type": "",
        "eventID": event_id(line),
        "eventTime": line.happened_at if offset in line.happened_at else at.astimezone(UTC).isoformat(),
        "eventTimeZoneOffset": offset,
        "recordTime": line.recorded_at.astimezone(UTC).isoformat(),
        **_what(line),
    }
    if step := _step(line):
        told["bizStep"] = step
    if found := _DISPOSITION.search(line.text):
        told["disposition"] = found[1]
    elif line.code in DISPOSITIONS:
        told["disposition"] = DISPOSITIONS[line.code]
    if line.place:
        told["readPoint"] = {"id": place_uri(line.place)}
    if line.facility:
        told["bizLocation"] = {"id": _uri("facility", line.facility)}
    if not line.stands:
        told["errorDeclaration"] = _error(line, shown)
    return told | _extension(line)


def event_id(line: Line) -> str:
    return f"urn:uuid:{line.fact_id}"


def _what(line: Line) -> Event:
    """Type, action, the objects, and the transactions."""
    papers = [ref for ref in line.refs if kind(ref) not in {"container", "object"}]
    transactions = {"bizTransactionList": [_transaction(ref) for ref in papers]} if papers else {}
    if kind(line.subject) not in {"container", "object"}:
        named = [_transaction(ref) for ref in dict.fromkeys((line.subject, *papers))]
        return {"type": "TransactionEvent", "action": "OBSERVE", "bizTransactionList": named, "epcList": []}
    own, ship = thing_uri(line.subject), ship_and_voyage(line.transport)[0] if line.mode == "VESSEL" else ""
    contents = [thing_uri(ref) for ref in line.refs if kind(ref) == "object"]
    if line.code == "STRIPPED" or (line.code == "STUFFED" and contents):
        action = "ADD" if line.code == "STUFFED" else "DELETE"
        return {"type": "AggregationEvent", "action": action, "parentID": own, "childEPCs": contents, **transactions}
    things = [own, *([f"urn:epc:id:imovn:{ship}"] if ship else [])]
    return {"type": "ObjectEvent", "action": "OBSERVE", "epcList": things, **transactions}


def _error(line: Line, shown: Collection[UUID]) -> Event:
    remark = line.corrected or line.retracted
    assert remark is not None, "a line that does not stand was retracted or corrected"
    told: Event = {
        "declarationTime": remark.recorded_at.astimezone(UTC).isoformat(),
        "reason": "incorrect_data" if line.corrected else "did_not_occur",
    }
    if remark.replaced_by in shown:
        told["correctiveEventIDs"] = [f"urn:uuid:{remark.replaced_by}"]
    return told


def _extension(line: Line) -> Event:
    """What the standard has no member for."""
    said = {
        "milestone": line.code, "zh": line.zh, "en": line.en, "source": line.source, "mode": line.mode,
        "transport": line.transport, "text": line.text,
    }  # fmt: skip
    return {f"kouan:{name}": value for name, value in said.items() if value}


# --- identifiers and words ---


def thing_uri(subject: str) -> str:
    """A container's EPC, an object's own URI."""
    prefix, _, number = subject.partition(":")
    if prefix == "container" and _BIC.fullmatch(number):
        return f"urn:epc:id:bic:{number}"
    return number if prefix == "object" and _URI.fullmatch(number) else _uri(prefix, number)


def _transaction(subject: str) -> Event:
    prefix, _, number = subject.partition(":")
    return {"type": BILL if prefix == "bl" else f"urn:kouan:btt:{prefix}", "bizTransaction": _uri(prefix, number)}


def place_uri(place: str) -> str:
    return f"{UNLOCODE}{place}" if LOCODE.fullmatch(place) else _uri("place", place)


def _uri(name: str, text: str) -> str:
    """A name that is a URI stays as it is."""
    return text if _URI.fullmatch(text) else f"urn:kouan:{name}:{quote(text, safe='')}"


def _step(line: Line) -> str:
    """The vocabulary's word; the source's own where it has none, or nobody knows the code."""
    if line.code:
        return STEPS.get(line.code.removesuffix("_REVERSED"), f"urn:kouan:step:{line.code}")
    word = epc.step(line.raw_code)
    if word in WORDS:
        return word
    return "" if line.raw_code.split("/")[0] in TYPES or not line.raw_code else _uri("step", line.raw_code)


# --- code tables ---

BILL = "bol"
UNLOCODE = "https://vocabulary.uncefact.org/unlocode#"
TYPES = frozenset({"ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"})
WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
        decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting
        installing killing loading other packing picking receiving removing repackaging repairing replacing reserving
        retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting
        unloading unpacking void_shipping
        """,
    )
)  # business steps of CBV 2.0


def _steps(pairs: dict[str, str]) -> dict[str, str]:
    return {milestone: step for step, milestones in pairs.items() for milestone in milestones.split()}


STEPS = _steps({
    "arriving": "VSL_ARR BARGE_ARR TRAIN_ARR TRUCK_ARR AIR_ARR BORDER_ARR PICKUP_ARR",
    "departing": "VSL_DEP BARGE_DEP TRAIN_DEP TRUCK_DEP AIR_DEP",
    "loading": "LOADED TS_LOAD BARGE_LOAD WAGON_LOADED TRUCK_LOADED GAUGE_CHANGE",
    "unloading": "DISCHARGED TS_DISC BARGE_DISC WAGON_UNLOADED TRUCK_UNLOADED AIR_RCF",
    "packing": "STUFFED",
    "unpacking": "STRIPPED",
    "entering_exiting": "GATE_IN GATE_OUT YARD_IN YARD_OUT STATION_IN STATION_OUT EMPTY_IN EMPTY_OUT CHECKPOINT_PASS",
    "accepting": "AIR_RCS DEC_ACCEPTED",
    "receiving": "POD AIR_DLV AIR_DDL",
    "transporting": "TRAIN_PASS TRUCK_POS LOCK_PASSED",
    "holding": "HOLD_PLACED DEC_SUSPENDED INSP_ORDERED",
    "inspecting": "SEAL_INSPECTED INSP_DONE",
})  # fmt: skip
DISPOSITIONS = {
    **dict.fromkeys(("VSL_DEP", "BARGE_DEP", "TRAIN_DEP", "TRUCK_DEP", "AIR_DEP"), "in_transit"),
    **dict.fromkeys(("GATE_IN", "DISCHARGED", "STATION_IN", "AIR_RCF"), "in_progress"),
    "DAMAGED": "damaged",
    "AVAILABLE": "available",
}
