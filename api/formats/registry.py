"""Which formats there are, how each is called, and which content types stand for them."""

import re
from collections.abc import Callable
from datetime import datetime

from api.formats import (
    aperak,
    baplie,
    coarri,
    codeco,
    contrl,
    coprar,
    cuscar,
    cusres,
    customs_receipt,
    dcsa,
    device,
    epcis,
    fsu,
    iftsta,
    manifest,
    native,
    one_record,
    rail,
    road,
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
    "coprar": _timeless(coprar.read),
    "baplie": _timeless(baplie.read),
    "cuscar": _timeless(cuscar.read),
    "cusres": _timeless(cusres.read),
    "edifact": lambda body, now: READERS[_edifact_type(body)](body, now),
    "fsu": lambda body, now: fsu.read(body, received_at=now),
    "one-record": _timeless(one_record.read),
    "customs-receipt": _timeless(customs_receipt.read),
    "manifest": _timeless(manifest.read),
    "rail": _timeless(rail.read),
    "road": _timeless(road.read),
    "epcis": _timeless(epcis.read),
    "device": _timeless(device.read),
    "native": _timeless(native.read),
}

LENIENT: dict[str, Reader] = {
    "codeco": lambda body, _: codeco.read(body, lenient=True),
    "coarri": lambda body, _: coarri.read(body, lenient=True),
    "iftsta": lambda body, _: iftsta.read(body, lenient=True),
    "coprar": lambda body, _: coprar.read(body, lenient=True),
    "baplie": lambda body, _: baplie.read(body, lenient=True),
    "cuscar": lambda body, _: cuscar.read(body, lenient=True),
    "cusres": lambda body, _: cusres.read(body, lenient=True),
    "edifact": lambda body, now: LENIENT.get(kind := _edifact_type(body), READERS[kind])(body, now),
}
"""The formats that count, read with counts that do not agree as warnings: an operator answers for them."""

EDIFACT = frozenset({"codeco", "coarri", "iftsta", "coprar", "baplie", "cuscar", "cusres", "edifact"})
ANSWERS = {"contrl": contrl.write, "aperak": aperak.write}
"""How a body in one of the formats of EDIFACT can be answered instead of in JSON."""

DESCRIPTIONS = {
    "dcsa": "DCSA Track & Trace 2.2 events, JSON",
    "codeco": "UN/EDIFACT CODECO, container gate-in and gate-out",
    "coarri": "UN/EDIFACT COARRI, container discharge and loading",
    "iftsta": "UN/EDIFACT IFTSTA, transport status",
    "coprar": "UN/EDIFACT COPRAR, orders to discharge or load containers",
    "baplie": "UN/EDIFACT BAPLIE, bay plans",
    "cuscar": "UN/EDIFACT CUSCAR, cargo reports and manifests to customs",
    "cusres": "UN/EDIFACT CUSRES, answers of customs",
    "edifact": "UN/EDIFACT interchange of one of the types above, told by its first UNH",
    "fsu": "Cargo-IMP FSU, air cargo status text",
    "one-record": "IATA ONE Record logistics events, JSON-LD",
    "customs-receipt": "海关回执 customs receipts, JSON or XML",
    "manifest": "舱单与运抵报告回执 manifest and arrival report answers, JSON or XML",
    "rail": "铁路口岸报文 rail and WLJK messages, JSON",
    "road": "公路核放单与运输报文 gate passes and road transport reports, JSON or XML",
    "epcis": "GS1 EPCIS 2.0 events, JSON or JSON-LD",
    "device": "设备事件 positions, electronic seals, temperatures and weights told by devices, JSON or NDJSON",
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
    "application/vnd.kouan.road+json": "road",
    "application/vnd.kouan.road+xml": "road",
    "application/vnd.kouan.device+json": "device",
    "application/vnd.kouan.device+x-ndjson": "device",
    "application/vnd.gs1.epcis+json": "epcis",
    "application/json": "native",
    "application/x-ndjson": "native",
}


def by_content_type(header: str) -> str | None:
    """The format that a Content-Type header stands for; None if it stands for none."""
    return CONTENT_TYPES.get(header.partition(";")[0].strip().lower())


def _edifact_type(body: bytes) -> str:
    found = re.search(rb"UNH\W[^'\r\n]{0,40}?\W(CODECO|COARRI|IFTSTA|COPRAR|BAPLIE|CUSCAR|CUSRES)\W", body)
    return found[1].decode().lower() if found else "codeco"
