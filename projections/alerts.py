"""Alerts: what is amiss with a container, a declaration, a bill or a truck, since when, and by which facts.

A row is a condition (projections/alert_conditions.py); the rules (projections/alert_rules.py) say how long it may last,
so one row is the alerts of all its rules, and a threshold may be raised without a rebuild; what ended within the
shortest threshold is not kept. Of each touched subject, and of those whose alerts rest on it, the conditions are found
anew, so any order of arrival and any batch give the same rows. No clock is read here: an alert is raised when its
condition has lasted for the threshold, and whoever asks says what time it is. Times are UTC.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from domain.fact import digest_id
from domain.journal import Entry
from projections import alert_sight, alert_states, sight
from projections.alert_conditions import (
    ARRIVALS,
    LEAVING,
    Condition,
    Event,
    is_entry,
    of_bill,
    of_declaration,
    of_instructions,
    order,
)
from projections.alert_journey import Journey
from projections.alert_rules import RULES, Rule
from projections.alert_states import PASSED_ON, State, Told, kind_of
from projections.sight import Look

NAME = "alerts"
JOURNAL = "cargo"
TABLES = ("alert_states", "alert_conditions")
TABLE = """
CREATE TABLE IF NOT EXISTS alert_states (
    subject text COLLATE "C" PRIMARY KEY,
    state   bytea NOT NULL                 -- MessagePack: State of projections/alert_states.py
) WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS alert_conditions (
    subject    text COLLATE "C" NOT NULL,
    condition  text COLLATE "C" NOT NULL,
    cause      uuid NOT NULL,              -- the fact with which it began
    since      timestamptz NOT NULL,
    cleared_at timestamptz,
    cleared_by uuid,                       -- the fact with which it ended
    place      text NOT NULL,
    detail     text NOT NULL,
    facts      bytea NOT NULL,             -- ids of all facts that cause it, sixteen bytes each
    dataset    text COLLATE "C" NOT NULL,  -- of the condition's rules
    PRIMARY KEY (subject, condition, cause)
);
CREATE INDEX IF NOT EXISTS alert_conditions_since ON alert_conditions (condition, since);
""" + sight.policy("alert_conditions")
STATES = "SELECT subject, state FROM alert_states WHERE subject = ANY(%b)"
STORE = """
INSERT INTO alert_states (subject, state)
SELECT * FROM unnest(%b::text[], %b::bytea[])
ON CONFLICT (subject) DO UPDATE SET state = excluded.state
"""
REMOVE = """
DELETE FROM alert_conditions AS had
USING unnest(%b::text[], %b::text[], %b::uuid[]) AS gone (subject, condition, cause)
WHERE (had.subject, had.condition, had.cause) = (gone.subject, gone.condition, gone.cause)
"""
UPSERT = """
INSERT INTO alert_conditions (subject, condition, cause, since, cleared_at, cleared_by, place, detail, facts, dataset)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::uuid[], %b::timestamptz[], %b::timestamptz[], %b::uuid[], %b::text[], %b::text[],
    %b::bytea[], %b::text[]
)
ON CONFLICT (subject, condition, cause) DO UPDATE SET
    since = excluded.since,
    cleared_at = excluded.cleared_at,
    cleared_by = excluded.cleared_by,
    place = excluded.place,
    detail = excluded.detail,
    facts = excluded.facts
"""

# --- project ---

DATASETS = {rule.condition: rule.dataset for rule in RULES}
BOX, DECLARATION, PAPERS = ("container:",), ("declaration:",), tuple(f"{kind}:" for kind in alert_states.PAPERS)
COMING = ARRIVALS | LEAVING


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add a batch to the states that it touches, and look anew at all whose alerts may have changed."""
    told = alert_states.gather(entries)
    if not any(told):
        return
    batch = _Batch(cursor)
    batch.take(told)
    batch.look()
    batch.store()


