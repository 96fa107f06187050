"""One message as it is sent: who sends what and when; and the clocks of the places that the journeys touch.

Times are wall times of a place, all of 2026; `at` gives them their zone.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

BEIJING = ZoneInfo("Asia/Shanghai")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")  # also Rotterdam
BERLIN = ZoneInfo("Europe/Berlin")  # also Duisburg
WARSAW = ZoneInfo("Europe/Warsaw")
MINSK = ZoneInfo("Europe/Minsk")
ALMATY = ZoneInfo("Asia/Almaty")  # also Dostyk

CONTENT_TYPES = {
    "dcsa": "application/vnd.dcsa.events+json",
    "codeco": "application/edifact",
    "coarri": "application/edifact",
    "iftsta": "application/edifact",
    "fsu": "application/vnd.iata.cargo-imp",
    "one-record": "application/ld+json",
    "customs-receipt": "application/vnd.kouan.customs-receipt+json",
    "manifest": "application/vnd.kouan.manifest+json",
    "rail": "application/vnd.kouan.rail+json",
    "native": "application/json",
}
_XML = {name: CONTENT_TYPES[name].replace("+json", "+xml") for name in ("customs-receipt", "manifest")}


class Post(msgspec.Struct, frozen=True):
    """What one source sends in one go: one message, or several of one format."""

    source: str  # account, a key of day.SOURCES
    format: str  # as the registry of formats calls it
    content_type: str
    body: bytes
    note: str  # what it is, 中文 / English
    sent_at: datetime  # with offset


class Sent(msgspec.Struct, frozen=True):
    """A post and the time of its sending."""

    at: datetime
    post: Post


def sent(when: datetime, source: str, format_name: str, body: bytes, note: str) -> Sent:
    content_type = CONTENT_TYPES[format_name]
    if body.startswith(b"<"):
        content_type = _XML[format_name]
    elif format_name == "native" and body.endswith(b"}\n"):
        content_type = "application/x-ndjson"
    return Sent(when, Post(source, format_name, content_type, body, note, when))


def again(first: Sent, when: datetime) -> Sent:
    """The same bytes once more, as a sender does that missed the answer."""
    note = f"{first.post.note}（重发 / sent again）"
    return Sent(when, msgspec.structs.replace(first.post, note=note, sent_at=when))


def at(text: str, zone: ZoneInfo = BEIJING) -> datetime:
    """`03-17 06:48`, in 2026 and by the clock of that zone.

    >>> at("03-17 06:48").isoformat(), at("02-15 22:40", AMSTERDAM).isoformat()
    ('2026-03-17T06:48:00+08:00', '2026-02-15T22:40:00+01:00')
    """
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=zone)
