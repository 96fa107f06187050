"""The catalogue this node begins with, and which published price applies when.

Government items have no price anywhere: not a zero, none. Prices of the sample tariff are in fen (CNY minor units).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.catalogue import ItemListed, Price, TariffPublished

TRACK_QUERY = "track.query"
FEED_PULL = "feed.pull"
ALERTS_QUERY = "alerts.query"
DECLARATION_READ = "declaration.read"
DECLARATION_DRAFT = "declaration.draft"
INSTRUCTION_READ = "instruction.read"
PARTIES_READ = "parties.read"
VERIFY_QUERY = "verify.query"
VERIFY_CROSS_CHECK = "verify.cross_check"
ETA_ESTIMATE = "eta.estimate"
STATISTICS_SUMMARY = "statistics.summary"
DCSA_QUERY = "dcsa.query"
EPCIS_QUERY = "epcis.query"
ONE_RECORD_QUERY = "one_record.query"
IFTSTA_QUERY = "iftsta.query"

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
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=VERIFY_QUERY,
        item_class="government",
        zh="联网核查",
        en="Networked verification",
        unit_zh="次",
        unit_en="query",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=VERIFY_CROSS_CHECK,
        item_class="government",
        zh="联网核查比对",
        en="Networked verification, field by field",
        unit_zh="次",
        unit_en="query",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=ETA_ESTIMATE,
        item_class="government",
        zh="预计到达时间（本平台推算）",
        en="Estimated time of arrival, Kouan's own",
        unit_zh="次",
        unit_en="query",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=STATISTICS_SUMMARY,
        item_class="government",
        zh="决策信息（汇总统计）",
        en="Decision information, aggregated",
        unit_zh="组",
        unit_en="group",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=DCSA_QUERY,
        item_class="government",
        zh="DCSA 事件查询",
        en="DCSA events",
        unit_zh="条",
        unit_en="event",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=EPCIS_QUERY,
        item_class="government",
        zh="EPCIS 事件查询",
        en="EPCIS events",
        unit_zh="条",
        unit_en="event",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=ONE_RECORD_QUERY,
        item_class="government",
        zh="ONE Record 物流事件查询",
        en="ONE Record logistics events",
        unit_zh="条",
        unit_en="event",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=IFTSTA_QUERY,
        item_class="government",
        zh="IFTSTA 状态报文",
        en="IFTSTA status message",
        unit_zh="条",
        unit_en="event",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=DECLARATION_READ,
        item_class="government",
        zh="本企业报关单查询",
        en="A declaration of one's own",
        unit_zh="份",
        unit_en="declaration",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=DECLARATION_DRAFT,
        item_class="government",
        zh="报关单预填",
        en="Declaration draft from the shipment's own facts",
        unit_zh="项",
        unit_en="field",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=INSTRUCTION_READ,
        item_class="government",
        zh="作业指令查询",
        en="Instructions",
        unit_zh="条",
        unit_en="instruction",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=PARTIES_READ,
        item_class="government",
        zh="货物当事方查询",
        en="Parties of a shipment",
        unit_zh="个",
        unit_en="party",
    ),
    ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=ALERTS_QUERY,
        item_class="government",
        zh="预警与报警查询",
        en="Alerts",
        unit_zh="次",
        unit_en="query",
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
