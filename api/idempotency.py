"""`Idempotency-Key`: the same request sent again gets the same answer, byte for byte, and has its effect once.

A key belongs to its account. Its first request holds it while it works; the answer is kept with it. What went wrong is
not kept: a fault of ours and a request that was turned away may be sent again. A process that dies between its commit
and the keeping of the answer leaves a key that is held: after HELD_SECONDS the next one takes it over and does the work
again under the same transmission id, by which the journal knows its own and answers as it did before.

Times are UTC, kept for KEPT_DAYS: sources send again after a week-end.
Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import Request, Response
from psycopg.types.json import Jsonb

from api import limits
from api.pool import Pool
from api.problems import IdempotencyInProgress, IdempotencyKey, IdempotencyMismatch
from domain.fact import digest_id
from domain.writer import Busy

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
HELD_SECONDS = 60
KEPT_DAYS = 7
PURGE_ONE_IN = 1_000  # requests with a key; the projector purges when it starts
PURGE_ROWS = 10_000

log = logging.getLogger("kouan.idempotency")

TABLES = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    account     text NOT NULL REFERENCES accounts,
    key         text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,          -- SHA-256 of the request
    holder      uuid NOT NULL,           -- the request that works, or has worked
    held_at     timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    status      smallint,                -- HTTP; NULL while it is in progress
    headers     jsonb,
    body        bytea,
    PRIMARY KEY (account, key)
);
CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at);
"""
HOLD = """
INSERT INTO idempotency_keys AS held (account, key, fingerprint, holder)
VALUES (%(account)s, %(key)s, %(fingerprint)s, %(holder)s)
ON CONFLICT (account, key) DO UPDATE
SET holder = excluded.holder, held_at = now()
WHERE held.status IS NULL AND held.fingerprint = excluded.fingerprint
  AND held.held_at < now() - make_interval(secs => %(seconds)s)
RETURNING holder
"""
READ = """
SELECT fingerprint, status, headers, body
FROM idempotency_keys
WHERE account = %s AND key = %s
"""
KEEP = """
UPDATE idempotency_keys
SET status = %s, headers = %s, body = %s
WHERE account = %s AND key = %s AND holder = %s AND status IS NULL
"""
LET_GO = """
UPDATE idempotency_keys
SET held_at = '-infinity'
WHERE account = %s AND key = %s AND holder = %s AND status IS NULL
"""
PURGE = """
DELETE FROM idempotency_keys
WHERE ctid IN (SELECT ctid FROM idempotency_keys WHERE created_at < now() - %s LIMIT %s)
"""


class Answer(msgspec.Struct, frozen=True):
    """What goes out, and will go out again."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self, *, replayed: bool = False) -> Response[bytes]:
        headers = {name: value for name, value in self.headers.items() if name != "Content-Type"}
        if replayed:
            headers[REPLAYED] = "true"
        return Response(self.body, status_code=self.status, media_type=self.headers["Content-Type"], headers=headers)


class Ask(msgspec.Struct, frozen=True):
    """A request with a key."""

    account: str
    key: str
    fingerprint: bytes  # SHA-256

    @property
    def transmission_id(self) -> UUID:
        """Of what this very request sends, however often; another body is another transmission."""
        return digest_id(self.account, "idempotency", self.key, self.fingerprint.hex())


def key_of(request: Request[Any, Any, Any]) -> str | None:
    """The key, if there is one. Raises IdempotencyKey for one that cannot be kept."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= limits.KEY_CHARS_MAX or not key.isprintable():
        raise IdempotencyKey(
            f"{HEADER} 须为 1 至 {limits.KEY_CHARS_MAX} 个可见字符 / "
            f"{HEADER} is of 1 to {limits.KEY_CHARS_MAX} printable characters",
            chars=len(key),
            limit_chars=limits.KEY_CHARS_MAX,
        )
    return key


