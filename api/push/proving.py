"""Asking a receiver: whether it wants our messages (a challenge that must come back), and how it takes a sample.

Without the challenge anybody could have a stranger's server flooded. It is a signed message of type
`endpoint.challenge`; the answer must be 2xx and bring `data.challenge` back, as `{"challenge": …}` or as bare text. The
DCSA standard knows no challenge: there an empty array, signed as always, must be taken with 2xx. What a receiver said
is shown for verified endpoints only: the answers of a stranger's, or of an inner, server are nobody's.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from api.login.vault import Vault
from api.pool import Pool
from api.push import dcsa, desk, keyring, networks, signing
from api.push.desk import Kept
from api.push.http import Answer, Client
from api.push.schedule import ATTEMPTS_MAX, pause
from api.push.signing import Key
from api.push.ssrf import Network

SHOWN_CHARS_MAX = 1_000  # of a receiver's answer
CHALLENGE_BYTES = 24
SILENT = "未能验证：接收端不接受空数组 / never verified: it does not take an empty array"
Purpose = Literal["challenge", "test"]
SAMPLE = {
    "position": 0,
    "subject": "container:CSQU3054383",
    "fact_id": "00000000-0000-8000-8000-000000000000",
    "fact": {
        "fact": "container.gated_in",
        "happened_at": "2026-03-01T02:00:00Z",
        "recorded_at": "2026-03-01T02:00:05Z",
        "code": "GATE_IN",
        "place": "CNSHG",
    },
}
"""No cargo of anybody's."""


log = logging.getLogger("kouan.push.proving")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one message sent now. `answer`: its beginning; only of a verified endpoint."""

    message_id: str
    delivered: bool
    verified: bool
    status: int | None  # none: no answer
    seconds: float
    error: str
    answer: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """The body of every message but DCSA's."""

    type: str
    timestamp: str  # RFC 3339
    data: Any


LOG = """
INSERT INTO push_attempts (endpoint_id, at, message_id, kind, position, subject, attempt, seconds, status, error)
VALUES (%s, %s, %s, 'test', 0, '', 1, %s, %s, %s)
"""


class Prover(NamedTuple):
    """Sends one message, outside the feed, and reads the answer."""

    pool: Pool
    vault: Vault
    client: Client

    async def verify(self, kept: Kept, now: datetime) -> Asked:
        """One challenge; who answers it is active from now on, unless its address has been changed meanwhile."""
        challenge = secrets.token_urlsafe(CHALLENGE_BYTES)
        data = {"challenge": challenge, "endpoint": str(kept.id)}
        message_id, answer = await self._send(kept, "challenge", data, now)
        wanted = answer.taken and (kept.dialect == "dcsa" or _returned(answer.body, challenge))
        if wanted and kept.state == "unverified":
            await asyncio.to_thread(self._done, kept, now)
        error = answer.error or ("" if wanted or not answer.taken else "challenge not returned")
        return _asked(message_id, answer, verified=wanted or kept.state != "unverified", error=error)

    async def test(self, kept: Kept, now: datetime) -> Asked:
        """One sample. It is free, and says by its type that it is one."""
        message_id, answer = await self._send(kept, "test", SAMPLE, now)
        return _asked(message_id, answer, verified=kept.state != "unverified", error=answer.error)

    async def _send(self, kept: Kept, purpose: Purpose, data: Any, now: datetime) -> tuple[str, Answer]:
        keys, allowed = await asyncio.to_thread(self._means, kept, now)
        message_id = f"msg_{kept.id.hex[:12]}_{purpose}_{secrets.token_hex(6)}"
        timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = b"[]"
        if kept.dialect == "webhook":
            body = msgspec.json.encode(Envelope(f"endpoint.{purpose}", timestamp, data))
        headers = signing.headers(keys, message_id, now, body)
        if kept.dialect == "dcsa":
            headers |= signing.dcsa_headers(keys, kept.id, body)
        answer = await self.client.post(kept.url, body, headers, allowed)
        await asyncio.to_thread(self._logged, kept, message_id, now, answer)
        return message_id, answer

    def _means(self, kept: Kept, now: datetime) -> tuple[Sequence[Key], Sequence[Network]]:
        with self.pool.connection() as connection:
            keys = keyring.signing(connection, self.vault, [kept.id], now)[kept.id]
            return keys, networks.of(connection, kept.account)

    def _done(self, kept: Kept, now: datetime) -> None:
        with self.pool.connection() as connection:
            desk.proved(connection, kept, now)

    def _logged(self, kept: Kept, message_id: str, now: datetime, answer: Answer) -> None:
        with self.pool.connection() as connection:
            connection.execute(LOG, (kept.id, now, message_id, answer.seconds, answer.status, answer.error))


def _asked(message_id: str, answer: Answer, *, verified: bool, error: str) -> Asked:
    text = answer.body.decode("utf-8", "replace")[:SHOWN_CHARS_MAX] if verified else ""
    return Asked(
        message_id=message_id,
        delivered=answer.taken,
        verified=verified,
        status=answer.status,
        seconds=round(answer.seconds, 3),
        error=error,
        answer=text,
    )


def _returned(body: bytes, challenge: str) -> bool:
    """Whether a receiver brought the challenge back; one that echoes whatever it is sent does not do it this way."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = body.decode("utf-8", "replace").strip()
    told = said.get("challenge") if isinstance(said, dict) else said
    return isinstance(told, str) and hmac.compare_digest(told.encode(), challenge.encode())


# --- DCSA subscriptions, which nobody verifies by hand ---

WAITING = """
SELECT endpoint_id, failures
FROM push_endpoints
WHERE dialect = 'dcsa' AND state = 'unverified' AND next_at <= %s
ORDER BY next_at
LIMIT %s
FOR UPDATE SKIP LOCKED
"""
LATER = "UPDATE push_endpoints SET failures = failures + 1, next_at = %s WHERE endpoint_id = %s"
ROUND_MAX = 20
PROVING_SECONDS = 5.0


async def prove_subscriptions(prover: Prover, now: datetime, chance: Random) -> int:
    """Ask the callbacks of new DCSA subscriptions that are due. Returns how many were asked.

    The sender calls it every few seconds. Who does not answer is asked again by the schedule of messages; at its end
    the subscription is disabled, with the reason.
    """
    due = await asyncio.to_thread(_due, prover.pool, now, chance)
    await asyncio.gather(*(prover.verify(kept, now) for kept in due))
    return len(due)


async def prove_for_ever(prover: Prover, clock: Callable[[], datetime], chance: Random) -> None:
    """Beside the sender; ends when it is cancelled."""
    adopted = False
    while True:
        try:
            if not adopted:
                await asyncio.to_thread(dcsa.adopt, prover.pool, prover.vault, clock())
                adopted = True
            await prove_subscriptions(prover, clock(), chance)
        except (psycopg.Error, PoolTimeout):
            log.warning("暂不能验证回调 / callbacks cannot be asked now", exc_info=True)
        await asyncio.sleep(PROVING_SECONDS)


def _due(pool: Pool, now: datetime, chance: Random) -> list[Kept]:
    """Another sender that looks does not find them before their next turn."""
    found = []
    with pool.connection() as connection, connection.transaction():
        for endpoint_id, failures in connection.execute(WAITING, (now, ROUND_MAX)).fetchall():
            kept = desk.named(connection, endpoint_id, now)
            assert kept is not None
            if failures >= ATTEMPTS_MAX:
                desk.set_state(connection, kept, "disabled", SILENT, now)
                continue
            connection.execute(LATER, (now + pause(failures + 1, chance), endpoint_id))
            found.append(kept)
    return found
