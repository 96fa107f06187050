"""Digests and signatures name their algorithm, agree with published vectors, and never pass for one another."""

import hashlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from api.login import algorithms, sm2
from api.login.algorithms import BadSignature, Digest, Signature, UnknownAlgorithm, digest, matches, sign, verify

needs_sm2 = pytest.mark.skipif(not sm2.available(), reason="gmssl-pyx is not installed (pip install kouan[sm])")
DATA = b"what is signed"
ED, EC, RSA = (
    ed25519.Ed25519PrivateKey.generate(),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
)
MADE: dict[str, Any] = {"ed25519": ED, "ecdsa-p256-sha256": EC, "rsa-pss-sha256": RSA}
SM3_ABC = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
SHA256_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("algorithm", "value"), [("sm3", SM3_ABC), ("sha256", SHA256_ABC)])
def test_digests_agree_with_the_standards_on_abc(algorithm: Any, value: str) -> None:
    made = digest(algorithm, b"abc")
    assert (made.algorithm, made.value.hex()) == (algorithm, value)
    assert matches(made, b"abc")
    assert not matches(made, b"abd")


def test_a_digest_under_another_name_does_not_match() -> None:
    assert not matches(Digest("sm3", digest("sha256", DATA).value), DATA)


@pytest.mark.parametrize("name", ["md5", "sha1", "SHA256", "", "shake_128"])
def test_no_other_digest_is_known(name: Any) -> None:
    with pytest.raises(UnknownAlgorithm):
        digest(name, DATA)


def test_a_machine_without_sm3_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str, data: bytes) -> Any:
        raise ValueError("unsupported hash type " + name)

    monkeypatch.setattr(hashlib, "new", without)
    with pytest.raises(UnknownAlgorithm, match="sha256"):
        digest("sm3", DATA)


def test_records_keep_the_name_with_the_value() -> None:
    kept = msgspec.json.encode(sign("ed25519", ED, DATA))
    verify(msgspec.json.decode(kept, type=Signature), ED.public_key(), DATA)
    assert msgspec.json.decode(kept)["algorithm"] == "ed25519"


def test_ed25519_agrees_with_rfc_8032() -> None:
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    value = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    key = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    assert sign("ed25519", key, b"\x72").value.hex() == value
    verify(Signature("ed25519", bytes.fromhex(value)), key.public_key(), b"\x72")


@pytest.mark.parametrize("name", MADE)
def test_what_is_signed_is_verified_and_nothing_else(name: Any) -> None:
    made = sign(name, MADE[name], DATA)
    verify(made, MADE[name].public_key(), DATA)
    for value, data in [(made.value, DATA + b"."), (made.value[:-1], DATA), (b"", DATA), (made.value + b"\0", DATA)]:
        with pytest.raises(BadSignature):
            verify(Signature(name, value), MADE[name].public_key(), data)


def test_rsa_of_old_cards_is_verified_but_never_made() -> None:
    value = RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA256())
    verify(Signature("rsa-pkcs1-sha256", value), RSA.public_key(), DATA)
    with pytest.raises(BadSignature):
        verify(Signature("rsa-pss-sha256", value), RSA.public_key(), DATA)
    with pytest.raises(UnknownAlgorithm):
        sign("rsa-pkcs1-sha256", RSA, DATA)


@pytest.mark.parametrize("name", ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha256", "rsa-pkcs1-sha256", "sm2-sm3"])
@pytest.mark.parametrize("key", [*MADE.values(), ec.generate_private_key(ec.SECP384R1())])
def test_a_name_goes_with_its_own_kind_of_key_only(name: Any, key: Any) -> None:
    if MADE.get(name) is key or (name == "rsa-pkcs1-sha256" and key is RSA):
        return
    with pytest.raises(UnknownAlgorithm):
        verify(Signature(name, b"0" * 64), key.public_key(), DATA)


def test_a_short_rsa_key_is_worth_nothing() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  that is the point
    value = key.sign(DATA, algorithms.PSS, hashes.SHA256())
    with pytest.raises(UnknownAlgorithm):
        verify(Signature("rsa-pss-sha256", value), key.public_key(), DATA)


@pytest.mark.parametrize("name", ["none", "", "HS256", "ed25519 ", "rsa-pkcs1-sha1", "ECDSA-P256-SHA256"])
def test_no_other_signature_is_known(name: Any) -> None:
    with pytest.raises(UnknownAlgorithm):
        verify(Signature(name, b""), ED.public_key(), DATA)


# --- SM2 ---

POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
R, S = (
    0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
)


@needs_sm2
def test_sm2_agrees_with_the_example_of_gb_t_32918_5() -> None:
    verify(Signature("sm2-sm3", encode_dss_signature(R, S)), sm2.PublicKey(POINT), b"message digest")
    with pytest.raises(BadSignature):
        verify(Signature("sm2-sm3", encode_dss_signature(R, S + 1)), sm2.PublicKey(POINT), b"message digest")


@needs_sm2
def test_an_sm2_signature_goes_there_and_back() -> None:
    key = sm2.PrivateKey.generate()
    made = sign("sm2-sm3", key, DATA)
    verify(made, key.public, DATA)
    for public, data in ((sm2.PrivateKey.generate().public, DATA), (key.public, DATA + b".")):
        with pytest.raises(BadSignature):
            verify(made, public, data)


@needs_sm2
@pytest.mark.parametrize("point", [b"\0" * 64, POINT[:-1] + b"\0", POINT[:-1], b""])
def test_a_point_off_the_curve_is_no_key(point: bytes) -> None:
    with pytest.raises(ValueError, match="SM2"):
        sm2.PublicKey(point)


@needs_sm2
@given(st.binary(max_size=100))
def test_no_bytes_pass_for_an_sm2_signature(value: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(Signature("sm2-sm3", value), sm2.PublicKey(POINT), DATA)


def test_without_the_package_sm2_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm2, "PACKAGE", "gmssl_not_here")
    assert "sm2-sm3" not in algorithms.usable()
    with pytest.raises(UnknownAlgorithm, match="ed25519"):
        verify(Signature("sm2-sm3", b"0" * 70), ED.public_key(), DATA)
