"""The audit trail for those who audit: `GET /v1/audit`, and what anybody may keep a copy of: its head and its keys.

An auditor sees everything, an administrator of an enterprise what was done in its own party's name. Each look is told
in the trail, durable before the answer leaves. Times are UTC.
"""

import asyncio
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.audit_lines import Line, line
from api.identity import Account, caller, needs
from api.pool import Pool
from api.trail import Trail
from domain.errors import Malformed, Unknown
from projections import audit, audit_rows
from projections.audit_check import Head
from projections.audit_rows import Asked

PAGE, PAGE_MAX = 100, 1_000
N_MAX = 2**63 - 1
VALUE_CHARS_MAX = 200
SEES_ALL = frozenset({"auditor"})


class Page(msgspec.Struct, frozen=True):
    """Newest first; oldest first where `after` was given. `more`: there are others, behind the last one's `n`."""

    lines: list[Line]
    more: bool
    last: int  # number of the newest entry of the chain


class PublicHead(msgspec.Struct, frozen=True):
    """The newest signed head. Whoever keeps it can prove later that nothing up to `n` was changed."""

    node: str
    n: int
    hash: str  # hex
    at: datetime
    key: str
    signature: str  # base 64, Ed25519 over the five lines told in docs/audit.md


class PublicKey(msgspec.Struct, frozen=True):
    key: str
    public: str  # base 64, Ed25519
    algorithm: str = "ed25519"


@get("/v1/audit", guards=[needs("auditor", "enterprise-admin")], tags=["audit"])
async def entries(
    request: Request[Any, Any, Any],
    *,
    pool: NamedDependency[Pool],
    trail: NamedDependency[Trail],
    who: FromQuery[str] = "",
    action: FromQuery[str] = "",
    object: FromQuery[str] = "",  # noqa: A002  the word of the trail
    result: FromQuery[str] = "",
    party: FromQuery[str] = "",
    since: Annotated[datetime | None, QueryParameter(name="from")] = None,
    until: Annotated[datetime | None, QueryParameter(name="to")] = None,
    after: Annotated[int | None, QueryParameter(ge=0, le=N_MAX)] = None,
    before: Annotated[int | None, QueryParameter(ge=0, le=N_MAX)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> Page:
    """Who did what, to what, under which leave. `action` also by its beginning: `login` finds `login.totp`."""
    account = caller(request)
    words = {"who": who, "action": action, "object": object, "result": result, "party": party}
    for name, moment in (("from", since), ("to", until)):
        if moment is not None and moment.tzinfo is None:
            raise Malformed(
                f"{name} 须带时区，如 2026-11-01T00:00:00+08:00 / {name} has no offset; write it as that", field=name
            )
    asked = _own(account, Asked(**words, since=since, until=until, after=after, before=before))
    page = await asyncio.to_thread(_look, pool, asked, limit)
    said = " ".join(f"{name}={value}" for name, value in words.items() if value)
    await trail.tell("audit.read", "audit", account=account, detail=f"{said} {len(page.lines)}".strip())
    return page


def _own(account: Account, asked: Asked) -> Asked:
    """What this caller may look for: all, or what was done in its party's name. Raises Unknown for a stranger's."""
    if account.role in SEES_ALL:
        return asked
    if not account.party or asked.party not in {"", account.party}:
        raise Unknown("没有可查的记录 / there is nothing here for this account")
    return msgspec.structs.replace(asked, party=account.party)


def _look(pool: Pool, asked: Asked, limit: int) -> Page:
    with pool.connection() as connection:
        rows = audit_rows.look(connection, asked, limit + 1)
        last = audit.state(connection).n
    return Page([line(row) for row in rows[:limit]], len(rows) > limit, last)


@get("/v1/audit/head", tags=["audit"])
async def head(pool: NamedDependency[Pool]) -> PublicHead:
    """The newest signed head, for everybody. 404 before there is one."""
    found, node = await asyncio.to_thread(_head, pool)
    if found is None:
        raise Unknown("尚无签发的链头 / no head has been signed yet")
    signature = b64encode(found.signature).decode()
    return PublicHead(node, found.n, found.hash.hex(), found.at, found.key_id, signature)


def _head(pool: Pool) -> tuple[Head | None, str]:
    with pool.connection() as connection:
        return audit_rows.last_head(connection), audit.state(connection).node


@get("/v1/audit/keys", tags=["audit"])
async def keys(pool: NamedDependency[Pool]) -> list[PublicKey]:
    """The public keys that heads were signed with, oldest first, for everybody."""

    def read() -> dict[str, bytes]:
        with pool.connection() as connection:
            return audit_rows.keys(connection)

    found = await asyncio.to_thread(read)
    return [PublicKey(name, b64encode(public).decode()) for name, public in found.items()]


ROUTES = (entries, head, keys)
