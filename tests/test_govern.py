"""The register by API: who may do what, and who is told that there is nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.govern import setup
from api.identity import Account
from domain.datasets import PORT, ROAD
from tests.fixtures_node import Node
from tests.test_sight import BOX, MINE, ours

US, THEM, AGENT = "91320000MA0000269G", "91320000MA0000277B", "91320100MA0000285B"
NOW = datetime.now(UTC)
SPAN = {"valid_from": NOW.isoformat(), "valid_to": (NOW + timedelta(days=30)).isoformat()}
GRANT = {"approver": "审批人", "document_no": "1号"}
PEOPLE = (
    Account("safe", "security-admin", "安全", "Safe", "OPERATOR-1"),
    Account("auditor", "auditor", "审计", "Auditor", "NJ-PORT"),
    Account("steward", "steward", "港口", "Steward", "NJ-PORT"),
    Account("officer", "officer", "港口", "Officer", "NJ-PORT"),
    Account("customs", "steward", "海关", "Customs", "CUSTOMS"),
    Account("us", "enterprise", "甲", "Us", US, ("enter",)),
    Account("boss", "enterprise-admin", "甲", "Boss", US, ("enter",)),
    Account("them", "logistics", "乙", "Them", THEM),
    Account("stranger", "source", "别的来源", "Another source", "STRANGER-1"),
)
PARTIES = (
    ("NJ-PORT", "agency"),
    ("CUSTOMS", "agency"),
    ("OPERATOR-1", "operator"),
    (US, "enterprise"),
    (THEM, "enterprise"),
    (AGENT, "enterprise"),
)


@pytest.fixture
def here(closed_node: Node) -> Node:
    """Two departments, of which the port group owns road movements, and three enterprises."""
    for account in PEOPLE:
        closed_node.open(account.account, account)
    for name, kind in PARTIES:
        body = {"id": name, "kind": kind, "zh": f"单位{name}", "en": f"Party {name}"}
        assert ask(closed_node, "POST", "/v1/parties", "safe", body).status_code == 201
    owning = {"owner": "NJ-PORT", "document_no": "1号"}
    assert ask(closed_node, "PUT", f"/v1/datasets/{ROAD}/owner", "safe", owning).status_code == 202
    return closed_node


def ask(node: Node, method: str, path: str, who: str, body: Any = None, **headers: str) -> Any:
    return node.client.request(method, path, json=body, headers={**node.bearer(who), **headers})


def wanted(**more: Any) -> dict[str, Any]:
    return {"dataset": ROAD, "purpose": "跟踪", "channels": ["query"], **SPAN, **more}


def requested(node: Node, who: str = "them") -> str:
    answer = ask(node, "POST", "/v1/permissions", who, wanted())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def tracked(node: Node, who: str) -> int:
    return int(node.get(f"/v1/track/{BOX}", who).status_code)


# --- permissions ---


def test_what_the_owner_grants_opens_and_what_it_revokes_closes_at_once(here: Node) -> None:
    here.tell(ours("1", "GATE_OUT", 3))
    assert tracked(here, "them") == 404
    name = requested(here)
    assert tracked(here, "them") == 404
    granted = ask(here, "POST", f"/v1/permissions/{name}/grant", "steward", GRANT)
    assert granted.status_code == 202, granted.text
    assert granted.json()["position"] > 0
    assert tracked(here, "them") == 200
    for step, status in (("suspend", 404), ("resume", 200), ("revoke", 404)):
        assert ask(here, "POST", f"/v1/permissions/{name}/{step}", "steward", {"reason": "r"}).status_code == 202
        assert tracked(here, "them") == status, step


def test_a_permission_is_seen_by_those_who_have_business_with_it(here: Node) -> None:
    name = requested(here)
    seen = {
        who: len(here.get("/v1/permissions", who).json())
        for who in ("them", "us", "steward", "officer", "customs", "auditor", "operator", "safe")
    }
    assert seen == {
        "them": 1,
        "us": 0,
        "steward": 1,
        "officer": 1,
        "customs": 0,
        "auditor": 1,
        "operator": 0,
        "safe": 0,
    }
    there, nowhere = (here.get(f"/v1/permissions/{each}", "us") for each in (name, "P-0"))
    assert there.status_code == nowhere.status_code == 404
    assert there.text.replace(name, "P-0") == nowhere.text


def test_only_the_owners_steward_decides(here: Node) -> None:
    name, path = requested(here), "/v1/permissions/{}/grant"
    said = {who: ask(here, "POST", path.format(name), who, GRANT).status_code for who in ("them", "officer", "customs")}
    assert said == {"them": 403, "officer": 403, "customs": 404}
    assert ask(here, "POST", path.format(name), "operator", GRANT).status_code == 403


def test_opinions_are_asked_of_agencies_and_told_to_who_asked(here: Node) -> None:
    name = requested(here)
    path = f"/v1/permissions/{name}"
    assert ask(here, "POST", f"{path}/ask", "steward", {"departments": [US]}).status_code == 409
    assert ask(here, "POST", f"{path}/opinion", "customs", {"stance": "for"}).status_code == 404
    assert ask(here, "POST", f"{path}/ask", "steward", {"departments": ["CUSTOMS"]}).status_code == 202
    against = {"stance": "against", "text": "不宜"}
    assert ask(here, "POST", f"{path}/opinion", "customs", against).status_code == 202
    assert ask(here, "POST", f"{path}/grant", "steward", GRANT).status_code == 409
    assert ask(here, "POST", f"{path}/grant", "steward", {**GRANT, "reason": "必要"}).status_code == 202
    told = here.get(path, "them").json()
    assert [(each["department"], each["stance"], each["zh"]) for each in told["opinions"]] == [
        ("CUSTOMS", "against", "不同意")
    ]
    facts = [(each["fact"], each["by_party"], each["by"]) for each in told["history"]]
    assert facts == [
        ("permission.requested", THEM, "them"),
        ("permission.opinion_asked", "NJ-PORT", ""),
        ("permission.opinion_given", "CUSTOMS", ""),
        ("permission.granted", "NJ-PORT", ""),
    ]


def test_nobody_asks_for_another_party_and_an_owner_grants_to_whom_it_likes(here: Node) -> None:
    assert ask(here, "POST", "/v1/permissions", "them", wanted(recipient=US)).status_code == 409
    assert ask(here, "POST", "/v1/permissions", "them", wanted(grant=GRANT)).status_code == 403
    assert ask(here, "POST", "/v1/permissions", "operator", wanted()).status_code == 403
    given = wanted(recipient=US, grant=GRANT)
    assert ask(here, "POST", "/v1/permissions", "customs", given).status_code == 409
    assert ask(here, "POST", "/v1/permissions", "steward", given).status_code == 201
    assert ask(here, "POST", "/v1/permissions", "steward", wanted(recipient="NOBODY", grant=GRANT)).status_code == 409
    [told] = here.get("/v1/permissions?state=granted", "us").json()
    assert (told["state_zh"], told["owner"], told["recipient_en"]) == ("有效", "NJ-PORT", f"Party {US}")


def test_the_same_request_again_is_the_same_permission(here: Node) -> None:
    one, two = (
        ask(here, "POST", "/v1/permissions", "them", wanted(), **{"Idempotency-Key": "k"}).json() for _ in range(2)
    )
    assert one == two
    stale = ask(here, "POST", f"/v1/permissions/{one['id']}/grant", "steward", GRANT, **{"If-Match": '"9"'})
    assert stale.status_code == 412


# --- parties, datasets, agreements ---


def test_a_suspended_party_does_nothing_and_sees_nothing(here: Node) -> None:
    assert ask(here, "POST", f"/v1/parties/{THEM}/suspend", "safe", {"reason": "查"}).status_code == 202
    assert ask(here, "POST", "/v1/permissions", "them", wanted()).status_code == 403
    assert here.get("/v1/datasets", "them").status_code == 403
    assert ask(here, "POST", f"/v1/parties/{THEM}/resume", "safe", {"reason": "毕"}).status_code == 202
    assert here.get("/v1/datasets", "them").status_code == 200
    renaming = {"zh": "新名", "en": "New"}
    assert ask(here, "POST", f"/v1/parties/{THEM}/rename", "safe", renaming).status_code == 202
    told = here.get(f"/v1/parties/{THEM}", "them").json()
    assert told["zh"] == "新名"
    assert [each["zh"] for each in told["history"]] == ["登记", "暂停", "恢复", "更名"]


def test_everybody_reads_its_own_party_alone(here: Node) -> None:
    assert [each["id"] for each in here.get("/v1/parties", "us").json()] == [US]
    assert len(here.get("/v1/parties", "safe").json()) == len(PARTIES)
    there, nowhere = (here.get(f"/v1/parties/{each}", "us") for each in (THEM, "X-1"))
    assert there.text.replace(THEM, "X-1") == nowhere.text
    assert ask(here, "POST", "/v1/parties", "operator", {}).status_code in {403, 422}


def test_agents_are_registered_parties_appointed_by_the_partys_administrator(here: Node) -> None:
    appointing = {"agent": AGENT, "document": "WT-1", "scopes": ["track"], **SPAN}
    path = f"/v1/parties/{US}/agents"
    assert ask(here, "POST", path, "us", appointing).status_code == 403
    assert ask(here, "POST", f"/v1/parties/{THEM}/agents", "boss", appointing).status_code == 404
    assert ask(here, "POST", path, "boss", {**appointing, "agent": "X-9"}).status_code == 409
    assert ask(here, "POST", path, "boss", appointing).status_code == 201
    [told] = here.get(path, "us").json()["agents"]
    assert (told["party"], told["live"]) == (AGENT, True)
    ended = ask(here, "DELETE", path, "boss", {"agent": AGENT, "reason": "到期"})
    assert ended.status_code == 202
    assert here.get(path, "us").json()["agents"] == []


def test_support_is_allowed_for_a_day_at_most(here: Node) -> None:
    path = f"/v1/parties/{US}/support"
    for hours, status in ((30, 409), (2, 201)):
        until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
        assert ask(here, "POST", path, "boss", {"ticket": "T-1", "until": until}).status_code == status
    assert ask(here, "DELETE", path, "boss", {}).status_code == 202
    assert here.get(path, "boss").json()["support"] == []


def test_the_owner_alone_decides_on_its_dataset(here: Node) -> None:
    owning, public = {"owner": "CUSTOMS", "document_no": "2号"}, {"disclosure": "public", "document_no": "3号"}
    assert ask(here, "PUT", f"/v1/datasets/{ROAD}/owner", "safe", owning).status_code == 409
    assert ask(here, "PUT", f"/v1/datasets/{ROAD}/owner", "customs", owning).status_code == 409
    assert ask(here, "PATCH", f"/v1/datasets/{ROAD}", "customs", public).status_code == 409
    important = {"data_class": "important", "document_no": "2号"}
    assert ask(here, "PATCH", f"/v1/datasets/{ROAD}", "steward", important).status_code == 202
    assert ask(here, "PATCH", f"/v1/datasets/{ROAD}", "steward", public).status_code == 409
    both = {**public, "data_class": "general"}
    assert ask(here, "PATCH", f"/v1/datasets/{ROAD}", "steward", both).status_code == 202
    assert ask(here, "PATCH", f"/v1/datasets/{ROAD}", "steward", {"document_no": "4号"}).status_code == 422
    assert ask(here, "PUT", f"/v1/datasets/{ROAD}/owner", "steward", owning).status_code == 202
    told = here.get(f"/v1/datasets/{ROAD}", "us").json()
    assert (told["owner"], told["disclosure_zh"], told["history"]) == ("CUSTOMS", "公开", [])
    assert len(here.get(f"/v1/datasets/{ROAD}", "customs").json()["history"]) == 5


def test_an_agreement_is_between_its_two_sides(here: Node) -> None:
    ask(here, "PUT", f"/v1/datasets/{PORT}/owner", "safe", {"owner": "CUSTOMS", "document_no": "1号"})
    body = {"other": "CUSTOMS", "purpose": "监管", "document_no": "5号", "gives": [ROAD], "takes": [PORT], **SPAN}
    made = ask(here, "POST", "/v1/agreements", "steward", body)
    assert made.status_code == 201, made.text
    path = f"/v1/agreements/{made.json()['id']}"
    here.tell(ours("1", "GATE_OUT", 3))
    assert tracked(here, "customs") == 404
    assert ask(here, "POST", f"{path}/accept", "steward").status_code == 409
    assert ask(here, "POST", f"{path}/accept", "customs").status_code == 202
    assert tracked(here, "customs") == 200
    assert here.get(path, "us").status_code == 403
    assert ask(here, "POST", f"{path}/end", "customs", {"reason": "完"}).status_code == 202
    assert tracked(here, "customs") == 404
    assert here.get(path, "officer").json()["state_zh"] == "已终止"


# --- parties of a shipment ---


def test_a_source_names_the_parties_of_what_it_told_of(here: Node) -> None:
    bill = {"id": "b", "subject": f"bl:{MINE}", "code": "BL_ISSUED", "happened_at": "2026-03-01T10:00:00+08:00"}
    here.tell(bill, ours("1", "GATE_OUT", 3))
    path, naming = f"/v1/shipments/bl/{MINE}/parties", {"role": "consignee", "party": US}
    assert tracked(here, "us") == 404
    assert ask(here, "PUT", path, "stranger", naming).status_code == 404  # that source has not told of it
    assert ask(here, "PUT", path, "us", naming).status_code == 404
    assert ask(here, "PUT", path, "source", naming).status_code == 202
    here.catch_up()
    assert tracked(here, "us") == 200
    customer = {"role": "notify", "party": AGENT}
    assert ask(here, "PUT", path, "us", customer).status_code == 202
    assert [each["party"] for each in here.get(path, "us").json()["parties"]] == [US, AGENT]
    assert here.get(path, "them").text.replace(MINE, "X") == here.get("/v1/shipments/bl/X/parties", "them").text
    assert ask(here, "DELETE", path, "source", customer).status_code == 409  # named by somebody else
    assert ask(here, "DELETE", path, "us", naming).status_code == 202
    here.catch_up()
    assert tracked(here, "us") == 404


def test_a_wrong_credit_code_is_told(here: Node) -> None:
    here.tell({"id": "b", "subject": f"bl:{MINE}", "code": "BL_ISSUED", "happened_at": "2026-03-01T10:00:00+08:00"})
    path = f"/v1/shipments/bl/{MINE}/parties"
    assert ask(here, "PUT", path, "source", {"role": "consignee", "party": f"{US[:-1]}X"}).status_code == 422
    assert ask(here, "PUT", path, "source", {"role": "boss", "party": US}).status_code == 422
    assert (
        ask(
            here, "PUT", f"/v1/shipments/container/{BOX}/parties", "source", {"role": "carrier", "party": US}
        ).status_code
        == 404
    )


# --- a node's register from a file ---


def test_the_same_file_again_enters_nothing_and_brings_nothing_back(closed_node: Node) -> None:
    from api.demo import REGISTER

    first = setup.enter_file(closed_node.conninfo, REGISTER)
    assert all(each.new for each in first)
    closed_node.open("steward", Account("steward", "steward", "港", "S", "SAMPLE-PORTS"))
    revoking = ask(closed_node, "POST", "/v1/permissions/SAMPLE-P1/revoke", "steward", {"reason": "止"})
    assert revoking.status_code == 202, revoking.text
    assert not any(each.new for each in setup.enter_file(closed_node.conninfo, REGISTER))
    assert closed_node.get("/v1/permissions/SAMPLE-P1", "steward").json()["state"] == "revoked"
