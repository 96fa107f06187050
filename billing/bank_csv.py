"""A bank's file of account movements (流水, CSV), row by row; what cannot be read is named by its row, never dropped.

Columns are found by their titles, under the names that banks use or under those that the clerk tells; lines above the
titles are passed over, and so are sums below. UTF-8 or GB18030. Amounts as 1,234.56 in one column with a direction or
a sign, or in two columns for money in and out. Money is integer minor units (fen); days and hours are the bank's,
Asia/Shanghai.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from hashlib import sha256

import msgspec

from domain.bank_receipt import AMOUNT_MAX, MIDNIGHT, Direction, booked
from domain.errors import Malformed

Pair = tuple[str, str]
ENCODINGS = ("utf-8-sig", "gb18030")
TITLES: dict[str, tuple[str, ...]] = {
    "account": ("account", "本方账号", "账号", "我方账号", "本方帐号", "账户"),
    "serial": ("serial", "交易流水号", "流水号", "银行流水号", "业务流水号", "凭证号"),
    "booked_on": ("booked_on", "交易日期", "记账日期", "入账日期", "交易时间", "日期"),
    "booked_at": ("booked_at", "记账时间", "入账时间", "时间"),
    "direction": ("direction", "借贷标志", "借贷方向", "收支方向", "收/支", "借/贷"),
    "amount": ("amount", "交易金额", "发生额", "金额"),
    "amount_in": ("amount_in", "贷方发生额", "贷方金额", "收入金额", "收入"),
    "amount_out": ("amount_out", "借方发生额", "借方金额", "支出金额", "支出"),
    "currency": ("currency", "币种", "币别"),
    "payer": ("payer", "对方户名", "对方名称", "付款人名称", "对方单位"),
    "payer_account": ("payer_account", "对方账号", "对方帐号", "付款人账号"),
    "text": ("text", "附言", "用途", "摘要", "备注", "交易附言"),
}
"""Our name of a column, and titles under which banks have it. `text` gathers all of its columns."""
DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("in", "贷", "收", "收入", "贷方", "credit", "cr", "c", "+"), "in"),
    **dict.fromkeys(("out", "借", "支", "支出", "借方", "debit", "dr", "d", "-"), "out"),
}
YUAN = {"", "cny", "rmb", "人民币", "156", "01"}
AMOUNT = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:\.(\d{1,2})0{0,18})?")
DAY = re.compile(r"(20\d\d)(?:(\d\d)(\d\d)|[-/.年](\d{1,2})[-/.月](\d{1,2})日?)(?:[T ]?(\d{1,2}:?\d{2}(?::?\d{2})?))?")
SUMS = re.compile(
    r"(本[页日月期次]|[借贷]方|收入|支出)?(合计|小计|总计|累计)(金额|笔数|收入|支出)?[\W\d笔元]*"
    r"|(sub|grand )?totals?[\W\d]*",
    re.IGNORECASE,
)
HOUR = re.compile(r"(\d{1,2}):?(\d{2})(?::?(\d{2}))?")
ROWS_MAX = 100_000
TITLE_ROWS_MAX = 30
TEXT_CHARS_MAX, RAW_CHARS_MAX = 1_000, 4_000


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A movement."""

    row: int  # of the file, as a spreadsheet counts
    raw: str
    account: str
    serial: str
    direction: Direction
    amount_minor: int
    currency: str
    booked_at: datetime
    payer: str = ""
    payer_account: str = ""
    text: str = ""


class Unread(msgspec.Struct, frozen=True):
    """A row that says nothing that can be booked, and why."""

    row: int
    raw: str
    zh: str
    en: str


class File(msgspec.Struct, frozen=True):
    sha256: str
    rows: list[Read]
    unread: list[Unread]


class BadFile(Malformed):
    """`facts` says what was looked for."""

    slug = "bad-bank-file"
    title = "The bank's file cannot be read"


class _BadRow(Exception):
    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.why = (zh, en)


def read(body: bytes, *, account: str = "", encoding: str = "", columns: Mapping[str, str] | None = None) -> File:
    """All rows of a file. `account`: ours, where no column says it; `columns`: our name -> the bank's title.

    Raises BadFile if no row of titles is found, or the bytes are no text.
    """
    table = list(_table(_decoded(body, encoding)))
    titles_row, places = _titles(table, columns or {}, account)
    rows: list[Read] = []
    unread: list[Unread] = []
    for number, cells in table:
        if number <= titles_row or not any(cells):
            continue
        raw = ",".join(cells)[:RAW_CHARS_MAX].replace("\x00", "\ufffd")
        told = {name: _cell(cells, at) for name, at in places.items()}
        if _sums(cells, told["booked_on"]):
            continue
        try:
            rows.append(_row(number, raw, told, account))
        except _BadRow as error:
            unread.append(Unread(number, raw, *error.why))
    return File(sha256(body).hexdigest(), rows, unread)


