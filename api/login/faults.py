"""Why a card is not let in: a fixed list of faults, each told in Chinese and English with what to do."""

from typing import TYPE_CHECKING, Literal, get_args

from api.problems import WrongRole
from domain.errors import Malformed, Refused

if TYPE_CHECKING:
    from api.login.certificate import Certificate

Fault = Literal[
    "no-challenge",
    "signature",
    "unknown-ca",
    "not-issued",
    "not-yet-valid",
    "expired",
    "not-a-ca",
    "not-a-card",
    "path-length",
    "key-usage",
    "extension",
    "revoked",
    "no-crl",
    "stale-crl",
    "not-registered",
    "suspended",
    "account",
]
TOLD: dict[Fault, tuple[str, str]] = {
    "no-challenge": (
        "登录质询不存在、已用过或已过期，请重新申请",
        "the challenge is not known, was used before, or is over; ask for another",
    ),
    "signature": (
        "签名不符：须用证书的私钥对本节点地址和本次随机数签名",
        "the signature is not that of the card over this node's origin and this nonce; sign the text of docs/card.md",
    ),
    "unknown-ca": (
        "证书不是本节点信任的 CA 签发的，请附上中间证书，或请安全管理员登记该 CA",
        "no CA that this node trusts issued it; send the intermediates too, or ask the security administrator",
    ),
    "not-issued": (
        "证书不是由其上级签发的，或所用签名算法已不安全",
        "the next certificate of the chain did not issue it, or by an algorithm that can be forged",
    ),
    "not-yet-valid": ("证书尚未生效", "the certificate is not valid yet"),
    "expired": ("证书已过期，请换新卡", "the certificate has expired; renew the card"),
    "not-a-ca": ("上级证书不是 CA 证书", "a certificate above the card is not that of a CA"),
    "not-a-card": ("这是 CA 证书，不是操作员卡的证书", "this is the certificate of a CA, not of a card"),
    "path-length": ("证书链超过 CA 允许的长度", "there are more CAs in the chain than one of them allows"),
    "key-usage": (
        "证书的密钥用途不允许用于登录，请使用签名证书",
        "its key usage does not allow this; use the card's certificate for signing",
    ),
    "extension": ("证书含有不能识别的关键扩展", "it has a critical extension that is not understood here"),
    "revoked": ("证书已被吊销，请换新卡", "the certificate is revoked; get another card"),
    "no-crl": (
        "签发者没有可用的吊销列表，请安全管理员上传",
        "there is no revocation list of its issuer; the security administrator uploads one",
    ),
    "stale-crl": (
        "签发者的吊销列表已过时，请安全管理员上传新的",
        "the revocation list of its issuer is out of date; the security administrator uploads a new one",
    ),
    "not-registered": (
        "此卡未登记，请本企业管理员登记",
        "the card is not registered; the administrator of your enterprise does that (POST /v1/cards)",
    ),
    "suspended": ("此卡已停用，请本企业管理员恢复", "the card is suspended; ask the administrator of your enterprise"),
    "account": ("此卡所属账户不可用", "the account of this card is not open"),
}
assert set(TOLD) == set(get_args(Fault))


class BadCertificate(Malformed):
    slug = "bad-certificate"
    title = "The certificate or revocation list cannot be read"


class CardRefused(WrongRole):
    """`facts.fault` is one of Fault."""

    slug = "card-refused"
    title = "This card is not let in"


class CardTaken(Refused):
    slug = "card-taken"
    title = "The card, or the CA, is registered already"


class OlderCrl(Refused):
    slug = "older-crl"
    title = "A newer revocation list of that issuer is here"


def refused(fault: Fault, certificate: "Certificate | None" = None) -> CardRefused:
    """The refusal for a fault, with the certificate that has it."""
    zh, en = TOLD[fault]
    if certificate is None:
        return CardRefused(f"{zh} / {en}", fault=fault)
    return CardRefused(f"{zh} / {en}", fault=fault, subject=certificate.subject, serial=certificate.serial)
