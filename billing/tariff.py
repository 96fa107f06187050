"""The catalogue this node begins with, and which published price applies when.

Government items have no price anywhere: not a zero, none. Prices of the sample tariff are in fen (CNY minor units).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.catalogue import ItemListed, Price, TariffPublished

TRACK_QUERY = "track.query"
FEED_PULL = "feed.pull"

_START = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = (
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=TRACK_QUERY,
        item_class="government",
        zh="货物动态与通关状态查询",
        en="Cargo and clearance status query",
        unit_zh="次",
        unit_en="query",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=FEED_PULL,
        item_class="commercial",
        zh="物流事件数据订阅（拉取）",
        en="Event feed, pulled",
        unit_zh="条",
        unit_en="fact",
        free_alternative=TRACK_QUERY,
    ),
)
TARIFFS = (
    TariffPublished(
        happened_at=_START,
        recorded_at=_START,
        item=FEED_PULL,
        version="feed.pull/sample-2026",
        price_minor=2,
        currency="CNY",
        effective_from=_START,
        basis="示例价目，非真实收费 / sample tariff, not a real charge",
    ),
)


def in_force(prices: Sequence[Price], item: str, at: datetime) -> Price | None:
    """The price of a commercial item at a moment; None if none was in force, and for government items always."""
    valid = [price for price in prices if price.item == item and price.effective_from <= at]
    return max(valid, key=lambda price: price.effective_from, default=None)
