"""A card's chain is believed only as far as RFC 5280 allows; compared with the library's verifier where that can."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from api.login import certificate, crl, sm2
from api.login.faults import BadCertificate, CardRefused
from tests import card_mint
from tests.card_mint import DAY, NOW, Holder, mint, name

ROOT = mint(name("Root"), ca=True)
SUB = mint(name("Sub"), ROOT, ca=True)
CARD = mint(name("Card"), SUB)
HOUR = timedelta(hours=1)
Chain = tuple[list[Holder], Holder]


def read(*holders: Holder) -> list[certificate.Certificate]:
    return certificate.read("".join(each.pem for each in holders))


def fault(chain: list[Holder], root: Holder = ROOT) -> str:
    """What speaks against it; "" if nothing does."""
    [anchor] = read(root)
    below = certificate.path(read(*chain), anchor)
    if not below:
        return "unknown-ca"
    try:
        certificate.check(below, anchor, NOW)
    except CardRefused as error:
        return str(error.facts["fault"])
    return ""


def theirs(chain: list[Holder], root: Holder = ROOT) -> bool:
    """Whether the library's verifier takes it, for clients, without asking for a DNS name."""
    policy = PolicyBuilder().time(NOW).store(Store([root.certificate]))
    policy = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    )
    try:
        policy.build_client_verifier().verify(chain[0].certificate, [each.certificate for each in chain[1:]])
    except VerificationError:
        return False
    return True


def below(**wrong: Any) -> Chain:
    """A card below an intermediate that is made as told."""
    sub = mint(name("Sub"), ROOT, **{"ca": True, **wrong})
    return [mint(name("Card"), sub), sub], ROOT


def card(**wrong: Any) -> Chain:
    return [mint(name("Card"), SUB, **wrong), SUB], ROOT


def deep(root_max: int | None, sub_max: int | None) -> Chain:
    """Root, two intermediates, card."""
    root = mint(name("Root"), ca=True, below_max=root_max)
    one = mint(name("One"), root, ca=True, below_max=sub_max)
    two = mint(name("Two"), one, ca=True)
    return [mint(name("Card"), two), two, one], root


def swapped_key() -> Chain:
    """An intermediate of the same name that somebody else made."""
    other = mint(name("Sub"), mint(name("Root"), ca=True), ca=True)
    return [mint(name("Card"), other), other], ROOT


def sha1() -> Chain:
    key = rsa.generate_private_key(65537, 2048)
    root = mint(name("Root"), ca=True, key=key)
    made = mint(name("Card"), root)
    builder = x509.CertificateBuilder(
        made.certificate.issuer,
        made.certificate.subject,
        made.key.public_key(),
        77,
        NOW - DAY,
        NOW + DAY,
        list(made.certificate.extensions),
    )
    return [Holder(builder.sign(key, hashes.SHA384()), made.key)], root


def expired_root() -> Chain:
    root = mint(name("Root"), ca=True, until=NOW - HOUR)
    return [mint(name("Card"), root)], root


def root_alone() -> Chain:
    return [ROOT], ROOT


UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CONSTRAINTS = x509.NameConstraints([x509.DNSName("example.com")], None)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SELF_ISSUED = mint(name("Root"), ROOT, ca=True)

