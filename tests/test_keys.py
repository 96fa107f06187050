"""API keys: shown once, with an end, for some scopes and networks only, and worth nothing once revoked."""

import pytest

from api.identity import SETUP
from api.login.door import SCOPES, scopes_of
from tests.desk import OTHER, PARTY, Desk, desk

__all__ = ["desk"]


def made(desk: Desk, key: str, **wanted: object) -> dict[str, str]:
    answer = desk.ask("POST", "/v1/keys", {"days": 30, **wanted}, key)
    assert answer.status_code == 201, answer.text
    told: dict[str, str] = answer.json()
    return told


def refusal(desk: Desk, method: str, path: str, key: str, body: object = None) -> tuple[int, str]:
    answer = desk.ask(method, path, body, key)
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def test_a_key_is_shown_once_and_kept_as_a_digest(desk: Desk) -> None:
    told = made(desk, desk.open("anna"), name="erp")
    assert desk.ask("GET", "/v1/account", key=told["key"]).json()["credential"] == f"key:{told['key_id']}"
    secret = told["key"].split("_")[2]
    kept = (
        str(desk.node.rows("SELECT api_keys::text FROM api_keys")) + desk.ask("GET", "/v1/keys", key=told["key"]).text
    )
    assert secret not in kept
    assert ("key.made", f"key:{told['key_id']}", "ok") in desk.told()
    assert secret not in str(desk.told())


@pytest.mark.parametrize("days", [None, 0, -1, 401, "30", 1.5])
def test_every_key_has_an_end_within_400_days(desk: Desk, days: object) -> None:
    assert refusal(desk, "POST", "/v1/keys", desk.open("anna"), {"days": days}) == (422, "malformed")


def test_a_key_opens_until_its_end_and_no_longer(desk: Desk) -> None:
    key = made(desk, desk.open("anna"))["key"]
    desk.later(days=29)
    assert desk.ask("GET", "/v1/account", key=key).status_code == 200
    desk.later(days=1)
    assert refusal(desk, "GET", "/v1/account", key) == (401, "no-credential")


def test_a_revoked_key_opens_nothing_from_that_moment_on(desk: Desk) -> None:
    first = desk.open("anna", party=PARTY)
    told = made(desk, first)
    assert desk.ask("GET", "/v1/account", key=told["key"]).status_code == 200
    assert desk.ask("DELETE", f"/v1/keys/{told['key_id']}", key=first).status_code == 204
    assert refusal(desk, "GET", "/v1/account", told["key"]) == (401, "no-credential")
    assert desk.ask("DELETE", f"/v1/keys/{told['key_id']}", key=first).status_code == 204
    facts = desk.node.rows("SELECT originator_id FROM commerce_events WHERE topic = 'party.credential_revoked'")
    assert facts == [(f"party:{PARTY}",)]


def test_sessions_that_a_key_opened_end_with_it(desk: Desk) -> None:
    first = desk.open("anna")
    told = made(desk, first)
    desk.client.post("/sign-in", data={"key": told["key"]}, follow_redirects=False)
    assert desk.client.get("/usage").status_code == 200
    desk.ask("DELETE", f"/v1/keys/{told['key_id']}", key=first)
    assert desk.client.get("/usage").status_code == 401


def test_a_key_is_good_for_its_scopes_only(desk: Desk) -> None:
    key = made(desk, desk.open("anna"), scopes=["usage"])["key"]
    assert desk.ask("GET", "/v1/usage", key=key).status_code == 200
    for path in ("/v1/alerts/catalogue", "/v1/keys", "/v1/account", "/"):
        assert desk.ask("GET", path, key=key).status_code == 403
    assert refusal(desk, "GET", "/v1/keys", key) == (403, "missing-scope")
    assert desk.ask("GET", "/health", key=key).status_code == 200


def test_a_key_makes_none_that_may_do_more_than_itself(desk: Desk) -> None:
    narrow = made(desk, desk.open("anna"), scopes=["account", "track"])["key"]
    wider = {"days": 1, "scopes": ["track", "usage"]}
    assert refusal(desk, "POST", "/v1/keys", narrow, wider) == (403, "missing-scope")
    key = made(desk, narrow, name="narrower")["key"]
    assert desk.ask("GET", "/v1/usage", key=key).status_code == 403


