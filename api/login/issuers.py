"""The issuers whose tokens this node believes: one trust entry for each, several at once.

An entry says where the keys of an issuer are (pinned here, never taken from a token), which algorithms and audience
count, which claims tell party and role, and for whose users it may speak. Times are seconds. Kept in
domain/migrations/0012_issuers.sql; read anew for each token, so that a suspension counts at once.
"""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import psycopg

from api.identity import Role
from api.login import jwks
from api.login.jwks import Fetch
from domain.errors import Malformed, Refused, Unknown

ANY_PARTY = "*"
SELF_MADE: frozenset[Role] = frozenset({"enterprise", "logistics", "finance", "officer"})
"""Roles of accounts that an entry may make by itself. All others are linked by hand."""
ALGORITHMS = ("ES256", "ES384", "Ed25519", "EdDSA", "PS256", "RS256")
TYPES = ("at+jwt", "JWT")
TEXT_MAX = 500
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
RESERVED = frozenset({"callback"})
SECONDS_MAX, LEEWAY_SECONDS_MAX = 86_400, 120


class BadIssuer(Malformed):
    slug = "bad-issuer"
    title = "The trust entry cannot be used"


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which claim tells what; "" where none does."""

    party: str = "party"
    role: str = "role"
    rights: str = "rights"
    scope: str = "scope"
    name: str = "name"
    roles: dict[str, Role] = {}  # their word for a role -> ours; none: their words are ours


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of one issuer, and how far."""

    issuer: str  # exactly as `iss` says it
    name: str  # in addresses
    zh: str = ""
    en: str = ""
    jwks_uri: str = ""  # either this
    keys: tuple[dict[str, Any], ...] = ()  # or these, public JWKs
    algorithms: tuple[str, ...] = ALGORITHMS
    audience: str  # what `aud` must hold
    types: tuple[str, ...] = ("at+jwt",)  # `typ` of its access tokens
    claims: Claims = msgspec.field(default_factory=Claims)
    parties: tuple[str, ...] = ()  # whose users it may speak for; "*": everybody's
    roles: tuple[Role, ...] = ()  # of accounts made when their first token comes; none: only linked accounts
    seconds_max: int = 3600  # from `iat` to `exp`
    leeway_seconds: int = 60
    second_factor: bool = False  # its `amr` is believed when it tells of a second factor
    client_id: str = ""  # ours with it, to sign in at the portal; "": no sign-in
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    response_iss: bool = True  # it names itself in its answers to the browser (RFC 9207)
    state: Literal["active", "suspended"] = "active"

    @property
    def key_set(self) -> bytes:
        """The inline keys as a JWK set."""
        return msgspec.json.encode({"keys": self.keys})


# --- checks ---


def _wrong(field: str, zh: str, en: str) -> BadIssuer:
    return BadIssuer(f"{field}：{zh} / {field}: {en}", field=field)


def checked(entry: Entry) -> Entry:
    """The entry, if it can be used. Raises BadIssuer."""
    if not jwks.secure(entry.issuer) or urlsplit(entry.issuer).query or len(entry.issuer) > TEXT_MAX:
        raise _wrong("issuer", "须为 https 地址，无查询串与片段", "must be an https address without query or fragment")
    if not NAME.fullmatch(entry.name) or entry.name in RESERVED:
        raise _wrong("name", "小写字母、数字、连字符，至多 40", "lower-case letters, digits, hyphens, 40 at most")
    if bool(entry.jwks_uri) == bool(entry.keys):
        raise _wrong("jwks_uri", "与 keys 二者必居其一", "give either this or keys")
    if entry.jwks_uri and not jwks.secure(entry.jwks_uri):
        raise _wrong("jwks_uri", "须为 https 地址", "must be an https address")
    if entry.keys and len(_read(entry.key_set)) != len(entry.keys):
        raise _wrong("keys", "须为可验签的公钥 JWK", "must be public JWKs that can check a signature")
    if not entry.algorithms or not set(entry.algorithms) <= jwks.KINDS.keys():
        raise _wrong("algorithms", f"只可为 {', '.join(jwks.KINDS)}", f"only {', '.join(jwks.KINDS)}")
    if not entry.types or not set(entry.types) <= set(TYPES):
        raise _wrong("types", f"只可为 {', '.join(TYPES)}", f"only {', '.join(TYPES)}")
    if not _text(entry.audience) or entry.audience == entry.client_id:
        raise _wrong("audience", "必填，且不同于 client_id", "is needed, and is not the client_id")
    if not 1 <= entry.seconds_max <= SECONDS_MAX or not 0 <= entry.leeway_seconds <= LEEWAY_SECONDS_MAX:
        raise _wrong("seconds_max", f"1–{SECONDS_MAX}；leeway_seconds 0–{LEEWAY_SECONDS_MAX}", "and leeway_seconds too")
    _check_whom(entry)
    _check_sign_in(entry)
    return entry


