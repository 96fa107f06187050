"""Signing in by card over HTTP: let in as whom it belongs to, refused for everything else, and the trail knows both."""

import base64
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from api.identity import open_account
from api.login import card_login, cards, sm2
from api.login.ca_commands import ca as ca_command
from api.login.card_login import Signed, text
from api.settings import Rate, Settings
from tests import card_mint
from tests.card_desk import ORIGIN, PEOPLE, Desk, sign
from tests.card_mint import DAY, NOW, USCC, Holder, mint, name
from tests.fixtures_api import Served
from tests.fixtures_node import manned


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    settings = Settings(home=tmp_path, database_url=database, origin=ORIGIN, rate_login=Rate(0), rate_address=Rate(0))
    with manned(database, settings, base_url=ORIGIN) as client:
        made = Desk(database, client)
        made.later(timedelta())
        yield made


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """The CA is trusted, with a fresh list, and the card registered."""
    desk.trust()
    assert desk.register().status_code == 201
    return desk


# --- let in ---


def test_a_registered_card_opens_a_session_of_its_account_and_the_trail_says_so(ready: Desk) -> None:
    answer = ready.enter()
    assert answer.status_code == 200, answer.text
    assert (answer.json()["account"], answer.json()["role"]) == ("li", "enterprise")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert ready.client.get("/v1/account").json()["account"] == "li"
    [told] = ready.trail("login.card")
    assert (told["account"], told["credential"]) == ("li", f"card:{ready.card.serial}")
    assert told["object"] == f"session:{answer.json()['session']}"
    [made, *_] = ready.trail("trust.ca_added")
    assert (made["account"], made["object"]) == ("guard", "ca:root")
    assert [each["account"] for each in ready.trail("trust.crl_taken", "card.registered")] == ["guard", "boss"]


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_cards_of_every_kind_are_let_in(desk: Desk, key: Any) -> None:
    desk.trust()
    card = mint(name("Li"), desk.root, key=key)
    assert desk.register(card).status_code == 201
    assert desk.enter(card).status_code == 200


def test_the_chain_may_be_base64_der_with_an_intermediate(desk: Desk) -> None:
    desk.trust()
    sub = mint(name("Sub"), desk.root, ca=True)
    card = mint(name("Li"), sub)
    assert desk.put_crl(sub.pem.encode() + card_mint.crl(sub)).status_code == 200
    desk.register(card)
    assert desk.enter(card, chain=[base64.b64encode(each.der).decode() for each in (card, sub)]).status_code == 200
    assert desk.enter(card, sub).status_code == 200


@pytest.mark.skipif(not sm2.available(), reason="gmssl-pyx is not installed (pip install kouan[sm])")
def test_a_card_of_the_national_algorithms_is_let_in(desk: Desk, tmp_path: Path) -> None:
    card, ca = card_mint.sm2_pair(tmp_path)
    desk.later(timedelta(hours=1))  # openssl has made them valid from this very second
    root = {"name": "national", "certificate": ca, "crl_required": False}
    assert desk.post("/v1/trust/cas", "guard", root).status_code == 201
    assert desk.post("/v1/cards", "boss", {"account": "li", "certificate": card}).status_code == 201
    told = desk.challenge()
    (tmp_path / "text").write_bytes(text(ORIGIN, base64.b64decode(told["nonce"])))
    card_mint.openssl(tmp_path, "dgst", *card_mint.SM2, "-sign", "card.key", "-out", "made", "text")
    made = base64.b64encode((tmp_path / "made").read_bytes()).decode()
    body = {"challenge": told["challenge"], "chain": card, "signature": made, "algorithm": "sm2-sm3"}
    assert told["algorithms"][-1] == "sm2-sm3"
    assert desk.client.post("/v1/login/card", json=body).status_code == 200
    assert desk.enter(chain=card, algorithm="sm2-sm3").json()["facts"]["fault"] == "signature"


