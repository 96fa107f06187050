"""What a statement line comes from, and where a delivery is billed: read, judged and put in words. Money is fen.

    line ── entries ── deliveries ── facts of the cargo journal ── messages
    delivery ── entry ── line of a statement, or the reason why there is none ── invoice

Finance and auditors of the node see entries and deliveries of everybody, an enterprise those of its own use and of what
was used for it. How much of the cargo behind them is shown is for api/evidence.py to say.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
import psycopg

from api.bookkeepers import keeps_books
from api.drilled import (
    DUES,
    STATES,
    Bill,
    Counted,
    Decided,
    Delivery,
    DeliveryDrill,
    Due,
    EntryShown,
    InvoiceState,
    LineDrill,
    Party,
    State,
)
from api.evidence import FactsPage
from api.identity import Account, Role
from api.register import Register
from api.words import Pair
from billing import drafting, drilling
from billing.drilling import BEGINNING, BilledOn, Caused, Entry, Place
from domain import statement
from domain.adjustment import AdjustmentApproved, AdjustmentDeclined, AdjustmentProposed
from domain.delivery import DeliveryMade, PushAccepted
from domain.errors import Malformed, Unknown
from domain.fact import Fact, tag_of
from domain.invoice import Invoice
from domain.standing import ChargeFellDue
from domain.statement import REASONS, Line, Reason, Statement
from projections.receivables import Receivable
from projections.usage import Whose

NOWHERE = Place(datetime.min, "", -1, "")  # noqa: DTZ901  no place of any line
READERS: tuple[Role, ...] = ("finance", "auditor")


class BadPlace(Malformed):
    slug = "bad-place"
    title = "The cursor is not one of this line"


def visible(account: Account, register: Register) -> Whose:
    """Whose books are shown: everybody's to finance and auditors of the node, to others their own."""
    if keeps_books(account, register, READERS):
        return Whose()
    return Whose(holder=account.party or account.account, is_party=bool(account.party))


# --- a line ---


class Opened(msgspec.Struct, frozen=True):
    """A line and a page of its entries, with the facts that caused them."""

    document: Statement
    sha256: str
    line: Line
    entries: list[Entry]
    caused: dict[tuple[str, int], Caused]
    next: str
    decisions: list[Fact]
    invoice: Invoice


def open_line(
    connection: psycopg.Connection[Any], whose: Whose, number: str, line: int, *, after: str, limit: int
) -> Opened:
    """Raises Unknown, the same for what is another's as for what is not there, and BadPlace."""
    place = place_of(after)
    document, digest = _document(connection, whose, number, line)
    found = document.lines[line - 1]
    entries = drilling.entries(connection, document, found, after=place, limit=limit + 1)
    page = entries[:limit]
    return Opened(
        document=document,
        sha256=digest,
        line=found,
        entries=page,
        caused=drilling.caused(connection, page),
        next=cursor(page[-1].place) if len(entries) > limit else "",
        decisions=drilling.adjusted(connection, found) if found.kind == "adjustment" else [],
        invoice=drilling.invoice_of(connection, number),
    )


def _document(connection: psycopg.Connection[Any], whose: Whose, number: str, line: int) -> tuple[Statement, str]:
    unknown = Unknown(
        f"没有账单 {number[:40]} 第 {line} 行 / there is no line {line} of a statement {number[:40]}",
        statement=number[:40],
        line=line,
    )
    try:
        raw = drafting.stored(connection, number)
    except Unknown:
        raise unknown from None
    document = statement.read(raw)
    holder = document.holder
    mine = whose.holder is None or (holder.code, holder.is_party) == (whose.holder, whose.is_party)
    if not mine or not 0 < line <= len(document.lines):
        raise unknown
    return document, statement.digest(raw)


def told_of_line(opened: Opened, handed: Sequence[FactsPage]) -> LineDrill:
    """The answer. `handed`: of each entry's delivery."""
    holder = opened.document.holder
    return LineDrill(
        statement=opened.document.number,
        period=opened.document.period,
        sha256=opened.sha256,
        holder=Party(holder.code, holder.is_party, holder.zh, holder.en),
        line=opened.line,
        invoice=invoice_state(opened.invoice, opened.document.payable_minor),
        entries=[
            EntryShown(entry=entry, delivery=told_of(caused), at=path_of(caused.stream, caused.version), handed=facts)
            for entry, facts in zip(opened.entries, handed, strict=True)
            for caused in (opened.caused[entry.stream, entry.version],)
        ],
        next=opened.next,
        decisions=[_decided(each) for each in opened.decisions],
    )


def _decided(told: Fact) -> Decided:
    assert isinstance(told, AdjustmentProposed | AdjustmentApproved | AdjustmentDeclined)
    about = {"fact": tag_of(type(told)), "happened_at": told.happened_at, "by": told.by}
    if isinstance(told, AdjustmentProposed):
        about |= {name: getattr(told, name) for name in ("amount_minor", "reason", "corrects_period", "statement")}
    elif isinstance(told, AdjustmentDeclined):
        about["reason"] = told.reason
    return Decided(**about)  # type: ignore[arg-type]


# --- a delivery ---


class Found(msgspec.Struct, frozen=True):
    """A delivery, what was counted of it, and the lines and invoices that came of that."""

    caused: Caused
    entries: list[Entry]
    lines: list[list[BilledOn]]  # of each entry
    invoices: dict[str, Invoice]
    cut_offs: frozenset[str]


