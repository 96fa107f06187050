"""Revocation lists: read, tied to the CA that signed them, and asked about one card. RFC 5280, clause 5; times are UTC.

Only whole lists that an issuer makes of its own certificates are taken: no deltas, no lists on behalf of others. Of
several the newest counts. A list that is out of date no longer proves that a card is good; what it revoked stays so.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from api.login import sm2
from api.login.certificate import SIGNED_BY, SM2_WITH_SM3, Certificate
from api.login.faults import BadCertificate, refused

CRL_BYTES_MAX = 20_000_000
BEGIN, END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
UNDERSTOOD = {ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER}


class Crl(msgspec.Struct, frozen=True):
    """A list whose every part could be read."""

    raw: x509.CertificateRevocationList
    made_at: datetime
    until: datetime | None  # None: it does not say when the next one comes, so it is never fresh

    @property
    def der(self) -> bytes:
        return self.raw.public_bytes(Encoding.DER)


def read(data: bytes) -> list[Crl]:
    """Of DER, or of PEM with one list or several. Raises BadCertificate."""
    if BEGIN not in data:
        return [_parse(data, pem=False)]
    return [_parse(BEGIN + each.partition(END)[0] + END + b"\n", pem=True) for each in data.split(BEGIN)[1:]]


def _parse(data: bytes, *, pem: bool) -> Crl:
    try:
        if len(data) > CRL_BYTES_MAX:
            raise ValueError(f"it has more than {CRL_BYTES_MAX} bytes")  # noqa: TRY301 told in one way
        found = x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)
        if any(each.critical and each.oid not in UNDERSTOOD for each in found.extensions):
            raise ValueError("it is a delta, or made on behalf of others")  # noqa: TRY301
        found.issuer.rfc4514_string()
        return Crl(found, found.last_update_utc, found.next_update_utc)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        said = " ".join(str(error).split())[:120]
        raise BadCertificate(
            f"吊销列表无法读取：{said} / the revocation list cannot be read: {said}", what="crl"
        ) from error


def signed(crl: Crl, issuer: Certificate) -> bool:
    """Whether the issuer may make such lists and made this one."""
    listed = crl.raw
    if listed.issuer != issuer.raw.subject or listed.signature_algorithm_oid not in SIGNED_BY:
        return False
    if issuer.usage is not None and not issuer.usage.crl_sign:
        return False
    if isinstance(issuer.key, sm2.PublicKey):
        named = listed.signature_algorithm_oid == SM2_WITH_SM3
        return named and issuer.key.verify(listed.signature, listed.tbs_certlist_bytes)
    try:
        return listed.is_signature_valid(issuer.key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def check(each: Certificate, issuer: Certificate, crls: Sequence[Crl], at: datetime, *, required: bool) -> None:
    """That the issuer has not revoked it. Raises CardRefused; also without a fresh list, where one is `required`."""
    ours = sorted((crl for crl in crls if crl.made_at <= at and signed(crl, issuer)), key=lambda crl: crl.made_at)
    if any(crl.raw.get_revoked_certificate_by_serial_number(each.raw.serial_number) for crl in ours[-1:]):
        raise refused("revoked", each)
    if not required:
        return
    if not ours:
        raise refused("no-crl", each)
    until = ours[-1].until
    if until is None or until <= at:
        raise refused("stale-crl", each)