RULE = {"party": "organizationIdentifier", "party_prefix": "USCC-", "operator": "UID"}


def test_a_rule_leads_from_the_subject_to_an_account_of_that_party_only(desk: Desk) -> None:
    desk.trust(rule=RULE)

    def card(**subject: str) -> Holder:
        return mint(name("x", **subject), desk.root)

    assert desk.enter(card(ORGID=f"USCC-{USCC}", UID="li")).json()["account"] == "li"
    for subject in (
        {"ORGID": f"USCC-{USCC}", "UID": "stranger"},
        {"ORGID": f"USCC-{USCC}", "UID": "nobody"},
        {"ORGID": "USCC-", "UID": "guard"},
        {"ORGID": USCC, "UID": "li"},
        {"UID": "li"},
    ):
        assert desk.fault(card(**subject)) == "not-registered"


def test_a_subject_that_names_two_accounts_names_none(desk: Desk) -> None:
    desk.trust(rule=RULE)
    one, two = name("x", ORGID=f"USCC-{USCC}", UID="li"), name("y", UID="boss")
    twice = type(one)([*one, *two])
    assert desk.fault(mint(twice, desk.root)) == "not-registered"


# --- kept out ---


def test_each_fault_of_a_chain_keeps_the_card_out(ready: Desk) -> None:
    sub = mint(name("Sub"), ready.root)
    cases = {
        "expired": [mint(name("Li"), ready.root, since=NOW - 2 * DAY, until=NOW - DAY)],
        "not-yet-valid": [mint(name("Li"), ready.root, since=NOW + DAY)],
        "unknown-ca": [mint(name("Li"), mint(name("Root"), ca=True))],
        "not-a-ca": [mint(name("Li"), sub), sub],
        "key-usage": [mint(name("Li"), ready.root, usages={"key_encipherment"})],
        "not-registered": [mint(name("Li"), ready.root)],
    }
    assert {fault: ready.fault(*chain) for fault, chain in cases.items()} == {fault: fault for fault in cases}


def test_an_intermediate_needs_a_list_of_its_own(ready: Desk) -> None:
    sub = mint(name("Sub"), ready.root, ca=True)
    card = mint(name("Li"), sub)
    ready.register(card)
    assert ready.fault(card, sub) == "no-crl"


def test_a_revoked_card_is_out_at_once_with_the_session_it_had(ready: Desk) -> None:
    ready.enter()
    assert ready.client.get("/v1/account").status_code == 200
    assert ready.put_crl(card_mint.crl(ready.root, ready.card, made_at=NOW)).status_code == 200
    assert ready.client.get("/v1/account").status_code == 401
    assert ready.fault() == "revoked"
    told = ready.trail("login.card")[-1]
    assert (told["result"], told["object"]) == ("denied", f"card:{ready.card.serial}")


def test_an_older_list_does_not_bring_a_revoked_card_back(ready: Desk) -> None:
    ready.put_crl(card_mint.crl(ready.root, ready.card, made_at=NOW))
    answer = ready.put_crl(card_mint.crl(ready.root, made_at=NOW - DAY, until=NOW + 2 * DAY))
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/older-crl")
    assert ready.fault() == "revoked"


def test_when_the_list_is_out_of_date_nobody_enters_unless_the_ca_was_trusted_without(ready: Desk) -> None:
    lax = mint(name("Lax"), ca=True)
    ready.trust(lax, "lax", crl_required=False)
    card = mint(name("Li"), lax)
    ready.register(card)
    ready.later(2 * DAY)
    assert ready.fault() == "stale-crl"
    assert ready.enter(card).status_code == 200


@pytest.mark.parametrize("signer", [mint(name("Root"), ca=True), mint(name("Else"), ca=True)])
def test_a_list_that_the_ca_did_not_sign_is_not_taken(ready: Desk, signer: Holder) -> None:
    answer = ready.put_crl(card_mint.crl(signer, ready.card, made_at=NOW))
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-certificate")


