"""Background: six export boxes from Nanjing by barge to Yangshan and on a ship to Rotterdam, 30 days at sea.

Declared in Nanjing (2308), customs of exit Yangshan (2248). One more box is reported by the depot under a number that
its check digit does not fit; it is recorded all the same, with a warning.
"""

from datetime import datetime, timedelta

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
    receipts_xml,
    shipment,
    transport,
)
from examples.edifact import EXPORT, Box, Ship
from examples.numbers import container, entry, imo, seq
from examples.post import AMSTERDAM, Sent, at, sent
from examples.sea_import import DEPOT, NANJING, YANGSHAN

VESSEL = Ship("KOUAN VOYAGER", "011W", imo(999912))
BARGE = Ship("SU HUO 2027", "26022", barge=True)
BOXES = tuple(container("SMPU", 552_310 + 97 * place) for place in range(6))
_right = container("SMPU", 560_417)
BAD_BOX = _right[:-1] + str((int(_right[-1]) + 3) % 10)
ENTRIES = tuple(
    Entry(
        number=entry("2308", 2870 + 41 * place, imported=False),
        seq=seq(2308022870 + place, imported=False),
        customs="2308",
        border="2248",
        bill=f"COSU63220{18800 + 310 * place}",
        boxes=(box,),
    )
    for place, box in enumerate(BOXES)
)
CARGOES = tuple(Cargo(told.bill[4:], told.bill, told.boxes) for told in ENTRIES)
YSA = Call("CNYSA", "YSGD", ship=VESSEL.name, imo=VESSEL.imo, voyage=VESSEL.voyage)
RTM = Call("NLRTM", "RWG", ship=VESSEL.name, imo=VESSEL.imo, voyage=VESSEL.voyage)


def posts() -> list[Sent]:
    return [*_to_the_port(), *_customs(), *_afloat(), *_by_line()]


def _to_the_port() -> list[Sent]:
    """Empty out of the depot, laden into the port two days later."""
    told = []
    for place, cargo in enumerate((*CARGOES, Cargo("6322020970", "", (BAD_BOX,)))):
        empty_at = at("02-20 09:14") + timedelta(hours=2 * place, minutes=13 * place)
        laden_at = empty_at + timedelta(days=2, hours=5)
        truck = f"苏A9H{105 + 9 * place}"
        box = Box(number=cargo.boxes[0], when=empty_at, laden=False, trade=EXPORT, booking=cargo.booking, truck=truck)
        out = edifact.codeco(edifact.GATE_OUT, f"KXO2602{empty_at:%d%H%M}", DEPOT, [box])
        told.append(_sent(empty_at, "depot-nanjing", "NJKX", out, "提空箱 / empty picked up"))
        if box.number == BAD_BOX:
            continue
        box = Box(
            number=box.number,
            when=laden_at,
            trade=EXPORT,
            booking=cargo.booking,
            gross_kg=18_000 + 420 * place,
            truck=truck,
        )
        into = edifact.codeco(edifact.GATE_IN, f"LTI2602{laden_at:%d%H%M}", NANJING, [box])
        told.append(_sent(laden_at, "terminal-cnnkg", "NJLT", into, "重箱进港 / laden gate-in"))
    return told


def _sent(happened: datetime, source: str, sender: str, message: tuple[str, edifact.Segments], note: str) -> Sent:
    when = happened + timedelta(minutes=8)
    return sent(when, source, "codeco", edifact.interchange(sender, "KOUAN", when, message), note)


