"""EDIFACT messages about transport: from a body to readings, and the segments that these messages share.

`read` cuts a body into messages (the syntax is `edifact_syntax`), hands each to the translator of its type and makes
its reading. `gather` sorts the segments of a container message: the header, then one group for each EQD.
Times are wall times of the place, mostly without zone: the place's own is taken. Weights are kg.
Source: UN/EDIFACT directories D.95B and D.00B, whose segments agree in what is read here; SMDG and ITIGG guides.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from api.formats import edifact_syntax as syntax
from api.formats.edifact_syntax import COMPONENT, ELEMENT, Broken, Message, messages, number, part
from domain import identifiers, places
from domain.errors import Malformed
from domain.report import Function, Mode, Moment, Movement, Reading

__all__ = ["COMPONENT", "ELEMENT", "Broken", "Message", "messages", "part"]  # of the syntax, for the formats


Translate = Callable[[Message, list[str]], list[Movement]]
"""A message and its BGM -> its statements; may raise Broken and add warnings to the message."""


def segments(body: bytes) -> list[list[list[str]]]:
    """Every segment as elements of components, in order, the unfinished end left out.

    >>> segments(b"UNA:+.? 'UNB+UNOA:2+A?+B+C'")
    [[['UNB'], ['UNOA', '2'], ['A+B'], ['C']]]
    """
    tokens = syntax.Tokens(body, 0, len(body))
    texts = tokens.texts(0, len(tokens.parts) - 1, "")
    return [[element.split(COMPONENT) for element in text.split(ELEMENT)] for text in texts if text]


def read(body: bytes, kind: str, translate: Translate, *, local: bool = True) -> list[Reading]:
    """One reading for each message of this type; any other has a fault.

    `local`: the sender's clock, which UNB shows without zone, is that of the place it reports from.
    """
    readings: list[Reading] = []
    clocks: dict[int, str] = {}  # interchange -> the place of its first report
    keys: dict[str, int] = {}
    for message in messages(body):
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
    return readings


def _understand(message: Message, kind: str, translate: Translate) -> tuple[str, Function, list[Movement]]:
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
            if part(bgm, 1, 0):
                return bgm
            raise Broken("edifact.missing", say("missing", "BGM 1001"), index, f"{message.path}/BGM")
    raise Broken("edifact.missing", say("missing", "BGM"), path=f"{message.path}/BGM")


def _document(message: Message, bgm: list[str]) -> tuple[str, Function]:
    """The number that a cancellation or replacement goes by, and what 1225 says of this message.

    Where such a message has a number of its own, RFF+ACW in its header names the one that it is about.
    """
    named, told = part(bgm, 2, 0), part(bgm, 3, 0)
    function = _FUNCTIONS.get(told, "original")
    if function != "original":
        acw = next((text for text in message.texts[:_HEADER_SEGMENTS] if text.startswith(_PREVIOUS)), "")
        named = part(acw.split(ELEMENT), 1, 1) or named
    elif told not in {"", "9"}:
        message.warnings.append(say("function", told))
    known = 0 < len(named) <= NAME_CHARS_MAX
    return f"{message.kind}+{message.interchange.sender}+{named}" if known else "", function


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
        self.measures: dict[str, str] = {}  # attribute 6313 -> MEA
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
            _check_count(message, index, text.split(ELEMENT), len(groups) - 1)
    return groups


def take(group: Group, text: str) -> None:
    """Sort one segment into its group, if it is of a kind that is read."""
    sort = _TAKE.get(text[:3])
    if sort is not None:
        sort(group, text)


def _check_count(message: Message, index: int, cnt: list[str], there: int) -> None:
    told = part(cnt, 1, 1)
    if part(cnt, 1, 0) == "16" and number(told.partition(".")[0]) != there:
        raise Broken("edifact.count", say("equipment", told, there), index, f"{message.path}/CNT")


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
        group.refs.append(found)


def _take_tdt(group: Group, text: str) -> None:
    group.transports.append(transport(text))


def _take_mea(group: Group, text: str) -> None:
    attribute = part(text.split(ELEMENT, 3), 2, 0)
    if attribute in _GROSS:
        group.measures[attribute] = text


def _take_sel(group: Group, text: str) -> None:
    if seal := part(text.split(ELEMENT), 1, 0):
        group.seals.append(seal)


def _take_nad(group: Group, text: str) -> None:
    nad = text.split(ELEMENT, 4)
    group.parties.setdefault(part(nad, 1, 0), part(nad, 2, 0))


_TAKE: dict[str, Callable[[Group, str], None]] = {
    "DTM": _take_dtm, "LOC": _take_loc, "RFF": _take_rff, "TDT": _take_tdt,
    "MEA": _take_mea, "SEL": _take_sel, "NAD": _take_nad,
}  # fmt: skip


# --- segments ---


class Transport:
    """One TDT: its stage (8051), mode, and what it is called."""

    __slots__ = ("identity", "mode", "name", "stage", "voyage")

    def __init__(self, tdt: list[str]) -> None:
        self.stage, self.voyage = part(tdt, 1, 0), part(tdt, 2, 0)
        self.mode = _mode(part(tdt, 3, 0), part(tdt, 4, 0))
        self.identity = part(tdt, 8, 0)  # plate, IMO number or call sign
        self.name = part(tdt, 8, 3)

    @property
    def said(self) -> str:
        """Vessel and voyage, train, or plate."""
        return f"{self.name or self.identity} {self.voyage}".strip()


@lru_cache(maxsize=1024)
def transport(text: str) -> Transport:
    return Transport(text.split(ELEMENT))


def _mode(mode: str, means: str) -> Mode:
    """8067, recommendation 19; 8179 tells a barge from a ship, and the mode where 8067 is silent."""
    barge = means in _BARGES or (len(means) > len("36") and means.startswith("8"))  # recommendation 28: 8 inland water
    found = _MODES.get(mode[:1], "")
    if barge and found in {"", "VESSEL"}:
        return "BARGE"
    return found or (_MEANS.get(means, "") if not mode else "")


@lru_cache(maxsize=2048)
def locate(text: str, mode: Mode) -> tuple[str, str, str]:
    """Place, facility and warning of a LOC; facility: its second composite, unless that is a country or its part."""
    loc = text.split(ELEMENT)
    reported = part(loc, 2, 0) or part(loc, 2, 3)
    place = places.canonical(reported, mode) if reported else ""
    facility = "" if part(loc, 3, 1) in {"162", "163"} else part(loc, 3, 0)
    return place, facility, "" if not place or places.find(place) else say("place", reported)


def reference(text: str) -> str:
    """RFF as kind:number; "" for kinds that are no subject of Kouan's."""
    composite = text.split(ELEMENT, 2)[1] if ELEMENT in text else ""
    qualifier, _, rest = composite.partition(COMPONENT)
    kind, named = _REFERENCES.get(qualifier), rest.partition(COMPONENT)[0]
    if kind == "container":
        return container(named)[0]
    named = identifiers.awb(named)[0] if kind == "awb" else identifiers.normalise(named)
    return f"{kind}:{named}" if kind and 0 < len(named) <= NAME_CHARS_MAX else ""


