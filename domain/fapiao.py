"""Fapiao (数电票) of a statement: asked for, recorded as the tax system issued it, and taken back by a red one.

Stream: `fapiao:STATEMENT` in the commerce journal. Kouan never issues one: it prepares the rows (billing/fapiao.py) and
records the number. A number is checked for its form alone; amounts that differ from what was asked for are recorded as
they stand, and are a difference for the reconciliation, never a fault. No number is recorded twice; the database holds
that too (domain/migrations/0020_bank.sql). Money is integer minor units (fen); days are those of Asia/Shanghai.

Which tax classification a service item has stands on `fapiao_item:ITEM`; nobody but the seller's accountant knows it.
Source: 数电票 fields as in public integrations; 20-digit numbers without a code, red ones with a confirmation of 20.
"""

import re
from datetime import date, timedelta
from typing import Literal

import msgspec

from domain import fact, register
from domain.errors import Refused
from domain.fact import Fact
from domain.money import yuan
from domain.period import ZONE

Kind = Literal["special", "ordinary"]
KINDS: dict[Kind, tuple[str, str]] = {
    "special": ("电子发票（增值税专用发票）", "electronic fapiao (special VAT)"),
    "ordinary": ("电子发票（普通发票）", "electronic fapiao (ordinary)"),
}
NUMBER = re.compile(r"[0-9]{20}")
TAX_CODE = re.compile(r"[0-9]{19}")
TAX_ID = re.compile(r"[0-9A-Z]{15,20}")
SKEW = timedelta(days=1)
"""By so much the tax system's clock may be ahead of ours."""


