"""An order as the gateway takes it, and a story in which the gateway makes every call that it knows."""

from datetime import UTC, date, datetime

from billing.gateway import Customer, Item, Order
from billing.stripe import StripeGateway
from tests.stripe_fake import Fake

CUSTOMER = Customer(holder="91320000MA0000277B", is_party=True, zh="外贸企业", en="Trader", tax_id="91320000MA0000277B")
NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def order_for(statement: str = "KS-202610-000007", *amounts: int) -> Order:
    """An order with these amounts, one line each; the first one is credit brought forward if it is below zero."""
    amounts = amounts or (-14, 120)
    first = 0 if amounts[0] < 0 else 1
    items = tuple(
        Item(line=line, item="feed.pull", description="数据拉取 / feed, pulled: 60 x 2", amount_minor=amount)
        for line, amount in enumerate(amounts, start=first)
    )
    return Order(
        statement=statement,
        sha256="0f" * 32,
        period="2026-10",
        currency="CNY",
        total_minor=sum(amounts),
        items=items,
        due_on=date(2026, 12, 2),
        customer=CUSTOMER,
    )


def drafted(gateway: StripeGateway, order: Order, again: int = 0) -> str:
    """A draft with all its items. `again`: how many times it was voided before."""
    name = f"kouan:{order.statement}"
    customer = gateway.find_customer(order.customer) or gateway.make_customer(order.customer, key=f"{name}:customer")
    draft = gateway.make_draft(order, customer, key=f"{name}:draft:{again}")
    for item in order.items:
        gateway.add_item(draft, customer, order, item, key=f"{name}:item:{again}:{item.line}")
    return draft


def sent(gateway: StripeGateway, order: Order) -> str:
    """An invoice that is open."""
    invoice = drafted(gateway, order)
    gateway.finalize(invoice, key=f"{invoice}:finalize")
    gateway.send(invoice, key=f"{invoice}:send")
    return invoice


def every_call(gateway: StripeGateway, fake: Fake) -> None:
    """Everything the gateway can do, at least once."""
    invoice = sent(gateway, order_for("KS-202610-000001", *range(1, 14)))
    gateway.find_invoices("KS-202610-000001")
    payment = fake.pay(invoice, 50)
    note = gateway.credit(invoice, 60, "计费有误 / wrong price", key="credit:1")
    gateway.refund(payment, 10, credit_note=note, key="refund:1")
    fake.charge_back(payment, 40)
    gateway.payments(invoice)
    other = sent(gateway, order_for("KS-202610-000002"))
    gateway.void(other, key="void:1")
    gateway.void(drafted(gateway, order_for("KS-202610-000003")), key="void:2")
    list(gateway.invoices(NOVEMBER, DECEMBER))
    list(gateway.movements(NOVEMBER, DECEMBER))
    list(gateway.events(NOVEMBER))
    gateway.portal_link(fake.all("customer")[0]["id"], "https://port.example/statements")
