"""Signatures by which a receiver knows that a message is ours: Standard Webhooks 1.0.0, and DCSA's beside it.

What is signed are the bytes `ID.SECONDS.BODY`: the seconds are those of the attempt, so an old message cannot be sent
again by another. `v1` is HMAC-SHA256 under a secret of both (`whsec_…`), `v1a` Ed25519: the receiver has the public key
(`whpk_…`), and nothing of his can be stolen. A DCSA subscription's secret signs as `v1`, and the whole body alone as
DCSA wants it (`Notification-Signature: sha256=HEX`). While a key is being changed, two sign.
Source: Standard Webhooks 1.0.0; DCSA Track & Trace 2.2.0 and its reference implementation (DCSA-Event-Core).
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from api.login.vault import Vault

Algorithm = Literal["v1", "v1a", "dcsa"]
SECRET, PUBLIC = "whsec_", "whpk_"
SECRET_BYTES = 32
DCSA_VERSION = "2.2.0"
TOLERANCE = timedelta(minutes=5)  # between the clocks of sender and receiver


class Key(msgspec.Struct, frozen=True):
    """A key of one endpoint. `secret`: bytes of the HMAC, or Ed25519's private 32. Keep it out of logs."""

    algorithm: Algorithm
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.algorithm})"

    __str__ = __repr__

    @property
    def shown(self) -> str:
        """What the receiver verifies with: `whsec_…`, to be shown once, or `whpk_…`, which is no secret."""
        if self.algorithm == "v1a":
            return PUBLIC + b64encode(_private(self.secret).public_key().public_bytes_raw()).decode()
        return SECRET + b64encode(self.secret).decode()

    @property
    def public(self) -> str:
        """`whpk_…`; "" of a key that is a secret of both."""
        return self.shown if self.algorithm == "v1a" else ""


def new_key(algorithm: Algorithm) -> Key:
    """A key of chance."""
    return Key(algorithm, secrets.token_bytes(SECRET_BYTES))


# --- keeping ---


def sealed(vault: Vault, key: Key, endpoint_id: UUID) -> bytes:
    """As it is kept: only this node's vault opens it, and only as a key of this endpoint."""
    return vault.seal(key.secret, _about(key.algorithm, endpoint_id))


def opened(vault: Vault, algorithm: Algorithm, kept: bytes, endpoint_id: UUID) -> Key:
    """Raises SettingsError where this node's vault did not seal it."""
    return Key(algorithm, vault.open(kept, _about(algorithm, endpoint_id)))


def _about(algorithm: Algorithm, endpoint_id: UUID) -> str:
    return f"push:{algorithm}:{endpoint_id}"


# --- signing ---


def headers(keys: Sequence[Key], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks. `at`: of this attempt."""
    signature = sign(keys, message_id, at, body)
    return {"webhook-id": message_id, "webhook-timestamp": str(_seconds(at)), "webhook-signature": signature}


def sign(keys: Sequence[Key], message_id: str, at: datetime, body: bytes) -> str:
    """The value of `webhook-signature`: one signature by each key, apart by spaces.

    >>> sign([Key("v1", bytes(32))], "msg_1", datetime(2026, 1, 1, tzinfo=UTC), b"{}")
    'v1,a4H3AxrCEOcqsZANsKIJZxUJ0TqkxUMn2LFsDhZS9Is='
    """
    content = _content(message_id, _seconds(at), body)
    return " ".join(_signature(key, content) for key in keys)


def dcsa_headers(keys: Sequence[Key], subscription_id: UUID, body: bytes) -> dict[str, str]:
    """What DCSA wants beside them: the newest of the subscriber's secrets signs, for there is room for one."""
    secret = next(key.secret for key in keys if key.algorithm == "dcsa")
    return {
        "Subscription-ID": str(subscription_id),
        "Notification-Signature": f"sha256={hmac.digest(secret, body, 'sha256').hex()}",
        "API-Version": DCSA_VERSION,
    }


def _seconds(at: datetime) -> int:
    assert at.tzinfo is not None, "a time without a zone would be signed hours off"
    return int(at.timestamp())


def _content(message_id: str, seconds: int, body: bytes) -> bytes:
    assert "." not in message_id, "a point would let one message pass for another"
    return f"{message_id}.{seconds}.".encode() + body


def _signature(key: Key, content: bytes) -> str:
    if key.algorithm == "v1a":
        return "v1a," + b64encode(_private(key.secret).sign(content)).decode()
    return "v1," + b64encode(hmac.digest(key.secret, content, sha256)).decode()


@lru_cache(maxsize=10_000)
def _private(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret)


# --- verifying, as a receiver does ---


def verify(shown: str, said: Mapping[str, str], body: bytes, *, now: datetime | None = None) -> bool:
    """Whether one of the signatures is by this key (`whsec_…` or `whpk_…`), and made within five minutes of `now`.

    `said`: the headers, by their names in small letters.
    """
    message_id, stamp = said.get("webhook-id", ""), said.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit()) or "." in message_id:
        return False
    if abs((now or datetime.now(UTC)).timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        return False
    content = f"{message_id}.{stamp}.".encode() + body
    return any(_signed(shown, each, content) for each in said.get("webhook-signature", "").split())


def _signed(shown: str, signature: str, content: bytes) -> bool:
    version, _, value = signature.partition(",")
    with suppress(ValueError, InvalidSignature):
        if version == "v1" and shown.startswith(SECRET):
            key = b64decode(shown.removeprefix(SECRET), validate=True)
            return hmac.compare_digest(hmac.digest(key, content, sha256), b64decode(value, validate=True))
        if version == "v1a" and shown.startswith(PUBLIC):
            public = Ed25519PublicKey.from_public_bytes(b64decode(shown.removeprefix(PUBLIC), validate=True))
            public.verify(b64decode(value, validate=True), content)
            return True
    return False
