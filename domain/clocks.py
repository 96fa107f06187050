"""The clock rules: what a stated time may be, measured against its receipt, and what is done about one that may not.

Four times are kept apart and never stand for one another: `happened_at` (claimed by the source), `sent_at` (from the
message's header), `recorded_at` (the receipt, on this node's clock) and the position in the journal. An actual event
well after its own receipt shows a clock that is wrong; how such a source is treated is its policy, set by operators.
What is old is recorded, for archives are replayed. Instants are UTC.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from domain import places
from domain.report import Fault, Movement, Reading, Receipt

FUTURE = timedelta(minutes=15)
"""An actual event may be so far after its receipt: clocks differ, and ports report what is just being done."""

FAR = timedelta(days=731)
"""Nobody plans or expects anything further ahead: two years, one of them a leap year."""

OLD = timedelta(days=731)
"""What lay longer than this when it was recorded is counted as old."""

SKEW = timedelta(minutes=5)
"""A source whose messages come longer after their sending than this, or before it, should look at its clock."""

OnFuture = Literal["quarantine", "estimate"]
Report = Movement | Receipt


class Policy(msgspec.Struct, frozen=True):
    """How the times of one source are taken."""

    on_future: OnFuture = (
        "quarantine"  # estimate: an actual movement in the future is taken as expected, with a warning
    )
    zone: str = ""  # IANA name of the source's own clock, where a time names no zone and its place tells none


STRICT = Policy()


class Rules(msgspec.Struct, frozen=True, gc=False):
    """The rules at the moment of one receipt."""

    received_at: datetime
    soon: datetime  # nothing actual is later
    far: datetime  # nothing at all is later
    policy: Policy


def rules(received_at: datetime, policy: Policy = STRICT) -> Rules:
    """The rules for what is received at a moment."""
    return Rules(received_at, received_at + FUTURE, received_at + FAR, policy)


def judge(reading: Reading, body: bytes, now: Rules) -> tuple[list[Report], Fault | None]:
    """The reports of a message as they may be recorded; a fault if one of them cannot be.

    A cancellation states nothing of its own, so its times are not judged. In the usual case this compares one time for
    each report.
    """
    soon, zone = now.soon, now.policy.zone
    for report in reading.reports:
        when = report.when
        if when.at > soon or (
            when.zone_from != "stated"
            and (turning(when.zone, when.wall[:10]) or (zone and when.zone_from == "assumed"))
        ):
            return (reading.reports, None) if reading.function == "cancel" else _closely(reading, body, now)
    return reading.reports, None


def _closely(reading: Reading, body: bytes, now: Rules) -> tuple[list[Report], Fault | None]:
    taken: list[Report] = []
    for report in reading.reports:
        judged = _one(report, now)
        if isinstance(judged, Fault):
            return [], msgspec.structs.replace(judged, offset=_offset(report, reading, body))
        taken.append(judged)
    return taken, None


def _one(report: Report, now: Rules) -> Report | Fault:
    report = _on_its_clock(report, now.policy.zone)
    if doubt := places.doubt(report.when):
        report = _warned(report, doubt)
    if _actual(report) and report.when.at > now.soon:
        if isinstance(report, Receipt) or now.policy.on_future == "quarantine":
            return _fault("time.future", report, now, ("实际发生的时间晚于收到时间", "had not happened when it came"))
        warning = f"时间在收到之后，按预计记录 / later than its receipt, taken as expected: {_iso(report.when.at)}"
        report = _warned(msgspec.structs.replace(report, classifier="EST"), warning)
    if report.when.at > now.far:
        return _fault("time.far", report, now, ("时间在两年以后", "is more than two years ahead"))
    return report


def _on_its_clock(report: Report, zone: str) -> Report:
    """With the zone of the source, where one was but assumed."""
    if not zone or report.when.zone_from != "assumed" or not report.when.wall:
        return report
    try:
        return msgspec.structs.replace(report, when=places.moment(report.when.wall, "", zone))
    except places.BadTime:  # at an end of the calendar, which this zone passes
        return report


def _actual(report: Report) -> bool:
    return isinstance(report, Receipt) or report.classifier == "ACT"


def _warned(report: Report, warning: str) -> Report:
    return msgspec.structs.replace(report, warnings=(*report.warnings, warning))


def _fault(code: str, report: Report, now: Rules, said: tuple[str, str]) -> Fault:
    what = f"{report.subject} {report.raw_code}"
    at, received = _iso(report.when.at), _iso(now.received_at)
    return Fault(code, f"{what}：{said[0]}，{at}，收到 {received} / {what} {said[1]}: {at}, received {received}")


def _offset(report: Report, reading: Reading, body: bytes) -> int:
    """Where the message names the subject of the report; where it begins, if it is written otherwise there."""
    number = report.subject.partition(":")[2].encode()
    found = body.find(number, reading.start, reading.end) if number else -1
    return found if found >= 0 else reading.start


def _iso(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}Z"


@lru_cache(maxsize=1 << 14)
def turning(zone: str, day: str) -> bool:
    """Whether the clocks of a zone are moved on a day (ISO 8601), or on one beside it.

    >>> turning("Europe/Berlin", "2026-03-29"), turning("Europe/Berlin", "2026-06-29"), turning("+08:00", "2026-03-29")
    (True, False, False)
    """
    if not day or zone[:1] in {"", "+", "-"}:
        return False
    try:
        clock, start = ZoneInfo(zone), datetime.fromisoformat(day)
        around = [(start + timedelta(days=days)).replace(tzinfo=clock) for days in (-1, 2)]
    except (KeyError, ValueError, OSError, OverflowError):  # no such zone, or the ends of the calendar
        return False
    return around[0].utcoffset() != around[1].utcoffset()


def known_zone(zone: str) -> bool:
    """Whether this is the IANA name of a zone.

    >>> known_zone("Asia/Shanghai"), known_zone("Beijing"), known_zone("../etc")
    (True, False, False)
    """
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
