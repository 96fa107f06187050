"""Reconciling real books: journal, ledger, statements, notices and bank receipts of a node, and faults in them."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from api import reconciling
from api.books import opened
from api.export import BOM
from api.identity import Account
from api.main import kouan
from billing import taking
from billing.bank import BankGateway
from billing.reconcile import reconcile
from billing.snapshots import digest
from domain import invoice
from domain.invoice import RefundMade
from domain.reconciliation import Break
from domain.standing import ChargeFellDue
from tests.bank_world import FIRST, SECOND, SENT, asked, billed, file, gateway, row
from tests.fixtures_node import Node
from tests.test_usage import END, SEPTEMBER, made

MONTH = "2026-09"
PATH = f"/v1/periods/{MONTH}/reconciliation"
FREE: dict[str, Any] = {"item": "track.query", "item_class": "government", "tariff": ""}


@pytest.fixture
def billed_node(node: Node) -> Node:
    """Two holders owe something; their notices are out, and the month is under review."""
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    assert post(node, f"/v1/periods/{MONTH}/statements").status_code == 202
    node.open("second", Account("second", "finance", "复核", "Second"))
    return node


def post(node: Node, path: str, who: str = "finance", **body: Any) -> Any:
    return node.client.post(path, headers=node.bearer(who), json=body or None)


def pay(node: Node, *rows: str) -> None:
    answer = node.client.post("/v1/bank/receipts", content=file(*rows), headers=node.bearer("finance"))
    assert answer.status_code == 202, answer.text
    node.catch_up()


def run(node: Node, who: str = "finance") -> dict[str, Any]:
    answer = post(node, PATH, who)
    assert answer.status_code == 202, answer.text
    return shown(node)


def shown(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = node.get(PATH, "finance").json()
    return found


def breaks(node: Node) -> list[Break]:
    with opened(node.conninfo) as books, gateway(node) as bank:
        return reconciling.compare(books, [bank], MONTH, END + timedelta(days=400)).breaks


# --- faults in the tables themselves, which nobody can make ---

TABLES = ("usage_entries", "issued_lines", "bank_notice_lines", "bank_notices")
RULES = """
SELECT conrelid::regclass, conname FROM pg_constraint
WHERE contype IN ('c', 'f') AND conrelid::regclass::text = ANY(%s)
"""
TWIN = """
INSERT INTO usage_entries (meter, stream, version, position, account, party, behalf, item, item_class, result, quantity,
    chargeable, tariff, waived, occurred_at, billing_period, corrects_period)
SELECT meter, stream, version + 1000, position, account, party, behalf, item, item_class, result, quantity, chargeable,
    tariff, waived, occurred_at, billing_period, corrects_period
FROM usage_entries WHERE quantity = 53
"""
LINE = """
INSERT INTO bank_notice_lines (notice, line, key, statement, item, description, amount_minor)
SELECT notice, 77, 'x', statement, 'feed.pull', 'x', 5 FROM bank_notices WHERE statement = 'KS-202609-000001'
"""
NOTICE = """
INSERT INTO bank_notices (notice, key, statement, sha256, customer, buyer, currency, total_minor, due_on)
SELECT 'PN-2', 'k2', statement, sha256, customer, buyer, currency, total_minor, due_on
FROM bank_notices WHERE statement = 'KS-202609-000001'
"""
DEARER = """
UPDATE issued_lines SET list_minor = list_minor + 10, waived_minor = waived_minor + 10
WHERE statement = 'KS-202609-000001' AND tariff IS NOT NULL
"""
FAULTS = {
    "DELETE FROM usage_entries WHERE quantity = 53": "unmetered_event",
    "UPDATE usage_entries SET quantity = 52 WHERE quantity = 53": "unmetered_event",
    TWIN: "duplicate_entry",
    "UPDATE usage_entries SET quantity = 54 WHERE quantity = 53": "duplicate_entry",
    "DELETE FROM issued_lines WHERE item = 'track.query'": "unrated_usage",
    "UPDATE issued_lines SET quantity = 9 WHERE item = 'track.query'": "duplicate_entry",
    "UPDATE usage_entries SET chargeable = true WHERE item = 'track.query'": "free_usage_billed",
    "DELETE FROM bank_notice_lines WHERE statement = 'KS-202609-000001'": "line_missing_at_provider",
    LINE: "line_unknown_to_us",
    "UPDATE bank_notice_lines SET amount_minor = 107 WHERE statement = 'KS-202609-000001'": "amount_mismatch",
    "UPDATE bank_notices SET currency = 'USD' WHERE statement = 'KS-202609-000001'": "currency_mismatch",
    "UPDATE bank_notices SET status = 'void' WHERE statement = 'KS-202609-000001'": "status_mismatch",
    NOTICE: "duplicate_provider_invoice",
    DEARER: "above_published_price",
}


class Alone:
    """A pool of one connection, so that a gateway sees what is not committed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.only = connection

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        yield self.only


