"""`kouan push`: the process that sends. Several may run: each endpoint is served by one of them at a time."""

import asyncio
import logging
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import click
import msgspec
import uvloop

from api.delivery import ALERTS_PUSH, FEED_PUSH, Deliveries
from api.entitlement import Entitlements
from api.login.vault import Vault
from api.pool import Pool, open_pool, open_readers
from api.push import proving
from api.push.alert_source import Alerts
from api.push.dcsa_body import DcsaEvents
from api.push.engine import POLL_SECONDS, Engine, News, utcnow
from api.push.http import Client, Limits
from api.push.reading import Entitling, Means
from api.push.sources import Feed, Source
from api.push.ssrf import HTTPS_PORT
from api.register import Register
from api.settings import PORT_MAX, Settings, SettingsError
from api.trail import Trail
from api.wake import Wake
from domain.journal import Journal
from domain.writer import Writer

PORTS = "KOUAN_PUSH_PORTS"
"""The ports of public receivers, commas between them; 443 if nothing is said."""


def ports(text: str) -> tuple[int, ...]:
    """Raises SettingsError.

    >>> ports(""), ports("443, 8443")
    ((443,), (443, 8443))
    """
    said = [each.strip() for each in text.split(",") if each.strip()]
    if all(re.fullmatch("[0-9]{1,5}", each) and 0 < int(each) <= PORT_MAX for each in said):
        return tuple(map(int, said)) or (HTTPS_PORT,)
    raise SettingsError(
        f"{PORTS} 须为端口号，以逗号分隔，现为 {text!r} / "
        f"{PORTS} must be port numbers, commas between them, not {text!r}",
        variable=PORTS,
    )


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a test sets otherwise."""

    clock: Any = utcnow
    chance: Random | None = None
    poll_seconds: float = POLL_SECONDS
    entitlements: Entitling | None = None
    news: News | None = None


@asynccontextmanager
async def engine(
    conninfo: str, settings: Settings, client: Client, options: Options | None = None
) -> AsyncIterator[Engine]:
    """An engine with everything it needs, in the event loop that runs; not started yet."""
    options = options or Options()
    commerce, pool, readers = Journal("commerce", conninfo), open_pool(conninfo), open_readers(conninfo)
    writer, wake = Writer(commerce), Wake(conninfo)
    deliveries = Deliveries(writer, pool)
    covered = Entitlements(pool, deliveries.stream, Trail(writer))
    means = Means(pool, readers, Register(pool), options.entitlements or covered, sources(pool))
    try:
        yield Engine(
            means,
            deliveries,
            Vault(settings),
            client,
            news=options.news or wake.wait,
            clock=options.clock,
            chance=options.chance,
            poll_seconds=options.poll_seconds,
        )
    finally:
        await wake.stop()
        await client.close()
        await asyncio.to_thread(covered.stop)
        await asyncio.to_thread(writer.stop)
        for each in (readers, pool):
            await asyncio.to_thread(each.close)
        commerce.close()


def sources(pool: Pool) -> dict[tuple[str, str], Source]:
    """What is pushed, by item and dialect."""
    return {
        (FEED_PUSH.code, "webhook"): Feed(pool),
        (FEED_PUSH.code, "dcsa"): DcsaEvents(pool),
        (ALERTS_PUSH.code, "webhook"): Alerts(pool),
    }


async def serve(conninfo: str, settings: Settings) -> None:
    """Until SIGINT or SIGTERM."""
    client = Client(Limits(ports=ports(os.environ.get(PORTS, ""))))
    async with engine(conninfo, settings, client) as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.stop)
        prover = proving.Prover(running.pool, running.vault, client)
        proves = asyncio.create_task(proving.prove_for_ever(prover, utcnow, Random()))  # noqa: S311
        await running.run()
        proves.cancel()
        await asyncio.gather(proves, return_exceptions=True)


@click.command("push")
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
def push(conninfo: str) -> None:
    """向接收端推送 / send to the endpoints; ends on SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(serve(conninfo, Settings.read()))
