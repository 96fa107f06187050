"""Receivables: the fold of an invoice's facts as rows; a rebuild, and any size of batch, give the same."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import READ_MODELS
from domain import invoice
from domain.deciding import folded
from domain.fact import Fact
from domain.invoice import (
    CreditNoteIssued,
    Invoice,
    InvoiceSent,
    InvoiceStopped,
    InvoiceVoided,
    PaymentFailed,
    PaymentReceived,
    PaymentReversed,
    RefundMade,
)
from domain.journal import Entry, Journal
from projections import receivables, runner
from projections.receivables import Movement, Receivable
from tests.fixtures_node import Node
from tests.test_statement import close
from tests.test_usage import SEPTEMBER, made

NUMBER = "KS-202609-000001"
SENT = datetime(2026, 10, 9, tzinfo=UTC)
DUE = date(2026, 11, 8)
[MODEL] = [each for each in READ_MODELS if each.name == receivables.NAME]
ROWS = "SELECT * FROM receivables ORDER BY statement"
MOVES = "SELECT * FROM receivable_movements ORDER BY position"


def about(days: int = 0, statement: str = NUMBER) -> dict[str, Any]:
    at = SENT + timedelta(days=days)
    return {"happened_at": at, "recorded_at": at, "statement": statement, "provider": "bank"}


def sent(total_minor: int = 106, statement: str = NUMBER) -> InvoiceSent:
    return InvoiceSent(
        **about(statement=statement), invoice="N-1", number="1", total_minor=total_minor, currency="CNY", due_on=DUE
    )


def paid(amount_minor: int, ref: str = "p1", **more: Any) -> PaymentReceived:
    return PaymentReceived(**about(1), payment=ref, amount_minor=amount_minor, currency="CNY", **more)


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(node.conninfo, autocommit=True) as opened:
        yield opened


def test_an_invoice_is_sent_paid_in_parts_credited_and_partly_given_back(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 53))
    close(node)
    node.decide("commerce", invoice.stream(NUMBER), sent(), paid(60, fee_minor=2, by="clerk"))
    assert [each.outstanding_minor for each in receivables.open(connection, SENT)] == [46]
    assert receivables.open(connection, SENT - timedelta(days=1)) == []
    later = [
        paid(46, "p2"),
        CreditNoteIssued(**about(2), credit_note="c1", amount_minor=6, reason="rebate", by="clerk"),
        RefundMade(**about(3), refund="r1", payment="p2", amount_minor=6, credit_note="c1"),
        PaymentFailed(**about(4), payment="p3", reason="no cover"),
        PaymentReversed(**about(5), payment="p1", amount_minor=60, reason="recall"),
    ]
    node.decide("commerce", invoice.stream(NUMBER), *later)
    expected = Receivable(
        statement=NUMBER,
        period="2026-09",
        holder="mover",
        is_party=False,
        provider="bank",
        invoice="N-1",
        number="1",
        url="",
        currency="CNY",
        total_minor=106,
        paid_minor=46,
        credited_minor=6,
        refunded_minor=6,
        outstanding_minor=60,
        sent_at=SENT,
        due_on=DUE,
        voided=False,
        stopped="",
    )
    assert receivables.of(connection, NUMBER) == expected
    assert receivables.of_period(connection, "2026-09") == [expected]
    moves = receivables.movements(connection, statement=NUMBER)
    assert moves == receivables.movements(connection, period="2026-09")
    assert [(each.kind, each.ref, each.of, each.amount_minor, each.fee_minor, each.by) for each in moves] == [
        ("payment", "p1", "", 60, 2, "clerk"),
        ("payment", "p2", "", 46, 0, ""),
        ("credit_note", "c1", "", 6, 0, "clerk"),
        ("refund", "r1", "p2", 6, 0, ""),
        ("failure", "p3", "", 0, 0, ""),
        ("reversal", "p1", "p1", 60, 0, ""),
    ]
    assert isinstance(moves[0], Movement)


def test_what_is_void_is_not_owed_and_what_stopped_says_why(node: Node, connection: psycopg.Connection[Any]) -> None:
    stopped = InvoiceStopped(**about(), step="compare", reason="one fen too much", ours_minor=1, theirs_minor=2)
    node.decide("commerce", invoice.stream(NUMBER), stopped)
    found = receivables.of(connection, NUMBER)
    assert found is not None
    assert (found.stopped, found.period, found.sent_at) == ("one fen too much", "", None)
    node.decide("commerce", invoice.stream(NUMBER), sent(), InvoiceVoided(**about(2), invoice="N-1"))
    found = receivables.of(connection, NUMBER)
    assert found is not None
    assert (found.stopped, found.voided, found.outstanding_minor) == ("", True, 0)
    assert receivables.open(connection, SENT) == []


NAMES = st.sampled_from(["KS-202609-000001", "KS-202609-000002"])
SMALL = st.integers(1, 50)
TOLD = st.one_of(
    st.builds(lambda name, minor: sent(minor, name), NAMES, SMALL),
    st.builds(
        lambda name, ref, minor: PaymentReceived(
            **about(1, name), payment=ref, amount_minor=minor, currency="CNY", by="clerk"
        ),
        *(NAMES, st.sampled_from("pq"), SMALL),
    ),
    st.builds(
        lambda name, ref, minor: PaymentReversed(**about(2, name), payment=ref, amount_minor=minor),
        *(NAMES, st.sampled_from("pq"), SMALL),
    ),
    st.builds(
        lambda name, minor: CreditNoteIssued(**about(2, name), credit_note="c", amount_minor=minor, reason="r"),
        *(NAMES, SMALL),
    ),
    st.builds(
        lambda name, minor: RefundMade(**about(2, name), refund="r", payment="p", amount_minor=minor), NAMES, SMALL
    ),
    st.builds(lambda name: InvoiceVoided(**about(2, name), invoice="N-1"), NAMES),
    st.builds(lambda name: PaymentFailed(**about(2, name), payment="p"), NAMES),
)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(TOLD, min_size=1, max_size=10))
def test_live_in_any_batches_rebuilt_and_folded_are_the_same(node: Node, told: list[Fact]) -> None:
    for each in told:
        assert isinstance(each, invoice.InvoiceFact)
        node.decide("commerce", invoice.stream(each.statement), each)
    live = node.rows(ROWS), node.rows(MOVES)
    with Journal("commerce", node.conninfo).opened() as journal, journal.connect(autocommit=True) as connection:
        for batch in (1, 1_000):
            runner.rebuild(connection, journal, MODEL, batch)
            assert (node.rows(ROWS), node.rows(MOVES)) == live
        for statement, outstanding, paid_minor in [(row[0], row[13], row[10]) for row in live[0]]:
            entries: list[Entry] = journal.stream(connection, invoice.stream(statement))
            state = folded(Invoice(statement), invoice.evolve)(entries)
            assert (state.outstanding_minor, state.paid_minor) == (outstanding, paid_minor)