def seen(connection: psycopg.Connection[Any]) -> list[Break]:
    pool: Any = Alone(connection)
    found = taking.provider(connection, [BankGateway(pool)], MONTH, END + timedelta(days=400))
    return reconcile(taking.ours(connection, MONTH), taking.statements(connection, MONTH), found)


@pytest.mark.slow
def test_each_fault_in_the_tables_is_found_and_nothing_else(billed_node: Node) -> None:
    with psycopg.connect(billed_node.conninfo, autocommit=True) as connection:
        for fault, code in FAULTS.items():
            with connection.transaction(force_rollback=True):
                for table in TABLES:
                    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
                for table, rule in connection.execute(RULES, (list(TABLES),)).fetchall():
                    connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {rule} CASCADE".encode())
                connection.execute("DROP INDEX bank_notices_one")
                assert seen(connection) == []
                connection.execute(fault.encode())
                assert [each.code for each in seen(connection)] == [code], fault


# --- faults in what happened ---


@pytest.mark.slow
def test_each_fault_in_what_happened_is_found_and_mended(billed_node: Node) -> None:
    node = billed_node

    def codes() -> list[str]:
        return [each.code for each in breaks(node)]

    assert codes() == []
    node.decide("commerce", "metering:a", made(END, 5), made(END, **FREE))  # of the next month
    assert codes() == []
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))
    assert codes() == ["late_usage_pending"]
    pay(node, row("s9", "7.77", "thanks"))
    assert codes() == ["payment_without_invoice", "late_usage_pending"]
    [(receipt,)] = node.rows("SELECT receipt FROM bank_receipts")
    assert post(node, f"/v1/bank/receipts/{receipt}/return", reason="not ours", amount_minor=777).status_code == 202
    assert codes() == ["late_usage_pending"]
    pay(node, row("s1"))
    assert codes() == ["late_usage_pending", "fapiao_missing"]
    given_back(node)
    assert codes() == ["refund_without_credit_note", "late_usage_pending"]


def given_back(node: Node) -> None:
    """A refund that rests on nothing."""
    [(payment,)] = node.rows("SELECT payment FROM bank_matches")
    with gateway(node) as bank:
        refund = bank.refund(payment, 6, credit_note="", key="kouan:x:refund:0")
    told = RefundMade(
        happened_at=SENT, recorded_at=SENT, statement=FIRST, provider="bank", refund=refund, payment=payment,
        amount_minor=6,
    )  # fmt: skip
    node.decide("commerce", invoice.stream(FIRST), told)


def test_what_comes_later_does_not_change_the_snapshots_of_a_month(billed_node: Node) -> None:
    taken = []
    with psycopg.connect(billed_node.conninfo, autocommit=True) as connection:
        for _ in range(2):
            with taking.one_view(connection):
                taken.append((digest(taking.ours(connection, MONTH)), digest(taking.statements(connection, MONTH))))
            billed_node.decide("commerce", "metering:b", made(END, 7))
    assert taken[0] == taken[1]


# --- by API, on the page and in a terminal ---


def test_finance_runs_assigns_accepts_and_a_second_person_signs(billed_node: Node) -> None:
    node = billed_node
    pay(node, row("s9", "7.77", "thanks"))
    assert (post(node, PATH, "logistics").status_code, node.get(PATH, "logistics").status_code) == (403, 403)
    assert post(node, f"{PATH}/signature", "second", note="x").status_code == 409  # there is no run
    found = run(node)
    assert (found["runs"], found["open"], found["run_by"]) == (1, 1, "clerk")
    [one] = found["breaks"]
    names = ("code", "theirs_minor", "state", "age_days")
    assert tuple(one[name] for name in names) == ("payment_without_invoice", 777, "open", 0)
    assert run(node)["runs"] == 1  # nothing has changed
    name = f"{PATH}/breaks/{one['break_id']}"
    assert post(node, f"{name}/owner", owner="王会计").status_code == 202
    assert post(node, f"{PATH}/signature", "second", note="x").status_code == 409  # a break is open
    assert post(node, f"{name}/acceptance", reason="known to the bank").status_code == 202
    assert post(node, f"{PATH}/signature", note="x").status_code == 409  # who ran it
    assert post(node, f"/v1/periods/{MONTH}/close").status_code == 409  # nobody has signed
    assert post(node, f"{PATH}/signature", "second", note="in order").status_code == 202
    found = shown(node)
    assert (found["signed_by"], found["accepted"], found["breaks"][0]["owner"]) == ("second", 1, "王会计")
    assert post(node, f"/v1/periods/{MONTH}/close").status_code == 202
    assert post(node, PATH).status_code == 409  # closed


