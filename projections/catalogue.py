"""The service items and their published prices; the database itself sees to it that only commercial ones have one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.catalogue import ItemListed, Price, TariffPublished
from domain.journal import Entry

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
    UNIQUE (item, item_class)
);
CREATE TABLE IF NOT EXISTS tariffs (
    item           text NOT NULL,
    item_class     text NOT NULL DEFAULT 'commercial' CHECK (item_class = 'commercial'),
    version        text NOT NULL,
    price_minor    bigint NOT NULL CHECK (price_minor >= 0),   -- for one unit, in minor units of the currency
    currency       text NOT NULL,
    published_at   timestamptz NOT NULL,
    effective_from timestamptz NOT NULL CHECK (effective_from >= published_at),
    basis          text NOT NULL,
    PRIMARY KEY (item, version),
    FOREIGN KEY (item, item_class) REFERENCES service_items (item, item_class)
);
"""
ITEM = """
INSERT INTO service_items (item, item_class, zh, en, unit_zh, unit_en, free_alternative)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
TARIFF = """
INSERT INTO tariffs (item, version, price_minor, currency, published_at, effective_from, basis)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add the items and prices of a batch."""
    for entry in entries:
        told = entry.fact
        if isinstance(told, ItemListed):
            listing = (told.item, told.item_class, told.zh, told.en, told.unit_zh, told.unit_en, told.free_alternative)
            cursor.execute(ITEM, listing)
        elif isinstance(told, TariffPublished):
            price = (told.item, told.version, told.price_minor, told.currency)
            cursor.execute(TARIFF, (*price, told.happened_at, told.effective_from, told.basis))


class Listed(msgspec.Struct, frozen=True):
    item: str
    item_class: str
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    free_alternative: str


def items(connection: psycopg.Connection[Any]) -> list[Listed]:
    """Every service item, government first."""
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(
            "SELECT item, item_class, zh, en, unit_zh, unit_en, free_alternative"
            " FROM service_items ORDER BY item_class DESC, item"
        ).fetchall()


def prices(connection: psycopg.Connection[Any]) -> list[Price]:
    """Every published price, oldest first."""
    with connection.cursor(row_factory=class_row(Price)) as cursor:
        return cursor.execute(
            "SELECT item, version, price_minor, currency, effective_from, basis"
            " FROM tariffs ORDER BY effective_from, version"
        ).fetchall()
