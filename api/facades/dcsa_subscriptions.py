"""DCSA event subscriptions: `/dcsa/v2/event-subscriptions`, kept for the account that makes them.

The body is the published one: a callback address and filters as of `GET /events`. The secret is taken (base64 of 32 to
64 bytes), kept sealed, and never given back. Each is an endpoint too (`/v1/endpoints/ID`: state, health, replay), and
is sent events from the position on that is noted with it. The address is not called when it is told to us.
Source: DCSA Track & Trace 2.2.0; the length of the secret is that of the reference implementation.
"""

import asyncio
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import MediaType, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from psycopg.types.json import Jsonb

from api.body import body_of
from api.facades import callbacks, dcsa_filters
from api.facades.asking import BadQuery, shown
from api.facades.dcsa import links, paged, versioned
from api.facades.dcsa_filters import ALIASES, CODES, LENGTHS
from api.facades.paging import CONTROL, Order, foreign
from api.identity import caller, needs
from api.pool import Pool
from api.push import dcsa, desk
from api.settings import Settings
from domain.errors import Refused, Unknown

SUBSCRIPTIONS_MAX = 100  # of one account
SECRET_BYTES = range(32, 65)
Body = dict[str, Any]

COUNT = "SELECT count(*) FROM dcsa_subscriptions WHERE account = %s"
ADD = """
INSERT INTO dcsa_subscriptions (subscription_id, account, created_at, changed_at, after, body, secret)
VALUES (%s, %s, %s, %s, (SELECT coalesce(max(notification_id), 0) FROM cargo_events), %s, '')
RETURNING after
"""
MINE = "SELECT subscription_id, body, created_at FROM dcsa_subscriptions WHERE account = %s"
ONE = "SELECT body FROM dcsa_subscriptions WHERE account = %s AND subscription_id = %s"
CHANGE = """
UPDATE dcsa_subscriptions SET body = %s, changed_at = %s WHERE account = %s AND subscription_id = %s
"""
TOUCH = "UPDATE dcsa_subscriptions SET changed_at = %s WHERE account = %s AND subscription_id = %s"
REMOVE = "DELETE FROM dcsa_subscriptions WHERE account = %s AND subscription_id = %s"
REMOVE_ENDPOINT = "DELETE FROM push_endpoints WHERE endpoint_id = %s"


class TooManySubscriptions(Refused):
    slug = "too-many-subscriptions"
    title = "This account has as many subscriptions as it may have"


# --- the body ---


def checked(raw: bytes, *, secret: bool, subscription_id: UUID | None = None) -> tuple[Body, bytes]:
    """The body as it is kept, and the secret. Raises BadQuery with everything that is wrong."""
    said = _object(raw)
    faults: list[tuple[str, str]] = []
    told, key = said.pop("secret", None), b""
    if secret:
        key, fault = _secret(told)
        faults += [("secret", fault)] if fault else []
    elif told is not None:
        faults.append(("secret", "此处不得给出，请用 /secret / not here; use …/secret"))
    if said.pop("subscriptionID", None) not in {None, str(subscription_id or "")}:
        faults.append(("subscriptionID", "与路径不符 / not that of the path"))
    for name, value in said.items():
        if fault := _fault(name, value):
            faults.append((shown(name), fault))
    if "callbackUrl" not in said:
        faults.append(("callbackUrl", "必填 / it is missing"))
    if not faults:  # only then are the lists such
        lists = {name: frozenset(value) for name, value in said.items() if name in CODES and value}
        faults = dcsa_filters.contradictions(lists)
    if faults:
        raise BadQuery(*faults)
    return said, key


def _object(raw: bytes) -> Body:
    try:
        said: Body = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(("body", f"不是 JSON 对象 / not a JSON object: {str(error)[:120]}")) from error
    return {name: value for name, value in said.items() if value is not None}


