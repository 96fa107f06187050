"""Money on the bank account: imported once, matched by reference and amount, by hand with a reason, and undone."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import bank_csv, bank_matching
from billing.bank_csv import BadFile
from domain import bank_receipt
from domain.bank_receipt import BankReceiptImported, NotMatchable, Receipt
from domain.deciding import folded
from domain.fact import Fact, digest_id
from domain.invoice import Invoice, InvoiceSent
from projections import receivables
from tests.bank_world import ACCOUNT, FIRST, SECOND, asked, billed, books, file, gateway, row
from tests.fixtures_node import Node

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def sent(node: Node, body: bytes, who: str = "finance", **params: Any) -> Any:
    answer = node.client.post("/v1/bank/receipts", content=body, params=params, headers=node.bearer(who))
    node.catch_up()
    return answer


def imported(node: Node, *rows: str) -> dict[str, Any]:
    answer = sent(node, file(*rows))
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def act(node: Node, receipt: str, verb: str, **told: Any) -> Any:
    key = told.pop("key", "")
    headers = node.bearer("finance") | ({"Idempotency-Key": key} if key else {})
    answer = node.client.post(f"/v1/bank/receipts/{receipt}/{verb}", json=told, headers=headers)
    node.catch_up()
    return answer


def of(node: Node, state: str = "all") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.get("/v1/bank/receipts", "finance", state=state).json()["receipts"]
    return found


def owed(node: Node, number: str) -> int:
    with psycopg.connect(node.conninfo) as connection:
        found = receivables.of(connection, number)
    assert found is not None
    return found.outstanding_minor


@pytest.fixture
def billed_node(node: Node) -> Node:
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    return node


# --- by themselves ---


def test_what_names_its_statement_and_comes_to_its_amount_is_matched(billed_node: Node) -> None:
    node = billed_node
    told = imported(node, row("T1", "1.06", f"付 {FIRST}"), row("T2", "0.07", SECOND), row("T3", '"9,999.00"', "货款"))
    assert (told["rows"], told["new"], told["repeated"], told["matched"], told["unread"]) == (3, 3, 0, 1, [])
    assert (owed(node, FIRST), owed(node, SECOND)) == (0, 8)
    paid, *waiting = of(node)
    assert [(each["statement"], each["amount_minor"], each["rule"]) for each in paid["matches"]] == [
        (FIRST, 106, "reference")
    ]
    assert of(node, "waiting") == waiting
    assert [each["waiting_minor"] for each in waiting] == [7, 999900]


def test_the_same_file_twice_and_a_longer_one_that_holds_it_add_nothing_twice(billed_node: Node) -> None:
    node = billed_node
    first = imported(node, row("T1"))
    assert (first["new"], first["matched"]) == (1, 1)
    assert imported(node, row("T1")) == first | {"new": 0, "repeated": 1, "matched": 0}
    longer = imported(node, row("T1"), row("T2", "0.08", SECOND), row("T2", "0.08", SECOND))
    assert (longer["new"], longer["repeated"], longer["matched"]) == (1, 2, 1)
    assert node.rows("SELECT count(*) FROM receivable_movements") == [(2,)]


def test_a_notice_that_is_sent_after_the_money_came_is_matched_later(node: Node) -> None:
    billed(node)
    assert imported(node, row("T1"))["matched"] == 0
    asked(node, FIRST)
    answer = node.client.post("/v1/bank/match", headers=node.bearer("finance"))
    assert (answer.status_code, answer.json()) == (202, {"matched": 1})
    node.catch_up()
    assert owed(node, FIRST) == 0


def test_who_pays_twice_has_the_second_payment_waiting(billed_node: Node) -> None:
    assert imported(billed_node, row("T1"), row("T2"))["matched"] == 1
    assert [each["serial"] for each in of(billed_node, "waiting")] == ["T2"]


def test_a_row_that_cannot_be_read_is_named_by_its_number_and_kept(billed_node: Node) -> None:
    node = billed_node
    told = imported(node, row("T1"), row("T2", "1.2.3"), row("", "2.00"), row("T4", "0.08", SECOND), row("T1", "7.00"))
    assert (told["rows"], told["new"], told["matched"]) == (5, 2, 2)
    assert [(each["row"], each["en"]) for each in told["unread"]] == [
        (3, "amount 1.2.3 cannot be read"),
        (4, "serial number is missing"),
        (6, "serial number T1 came before, otherwise"),
    ]
    shown = node.get("/v1/bank/receipts", "finance", state="unread").json()["unread"]
    assert [(each["row"], each["raw"]) for each in shown] == [(each["row"], each["raw"]) for each in told["unread"]]


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b"", "bad-bank-file"),
        (b"a,b\n1,2\n", "bad-bank-file"),
        (b"\xff\xfe\x00", "bad-bank-file"),
        ("流水号,日期,金额\n1,2026-10-01,1".encode(), "bad-bank-file"),  # whose account?
    ],
)
def test_what_is_no_file_of_a_bank_is_refused(node: Node, body: bytes, slug: str) -> None:
    answer = sent(node, body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{slug}")


def test_an_enterprise_may_neither_import_nor_see_receipts(billed_node: Node) -> None:
    assert sent(billed_node, file(row("T1")), "enterprise").status_code == 403
    assert billed_node.get("/v1/bank/receipts", "enterprise").status_code == 403


# --- by hand ---


def test_one_receipt_pays_several_statements_and_several_pay_one(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"), row("T2", "0.14", "货款"))
    large, small = (each["receipt"] for each in of(node))
    done = act(node, large, "match", statement=FIRST, reason="电话确认").json()
    assert (done["new"], done["payment"]) == (True, f"{large}-1")
    assert owed(node, FIRST) == 6
    assert act(node, small, "match", statement=FIRST, amount_minor=6, reason="余款").status_code == 202
    assert act(node, small, "match", statement=SECOND, reason="余款").status_code == 202
    assert (owed(node, FIRST), owed(node, SECOND)) == (0, 0)
    assert [each["waiting_minor"] for each in of(node)] == [0, 0]
    with gateway(node) as bank:
        assert [bank.find_invoices(number)[0].status for number in (FIRST, SECOND)] == ["paid", "paid"]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"statement": FIRST, "reason": "x", "amount_minor": 101}, 409),  # more than there is
        ({"statement": SECOND, "reason": "x", "amount_minor": 9}, 409),  # more than is owed
        ({"statement": FIRST, "reason": "x", "amount_minor": 0}, 409),
        ({"statement": FIRST, "reason": " "}, 409),
        ({"statement": "KS-202609-000009", "reason": "x"}, 404),
        ({"statement": FIRST}, 422),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(billed_node: Node, told: dict[str, Any], status: int) -> None:
    imported(billed_node, row("T1", "1.00", "货款"))
    [receipt] = of(billed_node)
    assert act(billed_node, receipt["receipt"], "match", **told).status_code == status
    assert of(billed_node) == [receipt]
    assert act(billed_node, "R-none", "match", statement=FIRST, reason="x").status_code == 404


def test_a_match_is_undone_and_not_made_again_by_itself(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1"))
    [receipt] = of(node)
    payment, name = receipt["matches"][0]["payment"], receipt["receipt"]
    assert act(node, name, "undo", payment=payment, reason="错认").status_code == 202
    assert act(node, name, "undo", payment=payment, reason="错认").json()["new"] is False
    assert act(node, name, "undo", payment="P-9", reason="x").status_code == 409
    assert owed(node, FIRST) == 106
    assert imported(node, row("T1"))["matched"] == 0
    assert act(node, name, "match", statement=FIRST, reason="确为此单").json()["payment"] == f"{name}-2"
    assert owed(node, FIRST) == 0
    moved = node.rows("SELECT kind, ref, amount_minor FROM receivable_movements ORDER BY position")
    assert moved == [("payment", payment, 106), ("reversal", payment, 106), ("payment", f"{name}-2", 106)]
    with gateway(node) as bank:
        kinds = [each.kind for each in bank.payments(bank.find_invoices(FIRST)[0].ref)]
        assert sorted(kinds) == ["payment", "payment", "reversal"]


def test_money_of_nobody_is_given_back_or_set_aside(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "5.00", "错汇"), row("T2", "0.33", "利息"), row("T3", "", "手续费", "0.50"))
    wrong, interest, fee = (each["receipt"] for each in of(node))
    assert act(node, wrong, "return", reason="退回", amount_minor=300, reference="T77").status_code == 202
    assert act(node, wrong, "return", reason="退回", amount_minor=300).status_code == 409
    assert act(node, interest, "set-aside", reason="利息").status_code == 202
    assert act(node, fee, "set-aside", reason="手续费").status_code == 202
    assert act(node, fee, "match", statement=FIRST, reason="x").status_code == 409
    assert [(each["receipt"], each["waiting_minor"]) for each in of(node, "waiting")] == [(wrong, 200)]


def test_a_refund_is_to_be_paid_until_the_bank_shows_it(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1"))
    [receipt] = of(node)
    payment = receipt["matches"][0]["payment"]
    with gateway(node) as bank:
        first = bank.refund(payment, 6, credit_note="", key="r1")
        second = bank.refund(payment, 4, credit_note="", key="r2")
    waiting = node.get("/v1/bank/refunds", "finance").json()
    assert [(each["refund"], each["payee"], each["payee_account"]) for each in waiting] == [
        (refund, "外贸企业", "6222000011112222333") for refund in (first, second)
    ]
    assert act(node, receipt["receipt"], "undo", payment=payment, reason="x").status_code == 409
    assert imported(node, row("T5", "", f"退款 {first}", "0.06"), row("T6", "", "退款", "0.04"))["matched"] == 1
    by_hand = of(node, "waiting")[0]["receipt"]
    assert act(node, by_hand, "pay-out", refund=first).status_code == 404
    assert act(node, by_hand, "pay-out", refund=second).status_code == 202
    assert node.get("/v1/bank/refunds", "finance").json() == []
    assert len(node.get("/v1/bank/refunds", "finance", state="all").json()) == 2


def test_a_request_that_is_sent_again_has_its_effect_once(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    [receipt] = of(node)
    told = {"statement": FIRST, "reason": "x", "amount_minor": 40, "key": "once"}
    first, again = (act(node, receipt["receipt"], "match", **told) for _ in range(2))
    assert (first.status_code, first.content) == (202, again.content)
    assert owed(node, FIRST) == 66


def test_a_decision_whose_end_nobody_heard_is_found_again(billed_node: Node) -> None:
    imported(billed_node, row("T1", "1.00", "货款"))
    [receipt] = of(billed_node)
    with books(billed_node) as (connection, writer):
        decision = bank_matching.matching(connection, writer, FIRST, 40, by="clerk", at=NOW, reason="x")
        first, again = (
            bank_matching.decide(connection, writer, receipt["receipt"], decision, digest_id("k")) for _ in range(2)
        )
    assert (first.new, again.new) == (True, False)
    assert first == msgspec.structs.replace(again, position=first.position, new=True)
    assert of(billed_node)[0]["matched_minor"] == 40


def test_no_fen_is_matched_twice_even_by_a_forged_fact(billed_node: Node) -> None:
    imported(billed_node, row("T1"))
    [receipt] = of(billed_node)
    forged = bank_receipt.BankReceiptMatched(
        happened_at=NOW,
        recorded_at=NOW,
        receipt=receipt["receipt"],
        by="thief",
        statement=SECOND,
        payment="p",
        amount_minor=1,
    )
    with pytest.raises(psycopg.IntegrityError):
        billed_node.decide("commerce", bank_receipt.stream(receipt["receipt"]), forged)


# --- files ---


def test_titles_of_banks_are_known_and_others_are_told() -> None:
    bank = "某银行交易明细\n起始日期,2026-10-01\n\n交易流水号\t交易日期\t交易时间\t借贷标志\t交易金额(元)\t摘要\t附言\n"
    body = (
        bank + '="0012"\t20261009\t143005\t贷\t1,234.50\t货款\tKS-202609-000001\n合计\t\t\t\t1,234.50\t\t\n'
    ).encode("gb18030")
    found = bank_csv.read(body, account="6222 0000")
    [only] = found.rows
    assert (only.row, only.serial, only.account, only.direction, only.amount_minor) == (
        5,
        "0012",
        "62220000",
        "in",
        123450,
    )
    assert only.booked_at == datetime(2026, 10, 8, 16, tzinfo=UTC)  # the first of the two columns that tells a day
    assert only.text == "KS-202609-000001 货款"
    assert found.unread == []  # the line of sums is none
    other = b"no,when,sum,what\n1,2026/1/2 09:30,-7,x\n"
    columns = {"serial": "no", "booked_on": "when", "amount": "sum", "text": "what"}
    [only] = bank_csv.read(other, account="1", columns=columns).rows
    assert (only.direction, only.amount_minor) == ("out", 700)
    assert only.booked_at == datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
    with pytest.raises(BadFile):
        bank_csv.read(other, account="1", columns={"nothing": "no"})


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("1.23457E+19,2026-10-01,1,in", "cut by a spreadsheet"),
        ("1,2026-02-30,1,in", "does not exist"),
        ("1,soon,1,in", "cannot be read"),
        ("1,2026-10-01,1.234,in", "cannot be read"),
        ('1,2026-10-01,"1,23",in', "cannot be read"),
        ("1,2026-10-01,0.00,in", "exactly one amount"),
        ("1,2026-10-01,1,sideways", "is not known"),
        ("1,2026-10-01,99999999999999999,in", "too large"),
        (f"1,2026-10-01,{'9' * 5_000},in", "cannot be read"),
        (f"1,2026-10-01,1.00{'0' * 5_000},in", "cannot be read"),
    ],
)
def test_doubtful_rows_are_not_booked(cells: str, why: str) -> None:
    found = bank_csv.read(f"serial,booked_on,amount,direction\n{cells}\n".encode(), account="1")
    assert found.rows == []
    [unread] = found.unread
    assert (unread.row, why in unread.en) == (2, True), unread


@given(st.binary(max_size=200), st.text(max_size=80))
def test_no_bytes_bring_the_reader_down(noise: bytes, text: str) -> None:
    for body in (
        noise,
        b"serial,booked_on,amount\n" + noise,
        f"serial,booked_on,amount\n{text}".encode("utf-8", "replace"),
    ):
        try:
            bank_csv.read(body, account="1")
        except BadFile:
            continue


@given(minor=st.integers(1, 10**12), grouped=st.booleans())
def test_amounts_are_read_as_they_are_written(minor: int, grouped: bool) -> None:
    text = f"{minor // 100:{',' if grouped else ''}}.{minor % 100:02}"
    assert bank_csv.minor_of(text) == minor


# --- decisions ---

AT: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW}
CAME = BankReceiptImported(
    **AT,
    receipt="R-1",
    by="x",
    account=ACCOUNT,
    serial="1",
    direction="in",
    amount_minor=100,
    currency="CNY",
    booked_at=NOW,
)
SENT = InvoiceSent(**AT, statement="S", provider="bank", invoice="N", total_minor=70, currency="CNY")
INVOICE = Invoice("S", provider="bank", total_minor=70, sent_at=NOW)
STEPS = st.lists(st.tuples(st.sampled_from(["match", "undo", "return", "aside"]), st.integers(1, 120)), max_size=12)


@given(STEPS)
def test_whatever_is_decided_matched_settled_and_waiting_are_the_amount(steps: list[tuple[str, int]]) -> None:
    told: list[Fact] = [CAME]
    for verb, number in steps:
        state = _state(told)
        try:
            told += _step(state, verb, number)
        except NotMatchable:
            assert _state(told) == state
        state = _state(told)
        assert min(state.matched_minor, state.settled_minor, state.waiting_minor) >= 0
        assert state.matched_minor + state.settled_minor + state.waiting_minor == 100


def _state(told: list[Fact]) -> Receipt:
    state = Receipt("R-1")
    for each in told:
        state = bank_receipt.evolve(state, each)
    return state


def _step(state: Receipt, verb: str, number: int) -> tuple[Fact, ...]:
    about: dict[str, Any] = {"by": "clerk", "at": NOW, "reason": "x"}
    if verb == "match":
        return bank_receipt.match_to(state, INVOICE, number, currency="CNY", **about)[0]
    if verb == "undo":
        return bank_receipt.undo(state, f"R-1-{number % 4}", refunded_minor=0, **about)[0]
    if verb == "return":
        return bank_receipt.give_back(state, number, reference="", **about)
    return bank_receipt.set_aside(state, **about)


def test_a_match_in_another_currency_or_of_nothing_that_was_sent_is_refused() -> None:
    state = _state([CAME])
    about: dict[str, Any] = {"by": "clerk", "at": NOW, "reason": "x"}
    with pytest.raises(NotMatchable):
        bank_receipt.match_to(state, INVOICE, 1, currency="USD", **about)
    with pytest.raises(NotMatchable):
        bank_receipt.match_to(state, Invoice("S"), 1, currency="CNY", **about)
    assert folded(Receipt("R-1"), bank_receipt.evolve)([]) == Receipt("R-1")
