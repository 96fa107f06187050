"""Signing in by password: what it takes, what it tells, and how often it may fail."""

import pytest

from api.identity import COOKIE
from api.login import attempts, passwords
from api.login.passwords import BadPassword
from api.problems import LockedOut
from tests.desk import PASSWORD, Desk, desk

__all__ = ["desk"]
WRONG = "not the password"


@pytest.mark.parametrize(
    "password", ["correct horse battery", "Tr4de-Wind", "港口码头泊位编号东三区一二三四", "aB3$efgh", "n0-Vowels"]
)
def test_a_password_that_is_long_or_varied_is_taken(password: str) -> None:
    passwords.check(password, "trader")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "characters"),
        ("short1A", "characters"),
        ("lowercase1", "characters"),
        ("password1234", "common"),
        ("P@ssw0rd", "common"),
        ("aaaaaaaaaaaaaaaa", "monotonous"),
        ("my-Trader-secret", "name of the account"),
        ("x1Y" * 50, "at most 128"),
        ("a proper pass\u0007word", "printed"),
        ("half a \ud800 character", "printed"),
    ],
)
def test_a_weak_password_is_refused_and_not_repeated(password: str, why: str) -> None:
    with pytest.raises(BadPassword, match=why) as refused:
        passwords.check(password, "trader")
    assert not password or password not in refused.value.detail


def test_a_hash_names_argon2id_and_never_fits_another_password() -> None:
    stored = passwords.hashed("Wharf crane 42")
    assert stored.startswith("$argon2id$")
    assert [passwords.fits(stored, each) for each in ("Wharf crane 42", "wharf crane 42", "")] == [True, False, False]
    assert not passwords.fits(None, "Wharf crane 42")
    assert not passwords.fits("no hash", "Wharf crane 42")


def test_a_letter_may_be_typed_in_two_ways() -> None:
    assert passwords.fits(passwords.hashed("Cafe\u0301 am Hafen"), "Caf\u00e9 am Hafen")


def test_no_two_passwords_given_out_are_the_same() -> None:
    given = {passwords.once() for _ in range(200)}
    assert len(given) == 200
    passwords.check(given.pop(), "trader")


# --- signing in ---


def test_a_password_opens_a_session_in_a_cookie_that_scripts_cannot_read(desk: Desk) -> None:
    desk.open("anna")
    answer = desk.login("anna")
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in (COOKIE, "httponly", "samesite=lax", "path=/"))
    assert desk.token() not in answer.text
    told = answer.json()
    me = desk.ask("GET", "/v1/account").json()
    assert (me["account"], me["credential"], me["csrf"]) == ("anna", f"session:{told['session']}", told["csrf"])
    assert ("login.password", "account:anna", "ok") in desk.told()


def test_a_wrong_password_and_an_account_that_is_not_there_are_answered_alike(desk: Desk) -> None:
    desk.open("anna")
    answers = [desk.login(name, WRONG) for name in ("anna", "nobody", "", "a\x00b", "x" * 500, "\u200b")]
    assert {(answer.status_code, answer.json()["type"], answer.json()["detail"]) for answer in answers} == {
        (401, "/problems/bad-login", answers[0].json()["detail"])
    }
    assert COOKIE not in desk.client.cookies
    assert ("login.password", "account:anna", "denied") in desk.told()
    assert WRONG not in str(desk.told())


def test_an_account_without_a_password_has_none_to_guess(desk: Desk) -> None:
    desk.open("robot", password=None)
    assert [desk.login("robot", each).status_code for each in ("", "None", PASSWORD)] == [401, 401, 401]


def test_a_suspended_account_is_told_so_only_by_its_password(desk: Desk) -> None:
    desk.open("anna", state="suspended")
    assert desk.login("anna", WRONG).json()["type"] == "/problems/bad-login"
    assert desk.login("anna").json()["type"] == "/problems/suspended"


def test_signing_in_again_ends_the_session_before(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    before = desk.token()
    desk.login("anna")
    assert desk.token() != before
    desk.back(before)
    assert desk.ask("GET", "/v1/sessions").status_code == 401


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_no_other_site_can_sign_a_browser_in(desk: Desk, headers: dict[str, str]) -> None:
    desk.open("anna")
    assert desk.login("anna", **headers).json()["type"] == "/problems/forged"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"account": 1}', b'{"account": "a", "password": "b", "x": 1}', b'"\xff"', b"[" * 5000]
)
def test_a_body_that_is_no_proof_is_told_so(desk: Desk, body: bytes) -> None:
    assert desk.client.post("/v1/login", content=body).status_code == 422


