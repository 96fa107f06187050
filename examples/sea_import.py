"""Journey 1, import by sea: Rotterdam, Yangshan, by barge to Nanjing, declared in Nanjing and inspected at Yangshan.

Cross-region clearance: declaring customs is Xinshengwei of Nanjing (2308), customs of entry Yangshan (2248). The box
leaves Yangshan only after its release. The voyage takes 29 days, the barge a day and a half. The terminal in Nanjing
first reports a wrong time of the gate-out and replaces it.
"""

from datetime import datetime

from examples import edifact
from examples.build import (
    Answer,
    Call,
    Cargo,
    Entry,
    Json,
    answers_xml,
    equipment,
    json,
    ndjson,
    receipts_xml,
    shipment,
    transport,
)
from examples.edifact import Box, Ship, Spot
from examples.numbers import container, entry, imo, seq
from examples.post import AMSTERDAM, Sent, again, at, sent

BOX = container("KOUU", 326104)
BILL, BOOKING = "COSU6321045870", "6321045870"
ENTRY = Entry(
    number=entry("2308", 4127, imported=True),
    seq=seq(1632104587, imported=True),
    customs="2308",
    border="2248",
    bill=BILL,
    boxes=(BOX,),
)
SEAL, GROSS_KG = "KS1047213", 21_480
VESSEL = Ship("KOUAN PIONEER", "006E", imo(999900))
BARGE = Ship("SU HUO 2026", "26031", barge=True)
ROTTERDAM = Spot("NLRTM", "RWG")
YANGSHAN = Spot("CNYAN", "YSGD")  # CNYAN: the code of an earlier edition, which the terminal still sends
NANJING = Spot("CNNKG", "NJLT")  # the airport's code, by which the trade means the port
DEPOT = Spot("CNNKG", "NJKX", "DEP")
CARGO = Cargo(BOOKING, BILL, (BOX,))

DEPOT_RTM = Call("NLRTM", "RTMKRA", "DEPO", "TRUCK")
GATE_RTM = Call("NLRTM", "RWG", "POTE", "TRUCK")
RTM = Call("NLRTM", "RWG", ship=VESSEL.name, imo=VESSEL.imo, voyage=VESSEL.voyage)
YSA = Call("CNYSA", "YSGD", ship=VESSEL.name, imo=VESSEL.imo, voyage=VESSEL.voyage)


def posts() -> list[Sent]:
    return [*_departure(), *_voyage(), *_arrival(), *_clearance(), *_inspection(), *_barge(), *_delivery()]


def _line(when: datetime, note: str, *events: Json) -> Sent:
    return sent(when, "line-cosu", "dcsa", json(list(events)), note)


def _departure() -> list[Sent]:
    arrived, loaded = at("02-13 14:05", AMSTERDAM), at("02-15 22:41", AMSTERDAM)
    entered = Box(
        number=BOX, when=arrived, trade=edifact.EXPORT, booking=BOOKING, gross_kg=GROSS_KG, seal=SEAL, truck="52BTK9"
    )
    aboard = Box(
        number=BOX, when=loaded, trade=edifact.EXPORT, booking=BOOKING, bill=BILL, gross_kg=GROSS_KG, seal=SEAL
    )
    load = edifact.coarri(edifact.LOAD, "RWGL2602151", ROTTERDAM, VESSEL, [aboard])
    gate_in = edifact.codeco(edifact.GATE_IN, "RWGI2602138", ROTTERDAM, [entered], ship=VESSEL)
    booked, empty = at("02-10 10:12", AMSTERDAM), at("02-11 15:20", AMSTERDAM)
    dep, issued = at("02-16 05:34", AMSTERDAM), at("02-17 11:00", AMSTERDAM)
    return [
        _line(booked, "订舱确认 / booking confirmed", shipment("CONF", "BKG", BOOKING, Cargo(BOOKING), booked)),
        _line(empty, "提空箱 / empty picked up", equipment("GTOT", BOX, DEPOT_RTM, Cargo(BOOKING), empty, laden=False)),
        _line(arrived, "重箱进港 / laden gate-in", equipment("GTIN", BOX, GATE_RTM, Cargo(BOOKING), arrived)),
        _line(loaded, "装船 / loaded", equipment("LOAD", BOX, RTM, CARGO, loaded)),
        sent(
            at("02-16 00:10", AMSTERDAM), "terminal-nlrtm", "coarri",
            edifact.interchange("RWG", "KOUAN", at("02-16 00:10", AMSTERDAM), load),
            "鹿特丹码头装船，与船公司所报相同 / loading at Rotterdam, the same as the line says",
        ),
        sent(
            at("02-16 09:30", AMSTERDAM), "terminal-nlrtm", "codeco",
            edifact.interchange("RWG", "KOUAN", at("02-16 09:30", AMSTERDAM), gate_in),
            "进港报文迟到，晚于装船 / the gate-in comes late, after the loading",
        ),
        _line(dep, "开船 / departed", transport("DEPA", RTM, CARGO, dep)),
        _line(issued, "签发提单 / bill of lading issued", shipment("ISSU", "TRD", BILL, CARGO, issued)),
    ]  # fmt: skip


