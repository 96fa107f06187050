"""The request for a fapiao: a statement's charges as rows for the tax platform. Kouan prepares, it never issues.

Prices include the tax; each row is split into net and tax at its own rate, rounded once (billing/rating.tax_split). A
fapiao has no negative rows of its own, so credits (adjustments, credit brought forward) stand as discount rows behind
the rows that they take from; all rows together come to what the statement has to be paid, to the fen. Government
services are on no fapiao. Money is integer minor units (fen).

Source: fields of public integrations: FPQQLSH, XSF_*, GMF_*, XMMC, DW, XMSL, XMDJ, XMJE, SL, SE, SPBM, HJJE, HJSE.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import msgspec

from billing.rating import tax_split
from domain.fapiao import ItemClassified, Kind, NoFapiao, Title
from domain.money import yuan
from domain.statement import Line, Seller, Statement

PRICE_PLACES = Decimal("0.00000001")
BASIS = 10_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """明细. `row_kind`: 0 as it is, 2 with the discount behind it, 1 that discount (FPHXZ)."""

    line: int  # of the statement
    row_kind: int = 0
    name: str  # 项目名称 XMMC: *分类简称*名称
    unit: str = ""  # 单位 DW
    quantity: str = ""  # 数量 XMSL; none where the amount is no price times a quantity
    unit_price: str = ""  # 单价 XMDJ, without tax, yuan
    net_minor: int  # 金额 XMJE
    tax_rate_bp: int  # 税率 SL, basis points
    tax_minor: int  # 税额 SE
    tax_code: str = ""  # 税收分类编码 SPBM; none: the accountant has not told it yet

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """开票申请. total = net + tax = what the statement has to be paid."""

    serial: str  # 请求流水号 FPQQLSH
    statement: str
    statement_sha256: str
    period: str
    kind: Kind
    seller: Seller
    buyer: Title
    drawer: str = ""  # 开票人 KPR
    remark: str  # 备注 BZ
    rows: tuple[Row, ...]
    net_minor: int  # 合计金额 HJJE
    tax_minor: int  # 合计税额 HJSE
    total_minor: int  # 价税合计 JSHJ
    total_words: str  # 大写
    unclassified: tuple[str, ...] = ()  # items whose tax classification is not known


class _Charge(NamedTuple):
    """A positive line and what credits take from it."""

    line: Line
    less_minor: int


def prepare(
    document: Statement,
    sha256: str,
    *,
    serial: str,
    kind: Kind,
    buyer: Title,
    classes: Mapping[str, ItemClassified],
    credited_minor: int = 0,
) -> Request:
    """The request of a statement, less its credit notes. Raises NoFapiao if it has nothing to be paid."""
    owed = document.payable_minor - credited_minor
    if owed <= 0:
        raise NoFapiao(
            f"账单 {document.number} 无应付金额，不开票 / statement {document.number} has nothing to pay: no fapiao",
            statement=document.number,
        )
    charges = _spread(document, credited_minor)
    rows = tuple(row for charge in charges for row in _rows(charge, classes.get(charge.line.item)))
    net, tax = sum(row.net_minor for row in rows), sum(row.tax_minor for row in rows)
    assert net + tax == owed, document.number
    items = {charge.line.item for charge in charges}
    return Request(
        serial=serial,
        statement=document.number,
        statement_sha256=sha256,
        period=document.period,
        kind=kind,
        seller=document.seller,
        buyer=buyer,
        drawer=document.seller.drawer,
        remark=f"账单 {document.number} 账期 {document.period}",
        rows=rows,
        net_minor=net,
        tax_minor=tax,
        total_minor=net + tax,
        total_words=in_words(net + tax),
        unclassified=tuple(sorted(items - classes.keys())),
    )


def _spread(document: Statement, credited_minor: int) -> list[_Charge]:
    """Credits taken from charges: of the same item and rate first, then of the same rate, then of any."""
    paid = [line for line in document.lines if line.item_class == "commercial" and line.amount_minor > 0]
    credits_ = [(line, -line.amount_minor) for line in document.lines if line.amount_minor < 0]
    less = [0] * len(paid)
    for line, minor in (*credits_, (None, credited_minor - document.brought_forward_minor)):
        for at in sorted(range(len(paid)), key=lambda at, line=line: (_far(line, paid[at]), at)):  # type: ignore[misc]
            taken = min(minor, paid[at].amount_minor - less[at])
            less[at], minor = less[at] + taken, minor - taken  # noqa: PLW2901
    return [_Charge(*each) for each in zip(paid, less, strict=True)]


def _far(credit: Line | None, charge: Line) -> int:
    if credit is None or credit.tax_rate_bp != charge.tax_rate_bp:
        return 2
    return 0 if credit.item == charge.item else 1


def _rows(charge: _Charge, of: ItemClassified | None) -> Iterator[Row]:
    line, less = charge
    name = f"*{of.short}*{of.name or line.zh}" if of else line.zh
    about = Row(
        line=line.no,
        row_kind=2 if less else 0,
        name=name,
        net_minor=line.net_minor,
        tax_rate_bp=line.tax_rate_bp,
        tax_minor=line.tax_minor,
        tax_code=of.tax_code if of else "",
    )
    yield msgspec.structs.replace(about, **_priced(line))
    if less:
        net, tax = tax_split(line.amount_minor - less, line.tax_rate_bp)
        yield msgspec.structs.replace(about, row_kind=1, net_minor=net - line.net_minor, tax_minor=tax - line.tax_minor)


def _priced(line: Line) -> dict[str, str]:
    """Unit, quantity and price, where the amount is the price of a quantity."""
    charged = line.quantity - line.free_quantity
    if line.kind != "usage" or charged <= 0 or line.amount_minor != line.whole_minor:
        return {}
    price = (Decimal(line.net_minor) / 100 / charged).quantize(PRICE_PLACES, ROUND_HALF_UP)
    return {"unit": line.unit_zh, "quantity": str(charged), "unit_price": f"{price.normalize():f}"}


# --- as a table for the tax platform ---

Cell = str | int | None
COLUMNS: tuple[tuple[str, str], ...] = (
    ("请求流水号 FPQQLSH", "serial"),
    ("红蓝标志 KPLX", "blue"),
    ("发票类型", "kind"),
    ("销售方名称 XSF_MC", "seller_name"),
    ("销售方税号 XSF_NSRSBH", "seller_tax_id"),
    ("销售方地址电话 XSF_DZDH", "seller_address"),
    ("销售方开户行及账号 XSF_YHZH", "seller_bank"),
    ("购买方名称 GMF_MC", "buyer_name"),
    ("购买方税号 GMF_NSRSBH", "buyer_tax_id"),
    ("购买方地址电话 GMF_DZDH", "buyer_address"),
    ("购买方开户行及账号 GMF_YHZH", "buyer_bank"),
    ("发票行性质 FPHXZ", "row_kind"),
    ("项目名称 XMMC", "name"),
    ("单位 DW", "unit"),
    ("数量 XMSL", "quantity"),
    ("单价 XMDJ", "unit_price"),
    ("金额 XMJE", "net"),
    ("税率 SL", "rate"),
    ("税额 SE", "tax"),
    ("税收分类编码 SPBM", "tax_code"),
    ("合计金额 HJJE", "net_total"),
    ("合计税额 HJSE", "tax_total"),
    ("价税合计 JSHJ", "total"),
    ("备注 BZ", "remark"),
    ("开票人 KPR", "drawer"),
)
"""Title for the tax platform, and our name."""


def table(request: Request) -> list[dict[str, str]]:
    """One row for each row of the request, the head repeated on each; numbers as text."""
    seller, buyer = request.seller, request.buyer
    head = {
        "serial": request.serial,
        "blue": "0",
        "kind": request.kind,
        "seller_name": seller.zh,
        "seller_tax_id": seller.tax_id,
        "seller_address": _joined(seller.address, seller.phone),
        "seller_bank": _joined(seller.bank, seller.bank_account),
        "buyer_name": buyer.name,
        "buyer_tax_id": buyer.tax_id,
        "buyer_address": _joined(buyer.address, buyer.phone),
        "buyer_bank": _joined(buyer.bank, buyer.bank_account),
        "net_total": yuan(request.net_minor),
        "tax_total": yuan(request.tax_minor),
        "total": yuan(request.total_minor),
        "remark": request.remark,
        "drawer": request.drawer,
    }
    return [head | _cells(row) for row in request.rows]


def _cells(row: Row) -> dict[str, str]:
    return {
        "row_kind": str(row.row_kind),
        "name": row.name,
        "unit": row.unit,
        "quantity": row.quantity,
        "unit_price": row.unit_price,
        "net": yuan(row.net_minor),
        "rate": f"{Decimal(row.tax_rate_bp) / BASIS:f}",
        "tax": yuan(row.tax_minor),
        "tax_code": row.tax_code,
    }


def _joined(*parts: Sequence[str] | str) -> str:
    return " ".join(str(part) for part in parts if part)


# --- 大写: an amount in the characters of the trade ---

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
MYRIADS = ("", "万", "亿", "万亿")


def in_words(minor: int) -> str:
    """An amount from 0 to below ten quadrillion fen in capital characters (票据法 practice).

    >>> in_words(0), in_words(106), in_words(100000), in_words(1000500), in_words(1680032)
    ('零元整', '壹元零陆分', '壹仟元整', '壹万零伍元整', '壹万陆仟捌佰元零叁角贰分')
    >>> in_words(10000000000), in_words(3), in_words(50), in_words(10700053)
    ('壹亿元整', '叁分', '伍角', '壹拾万零柒仟元零伍角叁分')
    """
    whole, jiao, fen = minor // 100, minor // 10 % 10, minor % 10
    words = f"{_whole(whole)}元" if whole or not minor else ""
    if not jiao and not fen:
        return f"{words or '零元'}整"
    if words and (not jiao or whole % 10 == 0):
        words += "零"
    return words + (f"{DIGITS[jiao]}角" if jiao else "") + (f"{DIGITS[fen]}分" if fen else "")


def _whole(number: int) -> str:
    if not number:
        return "零"
    words, gap = "", False
    for place in reversed(range(len(MYRIADS))):
        group = number // 10 ** (4 * place) % 10_000
        if group and words and (gap or group < 1_000):  # noqa: PLR2004
            words += "零"
        words += _group(group) + (MYRIADS[place] if group else "")
        gap = group % 10 == 0 if group else gap or bool(words)
    return words


def _group(group: int) -> str:
    words, zero = "", False
    for place in reversed(range(4)):
        digit = group // 10**place % 10
        if digit:
            words += ("零" if zero and words else "") + DIGITS[digit] + PLACES[place]
        zero = not digit
    return words