# --- failing too often ---


def test_five_failures_lock_an_account_for_a_quarter_of_an_hour_even_to_its_password(desk: Desk) -> None:
    desk.open("anna")
    assert [desk.login("anna", WRONG).status_code for _ in range(5)] == [401] * 5
    locked = desk.login("anna")
    assert (locked.status_code, locked.json()["type"]) == (429, "/problems/locked-out")
    assert int(locked.headers["Retry-After"]) == 900
    desk.later(minutes=15)
    assert desk.login("anna").status_code == 200


def test_each_lock_lasts_twice_as_long_as_the_one_before_up_to_a_day(desk: Desk) -> None:
    lasted = []
    with desk.connected() as connection:
        for _ in range(9):
            while True:
                try:
                    attempts.begin(connection, "anna", "", desk.now)
                except LockedOut as locked:
                    lasted.append(locked.facts["seconds"] // 60)  # type: ignore[operator]
                    desk.later(seconds=locked.facts["seconds"])  # type: ignore[arg-type]
                    connection.execute("DELETE FROM sign_in_failures WHERE subject = 'address:'")
                    break
    assert lasted == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]


def test_a_success_makes_the_count_begin_anew(desk: Desk) -> None:
    desk.open("anna")
    for _ in range(3):
        assert [desk.login("anna", WRONG).status_code for _ in range(2)] == [401] * 2
        assert desk.login("anna").status_code == 200


def test_who_is_not_there_is_locked_like_who_is(desk: Desk) -> None:
    desk.open("anna")
    found = {name: [desk.login(name, WRONG).status_code for _ in range(6)] for name in ("anna", "nobody")}
    assert found["anna"] == found["nobody"] == [401] * 5 + [429]


def test_an_address_that_fails_with_many_accounts_is_locked_and_locks_none_of_them(desk: Desk) -> None:
    with desk.connected() as connection:
        for number in range(20):
            attempts.begin(connection, f"account-{number}", "203.0.113.7", desk.now)
        for _ in range(9):
            with pytest.raises(LockedOut):
                attempts.begin(connection, "anna", "203.0.113.7", desk.now)
        attempts.begin(connection, "anna", "203.0.113.8", desk.now)
        desk.later(days=3)
        attempts.begin(connection, "anna", "203.0.113.7", desk.now)
        kept = connection.execute("SELECT count(*) FROM sign_in_failures").fetchone()
    assert kept == (2,)


# --- changing it ---


def test_a_password_that_opens_once_opens_only_the_way_to_another(desk: Desk) -> None:
    desk.open("anna", password_once=True)
    desk.login("anna")
    refused = desk.ask("GET", "/v1/sessions")
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/setup-needed")
    assert desk.ask("GET", "/v1/account").json()["setup"] == ["password"]
    assert desk.client.get("/usage", follow_redirects=False).headers["location"] == "/account"
    changed = desk.ask("POST", "/v1/password", {"old": PASSWORD, "new": "Another crane 43"})
    assert changed.status_code == 204, changed.text
    assert desk.ask("GET", "/v1/sessions").status_code == 200


def test_a_password_wears_out_after_half_a_year(desk: Desk) -> None:
    desk.open("anna")
    desk.later(days=181)
    desk.login("anna")
    assert desk.ask("GET", "/v1/sessions").json()["type"] == "/problems/setup-needed"


def test_another_password_takes_the_old_one_and_ends_all_other_sessions(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    elsewhere = desk.token()
    desk.client.cookies.clear()
    desk.login("anna")
    for old, new in ((WRONG, "Another crane 43"), (PASSWORD, "short"), (PASSWORD, PASSWORD)):
        assert desk.ask("POST", "/v1/password", {"old": old, "new": new}).status_code in {401, 422}
    assert desk.ask("POST", "/v1/password", {"old": PASSWORD, "new": "Another crane 43"}).status_code == 204
    assert desk.ask("GET", "/v1/sessions").status_code == 200
    desk.back(elsewhere)
    assert desk.ask("GET", "/v1/sessions").status_code == 401
    assert ("password.changed", "account:anna", "ok") in desk.told()
