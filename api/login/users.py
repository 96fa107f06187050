"""Who may use the node: accounts are opened, appointed, suspended and dismissed by others than themselves.

An enterprise's administrator appoints users of its own party, with the rights to enter and to declare. The system
administrator opens accounts, also a party's first administrator; one that administers or audits waits until a security
administrator has agreed. The security administrator sets rights, suspends, unlocks. Passwords given out open once.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from litestar import Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta

from api.identity import TWO_FACTORS, Account, Gatekeeper, Right, Role, caller, needs
from api.login import attempts, books, passwords, people, sessions, totp
from api.login.door import AnyRequest, body_as, tell
from api.login.people import UNDER_ADMIN, Person, person
from domain import party as party_book
from domain import register
from domain.deciding import Decider
from domain.errors import Refused, Unknown

LIMIT_MAX = 500
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$")]
KIND: dict[str, party_book.Kind] = {
    **dict.fromkeys(("enterprise", "enterprise-admin", "logistics"), "enterprise"),
    **dict.fromkeys(("officer", "steward"), "agency"),
    "source": "provider",
}
"""What a party is that is registered with its first account of this role; of others it is the operator's."""
ENTITLED = frozenset({"enterprise", "enterprise-admin"})
APPOINTED = "user.appointed"


class Appointing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account. `party`: another than one's own only for the system administrator, who registers new ones."""

    account: Name
    role: Role
    zh: Text
    en: Text
    rights: list[Right] = []
    party: Annotated[str, Meta(max_length=64)] = ""
    party_kind: party_book.Kind | None = None
    party_zh: Annotated[str, Meta(max_length=100)] = ""
    party_en: Annotated[str, Meta(max_length=100)] = ""


class Appointed(msgspec.Struct, frozen=True):
    """`password` is shown here and never again; it opens once, to be changed."""

    account: str
    state: str
    password: str


class Changing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is named is changed."""

    reason: Text
    state: Literal["open", "suspended", "dismissed"] | None = None
    rights: list[Right] | None = None
    unlock: bool = False
    reset: Literal["password", "totp"] | None = None


class Changed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The account as it stands; `password`, if it was reset, is shown here and never again."""

    user: Person
    password: str = ""


# --- appointing ---

PUT = """
INSERT INTO accounts (account, role, zh, en, party, rights, state, made_by, created_at,
                      password, password_set_at, password_once)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, true)
ON CONFLICT DO NOTHING
"""


def appoint(
    gatekeeper: Gatekeeper, decider: Decider, account: Account, wanted: Appointing, digest: str
) -> tuple[str, str]:
    """Returns (party, state). Raises Refused. The account and the register's fact are one, or there is neither."""
    now, whose = gatekeeper.clock(), _party(account, wanted)
    state = "waiting" if wanted.role in TWO_FACTORS else "open"
    who = (wanted.account, wanted.role, wanted.zh, wanted.en, whose, list(wanted.rights))
    with gatekeeper.pool.connection() as connection, connection.transaction():
        done = connection.execute(PUT, (*who, state, account.account, now, digest, now)).rowcount
        if not done:
            raise Refused(f"账户 {wanted.account} 已存在 / account {wanted.account} is there", account=wanted.account)
        _enrolled(decider, account, wanted, whose, now)
    return whose, state


def _party(account: Account, wanted: Appointing) -> str:
    if wanted.rights and wanted.role not in ENTITLED:
        raise Refused("只有企业用户有录入、申报权 / only an enterprise's users enter and declare", role=wanted.role)
    if account.role == "system-admin":
        whose = wanted.party.strip()
        return party_book.number(_kind(wanted), whose) if whose else _without(wanted)
    if wanted.role not in UNDER_ADMIN or wanted.party not in {"", account.party} or not account.party:
        raise Refused(
            "企业管理员只能任命本企业的用户 / an enterprise's administrator appoints users of its own party only",
            role=wanted.role,
            party=wanted.party,
        )
    return account.party


def _kind(wanted: Appointing) -> party_book.Kind:
    return wanted.party_kind or KIND.get(wanted.role, "operator")


