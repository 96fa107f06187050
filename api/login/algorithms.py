"""Digests and signatures that name their algorithm, so that an old record can be checked when the fashion has changed.

Digests: sha256 (FIPS 180-4) and sm3 (GB/T 32905). Signatures: ed25519 (RFC 8032), ecdsa-p256-sha256 (FIPS 186-5, DER),
rsa-pss-sha256 (RFC 8017, salt of 32 bytes), rsa-pkcs1-sha256 (verified only, for cards that know nothing else), and
sm2-sm3 (GB/T 32918) where gmssl-pyx is installed. A name fits one kind of key: a signature cannot pick another one.
"""

import hashlib
import hmac
from typing import Literal, get_args

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from api.login import sm2
from domain.errors import Malformed

DigestName = Literal["sha256", "sm3"]
SignatureName = Literal["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha256", "rsa-pkcs1-sha256", "sm2-sm3"]
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey | sm2.PublicKey
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | sm2.PrivateKey

DIGEST_BYTES = 32  # both of them
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192
"""Smaller ones can be broken; a larger one is made to keep a server busy."""
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), DIGEST_BYTES)


class UnknownAlgorithm(Malformed):
    """No such algorithm, or this machine has not got it."""

    slug = "unknown-algorithm"
    title = "The algorithm is not known here"


class BadSignature(Malformed):
    """The signature is not that of this key over these data."""

    slug = "bad-signature"
    title = "The signature is not valid"


class Digest(msgspec.Struct, frozen=True):
    algorithm: DigestName
    value: bytes


class Signature(msgspec.Struct, frozen=True):
    algorithm: SignatureName
    value: bytes


# --- digests ---


def digest(algorithm: DigestName, data: bytes) -> Digest:
    """Raises UnknownAlgorithm, also where this Python's OpenSSL was built without SM3."""
    if algorithm not in get_args(DigestName):
        raise _unknown(algorithm, get_args(DigestName))
    try:
        return Digest(algorithm, hashlib.new(algorithm, data).digest())
    except ValueError as error:
        raise UnknownAlgorithm(
            f"本机 OpenSSL 不含 {algorithm}，请换用 sha256 / OpenSSL on this machine has no {algorithm}; use sha256",
            algorithm=algorithm,
        ) from error


def matches(kept: Digest, data: bytes) -> bool:
    """Whether these are the data, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(digest(kept.algorithm, data).value, kept.value)


# --- signatures ---


def usable() -> tuple[SignatureName, ...]:
    """The signatures that this machine can verify."""
    names: tuple[SignatureName, ...] = get_args(SignatureName)
    return names if sm2.available() else tuple(name for name in names if name != "sm2-sm3")


def sign(algorithm: SignatureName, key: PrivateKey, data: bytes) -> Signature:
    """Raises UnknownAlgorithm if it is not known, not made here, or not for a key of this kind."""
    match algorithm, key:
        case "ed25519", ed25519.Ed25519PrivateKey():
            value = key.sign(data)
        case "ecdsa-p256-sha256", ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1):
            value = key.sign(data, ec.ECDSA(hashes.SHA256()))
        case "rsa-pss-sha256", rsa.RSAPrivateKey() if _sound(key.key_size):
            value = key.sign(data, PSS, hashes.SHA256())
        case "sm2-sm3", sm2.PrivateKey():
            value = key.sign(data)
        case _:
            raise _unfit(algorithm)
    return Signature(algorithm, value)


def verify(signature: Signature, key: PublicKey, data: bytes) -> None:
    """Raises BadSignature, or UnknownAlgorithm if the name is not known or does not fit the key."""
    value = signature.value
    try:
        match signature.algorithm, key:
            case "ed25519", ed25519.Ed25519PublicKey():
                key.verify(value, data)
            case "ecdsa-p256-sha256", ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
                key.verify(value, data, ec.ECDSA(hashes.SHA256()))
            case "rsa-pss-sha256", rsa.RSAPublicKey() if _sound(key.key_size):
                key.verify(value, data, PSS, hashes.SHA256())
            case "rsa-pkcs1-sha256", rsa.RSAPublicKey() if _sound(key.key_size):
                key.verify(value, data, padding.PKCS1v15(), hashes.SHA256())
            case "sm2-sm3", sm2.PublicKey():
                if not key.verify(value, data):
                    raise _bad(signature.algorithm)
            case _:
                raise _unfit(signature.algorithm)
    except InvalidSignature as error:
        raise _bad(signature.algorithm) from error


def _sound(bits: int) -> bool:
    return RSA_BITS_MIN <= bits <= RSA_BITS_MAX


def _bad(algorithm: str) -> BadSignature:
    return BadSignature(
        f"签名（{algorithm}）与证书或所签内容不符 / the signature ({algorithm}) is not that of this key over this text",
        algorithm=algorithm,
    )


def _unfit(algorithm: str) -> UnknownAlgorithm:
    if algorithm not in usable():
        return _unknown(algorithm, usable())
    return UnknownAlgorithm(
        f"{algorithm} 不适用于此类密钥 / {algorithm} does not go with a key of this kind", algorithm=algorithm
    )


def _unknown(algorithm: str, known: tuple[str, ...]) -> UnknownAlgorithm:
    shown, names = str(algorithm)[:40], ", ".join(known)
    return UnknownAlgorithm(
        f"不识别算法 {shown!r}，可用：{names} / {shown!r} is not known here; use one of {names}",
        algorithm=shown,
        known=list(known),
    )
