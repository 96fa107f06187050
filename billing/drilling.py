"""Between a statement line and the deliveries behind it, both ways. Reads; changes nothing. Money is fen, times UTC.

A line of usage, and a share of one, is the sum of usage entries; an entry names by (stream, version) the fact that
caused it: a delivery, a push that was taken, a charge that fell due. An adjustment is a line of its own facts. The same
columns lead back: what an entry is posted to is on one line of its holder's statement, and on one of each party that
bears a share of it.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from domain import adjustment, fact, invoice, period
from domain.fact import Fact
from domain.invoice import Invoice
from domain.statement import Line, Statement
from projections import usage
from projections.usage import Whose

COLUMNS = """
meter, stream, version, position, account, party, holder, behalf, item, item_class, result, quantity, chargeable,
tariff, waived, occurred_at, billing_period, corrects_period
"""
OF_LINE = f"""
SELECT {COLUMNS} FROM usage_entries
WHERE holder = %(holder)s AND (party <> '') = %(is_party)s AND item = %(item)s
  AND tariff IS NOT DISTINCT FROM %(tariff)s AND waived = %(waived)s
  AND billing_period = %(period)s AND corrects_period IS NOT DISTINCT FROM %(corrects_period)s
  AND (%(behalf)s::text IS NULL OR behalf = %(behalf)s)
  AND occurred_at >= %(first)s AND occurred_at < %(last)s
  AND (occurred_at, stream, version, meter) > (%(at)s, %(stream)s, %(version)s, %(meter)s)
ORDER BY occurred_at, stream, version, meter
LIMIT %(limit)s
"""  # noqa: S608  a constant
OF_FACT = f"SELECT {COLUMNS} FROM usage_entries WHERE stream = %s AND version = %s ORDER BY meter"  # noqa: S608
LINES = """
SELECT statement, line, kind, issued_statements.holder, is_party, amount_minor, whole_minor, issued_lines.quantity,
       free_quantity, payable_minor
FROM issued_lines JOIN issued_statements USING (statement)
WHERE used_by = %(holder)s AND used_by_party = %(is_party)s AND item = %(item)s
  AND issued_lines.tariff IS NOT DISTINCT FROM %(tariff)s AND waived = %(waived)s
  AND period = %(period)s AND corrects_period IS NOT DISTINCT FROM %(corrects_period)s
  AND (kind = 'usage' OR kind = 'share' AND issued_statements.holder = %(behalf)s AND is_party)
ORDER BY kind DESC, statement
"""
FACT = """
SELECT notification_id, originator_id, originator_version, state FROM commerce_events
WHERE originator_id = %s AND originator_version = %s
"""
FACTS = """
SELECT notification_id, originator_id, originator_version, state FROM commerce_events
WHERE (originator_id, originator_version) IN (SELECT * FROM unnest(%s::text[], %s::bigint[]))
"""
STREAM = "SELECT state FROM commerce_events WHERE originator_id = %s ORDER BY originator_version"


class Entry(msgspec.Struct, frozen=True):
    """What one meter read of one fact, as it was posted."""

    meter: str
    stream: str
    version: int
    position: int  # in the commerce journal
    account: str
    party: str
    holder: str
    behalf: str
    item: str
    item_class: str
    result: str
    quantity: int
    chargeable: bool
    tariff: str | None
    waived: str
    occurred_at: datetime
    billing_period: str
    corrects_period: str | None

    @property
    def place(self) -> "Place":
        """Where it stands among the entries of its line."""
        return Place(self.occurred_at, self.stream, self.version, self.meter)


class Place(NamedTuple):
    """Entries of a line go by time; facts of one moment by their place in the journal's streams."""

    at: datetime
    stream: str
    version: int
    meter: str


BEGINNING = Place(datetime.min.replace(tzinfo=UTC), "", 0, "")


class Caused(NamedTuple):
    """A fact of the commerce journal, and where it stands."""

    position: int
    stream: str
    version: int
    state: bytes  # as it is stored
    fact: Fact


