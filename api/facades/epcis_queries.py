"""Named EPCIS queries: `/epcis/v2/queries`, kept for the account that makes them, and asked by their name.

`POST` takes `{"name": …, "query": {…}}`, the parameters of `GET /events` with JSON lists; a name is given once, and is
free again after `DELETE`. `GET …/{name}/events` asks; its page tokens belong to the query as it was when they were
given out. Subscriptions to queries are not offered: the feed serves who must hear of everything.
Source: GS1 EPCIS 2.0, query control interface and REST bindings.
"""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from psycopg.types.json import Jsonb

from api.body import body_of
from api.capture import PATH, VERSIONS
from api.facades import epcis_filters
from api.facades.asking import BadQuery, shown
from api.facades.epcis import JSON, Asked, answer, paged
from api.facades.paging import Order, Token, encode, foreign
from api.identity import caller, needs
from api.pool import Pool
from api.way_out import WayOut
from domain.errors import Refused, Unknown

QUERIES_MAX = 100  # of one account
NAME = re.compile(r"[^/\x00-\x20\x7f?#%][^/\x00-\x1f\x7f?#%]{0,99}")

COUNT = "SELECT count(*) FROM epcis_queries WHERE account = %s"
ADD = """
INSERT INTO epcis_queries (account, name, created_at, query)
VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
MINE = "SELECT name, query FROM epcis_queries WHERE account = %s"
ONE = "SELECT query FROM epcis_queries WHERE account = %s AND name = %s"
REMOVE = "DELETE FROM epcis_queries WHERE account = %s AND name = %s"


class QueryNameTaken(Refused):
    slug = "query-name-taken"
    title = "There is a query of that name already"


class TooManyQueries(Refused):
    slug = "too-many-queries"
    title = "This account has as many queries as it may have"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    query: dict[str, Any]


@post("/queries", guards=[needs()], status_code=201)
async def keep(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Response[None]:
    """Keep a query under a name."""
    account, wanted = caller(request).account, _wanted(await body_of(request))
    epcis_filters.of_json(wanted.query)

    def add() -> None:
        with pool.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 19280))", (account,))
            row = connection.execute(COUNT, (account,)).fetchone()
            if row and row[0] >= QUERIES_MAX:
                raise TooManyQueries(
                    f"已有 {row[0]} 个查询 / there are {row[0]} queries; remove one first", count=row[0]
                )
            added = connection.execute(ADD, (account, wanted.name, datetime.now(UTC), Jsonb(wanted.query)))
            if added.rowcount != 1:
                raise QueryNameTaken(f"已有同名查询 / there is one already: {wanted.name!r}", name=wanted.name)

    await asyncio.to_thread(add)
    return Response(None, status_code=201, headers={**VERSIONS, "Location": f"{PATH}/queries/{quote(wanted.name)}"})


def _wanted(raw: bytes) -> Wanted:
    try:
        wanted = msgspec.json.decode(raw, type=Wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(("body", f"须为 name 与 query / name and query are wanted: {str(error)[:120]}")) from error
    if not NAME.fullmatch(wanted.name):
        raise BadQuery(
            ("name", f"名称不可用 / not a name of 1 to 100 characters without / ? # %: {shown(wanted.name)}")
        )
    kept = {name: value for name, value in wanted.query.items() if name != "@context"}
    return Wanted(name=wanted.name, query=kept)


@get("/queries", guards=[needs()])
async def queries(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Response[bytes]:
    """One's own queries, by name; `Link` leads to the next page where there is one."""
    account = caller(request).account
    pairs, token, limit = paged(request)
    if pairs or token.query:
        raise BadQuery(((pairs or token.query)[0][0], "没有此参数 / there is no such parameter"))

    def look() -> list[tuple[Any, ...]]:
        with pool.connection() as connection:
            return connection.execute(MINE, (account,)).fetchall()

    keyed = [((name,), {"name": name, "query": query}) for name, query in await asyncio.to_thread(look)]
    page = Order().cut(keyed, token, limit)
    headers = dict(VERSIONS)
    if page.behind:
        behind = encode(msgspec.structs.replace(page.behind, limit=limit))
        headers["Link"] = f'<{PATH}/queries?perPage={limit}&nextPageToken={behind}>; rel="next"'
    return Response(msgspec.json.encode(page.items), media_type=JSON, headers=headers)


@get("/queries/{name:str}", guards=[needs()])
async def query(request: Request[Any, Any, Any], name: FromPath[str], pool: NamedDependency[Pool]) -> Response[bytes]:
    """A query as it was made."""
    found = await asyncio.to_thread(_find, pool, caller(request).account, name)
    body = msgspec.json.encode({"name": name, "query": found})
    return Response(body, media_type=JSON, headers=dict(VERSIONS))


@delete("/queries/{name:str}", guards=[needs()], status_code=204)
async def forget(request: Request[Any, Any, Any], name: FromPath[str], pool: NamedDependency[Pool]) -> Response[None]:
    """Remove a query."""
    account = caller(request).account

    def remove() -> None:
        with pool.connection() as connection:
            if connection.execute(REMOVE, (account, name)).rowcount != 1:
                raise _unknown(name)

    await asyncio.to_thread(remove)
    return Response(None, status_code=204, headers=dict(VERSIONS))


@get("/queries/{name:str}/events", guards=[needs()])
async def ask(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """The events that a query finds now. Free."""
    account = caller(request)
    filters, token, limit = paged(request)
    if filters:
        raise BadQuery((shown(filters[0][0]), "没有此参数 / there is no such parameter"))
    found = await asyncio.to_thread(_find, pool, account.account, name)
    pairs = ((name, msgspec.json.encode(found, order="deterministic").decode()),)
    if token != Token() and token.query != pairs:
        raise foreign()
    search = epcis_filters.of_json(found)
    path = f"{PATH}/queries/{quote(name)}/events"
    asked = Asked(account=account, search=search, token=token, limit=limit, path=path, name=name, pairs=pairs)
    return await answer(pool, way_out, asked)


def _find(pool: Pool, account: str, name: str) -> dict[str, Any]:
    if not NAME.fullmatch(name):
        raise _unknown(name)
    with pool.connection() as connection:
        row: tuple[dict[str, Any]] | None = connection.execute(ONE, (account, name)).fetchone()
    if row is None:
        raise _unknown(name)
    return row[0]


def _unknown(name: str) -> Unknown:
    return Unknown(f"没有查询 {name[:60]!r} / no query {name[:60]!r}", name=name[:60])


ROUTES = [keep, queries, query, forget, ask]
