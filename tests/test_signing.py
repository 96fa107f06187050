"""Signatures of pushed messages: Standard Webhooks' own library agrees, old and new key sign, nothing else passes."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some
from standardwebhooks import Webhook, WebhookVerificationError

from api.login.vault import Vault
from api.push import signing
from api.push.signing import Key, new_key, verify
from api.settings import Settings, SettingsError

BODY = '{"type":"fact","data":{"place":"上海"}}'.encode()


@given(some.binary(min_size=24, max_size=64), some.text(max_size=300), some.integers(1, 10**12))
def test_the_librarys_verifier_takes_what_we_sign_and_we_what_it_signs(secret: bytes, text: str, number: int) -> None:
    key, body, at = Key("v1", secret), text.encode(errors="replace"), datetime.now(UTC)
    said = signing.headers([key], f"msg_{number}", at, body)
    library = Webhook(key.shown)
    assert library.sign(f"msg_{number}", at, body.decode()) == said["webhook-signature"]
    if body:
        with pytest.raises(json.JSONDecodeError):  # verified, and then no JSON
            library.verify(b"{" + body[:0] + b"x", signing.headers([key], "msg_1", at, b"{x"))
    assert verify(key.shown, said, body)


def test_the_librarys_verifier_refuses_another_body() -> None:
    key = new_key("v1")
    said = signing.headers([key], "msg_1", datetime.now(UTC), BODY)
    assert Webhook(key.shown).verify(BODY, said) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(key.shown).verify(BODY + b" ", said)


def test_the_published_example_of_the_standard_comes_out() -> None:
    """The vector of Standard Webhooks' own documentation."""
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    said = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verify(key, said, body, now=datetime.fromtimestamp(1614265330, UTC))


@pytest.mark.parametrize("algorithm", ["v1", "v1a"])
def test_each_thing_that_is_signed_counts(algorithm: signing.Algorithm) -> None:
    now = datetime.now(UTC)
    key, other = new_key(algorithm), new_key(algorithm)
    said = signing.headers([key], "msg_1", now, BODY)
    assert verify(key.shown, said, BODY)
    assert not verify(other.shown, said, BODY)
    assert not verify(key.shown, said, BODY + b" ")
    assert not verify(key.shown, {**said, "webhook-id": "msg_2"}, BODY)
    assert not verify(key.shown, {**said, "webhook-timestamp": str(int(said["webhook-timestamp"]) - 1)}, BODY)
    assert not verify(key.shown, said, BODY, now=now + timedelta(minutes=6))
    assert not verify(key.shown, said, BODY, now=now - timedelta(minutes=6))
    for broken in ("", "v1", "v1,", "v1,x", "v1a,x", "v2,AAAA", "v1,,", said["webhook-signature"] + "é"):
        assert not verify(key.shown, {**said, "webhook-signature": broken}, BODY)


def test_while_a_key_is_changed_both_sign() -> None:
    now = datetime.now(UTC)
    old, new = new_key("v1"), new_key("v1a")
    said = signing.headers([new, old], "msg_1", now, BODY)
    assert [each.partition(",")[0] for each in said["webhook-signature"].split(" ")] == ["v1a", "v1"]
    assert verify(old.shown, said, BODY)
    assert verify(new.shown, said, BODY)
    assert Webhook(old.shown).verify(BODY.decode(), said) == json.loads(BODY)


def test_a_time_of_shanghai_is_signed_as_the_instant_that_it_is() -> None:
    now = datetime.now(UTC)
    from zoneinfo import ZoneInfo

    key = new_key("v1")
    there = now.astimezone(ZoneInfo("Asia/Shanghai"))
    assert signing.headers([key], "m", there, BODY) == signing.headers([key], "m", now, BODY)


def test_dcsas_header_signs_the_whole_body_under_the_subscribers_secret() -> None:
    subscription = uuid4()
    said = signing.dcsa_headers([Key("dcsa", b"k" * 32), Key("dcsa", b"o" * 32)], subscription, b"[]")
    assert said == {
        "Subscription-ID": str(subscription),
        "Notification-Signature": "sha256=3041b4cef0b1a3a8ef490a1a392481bb653c91a281e649d592dc0d50d2e9963b",
        "API-Version": "2.2.0",
    }


def test_a_key_is_not_told_by_its_text_and_opens_for_its_endpoint_alone(tmp_path: Path) -> None:
    vault, endpoint, key = Vault(Settings(home=tmp_path)), uuid4(), new_key("v1a")
    kept = signing.sealed(vault, key, endpoint)
    assert key.secret not in kept
    assert signing.opened(vault, "v1a", kept, endpoint) == key
    for algorithm, whose in (("v1a", uuid4()), ("v1", endpoint)):
        with pytest.raises(SettingsError):
            signing.opened(vault, algorithm, kept, whose)  # type: ignore[arg-type]
    assert b64encode(key.secret).decode() not in f"{key!r} {key} {[key]}"
