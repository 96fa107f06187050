"""The door: what of a request becomes the account that asks, and who may come in."""

from typing import Any

import pytest

from api.identity import Account, Gatekeeper, said
from api.login.commands import opened, reset
from api.problems import BadHeader
from api.settings import Settings, SettingsError
from tests.desk import Desk, desk
from tests.fixtures_node import Node

__all__ = ["desk"]


class Connection:
    """As much of a request as an address is read from."""

    def __init__(self, peer: str, forwarded: str) -> None:
        self.scope = {"client": (peer, 1)}
        self.headers = {"x-forwarded-for": forwarded}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::9", "2001:db8::9"),
        ("testclient", "203.0.113.9", "testclient"),
    ],
)
def test_an_address_is_what_the_last_stranger_was_to_a_proxy_of_ours(
    node: Node, tmp_path: Any, peer: str, forwarded: str, address: str
) -> None:
    settings = Settings(home=tmp_path, trusted_proxies=("10.0.0.0/8", "fd00::/8"))
    keeper = Gatekeeper(node.client.app.state.gatekeeper.pool, settings)
    assert keeper.address(Connection(peer, forwarded)) == address  # type: ignore[arg-type]


def test_proxies_are_named_by_networks() -> None:
    read = Settings.read({"KOUAN_TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert read.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert Settings.read(read.environment()).trusted_proxies == read.trusted_proxies
    with pytest.raises(SettingsError, match="KOUAN_TRUSTED_PROXIES"):
        Settings.read({"KOUAN_TRUSTED_PROXIES": "the proxy"})


@pytest.mark.parametrize(
    ("value", "text"), [("", ""), ("clearance", "clearance"), ("%E6%9F%A5%E9%AA%8C", "查验"), ("æ\x9f¥éª\x8c", "查验")]
)
def test_a_purpose_may_be_said_in_any_script(value: str, text: str) -> None:
    assert said(value, "Purpose", 200) == text


@pytest.mark.parametrize("value", ["x" * 201, "a%0Ab", "a%00b", "\xff", "%E6%9F"])
def test_a_purpose_that_cannot_be_kept_is_none(value: str) -> None:
    with pytest.raises(BadHeader):
        said(value, "Purpose", 200)


@pytest.mark.parametrize("header", ["Purpose", "On-Behalf-Of"])
def test_a_header_that_cannot_be_kept_is_told_so(desk: Desk, header: str) -> None:
    headers = {"Authorization": f"Bearer {desk.open('anna')}", header: "a%0Ab"}
    answer = desk.client.get("/v1/usage", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-header")


@pytest.mark.parametrize(
    "value", ["Bearer a.b.c", "Bearer ..", "Bearer", "Basic eDp5", "Bearer kouan_x", "x", "Bearer é"]
)
def test_whatever_is_no_credential_opens_nothing(desk: Desk, value: str) -> None:
    answer = desk.client.get("/v1/usage", headers={b"Authorization": value.encode()})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/no-credential")


def test_an_account_has_its_party_rights_and_credential_at_the_door(desk: Desk) -> None:
    key = desk.open("anna", party="91320000MA0000015K")
    account = desk.client.app.state.gatekeeper.by_key(key)
    assert account == Account(
        "anna", "enterprise", "anna", "anna", "91320000MA0000015K", ("enter", "declare"), f"key:{key.split('_')[1]}"
    )


def test_an_account_opened_at_the_node_has_a_password_that_opens_once(desk: Desk) -> None:
    with desk.connected() as connection:
        first = opened(connection, Account("root", "security-admin", "安全", "Security"), desk.now)
        second = reset(connection, "root", desk.now)
    assert [desk.login("root", each).status_code for each in (first, second)] == [401, 200]
    assert desk.ask("GET", "/v1/account").json()["setup"] == ["password", "totp"]
