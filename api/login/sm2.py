"""SM2, the national signature (GB/T 32918.2), by GmSSL; the only place that knows the optional package gmssl-pyx.

A public key is its point, x and y of 32 bytes each; a private key 32 bytes; a signature the DER of (r, s). The digest
is SM3 over Z and the message, where Z is made with the default identity (GB/T 35276-2017, clause 10).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

PACKAGE = "gmssl_pyx"
IDENTITY = b"1234567812345678"
CURVE = bytes.fromhex("06082a811ccf5501822d")
"""The DER of 1.2.156.10197.1.301, by which a key says that it lies on this curve."""
POINT_BYTES, SIGNATURE_BYTES_MAX = 64, 72
UNCOMPRESSED = b"\x04"


class PublicKey:
    """A point that lies on the curve. Raises ValueError for another, or where gmssl-pyx is not installed."""

    def __init__(self, point: bytes) -> None:
        if len(point) != POINT_BYTES:
            raise ValueError("an SM2 point has 64 bytes")
        try:
            self.point: bytes = _library().normalize_sm2_public_key(point)
        except _library().GmsslInnerError as error:
            raise ValueError("the point is not on the SM2 curve") from error

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the holder of the private half signed these data."""
        if not 0 < len(signature) <= SIGNATURE_BYTES_MAX:
            return False
        try:
            return bool(_library().sm2_verify(self.point, data, signature, IDENTITY))
        except _library().GmsslInnerError:
            return False


class PrivateKey:
    """For a node's own signatures, and for tests; a card never gives its key out."""

    def __init__(self, secret: bytes, point: bytes) -> None:
        self._secret = secret
        self.public = PublicKey(point)

    @classmethod
    def generate(cls) -> "PrivateKey":
        """A new key."""
        point, secret = _library().sm2_key_generate()
        return cls(secret, point)

    def sign(self, data: bytes) -> bytes:
        """The DER of (r, s)."""
        made: bytes = _library().sm2_sign(self._secret, self.public.point, data, IDENTITY)
        return made


def available() -> bool:
    """Whether gmssl-pyx is installed (`pip install kouan[sm]`)."""
    return find_spec(PACKAGE) is not None


def from_spki(spki: bytes) -> PublicKey | None:
    """The key of a DER SubjectPublicKeyInfo; None if it is of another kind. Raises ValueError."""
    if CURVE not in spki:
        return None
    before, _, _ = spki.partition(CURVE)
    point = spki[-POINT_BYTES - 1 :]
    if len(before) + len(CURVE) + len(point) + 3 != len(spki) or point[:1] != UNCOMPRESSED:
        raise ValueError("the SM2 key is not an uncompressed point")
    return PublicKey(point[1:])


def _library() -> Any:
    if not available():
        raise ValueError("gmssl-pyx is not installed")
    return import_module(PACKAGE)