def _voyage() -> list[Sent]:
    """Three estimates of the arrival, the manifest, the arrival notice."""
    first, second, third = at("02-16 18:00"), at("02-19 17:30"), at("03-12 16:45")
    accepted = at("02-14 16:20")
    voyage = Answer(
        kind="MT1101", message="KOU006E0000", when=accepted, voyage="006E", name=VESSEL.name, customs="2248"
    )
    manifest = Answer(
        kind="MT1101",
        message="KOU006E0001",
        when=accepted,
        bill=BILL,
        boxes=(BOX,),
        name=VESSEL.name,
        place="CNYSA",
        customs="2248",
    )
    notice = at("03-13 10:00")
    late, found = ("WEA", "Heavy weather in the Bay of Biscay"), ("", "")
    return [
        sent(
            accepted,
            "customs-2200",
            "manifest",
            answers_xml([voyage, manifest]),
            "原始舱单入库 / original manifest accepted",
        ),
        _line(first, "预计抵港 / expected", transport("ARRI", YSA, CARGO, at("03-15 06:00"), told_at=first)),
        _line(
            second, "预计推迟 / delayed", transport("ARRI", YSA, CARGO, at("03-17 04:00"), told_at=second, reason=late)
        ),
        _line(
            third, "预计提前 / earlier", transport("ARRI", YSA, CARGO, at("03-16 22:00"), told_at=third, reason=found)
        ),
        _line(notice, "到货通知 / arrival notice", shipment("ISSU", "ARN", BILL, CARGO, notice)),
        _line(at("03-13 15:30"), "电放 / B/L surrendered", shipment("SURR", "TRD", BILL, CARGO, at("03-13 15:30"))),
    ]


def _arrival() -> list[Sent]:
    """The discharge of this box is told here by the line, by the terminal with all the others (background_import)."""
    arrived, out = at("03-16 22:35"), DISCHARGED
    tally = Answer(
        kind="MT5101",
        message="YSLH0001",
        when=at("03-17 13:40"),
        bill=BILL,
        boxes=(BOX,),
        place="CNYSA",
        customs="2248",
    )
    return [
        _line(arrived, "抵港 / arrived", transport("ARRI", YSA, CARGO, arrived)),
        _line(at("03-17 07:05"), "卸船 / discharged", equipment("DISC", BOX, YSA, CARGO, out)),
        sent(at("03-17 13:40"), "customs-2200", "manifest", json(tally.json), "理货报告 / tally report"),
    ]


DISCHARGED = at("03-17 06:48")


def _clearance() -> list[Sent]:
    """Declared in advance of the arrival; the receipt of the entry is sent twice."""
    accepted = _receipt("L", at("03-16 09:15"), "海关入库 / accepted by customs")
    return [
        _receipt("7", at("03-16 09:12"), "已申报 / declared"),
        accepted,
        again(accepted, at("03-16 09:16")),
        _receipt("J", at("03-17 07:30"), "审结 / review completed"),
        _receipt("T", at("03-17 07:31"), "税费通知 / duty assessed"),
        _receipt("C", at("03-17 08:40"), "查验通知 / inspection ordered"),
        _receipt("P", at("03-19 15:26"), "放行 / released"),
        _receipt("R", at("03-20 10:02"), "结关 / closed"),
    ]


def _receipt(code: str, when: datetime, note: str) -> Sent:
    told = ENTRY.receipt(code, when)
    body = receipts_xml([told]) if code in {"C", "R"} else json(told)  # two systems of customs, two ways of writing
    return sent(when, "customs-2300", "customs-receipt", body, note)


