"""Who appoints whom, and what becomes of those who are suspended: nobody decides about himself."""

from typing import Any

import pytest

from api.identity import TWO_FACTORS
from tests.desk import OTHER, PARTY, PASSWORD, Desk, desk
from tests.sample_declaration import content

__all__ = ["desk"]


def user(name: str = "anna", role: str = "enterprise", **more: Any) -> dict[str, Any]:
    return {"account": name, "role": role, "zh": "操作员", "en": "Operator", **more}


def add(desk: Desk, key: str, **wanted: Any) -> Any:
    return desk.ask("POST", "/v1/users", user(**wanted), key)


def change(desk: Desk, key: str, name: str, **wanted: Any) -> Any:
    return desk.ask("PATCH", f"/v1/users/{name}", {"reason": "as told", **wanted}, key)


def test_an_administrator_appoints_users_of_its_own_party_with_a_password_that_opens_once(desk: Desk) -> None:
    chief = desk.open("chief", "enterprise-admin", PARTY)
    answer = add(desk, chief, rights=["enter"])
    assert answer.status_code == 201, answer.text
    desk.login("anna", answer.json()["password"])
    me = desk.ask("GET", "/v1/account").json()
    assert (me["party"], me["rights"], me["setup"]) == (PARTY, ["enter"], ["password"])
    assert ("user.appointed", "account:anna", "ok") in desk.told()
    assert [each["account"] for each in desk.ask("GET", "/v1/users", key=chief).json()] == ["anna", "chief"]


@pytest.mark.parametrize("wanted", [{"role": "enterprise-admin"}, {"role": "operator"}, {"party": OTHER}])
def test_an_administrator_appoints_nobody_else(desk: Desk, wanted: dict[str, str]) -> None:
    chief = desk.open("chief", "enterprise-admin", PARTY)
    assert add(desk, chief, **wanted).status_code == 409
    assert change(desk, chief, "trader", state="suspended").status_code == 404


def test_the_system_administrator_registers_a_party_with_its_first_administrator(desk: Desk) -> None:
    root = desk.open("root", "system-admin")
    named = {"party": PARTY, "party_zh": "外贸公司", "party_en": "Trading company"}
    answer = add(desk, root, name="chief", role="enterprise-admin", **named)
    assert answer.status_code == 201, answer.text
    topics = desk.node.rows("SELECT topic FROM commerce_events WHERE originator_id = %s", f"party:{PARTY}")
    assert topics == [("party.registered",), ("party.user_appointed",)]
    assert add(desk, root, name="zoe", party="91320000MA0000015X").status_code == 422
    assert add(desk, root, name="zoe").status_code == 409
    assert add(desk, root, name="chief", role="operator").status_code == 409


@pytest.mark.parametrize("role", sorted(TWO_FACTORS - {"steward"}))
def test_an_administrator_of_the_node_waits_until_another_has_agreed(desk: Desk, role: str) -> None:
    root, guard = desk.open("root", "system-admin"), desk.open("guard", "security-admin")
    made = add(desk, root, name="new", role=role).json()
    assert made["state"] == "waiting"
    assert desk.login("new", made["password"]).json()["type"] == "/problems/suspended"
    assert change(desk, guard, "new", state="open").status_code == 200
    assert desk.login("new", made["password"]).status_code == 200


def test_who_is_suspended_is_out_at_once_and_back_when_resumed(desk: Desk) -> None:
    chief, anna = desk.open("chief", "enterprise-admin", PARTY), desk.open("anna", party=PARTY)
    desk.login("anna")
    assert desk.ask("GET", "/v1/account", key=anna).status_code == 200
    assert change(desk, chief, "anna", state="suspended").status_code == 200
    assert desk.ask("GET", "/v1/account").status_code == 401
    assert desk.ask("GET", "/v1/account", key=anna).json()["type"] == "/problems/suspended"
    assert desk.login("anna").json()["type"] == "/problems/suspended"
    assert change(desk, chief, "anna", state="open").status_code == 200
    assert desk.ask("GET", "/v1/account", key=anna).status_code == 200
    assert {"user.suspended", "user.resumed"} <= {action for action, _, _ in desk.told()}


def test_who_is_dismissed_stays_so(desk: Desk) -> None:
    chief, anna = desk.open("chief", "enterprise-admin", PARTY), desk.open("anna", party=PARTY)
    assert change(desk, chief, "anna", state="dismissed").status_code == 200
    assert desk.ask("GET", "/v1/account", key=anna).status_code == 401
    assert desk.login("anna").json()["type"] == "/problems/bad-login"
    assert change(desk, chief, "anna", state="open").status_code == 409


def test_nobody_changes_himself(desk: Desk) -> None:
    guard = desk.open("guard", "security-admin")
    assert change(desk, guard, "guard", state="suspended").status_code == 409
    chief = desk.open("chief", "enterprise-admin", PARTY)
    assert change(desk, chief, "chief", rights=["declare"]).status_code == 404


def test_a_lock_is_opened_and_a_password_given_anew_by_who_may(desk: Desk) -> None:
    chief = desk.open("chief", "enterprise-admin", PARTY)
    desk.open("anna", party=PARTY)
    assert [desk.login("anna", "wrong").status_code for _ in range(6)][-1] == 429
    assert change(desk, chief, "anna", unlock=True).status_code == 200
    assert desk.login("anna").status_code == 200
    once = change(desk, chief, "anna", reset="password").json()["password"]
    assert desk.ask("GET", "/v1/account").status_code == 401
    assert [desk.login("anna", each).status_code for each in (PASSWORD, once)] == [401, 200]
    assert once not in str(desk.told())


def test_an_administrators_password_is_not_given_anew_from_afar(desk: Desk) -> None:
    guard = desk.open("guard", "security-admin")
    desk.open("audit", "auditor", factor=True)
    assert change(desk, guard, "audit", reset="password").status_code == 409
    assert change(desk, guard, "audit", reset="totp").status_code == 200
    desk.login("audit")
    assert desk.ask("GET", "/v1/account").json()["setup"] == ["totp"]


@pytest.mark.parametrize("role", ["enterprise", "operator", "system-admin", "auditor", "steward"])
def test_others_change_no_user(desk: Desk, role: str) -> None:
    key = desk.open("x", role, PARTY)  # type: ignore[arg-type]
    desk.open("anna", party=PARTY)
    assert change(desk, key, "anna", state="suspended").status_code == 403


@pytest.mark.parametrize(
    ("rights", "draft", "lodge"), [([], 403, 403), (["enter"], 404, 403), (["declare"], 404, 201), (None, 404, 201)]
)
def test_declaring_needs_the_right_to_and_drafting_either(
    desk: Desk, rights: list[str] | None, draft: int, lodge: int
) -> None:
    chief, key = desk.open("chief", "enterprise-admin", PARTY), desk.open("anna", party=PARTY)
    if rights is not None:
        assert change(desk, chief, "anna", rights=rights).status_code == 200
    assert desk.ask("GET", "/v1/declarations/draft?from=declaration:X1", key=key).status_code == draft
    answer = desk.ask("POST", "/v1/declarations", content(), key)
    assert answer.status_code == lodge
    assert lodge == 201 or answer.json()["type"] == "/problems/missing-right"
