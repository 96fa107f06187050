"""Signing in elsewhere and being signed in here: the code flow with its attacks, and this node as an issuer."""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import psycopg
import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import KeySet
from litestar.testing import TestClient

from api.identity import COOKIE, Account, Gatekeeper, open_account
from api.login import issuer as own
from api.login import issuer_commands, issuers, jwks, provider, sessions
from api.login.door import csrf_of
from api.login.issuers import Entry
from api.login.provider import Client, s256
from api.login.vault import Vault
from api.pool import open_pool
from api.settings import Settings
from tests import fixtures_postgres
from tests.fixtures_api import Served
from tests.fixtures_node import Node, manned
from tests.oidc_provider import CLIENT, Provider, serving

PARTY = "91120000MA05XXXX0K"
SOUTH = "http://127.0.0.1:8001"
BACK = f"{SOUTH}/login/oidc/callback"
ZHANG = Account("zhang", "enterprise", "张", "Zhang", party=PARTY)
GUARD = Account("guard", "security-admin", "安全管理员", "Security")
VERIFIER = "v" * 43


class South:
    """A node called SOUTH, with a browser that keeps its cookies."""

    def __init__(self, conninfo: str, settings: Settings, browser: TestClient[Any]) -> None:
        self.conninfo, self.settings, self.browser = conninfo, settings, browser
        with psycopg.connect(conninfo, autocommit=True) as connection:
            own.name(connection, SOUTH)
            self.key = open_account(connection, ZHANG)
            self.guard = open_account(connection, GUARD)

    def trust(self, entry: Entry) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            issuers.save(connection, asyncio.run(issuers.discovered(entry)), "test")

    def register(self, client: Client) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            provider.save_client(connection, client, "test")

    def run(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(query.encode(), values)

    def rotate(self, now: datetime, *, at_once: bool = False) -> str:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return own.rotate(connection, Vault(self.settings), now, at_once=at_once)

    def sign_in(self, account: str = "zhang") -> str:
        token = signed_in(self.conninfo, self.settings, account)
        self.browser.cookies.set(COOKIE, token)
        return token

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.browser.get(path, params=params or None, follow_redirects=False)

    def as_guard(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.guard}"}
        return self.browser.request(method, path, json=body, headers=headers)


def signed_in(conninfo: str, settings: Settings, account: str) -> str:
    with open_pool(conninfo) as pool:
        return sessions.open_session(Gatekeeper(pool, settings), account, "password").token


@pytest.fixture
def other_database(postgres: str, template: str) -> Iterator[str]:
    """A second database beside `database`."""
    yield from fixtures_postgres._copied(postgres, template)


@pytest.fixture
def south(other_database: str, tmp_path: Path) -> Iterator[South]:
    settings = Settings(home=tmp_path / "south")
    with manned(other_database, settings, base_url=SOUTH) as browser:
        yield South(other_database, settings, browser)


@pytest.fixture
def elsewhere() -> Iterator[Provider]:
    with serving() as made:
        yield made


@pytest.fixture
def trusting(south: South, elsewhere: Provider) -> South:
    south.trust(entry_of(elsewhere.url))
    return south


def entry_of(url: str, **changes: Any) -> Entry:
    given: dict[str, Any] = {"parties": (PARTY,), "roles": ("enterprise",), "client_id": CLIENT, "audience": SOUTH}
    return Entry(issuer=url, name="north", **(given | changes))


def came_back(south: South, elsewhere: Provider, **subject: Any) -> str:
    """The address that the browser is sent back to, after it was sent there and somebody signed in."""
    elsewhere.subject = {"sub": "li", "party": PARTY, "role": "enterprise", "name": "李"} | subject
    sent = south.get("/login/oidc/north", next="/usage")
    assert sent.status_code == 303, sent.text
    return elsewhere.authorize(urlsplit(sent.headers["location"]).query)


def refused(answer: httpx.Response, why: str) -> None:
    assert answer.status_code == 401, answer.text
    assert why in answer.json()["detail"]
    assert COOKIE not in answer.cookies


# --- signing in at another issuer ---


def test_who_signs_in_at_a_trusted_issuer_has_a_session_here(trusting: South, elsewhere: Provider) -> None:
    answer = trusting.get(came_back(trusting, elsewhere))
    assert (answer.status_code, answer.headers["location"]) == (303, "/usage")
    [session] = trusting.get("/v1/sessions").json()
    assert session["credential"] == f"token:{elsewhere.url}#li"


def test_the_browser_is_sent_with_pkce_state_and_nonce_and_never_the_same_twice(trusting: South) -> None:
    asked = [parse_qs(urlsplit(trusting.get("/login/oidc/north").headers["location"]).query) for _ in range(2)]
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["redirect_uri"] == [BACK]
    assert all(asked[0][name] != asked[1][name] for name in ("state", "nonce", "code_challenge"))


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"nonce": "other"}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "another audience": ({"aud": "other"}, "aud"),
    "our API for its audience": ({"aud": SOUTH}, "aud"),
    "another issuer": ({"iss": "https://evil.example"}, "iss"),
    "another party it was given to": ({"azp": "other"}, "azp"),
    "several audiences and nobody it was given to": ({"aud": [CLIENT, "other"]}, "azp"),
    "the hash of another access token": ({"at_hash": "other"}, "at_hash"),
    "a hash that is no text": ({"at_hash": 1}, "at_hash"),
    "an end in the past": ({"exp": 1_000_000_000, "iat": 999_999_900}, "expired"),
    "no end": ({"exp": None}, "exp"),
    "no subject": ({"sub": None}, "sub"),
    "a party that is not the issuer's": ({"party": "other"}, "party"),
    "a role that is not the issuer's": ({"role": "operator"}, "role"),
}


