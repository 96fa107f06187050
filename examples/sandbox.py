"""Journeys of the sandbox: an import by sea, Rotterdam to Yangshan, smooth, or going wrong in one of five ways.

Everything follows from who plays, the scenario, the seed and the day it begins: the same again gives the same bytes, so
the same facts. Numbers are invented, with right check digits, and known by sight: containers SBXU, bills and bookings
SANDBOX…. A step has the time at which it happened and the one at which its source told of it; steps are in the order of
the telling. Times are UTC. The sources are called `sandbox:…` and report as real ones do.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, get_args

import msgspec

from examples.build import Entry, Json, json
from examples.numbers import container, entry, seq
from examples.post import BEIJING

Scenario = Literal["smooth", "delay", "roll_over", "hold", "correction", "outage"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
LINE, ORIGIN, TERMINAL, CUSTOMS = "sandbox:line", "sandbox:terminal-nlrtm", "sandbox:terminal-cnysa", "sandbox:customs"
DAYS_MAX = 60
"""No journey is longer."""
BASE32 = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Numbers(msgspec.Struct, frozen=True):
    """What the cargo of one journey goes by."""

    container: str
    bill: str
    booking: str
    declaration: str  # 18 digits
    declaration_seq: str  # before customs has given that number

    @property
    def papers(self) -> tuple[str, ...]:
        """The subjects whose party is the player; the container follows by its bill."""
        numbered = (("booking", self.booking), ("bl", self.bill), ("declaration", self.declaration))
        return (*(f"{kind}:{number}" for kind, number in numbered), f"declaration:{self.declaration_seq}")

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"container:{self.container}", *self.papers)


class Hold(msgspec.Struct, frozen=True):
    """Customs stops the box, or lets it go again."""

    reference: str
    released: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One message of one source, or a hold."""

    told_at: datetime
    happened_at: datetime
    source: str
    subject: str
    code: str
    classifier: str = "ACT"
    format: str = "native"
    body: bytes = b""
    hold: Hold | None = None


class Journey(msgspec.Struct, frozen=True):
    id: str
    scenario: Scenario
    numbers: Numbers
    steps: tuple[Step, ...]


def journey(player: str, scenario: Scenario, seed: int, start: datetime, attempt: int = 0) -> Journey:
    """The whole journey. `player`: party of who plays; `attempt`: other numbers, should these be somebody else's."""
    digest = sha256(f"{player}\n{scenario}\n{seed}\n{start:%Y-%m-%d}\n{attempt}".encode()).digest()
    name = "".join(BASE32[byte % 32] for byte in digest[:8])
    told = _Telling(name, start, _numbers(name, digest))
    TELLING[scenario](told)
    return Journey(name, scenario, told.numbers, tuple(sorted(told.steps, key=lambda step: step.told_at)))


