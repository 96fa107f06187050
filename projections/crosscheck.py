"""Fields that an agency holds against what was told: its own entry beside manifest, tally, declaration and permits.

Pure. A field is compared with every origin that tells it. It is equal if all of them agree, different if one does not,
unknown if none tells it: that nothing is known is an answer too. Weights are kg, compared to the kilogram.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from domain import identifiers
from domain.declaring import Content
from projections import declarations, journeys
from projections.clearance_case import TALLIES
from projections.declarations import BILLS, Story
from projections.timeline import Line

Result = Literal["equal", "different", "unknown"]
Name = Annotated[str, msgspec.Meta(max_length=60)]
Number = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
KILOGRAM = 1.0

FIELDS: dict[str, tuple[str, str]] = {
    "declaring_customs": ("申报地海关", "declaring customs"),
    "border_customs": ("进出境关别", "border customs"),
    "bill": ("提运单号", "bill"),
    "containers": ("集装箱", "containers"),
    "pieces": ("件数", "pieces"),
    "gross_kg": ("毛重（千克）", "gross weight (kg)"),
    "vessel": ("运输工具", "means of transport"),
    "voyage": ("航次", "voyage"),
    "seals": ("铅封", "seals"),
    "permits": ("许可证件", "permits"),
}
ORIGINS: dict[str, tuple[str, str]] = {
    "declaration": ("报关单", "declaration"),
    "manifest": ("舱单", "manifest"),
    "tally": ("理货报告", "tally"),
}


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agency has; a field that is left out is not compared."""

    purpose: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    entry_id: Name = ""
    declaring_customs: Name = ""
    border_customs: Name = ""
    bill: Name = ""
    containers: Annotated[tuple[Number, ...], msgspec.Meta(max_length=200)] = ()
    pieces: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    gross_kg: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    vessel: Name = ""
    voyage: Name = ""
    seals: Annotated[tuple[Number, ...], msgspec.Meta(max_length=200)] = ()
    permits: Annotated[tuple[Number, ...], msgspec.Meta(max_length=200)] = ()


class Value(msgspec.Struct, frozen=True, kw_only=True):
    origin: str  # a key of ORIGINS
    zh: str
    en: str
    value: str
    result: Result
    fact_ids: tuple[UUID, ...] = ()


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    field: str  # a key of FIELDS
    zh: str
    en: str
    result: Result
    asked: str
    known: list[Value]


class Known(msgspec.Struct, frozen=True):
    """What there is to compare with: the lines of the consignment, and what was lodged here."""

    stories: Sequence[Story]
    manifest: Sequence[Line]
    tallies: Sequence[Line]
    contents: Mapping[str, Content]  # by declaration


def subjects(asked: Asked) -> list[str]:
    """By which numbers the cargo is found; empty if none is given."""
    found = [f"declaration:{_plain(asked.entry_id)}"] if asked.entry_id else []
    if asked.bill:
        number = identifiers.normalise(asked.bill)
        kinds = (kind for kind in identifiers.kind_of(number) if kind in BILLS)
        found += [f"{kind}:{_number(kind, number)}" for kind in dict.fromkeys((*kinds, "bl"))]
    return found + [f"container:{_number('container', box)}" for box in asked.containers]


def known(asked: Asked, lines: Sequence[Line], contents: Mapping[str, Content]) -> Known:
    """Of the lines what is about the numbers asked for."""
    about = set(subjects(asked))
    told = [line for line in lines if line.stands and line.classifier == "ACT"]
    entry = f"declaration:{_plain(asked.entry_id)}"
    stories = [
        story
        for story in declarations.stories(told)
        if any(line.subject == entry for line in story.lines)
        or (not asked.entry_id and not about.isdisjoint({*story.declared.bills, *story.declared.boxes}))
    ]
    declared = {bill for story in stories for bill in story.declared.bills}
    bills = {each for each in about if journeys.kind(each) in BILLS} or declared
    own = [line for line in told if _concerns(line, bills, about)]
    return Known(
        stories,
        [line for line in own if line.code.startswith("MAN_")],
        [line for line in own if line.code in TALLIES],
        contents,
    )


def _concerns(line: Line, bills: set[str], about: set[str]) -> bool:
    """A bill that is asked for; a box under it, or where no bill is known the box itself."""
    if line.subject in bills:
        return True
    if journeys.kind(line.subject) != "container":
        return False
    return not bills.isdisjoint(line.refs) if bills else line.subject in about


# --- the fields ---

Told = Iterable[tuple[str, str, Iterable[Line]]]
"""Origin, value, the lines that say so."""


def compare(asked: Asked, known: Known) -> list[Compared]:
    """Each field that the agency gave."""
    return [_compared(asked, name, known) for name in FIELDS if getattr(asked, name) not in ("", (), None)]


