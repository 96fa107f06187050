"""A real PostgreSQL for the tests: `postgres`, one server for the whole run, and `database`, a fresh copy per test.

The server is that of KOUAN_TEST_DATABASE_URL, whose role must be allowed to create databases, or else an embedded one
without durability in a temporary home. It is started by the first worker that asks, and stopped by the process that
the run began with, since no worker knows which of them is the last. Homes of killed runs are swept by the next run.
"""

import fcntl
import importlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api import embedded
from tests.open_register import permit_all

EXTERNAL = "KOUAN_TEST_DATABASE_URL"
HOME = "KOUAN_TEST_HOME"  # how the workers learn it
PREFIX = "kouan-test-"
MEMORY, MEMORY_BYTES_MIN = Path("/dev/shm"), 4_000_000_000
YOUNG_SECONDS = 60  # a home is made first and locked next
OURS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"

held = pytest.StashKey[tuple[Path, int]]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or os.environ.get(EXTERNAL):
        return
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_places()[0]))
    lock = os.open(home / "alive", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    config.stash[held] = home, lock
    os.environ[HOME] = str(home)


def pytest_unconfigure(config: pytest.Config) -> None:
    if held in config.stash:
        home, lock = config.stash[held]
        _remove(home)
        os.close(lock)
        os.environ.pop(HOME, None)


@pytest.fixture(scope="session")
def postgres() -> str:
    """The conninfo of a server on which databases may be created."""
    return os.environ.get(EXTERNAL) or embedded.start(Path(os.environ[HOME]), fast=True)


@pytest.fixture(scope="session")
def closed_template(postgres: str) -> Iterator[str]:
    """The name of a database with the product's tables and nobody permitted anything; made once per worker."""
    name = f"kouan_template_{uuid4().hex[:12]}"
    _execute(postgres, "CREATE DATABASE {}", name)
    importlib.import_module("api.schema").install(make_conninfo(postgres, dbname=name))
    yield name
    drop(postgres, name)


@pytest.fixture(scope="session")
def template(postgres: str, closed_template: str) -> Iterator[str]:
    """The same, with a register in which everybody may see everything: most tests are about something else."""
    name = f"kouan_template_{uuid4().hex[:12]}"
    _execute(postgres, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, closed_template)
    permit_all(make_conninfo(postgres, dbname=name))
    importlib.import_module("api.schema").install(make_conninfo(postgres, dbname=name))  # the read models know it
    yield name
    drop(postgres, name)


@pytest.fixture
def database(postgres: str, template: str) -> Iterator[str]:
    """The conninfo of a fresh copy of the template, dropped after the test."""
    yield from _copied(postgres, template)


@pytest.fixture
def closed_database(postgres: str, closed_template: str) -> Iterator[str]:
    """A fresh database in which nobody is permitted anything."""
    yield from _copied(postgres, closed_template)


def _copied(postgres: str, template: str) -> Iterator[str]:
    """A file copy takes a seventh of the time."""
    name = f"kouan_test_{uuid4().hex[:12]}"
    _execute(postgres, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
    yield make_conninfo(postgres, dbname=name)
    drop(postgres, name)


def drop(postgres: str, name: str) -> None:
    """Drop a database, whoever is still connected.

    FORCE is for those alone that come in between: it ends an autovacuum too, which an ordinary role may not; a plain
    DROP sends it away.
    """
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(OURS, (name,))
    try:
        _execute(postgres, "DROP DATABASE {}", name)
    except psycopg.errors.ObjectInUse:
        _execute(postgres, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(conninfo: str, statement: str, *names: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _places() -> list[Path]:
    """Where homes may lie, the best first: a database is copied for each test, in memory ten times as fast."""
    places = [Path(tempfile.gettempdir())]
    with suppress(OSError):
        if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
            places.insert(0, MEMORY)
    return places


def _sweep() -> None:
    for home in [home for place in _places() for home in place.glob(f"{PREFIX}*")]:
        with suppress(OSError), (home / "alive").open("r+") as file:
            found = os.fstat(file.fileno())
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > YOUNG_SECONDS:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(home)


def _remove(home: Path) -> None:
    embedded.stop(home)
    shutil.rmtree(home)
    far = embedded.socket_directory(home)
    if far.parent != home and far.exists():
        far.rmdir()
