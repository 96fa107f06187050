"""Customs answers on manifests, arrival reports and tally reports (舱单、运抵、理货回执), as XML or JSON.

A message is a `Manifest` with a `Head` and one or more `Response`s. The message type says document and transport:
MT1101 is the original manifest by sea, MT2201 the pre-load manifest by air, MT3402 an arrival report by road. Only an
acceptance (01) or release (11) is a milestone; every other answer is kept with its raw code, such as `MT1101/03`. Times
are Beijing time unless they bear an offset. Function 3 deletes and 5 replaces, once customs has accepted that.
Source: customs manifest messages MT1101 to MT5402 (水运、空运、公路舱单报文), Head and Response; they bear no edition.

>>> body = b'''<Manifest><Head><MessageID>A1</MessageID><MessageType>MT3101</MessageType></Head><Response>
... <ResponseCode>01</ResponseCode><BillNo>COSU6123456</BillNo><ContainerNos>CSQU3054383</ContainerNos>
... <NoticeTime>20241121103000</NoticeTime></Response></Manifest>'''
>>> [reading] = read(body)
>>> [(report.subject, report.code, report.raw_code) for report in reading.reports]
[('bl:COSU6123456', 'ARRIVAL_RPT', 'MT3101/01'), ('container:CSQU3054383', 'ARRIVAL_RPT', 'MT3101/01')]
"""

import re
from hashlib import sha256

import msgspec

from api.formats.trees import Message, Tree, inner, messages, text, texts
from domain import identifiers, places
from domain.errors import Malformed
from domain.report import Fault, Function, Mode, Moment, Movement, Reading

SLUG = "manifest"
ELEMENTS = ("Manifest",)
ZONE = "Asia/Shanghai"
KEY_CHARS_MAX = 200


class Head(msgspec.Struct, frozen=True):
    message_id: str
    kind: str  # MT1101
    function: str  # code
    sent: str


