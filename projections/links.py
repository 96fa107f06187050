"""Which numbers belong together: container, bill of lading, booking, air waybill, rail consignment, declaration.

Every fact links its own subject with the subjects that it names. One row for each pair, whoever of the two named the
other and however often; it is found from either side. A pair leads from one number to the other for as long as one of
the facts that say so stands (not retracted, not corrected, or confirmed by another source); that is worked out anew
from the journal whenever a fact of the pair is taken back or stated again. What was once said is never forgotten: the
history of a pair (projections/lineage.py) is a fold over the timeline. Times are UTC.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from domain.fact import Confirmed, Corrected, Reinstated, Retracted, Stated
from domain.journal import Entry
from projections import interests, lineage, shown
from projections.journeys import SHARED, kind
from projections.lineage import Link
from projections.sight import Look
from projections.timeline import Line

NAME = "links"
JOURNAL = "cargo"
TABLES = ("links", *interests.TABLES)
TABLE = (
    """
CREATE TABLE IF NOT EXISTS links (
    subject     text COLLATE "C" NOT NULL,   -- kind:number, the lesser of the two
    other       text COLLATE "C" NOT NULL,   -- kind:number
    position    bigint NOT NULL,             -- of the first fact that says so
    recorded_at timestamptz NOT NULL,        -- of that fact
    stands      boolean NOT NULL,            -- one of the facts that say so does
    PRIMARY KEY (subject, other) INCLUDE (stands)
);
CREATE INDEX IF NOT EXISTS links_other ON links (other, subject) INCLUDE (stands);
GRANT SELECT ON links TO kouan_reader;
"""
    + interests.TABLE
)

Pair = tuple[str, str]

# --- project ---

HAD = """
SELECT (SELECT stands FROM links WHERE (links.subject, links.other) = (pair.subject, pair.other))
FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS pair (subject, other, place)
ORDER BY pair.place
"""
SET = """
UPDATE links
SET stands = said.stands
FROM unnest(%b::text[], %b::text[], %b::boolean[]) AS said (subject, other, stands)
WHERE (links.subject, links.other) = (said.subject, said.other) AND links.stands <> said.stands
"""
FALLEN = """
SELECT subject FROM unnest(%b::text[]) AS subject
WHERE (SELECT true FROM links WHERE links.subject = subject.subject AND NOT stands LIMIT 1)
   OR (SELECT true FROM links WHERE links.other = subject.subject AND NOT stands LIMIT 1)
