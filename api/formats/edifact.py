"""EDIFACT messages about transport: from a body to readings, and the segments that these messages share.

`read` cuts a body into messages (the syntax is `edifact_syntax`), hands each to the translator of its type and makes
its reading. `gather` sorts the segments of a container message (`edifact_segments`): the header, then one group for
each EQD.
Times are wall times of the place, mostly without zone: the place's own is taken. Weights are kg.
Source: UN/EDIFACT directories D.95B and D.00B, whose segments agree in what is read here; SMDG and ITIGG guides.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from api.formats import edifact_syntax as syntax
from api.formats.edifact_segments import (
    NAME_CHARS_MAX,
    Transport,
    container,
    laden,
    locate,
    moment,
    reference,
    say,
    transport,
    weight,
)
from api.formats.edifact_syntax import COMPONENT, ELEMENT, Broken, Message, messages, number, part
from domain.report import Classifier, Fault, Function, Mode, Moment, Movement, Reading, Receipt

__all__ = [  # of the syntax and the segments, for the formats
    "COMPONENT", "ELEMENT", "NAME_CHARS_MAX", "Broken", "Message", "Transport", "container", "laden", "locate",
    "messages", "moment", "number", "part", "reference", "say", "transport", "weight",
]  # fmt: skip


Translate = Callable[[Message, list[str]], Sequence[Movement | Receipt]]
"""A message and its BGM -> its statements; may raise Broken and add warnings to the message."""


def segments(body: bytes) -> list[list[list[str]]]:
    """Every segment as elements of components, in order, the unfinished end left out.

    >>> segments(b"UNA:+.? 'UNB+UNOA:2+A?+B+C'")
    [[['UNB'], ['UNOA', '2'], ['A+B'], ['C']]]
    """
    tokens = syntax.Tokens(body, 0, len(body))
    texts = tokens.texts(0, len(tokens.parts) - 1, "")
    return [[element.split(COMPONENT) for element in text.split(ELEMENT)] for text in texts if text]


def read(body: bytes, kind: str, translate: Translate, *, local: bool = True, lenient: bool = False) -> list[Reading]:
    """One reading for each message of this type; any other has a fault.

    `local`: the sender's clock, which UNB shows without zone, is that of the place it reports from.
    `lenient`: counts and references that do not agree are warnings, for an operator answers for them.
    """
    readings: list[Reading] = []
    clocks: dict[int, str] = {}  # interchange -> the place of its first report
    keys: dict[str, int] = {}
    for message in messages(body):
        if lenient:
            _forgive(message)
        document, function, reports = _understand(message, kind, translate)
        if local and reports:
            clocks.setdefault(id(message.interchange), reports[0].place)
        key = message.key(body)
        keys[key] = again = keys.get(key, 0) + 1
        if again > 1 and not key.startswith("sha256:"):
            message.warnings.append(syntax.say("again", key))
            key = f"{key}#{again}"
        readings.append(Reading(
            key=key, start=message.start, end=message.end, document=document, function=function,
            sent_at=_sent(message.interchange.sent, clocks.get(id(message.interchange), "")),
            reports=list(reports), warnings=tuple(message.warnings), fault=message.fault,
        ))  # fmt: skip
    return readings or _nothing(body)


def _nothing(body: bytes) -> list[Reading]:
    """An envelope with nothing in it is cut off, or its messages are lost: it is kept as a fault."""
    if not body.strip():
        return []
    fault = Fault("edifact.empty", syntax.say("nothing"), 0, "UNB")
    return [Reading(key="sha256:" + sha256(body).hexdigest(), start=0, end=len(body), fault=fault)]


def _forgive(message: Message) -> None:
    message.lenient = True
    if message.fault and message.fault.code in COUNTS:
        message.warnings.append(message.fault.detail)
        message.fault = None


def _understand(
    message: Message, kind: str, translate: Translate
) -> tuple[str, Function, Sequence[Movement | Receipt]]:
    """Document, function and reports; a fault is left in the message and then nothing is reported."""
    document: str = ""
    function: Function = "original"
    if message.fault is None:
        try:
            bgm = _bgm(message, kind)
            document, function = _document(message, bgm)
            reports = translate(message, bgm)
        except Broken as fault:
            message.broken(fault.code, fault.detail, fault.index, fault.path)
        else:
            if reports or function == "cancel":
                return document, function, reports
            message.broken("edifact.empty", say("empty"))
    return document, function, []


def _bgm(message: Message, kind: str) -> list[str]:
    if message.kind != kind:
        raise Broken("edifact.type", say("type", message.kind, kind))
    for index, text in enumerate(message.texts):
        if text.startswith("BGM" + ELEMENT):
            bgm = text.split(ELEMENT, 8)
            if part(bgm, 1, 0) or kind in _UNNAMED:
                return bgm
            raise Broken("edifact.missing", say("missing", "BGM 1001"), index, f"{message.path}/BGM")
    raise Broken("edifact.missing", say("missing", "BGM"), path=f"{message.path}/BGM")


def _document(message: Message, bgm: list[str]) -> tuple[str, Function]:
    """The number that a cancellation or replacement goes by, and what 1225 says of this message.

    Where such a message has a number of its own, RFF+ACW in its header names the one that it is about.
    """
    named, told = part(bgm, 2, 0), part(bgm, 3, 0)
    by_item = deletes(message, bgm)
    function = "original" if by_item else _FUNCTIONS.get(told, "original")
    if function != "original":
        acw = next((text for text in message.texts[:_HEADER_SEGMENTS] if text.startswith(_PREVIOUS)), "")
        named = part(acw.split(ELEMENT), 1, 1) or named
    elif told not in {"", "9"} and not by_item and message.kind not in _ANSWERS:
        message.warnings.append(say("function", told))
    known = 0 < len(named) <= NAME_CHARS_MAX
    return f"{message.kind}+{message.interchange.sender}+{named}" if known else "", function


def deletes(message: Message, bgm: list[str]) -> bool:
    """1225 takes back the items that the message names, not the whole document."""
    return message.kind in _BY_ITEM and part(bgm, 3, 0) == "3"


@lru_cache(maxsize=1024)
def _sent(text: str, place: str) -> datetime | None:
    try:
        return moment(COMPONENT.join(("137", text)), place).at
    except Broken:
        return None


# --- segment groups ---


class Group:
    """What stands under one EQD, or before the first: [0] is the header. Segments as text, the first of a kind."""

    __slots__ = ("eqd", "index", "measures", "parties", "places", "refs", "seals", "times", "transports")

    def __init__(self, index: int, eqd: list[str]) -> None:
        self.index, self.eqd = index, eqd
        self.times: dict[str, str] = {}  # qualifier 2005 -> composite C507
        self.places: dict[str, str] = {}  # qualifier 3227 -> LOC
        self.parties: dict[str, str] = {}  # qualifier 3035 -> 3039
        self.refs: list[str] = []  # kind:number
        self.transports: list[Transport] = []
        self.measures: dict[str, tuple[float | None, str]] = {}  # attribute 6313 -> kg and warning
        self.seals: list[str] = []


def gather(message: Message) -> list[Group]:
    """The header and a group for each EQD. Raises Broken where CNT+16 counts others than there are."""
    group = Group(0, [])
    groups = [group]
    for index, text in enumerate(message.texts):
        sort = _TAKE.get(text[:3])
        if sort is not None:
            sort(group, text)
        elif text[:3] == "EQD":
            group = Group(index, text.split(ELEMENT, 10))
            groups.append(group)
        elif text[:3] == "CNT":
            check_count(message, index, text, len(groups) - 1)
    return groups


def take(group: Group, text: str) -> None:
    """Sort one segment into its group, if it is of a kind that is read."""
    sort = _TAKE.get(text[:3])
    if sort is not None:
        sort(group, text)


def check_count(message: Message, index: int, text: str, there: int) -> None:
    """Raises Broken where CNT+16 counts other equipment than there is, unless an operator answers for it."""
    cnt = text.split(ELEMENT, 2)
    told = part(cnt, 1, 1)
    if part(cnt, 1, 0) == "16" and number(told.partition(".")[0]) != there:
        if not message.lenient:
            raise Broken("edifact.count", say("equipment", told, there), index, f"{message.path}/CNT")
        message.warnings.append(say("equipment", told, there))


def _take_dtm(group: Group, text: str) -> None:
    if not (group.index and group.transports):  # under a TDT of the box: the time of that transport
        composite = text.split(ELEMENT, 2)[1] if ELEMENT in text else ""
        if len(composite) <= NAME_CHARS_MAX:
            group.times.setdefault(composite.partition(COMPONENT)[0], composite)


def _take_loc(group: Group, text: str) -> None:
    if not (group.index and group.transports):
        group.places.setdefault(text.split(ELEMENT, 2)[1] if ELEMENT in text else "", text)


def _take_rff(group: Group, text: str) -> None:
    if found := reference(text):
        if len(group.refs) == _REFERENCES_MAX:
            raise Broken("edifact.limit", say("references", _REFERENCES_MAX), group.index)
        group.refs.append(found)


def _take_tdt(group: Group, text: str) -> None:
    group.transports.append(transport(text))


def _take_mea(group: Group, text: str) -> None:
    attribute, weighed = _weighed(text)
    if attribute in _GROSS:
        group.measures[attribute] = weighed


@lru_cache(maxsize=4096)
def _weighed(mea: str) -> tuple[str, tuple[float | None, str]]:
    """Attribute, kg and warning: terminals weigh in steps of ten or a hundred kilograms, so most were met before."""
    told = mea.split(ELEMENT, 3)
    attribute = part(told, 2, 0) or part(told, 1, 0)
    return attribute, weight(mea) if attribute in _GROSS else (None, "")


def _take_sel(group: Group, text: str) -> None:
    if seal := part(text.split(ELEMENT, 2), 1, 0):
        group.seals.append(seal)


def _take_nad(group: Group, text: str) -> None:
    nad = text.split(ELEMENT, 4)
    group.parties.setdefault(part(nad, 1, 0), part(nad, 2, 0))


_TAKE: dict[str, Callable[[Group, str], None]] = {
    "DTM": _take_dtm, "LOC": _take_loc, "RFF": _take_rff, "TDT": _take_tdt,
    "MEA": _take_mea, "SEL": _take_sel, "NAD": _take_nad,
}  # fmt: skip


# --- what the container messages make of a group ---


def measure(group: Group) -> tuple[float | None, str]:
    """Gross weight in kg, the verified one first; None if there is none, with a warning if it cannot be read."""
    for attribute in _GROSS:
        if attribute in group.measures:
            return group.measures[attribute]
    return None, ""


def ports(group: Group) -> str:
    """Ports of loading and discharge and the final one, as reported."""
    found = ((name, group.places.get(qualifier)) for qualifier, name in _PORTS)
    said = ((name, loc.split(ELEMENT)) for name, loc in found if loc)
    return " ".join(f"{name} {part(loc, 2, 0) or part(loc, 2, 3)}" for name, loc in said)


def movement(
    message: Message, groups: list[Group], ordinal: int, *, code: str, raw_code: str, spot: tuple[str, str, str],
    by: Transport | None, mode: Mode, text: str = "", extra: tuple[str, ...] = (), unknown: str = "",
    times: tuple[str, ...] = ("203", "7"), classifier: Classifier = "ACT",
) -> Movement:  # fmt: skip
    """The statement about the container of EQD number `ordinal`; `unknown` says why it has no code.

    `times`: qualifiers (2005), the first that the box or the message has is taken. Raises Broken without number or
    time.
    """
    header, box = groups[0], groups[ordinal]
    subject, wrong = container(part(box.eqd, 2, 0))
    if not subject:
        raise Broken("edifact.missing", say("missing", "EQD 8260"), box.index, f"{message.path}/EQD[{ordinal}]")
    place, facility, odd = spot
    gross, unread = measure(box) if box.measures else (None, "")
    try:
        when, assumed = _when(header, box, place, times)
    except Broken as fault:
        raise Broken(fault.code, fault.detail, box.index, f"{message.path}/EQD[{ordinal}]/DTM") from fault
    refs = (*box.refs, *header.refs, *extra)
    if len(refs) > 1 or subject in refs:
        refs = tuple([ref for ref in dict.fromkeys(refs) if ref != subject])
    doubts = (wrong, odd, unread, assumed, "" if code else unknown or say("code", raw_code))
    return Movement(
        subject=subject, code=code, raw_code=raw_code, when=when, classifier=classifier, place=place,
        facility=facility, mode=mode, transport=by.said if by else "", laden=laden(box.eqd), weight_kg=gross,
        seal=" ".join(box.seals), refs=refs, text=text, warnings=tuple(filter(None, doubts)) if any(doubts) else (),
    )  # fmt: skip


def _when(header: Group, box: Group, place: str, times: tuple[str, ...]) -> tuple[Moment, str]:
    """The first of these times of the box, then of the message; the document's own (137) warns."""
    for group in (box, header):
        for time in times:
            if time in group.times:
                return moment(group.times[time], place), ""
    if "137" not in header.times:
        raise Broken("edifact.missing", say("missing", f"DTM+{times[0]}"))
    return moment(header.times["137"], place), say("document time")


# --- code tables ---

COUNTS = ("edifact.count", "edifact.reference")  # the faults that an operator may answer for
_HEADER_SEGMENTS = 50
_REFERENCES_MAX = 30  # of a group; the directories have 9, in the header 18
_PREVIOUS = f"RFF{ELEMENT}ACW{COMPONENT}"
_GROSS = ("VGM", "EGW", "AET", "G", "WT")  # 6313; the last is 6311 of a MEA without attribute
_FUNCTIONS: dict[str, Function] = {"1": "cancel", "3": "cancel", "5": "replace", "9": "original"}  # 1225
_BY_ITEM = frozenset({"COPRAR", "BAPLIE", "CUSCAR"})  # their 3 takes back only what it names
_ANSWERS = frozenset({"CUSRES"})  # their 1225 says how the question was taken
_UNNAMED = frozenset({"BAPLIE", "CUSRES"})  # their BGM may be without 1001
_PORTS = (("9", "POL"), ("6", "POL"), ("11", "POD"), ("12", "POD"), ("83", "FND"), ("7", "FND"))  # 3227