@pytest.mark.parametrize("rule", LIES)
def test_no_session_comes_of_an_id_token_with(rule: str, trusting: South, elsewhere: Provider) -> None:
    elsewhere.lies, why = LIES[rule]
    refused(trusting.get(came_back(trusting, elsewhere)), why)


def test_an_answer_is_taken_once(trusting: South, elsewhere: Provider) -> None:
    where = came_back(trusting, elsewhere)
    assert trusting.get(where).status_code == 303
    trusting.browser.cookies.delete(COOKIE)
    refused(trusting.get(where), "used before")


def test_an_answer_to_another_browser_is_not_taken(trusting: South, elsewhere: Provider) -> None:
    where = came_back(trusting, elsewhere)
    trusting.browser.cookies.clear()
    refused(trusting.get(where), "another browser")


@pytest.mark.parametrize("said", ["https://evil.example", "", None])
def test_an_answer_of_another_issuer_is_a_mix_up(trusting: South, elsewhere: Provider, said: str | None) -> None:
    elsewhere.answer_iss = said
    refused(trusting.get(came_back(trusting, elsewhere)), "another issuer")
    assert "/token" not in elsewhere.asked


def test_an_answer_that_comes_late_is_not_taken(trusting: South, elsewhere: Provider) -> None:
    where = came_back(trusting, elsewhere)
    trusting.run("UPDATE oidc_logins SET expires_at = now() - interval '1 second'")
    refused(trusting.get(where), "ten minutes")


@pytest.mark.parametrize("query", ["", "?state=x", "?state=x&code=y", "?state=a&state=b", "?state=%FF&code=%ED%A0%80"])
def test_an_answer_to_nothing_is_not_taken(trusting: South, query: str) -> None:
    answer = trusting.get(f"/login/oidc/callback{query}")
    assert answer.status_code == 401


def test_an_issuer_suspended_meanwhile_signs_nobody_in(trusting: South, elsewhere: Provider) -> None:
    where = came_back(trusting, elsewhere)
    trusting.run("""UPDATE trusted_issuers SET entry = entry || '{"state": "suspended"}'""")
    refused(trusting.get(where), "suspended")
    assert trusting.get("/login/oidc/north").status_code == 404


