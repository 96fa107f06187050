"""Which alerts a view shows: those whose rule is about a dataset that it shows, and whose facts are all shown lines.

The first is asked of the table, the second of what it finds: a box is used again and again, and what was amiss with it
under other people's papers is not told to those who have it now. Whoever sees every dataset in whole need not be asked.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from projections import links, shown, vicinity
from projections.rights import View
from projections.sight import Look
from projections.timeline import Line

if TYPE_CHECKING:
    from projections.alerts import Alert

MINE = """
EXISTS (
    SELECT FROM party_cargo
    WHERE party_cargo.subject = alert_conditions.subject AND party_cargo.party = ANY(%(parties)s::text[])
)
"""
SOME = f"(rule.dataset = ANY(%(whole)s::text[]) OR rule.dataset = ANY(%(own)s::text[]) AND {MINE})"
ONLY_MINE = f"rule.dataset = ANY(%(own)s::text[]) AND {MINE}"  # found by the party, not by the rule


def wanted(view: View | None, datasets: set[str]) -> tuple[str, dict[str, Any]]:
    """What a row must fulfil, as SQL with its values. `datasets`: of the rules that are asked for."""
    if view is None or datasets <= set(view.whole):
        return "true", {}
    values = {"whole": list(view.whole), "own": list(view.own), "parties": list(view.parties)}
    return (ONLY_MINE if datasets.isdisjoint(view.whole) else SOME), values


def alerts(look: Look, found: "Sequence[Alert]") -> "list[Alert]":
    """Of what the table told those that are shown, as they are shown."""
    view = look.view
    if view is None or not found or view.sees_all:
        return list(found)
    subjects = sorted({each.subject for each in found})
    near = links.reached(look, [[subject] for subject in subjects])
    lines = {line.fact_id: line for line in vicinity.lines(look, sorted({*subjects, *chain.from_iterable(near)}))}
    return [_as_shown(each, lines, view) for each in found if {each.cause, *each.facts} <= lines.keys()]


def _as_shown(found: "Alert", lines: Mapping[UUID, Line], view: View) -> "Alert":
    """With no more of its cause than is shown of that line."""
    cause = lines[found.cause]
    return msgspec.structs.replace(
        found,
        cleared_by=found.cleared_by if found.cleared_by in lines else None,
        place=found.place if cause.place else "",
        detail=found.detail if _tells_text(view, cause) else "",
    )


def _tells_text(view: View, line: Line) -> bool:
    """A detail is of the cause's text, raw code or reference."""
    allowed = dict(view.fields).get(shown.dataset(line))
    return "text" not in view.masked and (allowed is None or "text" in allowed)