def _compared(asked: Asked, name: str, known: Known) -> Compared:
    given = getattr(asked, name)
    agrees = _AGREES.get(name, _same_text)
    values = [
        Value(
            origin=origin,
            zh=ORIGINS[origin][0],
            en=ORIGINS[origin][1],
            value=value,
            result="equal" if agrees(given, value) else "different",
            fact_ids=tuple(dict.fromkeys(line.fact_id for line in lines)),
        )
        for origin, value, lines in _told(name, known)
        if value
    ]
    results = {value.result for value in values}
    result: Result = "different" if "different" in results else "equal" if results else "unknown"
    shown = ", ".join(given) if isinstance(given, tuple) else f"{given:g}" if isinstance(given, float) else str(given)
    zh, en = FIELDS[name]
    return Compared(field=name, zh=zh, en=en, result=result, asked=shown, known=values)


def _told(name: str, known: Known) -> Told:
    for story in known.stories:
        value = _declared(name, story)
        yield "declaration", value, [story.turned] if value else []
    for content in known.contents.values():
        yield "declaration", _lodged(name, content), []
    yield "manifest", *_on_manifest(name, known.manifest)
    yield "tally", *_tallied(name, known.tallies)


def _declared(name: str, story: Story) -> str:
    declared = story.declared
    match name:
        case "declaring_customs":
            return declared.declaring.code if declared.declaring else ""
        case "border_customs":
            return declared.border.code if declared.border else ""
        case "bill":
            return _numbers(declared.bills)
        case "containers":
            return _numbers(declared.boxes)
        case _:
            return ""


def _lodged(name: str, content: Content) -> str:
    """As the declarant entered it here."""
    permits = (content.licence, *(document.number for document in content.documents))
    told = {
        "declaring_customs": content.declaring_customs,
        "border_customs": content.border_customs,
        "bill": content.bill,
        "containers": ", ".join(sorted(box.number for box in content.containers)),
        "pieces": "" if content.packages is None else str(content.packages),
        "gross_kg": "" if content.gross_kg is None else f"{content.gross_kg:f}",
        "vessel": content.transport_name,
        "voyage": content.voyage,
        "permits": ", ".join(sorted(filter(None, permits))),
    }
    return told.get(name, "")


def _on_manifest(name: str, lines: Sequence[Line]) -> tuple[str, Iterable[Line]]:
    match name:
        case "bill":
            named = {each for line in lines for each in (line.subject, *line.refs) if journeys.kind(each) in BILLS}
            return _numbers(named), lines if named else ()
        case "containers":
            boxes = {each for line in lines for each in (line.subject, *line.refs) if each.startswith("container:")}
            return _numbers(boxes), lines if boxes else ()
        case "seals":
            sealed = [line for line in lines if line.seal]
            return ", ".join(sorted({line.seal for line in sealed})), sealed
        case "vessel" | "voyage":
            carried = [line for line in lines if line.transport][-1:]
            return "".join(line.transport for line in carried), carried
        case _:
            return _amount(name, lines)


def _tallied(name: str, lines: Sequence[Line]) -> tuple[str, Iterable[Line]]:
    return _amount(name, lines) if name in {"pieces", "gross_kg"} else ("", ())


def _amount(name: str, lines: Sequence[Line]) -> tuple[str, Iterable[Line]]:
    """Of the bill if it is told for that, else the sum over its boxes; the latest word on each."""
    field = {"pieces": "pieces", "gross_kg": "weight_kg"}.get(name)
    told = [line for line in lines if field and getattr(line, field) is not None]
    latest = {line.subject: line for line in told}
    bills = [line for subject, line in latest.items() if journeys.kind(subject) in BILLS]
    found = bills or list(latest.values())
    if not field or not found:
        return "", ()
    return f"{sum(getattr(line, field) for line in found):g}", found


# --- when two values agree ---

_TOKENS = re.compile(r"[^\W_]+")


def _same_text(asked: str, value: str) -> bool:
    """One of several that are told."""
    return _plain(asked) in {_plain(each) for each in value.split(",")}


def _same_set(asked: Sequence[str], value: str) -> bool:
    return {_plain(each) for each in asked} == {_plain(each) for each in value.split(",")}


def _same_number(asked: float, value: str) -> bool:
    return abs(asked - float(value)) < KILOGRAM


def _within(asked: str, value: str) -> bool:
    """All words of a name are among those told: a manifest writes ship and voyage together."""
    return {word.upper() for word in _TOKENS.findall(asked)} <= {word.upper() for word in _TOKENS.findall(value)}


_AGREES: dict[str, Callable[..., bool]] = {
    "containers": _same_set,
    "seals": _same_set,
    "permits": _same_set,
    "pieces": _same_number,
    "gross_kg": _same_number,
    "vessel": _within,
    "voyage": _within,
}


def _plain(text: str) -> str:
    return identifiers.normalise(text).replace(" ", "").replace("-", "")


def _number(kind: str, number: str) -> str:
    check = {"container": identifiers.container, "awb": identifiers.awb}.get(kind)
    return check(number)[0] if check else identifiers.normalise(number)


def _numbers(found: Iterable[str]) -> str:
    return ", ".join(sorted({subject.partition(":")[2] for subject in found}))
