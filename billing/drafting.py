"""Drafting a month's statements, issuing them, and making one again: from the journal and the usage rows to facts.

All that a statement rests on lies before the cut-off of its month, so that whoever drafts it, and however much later,
comes to the same bytes. Holders are numbered in the order of their codes. Issuing a second time adds nothing. However
many there are, they take the same memory: usage is read holder by holder, the lines wait in a temporary table.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import Any, TypeVar

import msgspec
import psycopg

from billing import statement as drawing
from billing.metering import charges
from billing.statement import Borne, Pinned, Previous
from domain import catalogue, fact, period, seller, statement
from domain.adjustment import AdjustmentApproved
from domain.catalogue import Item, ItemListed
from domain.errors import Refused, Unknown
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.party import PartyRegistered, PartyRenamed
from domain.statement import Line, Statement
from domain.writer import Writer
from projections import usage
from projections.usage import Whose

T = TypeVar("T")
BATCH = 200  # statements that are written together
DRAFTS = """
CREATE TEMPORARY TABLE statement_drafts (
    holder   text COLLATE "C" NOT NULL,
    is_party boolean NOT NULL,
    line     bytea NOT NULL
) ON COMMIT DROP
"""
DRAFT = "COPY statement_drafts (holder, is_party, line) FROM STDIN"
DRAFTED = """
WITH before AS (
    SELECT DISTINCT ON (holder, is_party) holder, is_party, carried_forward_minor
    FROM issued_statements WHERE period < %s
    ORDER BY holder, is_party, period DESC
),
drafted AS (SELECT holder, is_party, array_agg(line) AS lines FROM statement_drafts GROUP BY holder, is_party)
SELECT holder, is_party, lines
FROM drafted FULL JOIN (SELECT * FROM before WHERE carried_forward_minor < 0) AS credit USING (holder, is_party)
ORDER BY holder COLLATE "C", is_party
"""
PREVIOUS = """
SELECT statement, sha256, carried_forward_minor FROM issued_statements
WHERE holder = %s AND is_party = %s AND period < %s
ORDER BY period DESC LIMIT 1
"""
TOLD = """
SELECT state FROM commerce_events
WHERE originator_id >= %(from)s AND originator_id < %(to)s AND topic = ANY(%(topics)s)
  AND notification_id > %(after)s AND notification_id <= %(upto)s
ORDER BY notification_id
"""


class NotCutOff(Refused):
    """`facts.period`."""

    slug = "period-not-cut-off"
    title = "The month is not cut off yet"


class Differs(Refused):
    """`facts.statements`: numbers. Issued before, and not what the journal and the usage rows come to now."""

    slug = "statement-differs"
    title = "A statement that was issued cannot be made again"


class Issued(msgspec.Struct, frozen=True):
    """What became of issuing a month's statements."""

    statements: int
    new: int  # of them, not issued before
    total_minor: int
    payable_minor: int
    last_sha256: str


# --- what is pinned: the journal up to the cut-off ---


def pin(connection: psycopg.Connection[Any], month: str) -> Pinned:
    """What the statements of a month rest on beside usage. Raises NotCutOff until the usage rows have its cut-off."""
    cut_off = usage.cut_offs(connection).get(month)
    if cut_off is None:
        raise NotCutOff(f"{month} 尚未截止 / {month} is not cut off yet", period=month)
    return Pinned(
        period=month,
        cut_off=cut_off,
        selling=seller.folded(_told(connection, "seller", seller.SellerDescribed, seller.TaxRateSet, upto=cut_off)),
        items=_items(connection, cut_off),
        prices=_prices(connection, cut_off),
        names=_names(connection, cut_off),
    )


def _told(connection: psycopg.Connection[Any], kind: str, *types: type[Fact], upto: int, after: int = 0) -> list[Fact]:
    """Facts of these types on streams of a kind, in journal order, behind `after`, up to and with `upto`."""
    window = {"from": f"{kind}:", "to": f"{kind};", "after": after, "upto": upto}
    rows = connection.execute(TOLD, window | {"topics": [fact.tag_of(each) for each in types]})
    return [fact.decode(state) for (state,) in rows]


def _items(connection: psycopg.Connection[Any], upto: int) -> dict[str, ItemListed]:
    told = _told(connection, "item", ItemListed, upto=upto)
    return {each.item: each for each in told if isinstance(each, ItemListed)}


def _prices(connection: psycopg.Connection[Any], upto: int) -> dict[tuple[str, str], catalogue.Price]:
    found: dict[str, Item] = {}
    for told in _told(connection, "item", catalogue.TariffPublished, upto=upto):
        assert isinstance(told, catalogue.TariffPublished)
        found[told.item] = catalogue.evolve(found.get(told.item, Item(told.item)), told)
    return {(price.item, price.version): price for item in found.values() for price in item.prices}


def _names(connection: psycopg.Connection[Any], upto: int) -> dict[str, tuple[str, str]]:
    told = _told(connection, "party", PartyRegistered, PartyRenamed, upto=upto)
    return {each.party: (each.zh, each.en) for each in told if isinstance(each, PartyRegistered | PartyRenamed)}


# --- lines ---


