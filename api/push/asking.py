"""A prover for a message or two, in a process that is not the sender: with its limits, and closed again at once."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.login.vault import Vault
from api.pool import Pool
from api.push import serve
from api.push.http import Client, Limits
from api.push.proving import Prover
from api.settings import Settings


@asynccontextmanager
async def prover(pool: Pool, vault: Vault, _: Settings) -> AsyncIterator[Prover]:
    """Raises SettingsError where the ports that are allowed cannot be read."""
    client = Client(Limits(ports=serve.ports(os.environ.get(serve.PORTS, ""))))
    try:
        yield Prover(pool, vault, client)
    finally:
        await client.close()
