"""Networked verification (联网核查): may it leave, be loaded, come in? `GET /v1/verify/…`, free for every account.

Gates and quays ask; the answer names every reason against, compares customs' release, arrival report and manifest, and
lists the facts it rests on (projections/clearance.py). A verdict is worked out on everything, for it must be right; who
may ask, and how much of the grounds is told, is a matter of the caller's view. Questions that come at the same moment
share their queries and the commit of their deliveries; a verdict made before is told again for as long as nothing was
recorded of its cargo.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast, get_args

import msgspec
import psycopg
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery

from api.answer import Service
from api.delivery import VERIFY_QUERY, Delivered
from api.identity import Account, caller, needs
from api.newer import Newer
from api.pool import Kept, Pool
from api.ready import Ready
from api.together import Results, Together, chained
from api.way_out import WayOut, leaves
from domain import identifiers, places
from domain.datasets import CLEARANCE
from domain.errors import Malformed, Unknown
from domain.intent import Intent
from projections import clearance, clearance_veil, interests, nearby, shown, timeline
from projections.clearance import Action, Verdict
from projections.nearby import Near
from projections.rights import Barred, View
from projections.sight import Look, Outdated
from projections.timeline import Line

Key = tuple[str, str, str]
"""Subject, action, place."""
REMEMBERED_MAX = 20_000
PLACE_CHARS_MAX = 35
MODES = {"container": "VESSEL", "awb": "AIR", "rail": "RAIL"}


class BadAction(Malformed):
    slug = "bad-action"
    title = "The action is not one that can be verified"


class BadPlace(Malformed):
    slug = "bad-place"
    title = "The place cannot be understood"


class Verified(Verdict, frozen=True, kw_only=True):
    """A verdict as it is handed out. `position`: it tells everything up to this position of the cargo journal."""

    service: Service = Service(VERIFY_QUERY.code, VERIFY_QUERY.item_class)
    position: int  # last, so that it can be told anew without making the rest again


class Question(NamedTuple):
    account: Account
    subject: str
    action: Action
    place: str

    @property
    def key(self) -> Key:
        return self.subject, self.action, self.place


class Sight(NamedTuple):
    """Who asks: the view, without its dates, and what it sees in whole."""

    view: View
    sees_all: bool
    asof: int


Place = tuple[Key, View]
"""What was asked, and what who asked may see."""


class Made(NamedTuple):
    """A verdict as one view is told it. It holds for as long as nothing newer speaks of what is near."""

    near: Near
    position: int  # of the cargo journal: since then nothing newer was seen
    mine: frozenset[str]  # of what is near
    body: bytes  # without its position and the closing brace
    facts: int
    datasets: tuple[str, ...]
    permissions: tuple[str, ...]


class Told(NamedTuple):
    """What is told to one question."""

    made: Made | None  # None: nothing is known of it, or nothing that this caller may ask about
    asof: int  # position of the register on which it rests


class Verifier:
    """Answers the questions of one process."""

    def __init__(self, pool: Pool, way_out: WayOut) -> None:
        """`pool`: connections of the node itself, for a verdict must be right: it is worked out on everything."""
        self.pool = pool
        self.way_out = way_out
        self._made: OrderedDict[Place, Made] = OrderedDict()
        self._kept = Kept(pool)
        self._newer = Newer()
        self._questions: Together[Question] = Together("verifier", self._serve)

    async def ask(self, question: Question) -> bytes:
        """The answer as JSON, once its delivery is durable. Raises Unknown, Barred or Busy."""
        return await self._questions.ask_until_settled(question, self.way_out.register.refresh)

    def stop(self) -> None:
        """Answer who waits, then end."""
        self._questions.stop()
        self._kept.give_back()

    # --- in the thread ---

    def _serve(self, questions: Sequence[Question]) -> "Future[Results]":
        now = datetime.now(UTC)
        results: list[bytes | Exception] = []
        intents: list[Intent] = []
        found, position = self._found(questions, now)
        for question, told in zip(questions, found, strict=True):
            if isinstance(told, Barred):
                results.append(told)
                intents.append(Intent())
                continue
            results.append(b'%b,"position":%d}' % (told.made.body, position) if told.made else _unknown(question))
            delivered = _delivered(question, told)
            intents.append(self.way_out.deliveries.intent(question.account, VERIFY_QUERY, now, delivered))
        return chained(self.way_out.deliveries.writer.submit(intents), results)

    def _found(self, questions: Sequence[Question], now: datetime) -> tuple[Sequence[Told | Barred], int]:
        while True:
            sights = [self._sight(question.account, now) for question in questions]
            try:
                return self._kept.run(partial(self._make, questions=questions, sights=sights))
            except Outdated:
                self.way_out.register.refresh()

    def _sight(self, account: Account, now: datetime) -> Sight | Barred:
        try:
            view = self.way_out.register.view(account, "query", at=now)
        except Barred as error:
            return error
        return Sight(msgspec.structs.replace(view, asof=0, until=None), view.sees_all, view.asof)

    def _make(
        self, connection: psycopg.Connection[Any], questions: Sequence[Question], sights: Sequence[Sight | Barred]
    ) -> tuple[list[Told | Barred], int]:
        """What is told to each, and up to which position. Raises Outdated."""
        self._newer.look(connection)
        made: dict[Place, Made] = {}
        unsure: list[tuple[Question, Sight]] = []
        for question, sight in zip(questions, sights, strict=True):
            if isinstance(sight, Barred):
                continue
            if self._newer.register > sight.asof:
                raise Outdated
            before = self._made.get(place := (question.key, sight.view))
            if before is not None and self._newer.holds(before.near.subjects, before.position):
                made[place] = before
            else:
                unsure.append((question, sight))
        if unsure:
            made |= self._looked(connection, unsure)
        self._remember(made)
        told = [
            sight if isinstance(sight, Barred) else Told(made.get((question.key, sight.view)), sight.asof)
            for question, sight in zip(questions, sights, strict=True)
        ]
        return told, self._newer.position

    def _looked(
        self, connection: psycopg.Connection[Any], unsure: Sequence[tuple[Question, Sight]]
    ) -> dict[Place, Made]:
        """Verdicts on what is known and may be asked about; those made before that still hold among them."""
        subjects = list(dict.fromkeys(question.subject for question, _ in unsure))
        by_rail = [ask for ask, subject in enumerate(subjects) if subject.startswith("rail:")]
        look = Look(connection, None)  # on a connection of the node: nothing is kept from it
        found, _ = nearby.near(look, [[subject] for subject in subjects], by_rail)
        nears = dict(zip(subjects, found, strict=True))
        whose = _whose(connection, [sight for _, sight in unsure], nears.values())
        made: dict[Place, Made] = {}
        anew: dict[Place, _Anew] = {}
        for question, sight in unsure:
            place, near = (question.key, sight.view), nears[question.subject]
            mine = _mine(sight, near, whose)
            if not near.tips or not _may_ask(sight.view, question.subject, mine):
                continue
            before = self._made.get(place)
            if before is not None and (before.near, before.mine) == (near, mine):
                made[place] = before._replace(position=self._newer.position)
            else:
                anew[place] = _Anew(question, sight, near, mine, self._newer.position)
        return made | self._anew(connection, list(anew.values()))

    def _anew(self, connection: psycopg.Connection[Any], wanted: "Sequence[_Anew]") -> dict[Place, Made]:
        """The lines of all of them come in one query."""
        if not wanted:
            return {}
        by_subject: dict[str, list[tuple[int, Line]]] = {}
        subjects = list({subject for each in wanted for subject in each.near.subjects})
        for number, line in enumerate(timeline.lines(Look(connection, None), subjects)):
            by_subject.setdefault(line.subject, []).append((number, line))
        told = {}
        for each in wanted:
            lines = sorted(pair for subject in each.near.subjects for pair in by_subject.get(subject, ()))
            told[each.question.key, each.sight.view] = _made(each, [line for _, line in lines])
        return told

    def _remember(self, made: Mapping[Place, Made]) -> None:
        for place, each in made.items():
            self._made[place] = each
            self._made.move_to_end(place)
        while len(self._made) > REMEMBERED_MAX:
            self._made.popitem(last=False)


class _Anew(NamedTuple):
    question: Question
    sight: Sight
    near: Near
    mine: frozenset[str]
    position: int


def _whose(connection: psycopg.Connection[Any], sights: Sequence[Sight], nears: Iterable[Near]) -> dict[str, set[str]]:
    """By party, which of all these subjects are its cargo; asked only where somebody does not see everything."""
    parties = {party for each in sights if not each.sees_all for party in each.view.parties}
    if not parties:
        return {}
    return interests.whose(connection, sorted(parties), list({subject for near in nears for subject in near.subjects}))


def _mine(sight: Sight, near: Near, whose: Mapping[str, set[str]]) -> frozenset[str]:
    if sight.sees_all or not sight.view.parties:
        return frozenset()
    own: set[str] = set().union(*(whose.get(party, ()) for party in sight.view.parties))
    return frozenset(own.intersection(near.subjects))


def _may_ask(view: View, subject: str, mine: Collection[str]) -> bool:
    """A verdict is a word about clearance: for those who see that of this number."""
    return CLEARANCE in view.whole or (CLEARANCE in view.own and subject in mine)


def _made(asked: _Anew, lines: Sequence[Line]) -> Made:
    question, view = asked.question, asked.sight.view
    found = clearance.verdict(question.subject, question.action, question.place, lines)
    seen = lines
    if not asked.sight.sees_all:
        seen = shown.shown([line for line in lines if _within(line, view, asked.mine)], view, asked.mine)
        found = clearance_veil.veiled(found, seen, asked.mine)
    verified = Verified(**{name: getattr(found, name) for name in Verdict.__struct_fields__}, position=0)
    body = msgspec.json.encode(verified).rpartition(b',"position":')[0]
    grounds = {ground.fact_id for ground in found.facts}
    drawn = tuple(sorted({CLEARANCE, *(shown.dataset(line) for line in seen if line.fact_id in grounds)}))
    return Made(asked.near, asked.position, asked.mine, body, max(1, len(grounds)), drawn, leaves(view, drawn))


def _within(line: Line, view: View, mine: Collection[str]) -> bool:
    """What the view's own queries would find."""
    name = shown.dataset(line)
    return name in view.whole or (name in view.own and line.subject in mine)


