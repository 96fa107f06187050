"""Fapiao of a month in every state, and of one statement on its way: for pages and pictures."""

from datetime import UTC, date, datetime
from typing import Any

from api.portal import fapiao as pages
from api.portal import fapiao_forms as forms
from api.portal.fapiao import Found, Month
from api.portal.fapiao_forms import OnStatement
from billing import fapiao
from billing.fapiao_books import BlueShown, Shown
from billing.rating import tax_split
from domain import statement
from domain.fapiao import FapiaoReddened, FapiaoRequested, ItemClassified, Title
from projections.catalogue import Listed
from tests import sample_statement
from tests.sample_statement import OURS, THEIRS

NOW = datetime(2026, 11, 5, 3, 20, tzinfo=UTC)
MONTH, NUMBER = "2026-10", "KS-202610-000017"
BLUE, RED, CONFIRMATION = "26322000000000000017", "26322000000000000018", "32000026110000000001"
BUYER = Title(name="示例外贸有限公司", tax_id=OURS, bank="示例银行", bank_account="3200000000000000277")
CLASSES = {
    "feed.pull": ItemClassified(
        happened_at=NOW, recorded_at=NOW, item="feed.pull", tax_code="3040203000000000000", short="信息技术服务", by="x"
    )
}
NAMES = {
    (OURS, True): ("示例外贸有限公司", "Sample Trading Co., Ltd."),
    (THEIRS, True): ("示例物流", "Sample Logistics"),
}


def requested(number: str, total: int) -> FapiaoRequested:
    net, tax = tax_split(total, 600)
    told: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "statement": number, "by": "trader"}
    sums: dict[str, Any] = {"net_minor": net, "tax_minor": tax, "total_minor": total}
    return FapiaoRequested(**told, serial=f"FP-{number}-1", kind="special", buyer=BUYER, **sums)


def red(number: str, total: int) -> FapiaoReddened:
    net, tax = tax_split(total, 600)
    told: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "statement": number, "by": "finance-demo"}
    sums: dict[str, Any] = {"net_minor": -net, "tax_minor": -tax, "total_minor": -total}
    about: dict[str, Any] = {"number": RED, "original": BLUE, "confirmation": CONFIRMATION, "reason": "折让"}
    return FapiaoReddened(**told, **about, kind="special", issued_on=date(2026, 11, 5), **sums, credit_note="CN-1")


def shown(number: str = NUMBER, state: str = "missing", payable: int = 42_000, **more: Any) -> Shown:
    told: dict[str, Any] = {"statement": number, "period": MONTH, "holder": OURS, "is_party": True}
    told |= {"payable_minor": payable, "credited_minor": 0, "issued_minor": 0, "difference_minor": 0, "state": state}
    return Shown(**told | {"waiting": None, "blue": [], "red": []} | more)


def blue(total: int, left: int) -> list[BlueShown]:
    return [BlueShown(BLUE, "special", total, left, date(2026, 11, 4), "finance-demo", NOW)]


DIFFERENT = shown(
    state="different",
    credited_minor=1_000,
    issued_minor=41_500,
    difference_minor=500,
    blue=blue(42_000, 41_500),
    red=[red(NUMBER, 500)],
)
WAITING = shown(state="requested", waiting=requested(NUMBER, 42_000))


def month(items: list[Listed]) -> dict[str, Any]:
    """As finance sees it."""
    found = [
        shown("KS-202610-000001", "issued", 10_600, issued_minor=10_600, blue=blue(10_600, 10_600)),
        shown("KS-202610-000002", "requested", waiting=requested("KS-202610-000002", 42_000)),
        shown("KS-202610-000003", payable=1_234_567, holder=THEIRS),
        DIFFERENT,
    ]
    charged = [each for each in items if each.item_class == "commercial"]
    told = Month(MONTH, found, NAMES, charged, CLASSES)
    return {"refused": "", "acts": True, "exports": True, **pages.overview(told, {"state": "", "after": ""})}


def one(each: Shown) -> dict[str, Any]:
    """One statement's, as finance sees it; what waits is prepared for the tax platform."""
    request = None
    if each.waiting:
        raw = sample_statement.paper().document
        request = fapiao.prepare(
            statement.read(raw), statement.digest(raw), serial=each.waiting.serial, kind="special", buyer=BUYER,
            classes=CLASSES,
        )  # fmt: skip
    found = Found(each, NAMES[OURS, True], request, {"CN-1": 1_000} if each.blue else {})
    return {"refused": "", "acts": True, "exports": True, **pages.view(found, NOW)}


def on_statement() -> OnStatement:
    """As whoever is billed sees it: asked for, and it may still be changed."""
    return OnStatement(found=WAITING, asks=True, fields=forms.asking(WAITING, BUYER.name))