def _inspection() -> list[Sent]:
    """The terminal at Yangshan about the inspection site, in Kouan's own format."""
    told = (("INSP_SITE_IN", "03-18 09:20"), ("INSP_DONE", "03-19 11:45"), ("INSP_SITE_OUT", "03-19 14:10"))
    body = [
        {
            "subject": f"container:{BOX}",
            "code": code,
            "happened_at": f"2026-{time.replace(' ', 'T')}",
            "place": "CNYSA",
            "facility": "YSCY",
            "laden": True,
            "refs": [f"declaration:{ENTRY.number}", f"bl:{BILL}"],
        }
        for code, time in told
    ]
    return [sent(at("03-19 14:15"), "terminal-cnyan", "native", json(body), "查验场进出 / inspection site in and out")]


def _barge() -> list[Sent]:
    """Loaded and discharged with the others (background_import); the way between is told here."""
    departed = Box(number=BOX, when=at("03-20 06:10"), bill=BILL)
    waiting = Box(number=BOX, when=at("03-21 15:05"), bill=BILL)
    arrived = Box(number=BOX, when=at("03-21 18:40"), bill=BILL)
    tdt = f"{BARGE.voyage}+8+16++++:::{BARGE.name}"
    told = (
        ("03-21 18:55", "NJB26032101", "1", arrived, "CNNKG", "Arrived", "驳船抵港 / barge arrived"),
        (
            "03-21 19:10",
            "NJB26032102",
            "24",
            departed,
            "CNYSA",
            "Departed",
            "驳船开航，报文晚到 / barge departed, told late",
        ),
        (
            "03-21 19:15",
            "NJB26032103",
            "MD7",
            waiting,
            "CNNKG",
            "Waiting for berth",
            "驳船自用状态码 / the operator's own code",
        ),
    )
    posted = []
    for when, document, code, box, place, said, note in told:
        status = edifact.iftsta((document, code, said), box, place, tdt)
        body = edifact.interchange("NJBG", "KOUAN", at(when), status)
        posted.append(sent(at(when), "barge-njbg", "iftsta", body, note))
    return posted


def _delivery() -> list[Sent]:
    """Out of the gate in Nanjing, corrected by the terminal; stripped at the consignee's; empty back in the depot."""
    wrong = Box(number=BOX, when=at("03-23 09:12"), bill=BILL, gross_kg=GROSS_KG, seal=SEAL, truck="苏A6K218")
    right = Box(number=BOX, when=at("03-23 10:42"), bill=BILL, gross_kg=GROSS_KG, seal=SEAL, truck="苏A6K218")
    back = Box(number=BOX, when=at("03-24 16:30"), laden=False, truck="苏A6K218")

    def gate_out(when: str, box: Box, function: str, note: str) -> Sent:
        message = edifact.codeco(edifact.GATE_OUT, "LTO26032317", NANJING, [box], function=function)
        return sent(at(when), "terminal-cnnkg", "codeco", edifact.interchange("NJLT", "KOUAN", at(when), message), note)

    empty = edifact.codeco(edifact.GATE_IN, "KXI26032409", DEPOT, [back])
    return [
        gate_out("03-23 11:00", wrong, edifact.ORIGINAL, "重箱出港，时间有误 / laden gate-out, at a wrong time"),
        gate_out("03-23 13:20", right, edifact.REPLACE, "更正出港时间 / the gate-out corrected"),
        sent(at("03-24 10:05"), "road-njjk", "native", ndjson(_by_road()), "送货与拆箱 / carried and stripped"),
        sent(
            at("03-24 16:40"), "depot-nanjing", "codeco",
            edifact.interchange("NJKX", "KOUAN", at("03-24 16:40"), empty), "还空箱 / empty returned",
        ),
    ]  # fmt: skip


def _by_road() -> list[Json]:
    told = (
        ("TRUCK_DEP", "2026-03-23T10:50", "CNNKG", True),
        ("TRUCK_ARR", "2026-03-23T12:35", "CNNJI", True),
        ("STRIPPED", "2026-03-24T09:40", "CNNJI", False),
    )
    return [
        {
            "id": f"JK260323-{number}",
            "subject": f"container:{BOX}",
            "code": code,
            "happened_at": when,
            "place": place,
            "mode": "" if code == "STRIPPED" else "TRUCK",
            "transport": "苏A6K218",
            "laden": laden,
            "refs": [f"bl:{BILL}"],
        }
        for number, (code, when, place, laden) in enumerate(told, 1)
    ]
