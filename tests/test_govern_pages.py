"""The register as pages: what a form decides is decided, what is refused is told, and nobody sees another's."""

import re
from typing import Any

import pytest

from api.identity import COOKIE
from api.login import sessions
from api.login.door import csrf_of
from domain.datasets import ROAD
from tests.fixtures_node import Node
from tests.test_govern import AGENT, GRANT, THEM, US, ask, here, requested  # noqa: F401  `here` is a fixture

PATHS = ("/permissions", "/datasets", "/party", "/handovers")


def session(node: Node, who: str) -> None:
    """Sign in as a person of this account, as if by password and second factor."""
    account = node.rows("SELECT account FROM accounts WHERE account = %s", who)[0][0]
    gatekeeper = node.client.app.state.gatekeeper
    opened = sessions.open_session(gatekeeper, account, "card:TEST")
    node.client.cookies.set(COOKIE, opened.token)


def send(node: Node, path: str, **fields: Any) -> Any:
    token = csrf_of(node.client.cookies[COOKIE])
    return node.client.post(path, data={"csrf": token, **fields}, follow_redirects=False)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_page_opens_for_a_steward(here: Node, lang: str) -> None:  # noqa: F811
    requested(here)
    session(here, "steward")
    for path in PATHS:
        answer = here.client.get(f"{path}?lang={lang}")
        assert answer.status_code == 200, path
        assert "<script" not in answer.text


def test_a_stranger_is_asked_to_sign_in(here: Node) -> None:  # noqa: F811
    assert {here.client.get(path).status_code for path in PATHS} == {401}


def test_a_steward_grants_suspends_and_revokes_by_forms(here: Node) -> None:  # noqa: F811
    name = requested(here)
    session(here, "steward")
    assert 'value="grant"' in here.client.get("/permissions").text
    assert send(here, f"/permissions/{name}", step="grant", **GRANT).status_code == 303
    for step, state in (("suspend", "suspended"), ("resume", "granted"), ("revoke", "revoked")):
        assert send(here, f"/permissions/{name}", step=step, reason="r").status_code == 303
        assert here.get(f"/v1/permissions/{name}", "them").json()["state"] == state
    again = send(here, f"/permissions/{name}", step="suspend", reason="r")
    assert again.status_code == 409
    assert "已撤销" in again.text


def test_a_form_without_the_token_of_the_session_decides_nothing(here: Node) -> None:  # noqa: F811
    name = requested(here)
    session(here, "steward")
    forged = here.client.post(f"/permissions/{name}", data={"step": "grant", **GRANT}, follow_redirects=False)
    assert forged.status_code == 403
    assert here.get(f"/v1/permissions/{name}", "them").json()["state"] == "requested"


def test_an_enterprise_asks_and_sees_its_own_alone(here: Node) -> None:  # noqa: F811
    requested(here, "them")
    session(here, "us")
    fields = {"dataset": ROAD, "purpose": "<b>对账</b>", "channels": ["query", "export"], "commercial": "yes"}
    assert send(here, "/permissions", **fields, valid_from="2026-01-01", valid_to="2199-12-31").status_code == 303
    shown = here.client.get("/permissions").text
    assert "&lt;b&gt;对账" in shown
    assert THEM not in shown
    assert 'value="grant"' not in shown
    [mine] = here.get("/v1/permissions", "us").json()
    assert mine["terms"]["valid_to"] == "2199-12-31T16:00:00Z"
    assert send(here, "/permissions", **fields, valid_from="x", valid_to="2199-12-31").status_code == 422
    assert send(here, "/permissions", dataset=ROAD, purpose="p", channels="x").status_code == 422
    assert send(here, f"/permissions/{mine['id']}", step="grant", **GRANT).status_code == 403


def test_an_administrator_appoints_and_dismisses_an_agent(here: Node) -> None:  # noqa: F811
    session(here, "boss")
    days = {"valid_from": "2026-01-01", "valid_to": "2199-12-31"}
    appointing = {"step": "appoint", "agent": AGENT, "document": "WT-1", "scopes": ["track", "enter"], **days}
    assert send(here, "/party", **appointing).status_code == 303
    shown = here.client.get("/party").text
    assert re.search(rf"{AGENT}.*WT-1.*track enter", shown, re.DOTALL)
    assert send(here, "/party", step="allow", ticket="T-1", hours="99").status_code == 409
    assert send(here, "/party", step="allow", ticket="T-1", hours="2").status_code == 303
    assert send(here, "/party", step="end", ticket="T-1").status_code == 303
    assert send(here, "/party", step="dismiss", agent=AGENT, document="WT-1", reason="止").status_code == 303
    assert here.get(f"/v1/parties/{US}", "us").json()["agents"] == []
    assert send(here, "/party", step="x").status_code == 422


def test_the_owners_steward_changes_a_dataset(here: Node) -> None:  # noqa: F811
    session(here, "steward")
    setting = {"disclosure": "grant", "data_class": "important", "share_type": "none", "document_no": "9号"}
    assert send(here, f"/datasets/{ROAD}", **setting).status_code == 303
    told = here.get(f"/v1/datasets/{ROAD}", "us").json()
    assert (told["disclosure"], told["data_class"], told["share_type"]) == ("grant", "important", "none")
    session(here, "customs")
    assert send(here, f"/datasets/{ROAD}", **setting).status_code == 409
    assert ask(here, "GET", "/handovers", "us").status_code == 403
