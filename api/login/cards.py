"""What this node keeps of cards: CAs it trusts, their revocation lists, cards registered by name, open challenges.

Plain SQL on one connection each; nothing here decides who may do it (api/login/card_routes.py, ca_routes.py). UTC.
"""

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
import psycopg
from cryptography.x509.oid import NameOID
from psycopg.rows import class_row

from api.login import certificate, crl
from api.login.certificate import Certificate
from api.login.crl import Crl
from api.login.faults import BadCertificate, CardTaken, OlderCrl
from domain.errors import Malformed, Unknown

log = logging.getLogger("kouan.cards")

NONCE_BYTES, CHALLENGE = 32, timedelta(minutes=2)
NAME_CHARS_MAX, PREFIX_CHARS_MAX = 64, 32

Field = Literal["O", "OU", "CN", "organizationIdentifier", "serialNumber", "UID"]
FIELDS = {
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "UID": NameOID.USER_ID,
}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where in a card's subject the party (USCC) and the account stand; what precedes them there is cut off."""

    party: Field
    operator: Field
    party_prefix: str = ""
    operator_prefix: str = ""


class Ca(msgspec.Struct, frozen=True):
    name: str
    pem: str
    subject: str
    crl_required: bool
    crl_file: str
    rule: dict[str, Any] | None
    state: str
    added_by: str
    added_at: datetime

    @property
    def anchor(self) -> Certificate:
        return certificate.read(self.pem)[0]


class Card(msgspec.Struct, frozen=True):
    card_id: UUID
    issuer: str
    serial: str
    spki_sha256: bytes
    subject: str
    account: str
    state: str
    registered_by: str
    registered_at: datetime
    changed_by: str
    changed_at: datetime


# --- challenges ---


class Challenge(msgspec.Struct, frozen=True):
    challenge: UUID
    nonce: bytes
    expires_at: datetime


def challenge(connection: psycopg.Connection[Any], at: datetime) -> Challenge:
    """A new one; those that are over are swept by the way."""
    made = Challenge(uuid4(), secrets.token_bytes(NONCE_BYTES), at + CHALLENGE)
    with connection.transaction():
        connection.execute("DELETE FROM card_challenges WHERE expires_at <= %s", (at,))
        connection.execute(
            "INSERT INTO card_challenges VALUES (%s, %s, %s)", (made.challenge, made.nonce, made.expires_at)
        )
    return made


def take(connection: psycopg.Connection[Any], number: UUID, at: datetime) -> bytes | None:
    """The nonce, once; None if there is no such challenge, it was taken before, or it is over."""
    row = connection.execute(
        "DELETE FROM card_challenges WHERE challenge = %s RETURNING nonce, expires_at", (number,)
    ).fetchone()
    return bytes(row[0]) if row and at < row[1] else None


# --- CAs ---

CA = """
SELECT name, pem, subject, crl_required, crl_file, rule, state, added_by, added_at
FROM trusted_cas
"""
ADD_CA = """
INSERT INTO trusted_cas (name, pem, spki_sha256, subject, crl_required, crl_file, rule, added_by, added_at)
VALUES (%(name)s, %(pem)s, %(spki_sha256)s, %(subject)s, %(crl_required)s, %(crl_file)s, %(rule)s, %(by)s, %(at)s)
ON CONFLICT DO NOTHING
RETURNING name
"""


def cas(connection: psycopg.Connection[Any]) -> list[Ca]:
    """All of them, by name."""
    with connection.cursor(row_factory=class_row(Ca)) as cursor:
        return cursor.execute(CA + "ORDER BY name").fetchall()


def ca(connection: psycopg.Connection[Any], name: str) -> Ca:
    """Raises Unknown."""
    with connection.cursor(row_factory=class_row(Ca)) as cursor:
        found = cursor.execute(CA + "WHERE name = %s", (name,)).fetchone()
    if found is None:
        raise Unknown(f"没有登记名为 {name[:64]} 的 CA / no CA is registered as {name[:64]}", name=name[:64])
    return found