def container(text: str) -> tuple[str, str]:
    """A container number as subject, and a warning; ("", "") if it is none or far too long."""
    named, wrong = identifiers.container(text) if len(text) <= NAME_CHARS_MAX else ("", "")
    return (f"container:{named}", wrong) if named else ("", "")


def measure(group: Group) -> tuple[float | None, str]:
    """Gross weight in kg, the verified one first; None if there is none, with a warning if it cannot be read."""
    for attribute in _GROSS:
        if attribute in group.measures:
            mea = group.measures[attribute].split(ELEMENT)
            factor, text = _UNITS.get(part(mea, 3, 0)), part(mea, 3, 1).replace(",", ".")
            if factor is None or not _DECIMAL.fullmatch(text):
                return None, say("weight", f"{part(mea, 3, 0)} {text}")
            return round(float(text) * factor, 3), ""
    return None, ""


@lru_cache(maxsize=16384)
def moment(composite: str, place: str) -> Moment:
    """A DTM composite (qualifier, value, format 2379) as an instant; without zone it is the place's. Raises Broken."""
    _, told, form, *_ = (*composite.split(COMPONENT), "", "")
    value = told.strip()
    if form in {"101", "201"} or (not form and len(value) in {6, 10}):
        value = _century(value)
    elif found := _ZONED.fullmatch(value) if form in {"205", "303", "304"} else None:
        year, month, day, hour, minute, second, zone = found.groups()
        zone = "+00:00" if zone[0] not in "+-" else f"{zone[:3]}:{zone[3:] or '00'}"
        value = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone}"
    try:
        return places.moment(value, place)
    except (Malformed, ValueError, OverflowError) as fault:
        raise Broken("edifact.time", say("time", told, form)) from fault


def _century(value: str) -> str:
    """YYMMDD… with its century; EDIFACT is of 1987."""
    return ("19" if value[:2] >= "80" else "20") + value


# --- what the container messages make of a group ---