def _decoded(body: bytes, encoding: str) -> str:
    if encoding and encoding.lower() not in {"utf-8", "utf-8-sig", "gb18030", "gbk", "gb2312"}:
        raise BadFile(
            f"编码 {encoding[:20]!r} 须为 utf-8 或 gb18030 / encoding {encoding[:20]!r} is neither utf-8 nor gb18030",
            known=["utf-8", "gb18030"],
        )
    wanted = "" if not encoding else "utf-8-sig" if encoding.lower().startswith("utf") else "gb18030"
    for each in (wanted,) if wanted else ENCODINGS:
        try:
            return body.decode(each)
        except UnicodeDecodeError:
            continue
    raise BadFile("不是 UTF-8 或 GB18030 文本 / this is no text in UTF-8 or GB18030", known=["utf-8", "gb18030"])


def _table(text: str) -> Iterator[tuple[int, list[str]]]:
    head = text[:4_000]
    delimiter = max(",\t;", key=head.count)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), start=1):
            if number > ROWS_MAX:
                raise BadFile(f"超过 {ROWS_MAX} 行 / more than {ROWS_MAX} rows", limit_rows=ROWS_MAX)
            yield number, [_plain(cell) for cell in cells]
    except csv.Error as error:
        raise BadFile(f"不是 CSV：{error} / this is no CSV: {error}") from error


def _plain(cell: str) -> str:
    r"""A cell without what banks put about a number so that a spreadsheet keeps its digits: ="…", ', a tab.

    >>> _plain('="0012"'), _plain("'0012"), _plain("0012\t")
    ('0012', '0012', '0012')
    """
    text = "".join(each if each.isprintable() else " " for each in cell).strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1].strip()
    return text.removeprefix("'")


def _titles(
    table: Sequence[tuple[int, Sequence[str]]], columns: Mapping[str, str], account: str
) -> tuple[int, dict[str, list[int]]]:
    """The row of titles, and where each of our columns stands."""
    if strange := sorted(columns.keys() - TITLES.keys()):
        raise BadFile(
            f"没有列 {strange[0][:40]} / there is no column {strange[0][:40]}",
            column=strange[0][:40],
            known=list(TITLES),
        )
    wanted = {name: tuple(columns[name].split("+")) if name in columns else known for name, known in TITLES.items()}
    for number, cells in table[:TITLE_ROWS_MAX]:
        places = {name: _places(cells, known, every=name == "text") for name, known in wanted.items()}
        found = {name: at for name, at in places.items() if at}
        if {"serial", "booked_on"} <= found.keys() and found.keys() & {"amount", "amount_in"}:
            if "account" in found or account:
                return number, found
            raise BadFile(
                "文件中没有本方账号一列，请填写“本方账号”"
                " / the file has no column with our account: fill in “our account”",
                missing="account",
            )
    raise BadFile(
        "未找到标题行，须有流水号、日期、金额 / no row of titles with serial number, date and amount was found",
        known={name: list(titles) for name, titles in TITLES.items()},
    )


def _places(cells: Sequence[str], titles: Sequence[str], *, every: bool) -> list[int]:
    plain = [re.sub(r"[\s(（].*$", "", unicodedata.normalize("NFKC", cell)).lower() or "\x00" for cell in cells]
    found = [plain.index(title.strip().lower()) for title in titles if title.strip().lower() in plain]
    return found if every else found[:1]


def _cell(cells: Sequence[str], at: Sequence[int]) -> str:
    return " ".join(dict.fromkeys(cells[place] for place in at if place < len(cells) and cells[place]))


# --- one row ---


def _sums(cells: Sequence[str], day: str) -> bool:
    """Whether it is a line of sums, which no bank gives a day: it says so itself, in the first cell that is filled.

    >>> _sums(["", "合计：", "2"], ""), _sums(["小计", "3"], "小计"), _sums(["合计", "1"], "2026-10-09")
    (True, True, False)
    >>> _sums(["Total Freight Ltd", "1"], ""), _sums(["合计物流公司", "1"], "")  # whoever is called so has paid
    (False, False)
    """
    first = unicodedata.normalize("NFKC", next(filter(None, cells), ""))
    return SUMS.fullmatch(first) is not None and not any(each.isdigit() for each in day)


