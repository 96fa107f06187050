"""CUSRES: what customs answers, on a declaration or on a manifest.

A declaration that is named (RFF+ABT, AAE) gets the answer as a receipt, and the bills and containers beside it are only
linked: it may be about a part of them. Where none is named, the answer is about the bills and containers themselves, or
the manifest. The code is that of GIS or GEI, list 7365 of the United Nations, written `7365/4`; a code of a national
list is kept as sent (`7365/6:120:ZZZ`) and means nothing here, even if its number is 4. Only 7365/4 releases, and only
where it stands alone: beside another status, or beside an error (ERC), it is kept as told and does not release.
An indicator behind a reference is about that reference, one behind a tax about the tax. Times are wall times of the
place; where the message has none, that of the interchange is taken.
Source: UN/EDIFACT D.95B to D.03A CUSRES, code lists 7365, 1153, 2005; usage as met with the customs of five countries.

>>> [reading] = read(
...     b"UNB+UNOA:2+CUSTOMS+COSCO+240502:0930+94'UNH+1+CUSRES:D:96B:UN'BGM+962+R1+11'LOC+22+CNSHG:139:6'"
...     b"DTM+58:202405020915:203'GIS+23'GIS+4'EQD+CN+CSQU3054383'RFF+BM:COSU6123456780'UNT+9+1'UNZ+1+94'"
... )
>>> [(report.subject, report.code, report.raw_code) for report in reading.reports]
[('bl:COSU6123456780', 'IMP_RELEASED', '7365/4'), ('container:CSQU3054383', 'IMP_RELEASED', '7365/4')]
"""

from itertools import chain
from typing import NamedTuple

from api.formats import edifact, edifact_customs, edifact_syntax
from api.formats.edifact import ELEMENT, Broken, Group, Message, part
from domain import identifiers
from domain.report import Mode, Movement, Reading, Receipt


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "CUSRES", _translate, lenient=lenient)


class _Unit:
    """The heading, one reference, or one document with its references: what is said together."""

    __slots__ = ("boxes", "errors", "indicators", "subjects", "words")

    def __init__(self) -> None:
        self.subjects: dict[str, None] = {}  # declarations, bills and manifests, in order
        self.boxes: dict[str, str] = {}  # container -> a warning about its number
        self.indicators: dict[str, None] = {}  # 7365/4
        self.errors: list[str] = []
        self.words: list[str] = []

    def add(self, other: "_Unit") -> None:
        self.subjects |= other.subjects
        self.boxes |= other.boxes

    def named(self, *kinds: str) -> list[str]:
        return [subject for subject in self.subjects if subject.partition(":")[0] in kinds]


