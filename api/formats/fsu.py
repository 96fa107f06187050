r"""Air cargo status messages FSU, and FSA answers, as carriers send them in text (Cargo-IMP).

A body holds one or more messages, each from a line `FSU/14` on; the addresses of a Type B envelope before that line
belong to the message. Times are local to the station and bear no year: the year is the one that brings the day nearest
to the sending, and for what has happened not a week behind it. Weights come in kilograms or pounds and leave in
kilograms. A status may be about some pieces only.
Source: IATA Cargo-IMP Manual, message FSU versions 12 to 15; status codes as in IATA's core code list.

>>> from datetime import UTC, datetime
>>> body = b"FSU/14\r\n112-00000011XIYFRA/T12K340.0\r\nRCF/CZ461/22NOV0410/AMS/P5K140.0\r\n"
>>> [reading] = read(body, received_at=datetime(2024, 11, 22, 6, tzinfo=UTC))
>>> [status] = reading.reports
>>> status.subject, status.raw_code, status.transport, status.pieces, status.pieces_total, status.when.wall[:16]
('awb:11200000011', 'RCF', 'CZ461', 5, 12, '2024-11-22T04:10')
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec

from api import limits
from domain import identifiers, milestones, places
from domain.errors import Malformed
from domain.report import Classifier, Fault, Moment, Movement, Reading, Receipt, utc

SLUG = "fsu"


class Line(NamedTuple):
    start: int  # byte offset in the body
    end: int
    text: str


class Quantity(msgspec.Struct, frozen=True):
    kind: str = ""  # T all, P part, S split, D divided, M several
    pieces: int | None = None
    weight_kg: float | None = None
    total: int | None = None


class Waybill(msgspec.Struct, frozen=True):
    shown: str  # 112-00000011
    subject: str
    quantity: Quantity
    warnings: tuple[str, ...]


class Status(msgspec.Struct):
    """A status line while its supplementary lines are still coming."""

    waybill: Waybill
    code: str
    transport: str
    station: str  # IATA code, as sent
    day: date
    time: str  # HHMM local, "" if not stated
    quantity: Quantity
    words: list[str]
    when: Moment | None = None


class _Bad(Exception):
    """A line that cannot be understood."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail)


def read(body: bytes, *, received_at: datetime | None = None) -> list[Reading]:
    """One Reading for each FSU or FSA; what stands before the first belongs to a Reading of its own, with a fault."""
    today = utc(received_at or datetime.now(UTC)).date()
    return [_reading(body, lines, today) for lines in _messages(body)]


# --- messages and lines ---


def _lines(body: bytes) -> Iterator[Line]:
    for found in _LINE.finditer(body):
        raw = found.group().strip(_FRAMING)
        if raw:
            start = found.start() + found.group().index(raw)
            yield Line(start, start + len(raw), _text(raw))


