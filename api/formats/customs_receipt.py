"""Customs receipts (回执) on declarations, in the national field names, as XML or JSON.

A body holds one or more receipts: `DecResult` elements, or a JSON object or array. Field names are compared without
case and underscores; `Channel` is what the national message calls the receipt code. Times without offset are Beijing
time, in any of the three shapes in use: ISO with T, yyyyMMddHHmmss and yyyyMMddHHmmssSSS. What a code means is not
decided here: systems disagree about the letters, so code, text and code table are kept as sent.
Source: Single Window declaration interface, receipt message 报关单回执; field names and codes as found in five systems
that read it, for the message bears no edition.

>>> body = b'{"EntryId": "230120241000000018", "ReceiptCode": "P", "NoticeDate": "20241121103000"}'
>>> [reading] = read(body)
>>> [receipt] = reading.reports
>>> receipt.subject, receipt.raw_code, receipt.when.at.isoformat(), reading.key
('declaration:230120241000000018', 'P', '2024-11-21T02:30:00+00:00', '230120241000000018|P|20241121103000')
"""

import re
from hashlib import sha256

import msgspec

from api.formats.trees import Message, Tree, messages, text, texts
from domain import identifiers, places
from domain.errors import Malformed
from domain.report import Fault, Moment, Reading, Receipt

SLUG = "customs_receipt"
ELEMENTS = ("DecResult", "DEC_RESULT", "Receipt")
ZONE = "Asia/Shanghai"


class _Bad(Exception):
    """A field that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, field)


def read(body: bytes) -> list[Reading]:
    """One Reading for each receipt."""
    return [_reading(body, message) for message in messages(body, SLUG, ELEMENTS)]


def _reading(body: bytes, message: Message) -> Reading:
    digest = sha256(body[message.start : message.end]).hexdigest()
    reading = Reading(key=digest, start=message.start, end=message.end, fault=message.fault)
    if message.fault is not None:
        return reading
    try:
        receipt, notice = _receipt(message.tree)
    except _Bad as bad:
        reading.fault = msgspec.structs.replace(bad.fault, offset=message.start)
        return reading
    reading.key = f"{receipt.subject.removeprefix('declaration:')}|{receipt.raw_code}|{notice}"
    reading.reports = [receipt]
    return reading


def _receipt(tree: Tree) -> tuple[Receipt, str]:
    """The receipt, and its notice time as sent."""
    warnings: list[str] = []
    entry, seq = _number(tree, "EntryId"), _number(tree, "SeqNo", "CusCiqNo")
    pre_entry = _number(tree, "PreEntryId")
    if not (entry or seq):
        raise _Bad("number", "EntryId", "既无海关编号也无统一编号 / neither EntryId nor SeqNo")
    code = _text(tree, "ReceiptCode", "Channel")
    if not code or len(code) > CODE_CHARS_MAX:
        raise _Bad(
            "code", "ReceiptCode", f"回执代码缺失或过长 / the receipt code is missing or too long: {code[:40]!r}"
        )
    notice = _text(tree, "NoticeDate", "NoticeTime")
    if code not in CODES:
        warnings.append(f"回执代码未知，按原样保存 / unknown receipt code, kept as sent: {code}")
    if entry:
        _check_entry(entry, _text(tree, "IEFlag"), warnings)
    others = [f"declaration:{number}" for number in (seq if entry else "", pre_entry) if number]
    others += [_bill(number, _text(tree, "TrafMode")) for number in _numbers(tree, "BillNo")]
    receipt = Receipt(
        subject=f"declaration:{entry or seq}",
        raw_code=code,
        when=_moment(notice),
        text=_text(tree, "ResultInfo", "Note"),
        code_table=_text(tree, "CodeTable"),
        refs=(*others, *_containers(tree, warnings)),
        place=_text(tree, "CustomMaster"),
        border=_text(tree, "IEPort"),
        warnings=tuple(warnings),
    )
    return receipt, notice


def _text(tree: Tree, *names: str) -> str:
    return text(tree, *(name.lower() for name in names))


def _number(tree: Tree, *names: str) -> str:
    number = identifiers.normalise(_text(tree, *names))
    if len(number) > NUMBER_CHARS_MAX:
        raise _Bad("number", names[0], f"编号过长 / the number is too long: {number[:60]!r}…")
    return number


def _numbers(tree: Tree, *names: str) -> list[str]:
    """Several numbers, repeated or in one text."""
    said = texts(tree, *(name.lower() for name in names))
    split = (identifiers.normalise(part) for one in said for part in _SEPARATORS.split(one))
    return list(dict.fromkeys(filter(None, split)))


def _containers(tree: Tree, warnings: list[str]) -> list[str]:
    found = []
    for said in _numbers(tree, "ContainerNos", "ContainerNo"):
        number, warning = identifiers.container(said)
        found += [f"container:{number}"] if number else []
        warnings += [warning] if warning else []
    return found


def _bill(number: str, mode: str) -> str:
    """提运单号: an air waybill by its shape, a rail consignment by the mode (3 铁路), else a bill of lading."""
    if identifiers.kind_of(number)[0] == "awb":
        return f"awb:{identifiers.awb(number)[0]}"
    return f"rail:{number}" if mode == "3" else f"bl:{number}"


def _check_entry(entry: str, flag: str, warnings: list[str]) -> None:
    """The number may be odd, for old and foreign systems send others; it is kept."""
    try:
        direction = identifiers.entry_id(entry).direction
    except Malformed:
        warnings.append(f"海关编号格式异常 / the entry id does not have the usual form: {entry}")
        return
    if flag.upper() in {"I", "E"} and direction[0] != flag.lower():
        warnings.append(f"进出口标志与海关编号不符 / IEFlag {flag} does not agree with the entry id {entry}")


def _moment(notice: str) -> Moment:
    try:
        return places.moment(notice, "", ZONE)
    except Malformed as error:
        detail = f"回执时间无法理解 / the notice time cannot be understood: {notice[:60]!r}"
        raise _Bad("time", "NoticeDate", detail) from error


NUMBER_CHARS_MAX = 40
CODE_CHARS_MAX = 20
_SEPARATORS = re.compile(r"[,;，；、\s]+")

CODES = frozenset("12346789LEZYSUHMGJWTCVQBKFIPX#ORADNabcd") | {"S0", "SpL", "SpE", "SpJ", "Sp1", "SpC", "SpK"}
"""Codes met in at least one system, Sp… for two-step declarations. What they mean: domain/declaration.py."""