def _read(document: bytes) -> tuple[jwks.PublicKey, ...]:
    try:
        return jwks.read(document)
    except ValueError:
        return ()


def _check_whom(entry: Entry) -> None:
    if len(entry.parties) > TEXT_MAX or not all(map(_text, entry.parties)):
        raise _wrong("parties", "须为主体代码", "must be codes of parties")
    if not set(entry.roles) <= SELF_MADE:
        able = ", ".join(sorted(SELF_MADE))
        raise _wrong("roles", f"自动开户只可为 {able}", f"accounts are made by themselves for {able} only")
    if entry.roles and not entry.parties:
        raise _wrong("parties", "自动开户须限定主体", "accounts are made by themselves for named parties only")
    named = (entry.zh, entry.en, *msgspec.structs.astuple(entry.claims)[:-1], *entry.claims.roles)
    if not all(_text(each) for each in named if each):
        raise _wrong("claims", "须为可打印文字", "must be printable")


def _check_sign_in(entry: Entry) -> None:
    if not entry.client_id:
        return
    if not _text(entry.client_id):
        raise _wrong("client_id", "须为可打印文字", "must be printable")
    for field in ("authorization_endpoint", "token_endpoint"):
        if not jwks.secure(getattr(entry, field)):
            raise _wrong(field, "登录须有 https 地址", "signing in needs an https address")


def _text(value: str) -> bool:
    return 0 < len(value) <= TEXT_MAX and value.isprintable()


