"""What a declaration can take over from what is known of its shipment, and where each field comes from.

A pure fold over the lines of projections/timeline.py: data that somebody has reported once is not entered again. It is
a draft: whoever declares looks it over, and what is entered by hand goes before it. Weights are kg, dates those of the
place.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain.declaring_codes import MODE_OF
from projections.timeline import Line

MAIN_MODES = ("VESSEL", "AIR", "RAIL", "TRUCK", "BARGE")
"""The mode that crosses the border is the first of these that the shipment travels by."""

ARRIVED = ("VSL_ARR", "AIR_ARR", "BORDER_CROSSED", "BORDER_ARR", "TRAIN_ARR", "TRUCK_ARR")
DEPARTED = ("VSL_DEP", "AIR_DEP", "BORDER_CROSSED", "TRAIN_DEP", "TRUCK_DEP")
BILLS = ("bl", "awb", "rail")
HOME = "CN"


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a field comes from: a fact, or the numbers that belong together."""

    source: str
    subject: str
    code: str = ""
    zh: str = ""
    en: str = ""
    happened_at: str = ""
    fact_id: UUID | None = None


class Draft(msgspec.Struct, frozen=True):
    """`content`: fields of domain/declaring.py as they would be entered; `origins`: by field."""

    content: dict[str, Any]
    origins: dict[str, Origin]


def draft(subjects: Sequence[str], lines: Sequence[Line]) -> Draft:
    """From the numbers of a shipment, the one asked for first, and its lines in their order."""
    told = [line for line in lines if line.stands]
    content: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, value, origin in (*_numbers(subjects), *_journey(told), *_amounts(told)):
        content[name], origins[name] = value, origin
    return Draft(content, origins)


def placed(entered: dict[str, Any]) -> dict[str, Any]:
    """With the lines of goods in each box, where there is but one box or one line; otherwise somebody must say."""
    boxes, goods = entered.get("containers"), entered.get("goods")
    if not isinstance(boxes, list) or not isinstance(goods, list) or min(len(boxes), len(goods)) != 1:
        return entered
    lines = list(range(1, len(goods) + 1))
    known = [{"lines": lines, **box} if isinstance(box, dict) else box for box in boxes]
    return {**entered, "containers": known}


Found = Iterator[tuple[str, Any, Origin]]


def _numbers(subjects: Sequence[str]) -> Found:
    for kind in BILLS:
        if bills := [subject for subject in subjects if subject.startswith(f"{kind}:")]:
            yield "bill", bills[0].partition(":")[2], Origin("links", bills[0])
            break
    if boxes := [subject for subject in subjects if subject.startswith("container:")]:
        numbers = [{"number": subject.partition(":")[2]} for subject in dict.fromkeys(boxes)]
        yield "containers", numbers, Origin("links", subjects[0])


def _journey(told: Sequence[Line]) -> Found:
    mode = next((mode for mode in MAIN_MODES if any(line.mode == mode for line in told)), None)
    if mode is None:
        return
    main = [line for line in told if line.mode == mode]
    yield "transport_mode", MODE_OF[mode], _origin(main[-1])
    if named := [line for line in main if line.transport]:
        yield "transport_name", named[-1].transport, _origin(named[-1])
    left = next((line for line in main if line.code in DEPARTED and line.place), None)
    came = next((line for line in reversed(main) if line.code in ARRIVED and line.place), None)
    if came is not None and came.place.startswith(HOME) and not (left and left.place.startswith(HOME)):
        yield "kind", "import", _origin(came)
        yield "carried_on", came.happened_at[:10], _origin(came)
    elif left is not None and left.place.startswith(HOME) and not (came and came.place.startswith(HOME)):
        yield "kind", "export", _origin(left)
        yield "carried_on", left.happened_at[:10], _origin(left)


def _amounts(told: Sequence[Line]) -> Found:
    """The latest statement about the whole shipment, each line about its bill; of boxes only if there is one."""
    whole = [line for line in told if not line.partial and _whole(line, told)]
    for name, field in (("packages", "pieces_total"), ("packages", "pieces"), ("gross_kg", "weight_kg")):
        if said := [line for line in whole if getattr(line, field) is not None]:
            value = getattr(said[-1], field)
            yield name, value if name == "packages" else f"{value:.15g}", _origin(said[-1])


def _whole(line: Line, told: Sequence[Line]) -> bool:
    boxes = {each.subject for each in told if each.subject.startswith("container:")}
    return line.subject.partition(":")[0] in BILLS or boxes == {line.subject}


def _origin(line: Line) -> Origin:
    return Origin(line.source, line.subject, line.code, line.zh, line.en, line.happened_at, line.fact_id)