def test_a_flat_price_is_no_difference_with_use_and_without_and_its_missing_line_is_one(node: Node) -> None:
    last = END - timedelta(microseconds=1)
    flat: dict[str, Any] = {"item": "statistics.detail", "tariff": "statistics.detail/sample-2026"}
    for account in ("mover", "trader"):
        due = ChargeFellDue(
            happened_at=last, recorded_at=END, subscription=account, account=account, party="", period=MONTH, **flat
        )
        node.decide("commerce", f"standing:{account}", due)
    node.decide("commerce", "metering:a", made(SEPTEMBER, 3, **flat, item_class="commercial"))
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    assert breaks(node) == []
    with opened(node.conninfo) as books, books.connect() as connection, gateway(node) as bank:
        provider = taking.provider(connection, [bank], MONTH, END)
        papers = taking.statements(connection, MONTH)
        [trader] = [each for each in papers.papers if each.holder == "trader"]
        left = tuple(line for line in trader.lines if line.item != "statistics.detail")
        without = msgspec.structs.replace(trader, lines=left)
        forged = tuple(without if each is trader else each for each in papers.papers)
        found = reconcile(taking.ours(connection, MONTH), msgspec.structs.replace(papers, papers=forged), provider)
    unrated = [each.ours_minor for each in found if each.code == "unrated_usage"]
    assert unrated == [20_000]


def test_before_the_statements_there_is_nothing_to_reconcile(node: Node) -> None:
    assert post(node, PATH).status_code == 409
    assert post(node, "/v1/periods/2026-99/reconciliation").status_code == 422
    assert node.get(PATH, "finance").json()["runs"] == 0


def test_the_file_has_both_languages_and_no_formula(billed_node: Node) -> None:
    pay(billed_node, row("s9", "7.77", "thanks"))
    run(billed_node)
    answer = billed_node.get(PATH, "finance", format="csv")
    assert answer.headers["content-disposition"].endswith('"reconciliation-2026-09.csv"')
    titles, only = csv.reader(io.StringIO(answer.content.decode().removeprefix(BOM)))
    told = dict(zip(titles, only, strict=True))
    assert told["种类 Code"] == "收款无对应账单 a payment that belongs to no invoice"
    assert told["对方（元） Theirs, CNY"] == "7.77"
    assert billed_node.get(PATH, "finance", state="resolved").json()["breaks"] == []


def test_the_page_leads_down_to_the_facts_and_takes_the_acts(billed_node: Node) -> None:
    node, page = billed_node, f"/reconciliation/{MONTH}"
    assert "尚未对账" in node.get(page, "finance").text
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))

    def act(who: str, **form: str) -> int:
        answer = node.client.post(page, data=form, headers=node.bearer(who), follow_redirects=False)
        return int(answer.status_code)

    assert act("finance", step="run") == 303
    text = node.get("/reconciliation", "finance").text
    for part in ("迟到用量待入账", "¥0.10", "/deliveries/metering:a/", "clerk"):
        assert part in text
    assert "late usage that waits" in node.get(page, "finance", lang="en").text
    name = shown(node)["breaks"][0]["break_id"]
    assert act("second", step="sign") == 409
    assert act("finance", step="accept", reason="next month", **{"break": name}) == 303
    assert act("second", step="sign", note="") == 303
    assert "second" in node.get(page, "finance").text
    assert [act(who, step="run") for who in ("operator", "logistics")] == [403, 403]
    assert [node.get(page, who).status_code for who in ("operator", "logistics")] == [200, 403]


def test_a_month_can_be_reconciled_at_the_terminal(billed_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", billed_node.conninfo)

    def told(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(kouan, ["reconcile", MONTH, *words])
        return done.exit_code, done.output

    assert told("--by", "王会计")[0] == 0
    pay(billed_node, row("s9", "7.77", "thanks"))
    assert told("--by", "王会计")[0] == 1
    [name] = [each["break_id"] for each in shown(billed_node)["breaks"]]
    assert told("--by", "王会计", "--accept", name, "--reason", "known")[0] == 0
    assert told("--by", "李复核", "--sign")[0] == 0
    assert shown(billed_node)["signed_by"] == "李复核"