def test_after_signing_in_nobody_is_led_to_another_site(trusting: South, elsewhere: Provider) -> None:
    for next_path in ("https://evil.example", "//evil.example", "/\\evil.example"):
        sent = trusting.get("/login/oidc/north", next=next_path)
        elsewhere.subject = {"sub": "li", "party": PARTY, "role": "enterprise"}
        answer = trusting.get(elsewhere.authorize(urlsplit(sent.headers["location"]).query))
        assert answer.headers["location"] == "/"


def test_an_issuer_that_does_not_answer_is_no_fault_of_ours(trusting: South, elsewhere: Provider) -> None:
    where = came_back(trusting, elsewhere)
    elsewhere.status = 500
    refused(trusting.get(where), "no tokens")


def test_metadata_that_name_another_issuer_are_not_believed(south: South, elsewhere: Provider) -> None:
    elsewhere.metadata_issuer = "https://evil.example"
    with pytest.raises(issuers.BadIssuer, match="another issuer"):
        south.trust(entry_of(elsewhere.url))


@pytest.mark.parametrize("status", [301, 302, 404, 500])
def test_keys_are_taken_from_a_plain_answer_only(elsewhere: Provider, status: int) -> None:
    elsewhere.status = status
    with pytest.raises(jwks.IssuerUnreachable):
        asyncio.run(jwks.fetch(f"{elsewhere.url}/keys"))


def test_keys_are_not_asked_for_in_the_clear_of_another_machine() -> None:
    for url in ("http://a.example/keys", "ftp://a.example", "file:///etc/passwd", "https://", "https://a:b@c.example"):
        with pytest.raises(jwks.IssuerUnreachable):
            asyncio.run(jwks.fetch(url))


# --- this node as a provider ---

WANTED = {
    "response_type": "code",
    "client_id": "west",
    "redirect_uri": "https://west.example/back",
    "scope": "openid",
    "state": "st",
    "nonce": "no",
    "code_challenge": s256(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.fixture
def providing(south: South) -> South:
    south.register(Client("west", redirect_uris=("https://west.example/back",), audience="https://west.example"))
    south.register(Client("east", redirect_uris=("https://west.example/back",)))
    return south


def code_of(south: South, **changes: str) -> str:
    sent = south.get("/authorize", **(WANTED | changes))
    assert sent.status_code == 302, sent.text
    told = parse_qs(urlsplit(sent.headers["location"]).query)
    assert (told["state"], told["iss"]) == (["st"], [SOUTH])
    return told["code"][0]


def exchanged(south: South, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": WANTED["redirect_uri"],
        "client_id": "west",
        "code_verifier": VERIFIER,
    }
    return south.browser.post("/token", data=form | changes)


def test_a_client_learns_who_is_signed_in(providing: South) -> None:
    providing.sign_in()
    got = exchanged(providing, code_of(providing)).json()
    keys = KeySet.import_key_set(providing.get("/.well-known/jwks.json").json())
    claims = jwt.decode(got["id_token"], keys, algorithms=["ES256"]).claims
    assert (claims["sub"], claims["aud"], claims["nonce"], claims["party"]) == ("zhang", "west", "no", PARTY)
    told = providing.browser.get("/userinfo", headers={"Authorization": f"Bearer {got['access_token']}"})
    assert told.json()["rights"] == ["declare", "enter"] or told.json()["rights"] == ["enter", "declare"]
    for other in (got["id_token"], "x.y.z", providing.key, ""):
        answer = providing.browser.get("/userinfo", headers={"Authorization": f"Bearer {other}"})
        assert answer.status_code == 401


def test_who_is_not_signed_in_signs_in_first(providing: South) -> None:
    answer = providing.get("/authorize", **WANTED)
    assert answer.status_code == 303
    next_path = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert next_path.startswith("/authorize?")
    assert dict(parse_qs(next_path.partition("?")[2]))["state"] == ["st"]
    silent = providing.get("/authorize", **WANTED, prompt="none")
    assert "error=login_required" in silent.headers["location"]


def test_a_key_is_no_session_to_hand_on(providing: South) -> None:
    headers = {"Authorization": f"Bearer {providing.key}"}
    answer = providing.browser.get("/authorize", params=WANTED, headers=headers, follow_redirects=False)
    assert answer.headers["location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "https://west.example/back/"},
        {"redirect_uri": "https://west.example/back?x=1"},
        {"redirect_uri": "https://evil.example"},
        {"redirect_uri": ""},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(providing: South, change: dict[str, str]) -> None:
    providing.sign_in()
    answer = providing.get("/authorize", **(WANTED | change))
    assert answer.status_code == 422
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "change",
    [
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"response_type": "token"},
        {"response_mode": "fragment"},
        {"scope": "email"},
        {"request": "eyJ"},
    ],
)
def test_what_weakens_the_flow_is_answered_with_an_error_and_no_code(providing: South, change: dict[str, str]) -> None:
    providing.sign_in()
    told = parse_qs(urlsplit(providing.get("/authorize", **(WANTED | change)).headers["location"]).query)
    assert "error" in told
    assert "code" not in told


def test_a_code_is_taken_once_even_if_what_comes_with_it_is_wrong(providing: South) -> None:
    providing.sign_in()
    code = code_of(providing)
    assert exchanged(providing, code, code_verifier="w" * 43).json() == {"error": "invalid_grant"}
    assert exchanged(providing, code).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "east"},
        {"redirect_uri": "https://west.example/other"},
        {"code_verifier": ""},
        {"grant_type": "password"},
    ],
)
def test_a_code_is_for_who_asked_for_it(providing: South, change: dict[str, str]) -> None:
    providing.sign_in()
    assert exchanged(providing, code_of(providing), **change).status_code == 400


