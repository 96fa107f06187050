"""Journey 4, a two-step declaration (两步申报): summary declared, picked up, and completed within 14 days.

The box comes on the ship of journey 1 and is declared at Yangshan itself. The summary is accepted before arrival (SpL,
SpJ); pick-up is released on the day of discharge (SpK), customs asks for the rest (Sp1), and the complete declaration
goes the ordinary way (L, G, T, P, R).
"""

from datetime import datetime

from examples import edifact
from examples.build import Answer, Cargo, Entry, Json, answers_xml, equipment, json, ndjson, shipment, transport
from examples.edifact import Box, Spot
from examples.numbers import container, entry, seq
from examples.post import AMSTERDAM, Sent, at, sent
from examples.sea_import import DEPOT_RTM, GATE_RTM, RTM, VESSEL, YANGSHAN, YSA

BOX = container("KOUU", 327288)
BILL, BOOKING = "COSU6321046233", "6321046233"
ENTRY = Entry(
    number=entry("2248", 20318, imported=True),
    seq=seq(1632104623, imported=True),
    customs="2248",
    border="2248",
    bill=BILL,
    boxes=(BOX,),
)
CARGO = Cargo(BOOKING, BILL, (BOX,))
DEPOT = Spot("CNYAN", "YSKX", "DEP")
DISCHARGED = at("03-17 07:20")
PLATE = "沪EB3097"

RECEIPTS = (
    ("7", "03-16 10:02", "概要申报 / summary declared"),
    ("SpL", "03-16 10:06", "概要申报入库 / summary accepted"),
    ("SpJ", "03-16 10:12", "概要申报审结 / summary reviewed"),
    ("SpK", "03-17 16:45", "提货放行 / pick-up released"),
    ("Sp1", "03-17 16:46", "要求补充申报 / completion requested"),
    ("L", "03-24 14:03", "完整申报入库 / complete declaration accepted"),
    ("G", "03-24 14:09", "审结 / review completed"),
    ("T", "03-24 14:10", "税费通知 / duty assessed"),
    ("P", "03-25 10:37", "放行 / released"),
    ("R", "03-26 09:15", "结关 / closed"),
)


def posts() -> list[Sent]:
    return [*_line(), *_customs(), *_delivery()]


def _line() -> list[Sent]:
    booked, loaded, departed = at("02-10 11:40", AMSTERDAM), at("02-15 23:18", AMSTERDAM), at("02-16 05:34", AMSTERDAM)
    emptied, entered = at("02-12 09:50", AMSTERDAM), at("02-14 07:42", AMSTERDAM)
    issued, expected = at("02-17 11:20", AMSTERDAM), at("03-12 16:45")
    notice, arrived = at("03-13 10:05"), at("03-16 22:35")

    def told(when: datetime, note: str, *events: Json) -> Sent:
        return sent(when, "line-cosu", "dcsa", json(list(events)), note)

    return [
        told(booked, "订舱确认 / booking confirmed", shipment("CONF", "BKG", BOOKING, Cargo(BOOKING), booked)),
        told(
            entered, "提空箱与重箱进港 / empty out, laden in",
            equipment("GTOT", BOX, DEPOT_RTM, Cargo(BOOKING), emptied, laden=False),
            equipment("GTIN", BOX, GATE_RTM, Cargo(BOOKING), entered),
        ),
        told(
            departed, "装船与开船 / loaded and departed",
            equipment("LOAD", BOX, RTM, CARGO, loaded), transport("DEPA", RTM, CARGO, departed),
        ),
        told(issued, "签发提单 / bill of lading issued", shipment("ISSU", "TRD", BILL, CARGO, issued)),
        told(expected, "预计抵港 / expected", transport("ARRI", YSA, CARGO, at("03-16 22:00"), told_at=expected)),
        told(notice, "到货通知 / arrival notice", shipment("ISSU", "ARN", BILL, CARGO, notice)),
        told(arrived, "抵港 / arrived", transport("ARRI", YSA, CARGO, arrived)),
    ]  # fmt: skip


def _customs() -> list[Sent]:
    manifest = Answer(
        kind="MT1101", message="KOU006E0002", when=at("02-14 16:20"), bill=BILL, boxes=(BOX,), name=VESSEL.name,
        place="CNYSA", customs="2248",
    )  # fmt: skip
    tally = Answer(
        kind="MT5101",
        message="YSLH0002",
        when=at("03-17 13:41"),
        bill=BILL,
        boxes=(BOX,),
        place="CNYSA",
        customs="2248",
    )
    answers = [
        sent(one.when, "customs-2200", "manifest", body, note)
        for one, body, note in (
            (manifest, answers_xml([manifest]), "原始舱单入库 / original manifest accepted"),
            (tally, json(tally.json), "理货报告 / tally report"),
        )
    ]
    receipts = [
        sent(at(when), "customs-2200", "customs-receipt", json(ENTRY.receipt(code, at(when))), note)
        for code, when, note in RECEIPTS
    ]
    return answers + receipts


def _delivery() -> list[Sent]:
    out = Box(number=BOX, when=at("03-18 08:52"), bill=BILL, gross_kg=15_940, seal="KS1047388", truck=PLATE)
    back = Box(number=BOX, when=at("03-19 17:05"), laden=False, truck=PLATE)
    by_road: list[Json] = [
        {
            "id": f"YS260318-{number}",
            "subject": f"container:{BOX}",
            "code": code,
            "happened_at": when,
            "place": "CNSGH",
            "mode": mode,
            "transport": PLATE,
            "refs": [f"bl:{BILL}"],
        }
        for number, (code, when, mode) in enumerate(
            (("TRUCK_ARR", "2026-03-18T12:20", "TRUCK"), ("STRIPPED", "2026-03-19T14:30", "")), 1
        )
    ]
    gate_out = edifact.codeco(edifact.GATE_OUT, "YSO26031804", YANGSHAN, [out], ship=VESSEL)
    gate_in = edifact.codeco(edifact.GATE_IN, "YKI26031922", DEPOT, [back])
    return [
        sent(
            at("03-18 09:00"), "terminal-cnyan", "codeco",
            edifact.interchange("YSGD", "KOUAN", at("03-18 09:00"), gate_out), "重箱出港 / laden gate-out",
        ),
        sent(at("03-19 15:00"), "road-shsl", "native", ndjson(by_road), "送货与拆箱 / carried and stripped"),
        sent(
            at("03-19 17:20"), "depot-shanghai", "codeco",
            edifact.interchange("YSKX", "KOUAN", at("03-19 17:20"), gate_in), "还空箱 / empty returned",
        ),
    ]  # fmt: skip
