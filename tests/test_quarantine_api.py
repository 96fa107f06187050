"""The quarantine desk over HTTP: what could not be understood is shown, mended or dismissed, and never lost."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.intake import asked
from api.mending import Order, again
from domain import quarantine
from domain.intent import Intent, Outcome, Transmission
from domain.journal import LOCKS, Journal
from domain.quarantine import AlreadyResolved
from domain.report import Fault, Reading
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN, statuses

WHOLE = (
    b"UNB+UNOA:2+YS1+COSCO+240501:2130+78'UNH+1+CODECO:D:95B:UN:ITG14'BGM+34+G1+9'TDT+1++3++:::+++:146:ZZZ:SU A12345'"
    b"EQD+CN+CSQU3054383+45G1:102:5+2+3+5'DTM+203:202405012112:203'LOC+165+CNNKG:139:6'CNT+16:1'UNT+8+1'UNZ+1+78'"
)
MESSAGE = WHOLE[WHOLE.index(b"UNH") : WHOLE.index(b"UNZ")]
TRUNCATED = WHOLE[: WHOLE.index(b"LOC+165") + 9]
MISCOUNTED = WHOLE.replace(b"UNT+8+1", b"UNT+9+1")
BAD_ITEM = b'{"id": "2", "subject": "container:X"}'
FSU = b"FSU/14\n160-12345675HKGNRT/T5K100\nRCS/01MAR1200/HKG/T5K100/SHIPPER\n"
ACCEPTED = "计数不符，经操作员 operator 确认 / counts do not match, accepted by operator operator"


def quarantined(node: Node, message_format: str, body: bytes, who: str = "source") -> str:
    """Send what cannot be understood. Returns the id of its first quarantined message."""
    receipts = node.post(message_format, body, who).json()["receipts"]
    return str(next(receipt["message_id"] for receipt in receipts if receipt["status"] == "quarantined"))


def desk(node: Node, who: str = "operator", **params: Any) -> Any:
    answer = node.get("/v1/quarantine", who, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def show(node: Node, message_id: str, who: str = "operator") -> Any:
    answer = node.get(f"/v1/quarantine/{message_id}", who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def replay(node: Node, message_id: str, body: bytes = b"", who: str = "operator", **params: str) -> Any:
    path = f"/v1/quarantine/{message_id}/replay"
    return node.client.post(path, content=body, params=params, headers=node.bearer(who))


def dismiss(node: Node, message_id: str, reason: Any = "测试报文 / a test", who: str = "operator") -> Any:
    path = f"/v1/quarantine/{message_id}/dismiss"
    return node.client.post(path, json={"reason": reason}, headers=node.bearer(who))


def written(node: Node, intents: list[Intent]) -> list[Outcome]:
    with Journal("cargo", node.conninfo).opened() as journal:
        writer = Writer(journal)
        outcomes = writer.write(intents)
        writer.stop()
    return outcomes


def statuses_of(answer: Any) -> list[str]:
    return [receipt["status"] for receipt in answer["receipts"]]


def subjects(node: Node) -> list[str]:
    return [row[0] for row in node.rows("SELECT originator_id FROM cargo_events ORDER BY notification_id")]


# --- looking ---


def test_a_quarantined_message_is_listed_with_its_fault_newest_first_and_counted(node: Node) -> None:
    older, newer = quarantined(node, "codeco", TRUNCATED), quarantined(node, "native", BAD_ITEM)
    told = desk(node)
    assert [item["message_id"] for item in told["items"]] == [newer, older]
    assert [item["code"] for item in told["items"]][1] == "edifact.truncated"
    assert {(row["state"], row["count"]) for row in told["counts"]} == {("open", 1)}
    assert (told["items"][1]["source"], told["items"][1]["format"], told["items"][1]["attempts"]) == (
        "terminal",
        "codeco",
        1,
    )


def test_the_desk_can_be_searched_by_state_source_format_code_and_time(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    quarantined(node, "native", BAD_ITEM, who="line")
    [item] = desk(node, code="edifact.truncated")["items"]
    for wanted in ({"source": "terminal"}, {"format": "codeco"}, {"state": "open", "code": "edifact.truncated"}):
        assert [each["message_id"] for each in desk(node, **wanted)["items"]] == [message_id], wanted
    for state in ("mended", "dismissed", "waiting"):
        assert desk(node, state=state)["items"] == []
    assert len(desk(node, since=item["first_seen"])["items"]) == 2
    assert desk(node, since="2199-01-01T00:00:00Z")["items"] == []
    assert node.get("/v1/quarantine", "operator", since="2026-01-01T00:00:00").status_code == 422
    assert node.get("/v1/quarantine", "operator", state="lost").status_code == 422


def test_pages_of_the_desk_hold_every_message_once(node: Node) -> None:
    body = json.dumps([{"id": str(number), "subject": "container:X"} for number in range(7)]).encode()
    sent = {receipt["message_id"] for receipt in node.post("native", body).json()["receipts"]}
    found, after, more = [], "", True
    while more:
        told = desk(node, limit=3, after=after)
        found += [item["message_id"] for item in told["items"]]
        after, more = told["next"], told["more"]
    assert len(found) == 7
    assert set(found) == sent
    for after in ("x", "!", "MTIzLjQ", "é"):
        assert node.get("/v1/quarantine", "operator", after=after).json()["type"] == "/problems/bad-cursor"


def test_one_message_is_shown_with_its_fault_its_bytes_and_the_place_marked(node: Node) -> None:
    body = b"[" + json.dumps(GATE_IN).encode() + b",\n  " + BAD_ITEM + b"]"
    told = show(node, quarantined(node, "native", body))
    assert base64.b64decode(told["base64"]) == BAD_ITEM
    assert (told["codec"], told["text"]) == ("utf-8", BAD_ITEM.decode())
    assert told["item"]["offset"] == told["excerpt"]["offset"]
    assert told["excerpt"]["marked"].replace("▶", "") == BAD_ITEM.decode()
    assert told["item"]["size_bytes"] == len(BAD_ITEM)


def test_the_place_is_marked_where_the_fault_is(node: Node) -> None:
    told = show(node, quarantined(node, "codeco", b"\r\n" + MISCOUNTED))
    assert told["item"]["code"] == "edifact.count"
    assert told["excerpt"]["after"] == "UNT+9+1'"
    assert told["excerpt"]["before"].endswith("CNT+16:1'")
    assert told["item"]["offset"] == MESSAGE.index(b"UNT")


@pytest.mark.parametrize(
    ("raw", "codec"),
    [("箱号".encode(), "utf-8"), ("箱号".encode("gb18030"), "gb18030"), (b"caf\xe9", "latin-1"), (b"\x1f\x8b\0", "")],
)
def test_bytes_are_shown_as_text_by_the_codec_named_and_always_given_verbatim(
    node: Node, raw: bytes, codec: str
) -> None:
    message_id = quarantined(node, "native", raw)
    told = show(node, message_id)
    assert (told["codec"], told["text"]) == (codec, raw.decode(codec) if codec else None)
    assert base64.b64decode(told["base64"]) == raw
    answer = node.get(f"/v1/quarantine/{message_id}/bytes", "operator")
    assert (answer.content, answer.headers["content-type"]) == (raw, "application/octet-stream")
    assert answer.headers["content-disposition"] == f'attachment; filename="{message_id}.bin"'


def test_a_source_sees_its_own_and_another_source_gets_the_answer_for_what_is_not_there(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    assert [item["message_id"] for item in desk(node, "source")["items"]] == [message_id]
    assert show(node, message_id, "source")["item"]["message_id"] == message_id
    assert desk(node, "line") == {"items": [], "counts": [], "next": "", "more": False}
    assert desk(node, "line", source="terminal")["items"] == []
    for path in ("", "/bytes"):
        hidden = node.get(f"/v1/quarantine/{message_id}{path}", "line")
        absent = node.get(f"/v1/quarantine/{(other := str(uuid4()))}{path}", "line")
        assert (hidden.status_code, absent.status_code) == (404, 404)
        assert hidden.text.replace(message_id, "ID") == absent.text.replace(other, "ID")


def test_only_the_operator_mends_and_only_operator_and_sources_look(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    for who, status in (("source", 403), ("enterprise", 403), ("", 401)):
        assert replay(node, message_id, WHOLE, who).status_code == status
        assert dismiss(node, message_id, who=who).status_code == status
    assert node.get("/v1/quarantine", "enterprise").status_code == 403
    for answer in (replay(node, str(uuid4())), dismiss(node, str(uuid4()))):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown")


# --- mending ---


@pytest.mark.parametrize("mended", [WHOLE, MESSAGE], ids=["interchange", "message alone"])
def test_a_truncated_message_is_mended_by_the_whole_one_and_recorded_for_its_source(node: Node, mended: bytes) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    answer = replay(node, message_id, mended).json()
    assert (answer["state"], statuses_of(answer)) == ("mended", ["recorded"])
    node.catch_up()
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert line["source"] == "terminal"
    item = show(node, message_id)["item"]
    assert (item["state"], item["resolved_by"]) == ("mended", "operator")
    assert item["replayed_as"] == answer["receipts"][0]["message_id"] == line["message_id"]
    assert answer["position"] == 1


def test_the_first_receipt_stays_findable_beside_the_time_of_the_mending(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    replay(node, message_id, WHOLE)
    [(body, received_at, mends)] = node.rows(
        "SELECT t.body, t.received_at, t.mends"
        " FROM cargo_transmissions AS t JOIN cargo_messages USING (transmission_id)"
        " WHERE message_id = (SELECT replayed_as FROM cargo_quarantine)"
    )
    assert WHOLE in bytes(body)
    assert str(mends) == message_id
    [state] = node.rows("SELECT state FROM cargo_events")
    told = show(node, message_id)
    assert json.loads(bytes(state[0]))["recorded_at"].rstrip("Z") == received_at.isoformat().removesuffix("+00:00")
    assert told["received_at"] < json.loads(bytes(state[0]))["recorded_at"]
    assert base64.b64decode(told["base64"]) == TRUNCATED[TRUNCATED.index(b"UNH") :]


def test_what_was_mended_is_a_duplicate_when_its_source_sends_it_broken_or_whole(node: Node) -> None:
    replay(node, quarantined(node, "codeco", TRUNCATED), WHOLE)
    for body in (WHOLE, TRUNCATED):
        [receipt] = node.post("codeco", body).json()["receipts"]
        assert receipt["status"] == "duplicate"
        assert [fact["subject"] for fact in receipt["facts"]] == ["container:CSQU3054383"]
    assert subjects(node) == ["container:CSQU3054383"]
    assert [item["state"] for item in desk(node)["items"]] == ["mended"]


def test_an_item_of_an_array_is_mended_alone_or_within_the_whole_array(node: Node) -> None:
    good = json.dumps({**GATE_IN, "id": "2", "code": "GATE_OUT"}).encode()
    for number, mended in enumerate((good, b"[" + json.dumps(GATE_IN).encode() + b"," + good + b"]")):
        body = b"[" + json.dumps(GATE_IN).encode() + b"," + BAD_ITEM.replace(b"X", b"X%d" % number) + b"]"
        answer = replay(node, quarantined(node, "native", body), mended).json()
        assert answer["state"] == "mended"
    assert subjects(node) == ["container:CSQU3054383"] * 2


def test_a_message_that_is_faulty_again_stays_open_and_shows_its_new_fault(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    broken = MESSAGE.replace(b"UNT+8", b"UNT+7")
    answer = replay(node, message_id, broken).json()
    assert (answer["state"], answer["attempts"], statuses_of(answer)) == ("open", 2, ["quarantined"])
    assert answer["receipts"][0]["message_id"] == message_id
    problem = answer["receipts"][0]["problem"]
    assert (problem["code"], problem["offset"]) == ("edifact.count", broken.index(b"UNT"))
    told = show(node, message_id)
    assert (told["item"]["code"], told["item"]["attempts"]) == ("edifact.count", 2)
    assert told["excerpt"]["mended"]
    assert told["excerpt"]["after"] == "UNT+7+1'"
    assert base64.b64decode(told["base64"]) == TRUNCATED[TRUNCATED.index(b"UNH") :]
    assert len(desk(node)["items"]) == 1
    assert len(node.rows("SELECT 1 FROM cargo_transmissions WHERE mends = %s", message_id)) == 1


def test_a_replay_of_the_bytes_as_they_came_takes_what_the_reader_understands_by_now(node: Node) -> None:
    body = MISCOUNTED[: MISCOUNTED.index(b"UNZ")] + MESSAGE.replace(b"UNH+1", b"UNH+2").replace(b"+8+1", b"+8+2")
    start = body.index(b"UNH+2")
    came = Transmission(uuid4(), "terminal", "codeco", datetime.now(UTC), sha256(body).digest(), body)
    worse = [Reading(key="k", start=start, end=len(body), fault=Fault("codeco.old", "an older reader", start + 9))]
    [told] = written(node, asked(came, worse))
    answer = replay(node, str(told.message_id)).json()
    assert (answer["state"], statuses_of(answer)) == ("mended", ["recorded"])
    [row] = node.rows("SELECT byte_from, byte_to, transmission_id FROM cargo_messages WHERE status = 'recorded'")
    assert row == (start, len(body), came.transmission_id)
    assert [item["state"] for item in desk(node)["items"]] == ["mended"]
    assert node.rows("SELECT count(*) FROM cargo_transmissions") == [(1,)]


def test_a_cancellation_that_waits_for_its_original_is_on_the_desk_and_needs_no_mending(node: Node) -> None:
    message_id = quarantined(node, "codeco", WHOLE.replace(b"+78'", b"+79'").replace(b"G1+9", b"G1+1"))
    item = show(node, message_id)["item"]
    assert (item["state"], item["code"]) == ("waiting", "document.unknown")
    assert (replay(node, message_id).status_code, desk(node, state="waiting")["items"]) == (409, [item])
    node.post("codeco", WHOLE)
    assert show(node, message_id)["item"]["state"] == "mended"


def test_a_cancellation_that_was_mended_waits_for_its_original_in_its_turn(node: Node) -> None:
    cancel = WHOLE.replace(b"+78'", b"+79'").replace(b"G1+9", b"G1+1")
    message_id = quarantined(node, "codeco", cancel[: cancel.index(b"LOC+165")])
    answer = replay(node, message_id, cancel).json()
    assert (answer["state"], answer["receipts"][0]["problem"]["code"]) == ("mended", "document.unknown")
    waiting = answer["receipts"][0]["message_id"]
    assert show(node, message_id)["item"]["replayed_as"] == waiting
    assert show(node, waiting)["item"]["state"] == "waiting"
    node.post("codeco", WHOLE)
    assert show(node, waiting)["item"]["state"] == "mended"


CANCEL = WHOLE.replace(b"+78'", b"+79'").replace(b"G1+9", b"G1+1")


def topics(node: Node) -> list[str]:
    return [row[0] for row in node.rows("SELECT topic FROM cargo_events ORDER BY notification_id")]


def test_a_cancellation_that_was_dismissed_while_it_waited_strikes_nothing(node: Node) -> None:
    message_id = quarantined(node, "codeco", CANCEL)
    assert dismiss(node, message_id).json()["state"] == "dismissed"
    assert statuses_of(node.post("codeco", WHOLE).json()) == ["recorded"]
    assert statuses_of(node.post("codeco", CANCEL).json()) == ["duplicate"]
    assert topics(node) == ["container.gated_in"]
    assert show(node, message_id)["item"]["state"] == "dismissed"
    another = CANCEL.replace(b"+79'", b"+80'")
    assert statuses_of(node.post("codeco", another).json()) == ["recorded"]
    assert topics(node) == ["container.gated_in", "fact.retracted"]


def test_a_cancellation_whose_original_came_before_the_dismissal_has_struck(node: Node) -> None:
    message_id = quarantined(node, "codeco", CANCEL)
    node.post("codeco", WHOLE)
    assert dismiss(node, message_id).status_code == 409
    assert topics(node) == ["container.gated_in", "fact.retracted"]


def test_of_two_cancellations_that_wait_the_one_that_was_not_dismissed_strikes(node: Node) -> None:
    first, second = (quarantined(node, "codeco", CANCEL.replace(b"+79'", b"+%d'" % number)) for number in (80, 81))
    dismiss(node, first)
    node.post("codeco", WHOLE)
    assert topics(node) == ["container.gated_in", "fact.retracted"]
    assert [show(node, each)["item"]["state"] for each in (first, second)] == ["dismissed", "mended"]


def test_a_waiting_cancellation_that_is_mended_as_another_one_strikes_nothing_itself(node: Node) -> None:
    message_id = quarantined(node, "codeco", CANCEL)
    other = CANCEL.replace(b"+79'", b"+80'").replace(b"+G1+", b"+G2+")
    assert replay(node, message_id, other).json()["state"] == "mended"
    node.post("codeco", WHOLE)
    assert topics(node) == ["container.gated_in"]


def test_a_dismissal_waits_for_the_batch_that_may_bring_the_original(node: Node) -> None:
    message_id = UUID(quarantined(node, "codeco", CANCEL))
    now = datetime.now(UTC)
    with (
        psycopg.connect(node.conninfo) as batch,
        psycopg.connect(node.conninfo, autocommit=True) as desk,
        ThreadPoolExecutor(1) as pool,
    ):
        batch.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCKS["cargo"])
        dismissal = pool.submit(quarantine.dismiss, desk, message_id, reason="r", by="operator", at=now)
        with pytest.raises(TimeoutError):
            dismissal.result(0.3)
        quarantine.arrived(batch.cursor(), [message_id], now)
        batch.commit()
        with pytest.raises(AlreadyResolved):
            dismissal.result(10)


def test_a_wrong_label_is_mended_by_the_right_one(node: Node) -> None:
    message_id = quarantined(node, "native", WHOLE)
    assert replay(node, message_id, format="fsu").json()["state"] == "open"
    answer = replay(node, message_id, format="codeco").json()
    assert (answer["state"], statuses_of(answer)) == ("mended", ["recorded"])
    assert statuses(node.post("codeco", WHOLE)) == ["duplicate"]
    assert statuses(node.post("native", WHOLE)) == ["duplicate"]
    other = quarantined(node, "native", BAD_ITEM)
    assert replay(node, other, format="morse").status_code == 415


def test_a_year_that_the_format_does_not_bear_is_that_of_the_first_receipt(node: Node) -> None:
    sent_at = "2024-03-02T00:00:00Z"
    headers = node.bearer("source")
    answer = node.client.post(
        "/v1/reports", params={"format": "native", "sent_at": sent_at}, content=FSU, headers=headers
    )
    answer = replay(node, answer.json()["receipts"][0]["message_id"], format="fsu")
    assert answer.json()["state"] == "mended", answer.text
    [state] = node.rows("SELECT state FROM cargo_events")
    assert json.loads(bytes(state[0]))["happened_at"].startswith("2024-03-01")


# --- counts that do not agree ---


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (MISCOUNTED, "edifact.count"),
        (WHOLE.replace(b"UNT+8+1", b"UNT+8+2"), "edifact.reference"),
        (WHOLE.replace(b"CNT+16:1", b"CNT+16:3"), "edifact.count"),
    ],
)
@pytest.mark.parametrize("message_format", ["codeco", "edifact"])
def test_counts_that_do_not_agree_are_accepted_by_an_operator_with_a_warning(
    node: Node, wrong: bytes, code: str, message_format: str
) -> None:
    message_id = quarantined(node, message_format, wrong)
    assert show(node, message_id)["item"]["code"] == code
    assert replay(node, message_id).json()["state"] == "open"
    answer = replay(node, message_id, override="count").json()
    assert (answer["state"], statuses_of(answer)) == ("mended", ["recorded"])
    assert answer["receipts"][0]["warnings"][-1] == ACCEPTED
    node.catch_up()
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert ACCEPTED in line["warnings"]
    assert show(node, message_id)["item"]["reason"] == ACCEPTED
    assert statuses(node.post(message_format, wrong)) == ["duplicate"]


def test_accepting_counts_accepts_nothing_else(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    assert replay(node, message_id, override="count").json()["state"] == "open"
    odd = quarantined(node, "codeco", MISCOUNTED.replace(b"202405012112", b"never").replace(b"+78", b"+79"))
    answer = replay(node, odd, override="count").json()
    assert (answer["state"], answer["receipts"][0]["problem"]["code"]) == ("open", "edifact.time")
    assert replay(node, message_id, WHOLE, override="count").json()["receipts"][0]["warnings"] == []
    item = quarantined(node, "native", BAD_ITEM)
    assert replay(node, item, override="count").json()["type"] == "/problems/no-counts"
    assert replay(node, item, override="everything").status_code == 422


# --- what is not open any more ---


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2000, None, 5, "a\0b"])
def test_a_message_is_dismissed_only_with_a_reason(node: Node, reason: Any) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    assert dismiss(node, message_id, reason).status_code == 422
    assert show(node, message_id)["item"]["state"] == "open"


def test_a_dismissed_message_keeps_its_bytes_its_reason_and_who_dismissed_it(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    item = dismiss(node, message_id, " 测试报文 ").json()
    assert (item["state"], item["reason"], item["resolved_by"]) == ("dismissed", "测试报文", "operator")
    assert base64.b64decode(show(node, message_id)["base64"]) in TRUNCATED
    assert [each["message_id"] for each in desk(node, state="dismissed")["items"]] == [message_id]
    [receipt] = node.post("codeco", TRUNCATED).json()["receipts"]
    assert (receipt["status"], receipt["message_id"]) == ("quarantined", message_id)
    told = show(node, message_id)["item"]
    assert (told["state"], told["attempts"]) == ("dismissed", 2)


def test_what_is_not_open_any_more_is_neither_replayed_nor_dismissed(node: Node) -> None:
    mended, dismissed = quarantined(node, "codeco", TRUNCATED), quarantined(node, "native", BAD_ITEM)
    replay(node, mended, WHOLE)
    dismiss(node, dismissed)
    for message_id in (mended, dismissed):
        for answer in (replay(node, message_id), replay(node, message_id, WHOLE), dismiss(node, message_id)):
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/already-resolved")
    assert len(subjects(node)) == 1


def test_a_message_dismissed_while_its_replay_was_on_its_way_is_not_recorded(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    order = Order(message_id=UUID(message_id), operator="operator", at=datetime.now(UTC), body=WHOLE)
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        read = again(quarantine.kept(connection, order.message_id), order)
        dismiss(node, message_id)
    assert [outcome.status for outcome in written(node, read.intents)] == ["stale"]
    assert subjects(node) == []