class _Batch:
    """The states that a batch needs: read once each, changed in memory, stored at the end."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.cursor = cursor
        self.states: dict[str, State] = {}
        self.changed: set[str] = set()  # facts or links
        self.moved: set[str] = set()  # have perhaps arrived, or left, as its declarations wait for
        self.dirty: set[str] = set()  # to be stored
        self.gone: list[tuple[str, Condition]] = []
        self.found: list[tuple[str, Condition]] = []

    def load(self, subjects: Iterable[str]) -> None:
        missing = [subject for subject in subjects if subject not in self.states]
        if missing:
            self.states.update((subject, State()) for subject in missing)
            rows = self.cursor.execute(STATES, (missing,), prepare=True, binary=True)
            self.states.update((subject, alert_states.decode(state)) for subject, state in rows)

    def take(self, told: Told) -> None:
        about = {subject for subject, *_ in told.remarks}
        self.load({*told.facts, *about, *(each for pair in told.pairs for each in pair)})
        for subject, facts in told.facts.items():
            alert_states.add(self.states[subject], facts)
            self.changed.add(subject)
            if any(each.code.removesuffix("_REVERSED") in COMING for each in facts):
                self.moved.add(subject)
        for subject, fact_id, remark in told.remarks:
            if alert_states.remark(self.states[subject], fact_id, remark):
                self.changed.add(subject)
                self.moved.add(subject)
        for one, other in told.pairs:
            new = [alert_states.link(self.states[subject], end) for subject, end in ((one, other), (other, one))]
            if any(new):
                self._joined(one, other)

    def _joined(self, *pair: str) -> None:
        """Two that belong together from now on; that a bill has one more box is nothing to its other boxes."""
        self.dirty.update(pair)
        boxes = [each for each in pair if each.startswith(BOX)]
        declared = any(each.startswith(DECLARATION) for each in pair)
        self.changed.update(pair if declared else boxes)

    def look(self) -> None:
        """Find the conditions of all subjects that rest on what has changed."""
        self.dirty |= self.changed
        touched = self._touched()
        self.load({each for subject in touched for each in self.states[subject].links})
        near = self._behind(touched, PAPERS + DECLARATION)
        far = self._behind(near, DECLARATION)
        self._behind(far, DECLARATION)
        numbers = self._behind([subject for subject in touched if subject.startswith(DECLARATION)], DECLARATION)
        self.load({each for number in numbers for each in self.states[number].links})
        for subject in sorted(touched):
            self._compare(subject, self._conditions(subject))

    def _touched(self) -> set[str]:
        """What changed; the other numbers and bills of a declaration; all boxes behind these; the papers of a cargo."""
        declared = {subject for subject in self.changed if subject.startswith(DECLARATION)}
        declared |= self._behind(declared, DECLARATION)
        papers = self._behind(declared, PAPERS) | {each for each in self.changed if each.startswith(PAPERS)}
        boxes = self._behind(declared | papers, BOX)
        return self.changed | declared | papers | boxes | self._behind(self.moved, DECLARATION)

    def _behind(self, subjects: Collection[str], kinds: tuple[str, ...]) -> set[str]:
        """The subjects of these kinds that are linked with these; they are loaded then."""
        found = {other for subject in subjects for other in self._linked(subject, kinds)}
        self.load(found)
        return found

    def _linked(self, subject: str, kinds: tuple[str, ...]) -> list[str]:
        return [other for other in self.states[subject].links if other.startswith(kinds)]

    def _conditions(self, subject: str) -> list[Condition]:
        state = self.states[subject]
        match kind_of(subject):
            case "container":
                found = Journey().walk(self._events(subject, state))
            case "truck":
                found = Journey().walk(order(state.facts))
            case "declaration":
                found = self._declared(subject)
            case _:
                found = of_bill(state.facts)
        return [*found, *of_instructions(subject, state.facts)]

    def _declared(self, subject: str) -> list[Condition]:
        """Told under the number that customs gave, once there is one."""
        if self._file(subject) != subject:
            return []
        numbers = [subject, *self._linked(subject, DECLARATION)]
        cargo = sorted({each for number in numbers for each in self._linked(number, PAPERS + BOX)})
        facts = [each for number in numbers for each in self.states[number].facts]
        return of_declaration(subject, facts, [self.states[each].facts for each in cargo])

    def _file(self, declaration: str) -> str:
        """The number under which a declaration is known that has several."""
        entries = [each for each in self._linked(declaration, DECLARATION) if is_entry(each)]
        return declaration if is_entry(declaration) or not entries else entries[0]

    def _events(self, box: str, state: State) -> list[Event]:
        """What happened to a box: its own facts, what its bills pass on, and the declarations that stand for it."""
        events = order(state.facts)
        others: list[Event] = []
        for paper in self._linked(box, PAPERS):
            passed = [each for each in self.states[paper].facts if each.code.removesuffix("_REVERSED") in PASSED_ON]
            others += order(passed, paper)
        for declaration in self._declarations(box):
            others += order(self.states[declaration].facts, self._file(declaration))
        return sorted([*events, *others]) if others else events

    def _declarations(self, box: str) -> list[str]:
        """Those that name the box; if there is none, those that name its bill and no box at all. With all numbers."""
        own = self._numbers(self._linked(box, DECLARATION))
        if own:
            return own
        behind = [each for paper in self._linked(box, PAPERS) for each in self._linked(paper, DECLARATION)]
        return [each for each in self._numbers(behind) if not self._linked(each, BOX)]

    def _numbers(self, declarations: Iterable[str]) -> list[str]:
        found = set(declarations)
        return sorted(found.union(*(self._linked(each, DECLARATION) for each in found)))

    def _compare(self, subject: str, now: list[Condition]) -> None:
        state = self.states[subject]
        if now == state.conditions:
            return
        stands = {(each.name, each.cause) for each in now}
        self.gone += [(subject, each) for each in state.conditions if (each.name, each.cause) not in stands]
        before = set(state.conditions)
        self.found += [(subject, each) for each in now if each not in before]
        state.conditions = now
        self.dirty.add(subject)

    def store(self) -> None:
        subjects = sorted(self.dirty)
        if subjects:
            packed = [alert_states.encode(self.states[subject]) for subject in subjects]
            self.cursor.execute(STORE, (subjects, packed), prepare=True)
        if self.gone:
            keys = [(subject, each.name, each.cause) for subject, each in self.gone]
            self.cursor.execute(REMOVE, [list(column) for column in zip(*keys, strict=True)], prepare=True)
        if self.found:
            rows = [_row(subject, each) for subject, each in self.found]
            self.cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)], prepare=True)


def _row(subject: str, found: Condition) -> tuple[object, ...]:
    facts = b"".join(each.bytes for each in found.facts)
    times = (found.since, found.cleared_at, found.cleared_by)
    return (subject, found.name, found.cause, *times, found.place, found.detail, facts, DATASETS[found.name])


# --- queries ---

Choice = Literal["active", "cleared", "pending", "all"]
PAGE_MAX = 1_000


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that one subject breaks, or broke."""

    alert_id: UUID  # the same for the same rule, subject and cause
    code: str
    family: str
    severity: str
    zh: str
    en: str
    subject: str
    place: str
    detail: str
    since: datetime  # when the condition began
    raised_at: datetime  # when it had lasted too long; of one that is minded at once, the same
    cleared_at: datetime | None
    cleared_by: UUID | None
    cause: UUID  # the fact with which it began
    facts: tuple[UUID, ...]  # all that cause it
    state: Literal["active", "cleared", "pending"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts; empty means any. `after`: those behind this place in the order, which is newest first."""

    now: datetime
    state: Choice = "active"
    subjects: tuple[str, ...] = ()  # kind:number
    code: str = ""  # of a rule, or of a condition with several
    severity: str = ""
    since: datetime | None = None  # raised at this time or later
    after: tuple[datetime, str, str, UUID] | None = None
    limit: int = 100


LISTED = """
WITH rules AS (
    SELECT * FROM unnest(%(codes)s::text[], %(conditions)s::text[], %(thresholds)s::interval[], %(datasets)s::text[])
        AS rule (code, condition, threshold, dataset)
)
SELECT rule.code, had.*, had.since + rule.threshold AS raised_at
FROM rules AS rule
CROSS JOIN LATERAL (
    SELECT subject, cause, since, cleared_at, cleared_by, place, detail, facts
    FROM alert_conditions
    WHERE condition = rule.condition AND {seen}
      AND (%(subjects)s::text[] = '{{}}' OR subject = ANY(%(subjects)s::text[]))
      AND CASE %(state)s
              WHEN 'pending' THEN since > %(now)s - rule.threshold AND cleared_at IS NULL
              ELSE since <= %(now)s - rule.threshold
          END
      AND (cleared_at IS NULL OR cleared_at > since + rule.threshold)
      AND (%(state)s <> 'active' OR cleared_at IS NULL OR cleared_at > %(now)s)
      AND (%(state)s <> 'cleared' OR cleared_at <= %(now)s)
      AND (%(since)s::timestamptz IS NULL OR since >= %(since)s::timestamptz - rule.threshold)
      AND (
          %(at)s::timestamptz IS NULL
          OR (since + rule.threshold, rule.code COLLATE "C", subject, cause)
              < (%(at)s, %(behind)s, %(whose)s, %(by)s::uuid)
      )
    ORDER BY since DESC, subject DESC, cause DESC
    LIMIT %(limit)s
) AS had
ORDER BY raised_at DESC, rule.code COLLATE "C" DESC, had.subject DESC, had.cause DESC
LIMIT %(limit)s
"""


def alerts(look: Look, asked: Asked) -> list[Alert]:
    """The newest first: by when they were raised, then by code, subject and cause.

    Those that may be shown: whether their facts are is the business of projections/alert_sight.py.
    """
    rules = {
        rule.code: rule
        for rule in RULES
        if asked.code in {"", rule.code, rule.condition} and asked.severity in {"", rule.severity}
    }
    at, behind, whose, by = asked.after or (None, None, None, None)
    values = {
        "codes": list(rules),
        "conditions": [rule.condition for rule in rules.values()],
        "thresholds": [rule.threshold for rule in rules.values()],
        "datasets": [rule.dataset for rule in rules.values()],
        "at": at,
        "behind": behind,
        "whose": whose,
        "by": by,
        "subjects": list(asked.subjects),
        **{name: getattr(asked, name) for name in ("now", "state", "since", "limit")},
    }
    seen, needed = alert_sight.wanted(look.view, {rule.dataset for rule in rules.values()})
    query = sql.SQL(LISTED).format(seen=sql.SQL(seen))
    with look.connection.cursor(row_factory=class_row(_Found)) as cursor:
        return [_alert(rules[found.code], found, asked.now) for found in cursor.execute(query, values | needed)]


class _Found(msgspec.Struct, frozen=True):
    code: str
    subject: str
    cause: UUID
    since: datetime
    cleared_at: datetime | None
    cleared_by: UUID | None
    place: str
    detail: str
    facts: bytes
    raised_at: datetime


def _alert(rule: Rule, found: _Found, now: datetime) -> Alert:
    ended = found.cleared_at is not None and found.cleared_at <= now
    return Alert(
        alert_id=digest_id("alert", rule.code, found.subject, str(found.cause)),
        code=rule.code,
        family=rule.family,
        severity=rule.severity,
        zh=rule.zh,
        en=rule.en,
        subject=found.subject,
        place=found.place,
        detail=found.detail,
        since=found.since,
        raised_at=found.raised_at,
        cleared_at=found.cleared_at,
        cleared_by=found.cleared_by,
        cause=found.cause,
        facts=tuple(UUID(bytes=found.facts[start : start + 16]) for start in range(0, len(found.facts), 16)),
        state="cleared" if ended else "active" if found.raised_at <= now else "pending",
    )
