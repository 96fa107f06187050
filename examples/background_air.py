"""Background: six air waybills out of Xi'an, four into it.

Flights take nine to eleven hours from and to Europe, four and a half to Bangkok; their numbers are those of no
timetable. Times are local to the airport that reports.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from examples.build import Answer, Entry, answers_xml, fsu, json
from examples.numbers import awb, entry, seq
from examples.post import AMSTERDAM, BERLIN, Sent, at, sent

BANGKOK = ZoneInfo("Asia/Bangkok")


class Flight(msgspec.Struct, frozen=True):
    """From where to where, when (both by the clock of the airport), and what it is called."""

    number: str
    out_of: str
    to: str
    departs: datetime
    arrives: datetime


EXPORTS = (
    (Flight("CK205", "XIY", "AMS", at("03-10 23:49"), at("03-11 03:21", AMSTERDAM)), 4, 88.0),
    (Flight("CK205", "XIY", "AMS", at("03-17 23:52"), at("03-18 03:20", AMSTERDAM)), 20, 612.5),
    (Flight("CK231", "XIY", "FRA", at("03-12 02:15"), at("03-12 06:02", BERLIN)), 9, 274.0),
    (Flight("CK231", "XIY", "FRA", at("03-19 02:11"), at("03-19 05:55", BERLIN)), 2, 31.6),
    (Flight("CK417", "XIY", "BKK", at("03-14 01:30"), at("03-14 04:58", BANGKOK)), 15, 402.2),
    (Flight("CK417", "XIY", "BKK", at("03-21 01:34"), at("03-21 05:03", BANGKOK)), 7, 190.0),
)
IMPORTS = (
    (Flight("CK206", "AMS", "XIY", at("03-11 09:35", AMSTERDAM), at("03-12 02:08")), 3, 54.0),
    (Flight("CK206", "AMS", "XIY", at("03-18 09:40", AMSTERDAM), at("03-19 02:15")), 11, 358.4),
    (Flight("CK232", "FRA", "XIY", at("03-12 12:20", BERLIN), at("03-13 04:45")), 6, 121.0),
    (Flight("CK232", "FRA", "XIY", at("03-19 12:05", BERLIN), at("03-20 04:31")), 1, 18.5),
)


def posts() -> list[Sent]:
    told = []
    for place, (flight, pieces, kilograms) in enumerate(EXPORTS):
        told += _export(awb("112", 4_260_402 + 13 * place), flight, f"T{pieces}K{kilograms}", place)
    for place, (flight, pieces, kilograms) in enumerate(IMPORTS):
        told += _import(awb("112", 5_118_730 + 19 * place), flight, f"T{pieces}K{kilograms}", place)
    return told


def _day(when: datetime) -> str:
    return f"{when:%d}{_MONTHS[when.month]}"


def _told(waybill: str, flight: Flight, total: str, statuses: Iterable[tuple[str, datetime, str, str]]) -> list[Sent]:
    """Each status (who sends it, when it was, its line, a note) as a message of its own."""
    route = flight.out_of + flight.to
    return [
        sent(when + timedelta(minutes=4), source, "fsu", fsu(waybill, route, total, line), note)
        for source, when, line, note in statuses
    ]


def _export(waybill: str, flight: Flight, total: str, place: int) -> list[Sent]:
    """Received in Xi'an, reported to customs, declared; flown; received abroad and delivered."""
    received = flight.departs - timedelta(hours=13, minutes=7 * place)
    reported = received + timedelta(hours=2)
    delivered = flight.arrives + timedelta(hours=9, minutes=20)
    leaves, lands = f"{flight.number}/{_day(flight.departs)}", f"{flight.number}/{_day(flight.arrives)}"
    route = flight.out_of + flight.to
    arrival = Answer(
        kind="MT3201", message=f"XIY2026{reported:%m%d}0{place:02}", when=reported, bill=waybill, name=flight.number,
        place="CNSIA", customs="9002",
    )  # fmt: skip
    one = Entry(
        number=entry("9002", 760 + 5 * place, imported=False),
        seq=seq(9002031700 + place, imported=False),
        customs="9002",
        border="9002",
    )
    receipts = [
        sent(when, "customs-9000", "customs-receipt", json(one.receipt(code, when)), f"回执 {code} / receipt {code}")
        for code, when in (
            ("L", reported + timedelta(minutes=30)),
            ("P", reported + timedelta(minutes=95)),
            ("R", flight.departs + timedelta(days=2)),
        )
    ]
    statuses = (
        ("air-xiy", received, f"RCS/{_day(received)}{received:%H%M}/XIY/{total}", "收运 / received from shipper"),
        ("air-carrier", flight.departs, f"DEP/{leaves}/{route}/{total}/A{flight.departs:%H%M}", "离港 / departed"),
        ("air-carrier", flight.arrives, f"ARR/{lands}/{flight.to}/{total}/A{flight.arrives:%H%M}", "到达 / arrived"),
        ("air-carrier", delivered, f"DLV/{_day(delivered)}{delivered:%H%M}/{flight.to}/{total}", "交付 / delivered"),
    )
    return [
        sent(reported, "customs-9000", "manifest", answers_xml([arrival]), "空运运抵报告 / air arrival report"),
        *receipts,
        *_told(waybill, flight, total, statuses),
    ]


def _import(waybill: str, flight: Flight, total: str, place: int) -> list[Sent]:
    """Flown in, received, tallied, cleared and handed over in Xi'an."""
    received = flight.arrives + timedelta(hours=2, minutes=11 * place)
    cleared, delivered = received + timedelta(hours=7), received + timedelta(hours=9, minutes=35)
    leaves, lands = f"{flight.number}/{_day(flight.departs)}", f"{flight.number}/{_day(flight.arrives)}"
    tally = Answer(
        kind="MT5201", message=f"XIYT{received:%m%d}{place:02}", when=received + timedelta(hours=1), bill=waybill,
        name=flight.number, place="CNSIA", customs="9002",
    )  # fmt: skip
    statuses = (
        (
            "air-carrier", flight.departs, f"DEP/{leaves}/{flight.out_of}XIY/{total}/A{flight.departs:%H%M}",
            "离港 / departed",
        ),
        ("air-xiy", received, f"RCF/{lands}{received:%H%M}/XIY/{total}", "入库 / received from flight"),
        ("air-xiy", cleared, f"CCD/{_day(cleared)}{cleared:%H%M}/XIY/{total}", "海关放行 / cleared by customs"),
        ("air-xiy", delivered, f"DLV/{_day(delivered)}{delivered:%H%M}/XIY/{total}", "交付 / delivered"),
    )  # fmt: skip
    return [
        sent(tally.when, "customs-9000", "manifest", json(tally.json), "空运理货 / air tally"),
        *_told(waybill, flight, total, statuses),
    ]


_MONTHS = ("", "JAN", "FEB", "MAR", "APR", "MAY")
