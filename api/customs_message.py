"""Declarations in the national field names, as XML or JSON, and the data centre's answer to them.

`write` turns what was lodged, amended or taken back into the bytes that leave; `heard` reads the answer at once,
`DecImportResponse`. An export swaps the two countries of a goods line, as the national message does. Where it tells of
a change to what customs has (修撤单), DecModHead says which and why. The message's own id stands in DecSign/Note.
Times are Beijing time, yyyyMMddHHmmss. Source: Single Window declaration interface, messages DecMessage (DecHead,
DecList, DecContainer, DecLicenseDocu, DecFreeTxt, DecSign, TrnHead) and DecImportResponse; DecModHead by field names
found in two systems that read it.

>>> heard(b"<DecImportResponse><ResponseCode>0</ResponseCode><SeqNo>I20260000000000001</SeqNo></DecImportResponse>")
Heard(taken=True, seq='I20260000000000001', text='')
>>> heard(b"<html>Please sign in</html>") is None
True
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Union
from uuid import UUID
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import msgspec

from api.formats.trees import messages, text
from domain.declaring import (
    CONTAINER,
    COSTS,
    DOCUMENT,
    GOODS,
    HEAD,
    PARTIES,
    TRANSIT,
    Content,
    Field,
    Goods,
)

Form = Literal["xml", "json"]
Action = Literal["lodge", "amend", "complete", "withdraw", "delete"]
MOD_TYPES: dict[str, str] = {"amend": "1", "withdraw": "2", "delete": "3"}
"""DecModType; the national values are agreed with each customs gateway, since the message bears no edition."""

CONTENT_TYPES: dict[Form, str] = {"xml": "application/xml", "json": "application/json"}
BEIJING = ZoneInfo("Asia/Shanghai")
Tree = dict[str, Union[str, "Tree", list["Tree"]]]


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves for customs."""

    message_id: UUID
    action: Action
    number: str  # our own, 客户端报关单编号
    content: Content | None  # None: what customs has is not to change, but to go
    at: datetime
    by: str  # account
    reason: str = ""
    seq: str = ""  # 数据中心统一编号, once there is one
    entry: str = ""  # 海关编号, once there is one


class Heard(msgspec.Struct, frozen=True):
    """The data centre's answer: whether it has taken the message, and under which number."""

    taken: bool
    seq: str
    text: str


def write(leaving: Leaving, form: Form = "xml") -> bytes:
    """The message as it leaves."""
    made = tree(leaving)
    if form == "json":
        return msgspec.json.encode({"DecMessage": made})
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(_xml("DecMessage", made)).encode()


def heard(body: bytes) -> Heard | None:
    """The answer; None if it is none: a proxy's page, an empty body. Only an answer ends the sending."""
    found = messages(body, "customs_answer", ("DecImportResponse",))
    if len(found) != 1 or found[0].fault is not None:
        return None
    told = found[0].tree
    inner = told.get("decimportresponse")
    if inner and isinstance(inner[0], dict):
        told = inner[0]
    code = text(told, "responsecode")
    if not code:
        return None
    return Heard(code == "0", text(told, "seqno"), text(told, "errormessage"))


# --- the tree of national names ---


def tree(leaving: Leaving) -> Tree:
    """The message by its national names; empty fields are left out."""
    content = leaving.content
    made: Tree = {"DecHead": _head(leaving)}
    if content is not None:
        made["DecLists"] = {"DecList": [_goods(content, index) for index in range(len(content.goods))]}
        boxes: list[Tree] = [
            {**_fields(CONTAINER, box), "GoodsNo": ",".join(map(str, box.lines))} for box in content.containers
        ]
        made["DecContainers"] = {"Container": boxes}
        made["DecLicenseDocus"] = {"LicenseDocu": [{**_fields(DOCUMENT, each)} for each in content.documents]}
        made["DecFreeTxt"] = _filled({"VoyNo": content.voyage})
        if content.kind == "transit":
            made["TrnHead"] = {**_fields(TRANSIT, content.transit)}
    made["DecSign"] = _sign(leaving)
    if leaving.action in MOD_TYPES:
        made["DecModHead"] = _filled(
            {
                "EntryId": leaving.entry,
                "DecSeqNo": leaving.seq,
                "DecModType": MOD_TYPES[leaving.action],
                "DecModNote": leaving.reason,
                "ApplErName": leaving.by,
            }
        )
    return made


def _head(leaving: Leaving) -> Tree:
    numbers = _filled({"SeqNo": leaving.seq, "EntryId": leaving.entry})
    content = leaving.content
    if content is None:
        return numbers
    made: Tree = {**numbers, **_fields(HEAD, content), "IEFlag": content.flag}
    for name in PARTIES:
        prefix, party = HEAD[name].national, getattr(content, name)
        scc = "TradeCoScc" if prefix == "Trade" else f"{prefix}CodeScc"
        made |= _filled({f"{prefix}Code": party.customs_code, scc: party.uscc, f"{prefix}Name": party.name})
    for name in COSTS:
        prefix, cost = HEAD[name].national, getattr(content, name)
        said = {f"{prefix}Mark": cost.mark, f"{prefix}Rate": _said(cost.amount), f"{prefix}Curr": cost.currency}
        made |= _filled(said)
    overseas = "OverseasConsignorEname" if content.imported else "OverseasConsigneeEname"
    made |= _filled({overseas: content.overseas_name, "PurpOrgCode": content.transit.destination_customs})
    advance = content.transit.form == "advance"
    made |= _filled({"Type": _type(content), "DeclTrnRel": "1" if advance else "0", "EdiId": "3" if advance else "1"})
    return made


def _type(content: Content) -> str:
    """单据类型: two positions for the document, the third for the step of a two-step declaration."""
    step = {"summary": "5", "complete": "6"}.get(content.kind, "")
    return f"{content.document_type:2}{step}".rstrip()


def _goods(content: Content, index: int) -> Tree:
    line: Goods = content.goods[index]
    made: Tree = {"GNo": str(index + 1), **_fields(GOODS, line)}
    if not content.imported:
        made |= _filled({"OriginCountry": line.destination, "DestinationCountry": line.origin})
    return made


def _sign(leaving: Leaving) -> Tree:
    transit = leaving.content is not None and leaving.content.kind == "transit"
    return _filled(
        {
            "OperType": "D" if transit else "C",  # 报关单、转关单申报, or 报关单申报
            "OperName": leaving.by,
            "ClientSeqNo": leaving.number,
            "SignDate": leaving.at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
            "Note": str(leaving.message_id),
        }
    )


def _fields(table: Mapping[str, Field], told: msgspec.Struct) -> Tree:
    """The simple fields of a record, under their national names."""
    values = ((field.national, getattr(told, name)) for name, field in table.items() if field.national)
    return _filled(
        {national: _said(value) for national, value in values if not isinstance(value, msgspec.Struct | tuple)}
    )


def _said(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Decimal():
            return f"{value:f}"
        case date():
            return value.strftime("%Y%m%d")
        case _:
            return str(value)


def _filled(said: Mapping[str, str]) -> Tree:
    return {name: value for name, value in said.items() if value}


def _xml(name: str, told: "str | Tree | list[Tree]") -> Iterator[str]:
    if isinstance(told, list):
        for each in told:
            yield from _xml(name, each)
    elif isinstance(told, str):
        yield f"<{name}>{escape(told)}</{name}>"
    else:
        yield f"<{name}>"
        for inner, value in told.items():
            yield from _xml(inner, value)
        yield f"</{name}>"
