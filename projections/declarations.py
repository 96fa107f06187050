"""Declarations as their receipts tell, folded from lines of the timeline: status, obstacles, whom it covers.

The life cycle itself is that of domain/declaration.py, taken in the order of notice times; lines that were taken back
do not count. One declaration may speak under several numbers: before customs has given an entry id its receipts go by
the number of the Single Window, and an entry takes along what was said under the numbers that it names.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import declaration, identifiers
from domain.customs_districts import CUSTOMS
from domain.declaration import Declaration, Received
from domain.declaring import Content
from domain.errors import Malformed
from domain.fact import Fact, tag_of
from projections.timeline import Line

STATUS: dict[str, tuple[str, str]] = {
    "": ("仅有未识别的回执", "only receipts that cannot be read"),
    "lodged": ("已提交", "lodged"),
    "submitted": ("已申报", "declared"),
    "submission_failed": ("申报失败", "declaring failed"),
    "accepted": ("海关入库", "accepted by customs"),
    "rejected": ("退单", "rejected"),
    "returned": ("退回修改", "returned for amendment"),
    "suspended": ("挂起", "suspended"),
    "re_reviewed": ("重审", "under review again"),
    "review_completed": ("审结", "review completed"),
    "released_under_guarantee": ("担保放行", "released under guarantee"),
    "released": ("放行", "released"),
    "pickup_released": ("提货放行", "released for pick-up"),
    "closed": ("结关", "closed"),
    "deleted": ("删单", "deleted"),
    "withdrawn": ("撤回", "withdrawn"),
}
DEAD = frozenset({"submission_failed", "rejected", "deleted", "withdrawn"})
"""Nothing will come of it any more: another declaration may take its place."""

PROCEDURES: dict[str, tuple[str, str]] = {
    "ordinary": ("一般", "ordinary"),
    "two-step": ("两步申报", "two-step"),
    "guarantee": ("担保放行", "release under guarantee"),
}
DUTY_FIRST = {"ordinary": True, "two-step": False, "guarantee": False}
"""Whether duty that was assessed must be settled before release. Once customs has released, that is settled."""

BILLS = ("bl", "awb", "rail")


class Office(msgspec.Struct, frozen=True):
    """A customs office, by its four digits."""

    code: str
    zh: str
    en: str


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration as it stands. Times are ISO 8601 with offset, "" where it has not come to that."""

    number: str
    direction: str  # import, export; "" where the number does not say
    status: str  # a key of STATUS
    zh: str
    en: str
    procedure: str  # a key of PROCEDURES
    procedure_zh: str
    procedure_en: str
    declaring: Office | None  # 申报地海关
    border: Office | None  # 进出境关别
    cross_region: bool  # declared at another customs than that of entry or exit
    released: bool
    released_at: str = ""
    completion_due: bool = False  # released for pick-up only: the complete declaration is still owed
    blocking: tuple[str, ...] = ()  # inspection, duty, valuation, suspension, documents
    bills: tuple[str, ...] = ()  # bl:, awb:, rail: that it names
    boxes: tuple[str, ...] = ()  # container: that it names; none: all of its bills
    fact_ids: tuple[UUID, ...] = ()  # that the status rests on


class Story(NamedTuple):
    """A declaration with the lines that made it what it is."""

    declared: Declared
    lines: Sequence[Line]  # all that stand, in the order of notice times
    turned: Line  # by which it has its status
    blocked: dict[str, Line]  # what stands in the way, and since when


def stories(lines: Sequence[Line]) -> list[Story]:
    """Every declaration in these lines (timeline order, none that was taken back), by number."""
    told = [line for line in lines if line.fact in _KINDS and line.subject.startswith("declaration:")]
    named = {line.subject: set[str]() for line in told}
    for line in told:
        named[line.subject] |= {ref for ref in line.refs if ref in named and not entry(ref)} - {line.subject}
    return [_story(head, [line for line in told if line.subject in family]) for head, family in _families(named)]


