"""What is amiss: `GET /v1/alerts`, and the catalogue of what is watched for, `GET /v1/alerts/catalogue`. Free.

How fresh the word of each source is, for operators and for the source itself: `GET /v1/sources/freshness`. Times are
UTC.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.answer import Service
from api.delivery import Item
from api.identity import caller, needs
from api.pool import Pool
from api.way_out import Looking, WayOut
from billing import tariff
from domain import identifiers
from domain.errors import Malformed
from projections import alert_sight, alerts, freshness
from projections.alert_rules import FAMILIES, RULES, Rule
from projections.alerts import PAGE_MAX, Alert, Asked, Choice
from projections.freshness import Heard, Silence

ALERTS_QUERY = Item(tariff.ALERTS_QUERY, "government")
PAGE = 100
PAGES_MAX = 10  # that are looked through for one that shows something
EXTENT_MAX = 200
CODES = frozenset({rule.code for rule in RULES} | {rule.condition for rule in RULES})


class BadAlerts(Malformed):
    slug = "bad-alerts"
    title = "The alerts cannot be asked for in this way"


# --- alerts ---


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; fewer than `limit` does not mean the end. `next`: go on with `after=` it; "" at the end."""

    alerts: list[Alert]
    now: datetime  # the moment by which active and cleared were told apart
    next: str
    service: Service = Service(ALERTS_QUERY.code, ALERTS_QUERY.item_class)