class _Answer:
    """One pass over the message: what belongs to the heading, to a reference, to a document, and what to none."""

    def __init__(self, message: Message) -> None:
        self.group = Group(0, [])  # segments of the heading
        self.heading = self.unit = self.scope = _Unit()
        self.units = [self.heading]
        self.open = True  # still in the heading
        self.aside = ""  # under TAX indicators, under ERP references are not those of the goods
        self.held: list[str] = []  # references behind ERP: of the error if ERC follows, else of the goods
        for text in message.texts:
            tag = text[:3]
            if self.held and tag not in {"RFF", "ERC"}:
                self.release()
            self.open = self.open and tag not in _ENDS_HEADING
            if tag in _TAKE:
                _TAKE[tag](self, text)
            elif self.open:
                edifact.take(self.group, text)
        self.release()
        for unit in self.units[1:]:
            if not (unit.subjects or unit.boxes):  # a document without a number: said, but of what is not known
                self.heading.indicators |= {f"DOC/{told}": None for told in unit.indicators}
                unit.indicators = {}

    def add(self) -> _Unit:
        self.unit = _Unit()
        self.units.append(self.unit)
        return self.unit

    def release(self) -> None:
        held, self.held, self.aside = self.held, [], "" if self.held else self.aside
        for text in held:
            self.take_rff(text)

    def take_rff(self, text: str) -> None:
        """Outside a document each reference stands alone."""
        if self.aside == "ERP":
            self.held.append(text)
            return
        self.aside = ""
        named = edifact_customs.reference(text)[1]
        if self.scope is self.heading and named:
            self.add()
        if named.startswith("container:"):
            self.unit.boxes.setdefault(named, identifiers.container(named.removeprefix("container:"))[1])
        elif named:
            self.unit.subjects[named] = None

    def take_doc(self, _: str) -> None:
        self.aside = ""
        self.scope = self.add()

    def take_aside(self, text: str) -> None:
        self.aside = text[:3]

    def take_indicator(self, text: str) -> None:
        if self.aside != "TAX" and (told := _indicator(text)):
            if len(self.unit.indicators) == _INDICATORS_MAX:
                raise Broken("edifact.limit", edifact_syntax.say("limit"))
            self.unit.indicators[told] = None

    def take_erc(self, text: str) -> None:
        self.aside, self.held = "", []
        if len(self.scope.errors) < _WORDS_MAX:
            self.scope.errors.append(part(text.split(ELEMENT, 2), 1, 0)[:_CODE_CHARS_MAX] or "-")

    def take_ftx(self, text: str) -> None:
        if self.aside == "ERP":  # an error told in words only
            self.take_erc("")
        if len(self.scope.words) < _WORDS_MAX:
            self.scope.words.append(edifact_customs.words(text))

    def take_eqd(self, text: str) -> None:
        subject, wrong = edifact.container(part(text.split(ELEMENT, 3), 2, 0))
        if subject and part(text.split(ELEMENT, 3), 1, 0) in _CONTAINERS:
            self.unit.boxes.setdefault(subject, wrong)


def _indicator(text: str) -> str:
    """GIS and GEI as 7365/CODE, with list and agency where they are not the United Nations'."""
    elements = text.split(ELEMENT, 4)
    at = 1 if text.startswith("GIS") else 2
    code, listed, agency = (part(elements, at, component)[:_CODE_CHARS_MAX] for component in range(3))
    if not code:
        return ""
    own = (listed, agency) == ("", "") or agency == _UNITED_NATIONS
    return f"7365/{code}" if own else f"7365/{code}:{listed}:{agency}".rstrip(":")


def _translate(message: Message, bgm: list[str]) -> list[Movement | Receipt]:
    answer = _Answer(message)
    said = _Said(message, bgm, answer)
    reports: list[Movement | Receipt] = []
    silent, heading = _Unit(), answer.heading
    for unit in answer.units:
        if unit.indicators and unit is not heading:
            reports += said.about(unit, unit)
        else:
            silent.add(unit)
    if reports and not (silent.subjects or silent.boxes) and heading.indicators.keys() - _DIRECTIONS.keys():
        for unit in answer.units:  # the heading says something of all, beside what is said of each
            silent.add(unit)
    if silent.subjects or silent.boxes:
        reports += said.about(silent, heading)
    if not reports and part(bgm, 3, 0) not in _CANCELS:
        return said.about(said.voyage(), heading)
    return reports


class _Status(NamedTuple):
    raw: str
    code: str  # of a movement
    text: str
    odd: str  # a warning