def _secret(value: Any) -> tuple[bytes, str]:
    try:
        key = b64decode(value, validate=True) if isinstance(value, str) else b""
    except (NotBase64, ValueError):
        key = b""
    sound = len(key) in SECRET_BYTES
    return key, "" if sound else "须为 32 至 64 字节的 base64 / it must be base64 of 32 to 64 bytes"


def _fault(name: str, value: Any) -> str:
    """What is wrong with one member, "" if nothing is."""
    if name == "callbackUrl":
        return callbacks.refusal(value) if isinstance(value, str) else "须为字符串 / it must be a string"
    if codes := LISTS.get(name):
        listed = value if isinstance(value, list) else [None]
        unknown = [each for each in listed if not isinstance(each, str) or each not in codes]
        return f"须为代码列表 / a list of these is wanted: {' '.join(sorted(codes))}" if unknown else ""
    length = LENGTHS.get(ALIASES.get(name, name))
    if length is None:
        return "没有此字段 / there is no such member"
    if not isinstance(value, str) or not 0 < len(value) <= length or CONTROL.search(value):
        return f"须为 1 至 {length} 个字符 / it must have 1 to {length} characters"
    uuid = name not in dcsa_filters.UUIDS or re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value)
    return "" if uuid else "不是 UUID / it is not a UUID"


LISTS = {**CODES, "transportDocumentTypeCode": frozenset({"BOL", "SWB"})}
SORTED_BY = frozenset({"subscriptionID", "callbackUrl", *LENGTHS, *ALIASES})


# --- over HTTP ---


@post("/event-subscriptions", guards=[needs()], status_code=201)
async def subscribe(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], settings: NamedDependency[Settings]
) -> Response[bytes]:
    """Make a subscription."""
    account = caller(request).account
    body, secret = checked(await body_of(request), secret=True)
    subscription_id, now, vault = uuid4(), datetime.now(UTC), request.app.state.vault

    def add() -> None:
        with pool.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 19279))", (account,))
            row = connection.execute(COUNT, (account,)).fetchone()
            if row and row[0] >= SUBSCRIPTIONS_MAX:
                raise TooManySubscriptions(
                    f"已有 {row[0]} 个订阅 / there are {row[0]} subscriptions already; remove one first", count=row[0]
                )
            added = connection.execute(ADD, (subscription_id, account, now, now, Jsonb(body))).fetchone()
            assert added is not None
            new = dcsa.endpoint(
                subscription_id, account, body["callbackUrl"], desk.Begin(added[0], settings.following.epoch)
            )
            dcsa.made(connection, vault, new, secret, now)

    await asyncio.to_thread(add)
    return _told(_shown(subscription_id, body), 201)


