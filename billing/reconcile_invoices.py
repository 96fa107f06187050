"""The second join of the reconciliation: what was issued against what the payment provider invoices, line by line.

Which lines an invoice has is worked out here again from the statement (billing/ordering.py makes the order): commercial
lines with an amount, credit brought forward as line 0, and more lines than a provider takes rolled up by service under
the number of the first. Pure. Money is integer minor units (fen).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing.found import Found, both, line_path, statement_path
from billing.gateway import LINES_MAX, ProviderInvoice
from billing.snapshots import Billed, Invoiced, Paper, Provider, Statements

CREDIT_LINE = 0
FITS: Mapping[str, frozenset[str]] = {
    "none": frozenset({"draft"}),  # it is being made
    "open": frozenset({"open"}),
    "paid": frozenset({"paid"}),
    "void": frozenset({"void", "uncollectible"}),
    "reversed": frozenset({"open", "paid"}),  # some providers leave an invoice paid when money is taken back
}
"""What a provider may say of an invoice that stands so with us."""


def invoices(
    statements: Statements, provider: Provider, free: set[tuple[str, int]], unpaid: set[str]
) -> Iterator[Found]:
    """Differences of invoices.

    `free`: statement lines that are free and bear an amount; `unpaid`: statements whose money differs, from which
    another status follows. Both were told already.
    """
    held: dict[str, list[ProviderInvoice]] = defaultdict(list)
    for each in provider.invoices:
        held[each.statement].append(each)
    for paper in statements.papers:
        for found in _of_paper(paper, held.pop(paper.number, []), free):
            if found.code != "status_mismatch" or paper.number not in unpaid:
                yield found
    for each in (one for rest in held.values() for one in rest if one.status != "void"):
        yield Found(
            "line_unknown_to_us",
            f"invoice:{each.ref}",
            statement=each.statement,
            theirs_minor=each.total_minor,
            detail=f"支付方账单 {each.ref} 无对应结算单 / the provider's invoice {each.ref} is for no statement",
        )


def asked_for(paper: Paper, free: set[tuple[str, int]]) -> dict[int, int]:
    """Line -> amount of the invoice that a statement asks for."""
    if paper.payable_minor <= 0:
        return {}
    lines = [line for line in paper.lines if line.amount_minor and (paper.number, line.no) not in free]
    if len(lines) >= LINES_MAX:
        lines = list(_rolled(lines))
    credit = {CREDIT_LINE: paper.brought_forward_minor} if paper.brought_forward_minor else {}
    return credit | {line.no: line.amount_minor for line in lines if line.amount_minor}


def _rolled(lines: Sequence[Billed]) -> Iterator[Billed]:
    sums: Counter[str] = Counter()
    first: dict[str, Billed] = {}
    for line in sorted(lines, key=lambda each: each.no):
        sums[line.item] += line.amount_minor
        first.setdefault(line.item, line)
    for item, line in first.items():
        yield Billed(
            no=line.no,
            item=item,
            item_class=line.item_class,
            used_by=line.used_by,
            used_by_party=line.used_by_party,
            amount_minor=sums[item],
        )


def _of_paper(paper: Paper, held: list[ProviderInvoice], free: set[tuple[str, int]]) -> Iterator[Found]:
    live = [each for each in held if each.status != "void"]
    asked, ours = asked_for(paper, free), paper.invoice
    if not live:
        yield from _gone(paper, held, asked)
        return
    if not paper.payable_minor:
        for each in live:
            yield _unknown(paper, each, "无应付金额却已开单", "nothing is to be paid, and it is invoiced")
        return
    chosen = _named(live, ours) or min(live, key=lambda each: each.ref)
    for each in live:
        if each is not chosen:
            yield Found(
                "duplicate_provider_invoice",
                f"invoice:{each.ref}",
                holder=paper.holder,
                statement=paper.number,
                ours_minor=0,
                theirs_minor=each.total_minor,
                detail=f"{paper.number}: {chosen.ref}, {each.ref}",
                evidence=statement_path(paper.number),
            )
    yield from _against(paper, chosen, asked, free)


def _named(held: Sequence[ProviderInvoice], ours: Invoiced | None) -> ProviderInvoice | None:
    """The one that we know of."""
    return next((each for each in held if ours is not None and each.ref == ours.invoice), None)


def _gone(paper: Paper, held: Sequence[ProviderInvoice], asked: dict[int, int]) -> Iterator[Found]:
    """The provider has no invoice that counts: the one we know of is void, or there never was one."""
    ours = paper.invoice
    void = _named(held, ours)
    if void is not None and (found := _status(paper, void)):
        yield found
    elif void is None and asked and not (ours is not None and ours.voided):
        zh, _, en = (ours.stopped if ours is not None else "").partition(" / ")
        yield Found(
            "line_missing_at_provider",
            f"invoice:{paper.number}",
            holder=paper.holder,
            statement=paper.number,
            ours_minor=paper.payable_minor,
            detail=f"支付方没有这份账单 {zh} / the provider has no invoice for it {en or zh}",
            evidence=statement_path(paper.number),
        )


def _unknown(paper: Paper, each: ProviderInvoice, zh: str, en: str) -> Found:
    return Found(
        "line_unknown_to_us",
        f"invoice:{each.ref}",
        holder=paper.holder,
        statement=paper.number,
        ours_minor=0,
        theirs_minor=each.total_minor,
        detail=both(each.ref, zh, en),
        evidence=statement_path(paper.number),
    )


def _against(paper: Paper, each: ProviderInvoice, asked: dict[int, int], free: set[tuple[str, int]]) -> Iterator[Found]:
    if each.currency.upper() != paper.currency.upper():
        yield Found(
            "currency_mismatch",
            f"invoice:{each.ref}",
            holder=paper.holder,
            statement=paper.number,
            ours_minor=paper.payable_minor,
            theirs_minor=each.total_minor,
            detail=f"{paper.currency}, {each.currency}",
            evidence=statement_path(paper.number),
        )
    else:
        lines = list(_line_by_line(paper, each, asked, free))
        yield from lines
        if not lines:
            yield from _sums(paper, each)
    if found := _status(paper, each):
        yield found


def _line_by_line(
    paper: Paper, each: ProviderInvoice, asked: dict[int, int], free: set[tuple[str, int]]
) -> Iterator[Found]:
    left = dict(asked)
    for line in each.lines:
        no = line.line
        where: Any = {
            "holder": paper.holder,
            "statement": paper.number,
            "line": no or None,
            "theirs_minor": line.amount_minor,
            "evidence": line_path(paper.number, no),
        }
        if no is not None and _is_free(paper, no, free):
            yield Found(
                "free_usage_billed", f"{paper.number}:{no}", ours_minor=0, detail=f"{each.ref} {line.ref}", **where
            )
        elif no is None or no not in left:
            yield Found("line_unknown_to_us", f"line:{each.ref}:{line.ref}", detail=f"{each.ref} {line.ref}", **where)
        else:
            mine = left.pop(no)
            told: Any = {"ours_minor": mine, **where}
            if line.currency.upper() != paper.currency.upper():
                said = f"{paper.currency}, {line.currency}"
                yield Found("currency_mismatch", f"{paper.number}:{no}", detail=said, **told)
            elif line.amount_minor != mine:
                yield Found("amount_mismatch", f"{paper.number}:{no}", detail=f"{each.ref} {line.ref}", **told)
    for no, mine in left.items():
        yield Found(
            "line_missing_at_provider",
            f"{paper.number}:{no}",
            holder=paper.holder,
            statement=paper.number,
            line=no or None,
            ours_minor=mine,
            detail=each.ref,
            evidence=line_path(paper.number, no),
        )


def _is_free(paper: Paper, no: int, free: set[tuple[str, int]]) -> bool:
    line = next((line for line in paper.lines if line.no == no), None)
    return (paper.number, no) in free or (line is not None and not line.amount_minor)


def _sums(paper: Paper, each: ProviderInvoice) -> Iterator[Found]:
    """The provider's own sums, and what we were told it invoices."""
    ours = paper.invoice
    told = ours.total_minor if ours is not None and ours.invoice else paper.payable_minor
    for what, mine, theirs in (
        ("lines", sum(line.amount_minor for line in each.lines), each.total_minor),
        ("invoiced", told, each.total_minor),
    ):
        if mine != theirs:
            yield Found(
                "amount_mismatch",
                f"{what}:{each.ref}",
                holder=paper.holder,
                statement=paper.number,
                ours_minor=mine,
                theirs_minor=theirs,
                detail=both(each.ref, "合计不符", "the totals differ"),
                evidence=statement_path(paper.number),
            )


def standing(ours: Invoiced | None) -> str:
    """How an invoice stands with us: a key of FITS."""
    if ours is None or not ours.invoice:
        return "none"
    if ours.voided:
        return "void"
    if any(moved.kind == "reversal" for moved in ours.movements):
        return "reversed"
    return "paid" if ours.outstanding_minor <= 0 else "open"


def _status(paper: Paper, each: ProviderInvoice) -> Found | None:
    stands = standing(paper.invoice)
    if each.status in FITS[stands]:
        return None
    return Found(
        "status_mismatch",
        f"status:{each.ref}",
        holder=paper.holder,
        statement=paper.number,
        ours_minor=paper.invoice.outstanding_minor if paper.invoice is not None else None,
        theirs_minor=each.outstanding_minor,
        detail=f"{each.ref}: {stands}, {each.status}",
        evidence=statement_path(paper.number),
    )
