"""Networked verification (联网核查): may it leave, be loaded, come in? `GET /v1/verify/…`, free for every account.

Gates and quays ask; the answer names every reason against, compares customs' release, arrival report and manifest, and
lists the facts it rests on (projections/clearance.py). Questions that come at the same moment share their queries and
the commit of their deliveries; a verdict made before is told again for as long as nothing was recorded of its cargo.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast, get_args

import msgspec
import psycopg
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery

from api.answer import Service, datasets
from api.delivery import VERIFY_QUERY, Deliveries
from api.identity import Account, caller, needs
from api.pool import Kept, Pool
from api.together import Results, Together, chained
from domain import identifiers, places
from domain.errors import Malformed, Unknown
from domain.intent import Intent
from projections import clearance, nearby, timeline
from projections.clearance import Action, Verdict
from projections.nearby import Near
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


class Made(NamedTuple):
    """A verdict, and what it rests on. It holds as long as that is what is near, and nothing of it is newer."""

    near: Near
    body: bytes = b""  # without its position and the closing brace
    facts: int = 0
    datasets: tuple[str, ...] = ()


class Verifier:
    """Answers the questions of one process."""

    def __init__(self, pool: Pool, deliveries: Deliveries) -> None:
        self.pool = pool
        self.deliveries = deliveries
        self._made: OrderedDict[Key, Made] = OrderedDict()
        self._kept = Kept(pool)
        self._questions: Together[Question] = Together("verifier", self._serve)

    async def ask(self, question: Question) -> bytes:
        """The answer as JSON, once its delivery is durable. Raises Unknown, or Busy."""
        return await self._questions.ask(question)

    def stop(self) -> None:
        """Answer who waits, then end."""
        self._questions.stop()
        self._kept.give_back()

    # --- in the thread ---

    def _serve(self, questions: Sequence[Question]) -> "Future[Results]":
        made, position = self._kept.run(lambda connection: self._make(connection, questions))
        tail = b',"position":%d}' % position
        results: list[bytes | Exception] = []
        for question in questions:
            found = made.get(question.key)
            results.append(found.body + tail if found else _unknown(question.subject))
        now = datetime.now(UTC)
        intents = [self._delivery(question, made.get(question.key), now) for question in questions]
        return chained(cast("Future[object]", self.deliveries.writer.submit(intents)), results)

    def _delivery(self, question: Question, made: Made | None, now: datetime) -> Intent:
        return self.deliveries.intent(
            question.account,
            VERIFY_QUERY,
            now,
            subject=question.subject,
            count=made.facts if made else 0,
            result="ok" if made else "empty",
            datasets=made.datasets if made else (),
        )

    def _make(self, connection: psycopg.Connection[Any], questions: Sequence[Question]) -> tuple[dict[Key, Made], int]:
        """The verdicts on what is known, and up to which position."""
        asks = {question.key: question for question in questions}
        subjects = list(dict.fromkeys(question.subject for question in questions))
        by_rail = [ask for ask, subject in enumerate(subjects) if subject.startswith("rail:")]
        found, position = nearby.near(connection, [[subject] for subject in subjects], by_rail)
        nears = dict(zip(subjects, found, strict=True))
        made: dict[Key, Made] = {}
        anew: list[Question] = []
        for key, question in asks.items():
            before = self._made.pop(key, None)
            if before is not None and before.near == nears[question.subject]:
                made[key] = before
            elif nears[question.subject].tips:
                anew.append(question)
        made |= self._anew(connection, anew, nears)
        self._remember(made)
        return made, position

    def _anew(
        self, connection: psycopg.Connection[Any], questions: Sequence[Question], nears: Mapping[str, Near]
    ) -> dict[Key, Made]:
        """The lines of all of them come in one query."""
        if not questions:
            return {}
        by_subject: dict[str, list[tuple[int, Line]]] = {}
        wanted = list({subject for each in questions for subject in nears[each.subject].subjects})
        for number, line in enumerate(timeline.lines(connection, wanted)):
            by_subject.setdefault(line.subject, []).append((number, line))
        told = {}
        for each in questions:
            near = nears[each.subject]
            lines = sorted(pair for subject in near.subjects for pair in by_subject.get(subject, ()))
            told[each.key] = _made(each, near, [line for _, line in lines])
        return told

    def _remember(self, made: Mapping[Key, Made]) -> None:
        self._made.update(made)
        while len(self._made) > REMEMBERED_MAX:
            self._made.popitem(last=False)


def _made(question: Question, near: Near, lines: Sequence[Line]) -> Made:
    found = clearance.verdict(question.subject, question.action, question.place, lines)
    verified = Verified(**{name: getattr(found, name) for name in Verdict.__struct_fields__}, position=0)
    body = msgspec.json.encode(verified).rpartition(b',"position":')[0]
    grounds = {ground.fact_id for ground in found.facts}
    owned = tuple(datasets([line for line in lines if line.fact_id in grounds]))
    return Made(near, body, len(grounds), owned)


def _unknown(subject: str) -> Unknown:
    number = subject.partition(":")[2]
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
    return Response(await verifier.ask(asked), media_type=MediaType.JSON)


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
    return Response(await verifier.ask(asked), media_type=MediaType.JSON)


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
    return Response(await verifier.ask(asked), media_type=MediaType.JSON)


ROUTES = (container, awb, rail)
