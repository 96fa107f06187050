"""Many numbers at once: `POST /v1/bulk-query`, up to 10,000, the state of each in one line. Paid by the number found.

The state is the header of what `GET /v1/track/NUMBER` tells, free, of the same number: what happened last, where, when,
what is expected, which numbers belong to it. An unknown number is told as such and costs nothing; so does one that is
written twice, which is told once. All of it is one delivery, on the books before the first byte leaves; the answer is
NDJSON (a line for each number and a last one that sums up), JSON, or CSV with a mark for Excel. Times are ISO 8601
with offset, on the clock of their place.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream

from api import export
from api.answer import Standing, answer, datasets
from api.body import body_of
from api.delivery import BULK_QUERY
from api.identity import caller, needs
from api.rates import charge
from api.way_out import Looking, WayOut
from domain import identifiers
from domain.errors import Malformed
from projections import bulk, timeline
from projections.bulk import Known

NUMBERS_MAX = 10_000
NUMBER_CHARS_MAX = 200
TOGETHER = 500  # numbers that share their queries
NUMBERS_PER_TOKEN = 20  # of the rate limit: so many cost as much as one question
NDJSON = "application/x-ndjson"
Form = Literal["", "ndjson", "json", "csv"]
MEDIA = {"ndjson": NDJSON, "json": "application/json", "csv": export.CSV}


class BadNumbers(Malformed):
    slug = "bad-numbers"
    title = "The list of numbers cannot be used"


# --- what is asked ---


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body as JSON; as text it is one number a line, or the first column of a CSV."""

    numbers: list[str]