GOOD: dict[str, Callable[[], Chain]] = {
    "an intermediate in between": lambda: ([CARD, SUB], ROOT),
    "the CA sent along": lambda: ([CARD, SUB, ROOT], ROOT),
    "directly below the CA": lambda: ([mint(name("Card"), ROOT)], ROOT),
    "as many CAs as allowed": lambda: deep(2, 1),
    "a purpose that says so": lambda: card(extra=[(CLIENT, False)]),
    "an unknown extension that is not critical": lambda: card(extra=[(UNKNOWN, False)]),
    "an RSA card": lambda: card(key=rsa.generate_private_key(65537, 2048)),
    "a P-384 intermediate": lambda: below(key=ec.generate_private_key(ec.SECP384R1())),
    "RSA with SHA-384": sha1,
}
BAD: dict[str, tuple[str, Callable[[], Chain]]] = {
    "expired": ("expired", lambda: card(until=NOW - HOUR)),
    "not yet valid": ("not-yet-valid", lambda: card(since=NOW + HOUR)),
    "an expired intermediate": ("expired", lambda: below(until=NOW - HOUR)),
    "an expired CA": ("expired", expired_root),
    "another CA": ("unknown-ca", lambda: ([mint(name("Card"), mint(name("Other"), ca=True))], ROOT)),
    "another CA of the same name": ("unknown-ca", lambda: ([mint(name("Card"), mint(name("Root"), ca=True))], ROOT)),
    "another intermediate of the same name": ("unknown-ca", swapped_key),
    "an intermediate left out": ("unknown-ca", lambda: ([CARD], ROOT)),
    "a card that another one issued": ("not-a-ca", lambda: below(ca=False)),
    "an intermediate that may not sign certificates": ("key-usage", lambda: below(usages={"crl_sign"})),
    "longer than the CA allows": ("path-length", lambda: deep(0, None)),
    "longer than an intermediate allows": ("path-length", lambda: deep(None, 0)),
    "a certificate for encryption": ("key-usage", lambda: card(usages={"key_encipherment"})),
    "one that does not say what it is for": ("key-usage", lambda: card(usages=set())),
    "one for servers only": ("key-usage", lambda: card(extra=[(SERVER, False)])),
    "an intermediate for servers only": ("key-usage", lambda: below(extra=[(SERVER, False)])),
    "a critical extension nobody knows": ("extension", lambda: card(extra=[(UNKNOWN, True)])),
    "name constraints": ("extension", lambda: below(extra=[(CONSTRAINTS, True)])),
    "a CA in place of a card": ("not-a-card", lambda: ([SUB], ROOT)),
    "the CA itself": ("not-a-card", root_alone),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_sound_chain_is_taken_as_the_library_takes_it(case: str) -> None:
    chain, root = GOOD[case]()
    assert fault(chain, root) == ""
    assert theirs(chain, root)


@pytest.mark.parametrize("case", BAD)
def test_a_chain_is_refused_for_what_is_wrong_with_it(case: str) -> None:
    expected, make = BAD[case]
    assert fault(*make()) == expected


def test_ed25519_is_taken_though_the_library_has_no_policy_for_it() -> None:
    root = mint(name("Root"), ca=True, key=ed25519.Ed25519PrivateKey.generate())
    assert fault([mint(name("Card"), root, key=ed25519.Ed25519PrivateKey.generate())], root) == ""


def test_a_ca_that_issued_itself_anew_is_not_counted_as_another_one() -> None:
    root = mint(name("Root"), ca=True, below_max=0)
    again = mint(name("Root"), root, ca=True)
    assert fault([mint(name("Card"), again), again], root) == ""


def test_a_bit_flipped_anywhere_in_a_card_is_found() -> None:
    dice = random.Random(5280)
    chosen = dice.sample(range(len(CARD.der) * 8), 300)
    for bit in chosen:
        der = bytearray(CARD.der)
        der[bit // 8] ^= 1 << bit % 8
        try:
            changed = certificate.parse(bytes(der))
        except BadCertificate:
            continue
        [sub, root] = read(SUB, ROOT)
        assert not certificate.issued(changed, sub), bit
        assert certificate.path([changed, sub], root) in ([], [sub, changed])


@pytest.mark.parametrize(
    "text",
    ["", "not base64", "AAAA", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", [], [""] * 3, ["é"]],
)
def test_what_is_no_certificate_is_malformed(text: Any) -> None:
    with pytest.raises(BadCertificate):
        certificate.read(text)


def test_der_cut_off_anywhere_is_malformed() -> None:
    for end in range(0, len(CARD.der), 7):
        with pytest.raises(BadCertificate):
            certificate.parse(CARD.der[:end])


def test_a_chain_has_an_end() -> None:
    with pytest.raises(BadCertificate, match="chain"):
        read(*[CARD] * 7)


WEAK = [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP224R1())]  # noqa: S505  that is meant


@pytest.mark.parametrize("key", WEAK)
def test_a_weak_key_is_not_read(key: Any) -> None:
    with pytest.raises(BadCertificate):
        read(mint(name("Card"), SUB, key=key))


# --- revocation ---


def revocation(card: Holder, *lists: bytes, required: bool = True, issuer: Holder = SUB) -> str:
    read_lists = [each for data in lists for each in crl.read(data)]
    [shown, above] = read(card, issuer)
    try:
        crl.check(shown, above, read_lists, NOW, required=required)
    except CardRefused as error:
        return str(error.facts["fault"])
    return ""


def stale(*revoked: Holder) -> bytes:
    return card_mint.crl(SUB, *revoked, made_at=NOW - 3 * DAY, until=NOW - DAY)


def test_a_fresh_list_without_the_card_lets_it_in() -> None:
    assert revocation(CARD, card_mint.crl(SUB)) == ""


@pytest.mark.parametrize(
    ("case", "lists"),
    {
        "revoked": lambda: [card_mint.crl(SUB, CARD)],
        "no-crl": list,
        "stale-crl": lambda: [stale()],
    }.items(),
)
def test_without_a_fresh_clean_list_a_card_stays_outside(case: str, lists: Callable[[], list[bytes]]) -> None:
    assert revocation(CARD, *lists()) == case


@pytest.mark.parametrize(
    "signer",
    [
        ROOT,
        mint(name("Sub"), ca=True),
        mint(name("Sub"), ROOT, ca=True, key=SUB.key, usages={"key_cert_sign"}),
    ],
)
def test_a_list_that_its_issuer_did_not_sign_or_may_not_sign_counts_as_none(signer: Holder) -> None:
    issuer = signer if signer.key is SUB.key else SUB
    assert revocation(CARD, card_mint.crl(signer), issuer=issuer) == "no-crl"


def test_a_stale_list_still_revokes_where_none_is_required() -> None:
    assert revocation(CARD, stale(CARD), required=False) == "revoked"
    assert revocation(CARD, stale(), required=False) == ""
    assert revocation(CARD, required=False) == ""


def test_of_two_lists_the_newer_counts_in_whatever_order() -> None:
    old, new = card_mint.crl(SUB, made_at=NOW - 2 * DAY), card_mint.crl(SUB, CARD)
    assert revocation(CARD, old, new) == revocation(CARD, new, old) == "revoked"


def test_a_list_of_the_future_is_not_believed_yet() -> None:
    assert revocation(CARD, card_mint.crl(SUB, made_at=NOW + HOUR)) == "no-crl"


@pytest.mark.parametrize(
    "extension",
    [
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(
            full_name=None,
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=True,
            only_contains_attribute_certs=False,
        ),
    ],
)
def test_deltas_and_lists_on_behalf_of_others_are_not_taken(extension: x509.ExtensionType) -> None:
    with pytest.raises(BadCertificate):
        crl.read(card_mint.crl(SUB, extra=[(extension, True)]))


def test_a_file_may_hold_the_lists_of_several_cas() -> None:
    both = card_mint.crl(ROOT) + card_mint.crl(SUB, CARD)
    assert len(crl.read(both)) == 2
    assert revocation(CARD, both) == "revoked"


def test_a_list_cut_off_anywhere_is_malformed() -> None:
    [whole] = crl.read(card_mint.crl(SUB, CARD))
    for end in range(0, len(whole.der), 5):
        with pytest.raises(BadCertificate):
            crl.read(whole.der[:end])


# --- SM2 ---


@pytest.mark.skipif(not sm2.available(), reason="gmssl-pyx is not installed (pip install kouan[sm])")
def test_sm2_certificates_of_openssl_are_checked_by_gmssl(tmp_path: Path) -> None:
    [card, ca] = certificate.read("".join(card_mint.sm2_pair(tmp_path)))
    assert certificate.path([card], ca) == [card]
    certificate.check([card], ca, NOW + HOUR)
    assert isinstance(card.key, sm2.PublicKey)
    assert not certificate.issued(card, certificate.read(mint(name("CA"), ca=True).pem)[0])


@pytest.mark.skipif(not sm2.available(), reason="gmssl-pyx is not installed (pip install kouan[sm])")
def test_an_sm2_card_changed_anywhere_is_not_issued_by_its_ca(tmp_path: Path) -> None:
    [card, ca] = certificate.read("".join(card_mint.sm2_pair(tmp_path)))
    dice = random.Random(32918)
    for bit in dice.sample(range(len(card.der) * 8), 150):
        der = bytearray(card.der)
        der[bit // 8] ^= 1 << bit % 8
        with suppress(BadCertificate):
            assert not certificate.issued(certificate.parse(bytes(der)), ca), bit