"""


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add the pairs that a batch of facts names, and tell which of them stand."""
    first: dict[Pair, Entry] = {}
    doubtful: set[str] = set()
    confirmed: set[str] = set()
    for entry in entries:
        told = entry.fact
        if isinstance(told, Stated):
            for other in told.refs:
                first.setdefault(_pair(entry.stream, other), entry)
        elif isinstance(told, Retracted | Corrected | Reinstated):
            doubtful.add(entry.stream)
        elif isinstance(told, Confirmed):
            confirmed.add(entry.stream)
            for other in told.refs:
                first.setdefault(_pair(entry.stream, other), entry)
    changed = _add(cursor, first) if first else []
    if confirmed:  # what was taken back stands again if another source says it
        doubtful.update(row[0] for row in cursor.execute(FALLEN, (list(confirmed),), prepare=True))
    if doubtful:
        changed += _settle(cursor, doubtful, entries[-1].position)
    interests.project(cursor, entries, changed)


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def _add(cursor: psycopg.Cursor[Any], first: dict[Pair, Entry]) -> list[Pair]:
    """Nobody else writes here meanwhile (the runner's position is fenced): what is looked up stays so.

    Returns the pairs that were not there, or did not stand.
    """
    pairs = sorted(first)
    subjects, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    had = [row[0] for row in cursor.execute(HAD, (subjects, others), prepare=True)]
    if new := [pair for pair, stands in zip(pairs, had, strict=True) if stands is None]:
        with cursor.copy(
            "COPY links (subject, other, position, recorded_at, stands) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["text", "text", "int8", "timestamptz", "bool"])
            for pair in new:
                copy.write_row((*pair, first[pair].position, first[pair].fact.recorded_at, True))
    again = [pair for pair, stands in zip(pairs, had, strict=True) if stands is False]
    _set(cursor, dict.fromkeys(again, True))
    return new + again


def _set(cursor: psycopg.Cursor[Any], stands: dict[Pair, bool]) -> None:
    if stands:
        values = ([pair[0] for pair in stands], [pair[1] for pair in stands], list(stands.values()))
        cursor.execute(SET, values, prepare=True)


# --- what stands: the journal's own word, up to the end of the batch ---

SAID = f"""
SELECT streams.stream, said.fact_id, said.state
FROM unnest(%b::text[]) AS streams (stream)
CROSS JOIN LATERAL (
    SELECT fact_id, state
    FROM {JOURNAL}_events
    WHERE originator_id = streams.stream
      AND notification_id + 0 <= %b  -- no use of its index: it would read the whole journal for each stream
    ORDER BY originator_version
) AS said
"""  # noqa: S608  a constant


class _Said(msgspec.Struct, gc=False):
    """As much of any fact as is needed here."""

    fact: str
    refs: tuple[str, ...] = ()
    fact_id: UUID | None = None


_said = msgspec.json.Decoder(_Said)


class _Standing:
    """A fact, and what later facts say of it; the same rules as those of a line (projections/timeline.py)."""

    __slots__ = ("corrected", "heard", "refs", "retracted", "witnesses")

    def __init__(self, refs: tuple[str, ...]) -> None:
        self.refs = refs
        self.retracted = self.corrected = False
        self.witnesses: set[UUID] = set()
        self.heard: dict[UUID, tuple[str, ...]] = {}  # what its confirmations name besides

    def hear(self, said: "_Said", fact_id: UUID, mine: UUID) -> None:
        """What is said of this fact, which is `mine`, or of one of its confirmations."""
        about = said.fact_id
        assert about is not None
        match said.fact.removeprefix("fact."):
            case "confirmed":
                self.witnesses.add(fact_id)
                self.heard[fact_id] = said.refs
            case "retracted" if about != mine:
                self.witnesses.discard(about)
            case "retracted":
                self.retracted = True
            case "corrected":
                self.corrected = True
            case _ if about == mine:
                self.retracted = self.corrected = False
            case _:
                self.witnesses.add(about)

    @property
    def stands(self) -> bool:
        return not self.corrected and (not self.retracted or bool(self.witnesses))

    def names(self) -> Iterator[tuple[str, bool]]:
        """The subjects that it and its confirmations name, and whether that stands."""
        yield from ((other, self.stands) for other in self.refs)
        for witness, refs in self.heard.items():
            yield from ((other, self.stands and witness in self.witnesses) for other in refs)


def _settle(cursor: psycopg.Cursor[Any], streams: set[str], last: int) -> list[Pair]:
    """Tell anew which of the pairs stand that the facts of some streams name. Returns these pairs."""
    told = _names(cursor, streams, last)
    stands = {_pair(stream, other): True for stream in told for other, does in told[stream].items() if does}
    fallen = [(stream, other) for stream in told for other, does in told[stream].items() if not does]
    fallen = [(stream, other) for stream, other in fallen if _pair(stream, other) not in stands]
    back = _names(cursor, {other for _, other in fallen}, last) if fallen else {}  # the other side may say so too
    for stream, other in fallen:
        stands[_pair(stream, other)] = back.get(other, {}).get(stream, False)
    _set(cursor, stands)
    return list(stands)


def _names(cursor: psycopg.Cursor[Any], streams: Iterable[str], last: int) -> dict[str, dict[str, bool]]:
    """Of each stream the subjects that its facts name, and whether one of these facts stands."""
    facts: dict[UUID, tuple[str, UUID, _Standing]] = {}  # by the fact, and by its confirmations
    with cursor.connection.cursor(binary=True) as reading:  # in the same transaction, without text in between
        rows = reading.execute(SAID, (list(streams), last), prepare=True).fetchall()
    for stream, fact_id, state in rows:
        try:
            said = _said.decode(state)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # among the dead letters
        if not said.fact.startswith("fact."):
            facts[fact_id] = (stream, fact_id, _Standing(said.refs))
        elif said.fact_id in facts:
            about = facts[said.fact_id]
            about[2].hear(said, fact_id, about[1])
            facts[fact_id] = about
    names: dict[str, dict[str, bool]] = {}
    for stream, _, fact in facts.values():
        known = names.setdefault(stream, {})
        for other, stands in fact.names():
            known[other] = known.get(other, False) or stands
    return names


# --- queries ---

REACHED = """
WITH hop AS (
    SELECT own.ask, link.subject
    FROM unnest(%b::int[], %b::text[]) AS own (ask, subject)
    CROSS JOIN LATERAL (
        SELECT other FROM links WHERE links.subject = own.subject AND stands
        UNION ALL
        SELECT links.subject FROM links WHERE links.other = own.subject AND stands
    ) AS link (subject)
), far AS (
    SELECT hop.ask, link.subject
    FROM (SELECT DISTINCT ask, subject FROM hop) AS hop
    CROSS JOIN LATERAL (
        SELECT other FROM links WHERE links.subject = hop.subject AND stands
        UNION ALL
        SELECT links.subject FROM links WHERE links.other = hop.subject AND stands
    ) AS link (subject)
    WHERE hop.subject !~ '^(container|truck|manifest):'  -- they carry other people's cargo too: no way through
)
SELECT ask, subject FROM hop UNION SELECT ask, subject FROM far
"""


def reached(look: Look, asks: Sequence[Sequence[str]], known_at: datetime | None = None) -> list[list[str]]:
    """For each question its subjects' consignment: the other subjects, at most two links away, in order.

    No other box is among them when the question is about a box. `known_at`: as it stood when so much was recorded.
    """
    if known_at is not None:
        return [_others(own, _reached_then(look, own, known_at)) for own in asks]
    found: list[set[str]] = [set() for _ in asks]
    with look.connection.cursor(binary=True) as cursor:
        for ask, subject in cursor.execute(REACHED, _flat(asks), prepare=True):
            found[ask].add(subject)
    return [_others(own, others) for own, others in zip(asks, found, strict=True)]


def _flat(asks: Sequence[Sequence[str]]) -> tuple[list[int], list[str]]:
    flat = [(ask, subject) for ask, own in enumerate(asks) for subject in own]
    return [ask for ask, _ in flat], [subject for _, subject in flat]


def _others(own: Sequence[str], found: set[str]) -> list[str]:
    asks_for_box = any(subject.startswith("container:") for subject in own)
    return sorted(other for other in found.difference(own) if not (asks_for_box and other.startswith("container:")))


NAMED = """
SELECT other FROM links WHERE subject = ANY(%b)
UNION
SELECT subject FROM links WHERE other = ANY(%b)
"""


def _named(connection: psycopg.Connection[Any], subjects: Iterable[str]) -> set[str]:
    """The subjects that some fact ever linked with these, and these."""
    own = list(subjects)
    with connection.cursor(binary=True) as cursor:
        return {row[0] for row in cursor.execute(NAMED, (own, own), prepare=True)}.union(own)


def _reached_then(look: Look, own: Sequence[str], known_at: datetime) -> set[str]:
    """What was reached then: the statements of that day, folded, of all that was ever near."""
    near = _named(look.connection, own)
    ways = {subject for subject in near if kind(subject) not in SHARED or subject in own}
    links = lineage.pairs(shown.lines(look, list(near | _named(look.connection, ways)), known_at))
    hop = {other for subject in own for other in links.get(subject, ())}
    return hop.union(*(links.get(subject, set()) for subject in hop if kind(subject) not in SHARED))


KNOWN = """
SELECT subject FROM unnest(%b::text[]) AS subject
WHERE (SELECT true FROM links WHERE links.subject = subject.subject LIMIT 1)
   OR (SELECT true FROM links WHERE links.other = subject.subject LIMIT 1)
"""


def known(connection: psycopg.Connection[Any], subjects: Sequence[str]) -> set[str]:
    """Which of these subjects some fact names or has named, be it withdrawn since."""
    with connection.cursor(binary=True) as cursor:
        return {row[0] for row in cursor.execute(KNOWN, (list(subjects),), prepare=True)}


STRANGERS = """
SELECT DISTINCT box.ask, link.subject
FROM unnest(%b::int[], %b::text[]) AS box (ask, subject)
CROSS JOIN LATERAL (
    SELECT other FROM links WHERE links.subject = box.subject AND stands
    UNION ALL
    SELECT links.subject FROM links WHERE links.other = box.subject AND stands
) AS link (subject)
WHERE link.subject !~ '^(container|truck|manifest):'
"""


def strangers(connection: psycopg.Connection[Any], consignments: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each consignment the papers outside it that name one of its boxes: those of other journeys, most likely.

    Their lines help to cut the journeys (projections/journeys.py) and are shown to nobody.
    """
    boxes = [[subject for subject in each if subject.startswith("container:")] for each in consignments]
    found: list[set[str]] = [set() for _ in consignments]
    with connection.cursor(binary=True) as cursor:
        for ask, subject in cursor.execute(STRANGERS, _flat(boxes), prepare=True):
            found[ask].add(subject)
    return [sorted(others.difference(own)) for own, others in zip(consignments, found, strict=True)]


def once_named(look: Look, subject: str) -> bool:
    """Some statement that the view shows names this subject, or has named it, be it withdrawn since."""
    return any(subject in line.refs for line in _near(look, [subject]))


def history(look: Look, subjects: Sequence[str]) -> list[Link]:
    """Every link that these subjects ever had, each with its validity and the facts that made and ended it."""
    return lineage.links(_near(look, subjects), subjects)


def cargoes(look: Look, subject: str) -> list[list[str]]:
    """What hangs together behind a number: several groups if several cargoes share it, as house bills do."""
    return lineage.cargoes(_near(look, [subject]), subject)


def _near(look: Look, subjects: Sequence[str]) -> list[Line]:
    return shown.lines(look, sorted(_named(look.connection, subjects)))
