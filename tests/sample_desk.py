"""A made-up quarantine desk, for tests of pages and of the terminal, and to look at."""

from datetime import UTC, datetime
from uuid import UUID

from api.quarantine import Listing, Shown, codec_of, excerpt
from domain.quarantine import Count, Item

SEEN = datetime(2026, 3, 30, 6, 5, 12, tzinfo=UTC)
RAW = (
    "UNH+1+CODECO:D:95B:UN:ITG14'\r\nBGM+34+G1+9'\r\nNAD+CF+中远海运:160:20'\r\nTDT+1++3++:::+++:146:ZZZ:苏A12345'\r\n"
    "EQD+CN+CSQU3054383+45G1:102:5+2+3+5'\r\nDTM+203:202405012112:203'\r\nLOC+165+CNNKG:139:6'\r\nCNT+16:1'\r\nUNT+10+1'"
).encode()
DETAIL = "UNT 声明 '10' 段，实为 9 段 / UNT says '10' segments, there are 9"
ODD = "实际发生的时间晚于收到时间 / had not happened when it came"


def item(number: int = 1, **told: object) -> Item:
    """A message whose count does not agree, or what is told of it."""
    values = {
        "state": "open",
        "source": "terminal-cnnkg",
        "format": "codeco",
        "code": "edifact.count",
        "detail": DETAIL,
        "offset": RAW.rindex(b"UNT"),
        "path": "UNH[1]/UNT",
        "size_bytes": len(RAW),
        "attempts": number,
        "first_seen": SEEN,
        "last_seen": SEEN,
    }
    return Item(message_id=UUID(int=number), **(values | told))  # type: ignore[arg-type]


def listing() -> Listing:
    """Two messages of many."""
    future = item(2, code="time.future", detail=ODD, source="airport-cnpvg.long-name-of-a-source", format="fsu")
    counts = [
        Count("open", "edifact.count", 1),
        Count("open", "time.future", 1),
        Count("mended", "fsu.line", 1204),
        Count("dismissed", "edifact.stray", 3),
    ]
    return Listing([item(), future], counts, "cursor", more=True)


def shown(raw: bytes = RAW, **told: object) -> Shown:
    """One message with its bytes."""
    told_of = item(**({"size_bytes": len(raw)} | told))  # type: ignore[arg-type]
    codec = codec_of(raw)
    return Shown(
        item=told_of,
        received_at=SEEN,
        transmission_id=UUID(int=9),
        codec=codec,
        text=raw.decode(codec) if codec else None,
        base64=raw,
        excerpt=excerpt(raw, told_of.offset),
    )
