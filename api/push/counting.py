"""How much waits behind an endpoint's cursor, and where the newest of its item stands.

It is counted through the owner's view of the moment, so the number tells no more than the messages would. Only a number
leaves: that is no delivery, and costs nothing.
"""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import psycopg

from api.delivery import ALERTS_PUSH
from api.identity import Account
from api.login.people import person
from api.pool import Pool
from api.push import alert_log, sources
from api.push.alert_source import Alerts
from api.push.dcsa_body import DcsaEvents
from api.push.desk import Kept
from api.push.health import PENDING_MAX, Backlog
from api.way_out import Looking, WayOut
from api.wishes import resolved
from projections import sight
from projections.rights import Barred, View
from projections.sight import Outdated

ATTEMPTS_MAX = 3  # while the register is changing
AFTER = "SELECT after FROM push_endpoints WHERE endpoint_id = %s"
NEWEST = "SELECT coalesce(max(notification_id), 0) FROM cargo_events"


class Pending(NamedTuple):
    """`more`: there are more than were counted."""

    found: int
    more: bool


def newest(connection: psycopg.Connection[Any], item: str) -> int:
    """Behind which a new endpoint of this item begins, if its owner does not say."""
    if item == ALERTS_PUSH.code:
        return alert_log.last(connection)
    row = connection.execute(NEWEST).fetchone()
    assert row is not None
    return int(row[0])


async def pending(way_out: WayOut, pool: Pool, kept: Kept) -> Pending | None:
    """What its owner may be sent of what stands behind the cursor; None if that cannot be told now."""
    owner = await asyncio.to_thread(_owner, pool, kept.account)
    if owner is None:
        return None
    for _ in range(ATTEMPTS_MAX):
        with suppress(Outdated):
            try:
                view = way_out.register.view(owner, "push", commercial=True)
            except Barred:
                return Pending(0, more=False)
            return await asyncio.to_thread(_counted, way_out, pool, view, kept, owner)
        await asyncio.to_thread(way_out.register.refresh)
    return None


def added(backlog: Backlog, found: Pending | None) -> Backlog:
    """The backlog with what was counted."""
    return msgspec.structs.replace(backlog, pending=found.found, pending_more=found.more) if found else backlog


def _owner(pool: Pool, name: str) -> Account | None:
    with pool.connection() as connection:
        found = person(connection, name)
    return Account(found.account, found.role, found.zh, found.en, found.party, found.rights) if found else None


def _counted(way_out: WayOut, pool: Pool, view: View, kept: Kept, owner: Account) -> Pending:
    endpoint = sources.Endpoint(
        endpoint_id=kept.id,
        account=kept.account,
        item=kept.item,
        dialect=kept.dialect,
        url=kept.url,
        wanted=resolved(pool, owner, kept.filter),
        ordered=kept.ordered,
    )
    source = _source(pool, kept)
    with pool.connection() as node:
        row = node.execute(AFTER, (kept.id,)).fetchone()
    if row is None:
        return Pending(0, more=False)
    with way_out.readers.connection() as connection, sight.opened(connection, view) as look:
        batch = source.next(Looking(look), endpoint, row[0], PENDING_MAX)
    return Pending(len(batch.messages), batch.more)


def _source(pool: Pool, kept: Kept) -> sources.Source:
    if kept.item == ALERTS_PUSH.code:
        return Alerts(pool)
    return DcsaEvents(pool) if kept.dialect == "dcsa" else sources.Feed(pool)
