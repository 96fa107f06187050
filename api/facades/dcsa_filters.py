"""The questions of DCSA Track & Trace 2.2: parameters read and checked, events matched and ordered by them.

Values in one parameter are alternatives, parameters must all be met. A contradiction is an empty list, as the standard
says, except where `eventType` itself excludes the kind of a code: that is a mistake and is told as one.
Source: DCSA Track & Trace 2.2.0, parameters of GET /v2/events.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from api.facades.asking import BadQuery, instant, shown
from api.facades.dcsa_events import MEMBERS, Event
from api.facades.paging import Key, Order, Pairs
from domain import identifiers, places

OPERATORS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gte": lambda told, asked: told >= asked,
    "gt": lambda told, asked: told > asked,
    "lte": lambda told, asked: told <= asked,
    "lt": lambda told, asked: told < asked,
    "eq": lambda told, asked: told == asked,
}
CREATED = "eventCreatedDateTime"
PAGING = frozenset({"limit", "cursor"})


class Query(msgspec.Struct, frozen=True):
    """`wanted`: by the published name, any of these values."""

    wanted: dict[str, frozenset[str]]
    created: tuple[tuple[str, datetime], ...]  # operator and instant
    order: Order  # without fields: in the order of recording

    @property
    def subjects(self) -> list[str]:
        """What the question names: kind:number. Events of others cannot match."""
        return [f"{kind}:{value}" for name, kind in NUMBERS.items() for value in sorted(self.wanted.get(name, ()))]

    def matches(self, event: Event) -> bool:
        return self.matches_line(event) and all(
            not values.isdisjoint(VALUES[name](event)) for name, values in self.wanted.items() if name in NUMBERS
        )

    def matches_line(self, event: Event) -> bool:
        """As far as the event itself tells, without the numbers of its consignment."""
        for name, values in self.wanted.items():
            if name == "UNLocationCode":
                if not _at(values, event):
                    return False
            elif name not in NUMBERS and values.isdisjoint(VALUES[name](event)):
                return False
        if not self.created:
            return True
        created = datetime.fromisoformat(event[CREATED]).astimezone(UTC)
        return all(OPERATORS[operator](created, asked) for operator, asked in self.created)

    def key(self, event: Event, position: int) -> Key:
        """What an event is sorted by; the position settles what is left. Times count as instants."""
        return (*(_sortable(name, event) for name, _ in self.order.fields), f"{position:019d}")


# --- reading the parameters ---


def read(pairs: Pairs) -> Query:
    """Raises BadQuery with everything that is wrong."""
    faults: list[tuple[str, str]] = []
    wanted: dict[str, frozenset[str]] = {}
    created: list[tuple[str, datetime]] = []
    order = Order()
    for name, value in pairs:
        try:
            if name == "sort":
                order = sorting(value, FIELDS)
            elif name.partition(":")[0] == CREATED:
                created.append(_created(name, value))
            elif name not in PAGING:
                field = ALIASES.get(name, name)
                _add(wanted, field, _values(name, field, value))
        except ValueError as error:
            faults.append((name[:80], str(error)))
    faults += contradictions(wanted)
    if faults:
        raise BadQuery(*faults)
    return Query(wanted, tuple(created), order)


def _add(wanted: dict[str, frozenset[str]], field: str, found: frozenset[str]) -> None:
    if field not in CODES and wanted.get(field, found) != found:
        raise ValueError("给出了两个不同的值 / given twice, with different values")
    wanted[field] = wanted.get(field, frozenset()) | found


def _values(name: str, field: str, value: str) -> frozenset[str]:
    if field in CODES:
        found = frozenset(text.strip() for text in value.split(","))
        if unknown := sorted(found - CODES[field]):
            known = " ".join(sorted(CODES[field]))
            raise ValueError(f"代码未知：{shown(unknown[0])!r} / unknown code {shown(unknown[0])!r}; one of {known}")
        return found
    if field not in LENGTHS:
        raise ValueError("没有此参数 / there is no such parameter")
    if not 0 < len(value.strip()) <= LENGTHS[field]:
        raise ValueError(f"长度须为 1 至 {LENGTHS[field]} / must have 1 to {LENGTHS[field]} characters")
    if name in UUIDS:
        _uuid(value)
    if field == "equipmentReference":
        return frozenset({identifiers.container(value)[0]})
    return frozenset({identifiers.normalise(value) if field in NUMBERS else value.strip()})


def _uuid(text: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text.strip()):
        raise ValueError(f"不是 UUID：{shown(text)!r} / not a UUID: {shown(text)!r}")
    UUID(text.strip())


def _created(name: str, value: str) -> tuple[str, datetime]:
    operator = name.partition(":")[2] or "eq"
    if name != CREATED and operator not in OPERATORS:
        raise ValueError(f"运算符未知 / unknown operator; one of {' '.join(OPERATORS)}")
    try:
        return operator, instant(value)
    except ValueError as error:
        raise ValueError(
            f"不是带时区的时间：{shown(value)!r} / not a time with its offset (RFC 3339): {shown(value)!r}"
        ) from error


def sorting(text: str, fields: frozenset[str]) -> Order:
    """The published form of `sort`. Raises ValueError."""
    found = []
    for part in text.split(","):
        name, _, direction = part.strip().partition(":")
        name = ALIASES.get(name, name)
        if name not in fields or direction.upper() not in {"", "ASC", "DESC"}:
            raise ValueError(
                f"无法按此排序：{shown(part)!r} / cannot be sorted by: {shown(part)!r}; "
                f"NAME:ASC or NAME:DESC, with one of {' '.join(sorted(fields))}"
            )
        found.append((name, direction.upper() == "DESC"))
    return Order(tuple(dict(found).items()))


def contradictions(wanted: dict[str, frozenset[str]]) -> list[tuple[str, str]]:
    asked = wanted.get("eventType", frozenset(MEMBERS))
    return [
        (name, f"与 eventType 矛盾 / only events of the type {kind} have it, and eventType excludes them")
        for name, kind in KINDS.items()
        if name in wanted and kind not in asked
    ]


# --- the values of an event, by the published names ---


def _at(values: frozenset[str], event: Event) -> bool:
    """A place goes by several codes, and which one is meant depends on the mode of transport."""
    called, located = event.get("transportCall", {}), event.get("eventLocation", {})
    told = called.get("UNLocationCode") or located.get("UNLocationCode")
    mode = called.get("modeOfTransport", "")
    return told is not None and any(told in (value.upper(), places.canonical(value, mode)) for value in values)


def _sortable(name: str, event: Event) -> str:
    values = VALUES[name](event)
    if name.endswith("DateTime") and values:
        return datetime.fromisoformat(values[0]).astimezone(UTC).isoformat(timespec="microseconds")
    return min(values, default="")


def _top(name: str) -> Callable[[Event], list[str]]:
    return lambda event: [event[name]] if name in event else []


def _called(name: str) -> Callable[[Event], list[str]]:
    return lambda event: [event["transportCall"][name]] if name in event.get("transportCall", {}) else []


def _documents(reference: str, *own: str) -> Callable[[Event], list[str]]:
    def values(event: Event) -> list[str]:
        found: list[dict[str, Any]] = event.get("documentReferences", [])
        told = [one["documentReferenceValue"] for one in found if one["documentReferenceType"] == reference]
        return told + ([event["documentID"]] if event.get("documentTypeCode") in own else [])

    return values


def _boxes(event: Event) -> list[str]:
    own = [event["equipmentReference"]] if "equipmentReference" in event else []
    return own + [one["referenceValue"] for one in event.get("references", []) if one["referenceType"] == "EQ"]


def _place(event: Event) -> list[str]:
    own, called = event.get("eventLocation", {}), event.get("transportCall", {})
    return [code for code in (called.get("UNLocationCode") or own.get("UNLocationCode"),) if code]


def _nothing(_: Event) -> list[str]:
    """Of what this node is never told."""
    return []


def _ship(event: Event) -> list[str]:
    vessel = event.get("transportCall", {}).get("vessel")
    return [vessel["vesselIMONumber"]] if vessel else []


VALUES: dict[str, Callable[[Event], list[str]]] = {
    **{
        name: _top(name)
        for name in (
            "eventID", "eventType", "eventDateTime", CREATED, "eventClassifierCode", "transportEventTypeCode",
            "equipmentEventTypeCode", "shipmentEventTypeCode", "documentTypeCode", "documentID", "emptyIndicatorCode",
        )
    },
    **{name: _called(name) for name in ("transportCallID", "exportVoyageNumber", "modeOfTransport")},
    "carrierBookingReference": _documents("BKG", "BKG", "CBR"),
    "transportDocumentReference": _documents("TRD", "TRD", "SHI", "ARN"),
    "equipmentReference": _boxes,
    "UNLocationCode": _place,
    "vesselIMONumber": _ship,
    "carrierServiceCode": _nothing,
    "scheduleID": _nothing,
}  # fmt: skip
FIELDS = frozenset(VALUES)
NUMBERS = {"equipmentReference": "container", "carrierBookingReference": "booking", "transportDocumentReference": "bl"}
ALIASES = {
    "bookingReference": "carrierBookingReference", "transportDocumentID": "transportDocumentReference",
    "carrierVoyageNumber": "exportVoyageNumber",
}  # deprecated  # fmt: skip
UUIDS = frozenset({"transportDocumentID", "scheduleID"})
LENGTHS = {
    "carrierBookingReference": 35, "transportDocumentReference": 36, "transportCallID": 100, "vesselIMONumber": 7,
    "exportVoyageNumber": 50, "carrierServiceCode": 5, "UNLocationCode": 5, "equipmentReference": 15, "scheduleID": 36,
}  # the deprecated transportDocumentID has 36  # fmt: skip


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


CODES = {
    "eventType": frozenset(MEMBERS),
    "transportEventTypeCode": _codes("ARRI DEPA"),
    "equipmentEventTypeCode": _codes("LOAD DISC GTIN GTOT STUF STRP PICK DROP INSP RSEA RMVD"),
    "shipmentEventTypeCode": _codes("RECE DRFT PENA PENU REJE APPR ISSU SURR SUBM VOID CONF REQS CMPL HOLD RELS"),
    "documentTypeCode": _codes("CBR BKG SHI SRM TRD ARN VGM CAS CUS DGD OOG"),
}
KINDS = {
    "transportEventTypeCode": "TRANSPORT", "equipmentEventTypeCode": "EQUIPMENT", "shipmentEventTypeCode": "SHIPMENT",
    "documentTypeCode": "SHIPMENT",
}  # fmt: skip
