"""Background: ten more import boxes on the ship of journey 1, in seven bills, most of them onward by barge to Nanjing.

Here stand also the messages that tell of many boxes at once: the discharge at Yangshan, the barge, the discharge in
Nanjing, with the boxes of journeys 1 and 4 among them. One of these is cut off on its way and sent again; a depot takes
a gate-in back that it had reported for the wrong box.
"""

from datetime import datetime, timedelta

import msgspec

from examples import edifact, sea_import, two_step
from examples.build import Answer, Cargo, Entry, answers_xml, equipment, json, receipts_xml
from examples.edifact import Box, Spot
from examples.numbers import container, entry, seq
from examples.post import Sent, again, at, sent
from examples.sea_import import BARGE, DEPOT, NANJING, VESSEL, YANGSHAN, YSA


class Lot(msgspec.Struct, frozen=True):
    """One bill of lading with its boxes and its declaration."""

    cargo: Cargo
    entry: Entry
    steps: str  # receipts, in the order of their notice times
    declared_at: datetime

    @property
    def inland(self) -> bool:
        return self.entry.customs == "2308"


def _lots() -> tuple[Lot, ...]:
    plan = (  # boxes, declaring customs, receipts, declared
        (2, "2308", "7LJPR", "03-16 14:02"),
        (1, "2308", "7LJTPR", "03-16 15:40"),
        (2, "2308", "7ELJPR", "03-17 08:25"),
        (1, "2308", "7LJPR", "03-17 09:10"),
        (1, "2308", "7LGTPR", "03-17 10:33"),
        (1, "2248", "7LJPR", "03-17 11:05"),
        (2, "2248", "7LJTPR", "03-17 13:48"),
    )
    lots, serial = [], 328_400
    for number, (count, customs, steps, declared) in enumerate(plan):
        boxes = []
        for _ in range(count):
            boxes.append(container("KOUU", serial))
            serial += 113
        bill = f"COSU63210{47010 + 231 * number}"
        told = Entry(
            number=entry(customs, 4310 + 29 * number, imported=True),
            seq=seq(1632104700 + number, imported=True),
            customs=customs,
            border="2248",
            bill=bill,
            boxes=tuple(boxes),
        )
        lots.append(Lot(Cargo(bill[4:], bill, tuple(boxes)), told, steps, at(declared)))
    return tuple(lots)


LOTS = _lots()
INLAND = tuple(box for lot in LOTS if lot.inland for box in lot.cargo.boxes)
AT_YANGSHAN = tuple(box for lot in LOTS if not lot.inland for box in lot.cargo.boxes)
BOXES = (*INLAND, *AT_YANGSHAN)
BILL_OF = {box: lot.cargo.bill for lot in LOTS for box in lot.cargo.boxes} | {sea_import.BOX: sea_import.BILL}
BILL_OF[two_step.BOX] = two_step.BILL


def posts() -> list[Sent]:
    return [*_manifests(), *_discharge(), *_declarations(), *_barge(), *_gates_out(), *_empties()]


def _manifests() -> list[Sent]:
    """All bills of the ship in one file; one bill had to wait for a person. The tally reports follow one by one."""
    accepted = at("02-14 16:24")

    def answer(kind: str, number: int, lot: Lot, when: datetime, code: str = "01") -> Answer:
        return Answer(
            kind=kind, message=f"{'KOU006E' if kind == 'MT1101' else 'YSLH'}{number + 10:04}", when=when, code=code,
            bill=lot.cargo.bill, boxes=lot.cargo.boxes, name=VESSEL.name, place="CNYSA", customs="2248",
        )  # fmt: skip

    pending = answer("MT1101", 4, LOTS[4], accepted, "02")
    originals = [
        pending if lot is LOTS[4] else answer("MT1101", number, lot, accepted) for number, lot in enumerate(LOTS)
    ]
    cleared = answer("MT1101", 4, LOTS[4], at("02-14 19:02"))
    told = [
        sent(
            accepted, "customs-2200", "manifest", answers_xml(originals), "原始舱单批量回执 / answers on the manifest"
        ),
        sent(
            cleared.when,
            "customs-2200",
            "manifest",
            json(cleared.json),
            "人工审核通过 / accepted after a person looked",
        ),
    ]
    for number, lot in enumerate(LOTS):
        tally = answer("MT5101", number, lot, at("03-17 13:45") + timedelta(minutes=3 * number))
        told.append(sent(tally.when, "customs-2200", "manifest", json(tally.json), "理货报告 / tally report"))
    return told


def _discharge() -> list[Sent]:
    """In two messages of one interchange. The line tells the same of every second box, minute for minute."""
    minutes = {box: at("03-17 05:56") + timedelta(minutes=8 * place) for place, box in enumerate(BOXES)}
    minutes |= {sea_import.BOX: sea_import.DISCHARGED, two_step.BOX: two_step.DISCHARGED}
    boxes = [
        Box(number=box, when=when, bill=BILL_OF[box], gross_kg=14_000 + 731 * place)
        for place, (box, when) in enumerate(sorted(minutes.items(), key=lambda pair: pair[1]))
    ]
    when = at("03-17 07:45")
    messages = [
        edifact.coarri(edifact.DISCHARGE, f"YSD26031700{number}", YANGSHAN, VESSEL, part)
        for number, part in enumerate((boxes[:6], boxes[6:]), 1)
    ]
    by_line = [
        equipment("DISC", box, YSA, lot.cargo, minutes[box])
        for lot in LOTS
        for box in lot.cargo.boxes
        if box in BOXES[::2]
    ]
    whole = sent(
        when,
        "terminal-cnyan",
        "coarri",
        edifact.interchange("YSGD", "KOUAN", when, *messages),
        "洋山卸船 / discharged at Yangshan",
    )
    return [
        whole,
        again(whole, at("03-17 08:15")),
        sent(at("03-17 08:30"), "line-cosu", "dcsa", json(by_line), "船公司报同一卸船 / the line tells the same"),
    ]


