"""CAs, cards and revocation lists for tests, minted as a CA would; every part can be made wrong by an argument."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
USCC = "91320000MA1ABCDE0X"
SIGNING = {"digital_signature"}
ISSUING = {"key_cert_sign", "crl_sign"}
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Holder:
    """A certificate and its private key."""

    def __init__(self, certificate: x509.Certificate, key: Any) -> None:
        self.certificate, self.key = certificate, key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:X}"


def name(common: str, **more: str) -> x509.Name:
    oids = {"O": NameOID.ORGANIZATION_NAME, "ORGID": NameOID.ORGANIZATION_IDENTIFIER, "UID": NameOID.USER_ID}
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    return x509.Name(parts + [x509.NameAttribute(oids[key], value) for key, value in more.items()])


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in names for each in USAGES})


def mint(
    subject: x509.Name,
    by: Holder | None = None,
    *,
    key: Any = None,
    ca: bool = False,
    below_max: int | None = None,
    usages: set[str] | None = None,
    since: datetime = NOW - DAY,
    until: datetime = NOW + 30 * DAY,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer: x509.Name | None = None,
    serial: int | None = None,
) -> Holder:
    """A certificate by `by`, or self-signed. `usages`: an empty set leaves the extension out."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = by.key if by else key
    issuer = issuer or (by.certificate.subject if by else subject)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=below_max), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    usages = (ISSUING if ca else SIGNING) if usages is None else usages
    for extension, critical in [*([(usage(*usages), True)] if usages else []), *extra]:
        made = made.add_extension(extension, critical=critical)
    return Holder(made.sign(signer, algorithm_for(signer)), key)


def algorithm_for(key: Any) -> Any:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def crl(
    by: Holder,
    *revoked: Holder,
    made_at: datetime = NOW - timedelta(hours=1),
    until: datetime = NOW + DAY,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A list in PEM."""
    made = x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject)
    made = made.last_update(made_at).next_update(until).add_extension(x509.CRLNumber(1), critical=False)
    for extension, critical in extra:
        made = made.add_extension(extension, critical=critical)
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
        made = made.add_revoked_certificate(entry.revocation_date(made_at).build())
    return made.sign(by.key, algorithm_for(by.key)).public_bytes(Encoding.PEM)


# --- SM2, which the library cannot sign with ---

CONFIG = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
[card]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
"""
SM2 = ("-sm3", "-sigopt", "distid:1234567812345678")


def openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this openssl knows no SM2: {done.stderr[:200]}")


def sm2_pair(folder: Path) -> tuple[str, str]:
    """A card and its CA in PEM; the card's key is in `card.key`."""
    (folder / "c.cnf").write_text(CONFIG)
    for each in ("ca", "card"):
        openssl(folder, "ecparam", "-genkey", "-name", "SM2", "-noout", "-out", f"{each}.key")
    req = ("req", "-new", "-config", "c.cnf", *SM2)
    openssl(folder, *req, "-x509", "-key", "ca.key", "-subj", "/CN=CA", "-extensions", "ca", "-out", "ca.pem")
    openssl(folder, *req, "-key", "card.key", "-subj", "/CN=Card", "-out", "card.csr")
    sign = ("x509", "-req", "-in", "card.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7", "-days", "9")
    verify = ("-vfyopt", "distid:1234567812345678", "-extfile", "c.cnf", "-extensions", "card", "-out", "card.pem")
    openssl(folder, *sign, *SM2, *verify)
    return (folder / "card.pem").read_text(), (folder / "ca.pem").read_text()
