"""What a row of an export tells: one fact of the journal, as the feed shows it, with words in both languages.

Instants are UTC; `happened_local` is the same on the clock of the place. Weights are kg. What is kept back from the
caller is empty, as in the feed. A fact about a fact (confirmed, retracted, corrected, reinstated) is a row of its own;
`about` is the fact that it speaks of.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from api.feeding import FeedItem
from domain import places
from domain.fact import tag_of
from domain.milestones import MILESTONES
from projections import timeline

Kind = Literal["text", "number", "decimal", "yes_no", "instant"]
Value = str | int | float | bool | datetime | None
CODES = {tag_of(kind): code for kind, code in timeline.DECISIONS.items()}
"""What was decided in Kouan bears no milestone's code: its tag says which one it is."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """As much of any fact as a row needs; what a newer Kouan says besides is passed over."""

    fact: str
    happened_at: datetime | None = None
    recorded_at: datetime | None = None
    sent_at: datetime | None = None
    code: str = ""
    classifier: str = ""
    zone: str = ""
    place: str = ""
    border: str = ""
    facility: str = ""
    mode: str = ""
    transport: str = ""
    laden: bool | None = None
    pieces: int | None = None
    pieces_total: int | None = None
    weight_kg: float | None = None
    seal: str = ""
    source: str = ""
    by: str = ""
    raw_code: str = ""
    reference: str = ""
    text: str = ""
    reason: str = ""
    note: str = ""
    authority: str = ""
    refs: tuple[str, ...] = ()
    message_id: UUID | None = None
    fact_id: UUID | None = None
    replaced_by: UUID | None = None


class _Least(msgspec.Struct, frozen=True, gc=False):
    fact: str
    recorded_at: datetime | None = None


class Row(NamedTuple):
    item: FeedItem
    told: Told

    @property
    def code(self) -> str:
        return self.told.code or CODES.get(self.told.fact, "")

    def words(self, lang: Literal["zh", "en"]) -> str:
        """The milestone in one language; the source's own word for a code that nobody here knows."""
        milestone = MILESTONES.get(self.code)
        return getattr(milestone, lang) if milestone else self.told.text or self.told.raw_code


def row(item: FeedItem) -> Row:
    """A row; of a fact that does not fit, its kind and its time."""
    try:
        return Row(item, _told.decode(item.fact))
    except (msgspec.MsgspecError, ValueError):
        least = _least.decode(item.fact)
        return Row(item, Told(least.fact, recorded_at=least.recorded_at))


_told, _least = msgspec.json.Decoder(Told), msgspec.json.Decoder(_Least)


class Column(NamedTuple):
    name: str  # in Parquet
    zh: str
    en: str
    kind: Kind
    value: Callable[[Row], Value]
    width: int = 14  # in a workbook


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.told, name)


def _id(name: str) -> Callable[[Row], str]:
    return lambda row: str(getattr(row.told, name) or "")


def _local(row: Row) -> str:
    told = row.told
    return timeline.local(told.happened_at, told.zone) if told.happened_at else ""


def _classifier(row: Row) -> str:
    return row.told.classifier or ("ACT" if row.code else "")


COLUMNS: Sequence[Column] = (
    Column("position", "记录序号", "Position", "number", lambda row: row.item.position, 10),
    Column("kind", "号码种类", "Kind", "text", lambda row: row.item.subject.partition(":")[0]),
    Column("number", "号码", "Number", "text", lambda row: row.item.subject.partition(":")[2], 22),
    Column("fact", "事实类型", "Fact", "text", _field("fact"), 24),
    Column("code", "标准代码", "Milestone code", "text", lambda row: row.code, 16),
    Column("milestone_zh", "动态（中文）", "Milestone (Chinese)", "text", lambda row: row.words("zh"), 28),
    Column("milestone_en", "动态（英文）", "Milestone (English)", "text", lambda row: row.words("en"), 28),
    Column("classifier", "类别", "Class: ACT, EST, PLN", "text", _classifier, 8),
    Column("happened_at", "发生时间（UTC）", "Happened at (UTC)", "instant", _field("happened_at"), 26),
    Column("happened_local", "发生时间（当地）", "Happened at (local)", "text", _local, 26),
    Column("recorded_at", "记录时间（UTC）", "Recorded at (UTC)", "instant", _field("recorded_at"), 26),
    Column("sent_at", "报文时间（UTC）", "Sent at (UTC)", "instant", _field("sent_at"), 26),
    Column("place", "地点代码", "Place code", "text", _field("place")),
    Column("place_zh", "地点（中文）", "Place (Chinese)", "text", lambda row: _place(row, "zh"), 20),
    Column("place_en", "地点（英文）", "Place (English)", "text", lambda row: _place(row, "en"), 20),
    Column("border", "进出境关别", "Customs of entry or exit", "text", _field("border")),
    Column("facility", "设施", "Facility", "text", _field("facility"), 18),
    Column("mode", "运输方式", "Mode", "text", _field("mode")),
    Column("transport", "运输工具", "Transport", "text", _field("transport"), 26),
    Column("laden", "重箱", "Laden", "yes_no", _field("laden"), 8),
    Column("pieces", "件数", "Pieces", "number", _field("pieces"), 8),
    Column("pieces_total", "总件数", "Pieces in all", "number", _field("pieces_total"), 8),
    Column("weight_kg", "重量千克", "Weight kg", "decimal", _field("weight_kg"), 10),
    Column("seal", "铅封", "Seal", "text", _field("seal")),
    Column("source", "来源", "Source", "text", lambda row: row.told.source or row.told.by, 18),
    Column("raw_code", "原始代码", "Raw code", "text", lambda row: row.told.raw_code or row.told.reference),
    Column("text", "来源原文", "Source's words", "text", lambda row: _text(row.told), 30),
    Column("refs", "提及号码", "Names", "text", lambda row: "; ".join(row.told.refs), 30),
    Column("about", "所述事实", "About fact", "text", _id("fact_id"), 38),
    Column("replaced_by", "更正为", "Replaced by", "text", _id("replaced_by"), 38),
    Column("fact_id", "事实编号", "Fact id", "text", lambda row: str(row.item.fact_id), 38),
    Column("message_id", "报文编号", "Message", "text", _id("message_id"), 38),
)


def _place(row: Row, lang: str) -> str:
    return places.name(row.told.place, lang) if row.told.place else ""


def _text(told: Told) -> str:
    return " · ".join(word for word in (told.text, told.authority, told.reason, told.note) if word)
