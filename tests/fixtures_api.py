"""A served node for a test: the real API in a real server process, for what only many connections can show."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api.identity import Account, open_account
from api.settings import Settings
from api.supervise import address, api, serve
from tests.bench.bulk import memory_bytes
from tests.bench.servers import free_port
from tests.open_register import OWNER

SOURCE = Account("terminal", "source", "码头", "Terminal", party=OWNER)
ELSEWHERE = Account("line", "source", "船公司", "Line", party=OWNER)


class Served:
    """Where it listens, the keys of two sources, and the process that works."""

    def __init__(self, settings: Settings, conninfo: str) -> None:
        self.url, self.conninfo, self.home, self.port = address(settings), conninfo, settings.home, settings.port
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self.key, self.other = (open_account(connection, account) for account in (SOURCE, ELSEWHERE))

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def memory_bytes(self) -> int:
        """Resident memory of the processes that listen, and of their workers."""
        return memory_bytes(self.port)


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    settings = Settings(home=tmp_path, port=free_port(), database_url=database)
    with serve(settings, database, programs=(api(settings),)):
        yield Served(settings, database)