class Metadata(msgspec.Struct, frozen=True):
    """What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 9207)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    authorization_response_iss_parameter_supported: bool = False


async def discovered(entry: Entry, fetch: Fetch = jwks.fetch) -> Entry:
    """The entry with addresses from the issuer's own document, to be pinned. Raises BadIssuer, IssuerUnreachable."""
    if not jwks.secure(entry.issuer):
        raise _wrong("issuer", "须为 https 地址", "must be an https address")
    document = await fetch(entry.issuer.rstrip("/") + "/.well-known/openid-configuration")
    try:
        said = msgspec.json.decode(document, type=Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _wrong("issuer", "其元数据无法解读", "its metadata cannot be read") from error
    if said.issuer != entry.issuer:
        raise _wrong("issuer", "其元数据自称另一签发方", "its metadata name another issuer")
    return msgspec.structs.replace(
        entry,
        jwks_uri=said.jwks_uri,
        authorization_endpoint=said.authorization_endpoint,
        token_endpoint=said.token_endpoint,
        response_iss=said.authorization_response_iss_parameter_supported,
    )


# --- kept ---

SAVE = """
INSERT INTO trusted_issuers (issuer, name, entry, client_secret, changed_by)
VALUES (%(issuer)s, %(name)s, %(entry)s, %(secret)s, %(by)s)
ON CONFLICT (name) DO UPDATE
SET entry = excluded.entry, client_secret = coalesce(excluded.client_secret, trusted_issuers.client_secret),
    changed_by = excluded.changed_by, changed_at = now()
WHERE trusted_issuers.issuer = excluded.issuer
"""
LINK = """
INSERT INTO account_links (issuer, subject, account, made_by)
SELECT issuer, %s, account, %s FROM trusted_issuers, accounts WHERE name = %s AND account = %s
ON CONFLICT (issuer, subject) DO UPDATE SET account = excluded.account, made_by = excluded.made_by, made_at = now()
"""


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose account a subject of an issuer is."""

    subject: str
    account: str
    made_by: str = ""


UNLINK = """
DELETE FROM account_links l USING trusted_issuers t
WHERE t.issuer = l.issuer AND name = %s AND subject = %s
RETURNING l.issuer
"""
SIGN_OUT = "DELETE FROM sessions WHERE starts_with(credential, %s)"  # whoever signed in through it is out at once
SIGN_OUT_ONE = "DELETE FROM sessions WHERE credential = %s"


def save(connection: psycopg.Connection[Any], entry: Entry, by: str, secret: bytes | None = None) -> None:
    """Put an entry in, or in the place of the one of its name. Raises BadIssuer or Refused."""
    document = msgspec.json.encode(checked(entry)).decode()
    values = {"issuer": entry.issuer, "name": entry.name, "entry": document, "secret": secret, "by": by}
    try:
        done = connection.execute(SAVE, values)
    except psycopg.errors.UniqueViolation as error:
        raise Refused(
            f"{entry.issuer} 已登记为另一名称 / {entry.issuer} is known under another name", issuer=entry.issuer
        ) from error
    if not done.rowcount:
        raise Refused(f"名称 {entry.name} 已属另一签发方 / the name {entry.name} is another issuer's", name=entry.name)


def remove(connection: psycopg.Connection[Any], name: str) -> None:
    """Take an entry away, and its links with it. Raises Unknown."""
    row = connection.execute("DELETE FROM trusted_issuers WHERE name = %s RETURNING issuer", (name,)).fetchone()
    if row is None:
        raise _unknown(name)
    connection.execute(SIGN_OUT, (f"token:{row[0]}#",))


def listed(connection: psycopg.Connection[Any]) -> list[Entry]:
    """All entries, by name."""
    found = connection.execute("SELECT entry::text FROM trusted_issuers ORDER BY name")
    return [msgspec.json.decode(row[0], type=Entry) for row in found]


def by_issuer(connection: psycopg.Connection[Any], issuer: str) -> Entry | None:
    row = connection.execute("SELECT entry::text FROM trusted_issuers WHERE issuer = %s", (issuer,)).fetchone()
    return msgspec.json.decode(row[0], type=Entry) if row else None


def by_name(connection: psycopg.Connection[Any], name: str) -> tuple[Entry, bytes | None]:
    """The entry and its sealed client secret. Raises Unknown."""
    query = "SELECT entry::text, client_secret FROM trusted_issuers WHERE name = %s"
    row = connection.execute(query, (name,)).fetchone()
    if row is None:
        raise _unknown(name)
    return msgspec.json.decode(row[0], type=Entry), row[1]


def issuers_for_login(connection: psycopg.Connection[Any]) -> list[Entry]:
    """Those at which one may sign in to the portal: a button each, at /login/oidc/NAME."""
    return [each for each in listed(connection) if each.client_id and each.state == "active"]


def link(connection: psycopg.Connection[Any], name: str, made: Link, by: str) -> None:
    """Say whose account a subject is. Raises BadIssuer, Refused or Unknown."""
    if not _text(made.subject):
        raise _wrong("subject", "须为可打印文字", "must be printable")
    if made.account == by:
        raise Refused("不得为自己建立关联 / nobody links an account of his own", account=by)
    if not connection.execute(LINK, (made.subject, by, name, made.account)).rowcount:
        raise Unknown(f"没有该签发方或账户：{name}，{made.account} / no such issuer or account", name=name)


def unlink(connection: psycopg.Connection[Any], name: str, subject: str) -> None:
    """Raises Unknown."""
    query = (
        "DELETE FROM account_links l USING trusted_issuers t WHERE t.issuer = l.issuer AND name = %s AND subject = %s"
    )
    if not connection.execute(query, (name, subject)).rowcount:
        raise Unknown("没有该关联 / there is no such link", name=name)


def links(connection: psycopg.Connection[Any], name: str) -> list[Link]:
    """The links of one issuer, by subject."""
    query = "SELECT subject, account, made_by FROM account_links JOIN trusted_issuers USING (issuer) WHERE name = %s"
    return [Link(*row) for row in connection.execute(query + " ORDER BY subject", (name,))]


def _unknown(name: str) -> Unknown:
    return Unknown(f"没有签发方 {name[:60]!r} / there is no issuer {name[:60]!r}", name=name[:60])
