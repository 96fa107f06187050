"""The service items and their published prices; the database itself sees to it that only commercial ones have one.

Times are UTC, money minor units. What may be referred to by what is rated is kept apart from here, for ever
(`published_tariffs`, domain/migrations/0015_tariffs.sql): this model can be rebuilt at any time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.catalogue import (
    OPERATOR,
    ItemListed,
    ItemProposed,
    ItemWithdrawn,
    Listing,
    Price,
    TariffPublished,
    TariffWithdrawn,
)
from domain.journal import Entry
from domain.pricing import Cost, Pricing

NAME = "catalogue"
JOURNAL = "commerce"
TABLES = ("tariffs", "service_items")
TABLE = """
CREATE TABLE IF NOT EXISTS service_items (
    item             text PRIMARY KEY,
    item_class       text NOT NULL CHECK (item_class IN ('government', 'commercial')),
    zh               text NOT NULL,
    en               text NOT NULL,
    unit_zh          text NOT NULL,
    unit_en          text NOT NULL,
    free_alternative text NOT NULL,
    function_group   text NOT NULL DEFAULT 'logistics' CHECK (function_group IN ('clearance', 'logistics', 'commerce')),
    owner            text NOT NULL DEFAULT 'KOUAN',         -- party that answers for it
    provider         text NOT NULL DEFAULT '',              -- third party that renders it, as it wants to be named
    basis_zh         text NOT NULL DEFAULT '',
    basis_en         text NOT NULL DEFAULT '',
    content_zh       text NOT NULL DEFAULT '',
    content_en       text NOT NULL DEFAULT '',
    at_limit         text NOT NULL DEFAULT 'soft' CHECK (at_limit IN ('soft', 'hard')),
    open             boolean NOT NULL DEFAULT false,        -- no subscription needed, up to what is included
    state            text NOT NULL DEFAULT 'listed' CHECK (state IN ('proposed', 'listed', 'withdrawn')),
    listed_at        timestamptz,                           -- for the first time
    withdrawn_at     timestamptz,
    UNIQUE (item, item_class),
    CHECK (item_class = 'government' OR free_alternative <> ''),
    CHECK ((state = 'withdrawn') = (withdrawn_at IS NOT NULL))
);
CREATE TABLE IF NOT EXISTS tariffs (
    item           text NOT NULL,
    item_class     text NOT NULL DEFAULT 'commercial' CHECK (item_class = 'commercial'),
    version        text NOT NULL,
    price_minor    bigint NOT NULL CHECK (price_minor >= 0),   -- for one unit; of another rule what is shown first
    currency       text NOT NULL,
    published_at   timestamptz NOT NULL,
    effective_from timestamptz NOT NULL CHECK (effective_from >= published_at),
    basis          text NOT NULL,
    position       bigint NOT NULL DEFAULT 0,                  -- in the commerce journal: the order of publication
    pricing        jsonb,                                      -- domain/pricing.Pricing; none: so much for each unit
    cost           jsonb,                                      -- domain/pricing.Cost, where it was declared
    review_by      timestamptz,
    withdrawn_from timestamptz,                                -- not later than effective_from: it never took effect
    PRIMARY KEY (item, version),
    FOREIGN KEY (item, item_class) REFERENCES service_items (item, item_class)
);
"""
ITEM = """
INSERT INTO service_items (
    item, item_class, zh, en, unit_zh, unit_en, free_alternative, function_group, owner, provider,
    basis_zh, basis_en, content_zh, content_en, at_limit, open, state, listed_at
)
VALUES (
    %(item)s, %(item_class)s, %(zh)s, %(en)s, %(unit_zh)s, %(unit_en)s, %(free_alternative)s, %(group)s, %(owner)s,
    %(provider)s, %(basis_zh)s, %(basis_en)s, %(content_zh)s, %(content_en)s, %(limit)s, %(open)s, %(state)s,
    %(listed_at)s
)
ON CONFLICT (item) DO UPDATE SET
    item_class = excluded.item_class, zh = excluded.zh, en = excluded.en,
    unit_zh = excluded.unit_zh, unit_en = excluded.unit_en, free_alternative = excluded.free_alternative,
    function_group = excluded.function_group, owner = excluded.owner, provider = excluded.provider,
    basis_zh = excluded.basis_zh, basis_en = excluded.basis_en,
    content_zh = excluded.content_zh, content_en = excluded.content_en,
    at_limit = excluded.at_limit, open = excluded.open, state = excluded.state, withdrawn_at = NULL,
    listed_at = coalesce(service_items.listed_at, excluded.listed_at)
