"""Bank transfer behind the payment port: keys repeat themselves, sums hold, nothing free is ever on a notice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from api.paying_process import Payer
from billing.gateway import Declined, Gateway, Item, ProviderLine
from billing.inbox import Swept
from domain.errors import Malformed
from domain.journal import Journal
from tests.bank_world import ACCOUNT, DUE, FIRST, SECOND, asked, billed, file, gateway, order, row
from tests.fixtures_node import Node

LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def sent(node: Node, body: bytes) -> Any:
    answer = node.client.post("/v1/bank/receipts", content=body, headers=node.bearer("finance"))
    assert answer.status_code == 202, answer.text
    node.catch_up()
    return answer.json()


def test_a_notice_goes_from_draft_to_sent_and_a_repeated_step_is_the_same_thing(node: Node) -> None:
    billed(node)
    notice = asked(node, FIRST)
    assert asked(node, FIRST) == notice
    with gateway(node) as bank:
        port: Gateway = bank
        [found] = port.find_invoices(FIRST)
        assert (found.ref, found.statement, found.status, found.total_minor) == (notice, FIRST, "open", 106)
        assert (found.paid_minor, found.credited_minor, found.outstanding_minor) == (0, 0, 106)
        wanted = order(node, FIRST)
        expected = tuple(
            ProviderLine(ref=f"{notice}/{each.line}", line=each.line, amount_minor=each.amount_minor, currency="CNY")
            for each in wanted.items
        )
        assert found.lines == expected
        assert port.retrieve(notice) == found
        assert list(port.invoices(LONG_AGO, FAR_AHEAD)) == [found]
        assert list(port.invoices(LONG_AGO, found.made_at or LONG_AGO)) == []
        assert port.find_customer(wanted.customer) == found.customer
        assert list(port.events(LONG_AGO)) == []
        with pytest.raises(Malformed):
            port.read_event(b"{}", "")


def test_there_is_one_notice_for_a_statement_until_it_is_void(node: Node) -> None:
    billed(node)
    first = asked(node, FIRST)
    wanted = order(node, FIRST)
    with gateway(node) as bank:
        with pytest.raises(Declined):
            bank.make_draft(wanted, "account:mover", key="another")
        with pytest.raises(Declined):  # the same key for something else
            bank.make_draft(order(node, SECOND), "account:trader", key=f"kouan:{FIRST}:draft:0")
        assert bank.void(first, key="v").status == "void"
        assert bank.void(first, key="v").outstanding_minor == 0
        again = bank.make_draft(wanted, "account:mover", key="another")
        assert again != first
        assert [each.status for each in bank.find_invoices(FIRST)] == ["void", "draft"]
        with pytest.raises(Declined):
            bank.finalize(first, key="f")


def test_a_notice_whose_lines_do_not_come_to_its_total_is_never_final(node: Node) -> None:
    billed(node)
    wanted = order(node, FIRST)
    [item] = wanted.items
    with gateway(node) as bank:
        notice = bank.make_draft(wanted, "account:mover", key="d")
        short = msgspec.structs.replace(item, amount_minor=item.amount_minor - 1)
        bank.add_item(notice, "account:mover", wanted, short, key="i")
        with pytest.raises(Declined):
            bank.add_item(notice, "account:mover", wanted, item, key="i")
        with pytest.raises(Declined):
            bank.finalize(notice, key="f")
        with pytest.raises(Declined):
            bank.send(notice, key="s")
        assert bank.retrieve(notice).status == "draft"


def test_a_free_line_cannot_stand_on_a_notice(node: Node) -> None:
    billed(node)
    [(free,)] = node.rows("SELECT line FROM issued_lines WHERE statement = %s AND item_class = 'government'", FIRST)
    wanted = order(node, FIRST)
    with gateway(node) as bank:
        notice = bank.make_draft(wanted, "account:mover", key="d")
        forged = Item(line=free, item="track.query", description="x", amount_minor=1)
        with pytest.raises(Declined, match="violates"):
            bank.add_item(notice, "account:mover", wanted, forged, key="i")
        with pytest.raises(Declined):  # only a credit stands on no line
            bank.add_item(notice, "account:mover", wanted, msgspec.structs.replace(forged, line=0), key="j")
    with psycopg.connect(node.conninfo) as connection, pytest.raises(psycopg.IntegrityError):
        connection.execute(
            "INSERT INTO bank_notice_lines (notice, line, key, statement, item_class, item, description, amount_minor)"
            " VALUES (%s, %s, 'k', %s, 'government', 'track.query', 'x', 1)",
            (notice, free, FIRST),
        )


def test_paid_credited_and_outstanding_are_always_the_total(node: Node) -> None:
    billed(node)
    notice = asked(node, FIRST)
    sent(node, file(row("T1", "1.06")))
    with gateway(node) as bank:
        found = bank.retrieve(notice)
        assert (found.status, found.paid_minor, found.outstanding_minor) == ("paid", 106, 0)
        [payment] = bank.payments(notice)
        assert (payment.kind, payment.invoice, payment.statement, payment.amount_minor) == (
            "payment",
            notice,
            FIRST,
            106,
        )
        note = bank.credit(notice, 6, "rebate", key="c")
        assert bank.credit(notice, 6, "rebate", key="c") == note
        with pytest.raises(Declined):
            bank.credit(notice, 101, "too much", key="c2")
        with pytest.raises(Declined):
            bank.credit(notice, 5, "another amount", key="c")
        refund = bank.refund(payment.ref, 6, credit_note=note, key="r")
        assert bank.refund(payment.ref, 6, credit_note=note, key="r") == refund
        with pytest.raises(Declined):
            bank.refund(payment.ref, 101, credit_note=note, key="r2")
        with pytest.raises(Declined):
            bank.refund("nobody's", 1, credit_note=note, key="r3")
        with pytest.raises(Declined):
            bank.void(notice, key="v")
        found = bank.retrieve(notice)
        assert (found.paid_minor, found.credited_minor, found.outstanding_minor) == (100, 6, 0)
        moved = [(each.kind, each.amount_minor, each.of, each.credit_note) for each in bank.payments(notice)]
        assert sorted(moved) == [
            ("credit_note", 6, "", ""),
            ("payment", 106, "", ""),
            ("refund", 6, payment.ref, note),
        ]
        assert list(bank.movements(LONG_AGO, FAR_AHEAD)) == bank.payments(notice)


def test_money_that_belongs_to_nothing_is_a_movement_without_an_invoice_until_it_is_settled(node: Node) -> None:
    sent(node, file(row("T9", "5.00", "利息")))
    with gateway(node) as bank:
        [found] = bank.movements(LONG_AGO, FAR_AHEAD)
        assert (found.kind, found.invoice, found.amount_minor) == ("payment", "", 500)
        path = f"/v1/bank/receipts/{found.ref}/set-aside"
        answer = node.client.post(path, json={"reason": "利息"}, headers=node.bearer("finance"))
        assert answer.status_code == 202, answer.text
        assert list(bank.movements(LONG_AGO, FAR_AHEAD)) == []


def test_money_that_came_long_before_is_listed_when_it_is_matched_also_where_that_was_undone(node: Node) -> None:
    billed(node)
    notice = asked(node, FIRST)
    sent(node, file(f"{ACCOUNT},T1,2020-01-02,0.50,,外贸企业,6222,预付"))
    [(receipt,)] = node.rows("SELECT receipt FROM bank_receipts")
    lately = datetime.now(UTC) - timedelta(hours=1)

    def act(verb: str, **told: str) -> str:
        path = f"/v1/bank/receipts/{receipt}/{verb}"
        answer = node.client.post(path, json={"reason": "预付款", **told}, headers=node.bearer("finance"))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["payment"])

    payment = act("match", statement=FIRST)
    with gateway(node) as bank:
        assert [each.ref for each in bank.movements(lately, FAR_AHEAD)] == [payment]
        act("undo", payment=payment)
        bank.void(notice, key="v")  # from now on the notice itself tells nothing of it
        moved = [(each.kind, each.statement) for each in bank.movements(lately, FAR_AHEAD)]
        assert moved == [("payment", FIRST), ("reversal", FIRST)]


def test_its_holder_sees_the_notice_and_nobody_else_learns_that_there_is_one(node: Node) -> None:
    billed(node)
    path = f"/v1/bank/notices/{FIRST}"
    assert node.get(path, "logistics").status_code == 404
    asked(node, FIRST)
    shown = node.get(path, "logistics").json()
    assert (shown["reference"], shown["outstanding_minor"], shown["due_on"]) == (FIRST, 106, DUE.isoformat())
    assert shown["seller"]["bank_account"] == ACCOUNT
    assert node.get(path, "finance").json() == shown
    hidden, nothing = node.get(path, "enterprise"), node.get("/v1/bank/notices/KS-202609-000009", "enterprise")
    assert (hidden.status_code, nothing.status_code) == (404, 404)
    assert hidden.content.replace(b"000001", b"000009") == nothing.content


def pay(node: Node, at: datetime, *, sweep: bool = False) -> list[Swept]:
    """A turn of the process that pays; with what the nightly sweep finds."""
    with (
        Journal("commerce", node.conninfo).opened() as journal,
        gateway(node) as bank,
        journal.connect(autocommit=True) as connection,
    ):
        payer = Payer(connection, journal, [bank])
        payer.turn(at)
        found = payer.sweep(at, LONG_AGO) if sweep else []
        payer.turn(at)
    node.catch_up()
    return found


def test_the_same_outbox_drives_it_and_the_sweep_finds_nothing_that_was_not_told(node: Node) -> None:
    billed(node)
    for path in ("/v1/periods/2026-09/invoices", f"/v1/statements/{FIRST}/invoice"):
        answer = node.client.post(path, headers=node.bearer("finance"))
        assert answer.status_code == 202, answer.text
    now = datetime.now(UTC) + timedelta(minutes=1)
    pay(node, now)
    assert sent(node, file(row("T1"), row("T2", "0.08", SECOND)))["matched"] == 2
    with gateway(node) as bank:
        [found] = bank.find_invoices(FIRST)
        [payment] = bank.payments(found.ref)
    told = {"amount_minor": 6, "reason": "折让"}
    for verb, more in (("credit", {}), ("refund", {"payment": payment.ref})):
        answer = node.client.post(f"/v1/invoices/{FIRST}/{verb}", json=told | more, headers=node.bearer("finance"))
        assert answer.status_code == 202, answer.text
        pay(node, now + timedelta(minutes=5))
    moves = "SELECT kind, amount_minor FROM receivable_movements WHERE statement = %s ORDER BY position"
    assert node.rows(moves, FIRST) == [("payment", 106), ("credit_note", 6), ("refund", 6)]
    [swept] = pay(node, now + timedelta(minutes=9), sweep=True)
    assert (swept.events, swept.movements) == (0, 0)
    assert node.rows(moves, FIRST) == [("payment", 106), ("credit_note", 6), ("refund", 6)]
    assert node.rows("SELECT statement, outstanding_minor FROM receivables ORDER BY 1") == [(FIRST, 0), (SECOND, 0)]
    with gateway(node) as bank:
        assert [bank.find_invoices(number)[0].outstanding_minor for number in (FIRST, SECOND)] == [0, 0]
