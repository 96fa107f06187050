"""The segments that EDIFACT messages about transport share: means of transport, places, references, weights, times.

Segments are text, elements apart by ELEMENT, components by COMPONENT. Times are wall times of the place, mostly without
zone: the place's own is taken. Weights are kg. Seldom needed alone: formats use `edifact`.
Source: UN/EDIFACT directories D.95B to D.16B, whose segments agree in what is read here.
"""

import re
from functools import lru_cache

from api.formats.edifact_syntax import COMPONENT, ELEMENT, Broken, part
from domain import identifiers, places
from domain.errors import Malformed
from domain.report import Mode, Moment


class Transport:
    """One TDT: its stage (8051), mode, and what it is called."""

    __slots__ = ("identity", "mode", "said", "stage", "voyage")

    def __init__(self, tdt: list[str]) -> None:
        self.stage, self.voyage = part(tdt, 1, 0), part(tdt, 2, 0)
        self.mode = _mode(part(tdt, 3, 0), part(tdt, 4, 0))
        self.identity = part(tdt, 8, 0)  # plate, IMO number or call sign
        self.said = f"{part(tdt, 8, 3) or self.identity} {self.voyage}".strip()  # vessel and voyage, train, or plate


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
    qualifier, _, rest = text.partition(ELEMENT)[2].partition(ELEMENT)[0].partition(COMPONENT)
    kind, named = _REFERENCES.get(qualifier), rest.partition(COMPONENT)[0]
    if kind == "container":
        return container(named)[0]
    named = identifiers.awb(named)[0] if kind == "awb" else identifiers.normalise(named)
    return f"{kind}:{named}" if kind and 0 < len(named) <= NAME_CHARS_MAX else ""


def container(text: str) -> tuple[str, str]:
    """A container number as subject, and a warning; ("", "") if it is none or far too long."""
    named, wrong = identifiers.container(text) if len(text) <= NAME_CHARS_MAX else ("", "")
    return (f"container:{named}", wrong) if named else ("", "")


def weight(text: str) -> tuple[float | None, str]:
    """A MEA in kg; None with a warning if it cannot be read."""
    mea = text.split(ELEMENT, 4)
    unit, told = part(mea, 3, 0), part(mea, 3, 1).replace(",", ".")
    factor = _UNITS.get(unit)
    if factor is None or not _DECIMAL.fullmatch(told):
        return None, say("weight", f"{unit} {told}")
    return round(float(told) * factor, 3), ""


def moment(composite: str, place: str) -> Moment:
    """A DTM composite (qualifier, value, format 2379) as an instant; without zone it is the place's. Raises Broken."""
    told, _, form = composite.partition(COMPONENT)[2].partition(COMPONENT)
    value = told.strip()
    if form != "203":  # CCYYMMDDHHMM, the usual one
        form = form.partition(COMPONENT)[0]
        value = _spelt_out(value, form)
    try:
        return places.moment(value, place)
    except (Malformed, ValueError, OverflowError) as fault:
        raise Broken("edifact.time", say("time", told, form)) from fault


def _spelt_out(value: str, form: str) -> str:
    """YYMMDD… with its century, for EDIFACT is of 1987; a zone as ISO 8601 writes it."""
    if form in {"101", "201"} or (not form and len(value) in {6, 10}):
        return ("19" if value[:2] >= "80" else "20") + value
    found = _ZONED.fullmatch(value) if form in {"205", "303", "304"} else None
    if found is None:
        return value
    year, month, day, hour, minute, second, zone = found.groups()
    zone = "+00:00" if zone[0] not in "+-" else f"{zone[:3]}:{zone[3:] or '00'}"
    return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone}"


def laden(eqd: list[str]) -> bool | None:
    """8169 of an EQD; None if it does not say."""
    return _LADEN.get(part(eqd, 6, 0))


def say(name: str, *values: object) -> str:
    """A sentence for a person, Chinese and English, with the values met."""
    return " / ".join(sentence.format(*values) for sentence in _SENTENCES[name])


# --- code tables ---

NAME_CHARS_MAX = 100  # of a number that a subject is known by; the longest in the directories has 70
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_ZONED = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|UTC|GMT|[+-]\d\d(?:\d\d)?)", re.ASCII)
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
    "interchange time": ("报文无时间，以交换时间 UNB 代替", "the message has no time; that of UNB is taken"),
    "missing": ("缺少 {}", "{} is missing"),
    "not container": ("设备 {} 不是集装箱", "the equipment {} is no container"),
    "not released": ("放行代码与其他状态并存，不视为放行：{}", "a release beside other statuses is no release: {}"),
    "place": ("地点 {!r} 不在名录中", "the place {!r} is not in the directory"),
    "references": ("一组中参考号超过 {} 个", "there are more than {} references in one group"),
    "stayed": ("箱状态 8249 {!r}：未装卸（{}）", "equipment status 8249 {!r}: not loaded or discharged ({})"),
    "time": ("时间 {!r}（格式 {!r}）无法识别", "the time {!r} (format {!r}) cannot be understood"),
    "type": ("报文类型为 {!r}，应为 {}", "the message type is {!r}, not {}"),
    "weight": ("重量 {!r} 无法识别", "the weight {!r} cannot be understood"),
}
