"""The second factor: time-based one-time passwords (RFC 6238: SHA-1, 6 digits, 30 seconds), and recovery codes.

A code is taken at its own step or one beside it, and once: the newest step taken is kept, and nothing up to it is taken
again. The secret is sealed by the vault. Ten recovery codes are shown once, kept as SHA-256, and each opens once.
"""

import hmac
import secrets
from base64 import b32encode
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
import pyotp

from api.login.vault import Vault
from domain.errors import Malformed, Refused

STEP_SECONDS, DIGITS = 30, 6
RECOVERY_CODES, RECOVERY_BYTES = 10, 10
ISSUER = "Kouan"


class BadCode(Malformed):
    slug = "bad-code"
    title = "The code is not the present one"


class Enrolment(msgspec.Struct, frozen=True):
    """What goes into an authenticator; shown once."""

    secret: str  # base32
    uri: str  # otpauth://


# --- enrolling ---


def begin(connection: psycopg.Connection[Any], vault: Vault, account: str) -> Enrolment:
    """A new secret, which counts as soon as its first code is given."""
    secret = pyotp.random_base32()
    sealed = vault.seal(secret.encode(), f"totp:{account}")
    connection.execute("UPDATE accounts SET totp_next = %s WHERE account = %s", (sealed, account))
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER))


CONFIRM = """
UPDATE accounts SET totp = totp_next, totp_next = NULL, totp_step = %s WHERE account = %s AND totp_next = %s
"""


def confirm(connection: psycopg.Connection[Any], vault: Vault, account: str, code: str, now: datetime) -> list[str]:
    """The new secret counts from here on. Returns the recovery codes. Raises BadCode, or Refused if none was begun."""
    row = connection.execute("SELECT totp_next FROM accounts WHERE account = %s", (account,)).fetchone()
    if row is None or row[0] is None:
        raise Refused("尚未开始启用动态口令 / no second factor is being enrolled: ask for a secret first")
    step = _step(vault.open(row[0], f"totp:{account}").decode(), code, now)
    if step is None:
        raise BadCode("动态口令不对：请核对时钟后再输入 / that is not the present code: check the clock and try again")
    codes = [b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    with connection.transaction():
        if not connection.execute(CONFIRM, (step, account, row[0])).rowcount:
            raise Refused("另一次启用已经开始 / another enrolment has begun meanwhile")
        connection.execute("DELETE FROM recovery_codes WHERE account = %s", (account,))
        for each in codes:
            connection.execute("INSERT INTO recovery_codes VALUES (%s, %s)", (account, _digest(each)))
    return codes


def remove(connection: psycopg.Connection[Any], account: str) -> None:
    """Without a second factor from here on."""
    connection.execute("UPDATE accounts SET totp = NULL, totp_next = NULL WHERE account = %s", (account,))
    connection.execute("DELETE FROM recovery_codes WHERE account = %s", (account,))


# --- taking a code ---

TAKE = """
UPDATE accounts SET totp_step = %s WHERE account = %s AND totp_step < %s
"""


def accept(connection: psycopg.Connection[Any], vault: Vault, account: str, code: str, now: datetime) -> bool:
    """Whether a code, or a recovery code, opens now. It does not open again."""
    row = connection.execute("SELECT totp FROM accounts WHERE account = %s", (account,)).fetchone()
    if row is None or row[0] is None:
        return False
    plain = "".join(code.split()).lower()
    if len(plain) != DIGITS:
        gone = connection.execute(
            "DELETE FROM recovery_codes WHERE account = %s AND digest = %s", (account, _digest(plain))
        )
        return gone.rowcount == 1
    step = _step(vault.open(row[0], f"totp:{account}").decode(), plain, now)
    return step is not None and connection.execute(TAKE, (step, account, step)).rowcount == 1


def _step(secret: str, code: str, now: datetime) -> int | None:
    """The step whose code this is: now's, the one before, the one after."""
    present = int(now.timestamp()) // STEP_SECONDS
    made, found, given = pyotp.TOTP(secret), None, "".join(code.split()).encode("utf-8", "replace")
    for step in (present - 1, present, present + 1):
        if hmac.compare_digest(made.generate_otp(step).encode(), given):
            found = step
    return found


def _digest(code: str) -> bytes:
    return sha256(code.encode("utf-8", "replace")).digest()
