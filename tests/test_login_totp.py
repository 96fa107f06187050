"""The second factor: enrolled by its first code, each code taken once, and needed where the role needs it."""

from pathlib import Path

import psycopg
import pytest

from api.identity import TWO_FACTORS
from api.login.vault import KEY_FILE, Vault
from api.settings import Settings, SettingsError
from tests.desk import PASSWORD, Desk, desk

__all__ = ["desk"]


@pytest.mark.parametrize("role", sorted(TWO_FACTORS))
def test_an_administrator_without_a_second_factor_can_do_nothing_but_enrol_it(desk: Desk, role: str) -> None:
    desk.open("root", role)  # type: ignore[arg-type]
    assert desk.login("root").status_code == 200
    assert desk.ask("GET", "/v1/users").json()["type"] == "/problems/setup-needed"
    assert desk.ask("GET", "/v1/account").json()["setup"] == ["totp"]
    made = desk.ask("POST", "/v1/totp", {"password": PASSWORD}).json()
    assert made["uri"].startswith("otpauth://totp/")
    desk.secrets["root"] = made["secret"]
    assert desk.ask("POST", "/v1/totp/confirm", {"totp": desk.code("root", 5)}).json()["type"] == "/problems/bad-code"
    codes = desk.ask("POST", "/v1/totp/confirm", {"totp": desk.code("root")}).json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert desk.ask("GET", "/v1/sessions").status_code == 200
    assert ("totp.enrolled", "account:root", "ok") in desk.told()


def test_with_a_second_factor_the_password_alone_does_not_open(desk: Desk) -> None:
    desk.open("anna", factor=True)
    assert desk.login("anna").json()["type"] == "/problems/totp-needed"
    assert desk.login("anna", code="000000").json()["type"] == "/problems/bad-login"
    assert desk.login("anna", "wrong", desk.code("anna")).json()["type"] == "/problems/bad-login"
    assert desk.login("anna", code=desk.code("anna")).status_code == 200
    assert ("login.totp", "account:anna", "denied") in desk.told()


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
def test_a_code_is_taken_at_its_step_or_one_beside_it(desk: Desk, steps: int, status: int) -> None:
    desk.open("anna", factor=True)
    desk.later(minutes=2)
    assert desk.login("anna", code=desk.code("anna", steps)).status_code == status


def test_a_code_is_taken_once_and_none_before_it_afterwards(desk: Desk) -> None:
    desk.open("anna", factor=True)
    desk.later(minutes=2)
    before, present = desk.code("anna", -1), desk.code("anna")
    assert desk.login("anna", code=present).status_code == 200
    assert [desk.login("anna", code=each).status_code for each in (present, before)] == [401, 401]
    assert desk.login("anna", code=desk.code("anna", 1)).status_code == 200


def test_wrong_codes_lock_the_account_like_wrong_passwords(desk: Desk) -> None:
    desk.open("anna", factor=True)
    assert [desk.login("anna", code="000000").status_code for _ in range(6)] == [401] * 5 + [429]


def test_a_recovery_code_opens_once_and_only_its_digest_is_kept(desk: Desk) -> None:
    desk.open("anna")
    desk.login("anna")
    desk.secrets["anna"] = desk.ask("POST", "/v1/totp", {"password": PASSWORD}).json()["secret"]
    [first, second, *_] = desk.ask("POST", "/v1/totp/confirm", {"totp": desk.code("anna")}).json()["recovery_codes"]
    assert [desk.login("anna", code=each).status_code for each in (first, first, second.upper())] == [200, 401, 200]
    assert desk.node.rows("SELECT count(*), min(length(digest)) FROM recovery_codes") == [(8, 32)]


def test_another_authenticator_needs_the_present_code_and_a_role_that_must_have_one_keeps_it(desk: Desk) -> None:
    desk.open("root", "security-admin", factor=True)
    desk.login("root", code=desk.code("root"))
    desk.later(minutes=2)
    assert desk.ask("POST", "/v1/totp", {"password": PASSWORD}).json()["type"] == "/problems/totp-needed"
    proof = {"password": PASSWORD, "totp": desk.code("root")}
    assert desk.ask("POST", "/v1/totp/remove", proof).status_code == 409
    assert desk.ask("POST", "/v1/totp", proof).status_code == 200


def test_who_need_not_have_a_second_factor_may_give_it_up(desk: Desk) -> None:
    desk.open("anna", factor=True)
    desk.login("anna", code=desk.code("anna"))
    desk.later(minutes=2)
    assert desk.ask("POST", "/v1/totp/remove", {"password": PASSWORD, "totp": desk.code("anna")}).status_code == 204
    assert desk.login("anna").status_code == 200


# --- the vault ---


def test_a_secret_at_rest_is_not_the_secret(desk: Desk) -> None:
    desk.open("anna", factor=True)
    [(sealed,)] = desk.node.rows("SELECT totp FROM accounts WHERE account = 'anna'")
    assert desk.secrets["anna"].encode() not in bytes(sealed)
    with psycopg.connect(desk.node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE accounts SET totp = %s WHERE account = 'trader'", (sealed,))
    with pytest.raises(SettingsError):
        desk.vault.open(bytes(sealed), "totp:trader")


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = (Vault(Settings(home=tmp_path)) for _ in range(2))
    assert second.open(first.seal(b"x", "a"), "a") == b"x"
    assert first.seal(b"x", "a") != first.seal(b"x", "a")
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [KEY_FILE]


@pytest.mark.parametrize("fault", ["short", "readable", "another"])
def test_a_key_file_that_cannot_be_right_is_told_so(tmp_path: Path, fault: str) -> None:
    sealed, file = Vault(Settings(home=tmp_path)).seal(b"x", "a"), tmp_path / KEY_FILE
    if fault == "readable":
        file.chmod(0o644)
    else:
        file.write_bytes(b"k" * (32 if fault == "another" else 31))
    with pytest.raises(SettingsError, match=KEY_FILE):
        Vault(Settings(home=tmp_path)).open(sealed, "a")


@pytest.mark.parametrize("cut", [0, 1, 5, 13, 28])
def test_sealed_bytes_that_were_changed_do_not_open(tmp_path: Path, cut: int) -> None:
    vault = Vault(Settings(home=tmp_path))
    sealed = vault.seal(b"secret", "a")
    flipped = bytes([*sealed[:cut], sealed[cut] ^ 1, *sealed[cut + 1 :]])
    for each in (flipped, sealed[:cut]):
        with pytest.raises(SettingsError):
            vault.open(each, "a")