def _row(number: int, raw: str, cells: Mapping[str, str], account: str) -> Read:
    serial = cells.get("serial", "")
    ours = "".join((cells.get("account", "") or account).split())
    for zh, en, digits in (("流水号", "serial number", serial), ("本方账号", "our account", ours)):
        _check_digits(zh, en, digits)
    direction, minor = _amount(cells)
    for name in ("payer", "payer_account", "text"):
        if len(cells.get(name, "")) > TEXT_CHARS_MAX:
            raise _BadRow(f"文字超过 {TEXT_CHARS_MAX} 字", f"a text is longer than {TEXT_CHARS_MAX} characters")
    return Read(
        row=number,
        raw=raw,
        account=ours,
        serial=serial,
        direction=direction,
        amount_minor=minor,
        currency=_currency(cells.get("currency", "")),
        booked_at=_booked(cells.get("booked_on", ""), cells.get("booked_at", "")),
        payer=cells.get("payer", ""),
        payer_account=cells.get("payer_account", ""),
        text=cells.get("text", ""),
    )


def _check_digits(zh: str, en: str, digits: str) -> None:
    if not digits or len(digits) > 64:  # noqa: PLR2004
        raise _BadRow(f"没有{zh}", f"{en} is missing")
    if re.fullmatch(r"[\d.]+E\+?\d+", digits, re.IGNORECASE):
        raise _BadRow(f"{zh} {digits} 已被表格软件截断", f"{en} {digits} was cut by a spreadsheet")


def _amount(cells: Mapping[str, str]) -> tuple[Direction, int]:
    said: list[tuple[Direction | None, str]] = [
        ("in", cells.get("amount_in", "")),
        ("out", cells.get("amount_out", "")),
    ]
    if "amount" in cells:
        said.append((_direction(cells), cells["amount"]))
    found = [(direction, minor_of(text)) for direction, text in said if text]
    found = [each for each in found if each[1]]
    if len(found) != 1:
        raise _BadRow("须恰有一个不为零的金额", "there must be exactly one amount that is not zero")
    [(direction, minor)] = found
    if direction is None:
        direction = "in" if minor > 0 else "out"
    elif minor < 0:  # the bank takes back what it had booked
        direction = "out" if direction == "in" else "in"
    return direction, abs(minor)


def _direction(cells: Mapping[str, str]) -> Direction | None:
    """None: it is told by the sign."""
    text = cells.get("direction", "").lower()
    if not text:
        return None
    if text not in DIRECTIONS:
        raise _BadRow(f"收支方向 {text[:20]} 不明", f"direction {text[:20]} is not known")
    return DIRECTIONS[text]


def minor_of(text: str) -> int:
    """Yuan as they are written, in fen.

    >>> minor_of("1,234.56"), minor_of("-0.5"), minor_of("￥１２"), minor_of("7.100")
    (123456, -50, 1200, 710)
    """
    plain = unicodedata.normalize("NFKC", text).replace(" ", "").lstrip("¥￥")
    found = AMOUNT.fullmatch(plain)
    if not found:
        raise _BadRow(f"金额 {text[:40]} 无法解读", f"amount {text[:40]} cannot be read")
    sign, whole, cents = found.groups()
    minor = int(whole.replace(",", "")) * 100 + int((cents or "").ljust(2, "0"))
    if minor > AMOUNT_MAX:
        raise _BadRow(f"金额 {text[:40]} 过大", f"amount {text[:40]} is too large")
    return -minor if sign == "-" else minor


def amount_of(text: str) -> int:
    """Yuan as a person writes them, in fen. Raises Malformed."""
    try:
        return minor_of(text)
    except _BadRow as error:
        raise Malformed(" / ".join(error.why), value=text[:40]) from error


def _currency(text: str) -> str:
    """ISO 4217; yuan where nothing is said."""
    if text.lower() in YUAN:
        return "CNY"
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise _BadRow(f"币种 {text[:20]} 不明", f"currency {text[:20]} is not known")
    return text.upper()


def _booked(day: str, hour: str) -> datetime:
    found = DAY.fullmatch(unicodedata.normalize("NFKC", day))
    if found is None:
        raise _BadRow(f"日期 {day[:40]} 无法解读", f"date {day[:40]} cannot be read")
    clock = HOUR.fullmatch(found[6] or hour)
    try:
        on = date(int(found[1]), int(found[2] or found[4]), int(found[3] or found[5]))
        return booked(on, time(int(clock[1]), int(clock[2]), int(clock[3] or 0)) if clock else MIDNIGHT)
    except (ValueError, OverflowError) as error:
        raise _BadRow(f"日期 {day[:40]} 不存在", f"date {day[:40]} does not exist") from error
