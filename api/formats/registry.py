"""Which formats there are, how each is called, and which content types stand for them."""

import re
from collections.abc import Callable
from datetime import datetime

from api.formats import (
    coarri,
    codeco,
    customs_receipt,
    dcsa,
    fsu,
    iftsta,
    manifest,
    native,
    one_record,
    rail,
)
from domain.report import Reading

Reader = Callable[[bytes, datetime], list[Reading]]
"""Body and the time of its receipt (UTC) -> one reading for each message in it. Never raises."""


def _timeless(read: Callable[[bytes], list[Reading]]) -> Reader:
    return lambda body, _: read(body)


READERS: dict[str, Reader] = {
    "dcsa": _timeless(dcsa.read),
    "codeco": _timeless(codeco.read),
    "coarri": _timeless(coarri.read),
    "iftsta": _timeless(iftsta.read),
    "edifact": lambda body, now: READERS[_edifact_type(body)](body, now),
    "fsu": lambda body, now: fsu.read(body, received_at=now),
    "one-record": _timeless(one_record.read),
    "customs-receipt": _timeless(customs_receipt.read),
    "manifest": _timeless(manifest.read),
    "rail": _timeless(rail.read),
    "native": _timeless(native.read),
}

DESCRIPTIONS = {
    "dcsa": "DCSA Track & Trace 2.2 events, JSON",
    "codeco": "UN/EDIFACT CODECO, container gate-in and gate-out",
    "coarri": "UN/EDIFACT COARRI, container discharge and loading",
    "iftsta": "UN/EDIFACT IFTSTA, transport status",
    "edifact": "UN/EDIFACT interchange of one of the types above, told by its first UNH",
    "fsu": "Cargo-IMP FSU, air cargo status text",
    "one-record": "IATA ONE Record logistics events, JSON-LD",
    "customs-receipt": "海关回执 customs receipts, JSON or XML",
    "manifest": "舱单与运抵报告回执 manifest and arrival report answers, JSON or XML",
    "rail": "铁路口岸报文 rail and WLJK messages, JSON",
    "native": "Kouan's own JSON, one object, an array, or NDJSON",
}

CONTENT_TYPES = {
    "application/vnd.dcsa.events+json": "dcsa",
    "application/edifact": "edifact",
    "application/ld+json": "one-record",
    "application/vnd.iata.cargo-imp": "fsu",
    "application/vnd.kouan.customs-receipt+json": "customs-receipt",
    "application/vnd.kouan.customs-receipt+xml": "customs-receipt",
    "application/vnd.kouan.manifest+json": "manifest",
    "application/vnd.kouan.manifest+xml": "manifest",
    "application/vnd.kouan.rail+json": "rail",
    "application/json": "native",
    "application/x-ndjson": "native",
}


def by_content_type(header: str) -> str | None:
    """The format that a Content-Type header stands for; None if it stands for none."""
    return CONTENT_TYPES.get(header.partition(";")[0].strip().lower())


def _edifact_type(body: bytes) -> str:
    found = re.search(rb"UNH\W[^'\r\n]{0,40}?\W(CODECO|COARRI|IFTSTA)\W", body)
    return found[1].decode().lower() if found else "codeco"