def _declarations() -> list[Sent]:
    """Receipts minutes apart, release after the ship is in; one declaration's release overtakes its review."""
    waits = {"7": 0, "E": 18, "L": 31, "J": 42, "G": 55, "T": 56}
    told = []
    for number, lot in enumerate(LOTS):
        source = "customs-2300" if lot.inland else "customs-2200"
        released = max(lot.declared_at, at("03-17 14:00")) + timedelta(hours=2 + 3 * number, minutes=11 * number)
        times = {"P": released, "R": released + timedelta(days=1, hours=2)}
        for code in lot.steps:
            when = times.get(code) or lot.declared_at + timedelta(minutes=waits[code])
            receipt = lot.entry.receipt(code, when)
            if code == "E":
                del receipt["EntryId"]  # refused before customs gave it a number
            body = receipts_xml([receipt]) if number % 3 == 0 else json(receipt)
            late = released + timedelta(hours=1) if (number, code) == (3, "J") else when
            told.append(sent(late, source, "customs-receipt", body, f"回执 {code} / receipt {code}"))
    return told


def _barge() -> list[Sent]:
    """Loaded at Yangshan once released, discharged in Nanjing; the message from Nanjing is cut off and sent again."""
    aboard = (*INLAND, sea_import.BOX)
    on = [
        Box(number=box, when=at("03-20 01:12") + timedelta(minutes=11 * place), bill=BILL_OF[box])
        for place, box in enumerate(aboard)
    ]
    off = [
        Box(number=box, when=at("03-21 20:14") + timedelta(minutes=9 * place), bill=BILL_OF[box])
        for place, box in enumerate(aboard)
    ]
    loaded, landed, mended = at("03-20 03:00"), at("03-21 22:10"), at("03-21 22:40")
    load = edifact.coarri(edifact.LOAD, "YSB260320001", YANGSHAN, BARGE, on)
    body = edifact.interchange(
        "NJLT", "KOUAN", landed, edifact.coarri(edifact.DISCHARGE, "LTD260321001", NANJING, BARGE, off)
    )
    return [
        sent(
            loaded,
            "terminal-cnyan",
            "coarri",
            edifact.interchange("YSGD", "KOUAN", loaded, load),
            "驳船装船 / barge loaded",
        ),
        sent(landed, "terminal-cnnkg", "coarri", body[: len(body) * 3 // 5], "报文被截断 / cut off on its way"),
        sent(mended, "terminal-cnnkg", "coarri", body, "驳船卸船，重发 / barge discharged, sent again whole"),
    ]


def _gates_out() -> list[Sent]:
    """Every laden box leaves its terminal by truck, the day's trucks in one interchange."""
    told = []
    plan = (
        ("terminal-cnnkg", "NJLT", NANJING, "LTO2603", INLAND, at("03-22 09:05"), "苏A7T"),
        ("terminal-cnyan", "YSGD", YANGSHAN, "YSO2603", AT_YANGSHAN, at("03-19 13:20"), "沪EC4"),
    )
    for source, sender, spot, prefix, boxes, first, plate in plan:
        days: dict[str, list[tuple[str, edifact.Segments]]] = {}
        for place, box in enumerate(boxes):
            when = first + timedelta(hours=7 * place)
            out = Box(number=box, when=when, bill=BILL_OF[box], truck=f"{plate}{312 + 7 * place}")
            message = edifact.codeco(edifact.GATE_OUT, f"{prefix}{when:%d}{when:%H%M}", spot, [out])
            days.setdefault(f"{when:%m-%d}", []).append(message)
        for day, messages in days.items():
            evening = at(f"{day} 23:50")
            body = edifact.interchange(sender, "KOUAN", evening, *messages)
            told.append(sent(evening, source, "codeco", body, "当日重箱出港 / the day's laden gate-outs"))
    return told


def _empties() -> list[Sent]:
    """The empty boxes come back; one had been reported by mistake, which the depot takes back."""
    told = []
    for place, box in enumerate(INLAND):
        when = at("03-24 10:20") + timedelta(hours=9 * place)
        told.append(_empty(DEPOT, f"KXI2603{when:%d%H%M}", box, when))
    for place, box in enumerate(AT_YANGSHAN):
        when = at("03-20 15:40") + timedelta(hours=11 * place)
        told.append(_empty(two_step.DEPOT, f"YKI2603{when:%d%H%M}", box, when))
    wrong = INLAND[-1]
    mistaken = at("03-25 09:05")
    told.append(_empty(DEPOT, "KXI26032503", wrong, mistaken))
    told.append(_empty(DEPOT, "KXI26032503", wrong, mistaken, cancelled=at("03-25 11:30")))
    return told


def _empty(depot: Spot, document: str, box: str, when: datetime, *, cancelled: datetime | None = None) -> Sent:
    source, plate = ("depot-nanjing", "苏A3R") if depot == DEPOT else ("depot-shanghai", "沪ED2")
    back = Box(number=box, when=when, laden=False, truck=f"{plate}{when:%d%H}"[:7])
    function = edifact.CANCEL if cancelled else edifact.ORIGINAL
    told_at = cancelled or when + timedelta(minutes=6)
    message = edifact.codeco(edifact.GATE_IN, document, depot, [back], function=function)
    note = "撤销误报的进场 / a mistaken gate-in taken back" if cancelled else "还空箱 / empty returned"
    return sent(told_at, source, "codeco", edifact.interchange(depot.facility, "KOUAN", told_at, message), note)
