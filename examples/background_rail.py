"""Background: the five other boxes of the train to Duisburg, and a train of four import boxes from there to Xi'an."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from examples.build import Entry, Json, json, rail, receipts_xml
from examples.numbers import container, entry, seq
from examples.post import ALMATY, BERLIN, Sent, at, sent
from examples.rail_export import OTHERS, Step, run

IMPORTS = tuple(container("SMRU", 430_216 + 23 * place) for place in range(4))
IMPORT_TRAIN = "X8156"
EXPORT_ENTRIES = tuple(
    Entry(
        number=entry("9009", 1181 + 3 * place, imported=False),
        seq=seq(9009026120 + place, imported=False),
        customs="9009",
        border="9402",
        boxes=(box,),
    )
    for place, box in enumerate(OTHERS)
)
IMPORT_ENTRIES = tuple(
    Entry(
        number=entry("9009", 2204 + 7 * place, imported=True),
        seq=seq(9009032204 + place, imported=True),
        customs="9009",
        border="9402",
        boxes=(box,),
    )
    for place, box in enumerate(IMPORTS)
)

IMPORT_RUN = (
    Step("rail-europe", "DEDUI", at("02-20 19:30", BERLIN), "TRAIN_DEP", "杜伊斯堡发车 / departed Duisburg"),
    Step(
        "rail-border",
        "KZDOS",
        at("03-02 15:10", ALMATY),
        "GAUGE_CHANGE",
        "宽轨换准轨 / to standard gauge",
        (1520, 1435),
    ),
    Step("rail-border", "CNAKL", at("03-03 02:35"), "BORDER_CROSSED", "入境 / entered China"),
    Step("rail-border", "CNAKL", at("03-03 16:20"), "TRAIN_DEP", "阿拉山口发车 / departed Alashankou"),
    Step("rail-xian", "CNXAG", at("03-06 11:48"), "TRAIN_ARR", "到达西安 / arrived in Xi'an"),
)


def posts() -> list[Sent]:
    return [*_exports(), *run(IMPORT_TRAIN, IMPORTS, IMPORT_RUN), *_imports()]


def _receipts(one: Entry, times: Iterable[tuple[str, datetime]], *, xml: bool = False) -> list[Sent]:
    """Receipts in the order of their notice times; `xml` as one of the two systems of customs writes them."""
    told = []
    for code, when in times:
        receipt = one.receipt(code, when)
        body = receipts_xml([receipt]) if xml else json(receipt)
        told.append(sent(when, "customs-9000", "customs-receipt", body, f"回执 {code} / receipt {code}"))
    return told


def _station(source: str, kind: str, note: str, one: Entry, when: datetime) -> Sent:
    """What is told of one box at the station in Xi'an; a release and a gate-out name the declaration."""
    more: Json = {"declarations": [one.number]} if kind in {"WLJK_TREL", "STATION_OUT"} else {}
    boxes = [{"number": box, "laden": True} for box in one.boxes]
    reference = f"XAP{note}{kind.removeprefix('WLJK_')}"
    message = rail(kind, reference, when, "CNXAG", boxes, consignmentNo=note, station="西安国际港站", **more)
    waits = {"WLJK_ERRR": 19, "WLJK_TREL": 0}
    told_at = when + timedelta(minutes=waits.get(kind, 4))
    return sent(told_at, source, "rail", json(message), NOTES[kind])


def _exports() -> list[Sent]:
    """Arrival report with its receipt, declaration, release and loading of each box."""
    told = []
    for place, one in enumerate(EXPORT_ENTRIES):
        arrived = at("02-26 15:40") + timedelta(minutes=14 * place)
        declared = at("02-27 09:40") + timedelta(minutes=9 * place)
        released = declared + timedelta(hours=1, minutes=20)
        closed = at("03-04 10:20") + timedelta(minutes=place)
        reviewed = declared + timedelta(minutes=6)
        times = (("L", declared), ("J", reviewed), ("P", released), ("R", closed))
        told += _receipts(one, times, xml=bool(place % 2))
        told += [
            _station(source, kind, f"3126{place + 211:04}", one, when)
            for source, kind, when in (
                ("rail-xian", "WLJK_ERRA", arrived),
                ("customs-9000", "WLJK_ERRR", arrived),
                ("customs-9000", "WLJK_TREL", released + timedelta(minutes=4)),
                ("rail-xian", "WLJK_TLA", at("02-27 16:14") + timedelta(minutes=9 * place)),
            )
        ]
    return told


def _imports() -> list[Sent]:
    """Unloaded and tallied in Xi'an, declared, released, out of the station."""
    told = []
    for place, one in enumerate(IMPORT_ENTRIES):
        unloaded = at("03-06 14:05") + timedelta(minutes=11 * place)
        declared = at("03-07 09:15") + timedelta(minutes=23 * place)
        waits = (("L", 0), ("J", 9), ("P", 148), ("R", 1_530))
        told += _receipts(one, ((code, declared + timedelta(minutes=minutes)) for code, minutes in waits))
        told += [
            _station("rail-xian", kind, f"80{place + 5102:06}", one, when)
            for kind, when in (
                ("WAGON_UNLOADED", unloaded),
                ("WLJK_IRTA", unloaded + timedelta(hours=2)),
                ("STATION_OUT", declared + timedelta(hours=26)),
            )
        ]
    return told


NOTES = {
    "WLJK_ERRA": "铁路运抵报告 / arrival reported",
    "WLJK_ERRR": "运抵报告回执 / arrival report accepted",
    "WLJK_TREL": "放行指令 / release instruction",
    "WLJK_TLA": "装车记录 / loaded on wagon",
    "WAGON_UNLOADED": "卸车 / unloaded from wagon",
    "WLJK_IRTA": "进口理货 / import tally",
    "STATION_OUT": "出站 / station gate-out",
}