def read(body: bytes, media_type: str) -> list[str]:
    """The numbers as they were written, each number once, in order. Raises BadNumbers."""
    try:
        written = _wanted.decode(body).numbers if _is_json(body, media_type) else _lines(body.decode("utf-8-sig"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, csv.Error) as error:
        raise BadNumbers(f"号码列表无法解读：{error} / the list of numbers cannot be read: {error}") from error
    once = {identifiers.stored(number): number for number in reversed(written) if _usable(number)}
    numbers = list(reversed(once.values()))
    if not 0 < len(numbers) <= NUMBERS_MAX:
        raise BadNumbers(
            f"一次须有 1 至 {NUMBERS_MAX} 个号码，现有 {len(numbers)} 个 / "
            f"1 to {NUMBERS_MAX} numbers at a time, not {len(numbers)}",
            limit=NUMBERS_MAX,
            numbers=len(numbers),
        )
    return numbers


def _is_json(body: bytes, media_type: str) -> bool:
    return "json" in media_type or (not media_type.startswith("text/") and body.lstrip()[:1] == b"{")


def _lines(text: str) -> list[str]:
    """One a line; of several columns the first; without the apostrophe of a guarded cell, without a title."""
    rows = [row[0].strip().removeprefix("'") for row in csv.reader(io.StringIO(text, newline="")) if row]
    return rows[1:] if rows and _TITLE.fullmatch(rows[0]) else rows


_TITLE = re.compile(r"(?i)numbers?|号码.*|箱号.*|单号.*")


def _usable(number: str) -> bool:
    """False for a blank line. Raises BadNumbers."""
    if len(number) > NUMBER_CHARS_MAX or "\x00" in number or not _is_text(number):
        raise BadNumbers(
            f"号码 {number[:60]!r} 过长（至多 {NUMBER_CHARS_MAX} 字符）或含空字符 / "
            f"{number[:60]!r} is too long for a number ({NUMBER_CHARS_MAX} characters) or holds a NUL",
            limit=NUMBER_CHARS_MAX,
        )
    return bool(identifiers.stored(number))


def _is_text(number: str) -> bool:
    """No half of a character, which JSON can spell and no database can hold."""
    return not any("\ud800" <= each <= "\udfff" for each in number)


_wanted = msgspec.json.Decoder(Wanted)


# --- what is told ---


class Expected(msgspec.Struct, frozen=True):
    """The word that counts now on one arrival (`EST`, or `PLN` where nobody estimates)."""

    subject: str
    place: str
    place_zh: str
    place_en: str
    classifier: str
    expected_at: str
    source: str
    arrived_at: str  # the actual arrival; "" if there is none


class NumberState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number, as it was written. Nothing behind `result` where it is not found or was not answered.

    `over_quota`: it is known, and what may be used of the service is used up; it was not handed over, and is free.
    """

    number: str
    result: Literal["found", "not_found", "over_quota"]
    kind: str = ""
    kind_zh: str = ""
    kind_en: str = ""
    latest: Standing | None = None  # of the number itself
    linked: list[Standing] = []  # of what belongs to it
    expected: list[Expected] = []
    origin: str = ""  # where the journey began
    conflicts: int = 0  # on how many milestones sources disagree
    lines: int = 0  # that /v1/track shows
    warnings: list[str] = []


class BulkService(msgspec.Struct, frozen=True):
    item: str
    item_class: str
    quantity: int  # numbers found
    tariff: str


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """The last line. `position`: the states tell everything up to this position of the cargo journal."""

    done: bool = True
    numbers: int
    found: int
    not_found: int
    over_quota: int
    position: int
    service: BulkService


class BulkAnswer(msgspec.Struct, frozen=True):
    """As JSON."""

    results: list[NumberState]
    sum: Sum


class _Told(msgspec.Struct):
    """What one look has come to: pieces of the answer, made while looking so that no records pile up."""

    pieces: list[bytes]
    found: int = 0
    over_quota: int = 0
    position: int = 0


# --- the route ---

ANSWERS = {200: ResponseSpec(BulkAnswer, generate_examples=False, description="The states, in the order asked for")}


@post(
    "/v1/bulk-query",
    guards=[needs("enterprise", "enterprise-admin", "logistics", "finance", "operator")],
    tags=["track"],
    status_code=200,
    responses=ANSWERS,
    opt={"item_class": BULK_QUERY.item_class, "cost": 5},
)
async def bulk_query(
    request: Request[Any, Any, Any],
    way_out: NamedDependency[WayOut],
    form: Annotated[Form, QueryParameter(name="format")] = "",
) -> Stream:
    """The state of up to 10,000 numbers: JSON `{"numbers": [...]}`, or text with one number a line. Paid by number."""
    numbers = read(await body_of(request), request.headers.get("content-type", ""))
    await charge(request, len(numbers) // NUMBERS_PER_TOKEN)
    wanted = form or _accepted(request.headers.get("accept", ""))
    told, tariff = await way_out.deliver(
        caller(request),
        BULK_QUERY,
        lambda looking: told_of(looking, numbers, _csv if wanted == "csv" else _json),
        subject=f"bulk:{len(numbers)}",
        channel="api",
        most=len(numbers),
    )
    summed = Sum(
        numbers=len(numbers),
        found=told.found,
        not_found=len(numbers) - told.found - told.over_quota,
        over_quota=told.over_quota,
        position=told.position,
        service=BulkService(BULK_QUERY.code, BULK_QUERY.item_class, told.found, tariff),
    )
    headers = {"X-Content-Type-Options": "nosniff"}
    if wanted == "csv":
        headers["Content-Disposition"] = 'attachment; filename="bulk-query.csv"'
    return Stream(_written(wanted, told.pieces, summed), media_type=MEDIA[wanted], headers=headers)


ROUTES = (bulk_query,)


def _accepted(header: str) -> str:
    return next((name for name in ("csv", "json") if MEDIA[name] in header), "ndjson")


def told_of(looking: Looking, numbers: Sequence[str], write: "Writer") -> _Told:
    """The states of numbers, written. What goes on the books is how many were found."""
    told = _Told([], position=timeline.position(looking.look.connection))
    drawn: set[str] = set()
    newest: list[int] = []  # of each number shown, the position of the fact last told of it
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        found = {each.number: each for each in bulk.known(looking.look, [identifiers.stored(one) for one in some])}
        states = []
        for number in some:
            known = found.get(identifiers.stored(number))
            if known is None:
                states.append(NumberState(number=number, result="not_found"))
            elif told.found >= looking.allowed:
                told.over_quota += 1
                states.append(NumberState(number=number, result="over_quota"))
            else:
                told.found += 1
                states.append(_state(number, known, drawn))
                newest.append(max((line.position for line in known.lines), default=0))
        told.pieces.append(write(states))
    looking.drew_on(sorted(drawn), told.found)
    looking.named(position for position in newest if position)
    return told


def _state(number: str, known: Known, drawn: set[str]) -> NumberState:
    """The header of what is tracked, without its history. `drawn`: the datasets, added to."""
    made = answer(known.number, known.own, known.lines, 0)
    drawn.update(datasets(made.lines))
    header = made.header
    return NumberState(
        number=number,
        result="found",
        kind=header.kind,
        kind_zh=header.kind_zh,
        kind_en=header.kind_en,
        latest=header.latest,
        linked=header.linked,
        expected=[
            Expected(
                eta.subject,
                eta.place,
                eta.place_zh,
                eta.place_en,
                eta.classifier,
                eta.expected_at,
                eta.source,
                eta.arrived_at,
            )
            for eta in header.eta
            if eta.expected_at
        ],
        origin=header.journey.origin,
        conflicts=header.conflicts,
        lines=len(made.lines),
        warnings=header.warnings,
    )


# --- how it is written ---

Writer = Callable[[Sequence[NumberState]], bytes]


def _json(states: Sequence[NumberState]) -> bytes:
    """Lines of JSON, without an end of line behind the last."""
    return b"\n".join(msgspec.json.encode(state) for state in states)


def _csv(states: Sequence[NumberState]) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerows([export.guarded(cell(state)) for _, cell in COLUMNS] for state in states)
    return text.getvalue().encode("utf-8", "replace")


def _written(form: str, pieces: Sequence[bytes], summed: Sum) -> Iterator[bytes]:
    match form:
        case "csv":
            titles = io.StringIO(newline="")
            csv.writer(titles, lineterminator="\r\n").writerow([title for title, _ in COLUMNS])
            yield (export.BOM + titles.getvalue()).encode()
            yield from pieces
        case "json":
            yield b'{"results":['
            for place, piece in enumerate(pieces):
                yield (b"," if place else b"") + piece.replace(b"\n", b",")  # encoded JSON holds no other end of line
            yield b'],"sum":%b}' % msgspec.json.encode(summed)
        case _:
            for piece in pieces:
                yield piece + b"\n"
            yield msgspec.json.encode(summed) + b"\n"


RESULTS = {"found": "找到 / found", "not_found": "未找到 / not found", "over_quota": "额度已用完 / quota used up"}


def _latest(field: str) -> Callable[[NumberState], str]:
    return lambda state: getattr(state.latest, field) if state.latest else ""


def _next(field: str) -> Callable[[NumberState], str]:
    """Of the arrival that is told last: where it goes in the end."""
    return lambda state: getattr(state.expected[-1], field) if state.expected else ""


COLUMNS: tuple[tuple[str, Callable[[NumberState], export.Cell]], ...] = (
    ("号码 Number", lambda state: state.number),
    ("结果 Result", lambda state: RESULTS[state.result]),
    ("号码种类 Kind", lambda state: f"{state.kind_zh} {state.kind_en}".strip()),
    ("最新动态代码 Latest code", _latest("code")),
    ("最新动态 Latest (zh)", _latest("zh")),
    ("最新动态 Latest (en)", _latest("en")),
    ("发生时间 Happened at", _latest("happened_at")),
    ("地点代码 Place code", _latest("place")),
    ("地点 Place (zh)", _latest("place_zh")),
    ("地点 Place (en)", _latest("place_en")),
    ("起点 Origin", lambda state: state.origin),
    ("预计到达地点 Expected at", _next("place")),
    ("预计到达时间 Expected arrival", _next("expected_at")),
    ("预计到达来源 Expected by", _next("source")),
    ("实际到达 Arrived", _next("arrived_at")),
    ("相关号码 Linked", lambda state: "; ".join(other.subject for other in state.linked)),
    ("来源不一致 Conflicts", lambda state: state.conflicts if state.result == "found" else ""),
    ("动态条数 Lines", lambda state: state.lines if state.result == "found" else ""),
    ("提醒 Notes", lambda state: "; ".join(state.warnings)),
)
