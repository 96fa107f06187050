"""What a bank desk has on a busy day: movements in each state, rows that cannot be read, a refund, open notices."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from api.portal.bank import Listing, Opened, Overview, Told
from billing.bank_books import (
    Asked,
    Counts,
    MatchShown,
    Notice,
    Owed,
    ReceiptShown,
    RefundShown,
    Settled,
    UnreadShown,
)
from billing.bank_csv import Unread
from billing.bank_matching import Imported
from tests import sample_statement

NOW = datetime(2026, 11, 20, 2, 40, tzinfo=UTC)
TODAY = date(2026, 11, 20)
NUMBER, OTHER = "KS-202610-000017", "KS-202610-000018"
ACCOUNT, PAYERS = sample_statement.SELLER.bank_account, "6222000011112222333"
LONG = "第二示例国际货运代理（江苏）有限公司"
SHA = "9b1c" * 16


def receipt(serial: str, amount_minor: int, **told: Any) -> ReceiptShown:
    """Money that came in; of it what is neither matched nor settled waits."""
    taken = told.get("matched_minor", 0) + told.get("settled_minor", 0)
    described: dict[str, Any] = {
        "receipt": f"R-{serial:0>16}",
        "account": ACCOUNT,
        "serial": f"20261118{serial:0>8}",
        "direction": "in",
        "amount_minor": amount_minor,
        "currency": "CNY",
        "booked_at": datetime(2026, 11, 18, 1, 30, tzinfo=UTC),
        "payer": "示例外贸有限公司",
        "payer_account": PAYERS,
        "text": f"服务费 {NUMBER}",
        "matched_minor": 0,
        "settled_minor": 0,
        "waiting_minor": amount_minor - taken,
        "imported_at": NOW,
        "file_sha256": SHA,
        "row": 5,
        "position": 4_900_200,
        "matches": [],
    }
    return ReceiptShown(**described | told)


def match(receipt_: str, number: int, amount_minor: int, **told: Any) -> MatchShown:
    described: dict[str, Any] = {
        "payment": f"{receipt_}-{number}",
        "statement": NUMBER,
        "amount_minor": amount_minor,
        "rule": "hand",
        "reason": "电话确认，分两笔付",
        "by": "finance-demo",
        "at": NOW,
        "undone_at": None,
        "undone_why": "",
    }
    return MatchShown(**described | told)


PART = receipt(
    "1041", 5_000_000, matched_minor=4_000_000, matches=[
        match("R-0000000000001041", 1, 5_000_000, statement=OTHER, rule="reference", reason="",
              undone_at=NOW, undone_why="错认"),
        match("R-0000000000001041", 2, 4_000_000),
    ],
)  # fmt: skip
WAITING = [
    PART,
    receipt("1042", 77_700, payer="", payer_account="", text="货款", booked_at=datetime(2026, 11, 17, 16, tzinfo=UTC)),
    receipt("1043", 6_000, direction="out", payer=LONG, text="退款"),
]
ROWS = [
    Unread(7, "3200000000000000001,1.2026E+19,2026-11-18,1.06,,示例外贸有限公司", "流水号 1.2026E+19 已被表格软件截断",
           "serial number 1.2026E+19 was cut by a spreadsheet"),
    Unread(9, "3200000000000000001,,2026-11-18,50770.00,,,", "没有流水号", "serial number is missing"),
]  # fmt: skip
DONE = Imported(file_sha256=SHA, rows=46, new=41, repeated=3, matched=38, unread=ROWS)
UNREAD = [
    UnreadShown(file_sha256=SHA, row=row.row, raw=row.raw, zh=row.zh, en=row.en, by="finance-demo", at=NOW)
    for row in ROWS
]
REFUND = RefundShown(
    refund="RF-R-0000000000000911-1-3F0A9C21", payment="R-0000000000000911-1", amount_minor=6_000, currency="CNY",
    credit_note="CN-KS-202609-000017-1", made_at=NOW - timedelta(days=3), paid_at=None, receipt=None,
    statement="KS-202609-000017", payee=LONG, payee_account=PAYERS,
)  # fmt: skip
REFUNDS = [
    REFUND,
    RefundShown(
        refund="RF-R-0000000000000912-1-77D0E1B2", payment="R-0000000000000912-1", amount_minor=120, currency="CNY",
        credit_note="", made_at=NOW, paid_at=None, receipt=None, statement=NUMBER, payee="示例外贸有限公司",
        payee_account=PAYERS,
    ),
]  # fmt: skip
OWED = [
    Owed(
        statement=number, holder="91320000MA0000277B", holder_zh=zh, holder_en=en, currency="CNY",
        total_minor=total, paid_minor=paid, credited_minor=credited, outstanding_minor=total - paid - credited,
        due_on=date(2026, 12, 9), sent_at=NOW - timedelta(days=10),
    )
    for number, zh, en, total, paid, credited in (
        (NUMBER, "示例外贸有限公司", "Sample Trading Co., Ltd.", 5_000_000, 4_000_000, 0),
        (OTHER, LONG, "Second Sample International Forwarding Co., Ltd.", 77_700, 0, 5_000),
    )
]  # fmt: skip
LISTINGS = {
    "waiting": Listing(receipts=WAITING, next=WAITING[-1].position),
    "unread": Listing(unread=UNREAD),
    "refunds": Listing(refunds=REFUNDS, outgoing=WAITING[2:]),
    "notices": Listing(notices=OWED),
}


def overview(tab: Any = "waiting") -> Overview:
    return Overview(tab=tab, listing=LISTINGS[tab], counts=Counts(3, 2, 2), our_account=ACCOUNT)


def told() -> Told:
    """A file was just taken in."""
    return Told(imported=DONE)


def opened() -> Opened:
    return Opened(receipt=PART, open_notices=OWED)


def settled() -> Opened:
    """Of it one part went back, and the rest concerns no statement."""
    about: dict[str, Any] = {"refund": "", "statement": "", "by": "finance-demo", "at": NOW}
    parts = [
        Settled(way="returned", amount_minor=70_000, reason="多付，客户来电", reference="2026111900000007", **about),
        Settled(way="set_aside", amount_minor=7_700, reason="利息", reference="", **about),
    ]
    return Opened(receipt=receipt("1044", 77_700, settled_minor=77_700), settled=parts)


def paid_out() -> Opened:
    """It was a refund."""
    about: dict[str, Any] = {"reason": "", "reference": "", "by": "finance-demo", "at": NOW}
    part = Settled(way="paid_out", amount_minor=6_000, refund=REFUND.refund, statement=REFUND.statement, **about)
    whole = receipt("1045", 6_000, direction="out", payer=LONG, text="退款", settled_minor=6_000)
    return Opened(receipt=whole, settled=[part])


def going_out() -> Opened:
    return Opened(receipt=WAITING[2], refunds=REFUNDS[:1])


def notice() -> Notice:
    document = sample_statement.drawn()
    description = "上期结转余额 / credit brought forward KS-202609-000017"
    lines = [
        Asked(line=0, item="credit", description=description, amount_minor=-371),
        Asked(line=2, item="feed.pull", description="事件流拉取 / Feed, pulled: 23175 x 2", amount_minor=46_350),
        Asked(line=3, item="bulk.query", description="批量查询 / Bulk query: 500 x 2", amount_minor=1_000),
    ]  # fmt: skip
    total = sum(line.amount_minor for line in lines)
    return Notice(
        notice="PN-KS-202610-000017-6FD1A2B3", statement=NUMBER, reference=NUMBER, seller=document.seller,
        holder=document.holder, currency="CNY", total_minor=total, paid_minor=40_000, credited_minor=1_000,
        outstanding_minor=total - 41_000, due_on=date(2026, 12, 9), sent_at=NOW, lines=lines,
    )  # fmt: skip
