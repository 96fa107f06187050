"""What is watched for: the catalogue of alerts as data, in both languages, with thresholds that may be changed.

A rule is a condition of one subject (projections/alert_conditions.py finds them) and how long it may last: the alert is
raised when the condition has stood for `threshold`, at once where that is nothing, and cleared when it ends. Families:
`warning` 预警, `alarm` 报警, `order` 顺序异常: reports that can hardly all be true. `dataset`: whose data decide. The
first two follow the control alerts of a supervised port area; those that need more than facts tell, such as the route
that a truck was meant to take, rest on what the device or the source itself reports.
"""

from datetime import timedelta
from typing import Literal

import msgspec

Family = Literal["warning", "alarm", "order"]
Severity = Literal["warning", "alarm"]

AT_ONCE = timedelta(0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Rule(msgspec.Struct, frozen=True):
    code: str
    family: Family
    severity: Severity
    condition: str
    threshold: timedelta
    dataset: str
    zh: str
    en: str


def _lasting(
    family: Literal["warning", "alarm"], *rows: tuple[str, tuple[timedelta, ...], str, str, str]
) -> tuple[Rule, ...]:
    """Of each row (condition, thresholds, Chinese, English, dataset) a rule for each threshold."""
    return tuple(
        Rule(f"{condition}.{_length(each)[0]}", family, family, condition, each, dataset, *_said(zh, en, each))
        for condition, thresholds, zh, en, dataset in rows
        for each in thresholds
    )


def _length(length: timedelta) -> tuple[str, str, str]:
    """For the code, in Chinese, in English.

    >>> _length(7 * DAY), _length(24 * HOUR)[1], _length(72 * HOUR)[0]
    (('7d', '7天', '7 days'), '24小时', '72h')
    """
    hours = length // HOUR
    if hours <= 72:  # noqa: PLR2004  as the catalogue has it: hours up to three days
        return (f"{hours}h", f"{hours}小时", f"{hours} hours")
    return (f"{hours // 24}d", f"{hours // 24}天", f"{hours // 24} days")


def _said(zh: str, en: str, length: timedelta) -> tuple[str, str]:
    _, chinese, english = _length(length)
    return zh.format(chinese), en.format(english)


CUSTOMS, PORT, ROAD, MANIFEST = "customs.clearance", "port.movements", "road.movements", "manifest"

_WARNINGS = _lasting(
    "warning",
    ("import_unreleased", (7 * DAY, 14 * DAY, 90 * DAY),
        "进口集装箱到港后超{}未放行", "Import container not released {} after its arrival", CUSTOMS),
    ("import_not_picked_up", (15 * DAY,),
        "进口集装箱放行后超{}未提离", "Import container not picked up {} after its release", PORT),
    ("export_unreleased", (7 * DAY, 90 * DAY),
        "出口集装箱进闸后超{}未放行", "Export container not released {} after its gate-in", CUSTOMS),
    ("export_not_loaded", (10 * DAY,),
        "出口集装箱放行后超{}未装船", "Export container not loaded {} after its release", PORT),
    ("inspection_not_moved_in", (24 * HOUR,),
        "收到查验指令{}未调入查验场", "Inspection ordered {} ago, not moved to the inspection site", CUSTOMS),
    ("inspection_not_done", (24 * HOUR,),
        "调入查验场超{}未查验", "At the inspection site for {}, not inspected", CUSTOMS),
    ("inspection_not_moved_out", (12 * HOUR,),
        "查验完毕超{}未调离", "Inspected {} ago, not moved from the inspection site", CUSTOMS),
    ("clearance_long_import", (72 * HOUR,),
        "进口通关时效超长（{}）", "Import clearance takes longer than {}", CUSTOMS),
    ("clearance_long_export", (24 * HOUR,),
        "出口通关时效超长（{}）", "Export clearance takes longer than {}", CUSTOMS),
)  # fmt: skip

_ALARMS = _lasting(
    "alarm",
    ("advance_not_arrived", (72 * HOUR,),
        "出口提前申报后超{}未抵运", "Export declared in advance, cargo not arrived within {}", CUSTOMS),
    ("tally_missing", (24 * HOUR,),
        "船舶离港后超{}未发送理货报告", "No tally report {} after the vessel's departure", PORT),
    ("transhipment_overstay", (90 * DAY, 180 * DAY),
        "国际中转集装箱滞港超{}", "Transhipment container in port for more than {}", PORT),
    ("inspection_not_moved_in", (72 * HOUR,),
        "收到查验指令{}未调入查验场", "Inspection ordered {} ago, not moved to the inspection site", CUSTOMS),
    ("inspection_not_moved_out", (24 * HOUR,),
        "查验完毕超{}未调离", "Inspected {} ago, not moved from the inspection site", CUSTOMS),
    ("truck_under_way", (24 * HOUR,),
        "车辆运行超时（{}）", "Truck under way for more than {}", ROAD),
)  # fmt: skip


def _at_once(family: Family, severity: Severity, *rows: tuple[str, str, str, str]) -> tuple[Rule, ...]:
    """Of each row (code, Chinese, English, dataset) a rule under which its condition is minded at once."""
    return tuple(Rule(code, family, severity, code, AT_ONCE, dataset, zh, en) for code, zh, en, dataset in rows)


_AT_ONCE = _at_once(
    "alarm",
    "alarm",
    ("loaded_unreleased", "海关未放行集装箱装船", "Loaded without customs release", CUSTOMS),
    ("gated_out_unreleased", "海关未放行集装箱出闸", "Gated out without customs release", CUSTOMS),
    ("left_on_hold", "布控（扣留）中集装箱装运或出闸", "Loaded or gated out while on hold", CUSTOMS),
    ("left_under_inspection", "查验未完毕集装箱装运或出闸", "Loaded or gated out while under inspection", CUSTOMS),
    ("departed_without_arrival_report", "船舶离港时无运抵报告", "Departed without an arrival report", MANIFEST),
    ("departed_without_manifest", "船舶离港时无预配（装载）舱单", "Departed without a loading manifest", MANIFEST),
    ("truck_overstay", "调拨车辆超时停留", "Truck stopped for too long", ROAD),
    ("truck_off_route", "调拨车辆偏离路线", "Truck off its route", ROAD),
    ("empty_weight", "空柜重量异常", "Weight of an empty container is anomalous", PORT),
    ("seal_alarm", "电子关锁报警", "Electronic seal reports an alarm", ROAD),
    ("temperature", "温度超出范围", "Temperature out of range", ROAD),
)

_MORE = _at_once(
    "warning",
    "warning",
    ("sensitive_goods", "舱单品名含敏感词", "Sensitive word in the manifest's description of goods", MANIFEST),
    ("instruction_overdue", "指令逾期未执行", "Instruction not carried out in time", PORT),
)

_ORDER = _at_once(
    "order",
    "warning",
    ("loaded_twice", "未卸船又装船", "Loaded again without being discharged", PORT),
    ("discharged_twice", "未装船又卸船", "Discharged again without being loaded", PORT),
    ("gated_in_twice", "未出闸又进闸", "Gated in again without having left", PORT),
    ("gated_out_twice", "未进闸又出闸", "Gated out again without having come in", PORT),
    ("gated_out_aboard", "装船后未卸船却出闸", "Gated out while aboard", PORT),
    ("discharged_before_arrival", "船舶抵港前卸船", "Discharged before the vessel arrived", PORT),
    ("gated_out_before_discharge", "卸船前已出闸", "Gated out before being discharged", PORT),
    ("departed_before_loading", "船舶离港后才装船", "Departed before the container was loaded", PORT),
    ("loaded_before_gate_in", "进闸前已装船", "Loaded before the gate-in", PORT),
)

RULES: tuple[Rule, ...] = (*_WARNINGS, *_MORE, *_ALARMS, *_AT_ONCE, *_ORDER)

FAMILIES: dict[str, tuple[str, str]] = {
    "warning": ("预警", "Early warning"),
    "alarm": ("报警", "Alarm"),
    "order": ("顺序异常", "Anomaly of order"),
}

EMPTY_KG = (1_000.0, 6_000.0)
"""An empty box weighs between these: from a 10-foot box to a 45-foot reefer or a flat rack."""

CELSIUS = (-35.0, 35.0)
"""A temperature inside a box outside of these is out of range, whatever the cargo."""

EXCURSION = HOUR
"""A reading out of range counts for this long; those of the same hour are one."""

SENSITIVE_WORDS: tuple[str, ...] = (
    *("固体废物", "废塑料", "象牙", "濒危", "枪支", "弹药", "爆炸", "烟花", "放射性", "毒品", "麻醉"),
    *("SOLID WASTE", "WASTE PLASTIC", "IVORY", "ENDANGERED", "FIREARM", "AMMUNITION", "EXPLOSIVE", "FIREWORK"),
    *("RADIOACTIVE", "NARCOTIC"),
)
"""An example of such a list; each port puts its own in its place."""


def sensitive_word(text: str) -> str:
    """The first word of the list in a description of goods; "" if there is none.

    >>> sensitive_word("PLASTIC TOYS; fireworks, 200 cartons"), sensitive_word("toys")
    ('FIREWORK', '')
    """
    upper = text.upper()
    return next((word for word in SENSITIVE_WORDS if word in upper), "")


SHORTEST: dict[str, timedelta] = {
    name: min(rule.threshold for rule in RULES if rule.condition == name) for name in {rule.condition for rule in RULES}
}
"""How long each condition must last before any rule minds."""
