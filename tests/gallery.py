"""Every page of the portal with made-up content, from the real templates: for tests in a browser, and to look at.

python -m granian --interface asgi tests.gallery:app
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath

from api import fees, surplus
from api.identity import Account
from api.login.keys import Key
from api.login.routes import Me
from api.login.sessions import Session
from api.portal import (
    bank,
    drill,
    month_view,
    months,
    notice,
    pages,
    quarantine,
    seller,
    statements,
    subscriptions,
    view,
)
from api.portal.pages import Offer
from api.settings import Fees
from billing import tariff
from domain.catalogue import price_of
from projections.catalogue import Listed
from tests import (
    sample_answers,
    sample_bank,
    sample_desk,
    sample_drill,
    sample_dunning,
    sample_fapiao,
    sample_months,
    sample_reconciliation,
    sample_statement,
    sample_subscriptions,
)

CLERK = Account("finance-demo", "finance", "示例财务人员", "Sample finance clerk")
ITEMS = [
    Listed(item.item, item.item_class, item.zh, item.en, item.unit_zh, item.unit_en, item.free_alternative)
    for item in tariff.ITEMS
]
PRICES = [price_of(told) for told in tariff.TARIFFS]
OFFERS = [Offer(item, tariff.in_force(PRICES, item.item, sample_answers.NOW)) for item in ITEMS]
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("home.html", {"offers": OFFERS}),
    "sign-in": ("sign_in.html", {"refused": True, "said": "", "issuers": [], "session_hours": 8}),
    "unknown": ("unknown.html", {"number": "MSKU0000000"}),
    "foreign": ("foreign.html", {}),
    "error": ("error.html", {"code": 503, "detail": "The cargo journal cannot be reached; try again"}),
    "error-unknown": ("error.html", {"code": 404, "detail": "没有账单 KS-1 / there is no statement KS-1"}),
    "usage": (
        "usage.html",
        {
            "report": sample_answers.used(),
            "items": {item.item: item for item in ITEMS},
            "everybody": True,
            "now": sample_answers.NOW,
            "by": "item",
            "month": "2026-10",
            "before": "2026-09",
            "after": "",
        },
    ),
    "quarantine": ("quarantine.html", quarantine.overview(sample_desk.listing(), {"state": "open"})),
    "quarantined": (
        "quarantined.html",
        {"tried": True, "refused": sample_desk.ODD, **quarantine.view(sample_desk.shown())},
    ),
}
PAGES["subscriptions"] = (
    "subscriptions.html",
    subscriptions.context(sample_subscriptions.found(OFFERS), sample_subscriptions.NOW),
)
NOW = sample_answers.NOW
LISTED = [
    msgspec.structs.replace(item, content_zh=item.zh, listed_at=datetime(2026, 1, 1, tzinfo=UTC)) for item in ITEMS
]
DEARER = msgspec.structs.replace(
    PRICES[0], version="feed.pull/2027-01-01", effective_from=NOW + timedelta(days=31), published_at=NOW
)
PAGES["fees"] = (
    "fees.html",
    {
        "schedule": fees.schedule(LISTED, [*PRICES, DEARER], NOW, Fees()),
        "at": "",
        "day": fees.day,
        "balance": surplus.CostRecovery(
            month="2026-10",
            regime="cost_recovery",
            items=[
                surplus.Account(
                    item="feed.pull",
                    quantity=23_175,
                    revenue_minor=46_350,
                    cost_minor=40_000,
                    surplus_minor=6_350,
                    review_due=False,
                    alarm=True,
                )
            ],
            revenue_minor=46_350,
            cost_minor=40_000,
            alarm=True,
            position=1,
        ),
    },
)
PAGES["account"] = (
    "account.html",
    {
        "refused": "",
        "made": None,
        "enrolment": None,
        "codes": [],
        "days_max": 400,
        "scopes": ["track", "usage"],
        "me": Me(
            "finance-demo",
            "finance",
            "示例财务人员",
            "Sample finance clerk",
            "91320000MA0000015K",
            (),
            "",
            (),
            [],
            False,
        ),
        "keys": [Key("30f8a5b41b05", "finance-demo", "对账", ["usage"], [], "node", NOW, NOW, NOW, None)],
        "sessions": [Session("0123abcd", "password", "203.0.113.7", NOW, NOW, NOW, this=True)],
    },
)
PAGES["statements"] = ("statements.html", statements.overview(*sample_statement.listing()))
PAGES["statement"] = (
    "statement.html",
    statements.view(
        sample_statement.paper(), sample_statement.paid(), sample_statement.remade(), sample_fapiao.on_statement()
    ),
)
PAGES["reconciliation"] = (
    "reconciliation.html",
    {"refused": "", **sample_reconciliation.page(CLERK.account)},
)
PAGES["seller"] = ("seller.html", {"refused": "", **seller.view(sample_statement.SELLER, acts=True)})
PAGES["months"] = ("months.html", month_view.listed(sample_months.overview(), acts=True))
PRICED = [item for item in ITEMS if item.item_class == "commercial"]
for named, month in {
    "month": sample_months.found(items=PRICED),
    "month-open": sample_months.found(sample_months.OPEN, PRICED),
    "month-closed": sample_months.closed(PRICED),
}.items():
    shown_month = month_view.view(month, sample_months.NOW, me=CLERK.account, acts=True, key="0")
    PAGES[named] = ("month.html", {"refused": "", "typed": months.UNTYPED, **shown_month})
DESK = bank.view(sample_bank.overview(), sample_bank.told(), acts=True)
PAGES["bank"] = ("bank.html", DESK)
for each in ("unread", "refunds", "notices"):
    PAGES[f"bank-{each}"] = ("bank.html", bank.view(sample_bank.overview(each), bank.Told(), acts=True))
PAGES["bank-receipt"] = (
    "bank_receipt.html",
    {"refused": "", **bank.receipt_view(sample_bank.opened(), {}, once="0", acts=True)},
)
for name_, each_ in (
    ("settled", sample_bank.settled()),
    ("paid-out", sample_bank.paid_out()),
    ("out", sample_bank.going_out()),
):
    PAGES[f"bank-receipt-{name_}"] = (
        "bank_receipt.html",
        {"refused": "", **bank.receipt_view(each_, {}, once="0", acts=True)},
    )
PAGES["notice"] = ("notice.html", notice.view(sample_bank.notice(), sample_bank.TODAY))
PAGES["fapiao"] = ("fapiao.html", sample_fapiao.month(ITEMS))
PAGES["fapiao-waiting"] = ("fapiao_one.html", sample_fapiao.one(sample_fapiao.WAITING))
PAGES["fapiao-different"] = ("fapiao_one.html", sample_fapiao.one(sample_fapiao.DIFFERENT))
PAGES["dunning"] = ("dunning.html", sample_dunning.shown())
PAGES["dunning-own"] = ("dunning.html", sample_dunning.shown(sample_statement.THEIRS))
PAGES["books-line"] = ("books_line.html", drill.of_line(sample_drill.LINE))
PAGES["books-delivery"] = ("books_delivery.html", drill.of_delivery(sample_drill.MADE))
PAGES["books-message"] = ("books_message.html", drill.of_message(sample_drill.RAW))
ANSWERS = {"box": sample_answers.box, "waybill": sample_answers.waybill}


@get("/show/{name:str}", sync_to_thread=False)
def show(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[str]:
    """One page, as a signed-in clerk sees it, or a stranger where it asks to sign in."""
    request.scope["user"] = None if name == "sign-in" else CLERK
    if name in ANSWERS:
        timeline = view.arrange(ANSWERS[name](), pages.spoken(request), sample_answers.NOW)
        return pages.page(request, "timeline.html", timeline=timeline)
    template, context = PAGES[name]
    return pages.page(request, template, next_path="/usage" if name == "sign-in" else "", **context)


OURS = SimpleNamespace(rights=SimpleNamespace(kinds={}))  # a register that knows no party: the clerk is the node's own
app = Litestar([show, pages.ROUTES[-1]], openapi_config=None, state=State({"register": OURS}))