class _Said:
    """What every statement of the message has in common."""

    def __init__(self, message: Message, bgm: list[str], answer: _Answer) -> None:
        self.message, self.answer, self.document = message, answer, part(bgm, 1, 0)
        self.name = "/".join(filter(None, ("BGM", self.document or part(bgm, 1, 3), part(bgm, 3, 0))))
        by = next(iter(answer.group.transports), None)
        self.mode: Mode = by.mode if by else ""
        self.transport, self.voyages = (by.said, by.voyage) if by else ("", "")
        self.place, self.facility, odd = edifact_customs.spot(answer.group.places, _PLACES, self.mode)
        self.warnings = [odd] if odd else []
        self.when = edifact_customs.when(message, answer.group.times, _TIMES, self.place, self.warnings)

    def voyage(self) -> _Unit:
        """A message that names nothing else is about the manifest of its voyage."""
        unit, named = _Unit(), edifact_customs.subject("manifest", self.voyages)
        if not named:
            detail = edifact.say("missing", "RFF+ABT / RFF+BM / EQD")
            raise Broken("edifact.missing", detail, path=f"{self.message.path}/RFF")
        unit.subjects[named] = None
        return unit

    def about(self, unit: _Unit, told: _Unit) -> list[Movement | Receipt]:
        """What `told` says of the declarations of a unit; if it has none, of its goods, else of its manifest."""
        goods, boxes, manifests = unit.named("bl", "awb"), list(unit.boxes), unit.named("manifest")
        declared, statuses = unit.named("declaration"), self._statuses(told)
        subjects = declared or [*goods, *boxes] or unit.named("booking") or manifests
        if len(subjects) * len(statuses) > _REPORTS_MAX:
            raise Broken("edifact.limit", edifact_syntax.say("limit"))
        if declared:
            refs = (*goods, *boxes, *manifests) if len(declared) == 1 else ()
            return [self._receipt(subject, status, refs) for status in statuses for subject in declared]
        near = len(goods) <= 1 or len(goods) * len(boxes) <= _LINKS_MAX
        links = {"container": (*(goods if near else ()), *manifests), "manifest": ()}
        other = (*(boxes if near else ()), *manifests)
        return [
            self._movement(subject, status, links.get(subject.partition(":")[0], other), unit.boxes.get(subject, ""))
            for status in statuses
            for subject in subjects
        ]

    def _statuses(self, told: _Unit) -> list[_Status]:
        """A release with anything beside it that may forbid it is one odd code with no meaning."""
        heading = self.answer.heading
        around = self.answer.units if told is heading else [told, heading]
        beside = dict.fromkeys(chain.from_iterable(unit.indicators for unit in around))
        errors = dict.fromkeys(chain.from_iterable(unit.errors for unit in around))
        ways = {_DIRECTIONS[one] for one in beside if one in _DIRECTIONS}
        words = edifact_customs.brief((*told.words, *(f"ERC {error}" for error in errors)))
        raws = [one for one in told.indicators if one not in _DIRECTIONS] or list(told.indicators)
        against = [one for one in beside if one not in {_RELEASED, *_HARMLESS, *_DIRECTIONS}]
        if _RELEASED in raws and (against or errors):
            raw = "+".join((_RELEASED, *against[:_SHOWN], *(f"ERC/{error}" for error in list(errors)[:1])))
            return [_Status(raw, "", words, edifact.say("not released", raw))]
        if not raws:
            raws = [f"ERC/{error}" for error in list(errors)[:1]] or [self.name]
        return [self._status(raw, ways.pop() if len(ways) == 1 else "", words) for raw in raws]

    def _status(self, raw: str, way: str, words: str) -> _Status:
        code = _CODES.get(raw, "")
        if raw == _RELEASED:
            code = _RELEASES[way]
        elif raw in _ACCEPTED and self.document in _MANIFESTS:
            code = "MAN_ADV_OK" if way == "EXP" else _MANIFESTS[self.document]
        known = raw in _MEANINGS or not raw.startswith("7365/")
        return _Status(raw, code, words or _MEANINGS.get(raw, ""), "" if known else edifact.say("code", raw))

    def _receipt(self, subject: str, status: _Status, refs: tuple[str, ...]) -> Receipt:
        return Receipt(
            subject=subject, raw_code=status.raw, when=self.when, text=status.text, code_table="UN/EDIFACT 7365",
            refs=refs, place=self.facility or self.place, warnings=tuple(filter(None, (*self.warnings, status.odd))),
        )  # fmt: skip

    def _movement(self, subject: str, status: _Status, refs: tuple[str, ...], wrong: str) -> Movement:
        air = subject.startswith("awb:")
        return Movement(
            subject=subject, code="AIR_CCD" if air and status.raw == _RELEASED else status.code, raw_code=status.raw,
            when=self.when, place=self.place, facility=self.facility, mode="AIR" if air else self.mode,
            transport=self.transport, refs=refs, text=status.text,
            warnings=tuple(filter(None, (*self.warnings, wrong, status.odd))),
        )  # fmt: skip