def _numbers(name: str, digest: bytes) -> Numbers:
    serial = int.from_bytes(digest[8:16])
    return Numbers(
        container=container("SBXU", serial % 999_980),
        bill=f"SANDBOX{name}",
        booking=f"SANDBOXB{name}",
        declaration=entry("2248", serial // 1_000_000 % 1_000_000, imported=True),
        declaration_seq=seq(serial % 10**13, imported=True),
    )


class _Telling:
    """A journey in the making. Moments are days after its start."""

    def __init__(self, name: str, start: datetime, numbers: Numbers) -> None:
        self.name, self.start, self.numbers = name, start, numbers
        self.box, self.bill = f"container:{numbers.container}", f"bl:{numbers.bill}"
        self.booking = f"booking:{numbers.booking}"
        self.entry = Entry(
            number=numbers.declaration,
            seq=numbers.declaration_seq,
            customs="2248",
            border="2248",
            bill=numbers.bill,
            boxes=(numbers.container,),
        )
        self.steps: list[Step] = []

    def at(self, days: float) -> datetime:
        return self.start + timedelta(minutes=round(days * 24 * 60))

    def say(self, days: float, source: str, subject: str, code: str, *, told: float | None = None, **more: Any) -> None:
        """A native event; `told`: when, if not at once."""
        when, told_at = self.at(days), self.at(days + 0.01 if told is None else told)
        event: Json = {
            "id": f"{self.name}-{more.pop('key', len(self.steps))}",
            "subject": subject,
            "code": code,
            "happened_at": when.isoformat(),
            "sent_at": told_at.isoformat(),
            **more,
        }
        self.steps.append(
            Step(
                told_at=told_at,
                happened_at=when,
                source=source,
                subject=subject,
                code=code,
                classifier=more.get("classifier", "ACT"),
                body=json(event),
            )
        )

    def receipt(self, days: float, letter: str, code: str) -> None:
        """What customs says of the declaration."""
        subject = f"declaration:{self.entry.seq if letter == '7' else self.entry.number}"
        body = json(self.entry.receipt(letter, self.at(days).astimezone(BEIJING)))
        when = self.at(days)
        form = "customs-receipt"
        self.steps.append(
            Step(told_at=when, happened_at=when, source=CUSTOMS, subject=subject, code=code, format=form, body=body)
        )

    def stop(self, days: float, *, released: bool = False) -> None:
        """A hold on the box, or its end."""
        hold, code = Hold(f"SANDBOX-{self.name}", released), "HOLD_RELEASED" if released else "HOLD_PLACED"
        when = self.at(days)
        self.steps.append(Step(told_at=when, happened_at=when, source=CUSTOMS, subject=self.box, code=code, hold=hold))

    # --- the parts that the stories share ---

    def departure(self, sails: float = 4.3, voyage: str = "601E") -> None:
        """Booked, stuffed, through the gate in Rotterdam, aboard, and expected 28 days later."""
        ship: Json = {"place": "NLRTM", "mode": "VESSEL", "transport": f"SANDBOX STAR {voyage}"}
        self.say(0.1, LINE, self.booking, "BKG_CONF", refs=[self.bill])
        self.say(1.2, LINE, self.box, "EMPTY_OUT", place="NLRTM", mode="TRUCK", laden=False, refs=[self.booking])
        self.gate_in()
        self.say(sails - 0.3, ORIGIN, self.box, "LOADED", laden=True, refs=[self.bill], **ship)
        self.say(sails, LINE, self.bill, "VSL_DEP", **ship)
        self.say(sails + 0.1, LINE, self.bill, "BL_ISSUED", place="NLRTM", refs=[self.box, self.booking])
        self.expected(sails + 28, told=sails + 0.2, voyage=voyage)

    def gate_in(self) -> None:
        more: Json = {"place": "NLRTM", "mode": "VESSEL", "laden": True, "seal": "SBX1047213"}
        self.say(3.0, ORIGIN, self.box, "GATE_IN", refs=[self.booking, self.bill], key="gate-in", **more)

    def expected(self, days: float, *, told: float, voyage: str = "601E", text: str = "") -> None:
        """An estimate of the arrival in Yangshan."""
        more: Json = {"place": "CNYSA", "mode": "VESSEL", "transport": f"SANDBOX STAR {voyage}", "text": text}
        self.say(days, LINE, self.bill, "VSL_ARR", told=told, classifier="EST", **more)

    def arrival(self, lands: float, *, told: float | None = None, voyage: str = "601E") -> None:
        """Alongside in Yangshan, and discharged."""
        ship: Json = {"place": "CNYSA", "mode": "VESSEL", "transport": f"SANDBOX STAR {voyage}"}
        self.say(lands - 1.0, CUSTOMS, self.bill, "MAN_ORIG_OK", place="CNYSA")
        self.say(lands, LINE, self.bill, "VSL_ARR", **ship)
        self.say(lands + 0.4, TERMINAL, self.box, "DISCHARGED", told=told, laden=True, refs=[self.bill], **ship)

    def declared(self, lands: float) -> None:
        self.receipt(lands - 0.5, "7", "DEC_SUBMITTED")
        self.receipt(lands - 0.49, "L", "DEC_ACCEPTED")
        self.receipt(lands + 0.5, "J", "DEC_REVIEWED")

    def delivery(self, leaves: float) -> None:
        """Released, out of the gate, and the empty box back."""
        out: Json = {"place": "CNYSA", "mode": "VESSEL", "laden": True, "refs": [self.bill]}
        self.receipt(leaves - 0.4, "P", "DEC_RELEASED")
        self.say(leaves, TERMINAL, self.box, "GATE_OUT", **out)
        self.say(leaves + 2.0, TERMINAL, self.box, "EMPTY_IN", place="CNYSA", mode="TRUCK", laden=False)


# --- the stories ---


def _smooth(told: _Telling) -> None:
    told.departure()
    told.arrival(32.3)
    told.declared(32.3)
    told.delivery(33.5)


def _delay(told: _Telling) -> None:
    """The estimate moves twice, by two days and by another three; the ship comes as it said last."""
    told.departure()
    told.expected(34.3, told=7.0, text="Heavy weather in the Bay of Biscay")
    told.expected(37.3, told=20.0, text="Waiting for a berth in Singapore")
    told.arrival(37.3)
    told.declared(37.3)
    told.delivery(38.5)


def _roll_over(told: _Telling) -> None:
    """Left on the quay for want of room, and taken by the next ship a week later."""
    more: Json = {"place": "NLRTM", "mode": "VESSEL", "transport": "SANDBOX STAR 601E", "text": "Overbooked"}
    told.say(4.1, LINE, told.box, "ROLLED", refs=[told.booking, told.bill], key="rolled", **more)
    told.departure(sails=11.3, voyage="602E")
    told.arrival(39.3, voyage="602E")
    told.declared(39.3)
    told.delivery(40.5)


def _hold(told: _Telling) -> None:
    """Stopped by customs and inspected for two days."""
    told.departure()
    told.arrival(32.3)
    told.declared(32.3)
    told.stop(32.9)
    told.receipt(33.0, "C", "INSP_ORDERED")
    for days, code in ((33.5, "INSP_SITE_IN"), (34.4, "INSP_DONE"), (34.6, "INSP_SITE_OUT")):
        told.say(days, TERMINAL, told.box, code, place="CNYSA", laden=True, refs=[told.bill])
    told.stop(34.8, released=True)
    told.delivery(35.5)


def _correction(told: _Telling) -> None:
    """A gate-out that was another box's is taken back; the right one is told at a wrong time, and then at the right."""
    told.departure()
    told.arrival(32.3)
    told.declared(32.3)
    told.receipt(33.1, "P", "DEC_RELEASED")
    out: Json = {"place": "CNYSA", "mode": "VESSEL", "laden": True, "refs": [told.bill]}
    first, second = f"{told.name}-A", f"{told.name}-B"
    told.say(33.0, TERMINAL, told.box, "GATE_OUT", document=first, **out)
    told.say(33.0, TERMINAL, told.box, "GATE_OUT", told=33.2, document=first, function="cancel", **out)
    told.say(33.4, TERMINAL, told.box, "GATE_OUT", told=33.6, document=second, **out)
    told.say(33.5, TERMINAL, told.box, "GATE_OUT", told=33.8, document=second, function="replace", **out)
    told.say(35.5, TERMINAL, told.box, "EMPTY_IN", place="CNYSA", mode="TRUCK", laden=False)


def _outage(told: _Telling) -> None:
    """The terminal in Yangshan is not heard of for three days; then all of it comes, the last first, one twice."""
    told.departure()
    told.arrival(32.3, told=35.8)
    told.declared(32.3)
    told.receipt(33.1, "P", "DEC_RELEASED")
    out: Json = {"place": "CNYSA", "mode": "VESSEL", "laden": True, "refs": [told.bill]}
    told.say(35.5, TERMINAL, told.box, "EMPTY_IN", told=35.6, place="CNYSA", mode="TRUCK", laden=False)
    told.say(33.5, TERMINAL, told.box, "GATE_OUT", told=35.7, key="out", **out)
    told.say(33.5, TERMINAL, told.box, "GATE_OUT", told=35.7, key="out", **out)


TELLING: dict[Scenario, Callable[[_Telling], None]] = {
    "smooth": _smooth,
    "delay": _delay,
    "roll_over": _roll_over,
    "hold": _hold,
    "correction": _correction,
    "outage": _outage,
}