@pytest.mark.parametrize("wanted", [{"scopes": ["everything"]}, {"scopes": [SETUP]}, {"networks": ["10.0.0.1/8"]}])
def test_scopes_and_networks_that_are_none_are_told(desk: Desk, wanted: dict[str, object]) -> None:
    assert refusal(desk, "POST", "/v1/keys", desk.open("anna"), {"days": 1, **wanted}) == (422, "bad-key")


def test_a_key_is_used_from_its_networks_only(desk: Desk) -> None:
    first = desk.open("anna")
    key = made(desk, first, networks=["203.0.113.0/24", "2001:db8::/32"])["key"]
    gatekeeper = desk.client.app.state.gatekeeper
    for address, inside in (("203.0.113.9", True), ("2001:db8::1", True), ("203.0.114.9", False), ("", False)):
        if inside:
            assert gatekeeper.by_key(key, address).account == "anna"
        else:
            with pytest.raises(Exception, match="may not be used from"):
                gatekeeper.by_key(key, address)
    assert refusal(desk, "GET", "/v1/account", key) == (403, "wrong-address")


def test_two_keys_of_one_name_live_at_a_time(desk: Desk) -> None:
    first = desk.open("anna")
    old, _ = made(desk, first, name="erp"), made(desk, first, name="erp")
    assert refusal(desk, "POST", "/v1/keys", first, {"days": 1, "name": "erp"}) == (409, "refused")
    desk.ask("DELETE", f"/v1/keys/{old['key_id']}", key=first)
    made(desk, first, name="erp")


def test_the_last_use_of_a_key_is_kept_to_the_minute(desk: Desk) -> None:
    key = made(desk, desk.open("anna"))
    desk.ask("GET", "/v1/account", key=key["key"])
    [shown] = [each for each in desk.ask("GET", "/v1/keys", key=key["key"]).json() if each["key_id"] == key["key_id"]]
    assert shown["last_used_at"] is not None


def test_an_administrator_manages_the_keys_of_its_own_partys_users(desk: Desk) -> None:
    chief = desk.open("chief", "enterprise-admin", PARTY)
    desk.open("anna", party=PARTY)
    desk.open("zoe", party=OTHER)
    key = made(desk, chief, account="anna")
    assert desk.ask("GET", "/v1/account", key=key["key"]).json()["account"] == "anna"
    assert len(desk.ask("GET", "/v1/keys?account=anna", key=chief).json()) == 2
    assert desk.ask("DELETE", f"/v1/keys/{key['key_id']}", key=chief).status_code == 204
    for name in ("zoe", "chief2", "trader"):
        assert refusal(desk, "POST", "/v1/keys", chief, {"days": 1, "account": name}) == (404, "unknown")
        assert refusal(desk, "GET", f"/v1/keys?account={name}", chief) == (404, "unknown")


def test_a_user_sees_and_revokes_nobody_elses_keys(desk: Desk) -> None:
    anna, zoe = desk.open("anna", party=PARTY), desk.open("zoe", party=PARTY)
    key_id = zoe.split("_")[1]
    assert refusal(desk, "DELETE", f"/v1/keys/{key_id}", anna) == (404, "unknown")
    assert refusal(desk, "GET", "/v1/keys?account=zoe", anna) == (404, "unknown")
    assert desk.ask("GET", "/v1/account", key=zoe).status_code == 200


def test_the_security_administrator_revokes_any_key(desk: Desk) -> None:
    root, anna = desk.open("root", "security-admin"), desk.open("anna")
    assert desk.ask("DELETE", f"/v1/keys/{anna.split('_')[1]}", key=root).status_code == 204
    assert desk.ask("GET", "/v1/account", key=anna).status_code == 401


def test_an_administrators_key_makes_no_other_key(desk: Desk) -> None:
    assert refusal(desk, "POST", "/v1/keys", desk.open("root", "security-admin"), {"days": 1}) == (403, "wrong-role")


def test_every_scope_that_a_route_asks_for_can_be_given_to_a_key(desk: Desk) -> None:
    asked = {
        scope
        for route in desk.client.app.routes
        for handler in getattr(route, "route_handlers", [])
        for scope in scopes_of(handler)
    }
    assert asked - {SETUP} <= SCOPES