# --- code tables ---

_ENDS_HEADING = frozenset({"RFF", "ERP", "PAC", "TAX", "DOC"})
_TAKE = {
    "RFF": _Answer.take_rff, "DOC": _Answer.take_doc, "TAX": _Answer.take_aside, "ERP": _Answer.take_aside,
    "GIS": _Answer.take_indicator, "GEI": _Answer.take_indicator, "ERC": _Answer.take_erc, "FTX": _Answer.take_ftx,
    "EQD": _Answer.take_eqd,
}  # fmt: skip
_CANCELS = frozenset({"1", "3"})  # 1225
_CODE_CHARS_MAX = 20
_INDICATORS_MAX = 99  # of a unit; the directories have 10
_WORDS_MAX = 99
_SHOWN = 5  # of what stands against a release
_REPORTS_MAX = 200_000
_LINKS_MAX = 1000  # between bills and containers that are named side by side
_UNITED_NATIONS = "6"  # 3055
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
_PLACES = ("22", "41", "42", "60", "11", "9")  # 3227: offices of customs, of arrival, the ports of the voyage
_TIMES = ("58", "9", "137")  # 2005: of clearance, of processing, of the document
_DIRECTIONS = {"7365/22": "EXP", "7365/23": "IMP", "7365/24": ""}
_RELEASED = "7365/4"
_RELEASES = {"EXP": "EXP_RELEASED", "IMP": "IMP_RELEASED", "": "DEC_RELEASED"}
_HARMLESS = frozenset({"7365/1", "7365/17", "7365/32"})  # received, accepted
_ACCEPTED = frozenset({"7365/1", "7365/32"})
# BGM 1001 of the document answered: manifests and cargo declarations
_MANIFESTS = {"85": "MAN_ORIG_OK", "785": "MAN_ORIG_OK", "933": "MAN_ORIG_OK", "833": "MAN_ADV_OK"}
_CODES = {
    "7365/5": "INSP_ORDERED", "7365/6": "DOCS_REQUESTED", "7365/7": "DEC_SUSPENDED", "7365/8": "DEC_TRANSIT_PERMITTED",
}  # fmt: skip
_MEANINGS = {
    "7365/1": "报文内容已接受 / message content accepted",
    "7365/2": "报文内容被拒，附说明 / message content rejected, with comment",
    "7365/3": "报文内容被拒 / message content rejected",
    "7365/4": "货物放行 / goods released",
    "7365/5": "货物须查验 / goods required for examination",
    "7365/6": "须提交单证 / documents to be produced",
    "7365/7": "货物被扣留 / goods detained",
    "7365/8": "货物可转关 / goods may move under customs transfer",
    "7365/9": "申报已接受，等待货物到达 / declaration accepted, awaiting arrival of the goods",
    "7365/10": "须申报 / declaration requested",
    "7365/11": "预申报信息 / pre-entry information",
    "7365/14": "差错报文 / error message",
    "7365/15": "更正已批准 / correction approved",
    "7365/16": "更正未批准 / correction not approved",
    "7365/17": "报文已收到 / message received",
    "7365/22": "出口 / export",
    "7365/23": "进口 / import",
    "7365/24": "转关 / transit",
    "7365/25": "禁止或限制货物 / prohibited or restricted goods",
    "7365/26": "集装箱检疫 / container quarantine",
    "7365/31": "无法处理 / cannot be processed",
    "7365/32": "已接受 / transaction accepted",
    "7365/33": "被拒 / transaction rejected",
    "7365/34": "等待处理 / awaiting processing",
    "7365/35": "无此单证 / transaction unknown",
}
