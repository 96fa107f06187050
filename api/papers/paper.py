"""What every paper of a statement says, in which order and in which words: the same on PDF, XLSX, CSV and the page.

A paper is a function of the document as it was issued and of the moment of its issue: the same bytes each time it is
made. Texts are Chinese first. Money is fen in the document and yuan on paper; times are shown in Asia/Shanghai.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from api.export import Cell
from api.words import ITEM_CLASSES, Pair
from domain.statement import KINDS, REASONS, Line, Seller, Statement, read

ZONE = ZoneInfo("Asia/Shanghai")
TITLE: Pair = ("服务使用对账单", "Statement of services used")
NOT_SAID: Pair = ("（尚未登记）", "(not registered yet)")


class Paper(msgspec.Struct, frozen=True):
    """A statement as it was issued."""

    document: bytes  # canonical
    statement: Statement
    sha256: str
    issued_at: datetime

    @classmethod
    def of(cls, document: bytes, sha256: str, issued_at: datetime) -> "Paper":
        return cls(document, read(document), sha256, issued_at)


class Part(NamedTuple):
    """Lines that stand together under a title."""

    title: Pair
    lines: list[Line]


class Fact(NamedTuple):
    """A label and what it says; a sum is in fen."""

    label: Pair
    said: str | int


def both(pair: Pair) -> str:
    """Chinese, then English, once if they are the same.

    >>> both(("账期", "Period")), both(("A1", "A1"))
    ('账期 Period', 'A1')
    """
    return " ".join(dict.fromkeys(word for word in pair if word))


def yuan(minor: int) -> str:
    """Fen as yuan, to the digit, with thousands apart.

    >>> yuan(123456789), yuan(-5), yuan(0)
    ('1,234,567.89', '-0.05', '0.00')
    """
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02}"


def per_cent(rate_bp: int) -> str:
    """A rate in basis points.

    >>> per_cent(600), per_cent(150), per_cent(0)
    ('6%', '1.5%', '0%')
    """
    return f"{rate_bp / 100:g}%"


def stamp(at: datetime) -> str:
    """2026-10-31 09:30:00 +08:00, on the clock of the books."""
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M:%S} +08:00"


# --- the lines, in their parts ---


def parts(statement: Statement) -> list[Part]:
    """Free and paid together, each under its title; parts without a line are left out."""
    told = [
        Part(("政务服务：免费，没有价格", "Government services: free, without a price"), _of(statement, "government")),
        Part(("商业服务：按公布的价目", "Commercial services: at published prices"), _of(statement, "commercial")),
        Part(("代理人使用、由贵方分担", "Used by others on your behalf: your share"), _of_kind(statement, "share")),
        Part(("调整", "Adjustments"), _of_kind(statement, "adjustment")),
    ]
    return [part for part in told if part.lines]


def _of(statement: Statement, item_class: str) -> list[Line]:
    return [line for line in statement.lines if line.kind == "usage" and line.item_class == item_class]


def _of_kind(statement: Statement, kind: str) -> list[Line]:
    return [line for line in statement.lines if line.kind == kind]


def remarks(line: Line) -> list[Pair]:
    """What is said of a line beside its figures."""
    told: list[Pair] = []
    if line.provider:
        told.append((f"提供方：{line.provider}", f"rendered by {line.provider}"))
    if line.corrects_period and line.kind == "adjustment":
        told.append((f"涉及 {line.corrects_period}", f"about {line.corrects_period}"))
    elif line.corrects_period:
        told.append((f"补记 {line.corrects_period}", f"corrects {line.corrects_period}"))
    if line.kind == "share":
        whole = yuan(line.whole_minor)
        told.append((f"由 {line.used_by} 使用，共 {whole}", f"used by {line.used_by}, {whole} in all"))
    elif line.kind == "usage" and line.amount_minor != line.whole_minor:
        told.append((f"共 {yuan(line.whole_minor)}，此处为分担额", f"{yuan(line.whole_minor)} in all, shared"))
    if line.reversed_quantity:
        told.append((f"来源撤回 {line.reversed_quantity:,}", f"{line.reversed_quantity:,} taken back"))
    if line.reason:
        told.append(REASONS[line.reason])
    return told


RECKONED = {
    "zh": (" 分", "，免收", " 元"),
    "en": (" fen", ", waived", " CNY"),
    "": (" 分 fen", "，免收 waived", " 元 CNY"),
}


def reckoned(line: Line, lang: str = "") -> str:
    """How the sum came about, prices in fen, in both languages or one; of an adjustment why it was made."""
    if line.tariff is None:
        return line.explanation
    fen, waived, cny = RECKONED[lang]
    return f"{line.explanation}{fen}" + (waived if line.waived else f" = {yuan(line.whole_minor)}{cny}")


# --- head and foot ---

SELLER: dict[str, Pair] = {
    "tax_id": ("统一社会信用代码", "Tax id"),
    "address": ("地址", "Address"),
    "phone": ("电话", "Phone"),
    "bank": ("开户行", "Bank"),
    "bank_account": ("账号", "Account"),
    "drawer": ("开票人", "Drawer"),
}


def seller(told: Seller) -> list[Fact]:
    """Who bills; only what was registered."""
    name = both((told.zh, told.en)) or both(NOT_SAID)
    rest = [Fact(label, getattr(told, field)) for field, label in SELLER.items() if getattr(told, field)]
    return [Fact(("出具方", "Issued by"), name), *rest]


def holder(statement: Statement) -> list[Fact]:
    """Whom it is for."""
    told = statement.holder
    label: Pair = ("代码", "Code") if told.is_party else ("账户", "Account")
    return [Fact(("客户", "For"), both((told.zh, told.en)) or told.code), Fact(label, told.code)]


def about(paper: Paper) -> list[Fact]:
    """Number, month, and up to where the books were read."""
    told = paper.statement
    return [
        Fact(("账单编号", "Number"), told.number),
        Fact(("账期", "Period"), told.period),
        Fact(("起", "From"), stamp(told.starts_at)),
        Fact(("止（不含）", "Before"), stamp(told.ends_at)),
        Fact(("出具时间", "Issued at"), stamp(paper.issued_at)),
        Fact(("币种", "Currency"), told.currency),
        Fact(("截止位置", "Cut-off position"), str(told.cut_off)),
        Fact(("上期账单", "Statement before"), told.previous or "–"),
    ]


def sums(told: Statement) -> list[Fact]:
    """From the list price to what is left to pay, in fen."""
    return [
        Fact(("目录价合计", "At list price"), told.list_minor),
        Fact(("减免", "Waived"), -told.waived_minor),
        Fact(("分担与调整", "Shares and adjustments"), told.total_minor - told.list_minor + told.waived_minor),
        Fact(("本期合计（含税）", "Total, tax included"), told.total_minor),
        Fact(("其中：不含税金额", "of it net of tax"), told.net_minor),
        Fact(("其中：税额", "of it tax"), told.tax_minor),
        Fact(("上期结转", "Brought forward"), told.brought_forward_minor),
        Fact(("应付", "Payable"), told.payable_minor),
        Fact(("结转下期", "Carried forward"), told.carried_forward_minor),
    ]


def proof(paper: Paper) -> list[Fact]:
    """What anybody can check."""
    told = paper.statement
    return [
        Fact(("本账单 SHA-256", "of this statement"), paper.sha256),
        Fact(("上期账单 SHA-256", "of the one before"), told.previous_sha256 or "–"),
        Fact(("价目版本", "Price versions"), ", ".join(told.tariffs) or "–"),
    ]


CHECK_ZH = (
    "账单正本是 JSON 文件（GET /v1/statements/{number}，亦附于其 PDF 之内）；其 SHA-256 须与上列一致。"
    "由账簿重新生成（kouan statement remake {number}，或 POST /v1/statements/{number}/remake），结果须逐字节相同。"
    "每行数量等于使用记录之和，各行之和即合计；政务服务没有价格，任何一行都不得计费。"
)
CHECK_EN = (
    "The document is JSON (GET /v1/statements/{number}; attached to its PDF); its SHA-256 must be the one above. "
    "Made again from the books (kouan statement remake {number}, or POST /v1/statements/{number}/remake) it must be "
    "the same bytes. The quantity of a line is the sum of its usage entries, the total the sum of the lines; "
    "government services have no price, and no line may charge them."
)


def check(paper: Paper) -> Pair:
    """How to see that the statement is right."""
    number = paper.statement.number
    return CHECK_ZH.replace("{number}", number), CHECK_EN.replace("{number}", number)


# --- the table of lines, for spreadsheets ---


class Column(NamedTuple):
    """`form`: how the cell is written: text, count, money (fen), rate (basis points)."""

    title: Pair
    cell: Callable[[Line], Cell]
    form: str = "text"
    width: int = 14


COLUMNS = (
    Column(("行号", "Line"), lambda line: line.no, "count", 6),
    Column(("种类", "Kind"), lambda line: both(KINDS[line.kind]), width=18),
    Column(("类别", "Class"), lambda line: both(ITEM_CLASSES[line.item_class]), width=20),
    Column(("项目代码", "Item"), lambda line: line.item, width=22),
    Column(("项目", "Name in Chinese"), lambda line: line.zh, width=22),
    Column(("英文名", "Name in English"), lambda line: line.en, width=28),
    Column(("单位", "Unit"), lambda line: both((line.unit_zh, line.unit_en))),
    Column(("提供方", "Provider"), lambda line: line.provider),
    Column(("价目版本", "Tariff"), lambda line: line.tariff, width=26),
    Column(("更正账期", "Corrects period"), lambda line: line.corrects_period),
    Column(("使用方", "Used by"), lambda line: line.used_by, width=22),
    Column(("交付次数", "Deliveries"), lambda line: line.deliveries, "count", 10),
    Column(("数量", "Quantity"), lambda line: line.quantity, "count", 10),
    Column(("其中免费额度", "Included"), lambda line: line.free_quantity, "count", 12),
    Column(("来源撤回", "Taken back"), lambda line: line.reversed_quantity, "count", 10),
    Column(("免费原因", "Why free"), lambda line: both(REASONS[line.reason]), width=30),
    Column(("目录价金额（元）", "List, CNY"), lambda line: line.list_minor, "money"),
    Column(("减免（元）", "Waived, CNY"), lambda line: line.waived_minor, "money"),
    Column(("分担前金额（元）", "Before sharing, CNY"), lambda line: line.whole_minor, "money"),
    Column(("税率", "Tax rate"), lambda line: line.tax_rate_bp, "rate", 8),
    Column(("不含税金额（元）", "Net, CNY"), lambda line: line.net_minor, "money"),
    Column(("税额（元）", "Tax, CNY"), lambda line: line.tax_minor, "money"),
    Column(("金额（元）", "Amount, CNY"), lambda line: line.amount_minor, "money"),
    Column(("算法", "How it was reckoned"), lambda line: line.explanation, width=36),
    Column(("调整编号", "Adjustment"), lambda line: line.reference, width=20),
)