def add_ca(
    connection: psycopg.Connection[Any],
    name: str,
    pem: str,
    *,
    by: str,
    at: datetime,
    crl_required: bool = True,
    crl_file: str = "",
    rule: Rule | None = None,
) -> Ca:
    """Trust a CA. Raises BadCertificate, CardRefused if it is none or not valid, CardTaken."""
    if not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and "/" not in name):
        raise Malformed(
            f"CA 名称须为 1 至 {NAME_CHARS_MAX} 个可打印字符，不含 / / a CA has a name of 1 to {NAME_CHARS_MAX} "
            "printable characters without a slash",
            field="name",
        )
    [anchor, *others] = certificate.read(pem)
    if others:
        raise BadCertificate("每次登记一张 CA 证书 / send one certificate at a time", certificates=1 + len(others))
    certificate.check_issuer(anchor)
    certificate.check_valid(anchor, at)
    given: dict[str, object] = {
        "name": name,
        "pem": anchor.pem,
        "spki_sha256": anchor.spki_sha256,
        "subject": anchor.subject,
        "by": by,
    }
    kept = None if rule is None else msgspec.json.encode(rule).decode()
    given |= {"at": at, "crl_required": crl_required, "crl_file": crl_file, "rule": kept}
    if connection.execute(ADD_CA, given).fetchone() is None:
        raise CardTaken(
            f"此名称 {name} 或此 CA 的密钥已登记 / {name}, or the key of this CA, is registered already", name=name
        )
    return ca(connection, name)


def set_ca_state(connection: psycopg.Connection[Any], name: str, state: Literal["trusted", "suspended"]) -> Ca:
    """Suspending one ends what was signed in by any card: whoever has a good one signs in again. Raises Unknown."""
    found = ca(connection, name)
    with connection.transaction():
        connection.execute("UPDATE trusted_cas SET state = %s WHERE name = %s", (state, found.name))
        if state == "suspended":
            connection.execute("DELETE FROM sessions WHERE starts_with(credential, 'card:')")
    return ca(connection, name)


# --- revocation lists ---

TAKE_CRL = """
INSERT INTO ca_crls (ca, spki_sha256, issuer, der, made_at, until, taken_by, taken_at)
VALUES (%(ca)s, %(spki_sha256)s, %(issuer)s, %(der)s, %(made_at)s, %(until)s, %(by)s, %(at)s)
ON CONFLICT (ca, spki_sha256) DO UPDATE
SET der = excluded.der, made_at = excluded.made_at, until = excluded.until,
    taken_by = excluded.taken_by, taken_at = excluded.taken_at
WHERE ca_crls.made_at <= excluded.made_at
RETURNING ca
"""
CARD_SESSIONS = "SELECT DISTINCT credential FROM sessions WHERE starts_with(credential, 'card:')"


def take_crls(connection: psycopg.Connection[Any], found: Ca, data: bytes, *, by: str, at: datetime) -> list[Crl]:
    """Lists of a CA or, with their certificates in the same PEM, of CAs below it; sessions of revoked cards end.

    Raises BadCertificate if nobody known here signed one, OlderCrl.
    """
    issuers = _issuers(found.anchor, data, at)
    lists = crl.read(data)
    with connection.transaction():
        for each in lists:
            issuer = next((issuer for issuer in issuers if crl.signed(each, issuer)), None)
            if issuer is None or each.made_at > at:
                raise BadCertificate(
                    "吊销列表不是由此 CA（或同一 PEM 中其下级 CA）签发的，或日期在将来 / the list was not signed by "
                    "this CA, nor by one below it whose certificate is in the same PEM, or it is of the future",
                    issuer=each.raw.issuer.rfc4514_string(),
                )
            given: dict[str, object] = {
                "ca": found.name,
                "spki_sha256": issuer.spki_sha256,
                "issuer": issuer.subject,
                "der": each.der,
            }
            given |= {"made_at": each.made_at, "until": each.until, "by": by, "at": at}
            if connection.execute(TAKE_CRL, given).fetchone() is None:
                raise OlderCrl(
                    f"已有 {issuer.subject} 更新的吊销列表 / a newer list of {issuer.subject} is here",
                    issuer=issuer.subject,
                    made_at=each.made_at.isoformat(),
                )
            _end_revoked(connection, each)
    return lists