def _delivered(question: Question, told: Told) -> Delivered:
    made = told.made
    if made is None:
        return Delivered(question.subject, register=told.asof)
    return Delivered(question.subject, made.facts, "ok", made.datasets, made.permissions, "query", told.asof)


def _unknown(question: Question) -> Unknown:
    number = question.subject.partition(":")[2]
    return Unknown(f"没有 {number} 的记录 / nothing is known under {number}", number=number)


# --- what is asked ---


def question(account: Account, kind: str, number: str, action: str, place: str) -> Question:
    """Read and checked. Raises BadAction, BadPlace or BadIdentifier."""
    if action not in get_args(Action):
        known_ones = ", ".join(get_args(Action))
        raise BadAction(
            f"action={action[:40]!r} 不可核查，可用：{known_ones}"
            f" / action={action[:40]!r} cannot be verified; use one of {known_ones}",
            parameter="action",
            value=action[:40],
        )
    if len(place) > PLACE_CHARS_MAX:
        raise BadPlace(
            f"place 超过 {PLACE_CHARS_MAX} 个字符：{place[:40]!r} / place has more than {PLACE_CHARS_MAX} characters",
            parameter="place",
            value=place[:40],
        )
    where = places.canonical(place, MODES[kind]) if place.strip() else ""
    return Question(account, f"{kind}:{_stored(kind, number)}", cast("Action", action), where)


