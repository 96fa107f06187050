"""The catalogue by API: the operator lists items, publishes prices and takes them back; third parties propose items.

A third party (an enterprise's administrator, a logistics firm) proposes commercial items of its own under its party's
code, `91320500ma00000313.weather`; nobody can use one before the operator has listed it and published its price. Each
act is on the trail. What may be decided stands in domain/catalogue.py. Times are UTC with offset, money fen.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.identity import Account, needs
from api.settings import Fees, Settings
from domain import catalogue
from domain.catalogue import (
    CURRENCY,
    OPERATOR,
    TEXT_CHARS_MAX,
    Group,
    Item,
    ItemListed,
    ItemProposed,
    Limit,
    Price,
    Regime,
    Rules,
    TariffPublished,
)
from domain.deciding import folded
from domain.delivery import ItemClass
from domain.errors import Malformed, Refused
from domain.fact import Fact
from domain.pricing import Cost, Pricing, Tier
from projections import catalogue as listed
from projections.catalogue import Listed

LEAD = timedelta(minutes=1)  # every process reads prices more often than that (api/delivery.py)
OPERATORS = [needs("operator")]
PROPOSERS = [needs("operator", "enterprise-admin", "logistics")]


class Described(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item as it is to be offered."""

    item: str
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    item_class: ItemClass = "commercial"
    free_alternative: str = ""
    group: Group = "logistics"
    provider: str = ""
    basis_zh: str = ""
    basis_en: str = ""
    content_zh: str = ""
    content_en: str = ""
    limit: Limit = "soft"
    open: bool = False


