"""Journey 2, export by China-Europe train: Xi'an, Alashankou, Dostyk, Małaszewicze, Duisburg, in thirteen days.

Declared at the station (9009), customs of exit Alashankou (9402): two regions. The box changes gauge twice: 1435 to
1520 mm at Dostyk, back at Małaszewicze. Five more boxes ride on the train; what the train does is told of all. The
receipts of customs on arrival report and loading repeat the station's time, and so confirm them.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from examples import edifact
from examples.build import Entry, Json, json, rail
from examples.edifact import Box
from examples.numbers import container, entry, seq
from examples.post import ALMATY, BERLIN, MINSK, WARSAW, Sent, again, at, sent

BOX = container("SMRU", 415023)
OTHERS = tuple(container("SMRU", 415031 + 17 * place) for place in range(5))
TRAIN_BOXES = (BOX, *OTHERS)
CONSIGNMENT = "31260204"  # SMGS note
TRAIN = "X8155"
ENTRY = Entry(
    number=entry("9009", 1176, imported=False),
    seq=seq(9009026117, imported=False),
    customs="9009",
    border="9402",
    boxes=(BOX,),
)
WAGON = "5271846"
GROSS_KG, SEAL = 17_260, "XA2603341"

RECEIPTS = (
    ("7", "02-27 09:20", "已申报 / declared"),
    ("L", "02-27 09:24", "海关入库 / accepted by customs"),
    ("J", "02-27 09:31", "审结 / review completed"),
    ("P", "02-27 10:46", "放行 / released"),
    ("R", "03-04 10:15", "结关 / closed"),
)

STATION = (  # source, time of sending, type, time of the event, note
    ("rail-xian", "02-26 14:45", "STATION_IN", "02-26 14:32", "进站 / station gate-in"),
    ("rail-xian", "02-26 15:22", "WLJK_ERRA", "02-26 15:20", "铁路运抵报告 / arrival reported"),
    ("customs-9000", "02-26 15:41", "WLJK_ERRR", "02-26 15:20", "运抵报告回执 / arrival report accepted"),
    ("customs-9000", "02-27 10:50", "WLJK_TREL", "02-27 10:50", "放行指令 / release instruction"),
    ("customs-9000", "02-27 10:52", "WLJK_TLN", "02-27 10:52", "装车通知 / loading notice"),
    ("rail-xian", "02-27 16:08", "WLJK_TLA", "02-27 16:05", "装车记录 / loaded on wagon"),
    ("customs-9000", "02-27 16:15", "WLJK_TLR", "02-27 16:05", "装车记录回执 / loading accepted"),
)


class Step(msgspec.Struct, frozen=True):
    """Something that a train does, told of all its boxes in one message."""

    source: str
    place: str
    when: datetime
    kind: str
    note: str
    gauges: tuple[int, int] = (0, 0)  # from and to, mm


TRAIN_RUN = (
    Step("rail-xian", "CNXAG", at("02-27 22:18"), "TRAIN_DEP", "发车 / train departed"),
    Step("rail-xian", "CNLAZ", at("02-28 09:40"), "TRAIN_PASS", "途经兰州 / passed Lanzhou"),
    Step("rail-xian", "CNURM", at("03-01 13:26"), "TRAIN_PASS", "途经乌鲁木齐 / passed Urumqi"),
    Step("rail-border", "CNAKL", at("03-02 00:52"), "BORDER_ARR", "到达阿拉山口 / at Alashankou"),
    Step("rail-border", "CNAKL", at("03-03 13:20"), "BORDER_CROSSED", "出境，迟报 / left China, told late"),
    Step("rail-border", "KZDOS", at("03-03 11:05", ALMATY), "BORDER_ARR", "到达多斯特克 / at Dostyk"),
    Step(
        "rail-border", "KZDOS", at("03-04 04:30", ALMATY), "GAUGE_CHANGE", "准轨换宽轨 / to broad gauge", (1435, 1520)
    ),
    Step("rail-border", "KZDOS", at("03-04 09:10", ALMATY), "TRAIN_DEP", "多斯特克发车 / departed Dostyk"),
    Step("rail-europe", "BYBQT", at("03-09 17:40", MINSK), "BORDER_ARR", "到达布列斯特 / at Brest"),
    Step("rail-europe", "PLMAA", at("03-10 05:25", WARSAW), "BORDER_CROSSED", "进入欧盟 / entered the EU"),
    Step(
        "rail-europe",
        "PLMAA",
        at("03-10 19:40", WARSAW),
        "GAUGE_CHANGE",
        "宽轨换准轨 / to standard gauge",
        (1520, 1435),
    ),
)

EUROPE = (  # place, time of the event, status of X12 157 as carriers send it, document, note
    ("PLMAA", at("03-11 08:15", WARSAW), "RL", "RE26031101", "马拉舍维奇发车 / departed Małaszewicze"),
    ("DEDUI", at("03-12 21:35", BERLIN), "AR", "RE26031201", "到达杜伊斯堡 / arrived in Duisburg"),
    ("DEDUI", at("03-13 02:10", BERLIN), "UR", "RE26031301", "卸车 / unloaded"),
    ("DEDUI", at("03-13 10:45", BERLIN), "OA", "RE26031302", "出站 / station gate-out"),
)
STATUS_TEXTS = {"RL": "Rail departed", "AR": "Rail arrived", "UR": "Unloaded from rail car", "OA": "Out-gate"}


def posts() -> list[Sent]:
    return [*_customs(), *_station(), *_train(), *_europe()]


def _customs() -> list[Sent]:
    return [
        sent(at(when), "customs-9000", "customs-receipt", json(ENTRY.receipt(code, at(when))), note)
        for code, when, note in RECEIPTS
    ]


def _station() -> list[Sent]:
    """What happens to this box at the station; the consignment note first."""
    waiting: Json = {"number": BOX, "seal": SEAL, "laden": True, "weightKg": GROSS_KG}
    box = waiting | {"wagon": WAGON}
    note = at("02-25 17:05")
    issued = rail(
        "RWB_ISSUED",
        "XAP2602250117",
        note,
        "CNXAG",
        [{"number": BOX}],
        consignmentNo=CONSIGNMENT,
        station="西安国际港站",
    )
    told = [sent(note, "rail-xian", "rail", json(issued), "国际货协运单制单 / consignment note issued")]
    for number, (source, when, kind, happened, text) in enumerate(STATION, 1):
        more: Json = {"declarations": [ENTRY.number]} if kind in {"WLJK_TREL", "WLJK_TLN"} else {}
        statement = rail(
            kind, f"XAP26022{number:04}", at(happened), "CNXAG", [box if "_TL" in kind else waiting],
            consignmentNo=CONSIGNMENT, station="西安国际港站", sendTime=at(when).isoformat(), **more,
        )  # fmt: skip
        told.append(sent(at(when), source, "rail", json(statement), text))
    return told


def run(train: str, boxes: Iterable[str], steps: Iterable[Step]) -> list[Sent]:
    """One message for each step, sent when it is done."""
    told = []
    for number, step in enumerate(steps, 1):
        more: Json = {"trainNo": train}
        if step.kind.startswith("BORDER_"):
            more["border"] = step.place
        if any(step.gauges):
            more["gaugeFrom"], more["gaugeTo"] = step.gauges
        named = [{"number": box} for box in boxes]
        statement = rail(step.kind, f"{train}-{number:02}", step.when, step.place, named, **more)
        told.append(sent(step.when, step.source, "rail", json(statement), step.note))
    return told


def _train() -> list[Sent]:
    """That the train left China is told late, and its arrival at Dostyk twice."""
    told = run(TRAIN, TRAIN_BOXES, TRAIN_RUN)
    crossed, at_dostyk = 4, 5
    told[crossed] = msgspec.structs.replace(told[crossed], at=at("03-03 18:30"))
    return [*told, again(told[at_dostyk], at("03-03 17:20"))]


def _europe() -> list[Sent]:
    """The European leg in EDIFACT, one status of one box each."""
    told = []
    for place, when, status, document, note in EUROPE:
        box = Box(number=BOX, when=when)
        message = edifact.iftsta((document, status, STATUS_TEXTS[status]), box, place, f"{TRAIN}+2+25")
        told.append(sent(when, "rail-europe", "iftsta", edifact.interchange("RAILEU", "KOUAN", when, message), note))
    return told
