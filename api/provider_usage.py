"""What a third party has rendered of its own item: `POST /v1/provider-usage`, so many units to a subscribed customer.

The item is one that the catalogue lists with a provider, and the caller's party is its owner (api/catalogue_desk.py).
Each report has a reference of the provider's; item and reference make the id of the record, so a report that is sent
again, by whichever process, is charged once. The customer is asked for its subscription and what is left of the month
like anywhere else (api/entitlement.py); the record is a delivery to the customer, at the price that was in force when
the units were rendered. Times are UTC with offset; a month is one of Asia/Shanghai.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.delivery import SUBJECT_CHARS_MAX, Delivered, Item
from api.entitlement import SUBSCRIBE, TOLD, Grant
from api.identity import Account, caller, needs
from api.pool import Pool
from api.problems import NotSubscribed, QuotaExhausted
from api.trail import Trail
from api.way_out import ATTEMPTS_MAX, WayOut
from domain import catalogue, fact, period
from domain.catalogue import NotOffered
from domain.delivery import DeliveryMade, Waiver
from domain.errors import Malformed, Refused, Unknown
from domain.intent import Intent
from domain.subscription import holder
from domain.writer import Busy
from projections.catalogue import Listed
from projections.subscriptions import Cover

QUANTITY_MAX = 1_000_000
NAME_CHARS_MAX = 64
PROVIDERS = [needs("enterprise-admin", "logistics", "source")]
COMMERCIAL = {"item_class": "commercial"}
CREATED, SEEN_BEFORE = 201, 200


class BadUsage(Malformed):
    slug = "bad-provider-usage"
    title = "This usage cannot be taken"


class ReferenceUsed(Refused):
    slug = "reference-used"
    title = "The reference was used for something else"


class Rendered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of one's own item, to a party or to an account."""

    item: str
    quantity: int
    reference: str  # the provider's own, once for each item
    party: str = ""
    account: str = ""
    rendered_at: datetime | None = None  # of the present month; None: now


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the books. `new`: false where it was so before. `waived`: why the customer is not charged."""

    item: str
    provider: str
    reference: str
    party: str
    account: str
    quantity: int
    tariff: str
    waived: str
    rendered_at: datetime
    recorded_at: datetime
    new: bool


@post("/v1/provider-usage", guards=PROVIDERS, tags=["fees"], status_code=CREATED, opt=COMMERCIAL)
async def report(
    request: Request[Any, Any, Any],
    data: JSONBody[Rendered],
    *,
    pool: NamedDependency[Pool],
    trail: NamedDependency[Trail],
    way_out: NamedDependency[WayOut],
) -> Response[Counted]:
    """So many units of one's own listed item were rendered to a subscribed customer; once for each reference.

    201 when they are on the books, 200 when they were there already.
    """
    TOLD.set(None)  # what the customer has left is not for the provider's headers
    account, now = caller(request), datetime.now(UTC)
    check(data, now)
    told = await asyncio.to_thread(Books(pool, way_out).put, account, data, now)
    about = f"{data.reference}: {data.quantity}, {holder(data.account, data.party)}"
    again = "" if told.new else "重复 / again: "
    await trail.tell("usage.provided", f"item:{data.item}", account=account, detail=f"{again}{about}")
    return Response(told, status_code=CREATED if told.new else SEEN_BEFORE)


ROUTES = (report,)


# --- what is reported ---


def check(told: Rendered, now: datetime) -> None:
    """What can be said without looking anything up. Raises BadUsage, Malformed."""
    catalogue.code_of(told.item)
    if not 0 < told.quantity <= QUANTITY_MAX:
        raise BadUsage(
            f"quantity 须为 1 至 {QUANTITY_MAX} / quantity must be 1 to {QUANTITY_MAX}",
            field="quantity",
            most=QUANTITY_MAX,
        )
    _check_text("reference", told.reference, SUBJECT_CHARS_MAX)
    if bool(told.party) == bool(told.account):
        raise BadUsage("party 与 account 须且只须给出一个 / name either a party or an account", field="party")
    _check_text("party" if told.party else "account", told.party or told.account, NAME_CHARS_MAX)
    at = told.rendered_at
    if at is not None and (at.tzinfo is None or at > now):
        raise BadUsage(
            "rendered_at 须带时区，且不得在将来 / rendered_at must bear an offset and not lie in the future",
            field="rendered_at",
        )


def _check_text(field: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise BadUsage(
            f"{field} 须为 1 至 {most} 个可打印字符 / {field} must be 1 to {most} printable characters", field=field
        )


def _moment(told: Rendered, now: datetime) -> datetime:
    """When it was rendered. Raises BadUsage: a month's limit is counted in that month, and a month ends."""
    at = told.rendered_at or now
    since, _ = period.bounds(period.month_of(now))
    if at < since:
        raise BadUsage(
            "rendered_at 须在本月（北京时间）；更早的不写时间，计入上报时 / rendered_at must lie in this month"
            " (Beijing time); without it usage counts as of now",
            field="rendered_at",
            since=since.isoformat(),
        )
    return at.astimezone(UTC)