class Title(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """抬头: whom the fapiao is made out to, as it wants to be named."""

    name: str
    tax_id: str = ""  # 统一社会信用代码 / 纳税人识别号; a special one needs it
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""


# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class FapiaoFact(Fact, frozen=True, kw_only=True):
    """What every fact about a statement's fapiao says."""

    statement: str
    by: str


class FapiaoRequested(FapiaoFact, frozen=True, kw_only=True, tag="fapiao.requested"):
    """The rows for the tax platform were prepared, for this buyer."""

    serial: str  # 请求流水号 FPQQLSH
    kind: Kind
    buyer: Title
    net_minor: int
    tax_minor: int
    total_minor: int


class FapiaoRecorded(FapiaoFact, frozen=True, kw_only=True, tag="fapiao.recorded"):
    """The tax system issued it: as it stands there."""

    number: str  # 20 digits, unverified
    kind: Kind
    issued_on: date
    net_minor: int
    tax_minor: int
    total_minor: int
    serial: str = ""  # of the request that it answers


class FapiaoReddened(FapiaoFact, frozen=True, kw_only=True, tag="fapiao.reddened"):
    """红字发票: it takes a blue one back, in whole or in part. Amounts are below zero."""

    number: str  # its own
    original: str  # the blue one's
    confirmation: str  # 红字发票信息确认单编号, 20 digits
    kind: Kind
    issued_on: date
    net_minor: int
    tax_minor: int
    total_minor: int
    reason: str
    credit_note: str = ""  # on which it rests


class ItemClassified(Fact, frozen=True, kw_only=True, tag="fapiao.item_classified"):
    """How a service item stands on fapiao."""

    item: str
    tax_code: str  # 税收分类编码, 19 digits
    short: str  # 分类简称, without asterisks
    name: str = ""  # 项目名称, where it is not that of the catalogue
    by: str


# --- state ---


class Blue(msgspec.Struct, frozen=True):
    kind: Kind
    total_minor: int
    left_minor: int  # of it, not taken back
    recorded: FapiaoRecorded


class Fapiao(msgspec.Struct, frozen=True):
    """What a statement has of them."""

    statement: str
    requests: dict[str, FapiaoRequested] = {}  # by serial, the oldest first
    blue: dict[str, Blue] = {}  # by number
    red: dict[str, FapiaoReddened] = {}

    @property
    def total_minor(self) -> int:
        """All blue ones less all red ones."""
        return sum(each.left_minor for each in self.blue.values())

    @property
    def waiting(self) -> FapiaoRequested | None:
        """The last request, if no fapiao answered it yet."""
        last = next(reversed(self.requests.values()), None)
        answered = {each.recorded.serial for each in self.blue.values()}
        return None if last is None or last.serial in answered else last

    def taken_minor(self, credit_note: str) -> int:
        """What red ones have taken back on a credit note."""
        return -sum(each.total_minor for each in self.red.values() if each.credit_note == credit_note)


def stream(statement: str) -> str:
    return f"fapiao:{statement}"


def item_stream(item: str) -> str:
    return f"fapiao_item:{item}"


def evolve(state: Fapiao, happened: Fact) -> Fapiao:
    """The state after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case FapiaoRequested(serial=serial):
            return replace(state, requests={**state.requests, serial: happened})
        case FapiaoRecorded(number=number, kind=kind, total_minor=total):
            return replace(state, blue={**state.blue, number: Blue(kind, total, total, happened)})
        case FapiaoReddened(number=number, original=original, total_minor=total):
            had = state.blue[original]
            blue = {**state.blue, original: replace(had, left_minor=had.left_minor + total)}
            return replace(state, blue=blue, red={**state.red, number: happened})
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


class NoFapiao(Refused):
    """`facts` names the numbers."""

    slug = "fapiao-refused"
    title = "This fapiao cannot be asked for, recorded or taken back so"


def title(buyer: Title, kind: Kind) -> Title:
    """A buyer as it was told, each text in one line. Raises Refused, NoFapiao."""
    told = {name: register.remark(name, name, getattr(buyer, name)) for name in Title.__struct_fields__}
    found = Title(**told)
    if not found.name:
        raise NoFapiao("须填写购买方名称 / the buyer's name is missing", field="name")
    if (found.tax_id or kind == "special") and not TAX_ID.fullmatch(found.tax_id):
        raise NoFapiao(
            f"购买方税号 {found.tax_id[:40]!r} 不是 15 至 20 位大写字母数字"
            f" / the buyer's tax id {found.tax_id[:40]!r} is not of 15 to 20 capitals and digits",
            field="tax_id",
        )
    return found


def request(state: Fapiao, wanted: FapiaoRequested) -> tuple[Fact, ...]:
    """Ask for one. The same again adds nothing; another one while what was issued stands is refused."""
    last = state.waiting
    if last and (last.buyer, last.kind, last.total_minor) == (wanted.buyer, wanted.kind, wanted.total_minor):
        return ()
    if state.total_minor > 0:
        raise NoFapiao(
            f"{state.statement} 已开票，先红冲 / {state.statement} has its fapiao: take that back first",
            statement=state.statement,
            numbers=[number for number, each in state.blue.items() if each.left_minor],
        )
    return (wanted,)


def serial(state: Fapiao) -> str:
    """Of the next request.

    >>> serial(Fapiao("KS-202610-000007"))
    'FP-KS-202610-000007-1'
    """
    return f"FP-{state.statement}-{len(state.requests) + 1}"


def record(state: Fapiao, told: FapiaoRecorded, *, elsewhere: str = "") -> tuple[Fact, ...]:
    """Record what the tax system issued. `elsewhere`: another statement that has this number. Raises NoFapiao."""
    digits(told.number)
    had = state.blue.get(told.number)
    if had is not None and (had.kind, had.total_minor) == (told.kind, told.total_minor):
        return ()
    if had is not None or told.number in state.red or elsewhere:
        raise _known(told.number, elsewhere or state.statement)
    if told.total_minor <= 0 or told.net_minor < 0 or told.tax_minor < 0 or _sum(told) != told.total_minor:
        raise _no_sum(told.net_minor, told.tax_minor, told.total_minor)
    _issued(told)
    return (msgspec.structs.replace(told, serial=state.waiting.serial if state.waiting else ""),)


def redden(state: Fapiao, told: FapiaoReddened, *, credited_minor: int = 0, elsewhere: str = "") -> tuple[Fact, ...]:
    """Record a red one. `credited_minor`: what the credit note comes to on which it rests, if it names one.

    Raises NoFapiao for more than the blue one or the credit note has left, or a blue one that is not known.
    """
    digits(told.number)
    digits(told.confirmation)
    had = state.red.get(told.number)
    if had is not None and (had.original, had.total_minor) == (told.original, told.total_minor):
        return ()
    if had is not None or told.number in state.blue or elsewhere:
        raise _known(told.number, elsewhere or state.statement)
    blue = state.blue.get(told.original)
    if blue is None:
        raise NoFapiao(
            f"{state.statement} 没有蓝字发票 {told.original[:20]}"
            f" / {state.statement} has no fapiao {told.original[:20]}",
            statement=state.statement,
            number=told.original[:20],
        )
    if told.total_minor >= 0 or told.net_minor > 0 or told.tax_minor > 0 or _sum(told) != told.total_minor:
        raise _no_sum(told.net_minor, told.tax_minor, told.total_minor)
    _issued(told)
    if blue.left_minor + told.total_minor < 0:
        raise NoFapiao(
            f"{told.original} 尚余 {yuan(blue.left_minor)} 元可红冲"
            f" / of {told.original} {yuan(blue.left_minor)} CNY are left",
            number=told.original,
            left_minor=blue.left_minor,
        )
    if told.credit_note:
        _check_note(told, credited_minor - state.taken_minor(told.credit_note))
    return (msgspec.structs.replace(told, reason=register.said("原因", "reason", told.reason)),)


def _check_note(told: FapiaoReddened, left_minor: int) -> None:
    """What is taken back for another reason than the credit note does not name it."""
    if left_minor + told.total_minor < 0:
        raise NoFapiao(
            f"贷项 {told.credit_note[:60]} 尚余 {yuan(left_minor)} 元未开红字，不能开 {yuan(-told.total_minor)} 元"
            f" / of credit note {told.credit_note[:60]} {yuan(left_minor)} CNY are left, not {yuan(-told.total_minor)}",
            credit_note=told.credit_note[:60],
            left_minor=left_minor,
        )


def classify(had: ItemClassified | None, told: ItemClassified) -> tuple[Fact, ...]:
    """Say how an item stands on fapiao. Raises NoFapiao for a code that is none."""
    if not TAX_CODE.fullmatch(told.tax_code):
        raise NoFapiao(
            f"税收分类编码 {told.tax_code[:30]!r} 须为 19 位数字 / tax code {told.tax_code[:30]!r} is not of 19 digits",
            field="tax_code",
        )
    short = register.said("分类简称", "short", told.short.replace("*", " "))
    told = msgspec.structs.replace(told, short=short, name=register.remark("名称", "name", told.name))
    if had is not None and (had.tax_code, had.short, had.name) == (told.tax_code, told.short, told.name):
        return ()
    return (told,)


def digits(number: str) -> str:
    """A number of 20 digits, as text. Raises NoFapiao."""
    if not NUMBER.fullmatch(number):
        raise NoFapiao(f"{number[:30]!r} 不是 20 位数字 / {number[:30]!r} is not of 20 digits", number=number[:30])
    return number


def _known(number: str, statement: str) -> NoFapiao:
    return NoFapiao(
        f"发票 {number} 已登记于 {statement} / fapiao {number} is recorded already, with {statement}",
        number=number,
        statement=statement,
    )


def _sum(told: FapiaoRecorded | FapiaoReddened) -> int:
    return told.net_minor + told.tax_minor


def _issued(told: FapiaoRecorded | FapiaoReddened) -> None:
    """Not on a day that is still to come. Raises NoFapiao."""
    today = told.recorded_at.astimezone(ZONE).date()
    if told.issued_on > today + SKEW:
        raise NoFapiao(
            f"开票日期 {told.issued_on} 晚于今日 {today} / issued on {told.issued_on}, which is after today, {today}",
            field="issued_on",
            number=told.number,
        )


def _no_sum(net_minor: int, tax_minor: int, total_minor: int) -> NoFapiao:
    return NoFapiao(
        f"金额 {yuan(net_minor)} 元与税额 {yuan(tax_minor)} 元之和不是价税合计 {yuan(total_minor)} 元，或正负不符"
        f" / {yuan(net_minor)} and tax {yuan(tax_minor)} CNY are not {yuan(total_minor)}, or of the wrong sign",
        net_minor=net_minor,
        tax_minor=tax_minor,
        total_minor=total_minor,
    )


def classified(state: ItemClassified | None, happened: Fact) -> ItemClassified | None:
    """The last word on an item. Never fails."""
    return happened if isinstance(happened, ItemClassified) else state


fact.register(FapiaoRequested, FapiaoRecorded, FapiaoReddened, ItemClassified)