# --- what is signed ---


def test_a_signature_for_another_node_or_nonce_or_purpose_is_worth_nothing(ready: Desk) -> None:
    assert ready.fault(origin="https://evil.example") == "signature"
    assert ready.fault(signature=ready.signed()["signature"]) == "signature"
    nonce = base64.b64decode(ready.challenge()["nonce"])
    assert ready.fault(signature=sign(ready.card.key, nonce)[1]) == "signature"
    assert ready.fault(signature=sign(mint(name("x")).key, text(ORIGIN, nonce))[1]) == "signature"


def test_the_origin_is_never_that_of_the_request(ready: Desk) -> None:
    answer = ready.client.post("/v1/login/card/challenge", headers={"Host": "evil.example"})
    assert answer.json()["origin"] == ORIGIN
    body = ready.signed(origin="https://evil.example")
    answer = ready.client.post("/v1/login/card", json=body, headers={"Host": "evil.example"})
    assert answer.json()["facts"]["fault"] == "signature"


def test_a_challenge_serves_once_whether_it_was_answered_well_or_not(ready: Desk) -> None:
    good = ready.signed()
    assert ready.client.post("/v1/login/card", json=good).status_code == 200
    ready.client.cookies.clear()
    for body in (good, good | {"challenge": "00000000-0000-4000-8000-000000000000"}):
        assert ready.client.post("/v1/login/card", json=body).json()["facts"]["fault"] == "no-challenge"
    spoilt = ready.signed()
    assert ready.client.post("/v1/login/card", json=spoilt | {"chain": "AAAA"}).status_code == 422
    assert ready.client.post("/v1/login/card", json=spoilt).json()["facts"]["fault"] == "no-challenge"


