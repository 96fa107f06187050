"""Whether a call of a commercial item is covered: by a subscription, and by what is left of the month. Before any work.

    with `Entitlements.take(account, item, most, asof=view.asof)` as grant: work for at most `grant.allowed` units,
    then `grant.settle(used)`.

A government item is never looked at: it has a grant of everything, and nothing here can refuse it. Subscriptions are
kept in memory and read on whenever the register has moved (they belong to it, docs/decisions/018-entitlement.md): the
suspension of one is effective with the next look, in every process. Who pays is the party, or an account that has none.
What a call cost, and what is left, goes out in headers. Times are UTC, months those of Asia/Shanghai, money fen.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.delivery import Item
from api.identity import Account
from api.pool import Pool
from api.problems import InArrears, NotSubscribed, PaymentRequired, QuotaExhausted
from api.quota import Key, Lease, Quota, marked
from api.register import READ
from api.trail import Trail
from billing.rating import rate
from domain import fact, period, sandbox
from domain.catalogue import Price, in_force
from domain.delivery import Waiver
from domain.disclosure import DatasetOwnerSet
from domain.errors import Refused
from domain.journal import Entry
from domain.pricing import Pricing
from domain.subscription import Offer, holder
from projections import catalogue
from projections.catalogue import Listed
from projections.subscriptions import Cover, Subscriptions

log = logging.getLogger("kouan.entitlement")

ALL = 2**62
TRIAL_UNITS = 1_000  # a month, of an item on trial that includes none and has no number of its own
CATALOGUE_SECONDS = 10.0
COVERS_MAX = 50_000
SUBSCRIBE = "POST /v1/subscriptions"


class Terms(NamedTuple):
    """Under what a call is made."""

    price: Price
    listed: Listed
    limit: int | None  # units a month; None: nothing is counted against
    hard: bool
    cover: Cover
    sandbox: bool = False  # of a sandbox: nothing is charged there


class Grant:
    """Leave for at most `allowed` units. `settle` it whatever comes of the work; the first time counts."""

    def __init__(self, allowed: int, terms: Terms | None = None, quota: Quota | None = None) -> None:
        self.allowed, self.terms = allowed, terms
        self.lease: Lease | None = None
        self._quota, self._settled = quota, False

    @property
    def waived(self) -> Waiver:
        """Why what is handed out under it is not charged."""
        if self.terms is None:
            return ""
        return "sandbox" if self.terms.sandbox else "trial" if self.terms.cover.trial else ""

    def settle(self, used: int) -> None:
        """So many units were handed out."""
        if self._settled or self.terms is None:
            return
        self._settled = True
        before = max(0, self.lease.used - self.allowed) if self.lease is not None else 0
        if self.lease is not None and self._quota is not None:
            self._quota.settle(self.lease, self.allowed, used)
        told = TOLD.get()
        if told is not None:
            told.update(_headers(self, before, used))


FREE = Grant(ALL)
TOLD: ContextVar[dict[str, str] | None] = ContextVar("usage headers", default=None)
"""Of the request that this is part of."""


class Entitlements:
    """Grants, in one process."""

    def __init__(self, pool: Pool, process: str, trail: Trail | None = None) -> None:
        """`process`: its stream of deliveries. `trail`: that is told of 80 and 100 per cent."""
        self.subscriptions = Subscriptions()
        self.asof = -1  # position of the register, up to which they are read
        self._pool, self._trail = pool, trail
        self._quota = Quota(pool, process, self._warn)
        self._lock = threading.Lock()
        self._items: dict[str, Listed] = {}
        self._prices: Sequence[Price] = ()
        self._read_at = -CATALOGUE_SECONDS
        self._covers: dict[tuple[str, str], Cover] = {}
        self._owners: dict[str, str] = {}  # of datasets
        self._sandbox = False

    async def admit(self, account: Account, item: Item, most: int = 1, *, asof: int | None = None) -> Grant:
        """`take` for the event loop: in a thread only where the database must be asked."""
        if item.item_class != "commercial":
            return FREE
        if asof is not None and asof <= self.asof and (quick := self._quick(account, item, most)):
            return quick
        return await asyncio.to_thread(self.take, account, item, most, asof=asof)

    def take(self, account: Account, item: Item, most: int = 1, *, asof: int | None = None) -> Grant:
        """Leave for at most so many units of an item; fewer where a hard limit leaves no more.

        `asof`: the position of the register that the caller's view rests on; without it the register is read first.
        Raises NotSubscribed, InArrears, QuotaExhausted; Refused for an item that is not on sale.
        """
        if item.item_class != "commercial":
            return FREE
        if asof is None or asof > self.asof:
            self.refresh(asof or 0)
        known = self.asof
        try:
            return self._take(account, item, most)
        except PaymentRequired:  # nobody who is refused looks at anything, so nobody would learn of what came since
            self.refresh()
            if self.asof == known:
                raise
        return self._take(account, item, most)

    def _take(self, account: Account, item: Item, most: int) -> Grant:
        terms = self._terms(account, item)
        key = _key(account, item)
        if terms.limit is None and _plain(terms.price.rule):
            return Grant(most, terms)
        lease, allowed = self._quota.take(key, most, terms.limit, hard=terms.hard)
        if not allowed and most:
            raise _exhausted(item, terms, key)
        return self._granted(allowed, terms, lease)

    def refresh(self, position: int = 0) -> None:
        """Read on to the end of the register, which is known to have come to `position`."""
        with self._lock, self._pool.connection() as connection:
            with connection.cursor(binary=True) as cursor:
                rows = cursor.execute(READ, (self.subscriptions.position,), prepare=True).fetchall()
            for place, stream, version, fact_id, state in rows:
                entry = Entry(place, stream, version, fact_id, fact.read(state))
                self.subscriptions.apply(entry)
                if isinstance(entry.fact, DatasetOwnerSet):
                    self._owners[entry.fact.dataset] = entry.fact.owner
            self._sandbox = sandbox.is_one(self._owners)
            self._covers = {}
            self.asof = max(
                self.asof, self.subscriptions.position, position
            )  # last: who reads on it finds no old cover

    def offers(self) -> dict[str, Offer]:
        """What the catalogue lists, as the read model has it now."""
        with self._pool.connection() as connection:
            return offered(connection)

    def listed(self, item: str) -> Listed | None:
        """An item of the catalogue, as it was read last."""
        if time.monotonic() - self._read_at > CATALOGUE_SECONDS or item not in self._items:
            self._read_catalogue()
        return self._items.get(item)

    def price(self, item: str, at: datetime) -> Price | None:
        """That is in force, as the catalogue was read last."""
        return in_force(self._prices, item, at)

    def remaining(self, account: str, party: str, item: str, at: datetime) -> tuple[int | None, int]:
        """(units a month; None: no limit, units of them that are handed to processes)."""
        terms = self._found(holder(account, party), item, at)
        key = Key(holder(account, party), item, period.month_of(at))
        with self._pool.connection() as connection:
            row = connection.execute("SELECT granted FROM quota WHERE (holder, item, month) = (%s, %s, %s)", key)
            found = row.fetchone()
        return (terms.limit if terms else None), (found[0] if found else 0)

    def stop(self) -> None:
        """Give back what was leased."""
        self._quota.stop()

    # --- what is agreed ---

    def _quick(self, account: Account, item: Item, most: int) -> Grant | None:
        """None: it must be looked at in a thread."""
        if time.monotonic() - self._read_at > CATALOGUE_SECONDS:
            return None
        with suppress(PaymentRequired):
            return self._at_hand(account, item, most)
        return None

    def _at_hand(self, account: Account, item: Item, most: int) -> Grant | None:
        terms = self._terms(account, item)
        if terms.limit is None and _plain(terms.price.rule):
            return Grant(most, terms)
        lease = self._quota.quick(_key(account, item), most, terms.limit)
        return self._granted(most, terms, lease) if lease is not None else None

    def _granted(self, allowed: int, terms: Terms, lease: Lease) -> Grant:
        grant = Grant(allowed, terms, self._quota)
        grant.lease = lease
        return grant

    def _terms(self, account: Account, item: Item) -> Terms:
        now = datetime.now(UTC)
        whose = holder(account.account, account.party)
        terms = self._found(whose, item.code, now)
        if terms is None:
            raise Refused(f"{item.code} 暂不提供 / {item.code} is not on sale", item=item.code)
        if terms.cover.suspended:
            raise _in_arrears(item, terms.listed)
        if not terms.cover.subscribed and not (terms.listed.open and terms.price.rule.included):
            raise _not_subscribed(item, terms)
        return terms._replace(sandbox=True) if self._sandbox else terms

    def _found(self, whose: str, item: str, now: datetime) -> Terms | None:
        listed = self.listed(item)
        price = in_force(self._prices, item, now)
        if listed is None or price is None:
            return None
        cover = self._cover(whose, item, now)
        included = price.rule.included
        if not cover.subscribed:
            return Terms(price, listed, included, True, cover)
        if cover.trial:
            return Terms(price, listed, cover.limit or included or TRIAL_UNITS, True, cover)
        hard = listed.limit == "hard"
        limit = cover.limit if cover.limit is not None else included if included or hard else None
        return Terms(price, listed, limit, hard, cover)

    def _cover(self, whose: str, item: str, now: datetime) -> Cover:
        covers = self._covers
        known = covers.get((whose, item))
        if known is None or (known.until is not None and now >= known.until):
            if len(covers) >= COVERS_MAX:
                covers.clear()
            covers[whose, item] = known = self.subscriptions.cover(whose, item, now)
        return known

    def _read_catalogue(self) -> None:
        with self._pool.connection() as connection:
            items = {each.item: each for each in catalogue.items(connection)}
            prices = catalogue.prices(connection)
        self._items, self._prices, self._read_at = items, prices, time.monotonic()

    def _warn(self, key: Key, per_cent: int, limit: int) -> None:
        about = f"{per_cent} % / {limit} {key.month}"
        log.warning("%s %s：已用 %s / used %s", key.holder, key.item, about, about)
        if self._trail is not None:
            asyncio.run(self._trail.tell("quota.warned", f"{key.holder} {key.item}", detail=about))


def offered(connection: psycopg.Connection[Any]) -> dict[str, Offer]:
    """What the catalogue lists, as the read model has it."""
    prices = catalogue.prices(connection)
    return {
        each.item: Offer(
            each.item_class == "commercial",
            tuple(price for price in prices if price.item == each.item),
            each.state != "listed",
        )
        for each in catalogue.items(connection)
    }


def _key(account: Account, item: Item) -> Key:
    return Key(holder(account.account, account.party), item.code, period.month_of(datetime.now(UTC)))


def _plain(rule: Pricing) -> bool:
    """What a call costs does not depend on what was used before."""
    return rule.model == "unit" and not rule.included and rule.cap_minor is None


# --- what is told ---


def _headers(grant: Grant, before: int, used: int) -> dict[str, str]:
    """Usage-Price is what the call adds to the month, as far as this process knows; the statement's sum counts."""
    assert grant.terms is not None
    terms, lease = grant.terms, grant.lease
    told = {"Usage-Unit": terms.listed.unit_en, "Usage-Price": str(_price(terms, before, used))}
    if lease is not None and terms.limit is not None:
        told["Usage-Remaining"] = str(max(0, terms.limit - lease.used))
        if mark := marked(lease.used, terms.limit):
            told["Usage-Warning"] = str(mark)
    return told