def find_delivery(connection: psycopg.Connection[Any], whose: Whose, stream: str, version: int) -> Found:
    """Raises Unknown, the same for what is another's as for what is not there."""
    caused = drilling.delivery(connection, stream, version)
    unknown = Unknown(
        f"没有交付 {stream[:80]} {version} / there is no delivery {stream[:80]} {version}",
        stream=stream[:80],
        version=version,
    )
    if caused is None or not isinstance(caused.fact, DeliveryMade | PushAccepted | ChargeFellDue):
        raise unknown
    entries = drilling.entries_of(connection, stream, version)
    if not _is_of(whose, caused.fact):
        raise unknown
    lines = [
        [line for line in drilling.lines_of(connection, each) if drilling.may_see(whose, line)] for each in entries
    ]
    statements = {line.statement for each in lines for line in each}
    return Found(
        caused=caused,
        entries=entries,
        lines=lines,
        invoices={each: drilling.invoice_of(connection, each) for each in sorted(statements)},
        cut_offs=drilling.cut_off(connection, {each.billing_period for each in entries}),
    )


def _is_of(whose: Whose, told: DeliveryMade | PushAccepted | ChargeFellDue) -> bool:
    """Whether it is of an enterprise's own use, or of what was used for it."""
    if whose.holder is None:
        return True
    if whose.is_party:
        return whose.holder in {told.party, getattr(told, "behalf", "")}
    return not told.party and told.account == whose.holder


def told_of_delivery(found: Found, handed: FactsPage) -> DeliveryDrill:
    """The answer."""
    counted = [_counted(found, entry, lines) for entry, lines in zip(found.entries, found.lines, strict=True)]
    state: State = counted[0].state if counted else "not_counted"
    return DeliveryDrill(
        delivery=told_of(found.caused), state=state, **_said(STATES[state]), counted=counted, handed=handed
    )


def _counted(found: Found, entry: Entry, lines: Sequence[BilledOn]) -> Counted:
    reason = reason_of(entry)
    state: State = "not_cut_off"
    if lines:
        state = "free" if reason else "billed"
    elif entry.billing_period in found.cut_offs:
        state = "not_issued"
    zh, en = REASONS[reason]
    return Counted(
        entry=entry,
        state=state,
        **_said(STATES[state]),
        reason=reason,
        reason_zh=zh,
        reason_en=en,
        bills=[
            Bill(
                line=line,
                at=f"/v1/statements/{line.statement}/lines/{line.line}",
                invoice=invoice_state(found.invoices[line.statement], line.payable_minor),
            )
            for line in lines
        ],
    )


def reason_of(entry: Entry) -> Reason:
    """Why an entry costs nothing; "": it has a price. Whether that is within what is included, its line says."""
    if entry.item_class == "government":
        return "government"
    if entry.tariff is None:
        return "not_charged"
    return "" if entry.chargeable else ("trial" if entry.waived == "trial" else "sandbox")


# --- both ---


def told_of(caused: Caused) -> Delivery:
    """A delivery as it is shown; a charge that fell due without use has what it has of one."""
    told: Any = caused.fact
    names = set(Delivery.__struct_fields__) & set(told.__struct_fields__)
    common = {name: getattr(told, name) for name in names}
    if isinstance(told, ChargeFellDue):
        common |= {"item_class": "commercial", "channel": "standing"}
    elif isinstance(told, PushAccepted):
        common["channel"] = "push"
    return Delivery(
        stream=caused.stream,
        version=caused.version,
        position=caused.position,
        sha256=sha256(caused.state).hexdigest(),
        fact=tag_of(type(told)),
        **common,
    )


def path_of(stream: str, version: int) -> str:
    return f"/v1/deliveries/{stream}/{version}"


def invoice_state(invoice: Invoice, payable_minor: int) -> InvoiceState:
    """How far it is, and what is owed."""
    due = due_of(invoice, payable_minor)
    return InvoiceState(
        state=due,
        **_said(DUES[due]),
        provider=invoice.provider,
        invoice=invoice.invoice,
        url=invoice.url if invoice.outstanding_minor > 0 else "",
        due_on=invoice.due_on,
        total_minor=invoice.total_minor,
        paid_minor=invoice.paid_minor,
        refunded_minor=invoice.refunded_minor,
        credited_minor=invoice.credited_minor,
        outstanding_minor=invoice.outstanding_minor,
    )


def due_of(invoice: Invoice | Receivable | None, payable_minor: int) -> Due:
    """How far the invoice of a statement is; None: nothing was told of one."""
    if not payable_minor:
        return "nothing"
    if invoice is None:
        return "not_sent"
    if invoice.stopped:
        return "stopped"
    if invoice.voided:
        return "voided"
    if not invoice.invoice:
        return "not_sent"
    return "open" if invoice.outstanding_minor > 0 else "paid"


def _said(pair: Pair) -> dict[str, str]:
    return {"zh": pair[0], "en": pair[1]}


# --- the cursor of a line ---


def cursor(place: Place) -> str:
    """The opaque cursor behind an entry."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(text: str) -> Place:
    """Behind which entry to go on; "" is the beginning. Raises BadPlace."""
    if not text:
        return BEGINNING
    try:
        place = _place.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (msgspec.MsgspecError, ValueError):
        place = NOWHERE
    if place.at.tzinfo is None or "\x00" in place.stream + place.meter or not 0 <= place.version < 2**63:
        raise BadPlace(
            f"游标 {text[:80]!r} 不是本行给出的 / cursor {text[:80]!r} was not given out by this line", after=text[:80]
        )
    return place


_place = msgspec.json.Decoder(Place)
