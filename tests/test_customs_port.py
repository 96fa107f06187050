"""The customs port: what was declared gets to customs, however often it has to be said, and is there once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest

from api import customs_outbox
from api.app import READ_MODELS
from api.customs_message import Form, Leaving, heard, tree, write
from api.customs_port import Port, cargo
from api.customs_simulator import SCENARIOS, Simulator, Trouble
from api.formats.trees import inner, messages, text
from api.identity import Account, open_account
from api.pool import open_pool
from domain import declaring_rules
from domain.declaring import Content
from domain.journal import Journal
from domain.writer import Writer
from projections import runner
from tests.fixtures_api import Served
from tests.fixtures_node import Node
from tests.sample_declaration import content, export, summary, transit

TRADER = Account("trader", "enterprise", "外贸企业", "Trader")
WAIT_SECONDS = 60.0


def said(entered: dict[str, Any]) -> Content:
    return declaring_rules.checked(entered, datetime.now(UTC).date())[0]


def leaving(entered: dict[str, Any] | None = None, **changes: Any) -> Leaving:
    at = datetime(2026, 3, 2, 1, tzinfo=UTC)
    made = said(entered if entered is not None else content())
    common: dict[str, Any] = {"message_id": uuid4(), "action": "lodge", "number": "I20260000000000001", "at": at}
    return Leaving(**{**common, "by": "trader", "content": made, **changes})


@contextmanager
def port_to(conninfo: str, url: str, **options: Any) -> Iterator[Port]:
    with Journal("cargo", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        port = Port(writer, pool, url, **options)
        port.pause_seconds_min = port.poll_seconds = 0.05
        try:
            yield port
        finally:
            writer.stop()
            port.client.close()


def catch_up(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection, Journal("cargo", conninfo).opened() as journal:
        runner.catch_up(connection, journal, READ_MODELS)


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sent(node: Node) -> list[tuple[Any, ...]]:
    return node.rows("SELECT action, state, attempts FROM customs_outbox ORDER BY position")


def lodge(node: Node, entered: dict[str, Any] | None = None) -> str:
    answer = node.client.post("/v1/declarations", json=entered or content(), headers=node.bearer("enterprise"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


def decide(node: Node, number: str, word: str, **body: Any) -> None:
    path = f"/v1/declarations/{number}/{word}"
    answer = node.client.post(path, json=body, headers=node.bearer("enterprise"))
    assert answer.status_code == 202, answer.text


# --- the message ---


def national(entered: dict[str, Any]) -> Any:
    return tree(leaving(entered))


def test_the_message_bears_the_national_names() -> None:
    told = national(content())
    head, [line] = told["DecHead"], told["DecLists"]["DecList"]
    names = ("CustomMaster", "IEPort", "IEFlag", "TrafMode", "BillNo", "TradeCoScc", "OwnerCodeScc", "AgentName")
    numbers = ["2308", "2248", "I", "2", "KOUA0000001", "91320000MA0000015K", "91320500MA00000313"]
    assert [head[name] for name in names] == [*numbers, "南京示例报关有限公司"]
    kept = ("GNo", "CodeTS", "DeclTotal", "OriginCountry")
    assert [line[name] for name in kept] == ["1", "8471300000", "50025.00", "KOR"]
    box = {"ContainerId": "CSQU3054383", "ContainerMd": "21", "LclFlag": "0", "GoodsNo": "1"}
    assert told["DecContainers"] == {"Container": [box]}
    assert told["DecFreeTxt"] == {"VoyNo": "021W"}
    sign = told["DecSign"]
    assert (sign["ClientSeqNo"], sign["SignDate"]) == ("I20260000000000001", "20260302090000")


def test_an_export_swaps_the_countries_and_a_step_is_told_in_the_type() -> None:
    [line] = national(export())["DecLists"]["DecList"]
    assert (line["OriginCountry"], line["DestinationCountry"]) == ("CHN", "KOR")
    assert [national(entered)["DecHead"].get("Type", "") for entered in (content(), summary())] == ["", "  5"]
    assert national(transit())["TrnHead"]["TrafCustomsNo"] == "X8412"


@pytest.mark.parametrize("form", ["xml", "json"])
def test_xml_and_json_say_the_same_whatever_characters_they_hold(form: Form) -> None:
    note = "<A&B>\"'—报关"
    [found] = messages(write(leaving(content(note=note)), form), "x", ("DecMessage",))
    told = next(iter(inner(found.tree, "decmessage")), found.tree)
    assert text(inner(told, "dechead")[0], "notes") == note
    [document] = inner(inner(told, "declicensedocus")[0], "licensedocu")
    assert text(document, "certcode") == "<E>12345"


def test_a_withdrawal_says_what_goes_and_why() -> None:
    told = tree(leaving(action="withdraw", content=None, reason="退运", seq="I1", entry="230820261000000015"))
    assert told["DecModHead"] == {
        "EntryId": "230820261000000015",
        "DecSeqNo": "I1",
        "DecModType": "2",
        "DecModNote": "退运",
        "ApplErName": "trader",
    }
    assert "DecLists" not in told


@pytest.mark.parametrize("body", [b"", b"<html/>", b"ok", b"{}", b"[1]", b"<DecImportResponse/>", b"\xff\xfe"])
def test_only_an_answer_is_an_answer(body: bytes) -> None:
    assert heard(body) is None


def test_the_shipment_of_a_declaration_goes_by_its_bill_and_its_boxes() -> None:
    assert cargo(said(content())) == ("bl:KOUA0000001", "container:CSQU3054383")
    assert cargo(said(content(transport_mode="5", bill="112-00000011", containers=[]))) == ("awb:11200000011",)


# --- the outbox ---


def test_each_decision_leaves_once_and_in_order(node: Node) -> None:
    number = lodge(node)
    decide(node, number, "amend", reason="件数", content=content(packages=11))
    decide(node, number, "withdraw", reason="退运")
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        while port.step():
            pass
        assert customs.held[number].versions == 2
    assert sent(node) == [("lodge", "sent", 1), ("amend", "sent", 1), ("withdraw", "sent", 1)]
    shown = node.get(f"/v1/declarations/{number}").json()["sending"]
    assert (shown[0]["action"], shown[0]["state"], shown[0]["next_at"]) == ("lodge", "sent", None)


@pytest.mark.parametrize("trouble", ["error", "page", "drop"])
def test_trouble_at_customs_is_waited_out_and_nothing_is_lost_or_doubled(node: Node, trouble: Trouble) -> None:
    numbers = [lodge(node) for _ in range(3)]
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        customs.troubles.extend([trouble] * 5)
        eventually(lambda: not (port.step() or any(state != "sent" for _, state, _ in sent(node))))
        assert set(customs.held) == set(numbers)
        assert sum(attempts for *_, attempts in sent(node)) == 8


def test_a_customs_that_says_nothing_is_given_up_for_now(node: Node) -> None:
    lodge(node)
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        port.client.timeout = httpx.Timeout(0.3)
        customs.troubles.append("hang")
        assert port.step()
        assert sent(node) == [("lodge", "waiting", 1)]
        [waiting] = node.rows("SELECT answer, next_at > now() - interval '1 minute' FROM customs_outbox")
        assert "ReadTimeout" in waiting[0]
        eventually(lambda: port.step() and sent(node)[0][1] == "sent")


def test_a_customs_that_is_away_costs_growing_pauses(node: Node) -> None:
    number = lodge(node)
    with port_to(node.conninfo, "http://127.0.0.1:9/declarations") as port:
        port.pause_seconds_min = 60
        assert port.step()
        assert not port.step()  # it is not due
    [shown] = node.get(f"/v1/declarations/{number}").json()["sending"]
    pause = datetime.fromisoformat(shown["next_at"]) - datetime.now(UTC)
    assert (shown["state"], shown["attempts"]) == ("waiting", 1)
    assert timedelta(seconds=20) < pause <= timedelta(seconds=60)


def test_a_decision_that_cannot_be_read_stays_in_the_outbox_and_says_why_and_others_leave(node: Node) -> None:
    broken, whole = lodge(node), lodge(node)
    with psycopg.connect(node.conninfo) as connection:
        connection.execute(
            "UPDATE cargo_events SET state = %s WHERE originator_id = %s", (b"{", f"declaration:{broken}")
        )
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        while port.step():
            pass
        assert list(customs.held) == [whole]
    stays, left = node.rows("SELECT action, state, subject, answer FROM customs_outbox ORDER BY position")
    assert stays[:3] == ("lodge", "waiting", f"declaration:{broken}")
    assert "a fact cannot be read" in stays[3]
    assert left[:3] == ("lodge", "sent", f"declaration:{whole}")


def test_a_crash_between_sending_and_marking_repeats_the_message_and_customs_drops_it(node: Node) -> None:
    number = lodge(node)
    with Simulator() as customs, port_to(node.conninfo, customs.url) as crashed:
        with crashed.pool.connection() as connection:
            while customs_outbox.fill(connection, crashed.writer.journal):
                pass
            claimed = customs_outbox.claim(connection, timedelta(seconds=0.2))
            assert customs_outbox.claim(connection, timedelta(seconds=0.2)) is None  # it is leased
        assert claimed is not None
        crashed.send(crashed._leaving(claimed))  # and here the process ends
        with port_to(node.conninfo, customs.url) as after:
            eventually(after.step)
        assert len(customs.received) == 2
        assert (len(set(customs.received)), list(customs.held)) == (1, [number])
    assert sent(node) == [("lodge", "sent", 2)]


def test_a_crash_between_recording_and_marking_records_the_answer_once(node: Node) -> None:
    lodge(node)
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        assert port.step()
        with psycopg.connect(node.conninfo) as connection:
            connection.execute("UPDATE customs_outbox SET state = 'waiting', next_at = now()")
        assert port.step()
    assert node.rows("SELECT count(*) FROM cargo_events WHERE topic = 'declaration.submitted'") == [(1,)]


def test_what_customs_does_not_take_is_told_and_can_be_lodged_again(node: Node) -> None:
    number = lodge(node)
    with Simulator() as customs, port_to(node.conninfo, customs.url) as port:
        said = b"<ResponseCode>1</ResponseCode><ErrorMessage>no right</ErrorMessage>"
        customs.take = lambda *_: b"<DecImportResponse>%b</DecImportResponse>" % said  # type: ignore[method-assign]
        assert port.step()
    shown = node.get(f"/v1/declarations/{number}").json()
    assert (shown["status"], shown["sending"][0]["state"], shown["sending"][0]["answer"]) == (
        *("submission_failed", "refused", "no right"),
    )
    path = f"/v1/declarations/{number}/lodge"
    assert node.client.post(path, json=content(packages=11), headers=node.bearer("enterprise")).status_code == 202


def test_a_simulation_repeats_under_the_same_seed(node: Node) -> None:
    message = leaving()
    entries = []
    for seed in (1, 1, 2):
        with Simulator(seed=seed, scenario="random") as customs:
            customs.take(write(message), str(message.message_id))
            held = customs.held[message.number]
            entries.append((held.entry, customs._scenario(message.number)))
    assert entries[0] == entries[1]
    assert entries[0][0] != entries[2][0]


# --- there and back, over the wire ---


@contextmanager
def exchange(served: Served, **options: Any) -> Iterator[tuple[httpx.Client, Simulator]]:
    """An enterprise at a served node, a customs, and a port between them."""
    with psycopg.connect(served.conninfo, autocommit=True) as connection:
        key = open_account(connection, TRADER)
    headers = {"Authorization": f"Bearer {key}"}
    over = threading.Event()
    with (
        httpx.Client(base_url=served.url, headers=headers, timeout=30, trust_env=False) as client,
        Simulator(kouan_url=served.url, key=served.key, delay_seconds=0, **options) as customs,
        port_to(served.conninfo, customs.url) as port,
    ):
        sending = threading.Thread(target=port.run, args=(over, 2))
        sending.start()
        try:
            yield client, customs
        finally:
            over.set()
            sending.join()


def status(served: Served, client: httpx.Client, number: str) -> dict[str, Any]:
    catch_up(served.conninfo)
    told: dict[str, Any] = client.get(f"/v1/declarations/{number}").raise_for_status().json()
    return told


STATUS = {
    "release": ("closed", True),
    "rejection": ("rejected", False),
    "inspection": ("closed", True),
    "duty": ("closed", True),
    "guarantee": ("closed", True),
    "returned": ("returned", False),
    "suspended": ("closed", True),
}


@pytest.mark.parametrize("scenario", ["release", "rejection", "guarantee"])
def test_there_and_back(served: Served, scenario: str) -> None:
    with exchange(served, scenario=scenario) as (client, _):
        number = client.post("/v1/declarations", json=content()).raise_for_status().json()["number"]
        want, released = STATUS[scenario]
        eventually(lambda: status(served, client, number)["status"] == want)
        told = status(served, client, number)
        assert [each["raw_code"] for each in told["receipts"]] == ["DecImportResponse/0", *SCENARIOS[scenario]]
        assert (told["released"], told["sending"][0]["state"]) == (released, "sent")
        for asked in (number, "CSQU3054383", "KOUA0000001"):
            lines = client.get(f"/v1/track/{asked}").raise_for_status().json()["lines"]
            codes = [line["code"] for line in lines]
            assert ("DEC_RELEASED" in codes or "DEC_GUAR_REL" in codes) == released, asked
            assert "DEC_SUBMITTED" in codes


def test_two_steps_and_a_deletion_there_and_back(served: Served) -> None:
    with exchange(served) as (client, customs):
        number = client.post("/v1/declarations", json=summary()).raise_for_status().json()["number"]
        eventually(lambda: bool(status(served, client, number)["completion_due"]) and customs.idle)
        path = f"/v1/declarations/{number}"
        client.post(f"{path}/complete", json=content(kind="complete")).raise_for_status()
        eventually(lambda: status(served, client, number)["status"] == "closed")
        client.post(f"{path}/delete-request", json={"reason": "退运"}).raise_for_status()
        eventually(lambda: status(served, client, number)["status"] == "deleted")
        actions = [each["action"] for each in status(served, client, number)["sending"]]
        assert actions == ["lodge", "complete", "delete"]


def test_a_node_that_is_away_gets_its_receipts_later() -> None:
    with Simulator(kouan_url="http://127.0.0.1:9", key="x", delay_seconds=0) as customs:
        message = leaving()
        customs.take(write(message), str(message.message_id))
        time.sleep(0.3)
        assert not customs.idle
        assert customs.held[message.number].codes == []


def test_the_settings_name_a_customs_url_that_is_none() -> None:
    from api.settings import Settings, SettingsError
    from api.supervise import everything

    assert [each.name for each in everything(Settings.read({}))] == ["api", "push", "pay", "exporter", "projector"]
    with_customs = Settings.read({"KOUAN_CUSTOMS_URL": "https://customs.example/d"})
    more = ["api", "push", "pay", "customs-port", "exporter", "projector"]
    assert [each.name for each in everything(with_customs)] == more
    with pytest.raises(SettingsError, match="KOUAN_CUSTOMS_URL"):
        Settings.read({"KOUAN_CUSTOMS_URL": "ftp://x"})


def test_the_whole_content_survives_its_storage(node: Node) -> None:
    number = lodge(node, transit())
    shown = node.get(f"/v1/declarations/{number}").json()["content"]
    assert msgspec.convert(shown, Content, strict=False) == said(transit())