@get("/event-subscriptions", guards=[needs()])
async def subscriptions(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Response[bytes]:
    """One's own subscriptions, oldest first unless `sort` says otherwise."""
    account = caller(request).account
    pairs, token, limit = paged(request)
    own = pairs or token.query
    order = _order(own)
    if token.query and pairs and order != _order(token.query):
        raise foreign()

    def look() -> list[tuple[Any, ...]]:
        with pool.connection() as connection:
            return connection.execute(MINE, (account,)).fetchall()

    keyed = []
    for subscription_id, body, created_at in await asyncio.to_thread(look):
        shown_as = _shown(subscription_id, body)
        by = tuple(str(shown_as.get(name, "")) for name, _ in order.fields)
        keyed.append(((*by, f"{created_at.astimezone(UTC).isoformat()} {subscription_id}"), shown_as))
    page = order.cut(keyed, token, limit)
    headers = versioned(links(own, token, limit, page.before, page.behind))
    return Response(msgspec.json.encode(page.items), media_type=MediaType.JSON, headers=headers)


def _order(pairs: tuple[tuple[str, str], ...]) -> Order:
    order = Order()
    for name, value in pairs:
        if name != "sort":
            raise BadQuery((shown(name), "没有此参数 / there is no such parameter"))
        try:
            order = dcsa_filters.sorting(value, SORTED_BY)
        except ValueError as error:
            raise BadQuery((name, str(error))) from error
    return order


@get("/event-subscriptions/{subscription_id:str}", guards=[needs()])
async def subscription(
    request: Request[Any, Any, Any], subscription_id: FromPath[str], pool: NamedDependency[Pool]
) -> Response[bytes]:
    """One of one's own subscriptions."""
    account, wanted = caller(request).account, _id(subscription_id)

    def look() -> Body:
        with pool.connection() as connection:
            row = connection.execute(ONE, (account, wanted)).fetchone()
        if row is None:
            raise _unknown(subscription_id)
        body: Body = row[0]
        return body

    return _told(_shown(wanted, await asyncio.to_thread(look)), 200)


@put("/event-subscriptions/{subscription_id:str}", guards=[needs()])
async def change(
    request: Request[Any, Any, Any], subscription_id: FromPath[str], pool: NamedDependency[Pool]
) -> Response[bytes]:
    """Another address, or other filters; the secret stays."""
    account, wanted = caller(request).account, _id(subscription_id)
    body, _ = checked(await body_of(request), secret=False, subscription_id=wanted)
    now = datetime.now(UTC)

    def write(connection: psycopg.Connection[Any]) -> None:
        _written(connection, CHANGE, (Jsonb(body), now, account, wanted), subscription_id)
        dcsa.changed(connection, wanted, body["callbackUrl"], now)

    await asyncio.to_thread(_together, pool, write)
    return _told(_shown(wanted, body), 200)


@put("/event-subscriptions/{subscription_id:str}/secret", guards=[needs()], status_code=204)
async def change_secret(
    request: Request[Any, Any, Any], subscription_id: FromPath[str], pool: NamedDependency[Pool]
) -> Response[None]:
    """Another secret."""
    account, wanted = caller(request).account, _id(subscription_id)
    said = _object(await body_of(request))
    secret, fault = _secret(said.get("secret"))
    if fault or said.keys() != {"secret"}:
        raise BadQuery(("secret", fault or "只有此字段 / it is the only member"))
    now, vault = datetime.now(UTC), request.app.state.vault

    def write(connection: psycopg.Connection[Any]) -> None:
        _written(connection, TOUCH, (now, account, wanted), subscription_id)
        dcsa.secret_changed(connection, vault, wanted, secret, now)

    await asyncio.to_thread(_together, pool, write)
    return Response(None, status_code=204, headers=versioned({}))


@delete("/event-subscriptions/{subscription_id:str}", guards=[needs()], status_code=204)
async def unsubscribe(
    request: Request[Any, Any, Any], subscription_id: FromPath[str], pool: NamedDependency[Pool]
) -> Response[None]:
    """End a subscription."""
    account, wanted = caller(request).account, _id(subscription_id)

    def write(connection: psycopg.Connection[Any]) -> None:
        _written(connection, REMOVE, (account, wanted), subscription_id)
        connection.execute(REMOVE_ENDPOINT, (wanted,))

    await asyncio.to_thread(_together, pool, write)
    return Response(None, status_code=204, headers=versioned({}))


def _together(pool: Pool, write: Callable[[psycopg.Connection[Any]], None]) -> None:
    with pool.connection() as connection, connection.transaction():
        write(connection)


def _written(
    connection: psycopg.Connection[Any], statement: str, values: tuple[Any, ...], subscription_id: str
) -> None:
    if connection.execute(statement.encode(), values).rowcount != 1:
        raise _unknown(subscription_id)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _unknown(text) from None


def _unknown(text: str) -> Unknown:
    return Unknown(f"没有订阅 {text[:60]!r} / no subscription {text[:60]!r}", subscription_id=text[:60])


def _shown(subscription_id: UUID, body: Body) -> Body:
    return {"subscriptionID": str(subscription_id), **body}


def _told(body: Body, status: int) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON, headers=versioned({}))


ROUTES = [subscribe, subscriptions, subscription, change, change_secret, unsubscribe]
