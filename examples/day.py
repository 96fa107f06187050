"""The sample day as it is delivered: who sends, what can be asked, and every message in the order of its sending.

The journeys run from 10 February to 4 April 2026. The order is that of sending, so that what comes late, twice or out
of order comes so. Nothing is drawn by lot and no clock is read: two builds are equal byte for byte.
"""

from examples import air_consignment, background, rail_export, sea_import, two_step
from examples.post import Post

__all__ = ("EXAMPLES", "SOURCES", "Post", "deliveries")

SOURCES: dict[str, tuple[str, str]] = {
    "line-cosu": ("船公司（示例）", "Shipping line (sample)"),
    "terminal-nlrtm": ("鹿特丹集装箱码头（示例）", "Container terminal, Rotterdam (sample)"),
    "terminal-cnyan": ("洋山集装箱码头（示例）", "Container terminal, Yangshan (sample)"),
    "terminal-cnnkg": ("南京龙潭集装箱码头（示例）", "Container terminal, Nanjing Longtan (sample)"),
    "barge-njbg": ("南京驳船公司（示例）", "Barge operator, Nanjing (sample)"),
    "depot-nanjing": ("南京空箱堆场（示例）", "Empty depot, Nanjing (sample)"),
    "depot-shanghai": ("洋山空箱堆场（示例）", "Empty depot, Yangshan (sample)"),
    "road-njjk": ("南京集卡车队（示例）", "Truck fleet, Nanjing (sample)"),
    "road-shsl": ("上海集卡车队（示例）", "Truck fleet, Shanghai (sample)"),
    "customs-2200": ("上海海关（示例）", "Shanghai customs (sample)"),
    "customs-2300": ("南京海关（示例）", "Nanjing customs (sample)"),
    "customs-9000": ("西安海关（示例）", "Xi'an customs (sample)"),
    "rail-xian": ("西安国际港站（示例）", "Xi'an international port station (sample)"),
    "rail-border": ("阿拉山口、多斯特克口岸站（示例）", "Border stations Alashankou and Dostyk (sample)"),
    "rail-europe": ("欧洲段铁路承运人（示例）", "Railway undertaking in Europe (sample)"),
    "air-xiy": ("西安咸阳机场货站（示例）", "Cargo terminal, Xi'an Xianyang airport (sample)"),
    "air-ams": ("阿姆斯特丹机场货站（示例）", "Cargo terminal, Amsterdam airport (sample)"),
    "air-carrier": ("航空承运人（示例）", "Air carrier (sample)"),
}
"""Accounts of the data sources: name in Chinese and in English."""

EXAMPLES: dict[str, str] = {
    "container": sea_import.BOX,
    "rail_container": rail_export.BOX,
    "awb": air_consignment.AWB,
    "declaration": sea_import.ENTRY.number,
    "bl": sea_import.BILL,
    "two_step_container": two_step.BOX,
    "two_step_declaration": two_step.ENTRY.number,
}
"""Numbers to ask for, as a person would type them."""


def deliveries() -> list[Post]:
    """Every message of the sample day, in the order in which it is sent."""
    stories = (sea_import, rail_export, air_consignment, two_step, background)
    told = [one for story in stories for one in story.posts()]
    return [one.post for one in sorted(told, key=lambda one: one.at)]