def _text(raw: bytes) -> str:
    """The telex alphabet is ASCII; free text of newer senders may be UTF-8, and any byte must stay readable."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _messages(body: bytes) -> list[list[Line]]:
    """Lines by message; an envelope stands directly before the line that names the message."""
    found: list[list[Line]] = [[]]
    envelope: list[Line] = []
    for line in _lines(body):
        if _BEGUN.fullmatch(line.text):
            found.append([*envelope, line])
            limits.check_messages(len(found))
            envelope = []
        elif _ENVELOPE.fullmatch(line.text):
            envelope.append(line)
        else:
            found[-1] += [*envelope, line]
            envelope = []
    found[-1] += envelope
    if len(found) > 1 and not found[0]:
        del found[0]
    return found


def _reading(body: bytes, lines: list[Line], today: date) -> Reading:
    start, end = (lines[0].start, lines[-1].end) if lines else (0, len(body))
    head = next((line for line in lines if _HEAD.fullmatch(line.text)), None)
    # The digest is of the bytes: a repetition with other line ends is another message that says the same facts, while
    # two contents under one key would count as a conflict.
    key = f"{head.text if head else ''}:{sha256(body[start:end]).hexdigest()}"
    reading = Reading(key=key, start=start, end=end)
    if head is None:
        met = lines[0].text[:60] if lines else ""
        reading.fault = Fault(f"{SLUG}.header", f"没有 FSU 或 FSA 报文头 / no line FSU/nn or FSA/nn: {met!r}", start)
        return reading
    content = _Content(today)
    line = head
    try:
        for line in lines[lines.index(head) + 1 :]:
            content.take(line)
        reading.reports = content.reports()
        reading.document = content.document()
        reading.function = "supersede"  # a status that is sent again takes the place of the first
    except _Bad as bad:
        reading.fault = msgspec.structs.replace(bad.fault, offset=line.start, path=line.text[:3])
    return reading


class _Content:
    """What the lines after the head say, taken one by one."""

    def __init__(self, today: date) -> None:
        self.today = today
        self.waybill: Waybill | None = None
        self.statuses: list[Status] = []
        self.early: list[str] = []  # supplementary lines before any status

    def take(self, line: Line) -> None:
        """Raises _Bad if the line makes no sense."""
        if "\0" in line.text:
            raise _Bad("nul", "报文含空字符 / the message has a NUL character")
        if (found := _AWB.fullmatch(line.text.upper())) is not None:
            self.waybill = _waybill(found)
        elif line.text.startswith("/") or line.text[:3].upper() in SUPPLEMENTARY:
            self._attach(line.text)
        elif self.waybill is None:
            raise _Bad("awb", f"此处应为运单号 / an air waybill is expected here: {line.text[:60]!r}")
        else:
            self._take_status(line.text, self.waybill)

    def _take_status(self, text: str, waybill: Waybill) -> None:
        try:
            self.statuses.append(_status(text, waybill, self.today))
        except _Bad:
            if not _NAMED.match(text.upper()) or milestones.from_fsu(text[:3].upper()):
                raise
            self._attach(text)  # not a status known here, nor like one: kept with what it stands under

    def _attach(self, text: str) -> None:
        (self.statuses[-1].words if self.statuses else self.early).append(text)

    def reports(self) -> list[Movement | Receipt]:
        if not self.statuses:
            raise _Bad("empty", "报文没有状态行 / the message has no status line")
        self.statuses[0].words += self.early
        return [_movement(status) for status in self.statuses]

    def document(self) -> str:
        """Waybill, status, part, airport and flight of each line: what a repetition has in common with its original."""
        named = "+".join(_document(status) for status in self.statuses)
        return named if len(named) <= DOCUMENT_CHARS_MAX else sha256(named.encode()).hexdigest()


def _waybill(found: re.Match[str]) -> Waybill:
    number, warning = identifiers.awb(found["prefix"] + found["serial"])
    quantity = _quantity(found["quantity"]) if found["quantity"] else Quantity()
    if quantity is None:
        raise _Bad("quantity", f"件数无法理解 / the quantity cannot be understood: {found['quantity']!r}")
    shown = f"{found['prefix']}-{found['serial']}"
    return Waybill(shown, f"awb:{number}", quantity, (warning,) if warning else ())


def _quantity(text: str) -> Quantity | None:
    found = _QUANTITY.fullmatch(text.upper())
    if found is None:
        return None
    weight = float(found["weight"]) * _KILOGRAMS[found["unit"]] if found["unit"] else None
    pieces = int(found["pieces"])
    total = int(found["total"]) if found["total"] else (pieces if found["kind"] == "T" else None)
    return Quantity(found["kind"], pieces, None if weight is None else round(weight, 2), total)


# --- a status line: CODE / [flight or carrier] / day and time / station or stations / quantity, then words ---


def _status(text: str, waybill: Waybill, today: date) -> Status:
    code, slash, rest = text.partition("/")
    if not slash or not _CODE.fullmatch(code.upper()):
        raise _Bad("line", f"无法理解的行 / a line that cannot be understood: {text[:60]!r}")
    fields = [field.strip() for field in rest.split("/")]
    transport = ""
    if not _DAY.fullmatch(fields[0].upper()) and _CARRIED.fullmatch(fields[0].upper()):
        transport = fields.pop(0).upper()
    day = None
    while fields and (found := _DAY.fullmatch(fields[0].upper())):
        day = found  # of a flight's day and the status' own, the own comes last
        del fields[0]
    if day is None:
        raise _Bad("time", f"缺少日期 / the day is missing or wrong: {text[:60]!r}")
    if not fields or not _STATIONS.fullmatch(fields[0].upper()):
        raise _Bad("station", f"缺少机场 / the airport is missing or wrong: {text[:60]!r}")
    status = Status(
        waybill=waybill,
        code=code.upper(),
        transport=transport,
        station=fields[0][:3].upper(),
        day=_nearest(day, today, ahead=code.upper() in CLASSIFIERS),
        time=day["time"] or "",
        quantity=waybill.quantity,
        words=[],
    )
    _add_words(status, fields[0], fields[1:])
    try:
        status.when = places.moment(f"{status.day:%Y%m%d}{status.time}", places.canonical(status.station, "AIR"))
    except Malformed as error:
        raise _Bad("time", f"时间无法理解 / the time cannot be understood: {text[:60]!r}") from error
    return status


def _add_words(status: Status, stations: str, fields: list[str]) -> None:
    """Quantity, a discrepancy's own code and the hour of departure are understood; every word is kept."""
    kept = [stations.upper()] if len(stations) > len("XIY") else []
    counted = False
    for field in fields:
        upper = field.upper()
        hour = _HOUR.fullmatch(upper)
        if not counted and not (hour and hour["type"] != "S") and (quantity := _quantity(upper)) is not None:
            status.quantity, counted = quantity, True  # S0012 is a split of twelve here, and an hour after that
        elif status.code == "DIS" and _DISCREPANCY.fullmatch(upper):
            status.code = f"DIS_{upper}"
        else:
            if hour and not status.time and (status.code, hour["type"]) in _TIMED:
                status.time = hour["time"]
                status.day += timedelta(days=_DAYS[hour["days"] or ""])
            kept.append(field)
    words = "/".join(kept).strip("/")
    status.words += [words] if words else []