def _families(named: dict[str, set[str]]) -> Iterable[tuple[str, set[str]]]:
    """A declaration and its other numbers. One that nobody names, and every entry id, is a head of its own."""
    others = {ref for refs in named.values() for ref in refs}
    covered: set[str] = set()
    for head in sorted(named, key=lambda subject: (entry(subject) is None, subject in others, subject)):
        if head not in covered:
            family, ways = {head}, [head]
            while ways:
                ways += (new := named[ways.pop()] - family)
                family |= new
            covered |= family
            yield head, family


def _story(head: str, lines: list[Line]) -> Story:
    state, turned = Declaration(head.partition(":")[2]), lines[0]
    release: Line | None = None
    blocked: dict[str, Line] = {}
    for line in lines:
        before, state = state, declaration.evolve(state, _fact(line))
        if state.status != before.status or (line.fact in _DECISIVE and state.released == before.released):
            turned = line
        if state.released != before.released:
            release = line if state.released else None
        for each in state.blocking:
            if each not in before.blocking or (each, line.code) == ("inspection", "INSP_ORDERED"):
                blocked[each] = line
    kept = {each: blocked[each] for each in sorted(state.blocking)}
    said = [*filter(None, (release,)), turned, *kept.values()]
    return Story(_declared(head, state, lines, release, said), lines, turned, kept)


def _declared(head: str, state: Declaration, lines: list[Line], release: Line | None, said: Sequence[Line]) -> Declared:
    found, procedure = entry(head), _procedure(state, lines)
    declaring, border = _office(lines, "place"), _office(lines, "border")
    return Declared(
        number=state.number,
        direction=found.direction if found else {"I": "import", "E": "export"}.get(state.number[:1], ""),
        status=state.status,
        zh=STATUS[state.status][0],
        en=STATUS[state.status][1],
        procedure=procedure,
        procedure_zh=PROCEDURES[procedure][0],
        procedure_en=PROCEDURES[procedure][1],
        declaring=declaring,
        border=border,
        cross_region=bool(declaring and border and declaring.code != border.code),
        released=state.released,
        released_at=release.happened_at if release else "",
        completion_due=state.summary_only,
        blocking=tuple(sorted(state.blocking)),
        bills=_named(lines, BILLS),
        boxes=_named(lines, ("container",)),
        fact_ids=tuple(dict.fromkeys(line.fact_id for line in said)),
    )


def _procedure(state: Declaration, lines: list[Line]) -> str:
    if any(line.raw_code.startswith("Sp") for line in lines):
        return "two-step"
    return "guarantee" if state.status == "released_under_guarantee" else "ordinary"


def _office(lines: list[Line], field: str) -> Office | None:
    """As the latest receipt names it that does."""
    codes = [code for line in lines if (code := getattr(line, field))]
    return Office(codes[-1], *CUSTOMS.get(codes[-1], (codes[-1], codes[-1]))) if codes else None


def _named(lines: list[Line], kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({ref for line in lines for ref in line.refs if ref.partition(":")[0] in kinds}))


# --- a line as the fact that it tells ---

_KINDS: dict[str, type[Fact]] = {tag_of(kind): kind for kind in declaration.FACTS}
_DECISIVE = frozenset(tag_of(kind) for kind in declaration.STATUS)


def _fact(line: Line) -> Fact:
    """As much of it as the life cycle looks at; the order is that of the lines."""
    kind: Any = _KINDS[line.fact]
    told: dict[str, Any] = {"happened_at": line.recorded_at, "recorded_at": line.recorded_at}
    if issubclass(kind, Received):
        told |= {"source": line.source, "message_id": line.message_id, "code": line.code, "raw_code": line.raw_code}
    else:  # decided here
        asked = {"by": line.source, "reason": line.text, "version": 1, "content": Content()}
        told |= {name: value for name, value in asked.items() if name in kind.__struct_fields__}
    fact: Fact = kind(**told)
    return fact


@lru_cache(maxsize=1 << 14)
def entry(subject: str) -> identifiers.EntryId | None:
    """The parts of an entry id; None for any other number."""
    try:
        return identifiers.entry_id(subject.partition(":")[2])
    except Malformed:
        return None