def _issuers(anchor: Certificate, data: bytes, at: datetime) -> list[Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in data:
        return [anchor]
    sent = certificate.read(data.decode("ascii", "replace"))
    known = [anchor]
    for _ in sent:
        for each in sent:
            if each not in known and any(certificate.issued(each, above) for above in known):
                certificate.check_issuer(each)
                certificate.check_valid(each, at)
                known.append(each)
    return known


def _end_revoked(connection: psycopg.Connection[Any], listed: Crl) -> None:
    for (credential,) in connection.execute(CARD_SESSIONS).fetchall():
        serial = int(credential.removeprefix("card:"), 16)
        if listed.raw.get_revoked_certificate_by_serial_number(serial):
            connection.execute("DELETE FROM sessions WHERE credential = %s", (credential,))


def crls(connection: psycopg.Connection[Any], found: Ca) -> list[Crl]:
    """Those uploaded, and those of the file where one was named. A file that cannot be read counts as none."""
    rows = connection.execute("SELECT der FROM ca_crls WHERE ca = %s", (found.name,)).fetchall()
    kept = [each for (der,) in rows for each in crl.read(bytes(der))]
    if found.crl_file:
        file = Path(found.crl_file)
        try:
            if file.stat().st_size <= crl.CRL_BYTES_MAX:
                kept += crl.read(file.read_bytes())
        except (OSError, BadCertificate) as error:
            log.warning("%s: 吊销列表文件无法使用 / the revocation list cannot be used: %s", file, error)
    return kept


# --- cards ---

CARD = """
SELECT card_id, issuer, serial, spki_sha256, subject, account, state, registered_by, registered_at, changed_by,
       changed_at
FROM cards
"""
REGISTER = """
INSERT INTO cards VALUES (%(card_id)s, %(issuer)s, %(serial)s, %(spki_sha256)s, %(subject)s, %(account)s, 'active',
                          %(by)s, %(at)s, %(by)s, %(at)s)
ON CONFLICT (issuer, serial) DO NOTHING
RETURNING card_id
"""
SET_STATE = """
UPDATE cards SET state = %(state)s, changed_by = %(by)s, changed_at = %(at)s WHERE card_id = %(card_id)s
"""
END_SESSIONS = """
DELETE FROM sessions WHERE credential = %s AND account = %s
"""


def card_of(connection: psycopg.Connection[Any], shown: Certificate) -> Card | None:
    """The registered card of this issuer and serial, whatever its state and key."""
    with connection.cursor(row_factory=class_row(Card)) as cursor:
        return cursor.execute(CARD + "WHERE issuer = %s AND serial = %s", (shown.issuer, shown.serial)).fetchone()


def cards(connection: psycopg.Connection[Any], accounts: Sequence[str]) -> list[Card]:
    """Those of these accounts, in the order of registration."""
    with connection.cursor(row_factory=class_row(Card)) as cursor:
        query = CARD + "WHERE account = ANY(%s) ORDER BY registered_at, card_id"
        return cursor.execute(query, (list(accounts),)).fetchall()


def card(connection: psycopg.Connection[Any], card_id: UUID) -> Card | None:
    with connection.cursor(row_factory=class_row(Card)) as cursor:
        return cursor.execute(CARD + "WHERE card_id = %s", (card_id,)).fetchone()


def register(connection: psycopg.Connection[Any], shown: Certificate, account: str, *, by: str, at: datetime) -> Card:
    """A card of an account; once more for the same one changes nothing. Raises CardTaken."""
    given: dict[str, object] = {
        "card_id": uuid4(),
        "issuer": shown.issuer,
        "serial": shown.serial,
        "spki_sha256": shown.spki_sha256,
    }
    given |= {"subject": shown.subject, "account": account, "by": by, "at": at}
    connection.execute(REGISTER, given)
    found = card_of(connection, shown)
    assert found is not None
    if (found.account, found.spki_sha256) != (account, shown.spki_sha256):
        raise CardTaken("此卡已登记给其他账户 / the card is registered to another account", serial=shown.serial)
    return found


def set_state(
    connection: psycopg.Connection[Any], found: Card, state: Literal["active", "suspended"], *, by: str, at: datetime
) -> Card:
    """Suspending a card ends the sessions it opened."""
    with connection.transaction():
        connection.execute(SET_STATE, {"state": state, "by": by, "at": at, "card_id": found.card_id})
        if state == "suspended":
            connection.execute(END_SESSIONS, (f"card:{found.serial}", found.account))
    return msgspec.structs.replace(found, state=state, changed_by=by, changed_at=at)


def named(shown: Certificate, rule: Rule) -> tuple[str, str] | None:
    """(party, account) as the rule reads the subject; None if one is missing, there twice, or without its prefix."""
    told = []
    for field, prefix in ((rule.party, rule.party_prefix), (rule.operator, rule.operator_prefix)):
        values = [str(each.value) for each in shown.raw.subject.get_attributes_for_oid(FIELDS[field])]
        if len(values) != 1 or not values[0].startswith(prefix) or values[0] == prefix:
            return None
        told.append(values[0].removeprefix(prefix))
    return told[0], told[1]