def _stored(kind: str, number: str) -> str:
    if kind == "container":
        return identifiers.container(number)[0]
    return identifiers.awb(number)[0] if kind == "awb" else identifiers.normalise(number)


TOLD = {200: ResponseSpec(Verified, generate_examples=False, description="The verdict")}


@get("/v1/verify/containers/{number:str}", guards=[needs()], tags=["verify"], responses=TOLD)
async def container(
    request: Request[Any, Any, Any],
    verifier: NamedDependency[Verifier],
    number: FromPath[str],
    action: FromQuery[str],
    place: FromQuery[str] = "",
) -> Response[bytes]:
    """May this container leave by the gate, be loaded, enter? `action`: gate-out, load, enter. Free."""
    asked = question(caller(request), "container", number, action, place)
    return Ready(await verifier.ask(asked))


@get("/v1/verify/awbs/{number:str}", guards=[needs()], tags=["verify"], responses=TOLD)
async def awb(
    request: Request[Any, Any, Any],
    verifier: NamedDependency[Verifier],
    number: FromPath[str],
    action: FromQuery[str],
    place: FromQuery[str] = "",
) -> Response[bytes]:
    """The same for the cargo of an air waybill."""
    asked = question(caller(request), "awb", number, action, place)
    return Ready(await verifier.ask(asked))


@get("/v1/verify/rail/{number:str}", guards=[needs()], tags=["verify"], responses=TOLD)
async def rail(
    request: Request[Any, Any, Any],
    verifier: NamedDependency[Verifier],
    number: FromPath[str],
    action: FromQuery[str],
    place: FromQuery[str] = "",
) -> Response[bytes]:
    """The same for a rail consignment: all of its boxes."""
    asked = question(caller(request), "rail", number, action, place)
    return Ready(await verifier.ask(asked))


ROUTES = (container, awb, rail)