def test_a_challenge_is_over_after_two_minutes(ready: Desk) -> None:
    body = ready.signed()
    ready.later(timedelta(minutes=2))
    assert ready.client.post("/v1/login/card", json=body).json()["facts"]["fault"] == "no-challenge"
    ready.challenge()
    with psycopg.connect(ready.conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM card_challenges").fetchone() == (1,)


@pytest.mark.parametrize(
    "algorithm", ["ed25519", "rsa-pss-sha256", "rsa-pkcs1-sha256", "sm2-sm3", "none", "HS256", "sha256"]
)
def test_no_other_algorithm_passes_for_that_of_the_key(ready: Desk, algorithm: str) -> None:
    answer = ready.enter(algorithm=algorithm)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-algorithm")


def test_an_old_padding_does_not_pass_for_the_new_one(desk: Desk) -> None:
    desk.trust()
    card = mint(name("Li"), desk.root, key=rsa.generate_private_key(65537, 2048))
    desk.register(card)
    told = desk.challenge()
    made = card.key.sign(text(ORIGIN, base64.b64decode(told["nonce"])), padding.PKCS1v15(), hashes.SHA256())
    body = {"challenge": told["challenge"], "chain": card.pem, "signature": base64.b64encode(made).decode()}
    assert desk.client.post("/v1/login/card", json=body | {"algorithm": "rsa-pss-sha256"}).status_code == 403
    assert desk.fault(card, algorithm="rsa-pkcs1-sha256") == "signature"


def test_a_sign_in_from_another_site_is_refused(ready: Desk) -> None:
    answer = ready.client.post("/v1/login/card", json=ready.signed(), headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forged")


def test_no_body_makes_the_server_fail(ready: Desk) -> None:
    dice = random.Random(2026)
    for number in range(120):
        body = bytearray(
            json.dumps(
                ready.signed()
                if number % 4 == 0
                else {**ready.signed(), "chain": [base64.b64encode(_spoilt(dice, ready.card.der)).decode()]}
            ).encode()
        )
        if number % 4 == 0:
            for _ in range(dice.randint(1, 8)):
                body[dice.randrange(len(body))] ^= dice.randrange(1, 256)
        ready.client.cookies.clear()
        answer = ready.client.post("/v1/login/card", content=bytes(body), headers={"Content-Type": "application/json"})
        assert answer.status_code in {403, 422}, (number, answer.status_code, answer.text)


def _spoilt(dice: random.Random, der: bytes) -> bytes:
    changed = bytearray(der[: dice.choice([len(der), dice.randrange(len(der))])])
    for _ in range(dice.randint(1, 5)):
        if changed:
            changed[dice.randrange(len(changed))] ^= dice.randrange(1, 256)
    return bytes(changed)


# --- whose card, and who decides ---


def test_a_suspended_card_is_out_at_once_and_may_come_back(ready: Desk) -> None:
    [card] = ready.client.get("/v1/cards", headers=ready.bearer("boss")).json()
    ready.enter()
    assert ready.post(f"/v1/cards/{card['card']}/suspend", "boss").json()["state"] == "suspended"
    assert ready.client.get("/v1/account").status_code == 401
    assert ready.fault() == "suspended"
    ready.post(f"/v1/cards/{card['card']}/resume", "boss")
    assert ready.enter().status_code == 200
    assert [each["account"] for each in ready.trail("card.suspended", "card.resumed")] == ["boss", "boss"]


def test_what_is_suspended_between_the_check_and_the_session_does_not_hold(ready: Desk) -> None:
    signed = msgspec.convert(ready.signed(), Signed)
    with psycopg.connect(ready.conninfo, autocommit=True) as connection:
        admitted = card_login.admit(connection, signed, ORIGIN, NOW)
        assert card_login.holds(connection, admitted)
        [card] = cards.cards(connection, ["li"])
        cards.set_state(connection, card, "suspended", by="boss", at=NOW)
        assert not card_login.holds(connection, admitted)
        cards.set_state(connection, card, "active", by="boss", at=NOW)
        cards.set_ca_state(connection, "root", "suspended")
        assert not card_login.holds(connection, admitted)


def test_a_card_of_a_closed_account_is_out(ready: Desk) -> None:
    with psycopg.connect(ready.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE accounts SET state = 'suspended' WHERE account = 'li'")
    assert ready.fault() == "account"


def test_a_suspended_ca_lets_nobody_in_and_ends_what_its_cards_opened(ready: Desk) -> None:
    ready.enter()
    assert ready.post("/v1/trust/cas/root/suspend", "guard").json()["state"] == "suspended"
    assert ready.client.get("/v1/account").status_code == 401
    assert ready.fault() == "unknown-ca"
    ready.post("/v1/trust/cas/root/resume", "guard")
    assert ready.enter().status_code == 200


def test_a_card_is_its_key_too_so_another_ca_cannot_copy_the_number(ready: Desk) -> None:
    twin = mint(name("Root"), ca=True)
    ready.trust(twin, "twin")
    copy = mint(name("Li"), twin, serial=ready.card.certificate.serial_number)
    assert ready.fault(copy) == "not-registered"


def test_an_administrator_registers_for_its_own_party_and_never_for_itself(desk: Desk) -> None:
    assert desk.register(account="stranger").status_code == 404
    assert desk.register(account="boss").status_code == 403
    assert desk.register(account="boss", who="keeper").status_code == 201
    assert desk.register(account="li").json()["type"] == "/problems/card-taken"
    for who in ("li", "guard", "stranger"):
        assert desk.register(who=who).status_code == 403
    assert desk.client.get("/v1/cards", headers=desk.bearer("stranger")).json() == []
    [card] = desk.client.get("/v1/cards", headers=desk.bearer("keeper")).json()
    assert desk.post(f"/v1/cards/{card['card']}/suspend", "li").status_code == 403
    assert desk.post(f"/v1/cards/{card['card']}/resume", "boss").status_code == 403


def test_registering_twice_is_once(ready: Desk) -> None:
    [first] = ready.client.get("/v1/cards", headers=ready.bearer("boss")).json()
    assert ready.register().json() == first


def test_only_the_security_administrator_trusts_a_ca_and_only_a_ca(desk: Desk) -> None:
    for who in ("boss", "keeper", "li"):
        assert desk.post("/v1/trust/cas", who, {"name": "x", "certificate": desk.root.pem}).status_code == 403
        assert desk.client.get("/v1/trust/cas", headers=desk.bearer(who)).status_code == 403
    old = mint(name("Old"), ca=True, until=NOW - DAY, since=NOW - 2 * DAY)
    for holder, status in ((desk.card, 403), (old, 403), (desk.root, 201)):
        assert desk.post("/v1/trust/cas", "guard", {"name": "x", "certificate": holder.pem}).status_code == status
    assert desk.post("/v1/trust/cas", "guard", {"name": "y", "certificate": desk.root.pem}).status_code == 409
    for wrong in ({"name": "a/b"}, {"certificate": "AAAA"}, {"rule": {"party": "DC", "operator": "UID"}}, {"odd": 1}):
        body = {"name": "z", "certificate": desk.root.pem} | wrong
        assert desk.post("/v1/trust/cas", "guard", body).status_code == 422, wrong
    assert desk.put_crl(card_mint.crl(desk.root), "nobody").status_code == 404
    for data in (b"", b"\x30", b"-----BEGIN X509 CRL-----", card_mint.crl(desk.root)[:-40], b"\xff" * 99):
        assert desk.put_crl(data, "x").status_code == 422


# --- at the machine ---


def test_the_command_trusts_a_ca_with_a_file_of_lists_that_is_read_at_each_sign_in(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", desk.conninfo)
    (tmp_path / "ca.pem").write_text(desk.root.pem)
    listed = tmp_path / "ca.crl"
    run = CliRunner().invoke
    done = run(ca_command, ["add", "root", str(tmp_path / "ca.pem"), "--crl-file", str(listed)])
    assert done.exit_code == 0, done.output
    desk.register()
    assert desk.fault() == "no-crl"
    listed.write_bytes(card_mint.crl(desk.root)[:-50])
    assert desk.fault() == "no-crl"
    listed.write_bytes(card_mint.crl(desk.root))
    assert desk.enter().status_code == 200
    listed.write_bytes(card_mint.crl(desk.root, desk.card, made_at=NOW))
    assert desk.fault() == "revoked"
    assert run(ca_command, ["crl", "root", str(listed)]).exit_code == 0
    assert "root\ttrusted" in run(ca_command, ["list"]).output
    assert run(ca_command, ["suspend", "root"]).output.strip() == "suspended"
    assert run(ca_command, ["resume", "root"]).output.strip() == "trusted"
    told = [(each["action"], each["credential"]) for each in desk.trail() if each["action"].startswith("trust.")]
    assert told == [(f"trust.{each}", "node") for each in ("ca_added", "crl_taken", "ca_suspended", "ca_resumed")]


@pytest.mark.slow
def test_the_commands_of_the_document_sign_in(served: Served, tmp_path: Path) -> None:
    [block] = re.findall(r"```bash\n(.*?)```", (Path(__file__).parents[1] / "docs" / "card.md").read_text(), re.DOTALL)
    with psycopg.connect(served.conninfo, autocommit=True) as connection:
        keys = {each.account: open_account(connection, each) for each in PEOPLE}
    given = {"NODE": served.url, "SECURITY": keys["guard"], "ADMIN": keys["boss"], "OPERATOR": "li", "NO_PROXY": "*"}
    folder = tmp_path / "card"
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-c", block], cwd=folder, env=os.environ | given, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"account":"li","role":"enterprise"' in done.stdout
    assert '"credential":"session:' in done.stdout