"""
WITHDRAWN_ITEM = """
UPDATE service_items SET state = 'withdrawn', withdrawn_at = %s WHERE item = %s
"""
TARIFF = """
INSERT INTO tariffs (
    item, version, price_minor, currency, published_at, effective_from, basis, position, pricing, cost, review_by
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
WITHDRAWN_TARIFF = """
UPDATE tariffs SET withdrawn_from = %s WHERE item = %s AND version = %s
"""


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add the items and prices of a batch; they are few."""
    for entry in entries:
        match entry.fact:
            case ItemListed() as told:
                cursor.execute(ITEM, _item(told, "listed", told.happened_at))
            case ItemProposed() as told:
                cursor.execute(ITEM, _item(told, "proposed", None))
            case ItemWithdrawn() as told:
                cursor.execute(WITHDRAWN_ITEM, (told.happened_at, told.item))
            case TariffPublished() as told:
                cursor.execute(TARIFF, _tariff(told, entry.position))
            case TariffWithdrawn() as told:
                cursor.execute(WITHDRAWN_TARIFF, (told.effective_from, told.item, told.version))
            case _:
                pass


def _item(told: Listing, state: str, listed_at: datetime | None) -> dict[str, Any]:
    return msgspec.structs.asdict(told) | {"state": state, "listed_at": listed_at}


def _tariff(told: TariffPublished, position: int) -> tuple[object, ...]:
    price = (told.item, told.version, told.price_minor, told.currency)
    rule, cost = (msgspec.json.encode(part).decode() if part else None for part in (told.pricing, told.cost))
    return (*price, told.happened_at, told.effective_from, told.basis, position, rule, cost, told.review_by)


class Listed(msgspec.Struct, frozen=True):
    """An item as it is offered, or was."""

    item: str
    item_class: str
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    free_alternative: str
    group: str = "logistics"
    owner: str = OPERATOR
    provider: str = ""
    basis_zh: str = ""
    basis_en: str = ""
    content_zh: str = ""
    content_en: str = ""
    limit: str = "soft"
    open: bool = False
    state: Literal["proposed", "listed", "withdrawn"] = "listed"
    listed_at: datetime | None = None  # UTC
    withdrawn_at: datetime | None = None


ITEMS = """
SELECT
    item, item_class, zh, en, unit_zh, unit_en, free_alternative, function_group AS "group", owner, provider,
    basis_zh, basis_en, content_zh, content_en, at_limit AS "limit", open, state, listed_at, withdrawn_at
FROM service_items
WHERE state <> 'proposed' OR %s
ORDER BY item_class DESC, item
"""


def items(connection: psycopg.Connection[Any], *, proposed: bool = False) -> list[Listed]:
    """Every service item, government first, withdrawn ones too: they stand on bills. `proposed`: and proposals."""
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(ITEMS, (proposed,)).fetchall()


PRICES = """
SELECT
    item, version, price_minor, currency, effective_from, basis, pricing, published_at, review_by, cost, withdrawn_from
FROM tariffs
ORDER BY position, effective_from, version
"""


def prices(connection: psycopg.Connection[Any]) -> list[Price]:
    """Every published price in the order of publication, withdrawn ones too."""
    with connection.cursor() as cursor:
        rows = cursor.execute(PRICES).fetchall()
    return [_price(*row) for row in rows]


def _price(*columns: Any) -> Price:
    item, version, price_minor, currency, effective_from, basis, pricing, published_at, review_by, cost, ends = columns
    return Price(
        item=item,
        version=version,
        price_minor=price_minor,
        currency=currency,
        effective_from=effective_from,
        basis=basis,
        pricing=msgspec.convert(pricing, Pricing) if pricing else None,
        published_at=published_at,
        review_by=review_by,
        cost=msgspec.convert(cost, Cost) if cost else None,
        withdrawn_from=ends,
    )
