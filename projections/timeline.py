"""One timeline over all modes: what happened, is planned or is expected, line by line, in both languages.

A line is made once from its fact; what other facts later say of it (confirmed, retracted, corrected) is kept beside
it and folded in when asked. Lines are ordered by happened_at, then actual before estimate before plan, then the usual
order of milestones, then the fact's id, which is derived from its meaning: any order of arrival gives the same view.
`happened_at` is told in the place's own time; what Kouan itself decided, in Beijing time. As it was known at a past
moment, it is the fold of what had been recorded until then.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from domain import binary, datasets, places
from domain.container import HoldPlaced, HoldReleased
from domain.customs_districts import CUSTOMS
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Received, Withdrawn
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted, Stated, tag_of
from domain.instruction import KINDS as INSTRUCTIONS
from domain.instruction import (
    InstructionCancelled,
    InstructionConfirmed,
    InstructionGiven,
    InstructionRefused,
)
from domain.journal import Entry
from domain.milestones import MILESTONES, rank
from projections.sight import Look

NAME = "timeline"
JOURNAL = "cargo"
TABLES = ("timeline",)
TABLE = """
CREATE TABLE IF NOT EXISTS timeline (
    position    bigint PRIMARY KEY,
    subject     text COLLATE "C" NOT NULL,   -- the stream
    fact_id     uuid NOT NULL,               -- the line's own fact; for a remark the fact that it is about
    recorded_at timestamptz NOT NULL,
    sort        text COLLATE "C",            -- NULL: a remark on another line
    dataset     text COLLATE "C",            -- domain/datasets.py; NULL: a remark, which is of its line's
    content     bytea NOT NULL               -- JSON: Line, or Remark
);
CREATE INDEX IF NOT EXISTS timeline_subject_position ON timeline (subject, position);
"""


class Remark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a later fact says of a line, or of another remark."""

    kind: str  # confirmed, retracted, corrected, reinstated
    fact_id: UUID  # of this remark
    source: str
    message_id: UUID
    recorded_at: datetime
    reason: str = ""
    replaced_by: UUID | None = None
    refs: tuple[str, ...] = ()  # what a confirmation names besides


class Conflict(msgspec.Struct, frozen=True):
    """Another source says otherwise of the same milestone (projections/history.py)."""

    group: str  # the same on all lines that disagree with each other
    won: bool
    rule: str  # by which the winner was chosen
    rule_zh: str
    rule_en: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Times are ISO 8601 with offset; weights in kg."""

    position: int
    subject: str
    fact_id: UUID
    fact: str  # permanent tag
    code: str
    zh: str
    en: str
    classifier: str  # PLN, EST, ACT
    happened_at: str  # in the place's own time
    zone: str
    zone_from: str  # stated, place, source, assumed
    recorded_at: datetime
    place: str = ""
    place_zh: str = ""
    place_en: str = ""
    border: str = ""  # of a receipt: customs of entry or exit
    facility: str = ""
    mode: str = ""
    transport: str = ""
    laden: bool | None = None
    pieces: int | None = None
    pieces_total: int | None = None
    partial: bool = False
    weight_kg: float | None = None
    seal: str = ""
    source: str  # for what Kouan decided, the account that did
    raw_code: str = ""
    text: str = ""
    message_id: UUID | None = None  # None: decided in Kouan, no message said so
    sent_at: datetime | None = None
    refs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    confirmed_by: tuple[Remark, ...] = ()
    retracted: Remark | None = None
    corrected: Remark | None = None
    conflict: Conflict | None = None

    @property
    def stands(self) -> bool:
        """Not taken back, or still stated by another source; a line that was replaced stands no more."""
        return self.corrected is None and (self.retracted is None or bool(self.confirmed_by))

    @property
    def counts(self) -> bool:
        """It stands, and no other source's word was preferred to it."""
        return self.stands and (self.conflict is None or self.conflict.won)

    @property
    def witnesses(self) -> frozenset[str]:
        """The sources that say so, whoever came first; not the one that took its word back."""
        others = {remark.source for remark in self.confirmed_by}
        return frozenset(others if self.retracted else {self.source, *others})