def test_a_guess_is_no_code(providing: South) -> None:
    assert exchanged(providing, "guess").json() == {"error": "invalid_grant"}


STATES: dict[str, str] = {
    "after a minute": "UPDATE issuer_codes SET expires_at = now() - interval '1 second'",
    "for an account suspended meanwhile": "UPDATE accounts SET state = 'suspended' WHERE account = 'zhang'",
    "for a client suspended meanwhile": "UPDATE issuer_clients SET state = 'suspended'",
}


@pytest.mark.parametrize("when", STATES)
def test_a_code_is_worth_nothing(when: str, providing: South) -> None:
    providing.sign_in()
    code = code_of(providing)
    providing.run(STATES[when])
    assert exchanged(providing, code).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize("body", [b"", b"\xff", b"a=1&a=2", b"&".join(b"%d=1" % n for n in range(50))])
def test_any_body_at_the_token_address_is_an_error_of_the_sender(providing: South, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert providing.browser.post("/token", content=body, headers=headers).status_code == 400


def test_from_our_own_sign_in_form_a_page_leads_on(providing: South) -> None:
    providing.sign_in()
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = providing.browser.get("/authorize", params=WANTED, headers=headers, follow_redirects=False)
    assert answer.status_code == 200
    assert "url=https://west.example/back?code=" in unescape(answer.text)


# --- its keys ---


def kids(south: South) -> list[str]:
    return [key["kid"] for key in south.get("/.well-known/jwks.json").json()["keys"]]


def decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def signer(south: South) -> str:
    headers = {"Authorization": f"Bearer {south.key}"}
    asked = {"audience": "https://west.example"}
    made = south.browser.post("/v1/tokens", json=asked, headers=headers)
    assert made.status_code == 201, made.text
    token = made.json()["access_token"]
    return str(msgspec.json.decode(decoded(token.split(".")[0]))["kid"])


def test_a_new_key_is_published_before_it_signs_and_an_old_one_after(providing: South) -> None:
    old = signer(providing)
    new = providing.rotate(datetime.now(UTC))
    assert set(kids(providing)) == {old, new}
    assert signer(providing) == old
    providing.run("UPDATE issuer_keys SET signs_from = signs_from - interval '11 minutes'")
    providing.run("UPDATE issuer_keys SET retired_at = retired_at - interval '11 minutes'")
    assert signer(providing) == new
    assert set(kids(providing)) == {old, new}
    providing.run("UPDATE issuer_keys SET retired_at = retired_at - interval '1 hour'")
    assert kids(providing) == [new]


def test_a_key_that_was_stolen_is_gone_at_once(providing: South) -> None:
    old = signer(providing)
    new = providing.rotate(datetime.now(UTC), at_once=True)
    assert (signer(providing), kids(providing)) == (new, [new])
    assert old != new


def test_private_keys_lie_sealed(providing: South) -> None:
    signer(providing)
    with psycopg.connect(providing.conninfo) as connection:
        [(public, sealed)] = connection.execute("SELECT public, sealed FROM issuer_keys").fetchall()
    assert "d" not in public
    assert b"PRIVATE" not in sealed


def test_what_this_node_says_of_itself_fits_together(south: South) -> None:
    said = south.get("/.well-known/openid-configuration").json()
    assert said["issuer"] == SOUTH
    assert all(said[name].startswith(SOUTH + "/") for name in said if name.endswith("_endpoint"))
    assert said["code_challenge_methods_supported"] == ["S256"]


def test_a_node_without_a_name_says_so(node: Node) -> None:
    answer = node.client.get("/.well-known/openid-configuration")
    assert answer.status_code == 404
    assert "kouan issuer name" in answer.json()["detail"]


def test_a_token_is_made_for_registered_audiences_only(providing: South) -> None:
    headers = {"Authorization": f"Bearer {providing.key}"}
    for audience in ("https://evil.example", "", SOUTH):
        answer = providing.browser.post("/v1/tokens", json={"audience": audience}, headers=headers)
        assert answer.json()["type"] == "/problems/bad-audience"
    too_long = {"audience": "https://west.example", "seconds": 901}
    assert providing.browser.post("/v1/tokens", json=too_long, headers=headers).status_code == 422


def test_a_session_asks_for_a_token_from_our_own_pages_only(providing: South) -> None:
    token, body = providing.sign_in(), {"audience": "https://west.example"}
    assert providing.browser.post("/v1/tokens", json=body).status_code == 403
    answer = providing.browser.post("/v1/tokens", json=body, headers={"X-CSRF-Token": csrf_of(token)})
    assert answer.status_code == 201


def test_no_token_is_made_for_a_token(trusting: South, elsewhere: Provider) -> None:
    now = int(time.time())
    claims = {
        "iss": elsewhere.url,
        "sub": "li",
        "aud": SOUTH,
        "iat": now,
        "exp": now + 60,
        "client_id": "x",
        "jti": "1",
    }
    token = elsewhere.sign(claims | {"party": PARTY, "role": "enterprise"}, "at+jwt")
    headers = {"Authorization": f"Bearer {token}"}
    assert trusting.browser.get("/v1/sessions", headers=headers).status_code == 200
    answer = trusting.browser.post("/v1/tokens", json={"audience": "https://west.example"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-token-for-token")


# --- the desk of the security administrator ---


def test_the_security_administrator_trusts_links_and_suspends(south: South, elsewhere: Provider) -> None:
    entry = msgspec.to_builtins(entry_of(elsewhere.url))
    answer = south.as_guard("PUT", "/v1/trust/issuers/north", {"entry": entry, "discover": True, "client_secret": "s"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["jwks_uri"] == f"{elsewhere.url}/keys"
    assert "client_secret" not in answer.text
    link = {"subject": "li", "account": "zhang"}
    assert south.as_guard("PUT", "/v1/trust/issuers/north/links", link).status_code == 200
    [linked] = south.as_guard("GET", "/v1/trust/issuers/north/links").json()
    assert linked == link | {"made_by": "guard"}
    assert south.as_guard("DELETE", "/v1/trust/issuers/north/links", {"subject": "li"}).status_code == 204
    assert south.as_guard("DELETE", "/v1/trust/issuers/north").status_code == 204
    assert south.as_guard("GET", "/v1/trust/issuers").json() == []
    with psycopg.connect(south.conninfo) as connection:
        told = connection.execute("SELECT state FROM commerce_events WHERE topic = 'access.told'").fetchall()
    text = b"".join(bytes(row[0]) for row in told).decode()
    for action in ("issuer_added", "linked", "unlinked", "issuer_removed"):
        assert f"trust.{action}" in text


def test_an_unreachable_issuer_is_told_as_such(south: South) -> None:
    entry = msgspec.to_builtins(entry_of("http://127.0.0.1:9"))
    answer = south.as_guard("PUT", "/v1/trust/issuers/north", {"entry": entry, "discover": True})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/issuer-unreachable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"entry": {"issuer": SOUTH, "name": "north", "audience": "x", "jwks_uri": f"{SOUTH}/k"}},
        {"entry": {"issuer": "https://a.example", "name": "south", "audience": "x", "jwks_uri": "https://a.example"}},
        {"entry": {"issuer": "https://a.example", "name": "north", "audience": "\0", "jwks_uri": "https://a.example"}},
        {"entry": {"issuer": "https://[", "name": "north", "audience": "x", "jwks_uri": "https://a.example"}},
    ],
)
def test_an_entry_that_cannot_be_used_is_a_problem(south: South, body: Any) -> None:
    assert south.as_guard("PUT", "/v1/trust/issuers/north", body).status_code == 422


def test_the_desk_is_for_the_security_administrator_alone(south: South) -> None:
    for headers in ({"Authorization": f"Bearer {south.key}"}, {}):
        for path in ("/v1/trust/issuers", "/v1/trust/clients"):
            assert south.browser.get(path, headers=headers).status_code in {401, 403}
            assert south.browser.put(f"{path}/x", json={}, headers=headers).status_code in {401, 403}


def test_at_the_machine_an_issuer_is_trusted_suspended_and_resumed(
    south: South, elsewhere: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", south.conninfo)
    monkeypatch.setenv("KOUAN_HOME", str(south.settings.home))

    def kouan(*words: str) -> str:
        done = CliRunner().invoke(issuer_commands.issuer, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    kouan("name", SOUTH)
    kouan("trust", "north", elsewhere.url, "--audience", SOUTH, "--party", PARTY, "--role", "enterprise")
    kouan("link", "north", "li", "zhang")
    kouan("client", "west", "--redirect-uri", "https://west.example/back")
    kouan("suspend", "north")
    assert kouan("list").split("\t")[:2] == ["north", "suspended"]
    kouan("resume", "north")
    assert kouan("list").split("\t")[1] == "active"
    assert kouan("rotate", "--compromised").strip() == kids(south)[0]


# --- two nodes ---


def test_a_login_at_one_node_serves_at_another(served: Served, south: South) -> None:
    north, settings = served.url, Settings(home=served.home)
    with psycopg.connect(served.conninfo, autocommit=True) as connection:
        own.name(connection, north)
        key = open_account(connection, Account("wang", "enterprise", "王", "Wang", party=PARTY))
        provider.save_client(connection, Client("south", redirect_uris=(BACK,), audience=SOUTH), "test")
    south.trust(entry_of(north, client_id="south"))
    session = signed_in(served.conninfo, settings, "wang")

    there = south.get("/login/oidc/north", next="/usage").headers["location"]
    with httpx.Client(trust_env=False, cookies={COOKIE: session}) as browser:
        back = browser.get(there).headers["location"]
        made = browser.post(f"{north}/v1/tokens", json={"audience": SOUTH}, headers={"Authorization": f"Bearer {key}"})
    answer = south.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/usage")
    assert south.get("/v1/sessions").json()[0]["credential"] == f"token:{north}#wang"

    south.browser.cookies.clear()
    bearer = {"Authorization": f"Bearer {made.json()['access_token']}"}
    listed = south.browser.get("/v1/sessions", headers=bearer)
    assert [each["credential"] for each in listed.json()] == [f"token:{north}#wang"]
    with httpx.Client(trust_env=False) as elsewhere:
        assert elsewhere.get(f"{north}/v1/sessions", headers=bearer).status_code == 401