def movement(
    message: Message, groups: list[Group], ordinal: int, *, code: str, raw_code: str, spot: tuple[str, str, str],
    by: Transport | None, mode: Mode, text: str = "", extra: tuple[str, ...] = (), unknown: str = "",
) -> Movement:  # fmt: skip
    """The statement about the container of EQD number `ordinal`; `unknown` says why it has no code.

    Raises Broken without number or time.
    """
    header, box = groups[0], groups[ordinal]
    subject, wrong = container(part(box.eqd, 2, 0))
    if not subject:
        raise Broken("edifact.missing", say("missing", "EQD 8260"), box.index, f"{message.path}/EQD[{ordinal}]")
    place, facility, odd = spot
    weight, unread = measure(box) if box.measures else (None, "")
    try:
        when, assumed = _when(header, box, place)
    except Broken as fault:
        raise Broken(fault.code, fault.detail, box.index, f"{message.path}/EQD[{ordinal}]/DTM") from fault
    refs = dict.fromkeys((*box.refs, *header.refs, *extra))
    refs.pop(subject, None)
    warnings = (wrong, odd, unread, assumed, "" if code else unknown or say("code", raw_code))
    return Movement(
        subject=subject, code=code, raw_code=raw_code, when=when, place=place, facility=facility, mode=mode,
        transport=by.said if by else "", laden=laden(box.eqd), weight_kg=weight, seal=" ".join(box.seals),
        refs=tuple(refs), text=text, warnings=tuple([warning for warning in warnings if warning]),
    )  # fmt: skip


def _when(header: Group, box: Group, place: str) -> tuple[Moment, str]:
    """Execution (203) or effective (7) time of the box, then of the message; the document's own (137) warns."""
    composite = box.times.get("203") or box.times.get("7") or header.times.get("203") or header.times.get("7")
    found = composite or header.times.get("137")
    if not found:
        raise Broken("edifact.missing", say("missing", "DTM+203"))
    return moment(found, place), "" if composite else say("document time")


def laden(eqd: list[str]) -> bool | None:
    """8169 of an EQD; None if it does not say."""
    return _LADEN.get(part(eqd, 6, 0))


def say(name: str, *values: object) -> str:
    """A sentence for a person, Chinese and English, with the values met."""
    return " / ".join(sentence.format(*values) for sentence in _SENTENCES[name])


# --- code tables ---

NAME_CHARS_MAX = 100  # of a number that a subject is known by; the longest in the directories has 70
_HEADER_SEGMENTS = 50
_PREVIOUS = f"RFF{ELEMENT}ACW{COMPONENT}"
_GROSS = ("VGM", "EGW", "AET", "G")  # 6313
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_ZONED = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|UTC|GMT|[+-]\d\d(?:\d\d)?)", re.ASCII)
_FUNCTIONS: dict[str, Function] = {"1": "cancel", "3": "cancel", "5": "replace", "9": "original"}  # 1225
_MODES: dict[str, Mode] = {"1": "VESSEL", "2": "RAIL", "3": "TRUCK", "4": "AIR", "8": "BARGE"}  # 8067
_BARGES = frozenset({"1", "16"})  # 8179 before recommendation 28: chemical barge, barge
_MEANS: dict[str, Mode] = {
    **dict.fromkeys(("8", "11", "13"), "VESSEL"), **dict.fromkeys(("21", "22", "23", "24", "25"), "RAIL"),
    **dict.fromkeys(("31", "32", "33", "35"), "TRUCK"), "6": "AIR",
}  # 8179  # fmt: skip
_REFERENCES = {"BN": "booking", "BM": "bl", "MB": "bl", "EQ": "container", "AWB": "awb"}  # 1153
_LADEN = {"4": False, **dict.fromkeys(("1", "2", "3", "5", "6", "7", "8", "9"), True)}  # 8169: 4 empty, 5 full
_UNITS = {"KGM": 1.0, "TNE": 1000.0, "LBR": 0.45359237}  # 6411
_SENTENCES = {
    "code": ("代码 {!r} 未知，按原样保留", "the code {!r} is not known; it is kept as sent"),
    "document time": ("没有作业时间，以单证时间 DTM+137 代替", "no time of execution; that of DTM+137 is taken"),
    "empty": ("报文中没有集装箱", "there is no container in the message"),
    "equipment": ("CNT+16 声明 {!r} 箱，实为 {} 箱", "CNT+16 says {!r} units of equipment, there are {}"),
    "function": ("报文功能 {!r} 按原始报文处理", "the message function {!r} is read as an original"),
    "missing": ("缺少 {}", "{} is missing"),
    "not container": ("设备 {} 不是集装箱", "the equipment {} is no container"),
    "place": ("地点 {!r} 不在名录中", "the place {!r} is not in the directory"),
    "stayed": ("箱状态 8249 {!r}：未装卸（{}）", "equipment status 8249 {!r}: not loaded or discharged ({})"),
    "time": ("时间 {!r}（格式 {!r}）无法识别", "the time {!r} (format {!r}) cannot be understood"),
    "type": ("报文类型为 {!r}，应为 {}", "the message type is {!r}, not {}"),
    "weight": ("重量 {!r} 无法识别", "the weight {!r} cannot be understood"),
}
