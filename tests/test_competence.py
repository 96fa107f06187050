"""Who may say what customs says: anybody, until the dataset has an owner; then that department's sources alone."""

from typing import Any

from api.identity import Account
from domain.datasets import CLEARANCE
from tests.fixtures_node import Node
from tests.test_sight import PORT_GROUP, owned

ENTRY = "230820261000000015"
RECEIPT = {"SeqNo": "I20260000000000001", "EntryId": ENTRY, "ReceiptCode": "P", "NoticeDate": "2026-03-05T10:00:00"}


def told(node: Node, who: str = "source", **more: str) -> Any:
    headers = node.bearer(who)
    answer = node.client.post("/v1/reports?format=customs-receipt", json={**RECEIPT, **more}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["receipts"][0]


def test_without_an_owner_every_source_is_taken_at_its_word(closed_node: Node) -> None:
    assert told(closed_node)["status"] == "recorded"


def test_with_an_owner_a_receipt_of_others_waits_for_an_operator_who_is_satisfied(closed_node: Node) -> None:
    closed_node.decide("commerce", *owned(CLEARANCE))
    closed_node.open("customs", Account("customs", "source", "海关", "Customs", party=PORT_GROUP))
    refused = told(closed_node)
    assert (refused["status"], refused["problem"]["code"]) == ("quarantined", "source.not-competent")
    assert PORT_GROUP in refused["problem"]["detail"]
    assert closed_node.rows("SELECT count(*) FROM cargo_events") == [(0,)]
    assert told(closed_node, "customs", ReceiptCode="L")["status"] == "recorded"
    path = f"/v1/quarantine/{refused['message_id']}/replay"
    closed_node.catch_up()
    mended = closed_node.client.post(path, headers=closed_node.bearer("operator"))
    assert (mended.status_code, mended.json()["state"]) == (200, "mended"), mended.text


def test_what_is_no_receipt_needs_no_department(closed_node: Node) -> None:
    closed_node.decide("commerce", *owned(CLEARANCE))
    closed_node.tell(
        {"id": "1", "subject": "container:CSQU3054383", "code": "GATE_IN", "happened_at": "2026-03-01T08:00Z"}
    )
