"""What a subscriber of the feed wants to hear: the rule, and what it says of one fact.

Conditions of different kinds must all hold; of the values of one kind, one. Nothing said: everything. What is said of
a fact (confirmed, retracted, corrected, reinstated) is heard by whoever hears the fact; what takes a fact back or sets
it up again is out of order by itself. Times are hours and minutes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from domain import identifiers, places
from domain.errors import Malformed
from domain.milestones import MILESTONES
from domain.report import KINDS, Classifier, Mode

VALUES_MAX = 1_000  # of one kind
CHARS_MAX = 128  # of one value
HOURS_MAX, MINUTES_MAX = 720.0, 10_080
MODES = tuple(mode for mode in get_args(Mode) if mode)
CLASSES: tuple[str, ...] = get_args(Classifier)
REVERSED = "_REVERSED"
_EXCEPTIONS = """
HOLD_PLACED HOLD_RELEASED
SCAN_ORDERED INSP_ORDERED INSP_SITE_IN INSP_DONE INSP_SITE_OUT SEAL_INSPECTED SEAL_REMOVED RESEALED
DEC_FAILED DEC_REJECTED DEC_RETURNED DEC_SUSPENDED DEC_REREVIEWED DEC_DELETED DOCS_REQUESTED VALUATION_REFERRED
BKG_REJECTED BKG_CANC INSTR_REFUSED INSTR_CANCELLED CHECKPOINT_REFUSED
ROLLED AIR_OFLD AIR_DIS DAMAGED ROUTE_DEVIATION OVERSTAY ESEAL_ALARM
"""
EXCEPTIONS = frozenset(_EXCEPTIONS.split())
"""Milestones that are out of order: holds and their end, inspections, failures and refusals, delays, what was left
behind, damage. So is any milestone that is taken back (LOADED_REVERSED)."""
UPSETS = frozenset({"retracted", "corrected", "reinstated"})
"""What is said of a fact, and changes whether it stands."""


class BadFilter(Malformed):
    """A wish that no fact could meet, or that cannot be understood."""

    slug = "bad-filter"
    title = "The filter cannot be used"


class FeedFilter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A wish. `subjects` are numbers or streams (`container:CSQU3054383`); places UN/LOCODE or as reported."""

    subjects: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()  # milestones
    places: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()  # domain/report.py Mode
    classes: tuple[str, ...] = ()  # ACT, EST, PLN
    sources: tuple[str, ...] = ()
    eta_hours: float = 0.0  # estimates only if they differ by so much from the one told last; 0: all
    eta_quiet_minutes: int = 0  # and not before the last one has stood for so long (debounce)
    exceptions: bool = False  # only what is out of order: EXCEPTIONS, UPSETS
    watched: bool = False  # of `subjects`, and of the numbers that the subscriber watches at that moment
    form: Literal["fact", "state"] = "fact"  # the fact alone, or the state of its subject with it

    @property
    def calms(self) -> bool:
        """Estimates are held back that say hardly anything new."""
        return self.eta_hours > 0 or self.eta_quiet_minutes > 0


EVERYTHING = FeedFilter()


class Told(NamedTuple):
    """As much of a fact as a wish can be about, as far as it is shown: what is kept back is empty and meets none."""

    subject: str
    code: str = ""
    place: str = ""
    mode: str = ""
    classifier: str = ""
    source: str = ""
    remark: str = ""  # what is said of the fact that the rest describes; "": it is that fact


# --- on the way in ---


def checked(wanted: FeedFilter) -> FeedFilter:
    """The wish in the words of the journal: subjects as streams, places by their codes. Raises BadFilter.

    A number stands for every kind of thing that it may be the number of, and for nothing that is linked with it:
    whoever wants the bill of a box names the bill, too.

    >>> checked(FeedFilter(subjects=("csqu 305438-3",), places=("XIY",))).places
    ('CNSIA', 'XIY')
    """
    for name in ("subjects", "codes", "places", "modes", "classes", "sources"):
        _few(name, getattr(wanted, name))
    _known("codes", wanted.codes, _codes())
    _known("modes", wanted.modes, MODES)
    _known("classes", wanted.classes, CLASSES)
    _between("eta_hours", wanted.eta_hours, HOURS_MAX)
    _between("eta_quiet_minutes", wanted.eta_quiet_minutes, MINUTES_MAX)
    return msgspec.structs.replace(
        wanted,
        subjects=_all(streams(text) for text in wanted.subjects),
        places=_all(aliases(text) for text in wanted.places),
    )