# --- onto the books ---


class _Case(NamedTuple):
    """A report that is about to be recorded."""

    item: Item
    customer: Account
    at: datetime
    told: Rendered
    fact_id: UUID


class Books:
    """Where reports are kept: the commerce journal, among the deliveries. Each call asks the database and waits."""

    def __init__(self, pool: Pool, way_out: WayOut) -> None:
        self.pool, self.register = pool, way_out.register
        self.entitlements, self.deliveries = way_out.entitlements, way_out.deliveries

    def put(self, account: Account, told: Rendered, now: datetime) -> Counted:
        """Record a report, or find it.

        Raises Barred, Unknown for an item that is not the caller's, ReferenceUsed, NotOffered, PaymentRequired, Busy.
        """
        fact_id = fact.digest_id("provider-usage", told.item, told.reference)
        for _ in range(ATTEMPTS_MAX):
            self.register.refresh()
            view = self.register.view(account, "api", commercial=True)
            listed = self._own(account, told.item)
            if kept := self._kept(fact_id):
                return counted(told, listed, kept, new=False)
            case = self._case(told, listed, fact_id, now)
            if recorded := self._record(case, view.asof, now):
                kept, new = recorded
                return counted(told, listed, kept, new=new)
        raise Busy("登记册正在变动，请稍后再报 / the register is changing this very moment; send it again")

    def _record(self, case: _Case, asof: int, now: datetime) -> tuple[DeliveryMade, bool] | None:
        """(what is on the books, whether it is this report): another may have been first.

        None: the register has changed since `asof`.
        """
        self._check_covered(case, asof, now)
        grant = self.entitlements.take(case.customer, case.item, case.told.quantity, asof=asof)
        used = 0
        try:
            _check_whole(case, grant)
            made, intent = self._intent(case, grant.waived, asof, now)
            [outcome] = self.deliveries.writer.write([intent])
            if outcome.status == "stale":
                return None
            used = case.told.quantity
            kept = self._kept(case.fact_id)
            if kept is None or kept == made:
                return made, True
            used = 0
            return kept, False
        finally:
            grant.settle(used)

    def _intent(self, case: _Case, waived: Waiver, asof: int, now: datetime) -> tuple[DeliveryMade, Intent]:
        delivered = Delivered(
            subject=case.told.reference,
            count=case.told.quantity,
            result="ok",
            channel="api",
            register=asof,
            waived=waived or ("trial" if self._cover(case, case.at).trial else ""),
            fact_id=case.fact_id,
        )
        intent = self.deliveries.intent(case.customer, case.item, case.at, delivered)
        [new] = intent.facts
        assert isinstance(new.fact, DeliveryMade)
        made = msgspec.structs.replace(new.fact, recorded_at=now)
        return made, msgspec.structs.replace(intent, facts=[msgspec.structs.replace(new, fact=made)])

    # --- what is looked up ---

    def _own(self, account: Account, item: str) -> Listed:
        """Raises Unknown: for what is somebody else's as for what is not there."""
        listed = self.entitlements.listed(item)
        if listed is None or not listed.provider or not account.party or listed.owner != account.party:
            raise Unknown("没有由贵单位提供的此项目 / there is no such item that you provide")
        return listed

    def _case(self, told: Rendered, listed: Listed, fact_id: UUID, now: datetime) -> _Case:
        """Raises BadUsage, NotOffered; NotSubscribed for an account that is not there."""
        at, item = _moment(told, now), Item(told.item, "commercial")
        if listed.state != "listed":
            raise NotOffered(f"{item.code} 已撤下 / {item.code} is offered no longer", item=item.code)
        self.deliveries.price(item, at)
        party = told.party or self._party(told.account)
        if party is None:
            raise _not_subscribed(item.code)
        return _Case(item, Account(told.account, "enterprise", "", "", party), at, told, fact_id)

    def _check_covered(self, case: _Case, asof: int, now: datetime) -> None:
        """Subscribed then and now: nobody pays a third party for what it has not ordered. Raises NotSubscribed."""
        if asof > self.entitlements.asof:
            self.entitlements.refresh(asof)
        today = self._cover(case, now)
        if not today.suspended and not (today.subscribed and self._cover(case, case.at).subscribed):
            raise _not_subscribed(case.item.code)

    def _cover(self, case: _Case, at: datetime) -> Cover:
        """What the customer's subscriptions say of a moment."""
        whose = holder(case.customer.account, case.customer.party)
        return self.entitlements.subscriptions.cover(whose, case.item.code, at)

    def _party(self, account: str) -> str | None:
        """None: there is no such account."""
        with self.pool.connection() as connection:
            row = connection.execute("SELECT party FROM accounts WHERE account = %s", (account,)).fetchone()
        return row[0] if row else None

    def _kept(self, fact_id: UUID) -> DeliveryMade | None:
        with self.pool.connection() as connection:
            row = connection.execute("SELECT state FROM commerce_events WHERE fact_id = %s", (fact_id,)).fetchone()
        found = fact.read(row[0]) if row else None
        return found if isinstance(found, DeliveryMade) else None