def _customs() -> list[Sent]:
    """Arrival report, then the declaration."""
    told = []
    for place, one in enumerate(ENTRIES):
        reported = at("02-23 09:00") + timedelta(minutes=37 * place)
        arrival = Answer(
            kind="MT3101",
            message=f"LTYD260223{place:02}",
            when=reported,
            bill=one.bill,
            boxes=one.boxes,
            place="CNNKG",
            customs="2308",
        )
        body = answers_xml([arrival]) if place % 2 else json(arrival.json)
        told.append(sent(reported, "customs-2300", "manifest", body, "运抵报告 / arrival report accepted"))
        times = {"L": 25, "J": 33, "P": 95, "R": 15_960}
        for code, minutes in times.items():
            when = reported + timedelta(minutes=minutes)
            receipt = one.receipt(code, when)
            receipts = receipts_xml([receipt]) if place % 2 else json(receipt)
            told.append(sent(when, "customs-2300", "customs-receipt", receipts, f"回执 {code} / receipt {code}"))
    return told


def _afloat() -> list[Sent]:
    """Barge from Nanjing, discharged at Yangshan, loaded on the ship there."""
    on_barge, off_barge, aboard = _boxes("02-26 21:05", 9), _boxes("03-01 04:20", 8), _boxes("03-04 13:40", 6)
    left = edifact.coarri(edifact.LOAD, "LTB260226001", NANJING, BARGE, on_barge)
    came = edifact.coarri(edifact.DISCHARGE, "YSB260301001", YANGSHAN, BARGE, off_barge)
    loaded = edifact.coarri(edifact.LOAD, "YSL260304001", YANGSHAN, VESSEL, aboard)
    return [
        _handled("terminal-cnnkg", "NJLT", on_barge, left, "驳船装船 / barge loaded"),
        _handled("terminal-cnyan", "YSGD", off_barge, came, "驳船卸船 / barge discharged"),
        _handled("terminal-cnyan", "YSGD", aboard, loaded, "装船 / loaded"),
    ]


def _boxes(first: str, minutes: int) -> list[Box]:
    """All six, handled one after another."""
    return [
        Box(
            number=one.boxes[0], when=at(first) + timedelta(minutes=minutes * place), trade=EXPORT, bill=one.bill,
            booking=one.bill[4:],
        )
        for place, one in enumerate(ENTRIES)
    ]  # fmt: skip


def _handled(source: str, sender: str, boxes: list[Box], message: tuple[str, edifact.Segments], note: str) -> Sent:
    when = boxes[-1].when + timedelta(minutes=20)
    return sent(when, source, "coarri", edifact.interchange(sender, "KOUAN", when, message), note)


def _by_line() -> list[Sent]:
    """The line: bookings in one file; loading as the terminal has it; departure, arrival and discharge of each bill."""
    booked, departed, arrived = at("02-19 11:00"), at("03-05 02:18"), at("04-04 06:10", AMSTERDAM)
    expected = at("03-20 09:00")
    bookings = [shipment("CONF", "BKG", one.booking, Cargo(one.booking), booked) for one in CARGOES]
    sailed: list[Json] = []
    landed: list[Json] = []
    for place, one in enumerate(CARGOES):
        loaded = at("03-04 13:40") + timedelta(minutes=6 * place)
        sailed.append(equipment("LOAD", one.boxes[0], YSA, one, loaded))
        sailed.append(transport("DEPA", YSA, one, departed))
        landed.append(transport("ARRI", RTM, one, arrived))
        landed.append(equipment("DISC", one.boxes[0], RTM, one, arrived + timedelta(hours=6, minutes=7 * place)))
    estimates = [transport("ARRI", RTM, one, at("04-04 05:00", AMSTERDAM), told_at=expected) for one in CARGOES]
    return [
        sent(booked, "line-cosu", "dcsa", json(bookings), "订舱确认 / bookings confirmed"),
        sent(at("03-05 03:00"), "line-cosu", "dcsa", json(sailed), "装船与开船 / loaded and departed"),
        sent(expected, "line-cosu", "dcsa", json(estimates), "预计抵港 / expected"),
        sent(at("04-04 14:00", AMSTERDAM), "line-cosu", "dcsa", json(landed), "抵港与卸船 / arrived and discharged"),
    ]