def ask(request: Request[Any, Any, Any], account: str, key: str, body: bytes, *meaning: str) -> Ask:
    """The request, told from others by account, method, path with query, body, and what else gives it its meaning."""
    url = request.url
    said = "\x1f".join((account, request.method, url.path, url.query, *meaning, ""))
    return Ask(account, key, sha256(said.encode() + body).digest())


async def once(pool: Pool, asked: Ask, work: Callable[[UUID], Awaitable[Answer]]) -> Response[bytes]:
    """The answer kept under the key, or else that of `work`, which gets the id for its transmission.

    Raises IdempotencyMismatch if the key was used for another request, IdempotencyInProgress while one with it is
    at work, and what `work` raises, which is not kept.
    """
    holder = uuid4()
    try:
        kept = await asyncio.to_thread(_hold, pool, asked, holder)
    except psycopg.OperationalError as error:
        raise Busy("数据库暂不可用，请重试 / the database cannot be reached; try again") from error
    if kept is not None:
        return kept.response(replayed=True)
    try:
        answer = await work(asked.transmission_id)
    except BaseException:
        with suppress(psycopg.Error):  # then it is free after HELD_SECONDS
            await asyncio.to_thread(_let_go, pool, asked, holder)
        raise
    try:
        earlier = await asyncio.to_thread(_keep, pool, asked, holder, answer)
    except psycopg.OperationalError:
        log.exception("the answer under key %r cannot be kept; a repetition will work it out again", asked.key)
        earlier = None
    return earlier.response(replayed=True) if earlier else answer.response()


def _hold(pool: Pool, asked: Ask, holder: UUID) -> Answer | None:
    """None: the key is ours, and there is work to do."""
    values = {
        "account": asked.account,
        "key": asked.key,
        "fingerprint": asked.fingerprint,
        "holder": holder,
        "seconds": HELD_SECONDS,
    }
    with pool.connection() as connection:
        if secrets.randbelow(PURGE_ONE_IN) == 0:
            purge(connection)
        while connection.execute(HOLD, values, prepare=True).fetchone() is None:
            if (answer := _kept(connection, asked)) is not None:
                return answer
    return None


def _kept(connection: psycopg.Connection[Any], asked: Ask) -> Answer | None:
    """The answer under this key; None if the key has just gone. Raises IdempotencyMismatch or IdempotencyInProgress."""
    row = connection.execute(READ, (asked.account, asked.key), prepare=True).fetchone()
    if row is None:
        return None
    fingerprint, status, headers, body = row
    if bytes(fingerprint) != asked.fingerprint:
        raise IdempotencyMismatch(
            f"{HEADER} {asked.key!r} 已用于另一请求 / {HEADER} {asked.key!r} was used for another request",
            key=asked.key,
        )
    if status is None:
        raise IdempotencyInProgress(
            f"{HEADER} {asked.key!r} 的请求仍在处理 / the request with {HEADER} {asked.key!r} is still at work",
            key=asked.key,
        )
    return Answer(status, headers, bytes(body))


def _keep(pool: Pool, asked: Ask, holder: UUID, answer: Answer) -> Answer | None:
    """Keep the answer; if another request has taken the key over and was faster, its answer counts."""
    values = (answer.status, Jsonb(answer.headers), answer.body, asked.account, asked.key, holder)
    with pool.connection() as connection:
        if connection.execute(KEEP, values, prepare=True).rowcount:
            return None
        return _kept(connection, asked)


def _let_go(pool: Pool, asked: Ask, holder: UUID) -> None:
    with pool.connection() as connection:
        connection.execute(LET_GO, (asked.account, asked.key, holder))


def purge(connection: psycopg.Connection[Any]) -> int:
    """Forget what is older than KEPT_DAYS, PURGE_ROWS at a time. Returns how many."""
    return connection.execute(PURGE, (timedelta(days=KEPT_DAYS), PURGE_ROWS)).rowcount


def purge_all(conninfo: str) -> None:
    """Forget everything that is older; if it cannot be done now, another time will do."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while purge(connection):
                pass
    except psycopg.Error as error:
        log.warning("old idempotency keys stay: %s", error)