# --- what is told ---


def counted(told: Rendered, listed: Listed, kept: DeliveryMade, *, new: bool) -> Counted:
    """A report as it is on the books. Raises ReferenceUsed if that says something else."""
    customer = told.account == kept.account and told.party in {"", kept.party}
    if not (customer and kept.count == told.quantity and told.rendered_at in {None, kept.happened_at}):
        raise ReferenceUsed(
            f"编号 {told.reference} 已用于 {kept.count} / reference {told.reference} was used for {kept.count} units,"
            " another customer or another time",
            reference=told.reference,
            quantity=kept.count,
            recorded_at=kept.recorded_at.isoformat(),
        )
    return Counted(
        item=kept.item,
        provider=listed.provider,
        reference=told.reference,
        party=told.party,
        account=told.account,
        quantity=kept.count,
        tariff=kept.tariff,
        waived=kept.waived,
        rendered_at=kept.happened_at,
        recorded_at=kept.recorded_at,
        new=new,
    )


def _check_whole(case: _Case, grant: Grant) -> None:
    """It was rendered as a whole, so it is counted as a whole or not at all. Raises QuotaExhausted."""
    if grant.allowed < case.told.quantity:
        raise QuotaExhausted(
            f"该客户本月 {case.item.code} 只余 {grant.allowed} / the customer has {grant.allowed} units of"
            f" {case.item.code} left this month",
            item=case.item.code,
            left=grant.allowed,
        )


def _not_subscribed(item: str) -> NotSubscribed:
    """Of a customer that is not there as well: the provider learns no names."""
    return NotSubscribed(
        f"该客户当时或目前没有 {item} 的订阅；请客户先订阅：{SUBSCRIBE}"
        f" / the customer has no subscription to {item}, or had none at that time; it orders one by {SUBSCRIBE}",
        item=item,
        subscribe=SUBSCRIBE,
    )
