"""The third join of the reconciliation: invoices against payments, refunds, credit notes and fapiao.

What moved is held against the journal movement by movement, by the provider's ids; of what was taken back
(charge-backs, matches undone) the sum for each payment, for providers name those in their own ways. Pure. Money is
integer minor units (fen).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from billing.found import Found, both, statement_path
from billing.gateway import ProviderInvoice, ProviderPayment
from billing.snapshots import Movement, Paper, Provider, Statements
from domain.reconciliation import Code

KINDS = {"payment": "收款", "reversal": "撤销", "refund": "退款", "credit_note": "贷项"}
LOST_AT = {"bank": "/v1/bank/receipts?state=waiting"}
"""Where money is shown that belongs to nothing."""


class Moved(msgspec.Struct, frozen=True):
    """A movement as one side tells it."""

    kind: str
    ref: str
    amount_minor: int
    fee_minor: int = 0
    currency: str = ""
    credit_note: str = ""


def moneys(statements: Statements, provider: Provider) -> Iterator[Found]:
    """Differences of money."""
    numbers = {paper.number for paper in statements.papers}
    of_invoice = {each.ref: each.statement for each in provider.invoices}
    by_paper: dict[str, list[ProviderPayment]] = defaultdict(list)
    lost: list[ProviderPayment] = []
    for each in provider.movements:
        number = each.statement or of_invoice.get(each.invoice, "")
        (by_paper[number] if number in numbers else lost).append(each)
    for paper in statements.papers:
        yield from _of_paper(paper, by_paper.get(paper.number, []))
        yield from _fapiao(paper)
    yield from _lost(lost, provider.provider)
    yield from _balances(statements, provider.invoices)


# --- of one statement ---


def _of_paper(paper: Paper, movements: Sequence[ProviderPayment]) -> Iterator[Found]:
    own = paper.invoice.movements if paper.invoice is not None else ()
    ours, theirs = _by_name(own), _by_name(movements)
    notes = {ref for kind, ref in ours.keys() | theirs.keys() if kind == "credit_note"}
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        moved = other or mine
        assert moved is not None
        if moved.kind == "refund" and _without_note(mine, other, notes):
            yield _found("refund_without_credit_note", paper, moved, mine, other)
        elif mine is None or other is None:
            yield _found("amount_mismatch", paper, moved, mine, other)
        elif mine.currency and mine.currency.upper() != other.currency.upper():
            yield _found("currency_mismatch", paper, moved, mine, other)
        elif _moneys(mine) != _moneys(other) or not 0 <= moved.fee_minor <= moved.amount_minor:
            yield _found("amount_mismatch", paper, moved, mine, other)
    yield from _too_much(paper, ours)


def _by_name(movements: Iterable[Movement | ProviderPayment]) -> dict[tuple[str, str], Moved]:
    found: dict[tuple[str, str], Moved] = {}
    for each in movements:
        ref = each.of if each.kind == "reversal" and each.of else each.ref
        had = found.get((each.kind, ref))
        found[each.kind, ref] = Moved(
            each.kind,
            ref,
            each.amount_minor + (had.amount_minor if had is not None else 0),
            each.fee_minor + (had.fee_minor if had is not None else 0),
            each.currency,
            each.credit_note,
        )
    return found


def _moneys(moved: Moved) -> tuple[int, int]:
    return moved.amount_minor, moved.fee_minor


def _without_note(mine: Moved | None, other: Moved | None, notes: set[str]) -> bool:
    """Whether nobody names a credit note that is there."""
    return not {each.credit_note for each in (mine, other) if each is not None} & notes


def _found(code: Code, paper: Paper, moved: Moved, mine: Moved | None, other: Moved | None) -> Found:
    fees = tuple(each.fee_minor if each is not None else 0 for each in (mine, other))
    zh, en = ("", "") if fees[0] == fees[1] else (f"，手续费 {fees[0]}、{fees[1]}", f", fee {fees[0]}, {fees[1]}")
    return Found(
        code,
        f"{moved.kind}:{moved.ref}",
        holder=paper.holder,
        statement=paper.number,
        ours_minor=mine.amount_minor if mine is not None else None,
        theirs_minor=other.amount_minor if other is not None else None,
        detail=f"{KINDS[moved.kind]} {moved.ref} {moved.currency}{zh} / {moved.kind} {moved.ref} {moved.currency}{en}",
        evidence=statement_path(paper.number),
    )


def _too_much(paper: Paper, ours: dict[tuple[str, str], Moved]) -> Iterator[Found]:
    """No more is given back on a credit note than it credits."""
    back: dict[str, int] = defaultdict(int)
    for (kind, _), moved in ours.items():
        if kind == "refund" and moved.credit_note:
            back[moved.credit_note] += moved.amount_minor
    for note, minor in back.items():
        credited = ours.get(("credit_note", note))
        if credited is not None and minor > credited.amount_minor:
            yield Found(
                "refund_without_credit_note",
                f"credited:{note}",
                holder=paper.holder,
                statement=paper.number,
                ours_minor=credited.amount_minor,
                theirs_minor=minor,
                detail=f"退款多于贷项 {note} / more was given back than {note} credits",
                evidence=statement_path(paper.number),
            )


# --- fapiao ---


def _fapiao(paper: Paper) -> Iterator[Found]:
    """Of what is paid there is a fapiao, of what was credited a red one: together they are what is owed."""
    ours = paper.invoice
    if ours is None or not ours.invoice or ours.voided:
        return
    due, told = ours.total_minor - ours.credited_minor, sum(each.amount_minor for each in paper.fapiao)
    settled = ours.outstanding_minor <= 0 and ours.paid_minor - ours.refunded_minor > 0
    code: Code
    if paper.fapiao and told != due:
        code, said = "fapiao_amount_mismatch", ", ".join(each.number for each in paper.fapiao)
    elif settled and due and not paper.fapiao:
        code, said = "fapiao_missing", "已付清，未登记发票 / it is paid, and no fapiao is recorded"
    else:
        return
    yield Found(
        code,
        f"fapiao:{paper.number}",
        holder=paper.holder,
        statement=paper.number,
        ours_minor=due,
        theirs_minor=told,
        detail=said,
        evidence=statement_path(paper.number),
    )


# --- what belongs to nothing ---


def _lost(movements: Sequence[ProviderPayment], provider: str) -> Iterator[Found]:
    """Money that came in for no invoice, less what was sent back of it."""
    net: dict[str, int] = defaultdict(int)
    for each in movements:
        if each.kind == "payment":
            net[each.of or each.ref] += each.amount_minor
    for each in movements:
        if each.kind in {"refund", "reversal"} and each.of in net:
            net[each.of] -= each.amount_minor
    for ref, minor in net.items():
        if minor:
            yield Found(
                "payment_without_invoice",
                f"payment:{ref}",
                theirs_minor=minor,
                detail=ref,
                evidence=LOST_AT["bank"] if "bank" in provider else "",
            )
    for each in movements:
        if each.kind == "credit_note":
            yield Found(
                "line_unknown_to_us", f"credit_note:{each.ref}", theirs_minor=each.amount_minor, detail=each.ref
            )
        elif each.kind != "payment" and each.of not in net:
            yield Found(
                "refund_without_credit_note", f"{each.kind}:{each.ref}", theirs_minor=each.amount_minor, detail=each.ref
            )


def _balances(statements: Statements, invoices: Sequence[ProviderInvoice]) -> Iterator[Found]:
    """Of each invoice at the provider: paid + credited + outstanding = total."""
    papers = {paper.number: paper for paper in statements.papers}
    for each in invoices:
        paper = papers.get(each.statement)
        come_to = each.paid_minor + each.credited_minor + each.outstanding_minor
        if paper is not None and each.status in {"open", "paid"} and come_to != each.total_minor:
            yield Found(
                "amount_mismatch",
                f"balance:{each.ref}",
                holder=paper.holder,
                statement=paper.number,
                ours_minor=each.total_minor,
                theirs_minor=come_to,
                detail=both(each.ref, "已付、贷记、未付之和不等于总额", "paid, credited, outstanding: not the total"),
                evidence=statement_path(paper.number),
            )