def _price(terms: Terms, before: int, used: int) -> int:
    if not used or terms.cover.trial or terms.sandbox:
        return 0
    rule = terms.price.rule
    return rate(rule, before + used).amount_minor - (rate(rule, before).amount_minor if before else 0)


class Telling:
    """About commercial routes: what the call was, in its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:  # no coroutine where there is no question
        if scope["route_handler"].opt.get("item_class") != "commercial":
            return self.app(scope, receive, send)
        return self._told(scope, receive, send)

    async def _told(self, scope: Scope, receive: Receive, send: Send) -> None:
        told: dict[str, str] = {}
        TOLD.set(told)

        def telling(message: Message) -> Any:
            if message["type"] == "http.response.start":
                more = [(name.lower().encode(), value.encode()) for name, value in told.items()]
                message["headers"] = [*message["headers"], *more]
            return send(message)

        await self.app(scope, receive, telling)


# --- what is refused ---


def _facts(item: Item, listed: Listed) -> dict[str, Any]:
    facts: dict[str, Any] = {"item": item.code, "free_alternative": listed.free_alternative, "fees": "/v1/fees"}
    return facts


def _not_subscribed(item: Item, terms: Terms) -> NotSubscribed:
    price, free = terms.price, terms.listed.free_alternative
    return NotSubscribed(
        f"{terms.listed.zh}（{item.code}）须先订阅：{SUBSCRIBE}，价目见 /v1/fees；免费替代：{free}"
        f" / {item.code} needs a subscription: {SUBSCRIBE}, prices at /v1/fees; free of charge: {free}",
        **_facts(item, terms.listed),
        subscribe=SUBSCRIBE,
        tariff=price.version,
        price_minor=price.price_minor,
        currency=price.currency,
        unit_zh=terms.listed.unit_zh,
        unit_en=terms.listed.unit_en,
    )


def _in_arrears(item: Item, listed: Listed) -> InArrears:
    return InArrears(
        f"{item.code} 的订阅因欠费暂停，结清后恢复；政务服务不受影响，免费替代：{listed.free_alternative}"
        f" / the subscription to {item.code} is suspended for arrears; settle them. Government services go on, among"
        f" them {listed.free_alternative}",
        **_facts(item, listed),
    )


def _exhausted(item: Item, terms: Terms, key: Key) -> QuotaExhausted:
    zh, en = f"提高订购量：{SUBSCRIBE}/ID/limits", f"order more: {SUBSCRIBE}/ID/limits"
    if not terms.cover.subscribed or terms.cover.trial:
        zh, en = f"订阅：{SUBSCRIBE}", f"subscribe: {SUBSCRIBE}"
    free = terms.listed.free_alternative
    return QuotaExhausted(
        f"{item.code} {key.month} 的 {terms.limit} {terms.listed.unit_zh}已用完；{zh}，或用免费的 {free}"
        f" / the {terms.limit} units of {item.code} for {key.month} are used up; {en}, or use {free}, which is free",
        **_facts(item, terms.listed),
        month=key.month,
        limit=terms.limit,
        price_minor=terms.price.price_minor,
        currency=terms.price.currency,
        subscribe=SUBSCRIBE,
    )