# --- project ---


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add a batch of facts."""
    rows = [row for entry in entries if (row := _row(entry))]
    with cursor.copy(
        "COPY timeline (position, subject, fact_id, recorded_at, sort, dataset, content) FROM STDIN (FORMAT BINARY)"
    ) as copy:
        copy.write(b"".join((binary.COPY_HEAD, *rows, binary.COPY_TAIL)))


def _row(entry: Entry) -> bytes | None:
    told = entry.fact
    order: str | None = None
    dataset: str | None = None
    subject = entry.stream
    match told:
        case Stated():
            line = _line(entry, told)
            about, order, content = entry.fact_id, _order(told, told.code, entry), msgspec.json.encode(line)
            dataset = datasets.of(subject, line.code, line.mode)
        case Confirmed() | Retracted() | Corrected() | Reinstated():
            about, content = told.fact_id, msgspec.json.encode(_remark(entry.fact_id, told))
        case _ if code := DECISIONS.get(type(told)):
            line = _decided(entry, code)
            subject, about = line.subject, entry.fact_id
            order, content = _order(told, code, entry), msgspec.json.encode(line)
            dataset = datasets.of(subject, code, "")
        case _:
            return None  # who the parties are is no event of the cargo
    return binary.row(
        binary.number(entry.position),
        binary.text(subject),
        binary.uuid(about),
        binary.instant(told.recorded_at),
        binary.text(order),
        binary.text(dataset),
        binary.raw(content),
    )


def _remark(fact_id: UUID, told: Confirmed | Retracted | Corrected | Reinstated) -> Remark:
    kind = tag_of(type(told)).removeprefix("fact.")
    reason = told.reason if isinstance(told, Retracted | Corrected) else ""
    replaced_by = told.replaced_by if isinstance(told, Corrected) else None
    refs = told.refs if isinstance(told, Confirmed) else ()
    return Remark(kind, fact_id, told.source, told.message_id, told.recorded_at, reason, replaced_by, refs)


CLASSES = {"ACT": 0, "EST": 1, "PLN": 2}


def _order(told: Fact, code: str, entry: Entry) -> str:
    classifier = told.classifier if isinstance(told, Moved) else "ACT"
    return f"{told.happened_at.isoformat()} {CLASSES[classifier]} {rank(code):04d} {entry.fact_id.int:032x}"


DECISIONS: dict[type[Fact], str] = {
    HoldPlaced: "HOLD_PLACED",
    HoldReleased: "HOLD_RELEASED",
    Lodged: "DEC_LODGED",
    Amended: "DEC_AMENDED",
    CompletionLodged: "DEC_COMPLETION_LODGED",
    DeletionRequested: "DEC_DELETION_REQUESTED",
    Withdrawn: "DEC_WITHDRAWN",
    InstructionGiven: "INSTR_GIVEN",
    InstructionConfirmed: "INSTR_CONFIRMED",
    InstructionRefused: "INSTR_REFUSED",
    InstructionCancelled: "INSTR_CANCELLED",
}
"""What was decided in Kouan, and its milestone. Such a fact says `by` whom.

It is of the `subject` it names, else of its stream; `reference` is shown as raw code, `authority`, `reason` and `note`
as text, and what `kind` of instruction it is behind the milestone's name.
"""

HERE = "Asia/Shanghai"


def _decided(entry: Entry, code: str) -> Line:
    told: dict[str, Any] = msgspec.structs.asdict(entry.fact)
    version = f"v{told['version']}" if "version" in told else ""
    words = (told.get("authority", ""), told.get("reason", ""), told.get("note", ""), version)
    zh, en = INSTRUCTIONS.get(told.get("kind", ""), ("", ""))
    place = told.get("place", "")
    return Line(
        position=entry.position,
        subject=told.get("subject", entry.stream),
        fact_id=entry.fact_id,
        fact=tag_of(type(entry.fact)),
        code=code,
        zh=f"{MILESTONES[code].zh}：{zh}" if zh else MILESTONES[code].zh,
        en=f"{MILESTONES[code].en}: {en}" if en else MILESTONES[code].en,
        classifier="ACT",
        happened_at=local(entry.fact.happened_at, HERE),
        zone=HERE,
        zone_from="stated",
        recorded_at=entry.fact.recorded_at,
        place=place,
        place_zh=places.name(place, "zh") if place else "",
        place_en=places.name(place, "en") if place else "",
        source=told.get("by", ""),
        raw_code=told.get("reference", ""),
        text=" · ".join(word for word in words if word),
    )


def _line(entry: Entry, told: Stated) -> Line:
    milestone = MILESTONES.get(told.code)
    name = told.text or told.raw_code
    common: dict[str, Any] = {
        "position": entry.position,
        "subject": entry.stream,
        "fact_id": entry.fact_id,
        "fact": tag_of(type(told)),
        "code": told.code,
        "zh": milestone.zh if milestone else name,
        "en": milestone.en if milestone else name,
        "happened_at": local(told.happened_at, told.zone),
        "zone": told.zone,
        "zone_from": told.zone_from,
        "recorded_at": told.recorded_at,
        "source": told.source,
        "raw_code": told.raw_code,
        "text": told.text,
        "message_id": told.message_id,
        "sent_at": told.sent_at,
        "refs": told.refs,
        "warnings": told.warnings,
    }
    if isinstance(told, Moved):
        return _moved(told, common)
    if isinstance(told, Received):
        zh, en = CUSTOMS.get(told.place, (told.place, told.place))
        return Line(**common, classifier="ACT", place=told.place, place_zh=zh, place_en=en, border=told.border)
    return Line(**common, classifier="ACT")


def _moved(told: Moved, common: dict[str, Any]) -> Line:
    return Line(
        **common,
        classifier=told.classifier,
        place=told.place,
        place_zh=places.name(told.place, "zh"),
        place_en=places.name(told.place, "en"),
        facility=told.facility,
        mode=told.mode,
        transport=told.transport,
        laden=told.laden,
        pieces=told.pieces,
        pieces_total=told.pieces_total,
        partial=told.partial,
        weight_kg=told.weight_kg,
        seal=told.seal,
    )


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | timezone:
    if name.startswith(("+", "-")):
        hours, minutes = int(name[1:3]), int(name[4:6])
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if name[0] == "-" else offset)
    return ZoneInfo(name) if name else UTC


def local(instant: datetime, zone: str) -> str:
    """An instant on the clock of its place, ISO 8601 with offset."""
    return instant.astimezone(_zone(zone)).isoformat(timespec="seconds")


# --- queries ---

LINES = """
SELECT fact_id, content, sort IS NULL
FROM timeline
WHERE subject = ANY(%s) AND recorded_at <= %s
ORDER BY sort NULLS LAST, position
"""
SEEN = """
SELECT fact_id, content, sort IS NULL
FROM timeline
WHERE subject = ANY(%s) AND recorded_at <= %s
  AND (dataset IS NULL OR dataset = ANY(%s) OR dataset = ANY(%s) AND subject = ANY(%s))
