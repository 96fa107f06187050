"""The agency's cross-check (联网核查之比对): its own fields against declaration, manifest, tally and permits.

`POST /v1/verify/cross-check`. Who asked, for what, and a digest of question and answer are a fact of the commerce
journal, written with the delivery in one transaction, before anything leaves. Times are UTC.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from api.answer import Service, datasets
from api.delivery import VERIFY_CROSS_CHECK, Deliveries
from api.identity import Account, caller, needs
from api.pool import Pool
from domain.declaration import Amended, CompletionLodged, Lodged
from domain.declaring import Content
from domain.delivery import DeliveryMade, VerificationMade, new_id
from domain.errors import Malformed
from domain.identifiers import BadIdentifier
from domain.intent import Intent, NewFact
from domain.writer import Busy, Writer
from projections import crosscheck, links, timeline
from projections.crosscheck import Asked, Compared
from projections.timeline import Line

SUBJECTS_MAX = 2_000  # of a consignment that is looked through


class NothingToCompare(Malformed):
    slug = "nothing-to-compare"
    title = "No number is given by which the cargo can be found, or no field to compare"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """`position`: up to which position of the cargo journal was looked."""

    fields: list[Compared]
    equal: int
    different: int
    unknown: int
    service: Service = Service(VERIFY_CROSS_CHECK.code, VERIFY_CROSS_CHECK.item_class)
    position: int


TOLD = {200: ResponseSpec(Checked, generate_examples=False, description="Field by field")}


@post("/v1/verify/cross-check", guards=[needs("operator")], tags=["verify"], responses=TOLD, status_code=200)
async def cross_check(
    request: Request[Any, Any, Any],
    data: JSONBody[Asked],
    pool: NamedDependency[Pool],
    cargo: NamedDependency[Writer],
    deliveries: NamedDependency[Deliveries],
) -> Response[bytes]:
    """Compare an agency's fields with what is known; each is equal, different or unknown, with both values."""
    subjects = crosscheck.subjects(data)
    if not subjects:
        raise NothingToCompare(
            "请给出报关单号、提运单号或箱号之一 / give an entry id, a bill or a container",
            fields=["entry_id", "bill", "containers"],
        )
    for subject in subjects:
        if "\x00" in subject:
            raise BadIdentifier(f"号码含有 NUL 字符 / a number holds a NUL character: {subject[:60]!r}")
    try:
        answer, rests = await asyncio.to_thread(_look, pool, cargo, data, subjects)
    except psycopg.OperationalError:
        raise Busy("数据库暂不可用 / the database cannot be reached; try again") from None
    if not answer.fields:
        raise NothingToCompare("没有可比对的字段 / there is no field to compare", fields=list(crosscheck.FIELDS))
    body = msgspec.json.encode(answer)
    intent = _logged(deliveries, caller(request), data, (answer, body), rests)
    await asyncio.wrap_future(deliveries.writer.submit([intent]))
    return Response(body, media_type=MediaType.JSON)


def _look(pool: Pool, cargo: Writer, asked: Asked, subjects: Sequence[str]) -> tuple[Checked, list[Line]]:
    with pool.connection() as connection:
        position = timeline.position(connection)
        found = links.reached(connection, [[subject] for subject in subjects])
        near = list(dict.fromkeys([*subjects, *(other for others in found for other in others)]))[:SUBJECTS_MAX]
        lines = timeline.lines(connection, near)
        told = crosscheck.known(asked, lines, {})
        told = msgspec.structs.replace(told, contents=_contents(connection, cargo, told))
    fields = crosscheck.compare(asked, told)
    results = [each.result for each in fields]
    rests = {fact_id for field in fields for value in field.known for fact_id in value.fact_ids}
    checked = Checked(
        fields=fields,
        equal=results.count("equal"),
        different=results.count("different"),
        unknown=results.count("unknown"),
        position=position,
    )
    return checked, [line for line in lines if line.fact_id in rests]


def _contents(connection: psycopg.Connection[Any], cargo: Writer, told: crosscheck.Known) -> dict[str, Content]:
    """Of those declarations that were lodged here, the latest version."""
    found: dict[str, Content] = {}
    for subject in dict.fromkeys(line.subject for story in told.stories for line in story.lines):
        for entry in cargo.journal.stream(connection, subject):
            if isinstance(entry.fact, Lodged | Amended | CompletionLodged) and entry.fact.content:
                found[subject] = entry.fact.content
    return found


def _logged(
    deliveries: Deliveries, account: Account, asked: Asked, answer: tuple[Checked, bytes], rests: Sequence[Line]
) -> Intent:
    now = datetime.now(UTC)
    told, body = answer
    known = told.equal + told.different > 0
    intent = deliveries.intent(
        account,
        VERIFY_CROSS_CHECK,
        now,
        subject=crosscheck.subjects(asked)[0],
        count=len(told.fields),
        result="ok" if known else "empty",
        datasets=datasets(rests),
    )
    [new] = intent.facts
    assert isinstance(new.fact, DeliveryMade)
    made = VerificationMade(
        happened_at=now,
        recorded_at=now,
        account=account.account,
        purpose=asked.purpose,
        subject=new.fact.subject,
        fields=tuple(field.field for field in told.fields),
        different=tuple(field.field for field in told.fields if field.result == "different"),
        unknown=tuple(field.field for field in told.fields if field.result == "unknown"),
        position=told.position,
        question_sha256=sha256(msgspec.json.encode(asked)).hexdigest(),
        answer_sha256=sha256(body).hexdigest(),
    )
    return msgspec.structs.replace(intent, facts=[new, NewFact(deliveries.stream, new_id(now), made)])
