"""The parameters of an EPCIS event query: read and checked, events matched and ordered by them.

A list in a query string is separated by `|` (a comma will do); in a stored query it is a JSON list. Values of one
parameter are alternatives, parameters must all be met. Parameters about what no event here has (sensors, quantities,
transformations, sources) are understood, and then nothing matches.
Source: GS1 EPCIS 2.0, 8.2.7.1 SimpleEventQuery, and its REST bindings.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
import psycopg

from api.facades import epcis_events
from api.facades.asking import BadQuery, instant, shown
from api.facades.epcis_events import Event
from api.facades.paging import CONTROL, Key, Order, Pairs
from api.facades.searching import Eyes, Made
from api.formats import epc
from projections import events
from projections.timeline import Line

PAGING = frozenset({"perPage", "nextPageToken"})
VALUES_MAX, VALUE_CHARS_MAX, NUMBER_MAX = 200, 500, 2**53


class EpcisSearch(msgspec.Struct, frozen=True, kw_only=True):
    wanted: dict[str, frozenset[str]] = {}  # parameter -> values as they are compared
    times: tuple[tuple[str, bool, datetime], ...] = ()  # member, not before (else before), instant
    error: bool = False  # with an error declaration only
    never: bool = False  # asks for what no event here has
    order: Order = Order()
    event_count_limit: int | None = None
    max_event_count: int | None = None

    @property
    def subjects(self) -> Sequence[str]:
        """Those that the first narrowing parameter names, unless a ship is among them."""
        for name in ("MATCH_epc", "MATCH_parentID", "MATCH_anyEPC", "EQ_bizTransaction"):
            if found := self.wanted.get(name):
                subjects = [value for value in sorted(found) if ":" in value and not value.startswith("urn:")]
                if len(subjects) == len(found):
                    return subjects
        return ()

    def likely(self, lines: Sequence[Line]) -> list[Line]:
        return [line for line in lines if epcis_events.tellable(line) and not self.never]

    def made(self, eyes: Eyes, lines: Sequence[Line]) -> list[Made]:
        return [(line, event) for line, event in told_of(eyes, self.likely(lines)) if self.matches(event)]

    def matches(self, event: Event) -> bool:
        if self.error and "errorDeclaration" not in event:
            return False
        for name, values in self.wanted.items():
            if values.isdisjoint(told(name, event)):
                return False
        return all(_in_time(event, *each) for each in self.times)

    def key(self, event: Event, position: int) -> Key:
        return (*(_utc(event[name]) for name, _ in self.order.fields), f"{position:019d}")

    def window(self, node: psycopg.Connection[Any]) -> tuple[int, int]:
        low, high = 0, 0 if self.never else events.END
        for member, since, at in self.times:
            if member == "recordTime" and since:
                low = max(low, events.first_since(node, at))
            elif member == "recordTime":
                high = min(high, events.first_after(node, at))
        return low, high


def told_of(eyes: Eyes, lines: Sequence[Line]) -> list[Made]:
    """The events of those of these lines that are tellable. No event leads to one that the caller may not see."""
    tellable = [line for line in lines if epcis_events.tellable(line)]
    wanted = {line.corrected.replaced_by for line in tellable if line.corrected and line.corrected.replaced_by}
    near = {line.fact_id for line in tellable}
    shown = near.union(line.fact_id for line in events.some(eyes.look, eyes.node, sorted(wanted - near)))
    return [(line, epcis_events.event(line, shown)) for line in tellable]


# --- what an event has, by the parameter ---


def told(name: str, event: Event) -> set[str]:
    """The values of an event that a parameter is about, as they are compared."""
    if name in MEMBERS:
        return {event[MEMBERS[name]]} if MEMBERS[name] in event else set()
    return TOLD[name](event)


def _epcs(event: Event) -> set[str]:
    return {thing(uri) for uri in (*event.get("epcList", ()), *event.get("childEPCs", ()))}


def _parent(event: Event) -> set[str]:
    return {thing(event["parentID"])} if "parentID" in event else set()


def _papers(event: Event) -> set[str]:
    return {paper(one["bizTransaction"], one.get("type", "")) for one in event.get("bizTransactionList", ())}


def _error_reason(event: Event) -> set[str]:
    return {event["errorDeclaration"]["reason"]} if "errorDeclaration" in event else set()


def _corrective(event: Event) -> set[str]:
    return set(event.get("errorDeclaration", {}).get("correctiveEventIDs", ()))


TOLD: dict[str, Callable[[Event], set[str]]] = {
    "MATCH_epc": _epcs,
    "MATCH_parentID": _parent,
    "MATCH_anyEPC": lambda event: _epcs(event) | _parent(event),
    "EQ_bizTransaction": _papers,
    "EQ_readPoint": lambda event: {event["readPoint"]["id"]} if "readPoint" in event else set(),
    "EQ_bizLocation": lambda event: {event["bizLocation"]["id"]} if "bizLocation" in event else set(),
    "EQ_bizStep": lambda event: {epc.step(event["bizStep"])} if "bizStep" in event else set(),
    "EQ_disposition": lambda event: {_word(event["disposition"])} if "disposition" in event else set(),
    "EQ_errorReason": _error_reason,
    "EQ_correctiveEventID": _corrective,
}


def thing(uri: str) -> str:
    """An EPC as subject; a ship, which is none, as its EPC."""
    named = epc.thing(uri)
    if found := _OWN.fullmatch(uri.strip()):
        return f"{found[1]}:{unquote(found[2])}"
    return named.subject or named.uri


def paper(uri: str, kind: str) -> str:
    """A business transaction as subject."""
    if found := _OWN.fullmatch(uri.strip()):
        return f"{found[1]}:{unquote(found[2])}"
    named = epc.paper(uri, kind)
    return named.subject if named else ""


def _in_time(event: Event, member: str, since: bool, at: datetime) -> bool:
    if member == "errorDeclaration":
        if member not in event:
            return False
        when = event[member]["declarationTime"]
    else:
        when = event[member]
    happened = datetime.fromisoformat(when).astimezone(UTC)
    return happened >= at if since else happened < at


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")


# --- reading ---


def of_pairs(pairs: Pairs) -> EpcisSearch:
    """A query string. Raises BadQuery."""
    told: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in PAGING:
            single = name in TIMES or name in ORDERING
            told.setdefault(name, []).extend([value] if single else re.split(r"[|,]", value))
    return read(told)


def of_json(query: Mapping[str, Any]) -> EpcisSearch:
    """A stored query. Raises BadQuery."""
    said: dict[str, list[str]] = {}
    for name, value in query.items():
        listed = value if isinstance(value, list) else [value]
        if name == "@context":
            continue
        if CONTROL.search(name) or not all(map(_plain, listed)):
            raise BadQuery((shown(name), "须为字符串、数字或其列表 / a text, a number, or a list of them"))
        said[name] = ["" if each is None else str(each) for each in listed]
    return read(said)


def _plain(value: Any) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool) and abs(value) < NUMBER_MAX
    return value is None or isinstance(value, str)


def read(said: Mapping[str, Sequence[str]]) -> EpcisSearch:
    """Raises BadQuery with everything that is wrong."""
    faults: list[tuple[str, str]] = []
    found: dict[str, Any] = {"wanted": {}, "times": []}
    for name, values in said.items():
        try:
            _one(name, [value.strip() for value in values], found)
        except ValueError as error:
            faults.append((shown(name), str(error)))
    by, direction = found.pop("orderBy", ""), found.pop("orderDirection", "DESC")
    if faults:
        raise BadQuery(*faults)
    order = Order(((by, direction == "DESC"),)) if by else Order()
    return EpcisSearch(**{**found, "times": tuple(found["times"]), "order": order})


def _one(name: str, values: list[str], found: dict[str, Any]) -> None:
    if name == "EXISTS_errorDeclaration":  # has no value, or any
        found["error"] = True
        return
    if (
        not values
        or len(values) > VALUES_MAX
        or not all(0 < len(value) <= VALUE_CHARS_MAX and not CONTROL.search(value) for value in values)
    ):
        raise ValueError(f"须有 1 至 {VALUES_MAX} 个值 / 1 to {VALUES_MAX} values, none empty or too long")
    if name in TIMES:
        found["times"].append((*TIMES[name], _time(values[0])))
    elif name in ORDERING:
        _ordering(name, values[0], found)
    elif field := _field(name):
        _known(field, values)
        kind = name.removeprefix("EQ_bizTransaction_") if name.startswith("EQ_bizTransaction_") else ""
        compared = frozenset(_compared(field, value, kind) for value in values)
        found["wanted"][field] = found["wanted"].get(field, compared) & compared
    elif NEVER.fullmatch(name):
        found["never"] = True
    else:
        raise ValueError("没有此参数 / there is no such parameter")


def _field(name: str) -> str:
    """The parameter that answers for a name; "" if none does."""
    if name in SAME:
        return SAME[name]
    if re.fullmatch(r"EQ_bizTransaction(_\S+)?", name):
        return "EQ_bizTransaction"
    return name if name in MEMBERS or name in TOLD else ""


def _compared(field: str, value: str, kind: str) -> str:
    if field.startswith("MATCH_"):
        return thing(value)
    if field == "EQ_bizTransaction":
        return paper(value, kind)
    return epc.step(value) if field == "EQ_bizStep" else _word(value) if field in WORDS else value


def _word(value: str) -> str:
    """The bare word of a disposition or an error reason, in whichever spelling."""
    return re.split(r"[:/-]", value)[-1]


def _known(field: str, values: Sequence[str]) -> None:
    allowed = ALLOWED.get(field)
    if allowed and (unknown := [value for value in values if value not in allowed]):
        raise ValueError(f"值未知：{shown(unknown[0])!r} / unknown: {shown(unknown[0])!r}; one of {' '.join(allowed)}")


def _time(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as error:
        raise ValueError(f"不是带时区的时间 / not a time with its offset: {shown(text)!r}") from error


def _ordering(name: str, value: str, found: dict[str, Any]) -> None:
    if name in {"eventCountLimit", "maxEventCount"}:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
            raise ValueError(f"须为正整数 / must be a whole number from 1: {shown(value)!r}")
        found["event_count_limit" if name == "eventCountLimit" else "max_event_count"] = int(value)
        return
    allowed = ("eventTime", "recordTime") if name == "orderBy" else ("ASC", "DESC")
    if value not in allowed:
        raise ValueError(f"须为 {' 或 '.join(allowed)} / must be {' or '.join(allowed)}: {shown(value)!r}")
    found[name] = value


# --- tables ---

TIMES = {
    "GE_eventTime": ("eventTime", True), "LT_eventTime": ("eventTime", False), "GE_recordTime": ("recordTime", True),
    "LT_recordTime": ("recordTime", False), "GE_errorDeclarationTime": ("errorDeclaration", True),
    "LT_errorDeclarationTime": ("errorDeclaration", False), "GE_errorDeclaration_Time": ("errorDeclaration", True),
    "LT_errorDeclaration_Time": ("errorDeclaration", False),
}  # the last two as the query schema spells them  # fmt: skip
ORDERING = frozenset({"orderBy", "orderDirection", "eventCountLimit", "maxEventCount"})
MEMBERS = {
    "eventType": "type", "EQ_action": "action", "EQ_eventID": "eventID",
}  # fmt: skip
SAME = {"WD_readPoint": "EQ_readPoint", "WD_bizLocation": "EQ_bizLocation"}  # places here hold no others
WORDS = frozenset({"EQ_disposition", "EQ_errorReason"})
ALLOWED = {"eventType": tuple(sorted(epcis_events.TYPES)), "EQ_action": ("ADD", "OBSERVE", "DELETE")}
NEVER = re.compile(
    r"MATCH_(input|output|any)?EPC(Class)?|MATCH_epcClass|EQ_transformationID|EQ_persistentDisposition_(set|unset)"
    r"|(EQ|GT|GE|LT|LE)_quantity(_\w+)?|EQ_(source|destination)_\S+|EXISTS_sensorElementList|(GE|LT)_(startTime|endTime|time)"
    r"|EQ_(type|deviceID|dataProcessingMethod|microorganism|chemicalSubstance|bizRules|stringValue|booleanValue"
    r"|hexBinaryValue|uriValue)|(EQ|GE|LT|GT|LE)_(value|minValue|maxValue|meanValue|sDev|percRank|percValue)(_\w+)?"
    r"|(EQ|GE|LT|GT|LE|EXISTS|HASATTR|EQATTR)_((INNER|ILMD|SENSORELEMENT|SENSORMETADATA|SENSORREPORT|ERROR_DECLARATION)_)*\S+:\S+"
)
_OWN = re.compile(r"urn:kouan:(container|bl|booking|awb|rail|declaration|manifest|truck):(\S+)")
