"""Asking where the cargo is: `GET /v1/track/NUMBER`, one timeline over all modes, free for every account.

The plain question takes the short way of api/asking.py. A question may wish for more: as of a past moment, one journey
of a re-used container, withdrawn lines too, one language, a table, or an answer that has one's own write in it.
"""

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from api import export
from api.answer import Answer, in_one_language
from api.asking import Asker, Wish
from api.identity import caller, needs
from api.pool import Pool
from api.rates import charge
from api.ready import Ready
from domain.errors import Malformed
from domain.permission import Channel
from domain.writer import Busy
from projections import links, runner, timeline

TOLD = {200: ResponseSpec(Answer, generate_examples=False, description="The timeline")}
WAIT_SECONDS_MAX = 5.0
LOOK_SECONDS = 0.02
POSITION_MAX = 2**63 - 1
LANGS = ("", "zh", "en")
EXPORT_COST = 4  # a table takes a thread, and longer, beyond what a question costs
FORMATS = {"json": MediaType.JSON.value, "csv": export.CSV, "xlsx": export.XLSX}


class BadQuestion(Malformed):
    slug = "bad-question"
    title = "A parameter of the question cannot be used"


class Behind(Busy):
    slug = "behind"
    title = "The answer has not come that far yet"


# --- what is asked ---


class Asked(NamedTuple):
    """The parameters of a question, read and checked."""

    wish: Wish = Wish()
    lang: str = ""
    format: str = "json"
    at_least: int = 0

    @property
    def is_plain(self) -> bool:
        return self.wish == Wish() and not self.lang and self.format == "json"


def asked(
    request: Request[Any, Any, Any],
    *,
    as_known_at: FromQuery[str] = "",
    lang: FromQuery[str] = "",
    include: FromQuery[str] = "",
    journey: FromQuery[str] = "",
    form: Annotated[str, QueryParameter(name="format")] = "",
    min_position: Annotated[str, QueryParameter(name="min-position")] = "",
) -> Asked:
    """The parameters of a question. Raises BadQuestion."""
    return Asked(
        wish(as_known_at, journey, include),
        _one_of("lang", lang, LANGS),
        _one_of("format", form, tuple(FORMATS)) if form else _accepted(request),
        _number("min-position", min_position, 0) if min_position else 0,
    )


def wish(as_known_at: str = "", journey: str = "", include: str = "") -> Wish:
    """What is asked for beyond the plain timeline, as it stands in the address. Raises BadQuestion."""
    return Wish(
        _moment(as_known_at) if as_known_at else None,
        _number("journey", journey, 1) if journey else None,
        _one_of("include", include, ("", "retracted")) == "retracted",
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value in known:
        return value
    choices = ", ".join(one for one in known if one)
    raise BadQuestion(
        f"{name}={value[:80]!r} 不可用，可用：{choices} / {name}={value[:80]!r} cannot be used; use one of {choices}",
        parameter=name,
        value=value[:80],
    )


def _number(name: str, value: str, least: int) -> int:
    found = int(value) if re.fullmatch(r"[0-9]{1,19}", value) else -1
    if least <= found <= POSITION_MAX:
        return found
    raise BadQuestion(
        f"{name}={value[:80]!r} 应为不小于 {least} 的整数"
        f" / {name}={value[:80]!r} must be a whole number, {least} or more",
        parameter=name,
        value=value[:80],
    )


def _moment(value: str) -> datetime:
    """A moment with its offset. A `+` that was not escaped has become a blank on its way."""
    try:
        found = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)\Z", r"+\1", value))
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    example = "2026-03-01T10:00:00+08:00"
    raise BadQuestion(
        f"as_known_at={value[:80]!r} 不是带时区的时刻，应如 {example}"
        f" / as_known_at={value[:80]!r} is no moment with an offset; write it as {example}",
        parameter="as_known_at",
        value=value[:80],
    )


def _accepted(request: Request[Any, Any, Any]) -> str:
    """The format that the caller likes best; JSON where none of ours is asked for."""
    header = request.headers.get("accept", "")
    if "text/csv" not in header and "spreadsheetml" not in header:
        return "json"
    best = request.accept.best_match(list(FORMATS.values()), MediaType.JSON.value)
    return next(name for name, media_type in FORMATS.items() if media_type == best)


# --- answers ---

QUESTION = {"asked": Provide(asked, sync_to_thread=False)}


@get("/v1/track/{number:str}", guards=[needs()], tags=["track"], responses=TOLD, dependencies=QUESTION)
async def track(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    asked: NamedDependency[Asked],
) -> Response[bytes]:
    """The timeline of a container, bill of lading, booking, air waybill, rail consignment or declaration. Free."""
    return await _tell(request, number, asked)


@get("/v1/track", guards=[needs()], tags=["track"], responses=TOLD, dependencies=QUESTION)
async def track_any(
    request: Request[Any, Any, Any],
    number: FromQuery[str],
    asked: NamedDependency[Asked],
) -> Response[bytes]:
    """The same for a number that does not fit into a path, such as the URI of a ONE Record object."""
    return await _tell(request, number, asked)


async def _tell(request: Request[Any, Any, Any], number: str, asked: Asked) -> Response[bytes]:
    asker: Asker = request.app.state.asker  # a second dependency would cost a group of tasks for each question
    account = caller(request)
    if asked.at_least:
        await wait_for(asker.pool, asked.at_least)
    if asked.is_plain:
        return Ready(await asker.ask(account, number))
    channel: Channel = "query" if asked.format == "json" else "export"
    if channel == "export":
        await charge(request, EXPORT_COST)
    told = await asker.look(account, number, asked.wish, channel)
    return await asyncio.to_thread(_written, told, asked)


def _written(told: Answer, asked: Asked) -> Response[bytes]:
    langs = (asked.lang,) if asked.lang else ("zh", "en")
    if asked.format == "json":
        plain: Any = in_one_language(msgspec.to_builtins(told), asked.lang) if asked.lang else told
        return Response(msgspec.json.encode(plain), media_type=MediaType.JSON)
    body = export.to_csv(told, langs) if asked.format == "csv" else export.to_xlsx(told, langs)
    name = export.filename(told, asked.format)
    return Response(
        body,
        media_type=FORMATS[asked.format],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


# --- reading one's own write ---


async def wait_for(pool: Pool, at_least: int) -> None:
    """Wait until timeline and links tell everything up to a position. Raises Behind if they do not in time."""

    def reached() -> int:
        with pool.connection() as connection:
            return min(runner.position(connection, name) for name in (timeline.NAME, links.NAME))

    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while (now_at := await asyncio.to_thread(reached)) < at_least:
        if time.monotonic() > deadline:
            raise Behind(
                f"还只到记录 {now_at} 号，未到 {at_least} 号；请稍后再问，或不带 min-position"
                f" / answers reach position {now_at}, not {at_least} yet; ask again, or without min-position",
                position=now_at,
                asked=at_least,
            )
        await asyncio.sleep(LOOK_SECONDS)