def _nearest(found: re.Match[str], today: date, *, ahead: bool) -> date:
    """The day in the year that brings it nearest to today; what has happened lies behind, but for a clock that is fast.

    29 February may have to look further.
    """
    month, day = _MONTHS.index(found["month"]) + 1, int(found["day"])
    reach = 8 if (month, day) == (2, 29) else 1
    candidates = []
    for year in range(max(today.year - reach, 1), min(today.year + reach, 9999) + 1):
        try:
            candidates.append(date(year, month, day))
        except ValueError:
            continue
    if not candidates:
        raise _Bad("time", f"日期不存在 / there is no such day: {found.group()!r}")
    past = [candidate for candidate in candidates if ahead or candidate <= today + FAST]
    return min(past or candidates, key=lambda candidate: abs(candidate - today))


# --- statuses to reports ---


def _movement(status: Status) -> Movement:
    warnings = [*status.waybill.warnings]
    code = milestones.from_fsu(status.code)
    if not code:
        warnings.append(f"状态代码未知，按原样保存 / unknown code, kept as sent: {status.code}")
    if not status.time:
        warnings.append("时刻未报，按当地零时 / time not stated, taken as local midnight")
    assert status.when is not None
    quantity = status.quantity
    total = quantity.total or status.waybill.quantity.total
    return Movement(
        subject=status.waybill.subject,
        code=code,
        raw_code=status.code,
        when=status.when,
        classifier=CLASSIFIERS.get(status.code, "ACT"),
        place=places.canonical(status.station, "AIR"),
        mode="AIR",
        transport=status.transport,
        pieces=quantity.pieces,
        pieces_total=total,
        partial=quantity.kind in PARTS or (quantity.pieces or 0) < (total or 0),
        weight_kg=quantity.weight_kg,
        text="\n".join(status.words),
        warnings=tuple(warnings),
    )


def _document(status: Status) -> str:
    part = f"{status.quantity.kind}{status.quantity.pieces or ''}"
    day = f"{status.day.day:02}{_MONTHS[status.day.month - 1]}"
    return "/".join(filter(None, (status.waybill.shown, status.code, part, status.station, status.transport, day)))


DOCUMENT_CHARS_MAX = 200
FAST = timedelta(days=7)  # no clock of a station is further ahead than that
_LINE = re.compile(rb"[^\r\n]+")
_FRAMING = b" \t\x01\x02\x03"  # Type B: start of header, start and end of text
_HEAD = re.compile(r"(?:FSU|FSA)/[0-9]{1,2}")
_BEGUN = re.compile(r"F(?:S(?:[UA](?:/.*)?)?)?")  # also where the version is odd, or the end of the body cut it off
_ENVELOPE = re.compile(r"Q[A-Z](?: [A-Z0-9]{7})+|\.[A-Z0-9]{7}(?: .*)?|=[A-Z]+|[A-Z]{3}[A-Z0-9]{4}")
_AWB = re.compile(r"(?P<prefix>[0-9]{3})-?(?P<serial>[0-9]{8})(?:[A-Z]{3}){0,2}(?:/(?P<quantity>.*))?")
_QUANTITY = re.compile(
    r"(?P<kind>[TPSDM])(?P<pieces>[0-9]{1,6})(?:(?P<unit>[KL])(?P<weight>[0-9]{1,9}(?:\.[0-9]{0,3})?))?"
    r"(?:(?:MC|CF|CI|CC)[0-9.]{1,12})?(?:DG[0-9]{1,2})?(?:T(?P<total>[0-9]{1,6}))?"
)
_KILOGRAMS = {"K": 1.0, "L": 0.45359237}
_NAMED = re.compile(r"[A-Z]{3}/")
_CODE = re.compile(r"[A-Z]{3}")
_CARRIED = re.compile(r"[A-Z0-9]{2}[A-Z]?(?:[0-9]{1,4}[A-Z]?)?")
_DAY = re.compile(r"(?P<day>[0-9]{2})(?P<month>JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)(?P<time>[0-9]{4})?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_STATIONS = re.compile(r"[A-Z]{3}(?:[A-Z]{3})?")
_HOUR = re.compile(r"(?P<type>[ASE])(?P<time>[0-9]{4})(?:-?(?P<days>[PNST]))?")  # actual, scheduled, estimated
_DAYS = {"": 0, "P": -1, "N": 1, "S": 2, "T": 3}  # previous, next, second, third day
_TIMED = {("DEP", "A"), ("ARR", "A"), ("BKD", "S"), ("BKD", "E")}
_DISCREPANCY = re.compile(r"[A-Z]{4}")

PARTS = frozenset({"P", "S", "D"})
"""Shipment description codes of a part; T is all of it, M several consignments."""

CLASSIFIERS: dict[str, Classifier] = {"BKD": "PLN"}
"""A booking names the day of its flight. Every other status tells what has been done."""

SUPPLEMENTARY = frozenset({"OSI", "OCI", "ULD", "SPH", "SSR", "SHP", "CNE", "AGT", "REF", "NOT", "COR", "SRI"})
"""Lines that say more about the status above them, kept as its text. Codes of statuses: domain/milestones.py."""
