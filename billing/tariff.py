"""The catalogue this node begins with, and which published price applies when.

Government items have no price anywhere: not a zero, none. Prices of the sample tariff are in fen (CNY minor units).
"""

from datetime import UTC, datetime
from typing import Any

from domain.catalogue import ItemListed, TariffPublished, in_force
from domain.pricing import Pricing, Tier

__all__ = ["in_force"]

TRACK_QUERY = "track.query"
ALERTS_QUERY = "alerts.query"
DECLARATION_READ = "declaration.read"
DECLARATION_DRAFT = "declaration.draft"
INSTRUCTION_READ = "instruction.read"
PARTIES_READ = "parties.read"
VERIFY_QUERY = "verify.query"
VERIFY_CROSS_CHECK = "verify.cross_check"
STATISTICS_SUMMARY = "statistics.summary"
DCSA_QUERY = "dcsa.query"
EPCIS_QUERY = "epcis.query"
ONE_RECORD_QUERY = "one_record.query"
IFTSTA_QUERY = "iftsta.query"

FEED_PULL = "feed.pull"
FEED_PUSH = "feed.push"
FEED_STREAM = "feed.stream"
ALERTS_PUSH = "alerts.push"
BULK_QUERY = "bulk.query"
HISTORY_EXPORT = "history.export"
ETA_ESTIMATE = "eta.estimate"
STATISTICS_DETAIL = "statistics.detail"

_START = datetime(2025, 12, 31, 16, tzinfo=UTC)  # of 2026 in Shanghai: a flat price begins with a month
_SAMPLE = "示例价目，非真实收费 / sample tariff, not a real charge"
_BASIS_ZH = "省电子口岸建设方案：政务服务免费"
_BASIS_EN = "founding plan of the electronic port: government services are free of charge"
_PAID_ZH = "省电子口岸建设方案：增值服务有偿、从严控制；市场调节价"
_PAID_EN = "founding plan of the electronic port: value-added services are paid, under strict control; market price"


def _government(item: str, name: tuple[str, str], unit: tuple[str, str], group: Any = "logistics") -> ItemListed:
    (zh, en), (unit_zh, unit_en) = name, unit
    return ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=item,
        item_class="government",
        zh=zh,
        en=en,
        unit_zh=unit_zh,
        unit_en=unit_en,
        group=group,
        basis_zh=_BASIS_ZH,
        basis_en=_BASIS_EN,
    )


def _commercial(
    item: str,
    name: tuple[str, str],
    unit: tuple[str, str],
    free_alternative: str,
    group: Any = "logistics",
    **more: Any,
) -> ItemListed:
    (zh, en), (unit_zh, unit_en) = name, unit
    return ItemListed(
        happened_at=_START,
        recorded_at=_START,
        item=item,
        item_class="commercial",
        zh=zh,
        en=en,
        unit_zh=unit_zh,
        unit_en=unit_en,
        free_alternative=free_alternative,
        group=group,
        basis_zh=_PAID_ZH,
        basis_en=_PAID_EN,
        content_zh=CONTENT[item][0],
        content_en=CONTENT[item][1],
        **more,
    )


def _price(item: str, pricing: Pricing) -> TariffPublished:
    return TariffPublished(
        happened_at=_START,
        recorded_at=_START,
        item=item,
        version=f"{item}/sample-2026",
        price_minor=pricing.tiers[0].price_minor if pricing.tiers else pricing.price_minor,
        currency="CNY",
        effective_from=_START,
        basis=_SAMPLE,
        pricing=pricing,
    )


