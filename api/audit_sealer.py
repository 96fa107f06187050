"""Seals the audit trail behind the commerce journal, signs its head and anchors it: a thread of the projector process.

One sealer works, by advisory lock; others stand by. Nothing waits for it: what it has not sealed yet stands in the
journal all the same. If the chain is not the one that was anchored, as after a restore, it stops sealing and says so
until `kouan audit resume` has named what was lost. Times are UTC.
"""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from psycopg import sql

from api.audit_heads import Anchors, Signer, agree, mark
from api.settings import Settings
from domain.errors import KouanError
from domain.journal import Journal
from projections import audit
from projections.audit import Algorithm

POLL_SECONDS, AGAIN_SECONDS = 0.5, 5.0
HEAD_EVERY = timedelta(minutes=5)
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('kouan audit sealer', 0))"

log = logging.getLogger("kouan.audit")


class Sealer:
    """Follows the commerce journal for ever; reconnects after any fault of the database."""

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self.journal, self._settings = journal, settings
        self._anchors = Anchors.of(settings)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="audit-sealer", daemon=True)

    def start(self) -> "Sealer":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Seals and marks what is there, then ends."""
        self._stopping.set()
        self._thread.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self.journal.connect(autocommit=True) as connection:
                    if self._lead(connection):
                        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.journal.channel)))
                        self._follow(connection)
            except (psycopg.Error, KouanError, OSError) as error:
                log.error("审计链未能续写 / the audit trail cannot be sealed: %s", error)  # noqa: TRY400  one line says it
                self._stopping.wait(AGAIN_SECONDS)

    def _lead(self, connection: psycopg.Connection[Any]) -> bool:
        """Wait until no other sealer works; the lock ends with the connection. False if we are to end first."""
        while not self._stopping.is_set():
            row = connection.execute(LOCK).fetchone()
            if row and row[0]:
                return True
            self._stopping.wait(POLL_SECONDS)
        return False

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        agree(connection, self._anchors)
        signer, marked = Signer(self._settings), time.monotonic()
        while not self._stopping.is_set():
            sealed = self._seal(connection)
            if time.monotonic() - marked > HEAD_EVERY.total_seconds():
                mark(connection, signer, self._anchors, datetime.now(UTC))
                marked = time.monotonic()
            if not sealed:
                for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                    pass
        while self._seal(connection):
            pass
        mark(connection, signer, self._anchors, datetime.now(UTC))

    def _seal(self, connection: psycopg.Connection[Any]) -> int:
        kept = self._settings.audit
        return audit.seal(connection, node=kept.node, algorithm=cast("Algorithm", kept.hash))
