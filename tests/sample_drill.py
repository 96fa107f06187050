"""A statement line, a delivery and a message, made up, with everything that can stand on their pages."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from api.drilled import Bill, Counted, Delivery, DeliveryDrill, EntryShown, InvoiceState, LineDrill, Party
from api.evidence import FactProof, FactsPage, MessageProof
from api.messages import RawMessage
from billing.drilling import BilledOn, Entry
from domain.statement import Line

AT = datetime(2026, 10, 20, 4, tzinfo=UTC)
HOLDER, MESSAGE = "91320000MA0000015K", UUID("7d399c66-8064-8e05-a40d-1ab9e61c6a53")
STREAM = "metering:2f0c1f5e-0d3c-4f0a-9a53-0d5c3f0b8a11"
PROVED: dict[str, Any] = {"received_at": AT, "byte_from": 1, "byte_to": 162, "sha256": "2148d995194ca578" * 4}
SOURCED: dict[str, Any] = {"message_id": MESSAGE, "source": "terminal", "format": "native"}
TOLD = {"fact": "container.gated_in", "code": "GATE_IN", "wall": "2026-03-01T10:00:00", "place": "CNNJG"}
INVOICE = InvoiceState(state="open", zh="待付款", en="to be paid", provider="bank", invoice="BT-20261101-000007")


def _message(**more: Any) -> MessageProof:
    return MessageProof(**PROVED, transmission_sha256="5c36cfb596886a59" * 4, **more)


FACTS = FactsPage(
    named=True,
    facts=[
        FactProof(
            position=1_000_001,
            sha256="4f9e308777e2f7f7" * 4,
            shown=True,
            subject="container:CSQU3054383",
            fact=msgspec.Raw(msgspec.json.encode(TOLD)),
            message=_message(**SOURCED, bytes_at=f"/v1/messages/{MESSAGE}"),
        ),
        FactProof(position=1_000_002, sha256="5e9d5680c6bba9b4" * 4, shown=False, message=_message()),
        FactProof(position=1_000_003, sha256="9f25333a429f76b9" * 4, shown=True, subject="container:CSQU3054383"),
    ],
    next=1_000_003,
)
DELIVERY = Delivery(
    stream=STREAM,
    version=12_345,
    position=2_345_678,
    sha256="34b3ea2af1a3963d" * 4,
    fact="delivery.made",
    happened_at=AT,
    recorded_at=AT,
    account="forwarding-desk-demo",
    party=HOLDER,
    behalf="91320000MA0000301X",
    item="feed.pull",
    item_class="commercial",
    subject="feed:1000000-1010000",
    permissions=("port.movements-logistics", "road.movements-logistics"),
    count=10_000,
    tariff="feed.pull/sample-2026",
    channel="api",
)
ENTRY = Entry(
    meter="delivery/1",
    stream=STREAM,
    version=12_345,
    position=2_345_678,
    account="forwarding-desk-demo",
    party=HOLDER,
    holder=HOLDER,
    behalf="91320000MA0000301X",
    item="feed.pull",
    item_class="commercial",
    result="ok",
    quantity=10_000,
    chargeable=True,
    tariff="feed.pull/sample-2026",
    waived="",
    occurred_at=AT,
    billing_period="2026-10",
    corrects_period="2026-09",
)
LINE = LineDrill(
    statement="KS-202610-000007",
    period="2026-10",
    sha256="5db34db864d5e6f2" * 4,
    holder=Party(HOLDER, True, "示例进出口有限公司", "Sample Import and Export Co., Ltd."),
    line=Line(
        no=3,
        item="feed.pull",
        item_class="commercial",
        zh="物流事件数据订阅（拉取）",
        en="Event feed, pulled",
        unit_zh="条",
        unit_en="fact",
        tariff="feed.pull/sample-2026",
        corrects_period="2026-09",
        used_by=HOLDER,
        used_by_party=True,
        deliveries=1,
        quantity=10_000,
        amount_minor=20_000,
        explanation="10000 x 2",
    ),
    invoice=INVOICE,
    entries=[EntryShown(entry=ENTRY, delivery=DELIVERY, at="", handed=FACTS)],
    next="x",
)
BILLED = BilledOn("KS-202610-000007", 3, "usage", HOLDER, True, 20_000, 20_000, 10_000, 0, 20_000)
MADE = DeliveryDrill(
    delivery=DELIVERY,
    state="billed",
    zh="已入账单",
    en="on a statement",
    counted=[
        Counted(
            entry=ENTRY,
            state="billed",
            zh="已入账单",
            en="on a statement",
            reason="",
            reason_zh="",
            reason_en="",
            bills=[Bill(line=BILLED, at="", invoice=INVOICE)],
        )
    ],
    handed=msgspec.structs.replace(FACTS, named=False),
)
RAW = RawMessage(
    message_id=MESSAGE,
    source="terminal",
    format="native",
    received_at=AT,
    sent_at=None,
    status="recorded",
    document="",
    transmission_id=MESSAGE,
    byte_from=1,
    byte_to=162,
    transmission_bytes=452,
    sha256="2148d995194ca578" * 4,
    transmission_sha256="5c36cfb596886a59" * 4,
    facts=1,
    codec="utf-8",
    text='{"id":"1","subject":"container:CSQU3054383","code":"GATE_IN","happened_at":"2026-03-01T10:00:00+08:00"}',
    base64=b"",
)