ORDER BY sort NULLS LAST, position
"""
_lines = msgspec.json.Decoder(Line)
_remarks = msgspec.json.Decoder(Remark)


ALWAYS = datetime.max.replace(tzinfo=UTC)


def lines(
    look: Look, subjects: Sequence[str], known_at: datetime | None = None, mine: Collection[str] = ()
) -> list[Line]:
    """The lines of some subjects that the view shows, merged, oldest first; empty if there are none.

    As they were stated: what a party may see of them is the business of projections/shown.py. `known_at`: of what had
    been recorded until then only, remarks too. `mine`: which of the subjects are cargo of the view's parties.
    """
    with look.connection.cursor(binary=True) as cursor:
        if look.view is None:
            return fold(cursor.execute(LINES, (list(subjects), known_at or ALWAYS), prepare=True))
        whole, own = list(look.view.whole), list(look.view.own)
        parameters = (list(subjects), known_at or ALWAYS, whole, own, list(mine))
        return fold(cursor.execute(SEEN, parameters, prepare=True))


def fold(rows: Iterable[tuple[UUID, bytes, bool]]) -> list[Line]:
    """Lines with what later facts say of them; remarks come after all lines, in the order of the journal."""
    told: dict[UUID, Line] = {}
    witnesses: dict[UUID, tuple[UUID, Remark]] = {}  # by its id a confirmation, and the line that it confirms
    for fact_id, content, is_remark in rows:
        if not is_remark:
            told[fact_id] = _lines.decode(content)
            continue
        remark = _remarks.decode(content)
        about, witness = witnesses.get(fact_id, (fact_id, None))
        if about in told:
            told[about] = _with(told[about], remark, witness)
            if remark.kind == "confirmed":
                witnesses[remark.fact_id] = (about, remark)
    return list(told.values())


def _with(line: Line, remark: Remark, witness: Remark | None) -> Line:
    """`witness`: the confirmation that the remark is about, if not about the line itself."""
    match remark.kind:
        case "confirmed":
            return _witnessed(line, (*line.confirmed_by, remark))
        case "retracted" if witness:
            return _witnessed(line, tuple(each for each in line.confirmed_by if each.fact_id != witness.fact_id))
        case "retracted":
            return msgspec.structs.replace(line, retracted=remark)
        case "corrected":
            return msgspec.structs.replace(line, corrected=remark)
        case _ if witness is None:
            return msgspec.structs.replace(line, retracted=None, corrected=None)
        case _:
            again = msgspec.structs.replace(witness, message_id=remark.message_id, recorded_at=remark.recorded_at)
            return _witnessed(line, (*line.confirmed_by, again))


def _witnessed(line: Line, confirmed_by: tuple[Remark, ...]) -> Line:
    """With these confirmations, and the subjects that they name besides its own."""
    before = {ref for remark in line.confirmed_by for ref in remark.refs}
    more = {ref for remark in confirmed_by for ref in remark.refs}
    refs = tuple(sorted(more.union(line.refs) - (before - more))) if before or more else line.refs
    return msgspec.structs.replace(line, confirmed_by=confirmed_by, refs=refs)


def position(connection: psycopg.Connection[Any]) -> int:
    """Up to which position of the cargo journal the timeline tells."""
    row = connection.execute(
        "SELECT position FROM read_model_positions WHERE name = %s", (NAME,), prepare=True
    ).fetchone()
    return row[0] if row else 0