class _Bad(Exception):
    """A field that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, field)


def read(body: bytes) -> list[Reading]:
    """One Reading for each Manifest element, or for each JSON object."""
    return [_reading(body, message) for message in messages(body, SLUG, ELEMENTS)]


def _reading(body: bytes, message: Message) -> Reading:
    digest = sha256(body[message.start : message.end]).hexdigest()
    reading = Reading(key=digest, start=message.start, end=message.end, fault=message.fault)
    if message.fault is not None:
        return reading
    try:
        head = _head(message.tree)
        responses = inner(message.tree, "response")
        if not responses:
            raise _Bad("response", "Response", "报文没有回执内容 / the message has no Response")  # noqa: TRY301
        reading.sent_at = _moment(head.sent, "", "SendTime").at if head.sent else None
        reading.reports = [movement for response in responses for movement in _movements(head, response)]
        reading.key = _key(head, responses, digest)
        reading.document = f"{head.kind}:{_documents(responses)}"[:KEY_CHARS_MAX]
        reading.function, reading.warnings = _function(head, responses)
    except _Bad as bad:
        reading.reports = []
        reading.fault = msgspec.structs.replace(bad.fault, offset=message.start)
    return reading


def _text(tree: Tree, *names: str) -> str:
    return text(tree, *(name.lower() for name in names))


def _head(tree: Tree) -> Head:
    head = next(iter(inner(tree, "head")), {})
    kind = _text(head, "MessageType").upper()
    if not _KIND.fullmatch(kind):
        raise _Bad(
            "type", "Head/MessageType", f"报文类型无法理解 / the message type cannot be understood: {kind[:40]!r}"
        )
    return Head(_text(head, "MessageID"), kind, _text(head, "FunctionCode"), _text(head, "SendTime"))


def _key(head: Head, responses: list[Tree], digest: str) -> str:
    """Customs answers one message several times under its MessageID, so code and time belong to the reference."""
    if not head.message_id:
        return digest
    said = (f"{_text(response, 'ResponseCode')}@{_text(response, 'NoticeTime')}" for response in responses)
    key = "|".join((head.message_id, head.kind, *said))
    return key if len(key) <= KEY_CHARS_MAX else digest


def _documents(responses: list[Tree]) -> str:
    numbers = (_text(response, "BillNo") or _text(response, "VoyageNo") for response in responses)
    return "+".join(dict.fromkeys(identifiers.normalise(number) for number in numbers))


def _function(head: Head, responses: list[Tree]) -> tuple[Function, tuple[str, ...]]:
    """A deletion or replacement counts once customs accepts it; one that is refused or pending changes nothing."""
    wanted = FUNCTIONS.get(head.function.lstrip("0"))
    if wanted is None:
        warning = f"功能代码未知，按新增 / unknown function code, taken as original: {head.function[:20]!r}"
        return "original", (warning,)
    agreed = all(_text(response, "ResponseCode") in ACCEPTED for response in responses)
    return (wanted if agreed else "original"), ()


def _movements(head: Head, response: Tree) -> list[Movement]:
    """One for the bill, one for each container; one for the voyage where neither is named."""
    warnings: list[str] = []
    answer = _text(response, "ResponseCode").upper()
    if not answer:
        raise _Bad("code", "Response/ResponseCode", "回执代码缺失 / the response code is missing")
    code = MILESTONES.get(head.kind[2] + head.kind[3], "") if answer in ACCEPTED else ""
    if answer not in RESPONSES or (answer in ACCEPTED and not code):
        warnings.append(f"代码未知，按原样保存 / unknown code, kept as sent: {head.kind}/{answer}")
    mode = MODES.get(head.kind[3], "")
    bill, voyage = _bill(response, mode, warnings), identifiers.normalise(_text(response, "VoyageNo"))
    manifest = f"manifest:{voyage}" if voyage else ""
    boxes = _containers(response, warnings)
    subjects = [bill] * bool(bill) + [f"container:{number}" for number in boxes] or [manifest] * bool(manifest)
    if not subjects:
        raise _Bad("subject", "Response", "没有提运单号、箱号或航次 / no bill, container or voyage is named")
    named = tuple(filter(None, (bill, manifest)))
    place, facility = _place(response, mode)
    when = _moment(_text(response, "NoticeTime") or head.sent, place, "Response/NoticeTime")
    words = _text(response, "Text") or ("" if code else RESPONSES.get(answer, ""))
    return [
        Movement(
            subject=subject,
            code=code,
            raw_code=f"{head.kind}/{answer}",
            when=when,
            place=place,
            facility=facility,
            mode=mode,
            transport="/".join(filter(None, (_text(response, "TransportName"), voyage))),
            seal=boxes.get(subject.removeprefix("container:"), ""),
            refs=_refs(subject, named, boxes),
            text=words,
            warnings=tuple(warnings),
        )
        for subject in subjects
    ]


def _refs(subject: str, named: tuple[str, ...], boxes: dict[str, str]) -> tuple[str, ...]:
    """A container names its bill; a bill its containers; one container does not name another."""
    others = [name for name in named if name != subject]
    if not subject.startswith("container:"):
        others += [f"container:{number}" for number in boxes]
    return tuple(others)


def _bill(response: Tree, mode: Mode, warnings: list[str]) -> str:
    """By air the bill is the air waybill; with a house waybill behind it, only a free number is left."""
    said = _text(response, "BillNo")
    if not said:
        return ""
    if mode == "AIR" and _AWB.fullmatch(said):
        number, warning = identifiers.awb(said)
        warnings += [warning] if warning else []
        return f"awb:{number}"
    number = identifiers.normalise(said)
    return f"bl:{number}" if number else ""


def _containers(response: Tree, warnings: list[str]) -> dict[str, str]:
    """Numbers with their seals."""
    said = [(part, "") for one in texts(response, "containernos", "containerno") for part in _SEPARATORS.split(one)]
    said += [
        (_text(box, "ContainerNo", "EquipmentIdentification", "EquipmentID", "ID"), _text(box, "SealID"))
        for box in inner(response, "transportequipment")
    ]
    said += [(one, "") for one in response.get("transportequipment", ()) if isinstance(one, str)]
    found: dict[str, str] = {}
    for text_, seal in said:
        number, warning = identifiers.container(text_)
        if number and not found.get(number):
            found[number] = seal
            warnings += [warning] if warning and warning not in warnings else []
    return found


def _place(response: Tree, mode: Mode) -> tuple[str, str]:
    """A location code as the place; a supervised site or a customs office as the facility."""
    said, customs = _text(response, "PlaceCode").upper(), _text(response, "CustomsCode")
    if (code := _PLACE.fullmatch(said)) is not None:
        return places.canonical(code[1], mode), said if code[2] else customs
    return "", said or customs


def _moment(said: str, place: str, field: str) -> Moment:
    try:
        return places.moment(said, place, ZONE)
    except Malformed as error:
        raise _Bad("time", field, f"时间无法理解 / the time cannot be understood: {said[:60]!r}") from error


_KIND = re.compile(r"MT[0-9]{4}")
_AWB = re.compile(r"[0-9]{3}-?[0-9]{8}")
_PLACE = re.compile(r"([A-Z]{2}[A-Z2-9]{3})([0-9]{1,10})?")  # with the number of a supervised site
_SEPARATORS = re.compile(r"[,;，；、\s]+")

MODES: dict[str, Mode] = {"1": "VESSEL", "2": "AIR", "4": "TRUCK"}
"""Second digit of the message type."""

MILESTONES = {
    "11": "MAN_ORIG_OK",
    "12": "MAN_ORIG_OK",
    "14": "MAN_ORIG_OK",
    "21": "MAN_ADV_OK",
    "22": "MAN_ADV_OK",
    "24": "MAN_ADV_OK",
    "31": "ARRIVAL_RPT",
    "32": "AIR_ARRIVAL_RPT",
    "34": "ARRIVAL_RPT",
    "51": "TALLY_RPT",
    "52": "AIR_TALLY",
    "54": "TALLY_RPT",
}
"""First two digits of the message type: document (1 original, 2 pre-load, 3 arrival, 5 tally) and transport."""

FUNCTIONS: dict[str, Function] = {
    "": "original",  # 0, 00, or not said
    "2": "original",
    "9": "original",
    "11": "original",
    "3": "cancel",
    "5": "replace",
}
ACCEPTED = frozenset({"01", "11"})
RESPONSES = {
    "01": "海关接受申报",
    "02": "待人工审核",
    "03": "退单",
    "11": "放行",
    "12": "拒装",
    "13": "禁卸",
    "T": "暂存",
    "D": "申报成功",
}
