"""`kouan exporter`: the process that makes what was ordered; the node runs one (api/supervise.py)."""

import asyncio
import logging
import signal
import threading

import click

from api.app import Works
from api.exporting import exporter
from api.settings import Settings


@click.command("exporter")
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
def command(conninfo: str) -> None:
    """制作历史数据导出 / make the exports that were ordered; ends on SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    asyncio.run(_run(conninfo, Settings.read(), over))


async def _run(conninfo: str, settings: Settings, over: threading.Event) -> None:
    works = Works(conninfo, settings)
    async with works.lifespan():
        await exporter.run(works, settings, over)
