"""Whether a signed challenge lets a card in, and as which account. Everything is checked before anything is believed.

What is signed is `text`: a fixed context, the address of this node as it is published, and the nonce. So a signature
made for another node, or for another purpose, is worth nothing here. Times are UTC.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg

from api import supervise
from api.identity import Account
from api.login import algorithms, cards, certificate, crl
from api.login.algorithms import BadSignature, Signature, SignatureName
from api.login.cards import Ca, Rule
from api.login.certificate import Certificate
from api.login.faults import CardRefused, Fault, refused
from api.settings import Settings
from domain.errors import Malformed

CONTEXT = "kouan card login v1"
SIGNATURE_CHARS_MAX = 4096
ROLES_BY_RULE = ("enterprise", "enterprise-admin", "logistics")
"""A card of another role is registered by name."""
VOUCHED: frozenset[Fault] = frozenset(
    {"revoked", "no-crl", "stale-crl", "signature", "not-registered", "suspended", "account"}
)
"""Found only after a trusted CA has vouched for the card: nobody can make these up."""


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The chain is a PEM bundle or base64 DER one by one, the card first; the signature is base64."""

    challenge: UUID
    chain: str | list[str]
    signature: str
    algorithm: str


class Admitted(msgspec.Struct, frozen=True):
    account: Account
    card: Certificate
    ca: str


def origin_of(settings: Settings) -> str:
    """Where this node is reached, as its keeper says it; never as a request says it."""
    return settings.origin or supervise.address(settings)


def text(origin: str, nonce: bytes) -> bytes:
    """What a card signs: three lines, no line break at the end."""
    return f"{CONTEXT}\n{origin}\n{base64.b64encode(nonce).decode()}".encode()


def admit(connection: psycopg.Connection[Any], signed: Signed, origin: str, at: datetime) -> Admitted:
    """Raises CardRefused, or a Malformed for what cannot be read. The challenge is used up whatever comes."""
    nonce = cards.take(connection, signed.challenge, at)
    if nonce is None:
        raise refused("no-challenge")
    value = _decoded(signed.signature)
    chain = certificate.read(signed.chain)
    found, card = _vouched(connection, chain, at)
    try:
        algorithms.verify(Signature(cast("SignatureName", signed.algorithm), value), card.key, text(origin, nonce))
    except BadSignature as error:
        raise refused("signature", card) from error
    return Admitted(_account(connection, found, card), card, found.name)


def holds(connection: psycopg.Connection[Any], admitted: Admitted) -> bool:
    """Whether card and CA still stand, asked once the session is there: who suspends one ends the sessions he sees."""
    registered = cards.card_of(connection, admitted.card)
    return cards.ca(connection, admitted.ca).state == "trusted" and (registered is None or registered.state == "active")


def _decoded(signature: str) -> bytes:
    try:
        if len(signature) > SIGNATURE_CHARS_MAX:
            raise ValueError("too long")  # noqa: TRY301
        return base64.b64decode("".join(signature.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("signature 不是 base64 / signature is not base64", field="signature") from error


def _vouched(connection: psycopg.Connection[Any], chain: Sequence[Certificate], at: datetime) -> tuple[Ca, Certificate]:
    """The CA that vouches for the card by the shortest way. Raises CardRefused with what speaks against the last."""
    ways = [(found, found.anchor) for found in cards.cas(connection) if found.state == "trusted"]
    paths = [(certificate.path(chain, anchor), found, anchor) for found, anchor in ways]
    fault = refused("unknown-ca", chain[0])
    for below, found, anchor in sorted(paths, key=lambda each: len(each[0])):
        if not below:
            continue
        try:
            certificate.check(below, anchor, at)
            lists = cards.crls(connection, found)
            for issuer, each in zip([anchor, *below], below, strict=False):
                crl.check(each, issuer, lists, at, required=found.crl_required)
        except CardRefused as error:
            fault = error
        else:
            return found, chain[0]
    raise fault


BY_NAME = """
SELECT account, role, zh, en, party, rights FROM accounts WHERE account = %s AND state = 'open'
"""
BY_RULE = """
SELECT account, role, zh, en, party, rights
FROM accounts
WHERE account = %s AND party = %s AND state = 'open' AND role = ANY(%s)
"""


def _account(connection: psycopg.Connection[Any], found: Ca, card: Certificate) -> Account:
    registered = cards.card_of(connection, card)
    if registered is not None:
        if registered.spki_sha256 != card.spki_sha256:
            raise refused("not-registered", card)
        if registered.state != "active":
            raise refused("suspended", card)
        row = connection.execute(BY_NAME, (registered.account,)).fetchone()
    else:
        named = cards.named(card, msgspec.convert(found.rule, Rule)) if found.rule else None
        if named is None:
            raise refused("not-registered", card)
        party, account = named
        row = connection.execute(BY_RULE, (account, party, list(ROLES_BY_RULE))).fetchone()
    if row is None:
        raise refused("account" if registered is not None else "not-registered", card)
    name, role, zh, en, of_party, rights = row
    return Account(name, role, zh, en, of_party, tuple(rights), f"card:{card.serial}")
