"""Certificates of cards: read as they come, and checked up to a CA that this node trusts.

The rules are those of RFC 5280, clause 6, cut to what a card needs: each link signed by the next, all of them valid
now, only CAs above the card, path length, key usage for signing, no critical extension that is not understood, and
none revoked (api/login/crl.py). It is checked from the trusted CA downwards, so no key is used that nobody vouched for.
One set of rules serves RSA, ECDSA, Ed25519 and SM2; tests compare it with `cryptography.x509.verification`, which knows
neither of the last two. Times are UTC.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar, cast

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier, SignatureAlgorithmOID

from api.login import algorithms, sm2
from api.login.algorithms import PublicKey
from api.login.faults import BadCertificate, refused

Kind = TypeVar("Kind", bound=x509.ExtensionType)
CHAIN_MAX, CERTIFICATE_BYTES_MAX = 6, 16_384
PEM_MARK = "-----BEGIN"
EC_KEY = ObjectIdentifier("1.2.840.10045.2.1")
SM2_WITH_SM3 = ObjectIdentifier("1.2.156.10197.1.501")
SIGNED_BY = {  # anything on SHA-1 or MD5 can be forged
    SignatureAlgorithmOID.ED25519,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512,
    SignatureAlgorithmOID.RSASSA_PSS,
    SM2_WITH_SM3,
}
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,  # any policy will do
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,  # nothing is taken from it
}
PURPOSES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class Certificate(msgspec.Struct, frozen=True):
    """A certificate whose every part could be read."""

    raw: x509.Certificate
    der: bytes
    spki: bytes
    key: PublicKey
    usage: x509.KeyUsage | None  # None: it does not say
    ca: bool
    below_max: int | None  # of a CA: how many CAs there may be below it; None: any number

    @property
    def subject(self) -> str:
        return self.raw.subject.rfc4514_string()

    @property
    def issuer(self) -> str:
        return self.raw.issuer.rfc4514_string()

    @property
    def serial(self) -> str:
        """In hexadecimal, as openssl prints it."""
        return f"{self.raw.serial_number:X}"

    @property
    def spki_sha256(self) -> bytes:
        return sha256(self.spki).digest()

    @property
    def pem(self) -> str:
        return self.raw.public_bytes(Encoding.PEM).decode()


# --- reading ---


def read(chain: str | Sequence[str]) -> list[Certificate]:
    """Of a PEM bundle, or of base64 DER one by one; the card first. Raises BadCertificate, UnknownAlgorithm."""
    try:
        ders = _of_pem(chain) if isinstance(chain, str) and PEM_MARK in chain else _of_base64(chain)
    except (binascii.Error, ValueError) as error:
        raise BadCertificate("证书不是有效的 PEM 或 base64 DER / the chain is neither PEM nor base64 DER") from error
    if not 0 < len(ders) <= CHAIN_MAX or any(len(der) > CERTIFICATE_BYTES_MAX for der in ders):
        raise BadCertificate(
            f"证书链须为 1 至 {CHAIN_MAX} 张证书，每张至多 {CERTIFICATE_BYTES_MAX} 字节 / "
            f"a chain has 1 to {CHAIN_MAX} certificates of at most {CERTIFICATE_BYTES_MAX} bytes",
            certificates=len(ders),
        )
    return [parse(der, index) for index, der in enumerate(ders)]


def _of_pem(text: str) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(text.encode())]


def _of_base64(chain: str | Sequence[str]) -> list[bytes]:
    items = [chain] if isinstance(chain, str) else chain
    return [base64.b64decode("".join(item.split()), validate=True) for item in items]


def parse(der: bytes, index: int = 0) -> Certificate:
    """One certificate. Raises BadCertificate; UnknownAlgorithm for a key of another kind. `index` is told with them."""
    try:
        found = x509.load_der_x509_certificate(der)
        if found.version is not x509.Version.v3:
            raise ValueError("it is not of version 3")  # noqa: TRY301 whatever cannot be read is told in one way
        outer, inner, spki = _parts(found)
        if outer != inner:
            raise ValueError("it names two signature algorithms")  # noqa: TRY301
        _names(found)
        basic = _extension(found, x509.BasicConstraints)
        usage = _extension(found, x509.KeyUsage)
        key = _key(found, spki)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        said = " ".join(str(error).split())[:120]
        raise BadCertificate(
            f"第 {index + 1} 张证书无法读取：{said} / certificate {index + 1} cannot be read: {said}", index=index
        ) from error
    ca = basic is not None and basic.ca
    return Certificate(found, der, spki, key, usage, ca, basic.path_length if basic else None)


def _names(found: x509.Certificate) -> None:
    """Read now what is read lazily: a name, a time or an extension that cannot be understood is told here."""
    found.subject.rfc4514_string()
    found.issuer.rfc4514_string()
    assert found.not_valid_before_utc.tzinfo is found.not_valid_after_utc.tzinfo
    assert found.extensions is not None
    if "\x00" in found.subject.rfc4514_string() + found.issuer.rfc4514_string():
        raise ValueError("a name holds a NUL character")


def _key(found: x509.Certificate, spki: bytes) -> PublicKey:
    if found.public_key_algorithm_oid == EC_KEY:
        national = sm2.from_spki(spki)
        if national is not None:
            return national
    key = found.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and algorithms.RSA_BITS_MIN <= key.key_size <= algorithms.RSA_BITS_MAX:
        return key
    raise ValueError("its key is of a kind or size that is not taken")


def _extension(found: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _parts(found: x509.Certificate) -> tuple[bytes, bytes, bytes]:
    """The signature algorithm as told outside and inside, and the SubjectPublicKeyInfo, all in DER.

    The library can read a certificate with an SM2 key, but not hand out that key.
    """
    outer = elements(found.public_bytes(Encoding.DER))[1]
    inner = elements(found.tbs_certificate_bytes)  # version, serial, algorithm, issuer, validity, subject, key, ...
    return outer, inner[2], inner[6]


def elements(sequence: bytes) -> list[bytes]:
    """The elements of a DER sequence that has been read by a strict reader before."""
    found = []
    at, end = _header(sequence, 0)
    while at < end:
        _, after = _header(sequence, at)
        found.append(sequence[at:after])
        at = after
    return found


def _header(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return start, start + length


# --- checking ---


def path(chain: Sequence[Certificate], anchor: Certificate) -> list[Certificate]:
    """What lies below the CA, its child first and the card last; empty if it issued none of them.

    What was sent beyond that child, such as the CA itself, is not looked at.
    """
    found = (index for index, each in enumerate(chain) if issued(each, anchor))
    child = next(found, None)
    return [] if child is None else list(reversed(chain[: child + 1]))


def check(below: Sequence[Certificate], anchor: Certificate, at: datetime) -> None:
    """All but revocation. Raises CardRefused with the first fault, from the CA downwards."""
    assert below
    check_valid(anchor, at)
    check_issuer(anchor)
    issuer, room = anchor, anchor.below_max
    for each in below[:-1]:
        _check_link(each, issuer, at)
        check_issuer(each)
        if each.raw.subject != each.raw.issuer:
            if room == 0:
                raise refused("path-length", each)
            room = None if room is None else room - 1
        if each.below_max is not None:
            room = each.below_max if room is None else min(room, each.below_max)
        issuer = each
    card = below[-1]
    _check_link(card, issuer, at)
    if card.ca:
        raise refused("not-a-card", card)
    if card.usage is None or not card.usage.digital_signature:
        raise refused("key-usage", card)


def check_issuer(ca: Certificate) -> None:
    """That it may sign certificates. Raises CardRefused."""
    if not ca.ca:
        raise refused("not-a-ca", ca)
    if ca.usage is not None and not ca.usage.key_cert_sign:  # most roots made by hand do not say it
        raise refused("key-usage", ca)
    _check_extensions(ca)


def check_valid(certificate: Certificate, at: datetime) -> None:
    """That it is valid then. Raises CardRefused."""
    if at < certificate.raw.not_valid_before_utc:
        raise refused("not-yet-valid", certificate)
    if at > certificate.raw.not_valid_after_utc:
        raise refused("expired", certificate)


def issued(each: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer bears that name and signed it, by an algorithm that is taken."""
    if each.raw.issuer != issuer.raw.subject or each.raw.signature_algorithm_oid not in SIGNED_BY:
        return False
    if isinstance(issuer.key, sm2.PublicKey):
        signed = each.raw.signature_algorithm_oid == SM2_WITH_SM3
        return signed and issuer.key.verify(each.raw.signature, each.raw.tbs_certificate_bytes)
    try:
        each.raw.verify_directly_issued_by(issuer.raw)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _check_link(each: Certificate, issuer: Certificate, at: datetime) -> None:
    if not issued(each, issuer):
        raise refused("not-issued", each)
    check_valid(each, at)
    _check_extensions(each)


def _check_extensions(certificate: Certificate) -> None:
    """Name constraints are not understood here, so a CA that has some vouches for nobody."""
    found = certificate.raw.extensions
    if any(
        (each.critical and each.oid not in UNDERSTOOD) or each.oid == ExtensionOID.NAME_CONSTRAINTS for each in found
    ):
        raise refused("extension", certificate)
    purposes = _extension(certificate.raw, x509.ExtendedKeyUsage)
    if purposes is not None and not PURPOSES & set(cast("Sequence[ObjectIdentifier]", purposes)):
        raise refused("key-usage", certificate)