def _without(wanted: Appointing) -> str:
    if wanted.role in KIND:
        raise Refused(f"角色 {wanted.role} 须属于一个单位 / {wanted.role} must belong to a party", role=wanted.role)
    return ""


def _enrolled(decider: Decider, account: Account, wanted: Appointing, whose: str, now: datetime) -> None:
    """The party, if it is new and was named, and its user, in the register."""
    if whose and account.role == "system-admin" and wanted.party_zh and wanted.party_en:
        names: dict[str, Any] = {"zh": wanted.party_zh, "en": wanted.party_en, "by": account.account, "at": now}
        kind = _kind(wanted)
        books.revoked(decider, whose, lambda state: () if state.kind else party_book.enrol(state, kind=kind, **names))
    about: dict[str, Any] = {"user": wanted.account, "role": wanted.role, "by": account.account, "at": now}
    books.decide(decider, whose, lambda state: party_book.appoint(state, **about, rights=wanted.rights))


# --- changing ---


def change(
    works: tuple[Gatekeeper, Decider], account: Account, name: str, wanted: Changing, digest: str = ""
) -> Person:
    """`digest`: of the password that it is reset to. Raises Unknown, Refused."""
    gatekeeper, decider = works
    with gatekeeper.pool.connection() as connection:
        with connection.transaction():
            found = _changeable(connection, account, name)
            _check(account, found, wanted)
            if wanted.rights is not None:
                connection.execute(
                    "UPDATE accounts SET rights = %s WHERE account = %s", (sorted(wanted.rights), found.account)
                )
            if wanted.state is not None:
                _put_state(connection, found, wanted.state, gatekeeper.clock())
            _reset(connection, found, wanted, digest, gatekeeper.clock())
            _told(decider, account, found, wanted, gatekeeper.clock())
        gatekeeper.forget()
        now = person(connection, name)
    assert now is not None
    return now


def _changeable(connection: psycopg.Connection[Any], account: Account, name: str) -> Person:
    connection.execute("SELECT 1 FROM accounts WHERE account = %s FOR UPDATE", (name,))
    found = person(connection, name)
    if found is None or not (found.under(account) or account.role == "security-admin"):
        raise Unknown(f"没有账户 {name} / there is no account {name}", account=name)
    if found.account == account.account:
        raise Refused("不能变更自己 / nobody changes himself", account=name)
    return found


def _check(account: Account, found: Person, wanted: Changing) -> None:
    if found.state == "dismissed":
        raise Refused(f"{found.account} 已注销 / {found.account} was dismissed for good", account=found.account)
    if found.state == "waiting" and account.account == found.made_by:
        raise Refused("须由他人核准 / somebody else has to agree", account=found.account)
    if wanted.rights and found.role not in ENTITLED:
        raise Refused("只有企业用户有录入、申报权 / only an enterprise's users enter and declare", role=found.role)
    if wanted.reset == "password" and found.role in TWO_FACTORS:
        raise Refused(
            "管理与审计账户的口令须在节点上重置（kouan account password） / "
            "an administrator's password is reset at the node: kouan account password",
            role=found.role,
        )


def _put_state(connection: psycopg.Connection[Any], found: Person, state: str, now: datetime) -> None:
    connection.execute("UPDATE accounts SET state = %s WHERE account = %s", (state, found.account))
    if state != "open":
        sessions.end_others(connection, found.account)
    if state == "dismissed":
        connection.execute(
            "UPDATE api_keys SET revoked_at = %s WHERE account = %s AND revoked_at IS NULL", (now, found.account)
        )


ONCE = """
UPDATE accounts SET password = %s, password_set_at = %s, password_once = true WHERE account = %s
"""


def _reset(connection: psycopg.Connection[Any], found: Person, wanted: Changing, digest: str, now: datetime) -> None:
    if wanted.reset == "password":
        connection.execute(ONCE, (digest, now, found.account))
        sessions.end_others(connection, found.account)
    if wanted.reset == "totp":
        totp.remove(connection, found.account)
        sessions.end_others(connection, found.account)
    if wanted.unlock:
        attempts.unlock(connection, found.account)


