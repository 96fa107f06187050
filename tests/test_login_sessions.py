"""Sessions: how long they last, who ends them, and what a request that comes by cookie must carry besides."""

import pytest

from api.identity import COOKIE
from api.login.door import csrf_of
from tests.desk import PASSWORD, Desk, desk

__all__ = ["desk"]


def status(desk: Desk) -> int:
    return int(desk.ask("GET", "/v1/sessions").status_code)


def test_a_session_ends_after_half_an_hour_without_use(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    for _ in range(3):
        desk.later(minutes=29)
        assert status(desk) == 200
    desk.later(minutes=31)
    assert status(desk) == 401


def test_a_session_ends_after_eight_hours_whatever_its_use(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    for _ in range(23):
        desk.later(minutes=20)
        assert status(desk) == 200
    desk.later(minutes=20)
    assert status(desk) == 401


def test_sessions_are_listed_to_their_owner_who_ends_them(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    other = desk.token()
    desk.client.cookies.clear()
    desk.login("anna")
    shown = desk.ask("GET", "/v1/sessions").json()
    assert [each["this"] for each in shown].count(True) == 1
    assert desk.token() not in str(shown)
    [elsewhere] = [each["session"] for each in shown if not each["this"]]
    assert desk.ask("DELETE", f"/v1/sessions/{elsewhere}").status_code == 204
    assert desk.ask("DELETE", f"/v1/sessions/{elsewhere}").status_code == 404
    desk.back(other)
    assert status(desk) == 401


def test_nobody_ends_anothers_session(desk: Desk) -> None:
    desk.open("anna")
    desk.open("bert")
    session = desk.login("anna").json()["session"]
    desk.client.cookies.clear()
    desk.login("bert")
    assert desk.ask("DELETE", f"/v1/sessions/{session}").status_code == 404


def test_signing_out_ends_the_session(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    token = desk.token()
    assert desk.ask("POST", "/v1/logout").status_code == 204
    assert desk.token() == ""
    desk.back(token)
    assert status(desk) == 401
    assert "logout" in {action for action, _, _ in desk.told()}


def test_only_the_digest_of_a_session_is_kept(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    [(row,)] = desk.node.rows("SELECT sessions::text FROM sessions")
    assert desk.token() not in row


# --- requests that come by cookie ---


@pytest.mark.parametrize("header", ["", "x", "\u00e9", csrf_of("another session")])
def test_what_changes_something_by_cookie_must_carry_the_token_of_its_session(desk: Desk, header: str) -> None:
    desk.open("anna")
    desk.login("anna")
    answer = desk.client.post("/v1/keys", json={"days": 1}, headers={b"X-CSRF-Token": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forged")
    assert desk.ask("POST", "/v1/keys", {"days": 1}).status_code == 201


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
def test_a_right_token_from_another_site_is_refused_too(desk: Desk, headers: dict[str, str]) -> None:
    desk.open("anna")
    desk.login("anna")
    headers = {**headers, "X-CSRF-Token": csrf_of(desk.token())}
    assert desk.client.post("/v1/keys", json={"days": 1}, headers=headers).json()["type"] == "/problems/forged"


def test_a_key_needs_no_token(desk: Desk) -> None:
    key = desk.open("anna")
    headers = {"Authorization": f"Bearer {key}", "Sec-Fetch-Site": "cross-site"}
    assert desk.client.post("/v1/keys", json={"days": 1}, headers=headers).status_code == 201


def test_every_form_of_the_portal_carries_the_token(desk: Desk) -> None:
    desk.open("anna")
    desk.client.post("/sign-in", data={"account": "anna", "password": PASSWORD}, follow_redirects=False)
    for path in ("/", "/account", "/usage"):
        text = desk.client.get(path).text
        assert text.count('method="post"') == text.count(f'name="csrf" value="{csrf_of(desk.token())}"') > 0, path


# --- the portal ---


def form(desk: Desk, path: str, **fields: str) -> tuple[int, str]:
    answer = desk.client.post(path, data={"csrf": csrf_of(desk.token()), **fields}, follow_redirects=False)
    return answer.status_code, answer.text


def test_the_sign_in_page_takes_a_password_and_tells_what_is_wrong_in_both_languages(desk: Desk) -> None:
    desk.open("anna", factor=True)
    for lang, words in (("zh", "口令或动态口令不对"), ("en", "password or code is wrong")):
        code, text = form(desk, f"/sign-in?lang={lang}", account="anna", password="wrong")
        assert (code, words in text) == (401, True)
    assert "present code" in form(desk, "/sign-in?lang=en", account="anna", password=PASSWORD)[1]
    assert form(desk, "/sign-in", account="anna", password=PASSWORD, totp=desk.code("anna"))[0] == 303
    assert desk.client.get("/usage").status_code == 200


def test_on_the_page_of_ones_account_all_of_it_can_be_done(desk: Desk) -> None:
    desk.open("anna", password_once=True)
    form(desk, "/sign-in", account="anna", password=PASSWORD)
    assert "请先修改口令" in desk.client.get("/account").text
    assert form(desk, "/account/password", old=PASSWORD, new="Another crane 43", again="other")[0] == 422
    assert form(desk, "/account/password", old=PASSWORD, new="Another crane 43", again="Another crane 43")[0] == 303
    code, text = form(desk, "/account/keys", name="erp", days="30", scopes="track verify", networks="203.0.113.0/24")
    assert (code, "kouan_" in text) == (200, True)
    assert form(desk, "/account/keys", days="0")[0] == form(desk, "/account/keys", days="5", scopes="x")[0] == 422
    key_id = next(each["key_id"] for each in desk.ask("GET", "/v1/keys").json() if each["name"] == "erp")
    assert form(desk, f"/account/keys/{key_id}/revoke")[0] == 303
    assert "kouan_" not in desk.client.get("/account").text
    text = form(desk, "/account/totp", password="Another crane 43")[1]
    desk.secrets["anna"] = text.split("<p><code>")[1].split("<")[0]
    assert "恢复码" in form(desk, "/account/totp/confirm", totp=desk.code("anna"))[1]
    session = desk.ask("GET", "/v1/sessions").json()[0]["session"]
    assert form(desk, f"/account/sessions/{session}/end")[0] == 303
    assert desk.client.get("/account").status_code == 401


def test_a_key_for_programs_or_of_an_administrator_opens_no_page(desk: Desk) -> None:
    keys = [desk.open("root", "security-admin"), desk.open("anna")]
    keys[1] = desk.ask("POST", "/v1/keys", {"days": 1, "scopes": ["track"]}, keys[1]).json()["key"]
    for key in keys:
        assert form(desk, "/sign-in", key=key)[0] == 403
        assert COOKIE not in desk.client.cookies
