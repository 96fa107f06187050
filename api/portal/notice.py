"""The payment notice of a statement as a page to print: how much, by when, to which account, with which words.

For whoever is billed, and for who keeps the books; the same as by API (api/bank_desk.py). To others it is as one that
does not exist. Days are those of Asia/Shanghai.
"""

import asyncio
import re
from datetime import UTC, date, datetime
from typing import Any

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api import words
from api.identity import Account
from api.papers import paper
from api.pool import Pool
from api.portal.pages import AnyRequest, gate, local, on_error, page
from api.register import Register
from api.statements import visible
from api.words import Pair
from billing import bank_books
from billing.bank_books import Notice
from domain.bank_receipt import ZONE
from domain.errors import KouanError
from domain.statement import KINDS

ABOVE = (paper.SELLER["bank"], paper.SELLER["bank_account"])
"""What stands at the head of the notice, and need not stand there twice."""
WORDS: tuple[Pair, ...] = (*KINDS.values(), ("更正", "corrects"), ("上期结转余额", "credit brought forward"))
"""What a line of an invoice may say beside the name of the service (billing/ordering.py)."""
ADJUSTED = " / ".join(KINDS["adjustment"])
FIGURES = re.compile(r"[-+0-9x(), min]+")
ROLLED = re.compile(r"共 [0-9]+ 行，明细见账单 / .+")
PRICED = re.compile(r"([0-9]+) x ([0-9]+)|([0-9]+)")


@get("/statements/{number:str}/notice")
async def notice(
    request: AnyRequest, number: FromPath[str], pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> Response[Any]:
    """What is to be paid for a statement."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"/statements/{number}/notice"))
    whose = visible(account, register)

    def look() -> Notice:
        with pool.connection() as connection:
            return bank_books.notice(connection, number, holder=whose.holder, is_party=whose.is_party)

    found = await asyncio.to_thread(look)
    return page(request, "notice.html", **view(found, datetime.now(UTC).astimezone(ZONE).date()))


def view(found: Notice, today: date) -> dict[str, Any]:
    """What the page is made of."""
    return {
        "notice": found,
        "sent_on": found.sent_at.astimezone(ZONE).date(),
        "overdue": found.outstanding_minor > 0 and found.due_on < today,
        "described": described,
        "seller": [each for each in paper.seller(found.seller)[1:] if each.label not in ABOVE],
    }


def described(description: str, currency: str, lang: str) -> str:
    """A line of the notice, written in both languages and minor units, in one language and money.

    >>> described("推送 / push: 15900 x 2", "CNY", "zh"), described("推送 / push: 15900 x 2", "CNY", "en")
    ('推送：15,900 × ¥0.02', 'push: 15,900 × CN¥0.02')
    >>> described("上期结转余额 / credit brought forward KS-202609-000017", "CNY", "zh")
    '上期结转余额 KS-202609-000017'
    """
    name, *rest = description.split(": ")
    first = _words(name, lang)
    told = [words.said(name, lang) if first == name else first]
    for each in rest:
        reckoned = FIGURES.fullmatch(each) and ADJUSTED not in rest  # an adjustment has a reason there
        told.append(_figures(each, currency, lang) if reckoned else _words(each, lang))
    return words.pick(("：", ": "), lang).join(told)


def _words(part: str, lang: str) -> str:
    """Without the other language where it is a word of ours; a reason stays as it was written."""
    for zh, en in WORDS:
        if part.startswith(both := f"{zh} / {en}"):
            return words.pick((zh, en), lang) + part.removeprefix(both)
    return words.said(part, lang) if ROLLED.fullmatch(part) else part


def _figures(part: str, currency: str, lang: str) -> str:
    def priced(found: re.Match[str]) -> str:
        units, price, alone = found.groups()
        minor = words.money(int(alone or price), currency, lang)
        return f"{words.quantity(int(units), lang)} × {minor}" if units else minor

    return PRICED.sub(priced, part)


ROUTES = [
    Router(
        path="/",
        route_handlers=[notice],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
