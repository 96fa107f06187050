"""Finding the events that a question of a facade asks for, a page at a time.

Where the question names a number, its consignment is read whole and ordered in memory. Else the journal is walked by
position, in bounded steps: a page may then be short, or empty, and still have a next one. Ordering by anything but the
order of recording needs the whole selection, so without a number it must be small. All is read through the caller's
view, so pages and boundaries are those of what is shown, as if there were nothing else.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import psycopg

from api.facades.paging import Cut, Key, Order, Token, foreign
from domain.errors import Malformed
from projections import events
from projections.sight import Look
from projections.timeline import Line

STEP_MIN, STEP_MAX = 256, 4_000  # lines
SCANNED_MAX = 10_000  # for one page
SORTED_MAX = 20_000  # lines that are looked at for an order of their own
OWN_STEP_MAX = 500  # lines, of a party's own cargo: each is looked at with its consignment
STEPS_MAX = 4  # for one page, where little is shown
SORTED_STEPS_MAX = 40

TOO_MUCH = (
    f"可排序的数据超过 {SORTED_MAX} 条：请给出号码，或缩小接收时间的范围，或不排序"
    f" / more than {SORTED_MAX} lines would have to be ordered: name a number, narrow the time of receipt, or take the "
    "order of recording"
)

Event = dict[str, Any]
Made = tuple[Line, Event]


class Eyes(NamedTuple):
    """What a question looks with: the caller's view, and the node's own connection, of which only positions come."""

    look: Look
    node: psycopg.Connection[Any]

    @property
    def step_max(self) -> int:
        """How many lines at a time."""
        own = self.look.view is not None and self.look.view.parties and self.look.view.own
        return OWN_STEP_MAX if own else STEP_MAX


class TooMuchToOrder(Malformed):
    slug = "too-much-to-order"
    title = "More than can be ordered for one answer"


class Search(Protocol):
    """A question, as its facade understands it."""

    @property
    def subjects(self) -> Sequence[str]: ...  # kind:number; nothing without one of them can match

    @property
    def order(self) -> Order: ...

    def likely(self, lines: Sequence[Line]) -> list[Line]: ...  # those that may match, told by themselves

    def made(self, eyes: Eyes, lines: Sequence[Line]) -> list[Made]: ...  # the events that match

    def key(self, event: Event, position: int) -> Key: ...

    def window(self, node: psycopg.Connection[Any]) -> tuple[int, int]: ...  # positions; outside nothing matches


def page(eyes: Eyes, search: Search, token: Token, limit: int) -> Cut[Made]:
    """Raises BadFacadeCursor, and TooMuchToOrder."""
    if search.subjects:
        return _ordered(search, token, limit, search.made(eyes, events.of(eyes.look, search.subjects)))
    if search.order.fields:
        return _ordered(search, token, limit, _selection(eyes, search))
    return _walk(eyes, search, token, limit)


# --- in memory ---


def _ordered(search: Search, token: Token, limit: int, made: Sequence[Made]) -> Cut[Made]:
    return search.order.cut([(search.key(event, line.position), (line, event)) for line, event in made], token, limit)


def _selection(eyes: Eyes, search: Search) -> list[Made]:
    low, high = search.window(eyes.node)
    made: list[Made] = []
    scanned = 0
    for _ in range(SORTED_STEPS_MAX):
        step = events.step(eyes.look, low, high, eyes.step_max)
        scanned += len(step.lines)
        if scanned > SORTED_MAX:
            break
        made += search.made(eyes, events.folded(eyes.look, search.likely(step.lines), step.raw))
        if step.ended:
            return made
        low = step.edge
    raise TooMuchToOrder(TOO_MUCH, lines_max=SORTED_MAX)


# --- by position ---


def _walk(eyes: Eyes, search: Search, token: Token, limit: int) -> Cut[Made]:
    if token.at is not None and not isinstance(token.at, int):
        raise foreign()
    found: list[Made] = []
    end: int | None = None  # as far as has been looked, where something may be left
    for made, looked in _steps(eyes, search, token, limit):
        found += made
        end = looked
        if len(found) > limit or end is None:
            break
    if len(found) > limit:
        found = found[:limit]
        end = found[-1][0].position + (not token.backwards)
    on = Token(at=end, backwards=token.backwards) if end is not None else None
    back = Token(at=token.at, backwards=not token.backwards) if token.at is not None else None
    return Cut(found[::-1], on, back) if token.backwards else Cut(found, back, on)


def _steps(eyes: Eyes, search: Search, token: Token, limit: int) -> Iterator[tuple[list[Made], int | None]]:
    """What matches, step by step, with the boundary behind which to go on; None at the end of the window."""
    low, high = search.window(eyes.node)
    if isinstance(token.at, int):
        low, high = (low, min(high, token.at)) if token.backwards else (max(low, token.at), high)
    size, scanned = max(STEP_MIN, 2 * limit), 0
    for _ in range(STEPS_MAX):
        step = events.step(eyes.look, low, high, min(size, eyes.step_max), backwards=token.backwards)
        standing = events.folded(eyes.look, search.likely(step.lines), step.raw)
        for start in range(0, len(standing), limit + 1):
            part = standing[start : start + limit + 1]
            yield search.made(eyes, part), part[-1].position + (not token.backwards)
        if step.ended:
            yield [], None
            return
        low, high = (low, step.edge) if token.backwards else (step.edge, high)
        yield [], step.edge
        scanned += len(step.lines)
        size *= 2
        if scanned >= min(SCANNED_MAX, STEPS_MAX * eyes.step_max):
            return