class BilledOn(msgspec.Struct, frozen=True):
    """A statement line that a delivery is part of. `amount_minor`: of the whole line, what its holder bears."""

    statement: str
    line: int
    kind: str  # usage, share
    holder: str
    is_party: bool
    amount_minor: int
    whole_minor: int
    quantity: int
    free_quantity: int
    payable_minor: int  # of the whole statement


# --- from a line down ---


def entries(
    connection: psycopg.Connection[Any], of: Statement, line: Line, *, after: Place = BEGINNING, limit: int
) -> list[Entry]:
    """The entries that a line is the sum of, by time; none for an adjustment."""
    if line.kind == "adjustment":
        return []
    first, last = period.bounds(line.corrects_period or of.period)
    asked = {
        "holder": line.used_by,
        "is_party": line.used_by_party,
        "item": line.item,
        "tariff": line.tariff,
        "waived": line.waived,
        "period": of.period,
        "corrects_period": line.corrects_period,
        "behalf": of.holder.code if line.kind == "share" else None,
        "first": first,
        "last": last,
        "limit": limit,
    }
    return [Entry(*row) for row in connection.execute(OF_LINE, asked | after._asdict())]


def caused(connection: psycopg.Connection[Any], found: Sequence[Entry]) -> dict[tuple[str, int], Caused]:
    """The facts that caused these entries, by stream and version."""
    keys = sorted({(each.stream, each.version) for each in found})
    rows = connection.execute(FACTS, ([stream for stream, _ in keys], [version for _, version in keys]))
    return {(stream, version): _caused(place, stream, version, state) for place, stream, version, state in rows}


def adjusted(connection: psycopg.Connection[Any], line: Line) -> list[Fact]:
    """What was decided of an adjustment, oldest first: who proposed it, and why; who approved it."""
    rows = connection.execute(STREAM, (adjustment.stream(line.reference),))
    return [fact.read(state) for (state,) in rows]


# --- from a delivery up ---


def delivery(connection: psycopg.Connection[Any], stream: str, version: int) -> Caused | None:
    """A fact of the commerce journal; None: there is none."""
    row = connection.execute(FACT, (stream, version)).fetchone()
    return _caused(*row) if row else None


def entries_of(connection: psycopg.Connection[Any], stream: str, version: int) -> list[Entry]:
    """What meters read of it; none: nothing counts it, or not yet."""
    return [Entry(*row) for row in connection.execute(OF_FACT, (stream, version))]


def lines_of(connection: psycopg.Connection[Any], entry: Entry) -> list[BilledOn]:
    """The lines that it is part of, its user's own first; none: they are not issued yet."""
    asked = {
        "holder": entry.holder,
        "is_party": entry.party != "",
        "item": entry.item,
        "tariff": entry.tariff,
        "waived": entry.waived,
        "period": entry.billing_period,
        "corrects_period": entry.corrects_period,
        "behalf": entry.behalf,
    }
    return [BilledOn(*row) for row in connection.execute(LINES, asked)]


def cut_off(connection: psycopg.Connection[Any], months: Collection[str]) -> frozenset[str]:
    """Those of these months that are cut off."""
    return frozenset(months) & usage.cut_offs(connection).keys()


def invoice_of(connection: psycopg.Connection[Any], statement: str) -> Invoice:
    """What has become of what a statement asks for; nothing yet is an invoice without a provider."""
    found = Invoice(statement)
    for (state,) in connection.execute(STREAM, (invoice.stream(statement),)):
        found = invoice.evolve(found, fact.decode(state))
    return found


def may_see(whose: Whose, line: BilledOn) -> bool:
    """Whether it is on a statement of these books."""
    return whose.holder is None or (line.holder, line.is_party) == (whose.holder, whose.is_party)


def _caused(position: int, stream: str, version: int, state: bytes) -> Caused:
    return Caused(position, stream, version, bytes(state), fact.read(bytes(state)))