def _told(decider: Decider, account: Account, found: Person, wanted: Changing, now: datetime) -> None:
    about: dict[str, Any] = {"user": found.account, "by": account.account, "at": now}
    if wanted.rights is not None:
        more: dict[str, Any] = {"role": found.role, "rights": wanted.rights}
        books.decide(decider, found.party, lambda state: party_book.appoint(state, **about, **more))
    decision = {"open": party_book.resume_user, "suspended": party_book.suspend_user, "dismissed": party_book.dismiss}
    if wanted.state is not None and not (wanted.state == "open" and found.state == "waiting"):
        decided = decision[wanted.state]
        books.decide(decider, found.party, lambda state: decided(state, **about, reason=wanted.reason))


# --- routes ---

SEES: tuple[Role, ...] = ("enterprise-admin", "system-admin", "security-admin", "auditor")


@get("/v1/users", guards=[needs(*SEES)], tags=["account"])
async def users(request: AnyRequest, after: FromQuery[str] = "", limit: FromQuery[int] = 100) -> list[Person]:
    """The accounts that the caller may see, by name: of its own party, or for the node's administrators all."""
    account, gatekeeper = caller(request), request.app.state.gatekeeper
    query, given = f"{people.COLUMNS} WHERE account > %s", [after]
    if account.role == "enterprise-admin":
        query, given = f"{query} AND party = %s AND party <> ''", [after, account.party]

    def read() -> list[Person]:
        with gatekeeper.pool.connection() as connection:
            rows = connection.execute(
                f"{query} ORDER BY account LIMIT %s".encode(), (*given, min(max(limit, 1), LIMIT_MAX))
            )
            return [people.of(row) for row in rows]

    return await asyncio.to_thread(read)


@post("/v1/users", guards=[needs("enterprise-admin", "system-admin")], tags=["account"], status_code=201)
async def add_user(request: AnyRequest, commerce_decider: NamedDependency[Decider]) -> Response[Appointed]:
    """A new account, with a password that opens once."""
    account, wanted = caller(request), await body_as(request, Appointing)
    register.said("名称", "name", wanted.zh)
    register.said("名称", "name", wanted.en)
    password = passwords.once()
    digest, gatekeeper = await passwords.made(password), request.app.state.gatekeeper
    whose, state = await asyncio.to_thread(appoint, gatekeeper, commerce_decider, account, wanted, digest)
    detail = f"{wanted.role} {whose} {' '.join(wanted.rights)} {state}"
    await tell(request, APPOINTED, f"account:{wanted.account}", account=account, detail=detail)
    return Response(Appointed(wanted.account, state, password), headers={"Cache-Control": "no-store"})


@patch("/v1/users/{name:str}", guards=[needs("enterprise-admin", "security-admin")], tags=["account"])
async def change_user(
    request: AnyRequest, name: FromPath[str], commerce_decider: NamedDependency[Decider]
) -> Response[Changed]:
    """Suspend, resume, dismiss, set rights, unlock, or give a password that opens once."""
    account, wanted = caller(request), await body_as(request, Changing)
    password = passwords.once() if wanted.reset == "password" else ""
    digest = await passwords.made(password) if password else ""
    works = (request.app.state.gatekeeper, commerce_decider)
    found = await asyncio.to_thread(change, works, account, name, wanted, digest)
    for action, detail in _acts(wanted):
        await tell(request, action, f"account:{name}", account=account, detail=f"{detail} {wanted.reason}".strip())
    return Response(Changed(found, password), headers={"Cache-Control": "no-store"})


def _acts(wanted: Changing) -> list[tuple[str, str]]:
    """(action, detail) of each thing that was changed."""
    names = {"open": "user.resumed", "suspended": "user.suspended", "dismissed": "user.dismissed"}
    acts = [(names[wanted.state], "")] if wanted.state else []
    acts += [("user.rights", " ".join(wanted.rights))] if wanted.rights is not None else []
    acts += [("user.unlocked", "")] if wanted.unlock else []
    return acts + ([(f"user.{wanted.reset}_reset", "")] if wanted.reset else [])


ROUTES = (users, add_user, change_user)
