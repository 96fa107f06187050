"""Statements: free and paid together, the same bytes whenever they are made again, and nothing free ever with money."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from billing import drafting
from domain import period, statement
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.catalogue import TariffPublished
from domain.journal import Journal
from domain.party import PartyRegistered
from domain.pricing import Pricing, Share
from domain.seller import TaxRateSet
from domain.statement import Statement
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.test_usage import END, SEPTEMBER, cut, made

MONTH = "2026-09"
NOW = datetime(2026, 11, 2, tzinfo=UTC)
FREE = {"item": "track.query", "item_class": "government", "tariff": ""}
AGENT, OWNER = "91320000MA0000277B", "91320000MA0000301X"


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(node.conninfo, autocommit=True) as opened:
        yield opened


def issue(node: Node, month: str = MONTH) -> drafting.Issued:
    with psycopg.connect(node.conninfo, autocommit=True) as opened, Journal("commerce", node.conninfo).opened() as kept:
        writer = Writer(kept)
        try:
            return drafting.issue(opened, writer, month, by="clerk", at=NOW)
        finally:
            writer.stop()


def close(node: Node, month: str = MONTH) -> drafting.Issued:
    node.decide("commerce", period.stream(month), cut(month))
    return issue(node, month)


def documents(node: Node, connection: psycopg.Connection[Any]) -> list[Statement]:
    numbers = [number for (number,) in node.rows("SELECT statement FROM issued_statements ORDER BY statement")]
    return [statement.read(drafting.stored(connection, number)) for number in numbers]


def test_free_and_paid_stand_on_one_statement_and_its_total_is_the_sum_of_its_lines(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    rate = TaxRateSet(
        happened_at=SEPTEMBER, recorded_at=SEPTEMBER, rate_bp=600, effective_from=SEPTEMBER, basis="b", by="clerk"
    )
    node.decide("commerce", "seller:node", rate)
    node.decide(
        "commerce",
        "metering:a",
        made(SEPTEMBER, 53),
        made(SEPTEMBER, 3, **FREE),
        made(SEPTEMBER, 0, result="empty", tariff=""),
    )
    issued = close(node)
    assert issued == drafting.Issued(1, 1, 106, 106, digest(node))
    [found] = documents(node, connection)
    assert [(line.item, line.item_class, line.amount_minor, line.reason) for line in found.lines] == [
        ("track.query", "government", 0, "government"),
        ("feed.pull", "commercial", 0, "not_charged"),
        ("feed.pull", "commercial", 106, ""),
    ]
    assert (found.total_minor, found.net_minor, found.tax_minor, found.payable_minor) == (106, 100, 6, 106)


def digest(node: Node) -> str:
    [(found,)] = node.rows("SELECT sha256 FROM issued_statements")
    return str(found)


def test_a_second_time_nothing_is_issued(node: Node) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))
    first = close(node)
    assert (first.statements, first.new) == (1, 1)
    assert issue(node) == msgspec.structs.replace(first, new=0)


def test_a_statement_made_again_is_the_same_bytes_whatever_happened_since(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5), made(SEPTEMBER, 4, account="trader"))
    close(node)
    node.decide("commerce", "metering:a", made(SEPTEMBER, 7), made(END, 2))
    about: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "by": "clerk"}
    node.decide(
        "commerce",
        "item:feed.pull",
        TariffPublished(
            **about, item="feed.pull", version="x", price_minor=9, currency="CNY", effective_from=NOW, basis="b"
        ),
    )
    close(node, "2026-10")
    issued = [number for (number,) in node.rows("SELECT statement FROM issued_statements ORDER BY statement")]
    assert issued == ["KS-202609-000001", "KS-202609-000002", "KS-202610-000001"]
    for number in issued:
        assert drafting.remake(connection, number) == drafting.stored(connection, number)
    october = statement.read(drafting.stored(connection, issued[2]))
    assert (october.previous, october.previous_sha256) == (
        issued[0],
        node.rows("SELECT sha256 FROM issued_statements WHERE statement = %s", issued[0])[0][0],
    )
    assert [(line.corrects_period, line.quantity, line.amount_minor, line.explanation) for line in october.lines] == [
        (None, 2, 4, "2 x 2"),
        (MONTH, 7, 14, "(12 x 2) - (5 x 2)"),
    ]


def test_a_credit_is_carried_forward_until_it_is_used_up(node: Node, connection: psycopg.Connection[Any]) -> None:
    told: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "by": "clerk", "adjustment": "a1"}
    proposed = AdjustmentProposed(
        **told, holder="mover", is_party=False, item="feed.pull", amount_minor=-30, reason="too much in July"
    )
    node.decide("commerce", "adjustment:a1", proposed, AdjustmentApproved(**told, proposed=proposed))
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))
    close(node)
    close(node, "2026-10")
    node.decide("commerce", "metering:a", made(END + timedelta(days=40), 50))
    close(node, "2026-11")
    found = documents(node, connection)
    assert [
        (each.total_minor, each.brought_forward_minor, each.payable_minor, each.carried_forward_minor) for each in found
    ] == [(-20, 0, 0, -20), (0, -20, 0, -20), (100, -20, 80, 0)]
    for each in found:
        assert drafting.remake(connection, each.number) == statement.canonical(each)


def test_who_was_acted_for_bears_its_share_on_its_own_statement(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    about: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "by": "clerk"}
    half = Pricing(price_minor=3, split=(Share("caller", 50), Share("principal", 50)))
    node.decide(
        "commerce",
        "item:feed.pull",
        TariffPublished(
            **about,
            item="feed.pull",
            version="half",
            price_minor=3,
            currency="CNY",
            effective_from=SEPTEMBER,
            basis="b",
            pricing=half,
        ),
    )
    node.decide(
        "commerce", f"party:{OWNER}", PartyRegistered(**about, party=OWNER, kind="enterprise", zh="货主", en="Owner")
    )
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5, party=AGENT, behalf=OWNER, tariff="half"))
    close(node)
    agent, owner = documents(node, connection)
    assert [(each.holder.code, each.holder.zh, each.total_minor) for each in (agent, owner)] == [
        (AGENT, AGENT, 8),
        (OWNER, "货主", 7),
    ]
    [share] = owner.lines
    assert (share.kind, share.used_by, share.whole_minor, share.amount_minor) == ("share", AGENT, 15, 7)
    for each in (agent, owner):
        assert drafting.remake(connection, each.number) == statement.canonical(each)


@pytest.mark.parametrize("change", ["amount_minor", "list_minor", "tax_minor", "tariff", "item_class"])
def test_a_free_line_with_money_cannot_be_issued_at_all(
    node: Node, connection: psycopg.Connection[Any], change: str
) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 3, **FREE))
    node.decide("commerce", period.stream(MONTH), cut(MONTH))
    [drawn] = drafting.drafted(connection, drafting.pin(connection, MONTH))
    to: Any = {"tariff": "feed.pull/sample-2026", "item_class": "commercial"}.get(change, 1)
    line = msgspec.structs.replace(drawn.lines[0], **{change: to})
    forged = msgspec.structs.replace(drawn, lines=(line,), **statement.totals([line]))
    fact = statement.issued(forged, by="thief", at=NOW)
    with pytest.raises(psycopg.Error, match=r"violates|is not the sum"):
        node.decide("commerce", statement.stream(drawn.number), fact)
    assert node.rows("SELECT count(*) FROM issued_statements") == [(0,)]


@pytest.mark.parametrize("statement_", ["UPDATE issued_lines SET amount_minor = 0", "DELETE FROM issued_statements"])
def test_what_was_issued_cannot_be_changed(node: Node, connection: psycopg.Connection[Any], statement_: str) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))
    close(node)
    with pytest.raises(psycopg.Error, match="never changed"):
        connection.execute(statement_.encode())


def test_before_the_cut_off_there_is_nothing_to_issue(node: Node) -> None:
    with pytest.raises(drafting.NotCutOff):
        issue(node)


def test_what_was_issued_and_cannot_be_made_again_is_not_passed_over(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5))
    close(node)
    connection.execute("ALTER TABLE usage_entries DISABLE TRIGGER USER")
    connection.execute("UPDATE usage_entries SET quantity = 6")
    with pytest.raises(drafting.Differs) as refused:
        issue(node)
    assert refused.value.facts["statements"] == ["KS-202609-000001"]
