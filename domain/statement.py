"""A statement: what an enterprise used in a month, free and paid together, and what it comes to.

Its stream is `statement:NUMBER` in the commerce journal. The document is stored as it was issued, byte for byte; its
SHA-256 covers those bytes, and it names the statement before it, so the statements of a holder are a chain. It is a
function of the journal up to `cut_off` (billing/statement.py) and can be made again from it. Beside the journal the
database keeps the lines (domain/migrations/0018_books.sql): a line that cannot stand there cannot be issued. Money is
integer minor units (fen), tax included; times are UTC; periods are months in Asia/Shanghai.
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec

from domain import fact
from domain.fact import Fact

SCHEMA = "kouan.statement/1"
Kind = Literal["usage", "share", "adjustment"]
KINDS: dict[Kind, tuple[str, str]] = {
    "usage": ("使用", "usage"),
    "share": ("分担", "share of another's usage"),
    "adjustment": ("调整", "adjustment"),
}
Reason = Literal["", "government", "included", "trial", "sandbox", "not_charged"]
REASONS: dict[Reason, tuple[str, str]] = {
    "": ("", ""),
    "government": ("政务服务免费", "government service, free of charge"),
    "included": ("在免费额度内", "within what the tariff includes"),
    "trial": ("试用", "trial"),
    "sandbox": ("演练", "sandbox"),
    "not_charged": ("空结果、被拒、出错或仅发出，不收费", "empty, denied, failed or only sent: no charge"),
}
"""Why a line, or the free part of it, costs nothing."""


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """Who bills: as it stood in the journal at the cut-off (domain/seller.py)."""

    zh: str = ""
    en: str = ""
    tax_id: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""
    drawer: str = ""  # who signs invoices


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the statement is for: a party of the register, or an account that has none."""

    code: str
    is_party: bool
    zh: str = ""
    en: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One item at one price. Of a share, quantities and list price are the whole usage, amounts what is borne here."""

    no: int
    kind: Kind = "usage"
    item: str
    item_class: str  # government, commercial
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    provider: str = ""  # third party that renders it
    tariff: str | None = None  # price version; None: it has no price
    waived: str = ""  # trial, sandbox
    corrects_period: str | None = None  # earlier month in which it was used, that was cut off before
    used_by: str  # holder whose usage it is; another one than the statement's for a share
    used_by_party: bool
    deliveries: int = 0
    quantity: int = 0
    free_quantity: int = 0  # of it, within what the tariff includes
    reversed_quantity: int = 0  # taken back by its source and given back by the tariff
    list_minor: int = 0
    waived_minor: int = 0  # what free units, cap and waiver take off the list price
    whole_minor: int = 0  # what it comes to, before it is shared
    amount_minor: int = 0  # of it, what this holder bears, tax included
    tax_rate_bp: int = 0  # basis points: 600 is 6 %
    net_minor: int = 0
    tax_minor: int = 0
    reason: Reason = ""
    explanation: str = ""  # how it was reckoned, in figures
    reference: str = ""  # of an adjustment, its id


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The document. total = sum of lines; payable = what is left to pay once earlier credit is set off."""

    schema: str = SCHEMA
    number: str
    period: str
    starts_at: datetime
    ends_at: datetime
    zone: str = "Asia/Shanghai"
    seller: Seller
    holder: Holder
    cut_off: int  # position in the commerce journal: nothing behind it counts
    tariffs: tuple[str, ...]  # price versions that lines are rated by
    previous: str = ""  # number of the holder's statement before; "": it is the first
    previous_sha256: str = ""
    currency: str = "CNY"
    lines: tuple[Line, ...]
    list_minor: int
    waived_minor: int
    total_minor: int  # tax included
    net_minor: int
    tax_minor: int
    brought_forward_minor: int = 0  # credit that the statement before left, 0 or below
    payable_minor: int  # 0 or above: it alone goes to a payment provider
    carried_forward_minor: int = 0  # credit that is left for the next one, 0 or below


def canonical(document: Statement) -> bytes:
    """The bytes that are stored and hashed: JSON with sorted keys, no blanks, UTF-8."""
    return msgspec.json.encode(document, order="sorted")


def digest(document: bytes) -> str:
    """SHA-256 of canonical bytes, in hexadecimal."""
    return sha256(document).hexdigest()


def read(document: bytes | msgspec.Raw) -> Statement:
    """A document as it was stored."""
    return msgspec.json.decode(document, type=Statement)


def number_of(period: str, place: int) -> str:
    """Gapless within a month: the place of the holder among all who get one.

    >>> number_of("2026-10", 7)
    'KS-202610-000007'
    """
    return f"KS-{period.replace('-', '')}-{place:06}"


def stream(number: str) -> str:
    return f"statement:{number}"


# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class StatementIssued(Fact, frozen=True, kw_only=True, tag="statement.issued"):
    """It is issued and never changes. The database keeps its lines, or refuses the fact."""

    number: str
    period: str
    holder: str
    is_party: bool
    sha256: str  # of `document`, as it stands here
    document: msgspec.Raw  # canonical bytes of a Statement
    by: str


def issued(document: Statement, *, by: str, at: datetime) -> StatementIssued:
    """The fact that issues a document."""
    raw = canonical(document)
    return StatementIssued(
        happened_at=at,
        recorded_at=at,
        number=document.number,
        period=document.period,
        holder=document.holder.code,
        is_party=document.holder.is_party,
        sha256=digest(raw),
        document=msgspec.Raw(raw),
        by=by,
    )


def identity(document: Statement) -> UUID:
    """The id of its fact: a holder has one statement a month, however often somebody issues them."""
    return fact.digest_id("statement", document.period, str(document.holder.is_party), document.holder.code)


def totals(lines: Iterable[Line]) -> dict[str, int]:
    """The sums of the lines under the names that a Statement has for them."""
    each = list(lines)
    return {
        "list_minor": sum(line.list_minor for line in each if line.kind == "usage"),
        "waived_minor": sum(line.waived_minor for line in each if line.kind == "usage"),
        "total_minor": sum(line.amount_minor for line in each),
        "net_minor": sum(line.net_minor for line in each),
        "tax_minor": sum(line.tax_minor for line in each),
    }


fact.register(StatementIssued)