def streams(text: str) -> tuple[str, ...]:
    """What a number or a stream stands for. Raises BadIdentifier.

    >>> streams("CSQU3054383"), streams("bl:KOUA0000001")
    (('container:CSQU3054383', 'bl:CSQU3054383', 'booking:CSQU3054383'), ('bl:KOUA0000001',))
    """
    kind, colon, number = text.partition(":")
    if colon and kind in KINDS and number:
        return (text,)
    number = identifiers.stored(text)
    return tuple(f"{kind}:{number}" for kind in identifiers.kind_of(number))


def aliases(place: str) -> tuple[str, ...]:
    """The codes under which statements about a place are kept; by some modes its name stands for another one."""
    return tuple(sorted({places.canonical(place, mode) for mode in ("", *MODES)} | {place.strip()}))


def _all(each: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for values in each for value in values))


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    return frozenset(MILESTONES) | {code + REVERSED for code in MILESTONES}


def _few(name: str, values: Sequence[str]) -> None:
    if len(values) > VALUES_MAX:
        raise BadFilter(
            f"{name} 至多 {VALUES_MAX} 个，现有 {len(values)} 个 / at most {VALUES_MAX} {name}, not {len(values)}",
            field=name,
            values_max=VALUES_MAX,
        )
    for value in values:
        if not value.strip() or len(value) > CHARS_MAX or not value.isprintable():
            raise BadFilter(
                f"{name} 中的 {value[:40]!r} 不能用：应为 1 至 {CHARS_MAX} 个可打印字符"
                f" / {value[:40]!r} of {name} cannot be used: 1 to {CHARS_MAX} printable characters",
                field=name,
            )


def _known(name: str, values: Sequence[str], known: Iterable[str]) -> None:
    unknown = sorted(set(values).difference(known))
    if unknown:
        list_of = sorted(code for code in known if not code.endswith(REVERSED))
        raise BadFilter(
            f"{name} 中没有 {'、'.join(unknown[:5])} / {', '.join(unknown[:5])} is none of the {name}",
            field=name,
            unknown=unknown[:20],
            known=list_of,
        )


def _between(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # NaN is not either
        raise BadFilter(
            f"{name} 应在 0 至 {most:g} 之间 / {name} must be between 0 and {most:g}", field=name, most=most
        )


# --- what it says of one fact ---


def passes(wanted: FeedFilter, told: Told) -> bool:
    """Whether a fact is wanted; of estimates, whether it may be (`Calm` has the last word). `wanted`: checked."""
    return (
        _one_of(told.subject, wanted.subjects)
        and _one_of(told.code, wanted.codes)
        and _one_of(told.place, wanted.places)
        and _one_of(told.mode, wanted.modes)
        and _one_of(told.classifier, wanted.classes)
        and _one_of(told.source, wanted.sources)
        and (not wanted.exceptions or exceptional(told.code) or told.remark in UPSETS)
    )


def _one_of(value: str, values: tuple[str, ...]) -> bool:
    return not values or value in values


def exceptional(code: str) -> bool:
    """Whether a milestone is out of order by itself."""
    return code in EXCEPTIONS or code.endswith(REVERSED)


class Estimate(NamedTuple):
    """One estimate in the order of the feed, or what is said of one: then `remark`, and the rest is that estimate's."""

    fact_id: UUID  # of the estimate
    key: tuple[str, str, str]  # subject, place, code: an estimate of the same
    expected_at: datetime
    recorded_at: datetime
    remark: str = ""


def held_back(wanted: FeedFilter, estimates: Iterable[Estimate]) -> set[UUID]:
    """Of estimates that are wanted otherwise, all there are from the first on, those that say hardly anything new.

    One is told if nothing was told of the same before, or if what was told last was taken back; else if it differs by
    at least `eta_hours` and what was told last has stood for `eta_quiet_minutes`. A function of what stands in the
    journal, not of when one asks: pages of any size tell the same. What comes too early is not told later.
    """
    apart, quiet = timedelta(hours=wanted.eta_hours), timedelta(minutes=wanted.eta_quiet_minutes)
    last: dict[tuple[str, str, str], Estimate] = {}
    held: set[UUID] = set()
    fallen: set[UUID] = set()
    for each in estimates:
        if each.remark:
            _stands(fallen, each)
            continue
        before = last.get(each.key)
        if before is None or before.fact_id in fallen or _is_news(before, each, apart, quiet):
            last[each.key] = each
        else:
            held.add(each.fact_id)
    return held


def _stands(fallen: set[UUID], remark: Estimate) -> None:
    if remark.remark in {"retracted", "corrected"}:
        fallen.add(remark.fact_id)
    elif remark.remark == "reinstated":
        fallen.discard(remark.fact_id)


def _is_news(before: Estimate, each: Estimate, apart: timedelta, quiet: timedelta) -> bool:
    differs = abs(each.expected_at - before.expected_at) >= apart
    return differs and each.recorded_at - before.recorded_at >= quiet
