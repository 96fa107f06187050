"""A node with one statement that a holder has to pay by bank transfer, its notice sent; and the bank's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from api.pool import open_pool
from billing import drafting, ordering
from billing.bank import BankGateway
from billing.gateway import Customer, Order
from domain import invoice, statement
from domain.invoice import InvoiceSent
from domain.journal import Journal
from domain.seller import SellerDescribed
from domain.statement import Seller
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.test_statement import close
from tests.test_usage import SEPTEMBER, made

FIRST, SECOND = "KS-202609-000001", "KS-202609-000002"
SENT = datetime(2026, 10, 9, tzinfo=UTC)
DUE = date(2026, 11, 8)
ACCOUNT = "32001234567890123456"
SELLER = Seller(zh="口岸公司", en="Port", tax_id="91320000MA0000015K", bank="某银行", bank_account=ACCOUNT)
TITLES = "本方账号,交易流水号,交易日期,贷方发生额,借方发生额,对方户名,对方账号,附言"


@contextmanager
def gateway(node: Node) -> Iterator[BankGateway]:
    with open_pool(node.conninfo) as pool:
        yield BankGateway(pool)


@contextmanager
def books(node: Node) -> Iterator[tuple[psycopg.Connection[Any], Writer]]:
    with (
        psycopg.connect(node.conninfo, autocommit=True) as connection,
        Journal("commerce", node.conninfo).opened() as journal,
    ):
        writer = Writer(journal)
        try:
            yield connection, writer
        finally:
            writer.stop()


def billed(node: Node) -> None:
    """mover owes 106 fen, trader 8; both have free use beside it."""
    node.decide(
        "commerce", "seller:node", SellerDescribed(happened_at=SEPTEMBER, recorded_at=SEPTEMBER, seller=SELLER, by="x")
    )
    free: dict[str, Any] = {"item": "track.query", "item_class": "government", "tariff": ""}
    node.decide("commerce", "metering:a", made(SEPTEMBER, 53), made(SEPTEMBER, 4, account="trader"))
    node.decide("commerce", "metering:a", made(SEPTEMBER, 3, **free))
    close(node)


def order(node: Node, number: str) -> Order:
    with psycopg.connect(node.conninfo) as connection:
        raw = drafting.stored(connection, number)
    document = statement.read(raw)
    customer = Customer(holder=document.holder.code, is_party=document.holder.is_party, zh="x", en="x")
    return ordering.order_of(document, statement.digest(raw), DUE, customer)


def asked(node: Node, number: str) -> str:
    """Send the notice of a statement as the outbox does, and tell the invoice; the notice's id."""
    wanted = order(node, number)
    with gateway(node) as bank:
        customer = bank.make_customer(wanted.customer, key=f"kouan:{number}:customer:0")
        notice = bank.make_draft(wanted, customer, key=f"kouan:{number}:draft:0")
        for item in wanted.items:
            bank.add_item(notice, customer, wanted, item, key=f"kouan:{number}:item:{item.line}")
        bank.finalize(notice, key=f"kouan:{number}:finalize:0")
        bank.send(notice, key=f"kouan:{number}:send:0")
    sent = InvoiceSent(
        happened_at=SENT,
        recorded_at=SENT,
        statement=number,
        provider="bank",
        invoice=notice,
        number=number,
        total_minor=wanted.total_minor,
        currency="CNY",
        due_on=DUE,
    )
    node.decide("commerce", invoice.stream(number), sent)
    return notice


def row(serial: str, amount: str = "1.06", text: str = FIRST, out: str = "") -> str:
    return f"{ACCOUNT},{serial},2026-10-20,{amount},{out},外贸企业,6222000011112222333,{text}"


def file(*rows: str, titles: str = TITLES) -> bytes:
    return "\n".join([titles, *rows]).encode()