class Step(Tier, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tier as it is sent: what is mistyped is no price."""


class Rule(Pricing, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it is sent."""

    tiers: tuple[Step, ...] = ()


class Priced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to publish. Without `effective_from` it takes effect as soon as it may."""

    pricing: Rule
    basis: str  # legal basis and cost basis, 中文 / English
    effective_from: datetime | None = None
    cost: Cost | None = None
    review_by: datetime | None = None


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class TakenBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    reason: str


# --- acts: the same by API and in a terminal (api/tariff_commands.py) ---


def rules(asked: Fees) -> Rules:
    """What this node asks of a price."""
    regime = msgspec.convert(asked.regime, Regime)
    return Rules(regime=regime, notice=timedelta(days=asked.notice_days), lead=LEAD)


def listing(account: Account, told: Described, catalogued: Sequence[Listed], now: datetime) -> Act:
    """The operator lists, anybody else proposes. Raises Malformed, Refused."""
    _check_words(told)
    catalogue.code_of(told.item)
    _check_alternative(told, catalogued)
    said = msgspec.structs.asdict(told) | {"happened_at": now, "recorded_at": now, "by": account.account}
    if account.role == "operator":
        kept = next((each for each in catalogued if each.item == told.item), None)
        fact = ItemListed(**said, owner=kept.owner if kept else OPERATOR)
        return _act("catalogue.listed", told.item, lambda item: catalogue.describe(item, fact), told.zh)
    if told.item_class != "commercial" or not told.provider or not account.party:
        raise Refused(
            "只可提出本单位署名的经营服务 / propose commercial items that name you as provider", field="provider"
        )
    if not told.item.startswith(f"{account.party.lower()}."):
        raise Refused(
            f"项目代码须以 {account.party.lower()}. 开头 / the code must begin with {account.party.lower()}.",
            field="item",
        )
    proposal = ItemProposed(**said, owner=account.party)
    return _act("catalogue.proposed", told.item, lambda item: catalogue.propose(item, proposal), told.zh)


def accepting(account: str, item: str, now: datetime) -> Act:
    """The operator lists what was proposed."""
    return _act("catalogue.listed", item, lambda state: catalogue.accept(state, by=account, at=now), "accepted")


def withdrawing(account: str, item: str, reason: str, catalogued: Sequence[Listed], now: datetime) -> Act:
    """Raises Refused for a free item that stands beside a paid one."""
    beside = [each.item for each in catalogued if each.free_alternative == item and each.state == "listed"]
    if beside:
        raise Refused(f"{item} 是 {beside} 的免费替代 / {item} is the free alternative of {beside}", items=beside)
    why = text_of("reason", reason)
    return _act(
        "catalogue.withdrawn", item, lambda state: catalogue.withdraw_item(state, by=account, reason=why, at=now), why
    )


def publishing(account: str, item: str, told: Priced, asked: Fees, now: datetime) -> Act:
    """A price, from the wanted moment on or as soon as it may be."""
    rule = msgspec.convert(msgspec.to_builtins(told.pricing), Pricing)
    basis, applied = text_of("basis", told.basis), rules(asked)
    wanted, review = _zoned("effective_from", told.effective_from), _zoned("review_by", told.review_by)
    if told.cost is not None:
        _check_words(told.cost)

    def decide(state: Item) -> Sequence[Fact]:
        begins = wanted or catalogue.earliest(state, rule, None, now, applied)
        tariff = TariffPublished(
            happened_at=now,
            recorded_at=now,
            item=item,
            version=catalogue.new_version(state, begins),
            price_minor=rule.tiers[0].price_minor if rule.tiers else rule.price_minor,
            currency=CURRENCY,
            effective_from=begins,
            basis=basis,
            pricing=rule,
            cost=told.cost,
            review_by=review,
            by=account,
        )
        return catalogue.publish(state, tariff, applied)

    return _act("tariff.published", item, decide, basis)


def taking_back(account: str, item: str, told: TakenBack, now: datetime) -> Act:
    """A price is withdrawn."""
    why = text_of("reason", told.reason)
    return _act(
        "tariff.withdrawn",
        item,
        lambda state: catalogue.withdraw_tariff(state, version=told.version, by=account, reason=why, at=now),
        f"{told.version} {why}",
    )


def _act(action: str, item: str, decision: Callable[[Item], Sequence[Fact]], detail: str) -> Act:
    return Act(action, catalogue.stream(item), folded(Item(item), catalogue.evolve), decision, detail)


def text_of(field: str, text: str) -> str:
    """A text that a person can read. Raises Malformed."""
    if not text.strip() or len(text) > TEXT_CHARS_MAX or not text.isprintable():
        raise Malformed(
            f"{field} 须为 1 至 {TEXT_CHARS_MAX} 个可打印字符 / {field} must be 1 to {TEXT_CHARS_MAX} printable"
            " characters",
            field=field,
        )
    return text.strip()


def _check_words(told: Described | Cost) -> None:
    needed = {"zh", "en", "unit_zh", "unit_en", "method_zh", "method_en"}
    for field, value in msgspec.structs.asdict(told).items():
        if isinstance(value, str) and (value or field in needed):
            text_of(field, value)


def _check_alternative(told: Described, catalogued: Sequence[Listed]) -> None:
    free = {each.item for each in catalogued if each.item_class == "government" and each.state == "listed"}
    if told.item_class == "commercial" and told.free_alternative not in free:
        raise Refused(
            f"免费替代须为目录中的政务服务，{told.free_alternative!r} 不是 / the free alternative must be a government"
            f" item of the catalogue, and {told.free_alternative!r} is none",
            field="free_alternative",
            known=sorted(free),
        )


def _zoned(field: str, moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise Malformed(f"{field} 须带时区 / {field} must bear an offset: 2026-12-01T00:00:00+08:00", field=field)


# --- routes ---


class Entry(msgspec.Struct, frozen=True):
    """An item with all its prices, in the order of their publication."""

    item: Listed
    prices: list[Price]


def read(desk: Desk) -> list[Entry]:
    """The whole catalogue, proposals too."""
    with desk.pool.connection() as connection:
        prices = listed.prices(connection)
        found = listed.items(connection, proposed=True)
    return [Entry(item, [price for price in prices if price.item == item.item]) for item in found]


async def _catalogued(desk: Desk) -> list[Listed]:
    return [entry.item for entry in await asyncio.to_thread(read, desk)]


@get("/v1/catalogue/items", guards=[needs()], tags=["fees"])
async def everything(request: AnyRequest, desk: NamedDependency[Desk]) -> list[Entry]:
    """Every item and every price there ever was; proposals to the operator, and to who made them."""
    account = await admitted(request, desk)
    found = await asyncio.to_thread(read, desk)
    own = account.party or None
    return [
        each for each in found if each.item.state != "proposed" or account.role == "operator" or each.item.owner == own
    ]


@post("/v1/catalogue/items", guards=PROPOSERS, tags=["fees"], status_code=CREATED)
async def enter(request: AnyRequest, data: JSONBody[Described], desk: NamedDependency[Desk]) -> Response[bytes]:
    """The operator lists an item, or describes it anew; a third party proposes one of its own."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = listing(account, data, await _catalogued(desk), now)
    return await answered(request, desk, account, lambda _: act, status=CREATED)


@post("/v1/catalogue/items/{item:str}/accept", guards=OPERATORS, tags=["fees"], status_code=ACCEPTED)
async def accept(request: AnyRequest, item: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """List what a third party has proposed."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = accepting(account.account, catalogue.code_of(item), now)
    return await answered(request, desk, account, lambda _: act)


@post("/v1/catalogue/items/{item:str}/withdraw", guards=OPERATORS, tags=["fees"], status_code=ACCEPTED)
async def withdraw(
    request: AnyRequest, item: FromPath[str], data: JSONBody[Because], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Offer an item no longer, or turn a proposal down; its prices end with it."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = withdrawing(account.account, catalogue.code_of(item), data.reason, await _catalogued(desk), now)
    return await answered(request, desk, account, lambda _: act)


@post("/v1/catalogue/items/{item:str}/tariffs", guards=OPERATORS, tags=["fees"], status_code=CREATED)
async def publish(
    request: AnyRequest,
    item: FromPath[str],
    data: JSONBody[Priced],
    desk: NamedDependency[Desk],
    settings: NamedDependency[Settings],
) -> Response[bytes]:
    """Publish a price. A first and a higher one take effect after the notice, none for what was used before."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = publishing(account.account, catalogue.code_of(item), data, settings.fees, now)
    return await answered(request, desk, account, lambda _: act, status=CREATED)


@post("/v1/catalogue/items/{item:str}/tariffs/withdraw", guards=OPERATORS, tags=["fees"], status_code=ACCEPTED)
async def take_back(
    request: AnyRequest, item: FromPath[str], data: JSONBody[TakenBack], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Withdraw a price: before it took effect it never will; one in force ends, and the item is not sold any more."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = taking_back(account.account, catalogue.code_of(item), data, now)
    return await answered(request, desk, account, lambda _: act)


ROUTES = (everything, enter, accept, withdraw, publish, take_back)
