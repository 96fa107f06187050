"""What a customs declaration (报关单) says: header, goods, containers, documents, and which fields each of them has.

One table holds for each field its national name, its Chinese and English name and its length. Weights are kg,
quantities and money decimals as written; codes are upper case. How it is read and checked: domain/declaring_rules.py.
Source: Single Window declaration interface, messages DecHead, DecList, DecContainer, DecLicenseDocu (field names,
lengths); TrnHead for transit.
"""

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from domain.errors import Malformed

Kind = Literal["import", "export", "summary", "complete", "transit"]
"""进口, 出口, 两步申报之概要申报 and 完整申报, 转关."""

KINDS: dict[Kind, tuple[str, str]] = {
    "import": ("进口报关单", "import declaration"),
    "export": ("出口报关单", "export declaration"),
    "summary": ("概要申报", "summary declaration (two-step)"),
    "complete": ("完整申报", "complete declaration (two-step)"),
    "transit": ("转关申报", "transit declaration"),
}
Form = Literal["advance", "direct", "through"]
"""转关: 提前报关, 直转, 中转."""


class Party(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = ""
    uscc: str = ""  # 统一社会信用代码
    customs_code: str = ""  # 海关备案号, 10 characters


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """Freight, insurance or other costs."""

    mark: str = ""  # 1 rate (%), 2 for each unit, 3 total
    amount: Decimal | None = None
    currency: str = ""


class Goods(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of goods; lines count from 1."""

    hs_code: str = ""  # 10 digits; a summary may give 6
    ciq_code: str = ""  # 3 digits behind the HS code
    name: str = ""
    model: str = ""
    quantity: Decimal | None = None
    unit: str = ""  # customs unit code, 3 digits; 035 is kg
    first_quantity: Decimal | None = None  # in the first statutory unit
    first_unit: str = ""
    second_quantity: Decimal | None = None
    second_unit: str = ""
    price: Decimal | None = None  # of one unit
    total: Decimal | None = None
    currency: str = ""
    origin: str = ""
    destination: str = ""
    district: str = ""  # 境内目的地 / 境内货源地, 5 digits
    duty_mode: str = ""
    net_kg: Decimal | None = None  # not sent; adds up to the header
    packages: int | None = None  # not sent; adds up to the header


class Container(msgspec.Struct, frozen=True, omit_defaults=True):
    number: str = ""
    size: str = ""  # 集装箱规格 11, 12, 13, 21, 22, 23, 31, 32
    lines: tuple[int, ...] = ()  # the lines of goods in it
    shared: bool = False  # 拼箱: goods of others are in it too
    weight_kg: Decimal | None = None  # 箱货重量, box and goods


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str = ""  # 随附单证代码
    number: str = ""


class Transit(msgspec.Struct, frozen=True, omit_defaults=True):
    form: Form | Literal[""] = ""
    destination_customs: str = ""
    mode: str = ""  # 境内运输方式
    vehicle: str = ""
    carrier: str = ""
    carrier_code: str = ""
    arrives_on: date | None = None
    e_seal: bool = False


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A declaration's content. Everything may be missing here; what must not be is a matter of its kind."""

    kind: Kind = "import"
    direction: Literal["I", "E", ""] = ""  # a transit says it; the others have it from their kind
    declaring_customs: str = ""
    border_customs: str = ""
    carried_on: date | None = None
    transport_mode: str = ""
    transport_name: str = ""
    voyage: str = ""
    bill: str = ""
    contract: str = ""
    regime: str = ""
    duty_nature: str = ""
    terms: str = ""
    country: str = ""
    trading_country: str = ""
    via_port: str = ""
    departure_port: str = ""
    entry_port: str = ""
    packages: int | None = None
    packaging: str = ""
    gross_kg: Decimal | None = None
    net_kg: Decimal | None = None
    freight: Cost = Cost()
    insurance: Cost = Cost()
    other_costs: Cost = Cost()
    record: str = ""
    licence: str = ""
    entry_type: str = "M"
    document_type: str = ""
    goods_place: str = ""
    marks: str = ""
    note: str = ""
    overseas_name: str = ""
    declarant: str = ""
    trader: Party = Party()
    owner: Party = Party()
    agent: Party = Party()
    typist: Party = Party()
    guarantee: bool = False
    involves_licence: bool | None = None  # 涉证, 涉检, 涉税: a summary says all three
    involves_inspection: bool | None = None
    involves_duty: bool | None = None
    goods: tuple[Goods, ...] = ()
    containers: tuple[Container, ...] = ()
    documents: tuple[Document, ...] = ()
    transit: Transit = Transit()

    @property
    def imported(self) -> bool:
        return self.direction == "I" if self.kind == "transit" else self.kind != "export"

    @property
    def flag(self) -> str:
        """进出口标志."""
        return "I" if self.imported else "E"


class FieldFault(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: str  # path, such as goods[0].hs_code
    code: str  # missing, type, unknown, length, form, code, check, date, total, reference, repeated, too_many
    zh: str
    en: str
    value: str = ""


class BadDeclaration(Malformed):
    """`faults` names every field that is wrong."""

    slug = "bad-declaration"
    title = "The declaration has faults"


class Field(msgspec.Struct, frozen=True):
    """`national`: its name in the message to customs, "" if not sent there. `chars`: at most; of decimals, digits."""

    national: str
    zh: str
    en: str
    chars: int = 0


HEAD: dict[str, Field] = {
    "kind": Field("", "报关单类别", "kind of declaration"),
    "direction": Field("IEFlag", "进出口标志", "import or export", 1),
    "declaring_customs": Field("CustomMaster", "申报地海关", "declaring customs", 4),
    "border_customs": Field("IEPort", "进出境关别", "border customs", 4),
    "carried_on": Field("IEDate", "进出境日期", "date of entry or exit"),
    "transport_mode": Field("TrafMode", "运输方式", "transport mode", 1),
    "transport_name": Field("TrafName", "运输工具名称", "means of transport", 50),
    "bill": Field("BillNo", "提运单号", "bill of lading or waybill", 32),
    "contract": Field("ContrNo", "合同号", "contract", 32),
    "regime": Field("TradeMode", "监管方式", "customs regime", 4),
    "duty_nature": Field("CutMode", "征免性质", "nature of duty", 3),
    "terms": Field("TransMode", "成交方式", "terms of trade", 1),
    "country": Field("TradeCountry", "启运国/运抵国", "country of departure or arrival", 3),
    "trading_country": Field("TradeAreaCode", "贸易国别", "trading country", 3),
    "via_port": Field("DistinatePort", "经停港/指运港", "port of call or destination", 6),
    "departure_port": Field("DespPortCode", "启运港", "port of departure", 8),
    "entry_port": Field("EntyPortCode", "入境/离境口岸", "port of entry or exit", 8),
    "packages": Field("PackNo", "件数", "packages", 9),
    "packaging": Field("WrapType", "包装种类", "kind of packaging", 2),
    "gross_kg": Field("GrossWet", "毛重", "gross weight", 19),
    "net_kg": Field("NetWt", "净重", "net weight", 19),
    "record": Field("ManualNo", "备案号", "record number", 12),
    "licence": Field("LicenseNo", "许可证号", "licence", 20),
    "entry_type": Field("EntryType", "报关单类型", "entry type", 1),
    "document_type": Field("", "单据类型", "document type", 2),  # sent as the first two characters of Type
    "goods_place": Field("GoodsPlace", "货物存放地点", "place of the goods", 100),
    "marks": Field("MarkNo", "标记唛码", "marks", 400),
    "note": Field("NoteS", "备注", "note", 255),
    "overseas_name": Field("", "境外收发货人", "overseas party", 100),  # OverseasConsignorEname or …ConsigneeEname
    "declarant": Field("DeclareName", "申报人员姓名", "declarant", 50),
    "voyage": Field("", "航次号", "voyage", 32),  # VoyNo of DecFreeTxt
    "freight": Field("Fee", "运费", "freight"),
    "insurance": Field("Insur", "保险费", "insurance"),
    "other_costs": Field("Other", "杂费", "other costs"),
    "trader": Field("Trade", "境内收发货人", "domestic consignee or consignor"),
    "owner": Field("Owner", "消费使用/生产销售单位", "owner"),
    "agent": Field("Agent", "申报单位", "declaring agent"),
    "typist": Field("Cop", "录入单位", "data entry party"),
    "guarantee": Field("ChkSurety", "担保验放", "release under guarantee"),
    "involves_licence": Field("", "涉证", "involves a licence"),
    "involves_inspection": Field("", "涉检", "involves inspection"),
    "involves_duty": Field("", "涉税", "involves duty"),
    "goods": Field("DecList", "商品", "goods"),
    "containers": Field("Container", "集装箱", "containers"),
    "documents": Field("LicenseDocu", "随附单证", "documents"),
    "transit": Field("TrnHead", "转关", "transit"),
}
GOODS: dict[str, Field] = {
    "hs_code": Field("CodeTS", "商品编号", "HS code", 10),
    "ciq_code": Field("CiqCode", "监管类别", "CIQ code", 3),
    "name": Field("GName", "商品名称", "name of goods", 255),
    "model": Field("GModel", "规格型号", "model", 255),
    "quantity": Field("GQty", "成交数量", "quantity", 19),
    "unit": Field("GUnit", "成交计量单位", "unit", 3),
    "first_quantity": Field("FirstQty", "第一法定数量", "first statutory quantity", 19),
    "first_unit": Field("FirstUnit", "第一法定单位", "first statutory unit", 3),
    "second_quantity": Field("SecondQty", "第二法定数量", "second statutory quantity", 19),
    "second_unit": Field("SecondUnit", "第二法定单位", "second statutory unit", 3),
    "price": Field("DeclPrice", "单价", "price", 19),
    "total": Field("DeclTotal", "总价", "total price", 19),
    "currency": Field("TradeCurr", "币制", "currency", 3),
    "origin": Field("OriginCountry", "原产国", "country of origin", 3),
    "destination": Field("DestinationCountry", "最终目的国", "country of destination", 3),
    "district": Field("DistrictCode", "境内目的地/境内货源地", "domestic district", 5),
    "duty_mode": Field("DutyMode", "征免", "duty mode", 1),
    "net_kg": Field("", "净重", "net weight", 19),
    "packages": Field("", "件数", "packages", 9),
}
CONTAINER: dict[str, Field] = {
    "number": Field("ContainerId", "集装箱号", "container number", 32),
    "size": Field("ContainerMd", "集装箱规格", "container size", 2),
    "lines": Field("GoodsNo", "商品项号", "lines of goods"),
    "shared": Field("LclFlag", "拼箱标识", "shared container"),
    "weight_kg": Field("GoodsContaWt", "箱货重量", "weight of box and goods", 19),
}
DOCUMENT: dict[str, Field] = {
    "code": Field("DocuCode", "随附单证代码", "document code", 1),
    "number": Field("CertCode", "随附单证编号", "document number", 32),
}
PARTY: dict[str, Field] = {
    "name": Field("Name", "名称", "name", 100),
    "uscc": Field("Scc", "统一社会信用代码", "unified social credit code", 18),
    "customs_code": Field("Code", "海关备案号", "customs registration", 10),
}
COST: dict[str, Field] = {
    "mark": Field("Mark", "标记", "mark", 1),
    "amount": Field("Rate", "金额或率", "amount or rate", 19),
    "currency": Field("Curr", "币制", "currency", 3),
}
TRANSIT: dict[str, Field] = {
    "form": Field("", "转关方式", "form of transit"),
    "destination_customs": Field("", "指运地海关", "destination customs", 4),  # PurpOrgCode of the header
    "mode": Field("NativeTrafMode", "境内运输方式", "domestic transport mode", 1),
    "vehicle": Field("TrafCustomsNo", "境内运输工具编号", "domestic means of transport", 32),
    "carrier": Field("ContractorName", "承运单位名称", "carrier", 100),
    "carrier_code": Field("ContractorCode", "承运单位代码", "carrier code", 18),
    "arrives_on": Field("ValidTime", "预计运抵日期", "expected arrival"),
    "e_seal": Field("ESealFlag", "电子关锁", "electronic seal"),
}
PARTIES = ("trader", "owner", "agent", "typist")
COSTS = ("freight", "insurance", "other_costs")
INNER: dict[str, tuple[type[msgspec.Struct], dict[str, Field]]] = (
    {"transit": (Transit, TRANSIT)} | dict.fromkeys(PARTIES, (Party, PARTY)) | dict.fromkeys(COSTS, (Cost, COST))
)
LISTS: dict[str, tuple[type[msgspec.Struct], dict[str, Field], int]] = {  # and how many at most
    "goods": (Goods, GOODS, 50),
    "containers": (Container, CONTAINER, 200),
    "documents": (Document, DOCUMENT, 50),
}

FIELD_TABLES: tuple[tuple[type[msgspec.Struct], dict[str, Field]], ...] = (
    (Content, HEAD),
    *INNER.values(),
    *((kind, fields) for kind, fields, _ in LISTS.values()),
)


def field_at(path: str) -> Field:
    """The field that a path such as `goods[0].hs_code` names; one without national name if there is none.

    >>> field_at("goods[0].hs_code").national, field_at("trader.uscc").en, field_at("x.y").zh
    ('CodeTS', 'unified social credit code', 'y')
    """
    outer, _, name = path.rpartition(".")
    tables: dict[str, dict[str, Field]] = {"": HEAD}
    tables |= {name: fields for name, (_, fields) in INNER.items()}
    tables |= {name: fields for name, (_, fields, _) in LISTS.items()}
    bare = name.partition("[")[0]
    return tables.get(outer.partition("[")[0], {}).get(bare) or Field("", bare, bare)


def fault(path: str, code: str, zh: str, en: str, value: object = "") -> FieldFault:
    """A fault of the field at this path; `zh` and `en` follow the field's name."""
    field = field_at(path)
    return FieldFault(path, code, f"{field.zh}{zh}", f"{field.en} {en}", str(value)[:VALUE_CHARS_MAX])


VALUE_CHARS_MAX = 80  # of a value that is told back