def _adjustments(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[Borne]:
    """Those that were approved since the cut-off before."""
    after = usage.cut_offs(connection).get(period.preceding(pinned.period), 0)
    for told in _told(connection, "adjustment", AdjustmentApproved, upto=pinned.cut_off, after=after):
        assert isinstance(told, AdjustmentApproved)
        yield drawing.adjusted(told.proposed, pinned)


def _lines(connection: psycopg.Connection[Any], pinned: Pinned, whose: Whose = Whose()) -> Iterator[Borne]:  # noqa: B008  frozen
    """What everybody bears of what was posted to the month, or of what one holder used."""
    cells = usage.posted(connection, pinned.period, whose)
    for _, own in groupby(cells, lambda cell: (cell.holder, cell.party)):
        for used in charges(own, pinned.prices, pinned.period):
            yield from drawing.borne(used, pinned)


# --- all of a month ---


def drafted(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[Statement]:
    """Every statement of the month, in the order of the holders. One transaction of the connection."""
    with connection.transaction():
        connection.execute(DRAFTS)
        _spool(connection, pinned)
        with connection.cursor("drafted") as rows:
            rows.itersize = BATCH
            rows.execute(DRAFTED, (pinned.period,))
            for place, (holder, is_party, lines) in enumerate(rows, start=1):
                number = statement.number_of(pinned.period, place)
                read = [msgspec.json.decode(line, type=Line) for line in lines or ()]
                before = _previous(connection, holder, pinned.period, is_party=is_party)
                yield drawing.draw_up(pinned, number, (holder, is_party), read, before)


def _spool(connection: psycopg.Connection[Any], pinned: Pinned) -> None:
    for some in _batched(_both(connection, pinned)):
        with connection.cursor() as cursor, cursor.copy(DRAFT) as copy:
            for holder, is_party, line in some:
                copy.write_row((holder, is_party, msgspec.json.encode(line)))


def _both(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[Borne]:
    yield from _adjustments(connection, pinned)
    yield from _lines(connection, pinned)


def _previous(connection: psycopg.Connection[Any], holder: str, month: str, *, is_party: bool) -> Previous | None:
    row = connection.execute(PREVIOUS, (holder, is_party, month)).fetchone()
    return Previous(*row) if row else None


def _batched(each: Iterable[T]) -> Iterator[list[T]]:
    source = iter(each)
    while some := list(islice(source, BATCH)):
        yield some


def issue(connection: psycopg.Connection[Any], writer: Writer, month: str, *, by: str, at: datetime) -> Issued:
    """Issue the statements of a month that was cut off; those that were issued before stay.

    Raises NotCutOff, and Differs if one that was issued before is not what it would be now.
    """
    count = new = total = payable = 0
    last = ""
    for some in _batched(drafted(connection, pin(connection, month))):
        before = _digests(connection, some)
        missing = [each for each in some if each.number not in before]
        writer.write([_intent(each, by, at) for each in missing])
        last = _same(connection, some)
        count += len(some)
        new += len(missing)
        total += sum(each.total_minor for each in some)
        payable += sum(each.payable_minor for each in some)
    return Issued(count, new, total, payable, last)


def _intent(drawn: Statement, by: str, at: datetime) -> Intent:
    told = statement.issued(drawn, by=by, at=at)
    return Intent(facts=[NewFact(statement.stream(drawn.number), statement.identity(drawn), told)])


DIGESTS = "SELECT statement, sha256 FROM issued_statements WHERE statement = ANY(%s)"


def _digests(connection: psycopg.Connection[Any], drawn: Sequence[Statement]) -> dict[str, str]:
    return dict(connection.execute(DIGESTS, ([each.number for each in drawn],)).fetchall())


def _same(connection: psycopg.Connection[Any], drawn: Sequence[Statement]) -> str:
    """The digest of the last one. Raises Differs."""
    wanted = {each.number: statement.digest(statement.canonical(each)) for each in drawn}
    there = _digests(connection, drawn)
    if other := [number for number, digest in wanted.items() if there.get(number) != digest]:
        raise Differs(
            f"{len(other)} 份账单与原件不符，如 {other[0]} / "
            f"{len(other)} statements differ from what was issued, such as {other[0]}",
            statements=other[:20],
        )
    return wanted[drawn[-1].number]


# --- one of them, again ---

ISSUED = "SELECT period, holder, is_party FROM issued_statements WHERE statement = %s"
STORED = "SELECT state FROM commerce_events WHERE originator_id = %s AND originator_version = 1"


def stored(connection: psycopg.Connection[Any], number: str) -> bytes:
    """The document as it was issued, byte for byte. Raises Unknown."""
    row = connection.execute(STORED, (statement.stream(number),)).fetchone()
    if row is None:
        raise Unknown(f"没有账单 {number[:40]} / there is no statement {number[:40]}", statement=number[:40])
    told = fact.decode(row[0])
    assert isinstance(told, statement.StatementIssued)
    return bytes(told.document)


def remake(connection: psycopg.Connection[Any], number: str) -> bytes:
    """The document made again from the journal and the usage rows, whatever happened since. Raises Unknown."""
    row = connection.execute(ISSUED, (number,)).fetchone()
    if row is None:
        raise Unknown(f"没有账单 {number[:40]} / there is no statement {number[:40]}", statement=number[:40])
    month, holder, is_party = row
    pinned = pin(connection, month)
    own = (holder, is_party)
    lines = [each.line for each in _of_one(connection, pinned, holder, is_party=is_party) if each[:2] == own]
    before = _previous(connection, holder, month, is_party=is_party)
    return statement.canonical(drawing.draw_up(pinned, number, own, lines, before))


def _of_one(connection: psycopg.Connection[Any], pinned: Pinned, holder: str, *, is_party: bool) -> Iterator[Borne]:
    """What concerns a holder: adjustments, its own usage, and usage by others that acted for it."""
    yield from _adjustments(connection, pinned)
    users: Sequence[Whose] = [Whose(holder, is_party)]
    if is_party:
        users = [*users, *usage.acted_for(connection, pinned.period, holder)]
    for each in users:
        yield from _lines(connection, pinned, each)
