"""The agency's cross-check (联网核查之比对): its own fields against declaration, manifest, tally and permits.

`POST /v1/verify/cross-check`. Who asked, for what, and a digest of question and answer are a fact of the commerce
journal, written with the delivery in one transaction, before anything leaves. Times are UTC.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from api.answer import Service
from api.delivery import VERIFY_CROSS_CHECK, Delivered, Deliveries
from api.identity import Account, caller, needs
from api.pool import Pool
from api.way_out import ATTEMPTS_MAX, WayOut, leaves
from domain.datasets import DECLARATIONS
from domain.declaration import Amended, CompletionLodged, Lodged
from domain.declaring import Content
from domain.delivery import DeliveryMade, VerificationMade, new_id
from domain.errors import Malformed
from domain.identifiers import BadIdentifier
from domain.intent import Intent, NewFact
from domain.writer import Busy, Writer
from projections import crosscheck, links, shown, sight, timeline
from projections.crosscheck import Asked, Compared
from projections.rights import View
from projections.sight import Outdated

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


@post("/v1/verify/cross-check", guards=[needs("officer", "operator")], tags=["verify"], responses=TOLD, status_code=200)
async def cross_check(
    request: Request[Any, Any, Any],
    data: JSONBody[Asked],
    pool: NamedDependency[Pool],
    cargo: NamedDependency[Writer],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """Compare an agency's fields with what is known; each is equal, different or unknown, with both values.

    Compared is what the agency sees in whole: as owner, under a permission or an agreement. The rest is unknown.
    """
    subjects = crosscheck.subjects(data)
    if not subjects:
        raise NothingToCompare(
            "请给出报关单号、提运单号或箱号之一 / give an entry id, a bill or a container",
            fields=["entry_id", "bill", "containers"],
        )
    for subject in subjects:
        if "\x00" in subject:
            raise BadIdentifier(f"号码含有 NUL 字符 / a number holds a NUL character: {subject[:60]!r}")
    comparing = partial(_look, way_out, pool, cargo, asked=data, subjects=subjects)
    try:
        return Response(await _handed_over(way_out, caller(request), data, comparing), media_type=MediaType.JSON)
    except psycopg.OperationalError:
        raise Busy("数据库暂不可用 / the database cannot be reached; try again") from None


async def _handed_over(
    way_out: WayOut, account: Account, asked: Asked, comparing: Callable[[View], tuple[Checked, list[str]]]
) -> bytes:
    """The answer, once its delivery and its log are durable; looked up again if the register has changed meanwhile."""
    for _ in range(ATTEMPTS_MAX):
        view = await way_out.view(account, "query", VERIFY_CROSS_CHECK)
        try:
            told, drawn = await asyncio.to_thread(comparing, view)
        except Outdated:
            await asyncio.to_thread(way_out.register.refresh)
            continue
        if not told.fields:
            raise NothingToCompare("没有可比对的字段 / there is no field to compare", fields=list(crosscheck.FIELDS))
        body = msgspec.json.encode(told)
        intent = _logged(way_out.deliveries, account, asked, (told, body), _delivered(asked, told, drawn, view))
        [outcome] = await asyncio.wrap_future(way_out.deliveries.writer.submit([intent]))
        if outcome.status != "stale":
            return body
        await asyncio.to_thread(way_out.register.refresh)
    raise Busy("授权正在变动，请稍后再问 / permissions are changing this very moment; ask again")


def _look(
    way_out: WayOut, pool: Pool, cargo: Writer, view: View, *, asked: Asked, subjects: Sequence[str]
) -> tuple[Checked, list[str]]:
    """The comparison, and the datasets that it draws on. Raises Outdated."""
    in_whole = msgspec.structs.replace(view, parties=(), own=())
    with way_out.readers.connection() as connection, sight.opened(connection, in_whole) as look:
        position = timeline.position(connection)
        found = links.reached(look, [[subject] for subject in subjects])
        near = list(dict.fromkeys([*subjects, *(other for others in found for other in others)]))[:SUBJECTS_MAX]
        lines = shown.lines(look, near)
    told = crosscheck.known(asked, lines, {})
    if DECLARATIONS in view.whole:
        with pool.connection() as connection:
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
    drawn = {shown.dataset(line) for line in lines if line.fact_id in rests}
    return checked, sorted(drawn | ({DECLARATIONS} if told.contents else set()))


def _contents(connection: psycopg.Connection[Any], cargo: Writer, told: crosscheck.Known) -> dict[str, Content]:
    """Of those declarations that are shown and were lodged here, the latest version."""
    found: dict[str, Content] = {}
    for subject in dict.fromkeys(line.subject for story in told.stories for line in story.lines):
        for entry in cargo.journal.stream(connection, subject):
            if isinstance(entry.fact, Lodged | Amended | CompletionLodged) and entry.fact.content:
                found[subject] = entry.fact.content
    return found


def _delivered(asked: Asked, told: Checked, drawn: Sequence[str], view: View) -> Delivered:
    subject = crosscheck.subjects(asked)[0]
    if not told.equal + told.different:
        return Delivered(subject, len(told.fields), register=view.asof)
    return Delivered(subject, len(told.fields), "ok", tuple(drawn), leaves(view, drawn), "query", view.asof)


def _logged(
    deliveries: Deliveries, account: Account, asked: Asked, answer: tuple[Checked, bytes], delivered: Delivered
) -> Intent:
    now = datetime.now(UTC)
    told, body = answer
    intent = deliveries.intent(account, VERIFY_CROSS_CHECK, now, delivered)
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
