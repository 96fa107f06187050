"""What is newer than an answer that was made before: which subjects the journal has spoken of since.

An answer holds until something is recorded of a subject near it, or names one. Instead of asking of each question how
new all that is near is, a process reads what came in between, once for all its answers: the subjects of the new facts
and those that they name. Only facts that timeline and links have both taken in count, so an answer is never thought
newer than what it was made of. Where too much came in between, nothing made before is believed.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import psycopg

EVENTS_MAX = 5_000  # read at once; more than that is not followed one by one
SUBJECTS_MAX = 200_000

POSITIONS = """
SELECT min(position), register_position()
FROM read_model_positions
WHERE name IN ('timeline', 'links')
"""
EVENTS = """
SELECT originator_id, notification_id, state
FROM cargo_events
WHERE notification_id > %b AND notification_id <= %b
ORDER BY notification_id
LIMIT %b
"""


class _Naming(msgspec.Struct, gc=False):
    """As much of any fact as is needed here."""

    refs: tuple[str, ...] = ()
    subject: str = ""  # of an instruction: the cargo that it is about


_naming = msgspec.json.Decoder(_Naming).decode


class Newer:
    """The news of one thread."""

    def __init__(self) -> None:
        self.position = -1  # of the cargo journal, up to which it is known
        self.register = 0
        self._floor = 0  # what was made before it is not believed
        self._touched: dict[str, int] = {}  # subject -> position of the newest fact that speaks of it

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Read on. `connection`: of the node itself."""
        with connection.cursor(binary=True) as cursor:
            row = cursor.execute(POSITIONS, prepare=True).fetchone()
            reached, self.register = (row[0] or 0, row[1]) if row else (0, 0)
            if self.position < 0 or reached < self.position:  # the first look, or a read model that is built again
                self._forget(reached)
            elif reached > self.position:
                self._read(cursor, reached)
        self.position = reached

    def holds(self, subjects: Iterable[str], since: int) -> bool:
        """Nothing newer than a position speaks of these subjects."""
        if not self._floor <= since <= self.position:
            return False
        touched = self._touched
        return not touched or all(touched.get(subject, 0) <= since for subject in subjects)

    def _read(self, cursor: psycopg.Cursor[Any], reached: int) -> None:
        rows = cursor.execute(EVENTS, (self.position, reached, EVENTS_MAX + 1), prepare=True).fetchall()
        if len(rows) > EVENTS_MAX or len(self._touched) > SUBJECTS_MAX:
            self._forget(reached)
            return
        for stream, position, state in rows:
            try:
                told = _naming(state)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self._forget(reached)  # nobody knows what it speaks of
                return
            self._touched[stream] = position
            for name in (*told.refs, told.subject):
                self._touched[name] = position

    def _forget(self, reached: int) -> None:
        self._touched.clear()
        self._floor = reached
