"""From the claims of a checked token to an account of this node: linked by hand, or made when the first one comes.

A subject means something together with its issuer only. An issuer speaks for the users of the parties that its entry
names, and for nobody else; an account that it makes has one of the roles that its entry allows, never an
administrator's. Staff of the node, who belong to no party, are linked by hand.
"""

from hashlib import sha256
from typing import Any

import msgspec
import psycopg

from api.identity import TWO_FACTORS, Account
from api.login.issuers import ANY_PARTY, SELF_MADE, TEXT_MAX, Entry
from api.problems import NoCredential, Suspended

FIND = """
SELECT a.account, a.role, a.zh, a.en, a.party, a.rights, a.state, l.made_by
FROM account_links l JOIN accounts a USING (account)
WHERE l.issuer = %s AND l.subject = %s
"""
LOCK = "SELECT pg_advisory_xact_lock(19279, hashtext(%s))"
MAKE = """
INSERT INTO accounts (account, role, zh, en, party, rights, made_by)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
LINK = "INSERT INTO account_links (issuer, subject, account, made_by) VALUES (%s, %s, %s, '')"
RIGHTS = frozenset({"enter", "declare"})
SECOND_FACTORS = frozenset({"mfa", "otp", "hwk", "swk", "sc", "fpt"})
"""RFC 8176: what `amr` says of more than a password."""
WORDS_MAX = 64


class NotYours(NoCredential):
    slug = "not-admitted"
    title = "The token is sound, but nobody here goes by it"


class Said(msgspec.Struct, frozen=True):
    """What a token says of its subject, in our words; None: it says nothing about that."""

    subject: str
    party: str
    role: str | None
    rights: tuple[str, ...] | None
    scopes: tuple[str, ...] | None
    name: str
    strong: bool  # by a second factor


def said(entry: Entry, claims: dict[str, Any]) -> Said:
    """Read by the entry's mapping. Raises NotYours."""
    mapping = entry.claims
    words = _words(claims.get(mapping.role)) if mapping.role in claims else None
    roles = {mapping.roles.get(each) if mapping.roles else each for each in words or ()} - {None}
    if len(roles) > 1:
        raise _not("令牌给出多个角色", "the token gives several roles")
    amr = _words(claims.get("amr"))
    return Said(
        subject=claims["sub"],
        party=_text(claims.get(mapping.party)),
        role=next(iter(roles), None),
        rights=_words(claims[mapping.rights]) if mapping.rights in claims else None,
        scopes=_words(claims[mapping.scope]) if mapping.scope in claims else None,
        name=_text(claims.get(mapping.name)),
        strong=bool(SECOND_FACTORS & set(amr)),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= TEXT_MAX and value.isprintable() else ""


def _words(value: object) -> tuple[str, ...]:
    """A list of texts, or one text with blanks between."""
    found = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(each for each in map(_text, found[:WORDS_MAX]) if each)


def account_of(connection: psycopg.Connection[Any], entry: Entry, claims: dict[str, Any]) -> Account:
    """The account of a checked token's subject. Raises NotYours or Suspended."""
    told = said(entry, claims)
    if told.scopes is not None and not told.scopes:
        raise _not("令牌的 scope 为空", "its scope is empty")  # no scopes would count as all of them
    row = connection.execute(FIND, (entry.issuer, told.subject), prepare=True).fetchone()
    if row is None:
        _make(connection, entry, told)
        row = connection.execute(FIND, (entry.issuer, told.subject), prepare=True).fetchone()
    if row is None:
        raise _not("主体未与账户关联", "its subject is not linked to an account")
    state, made_by = row[6:]
    if state != "open":
        raise Suspended.of(row[0])
    credential = f"token:{entry.issuer}#{told.subject}"
    name, role, zh, en, party, rights = row[:6]
    account = Account(name, role, zh, en, party=party, rights=tuple(rights), credential=credential)
    _check(entry, told, account, by_hand=bool(made_by))
    return _narrowed(account, told)


def _check(entry: Entry, told: Said, account: Account, *, by_hand: bool) -> None:
    bound = account.party in entry.parties or (ANY_PARTY in entry.parties and account.party != "")
    staff = account.party == "" and by_hand  # they belong to no party: whoever linked them vouched for that
    if not (bound or staff):
        raise _not("签发方不得代表该主体的用户", "its issuer may not speak for the users of that party")
    if told.party and told.party != account.party:
        raise _not("令牌中的主体与账户不符", "it names another party than the account's")
    if not by_hand and (account.role not in SELF_MADE or account.role not in entry.roles):
        raise _not("签发方不得给出此角色", "its issuer may not give this role")
    if told.role is not None and told.role != account.role and not by_hand:
        raise _not("令牌中的角色与账户不符", "it gives another role than the account's; have the account changed")
    if account.role in TWO_FACTORS and not (entry.second_factor and told.strong):
        raise _not("此角色须双因素", "this role needs a second factor, and its issuer tells of none that counts here")


def _narrowed(account: Account, told: Said) -> Account:
    """A token may say less than its account, never more."""
    rights = account.rights if told.rights is None else tuple(each for each in account.rights if each in told.rights)
    return msgspec.structs.replace(account, rights=rights, scopes=told.scopes or ())


def _make(connection: psycopg.Connection[Any], entry: Entry, told: Said) -> None:
    """An account for a subject that came first, if the entry allows it. Raises NotYours."""
    if not entry.roles:
        return
    role = told.role
    if role is None or role not in entry.roles or role not in SELF_MADE:
        raise _not("签发方不得给出此角色", "its issuer may not give this role")
    party = told.party or (entry.parties[0] if len(entry.parties) == 1 else "")
    if not party or party == ANY_PARTY or (party not in entry.parties and ANY_PARTY not in entry.parties):
        raise _not("签发方不得代表该主体的用户", "its issuer may not speak for the users of that party")
    rights = sorted(RIGHTS & set(told.rights or ())) if role == "enterprise" else []
    # The hash keeps subjects of two issuers apart, and from every name that a person would choose.
    account = f"{entry.name}.{sha256(f'{entry.issuer} {told.subject}'.encode()).hexdigest()[:20]}"
    name = told.name or account
    with connection.transaction():
        connection.execute(LOCK, (account,))
        if connection.execute(FIND, (entry.issuer, told.subject)).fetchone():
            return  # another request of his was quicker
        made = connection.execute(MAKE, (account, role, name, name, party, rights, f"issuer:{entry.name}"))
        if not made.rowcount:
            raise _not("账户名已被占用", "its account's name is taken")
        connection.execute(LINK, (entry.issuer, told.subject, account))


def _not(zh: str, en: str) -> NotYours:
    return NotYours(f"令牌有效，但{zh} / the token is sound, but {en}")