@get("/v1/alerts", guards=[needs()], tags=["alerts"])
async def listed(
    request: Request[Any, Any, Any],
    way_out: NamedDependency[WayOut],
    *,
    subject: FromQuery[str] = "",
    code: FromQuery[str] = "",
    severity: FromQuery[Literal["", "warning", "alarm"]] = "",
    in_state: Annotated[Choice, QueryParameter(name="state")] = "active",
    since: FromQuery[str] = "",
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> AlertPage:
    """What is amiss now, or was: with both languages, since when, and the facts that cause it. Free."""
    asked = Asked(
        now=datetime.now(UTC),
        state=in_state,
        subjects=_subjects(subject),
        code=_code(code),
        severity=severity,
        since=_moment(since) if since else None,
        after=_place(after) if after else None,
        limit=limit,
    )

    return await way_out.hand_over(
        caller(request), ALERTS_QUERY, lambda looking: _page(looking, asked), subject=subject
    )


def _page(looking: Looking, asked: Asked) -> AlertPage:
    """What is shown of the first alerts; looked on behind them as long as nothing is, but not for ever."""
    rest, behind = asked, ""
    kept: list[Alert] = []
    for _ in range(PAGES_MAX):
        found = alerts.alerts(looking.look, rest)
        kept = alert_sight.alerts(looking.look, found)
        behind = _cursor(found[-1]) if len(found) == asked.limit else ""
        if kept or not behind:
            break
        rest = msgspec.structs.replace(rest, after=_place(behind))
    looking.drew_on(sorted({DATASETS[each.code] for each in kept}), len(kept))
    return AlertPage(alerts=kept, now=asked.now, next=behind)


def _code(code: str) -> str:
    if code and code not in CODES:
        zh, en = f"没有预警代码 {code[:60]!r}", f"there is no alert {code[:60]!r}"
        raise BadAlerts(f"{zh}，见 /v1/alerts/catalogue / {en}: see /v1/alerts/catalogue", code=code[:60])
    return code


DATASETS = {rule.code: rule.dataset for rule in RULES}


def _subjects(text: str) -> tuple[str, ...]:
    """A subject, `kind:number`, or what a bare number may be.

    >>> _subjects("csqu 305438-3")[0], _subjects("container:csqu3054383"), _subjects("")
    ('container:CSQU3054383', ('container:CSQU3054383',), ())
    """
    kind, colon, number = text.partition(":")
    if colon and kind in KINDS:
        return (f"{kind}:{number if kind == 'object' else identifiers.stored(number[:EXTENT_MAX])}",)
    if not text:
        return ()
    number = identifiers.stored(text[:EXTENT_MAX])
    return tuple(f"{kind}:{number}" for kind in identifiers.kind_of(number))


KINDS = frozenset({"container", "truck", "bl", "booking", "rail", "declaration", "awb", "manifest", "object"})


def _moment(text: str) -> datetime:
    found: datetime | None = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that the URL made a space
    if found is None or found.tzinfo is None:
        raise BadAlerts(
            f"since={text[:60]!r} 须为带时区的 ISO 8601 时间 / must be an ISO 8601 time with offset", since=text[:60]
        )
    return max(found, EARLIEST)


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


Place = tuple[datetime, str, str, UUID]
"""Raised at, code, subject, cause."""


def _cursor(last: Alert) -> str:
    where = (last.raised_at, last.code, last.subject, last.cause)
    return urlsafe_b64encode(msgspec.json.encode(where)).decode().rstrip("=")


def _place(text: str) -> Place:
    """The place in the order behind which to go on. Raises BadAlerts."""
    place: Place | None = None
    with suppress(ValueError, msgspec.MsgspecError):
        place = _decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if place is None or place[0].tzinfo is None or "\x00" in place[1] + place[2]:
        raise BadAlerts(f"after={text[:80]!r} 不是本列表给出的 / was not given out by this list", after=text[:80])
    return max(place[0], EARLIEST), *place[1:]


_decode = msgspec.json.Decoder(Place).decode


# --- the catalogue ---


class RuleTold(msgspec.Struct, frozen=True, kw_only=True):
    """`threshold_hours`: how long the condition may last; 0 where it is minded at once."""

    code: str
    condition: str
    family: str
    family_zh: str
    family_en: str
    severity: str
    threshold_hours: float
    dataset: str
    zh: str
    en: str


class Catalogue(msgspec.Struct, frozen=True):
    alerts: list[RuleTold]


@get("/v1/alerts/catalogue", guards=[needs()], tags=["alerts"], sync_to_thread=False)
def catalogue() -> Catalogue:
    """Everything that is watched for, with thresholds."""
    return Catalogue([_rule(rule) for rule in RULES])


def _rule(rule: Rule) -> RuleTold:
    return RuleTold(
        code=rule.code,
        condition=rule.condition,
        family=rule.family,
        family_zh=FAMILIES[rule.family][0],
        family_en=FAMILIES[rule.family][1],
        severity=rule.severity,
        threshold_hours=rule.threshold / timedelta(hours=1),
        dataset=rule.dataset,
        zh=rule.zh,
        en=rule.en,
    )


# --- freshness ---


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """One source's rhythm. Seconds; null while too little is known. `silence`: null unless it is late now."""

    source: str
    facts: int
    sendings: int
    last_recorded_at: datetime
    last_happened_at: datetime | None
    usual_interval_s: float | None
    late_after_s: float | None
    lag_s: float | None  # the median, from an event to its report
    silent_for_s: float
    silence: Silence | None


class FreshnessList(msgspec.Struct, frozen=True):
    sources: list[Freshness]
    now: datetime


@get("/v1/sources/freshness", guards=[needs("operator", "source")], tags=["operate"])
async def heard(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> FreshnessList:
    """When each source was last heard and how often it usually is: all to an operator, to a source itself."""
    account, now = caller(request), datetime.now(UTC)
    only = None if account.role == "operator" else [account.account]

    def read() -> list[Heard]:
        with pool.connection() as connection:
            return freshness.freshness(connection, only)

    return FreshnessList([_fresh(each, now) for each in await asyncio.to_thread(read)], now)


def _fresh(known: Heard, now: datetime) -> Freshness:
    return Freshness(
        source=known.source,
        facts=known.facts,
        sendings=known.sendings,
        last_recorded_at=known.last_recorded_at,
        last_happened_at=known.last_happened_at,
        usual_interval_s=freshness.interval_s(known),
        late_after_s=freshness.late_after_s(known),
        lag_s=freshness.lag_s(known),
        silent_for_s=(now - known.last_recorded_at).total_seconds(),
        silence=freshness.silence(known, now),
    )


ROUTES = (listed, catalogue, heard)