CONTENT = {
    FEED_PULL: (
        "按游标批量拉取本企业可见的物流事件，含更正与撤回",
        "logistics events that one may see, fetched page by page, with corrections and retractions",
    ),
    FEED_PUSH: (
        "按条推送到接收地址，签名、按号码有序、失败重发",
        "events sent to an address, signed, in order by number, tried again",
    ),
    FEED_STREAM: ("持续连接实时送达，可断点续传", "events over a connection that stays, resumed where it broke"),
    ALERTS_PUSH: ("预警与报警推送到接收地址", "alerts sent to an address"),
    BULK_QUERY: (
        "一次查询至多 10,000 个号码，查无不收费",
        "up to 10,000 numbers at once; numbers that are not known cost nothing",
    ),
    HISTORY_EXPORT: ("按期间导出历史事件：Parquet、CSV、XLSX", "events of a period as Parquet, CSV or XLSX"),
    ETA_ESTIMATE: ("按航段历史推算到达时间，附依据", "arrival reckoned from the history of the leg, with its grounds"),
    STATISTICS_DETAIL: ("按更多维度细分的统计，不含单个企业", "figures by more dimensions, of no single enterprise"),
}
QUERY, FACT, EVENT = ("次", "query"), ("条", "fact"), ("条", "event")
ITEMS = (
    _government(TRACK_QUERY, ("货物动态与通关状态查询", "Cargo and clearance status query"), QUERY),
    _government(VERIFY_QUERY, ("联网核查", "Networked verification"), QUERY, "clearance"),
    _government(VERIFY_CROSS_CHECK, ("联网核查比对", "Networked verification, field by field"), QUERY, "clearance"),
    _government(STATISTICS_SUMMARY, ("决策信息（汇总统计）", "Decision information, aggregated"), ("组", "group")),
    _government(DCSA_QUERY, ("DCSA 事件查询", "DCSA events"), EVENT),
    _government(EPCIS_QUERY, ("EPCIS 事件查询", "EPCIS events"), EVENT),
    _government(ONE_RECORD_QUERY, ("ONE Record 物流事件查询", "ONE Record logistics events"), EVENT),
    _government(IFTSTA_QUERY, ("IFTSTA 状态报文", "IFTSTA status message"), EVENT),
    _government(
        DECLARATION_READ, ("本企业报关单查询", "A declaration of one's own"), ("份", "declaration"), "clearance"
    ),
    _government(
        DECLARATION_DRAFT,
        ("报关单预填", "Declaration draft from the shipment's own facts"),
        ("项", "field"),
        "clearance",
    ),
    _government(INSTRUCTION_READ, ("作业指令查询", "Instructions"), ("条", "instruction")),
    _government(PARTIES_READ, ("货物当事方查询", "Parties of a shipment"), ("个", "party")),
    _government(ALERTS_QUERY, ("预警与报警查询", "Alerts"), QUERY),
    _commercial(FEED_PULL, ("物流事件数据订阅（拉取）", "Event feed, pulled"), FACT, TRACK_QUERY),
    _commercial(FEED_PUSH, ("物流事件数据订阅（推送）", "Event feed, pushed"), FACT, TRACK_QUERY),
    _commercial(FEED_STREAM, ("物流事件数据订阅（实时流）", "Event feed, streamed"), FACT, TRACK_QUERY),
    _commercial(ALERTS_PUSH, ("预警推送", "Alerts, pushed"), ("条", "alert"), ALERTS_QUERY),
    _commercial(
        BULK_QUERY, ("批量查询", "Query of many numbers at once"), ("号", "number found"), TRACK_QUERY, open=True
    ),
    _commercial(HISTORY_EXPORT, ("历史数据导出", "Export of a period"), ("行", "row"), TRACK_QUERY, "commerce"),
    _commercial(
        ETA_ESTIMATE,
        ("预计到达时间（本平台推算）", "Estimated time of arrival, Kouan's own"),
        QUERY,
        TRACK_QUERY,
        open=True,
        limit="hard",
    ),
    _commercial(
        STATISTICS_DETAIL, ("统计明细", "Statistics in detail"), ("组", "group"), STATISTICS_SUMMARY, "commerce"
    ),
)
TARIFFS = (
    _price(FEED_PULL, Pricing(price_minor=2)),
    _price(FEED_PUSH, Pricing(price_minor=3, reversal_credit=True)),
    _price(FEED_STREAM, Pricing(price_minor=2)),
    _price(ALERTS_PUSH, Pricing(price_minor=10, included=100)),
    _price(
        BULK_QUERY,
        Pricing(model="graduated", tiers=(Tier(2, up_to=10_000), Tier(1)), included=1_000, cap_minor=500_000),
    ),
    _price(HISTORY_EXPORT, Pricing(model="package", price_minor=1_000, package=100_000)),
    _price(ETA_ESTIMATE, Pricing(price_minor=20, included=300)),
    _price(STATISTICS_DETAIL, Pricing(model="flat", price_minor=20_000)),
)
