"""Everything a database needs before the product can run on it: journals, accounts, read models, the catalogue."""

from typing import Any

import psycopg

from api import capture, idempotency, seller_desk, sources
from api.app import READ_MODELS
from billing import tariff
from domain import catalogue, schema, seller
from domain.catalogue import Item
from domain.delivery import new_id
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.seller import TaxRateSet
from domain.writer import Writer
from projections import runner


def install(conninfo: str) -> None:
    """Bring a database up to date; harmless when it is."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        schema.migrate(connection)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(19279, 8)")
            connection.execute(capture.TABLES.encode())
            connection.execute(sources.TABLES.encode())
            connection.execute(idempotency.TABLES.encode())
        runner.install(connection, READ_MODELS)
        with Journal("commerce", conninfo).opened() as commerce:
            _list_items(connection, commerce)
            _set_tax(connection, commerce)
            runner.catch_up(connection, commerce, READ_MODELS)


def _list_items(connection: psycopg.Connection[Any], commerce: Journal) -> None:
    """Put the items this node begins with, and their first prices, into the catalogue, unless they are there."""
    writer = Writer(commerce)
    try:
        for listing in tariff.ITEMS:
            stream = f"item:{listing.item}"
            entries = commerce.stream(connection, stream)
            item = Item(listing.item)
            for entry in entries:
                item = catalogue.evolve(item, entry.fact)
            facts: tuple[Fact, ...] = catalogue.list_item(item, listing)
            for fact in facts:
                item = catalogue.evolve(item, fact)
            on_sale = item.item_class == "commercial" and not item.withdrawn  # an older node lists some as government's
            for price in (price for price in tariff.TARIFFS if on_sale and price.item == listing.item):
                facts += catalogue.publish(item, price)
            if facts:
                new = [NewFact(stream, new_id(fact.happened_at), fact) for fact in facts]
                writer.write([Intent(facts=new, expected=(stream, len(entries)))])
    finally:
        writer.stop()


def _set_tax(connection: psycopg.Connection[Any], commerce: Journal) -> None:
    """Tell the rate of tax that a node begins with, if none was ever set."""
    entries = commerce.stream(connection, seller.STREAM)
    if any(isinstance(entry.fact, TaxRateSet) for entry in entries):
        return
    writer = Writer(commerce)
    try:
        new = NewFact(seller.STREAM, new_id(seller_desk.FIRST.happened_at), seller_desk.FIRST)
        writer.write([Intent(facts=[new], expected=(seller.STREAM, len(entries)))])
    finally:
        writer.stop()
