"""What EDIFACT messages to and from customs share: the numbers of consignments, and the time of a document.

Times are wall times of the place, in its zone. Seldom needed alone: cuscar and cusres use it.
Source: UN/EDIFACT directories D.95B to D.16B, code lists 1153 (references), 2005 (times), 3227 (places).
"""

import re
from collections.abc import Iterable

from api.formats import edifact
from api.formats.edifact import COMPONENT, ELEMENT, Broken, Message, part
from domain import identifiers
from domain.report import Mode, Moment

TEXT_CHARS_MAX = 500  # of goods or of remarks, told in every statement that they are about


def reference(text: str) -> tuple[str, str]:
    """Qualifier and subject of an RFF; the subject is "" for kinds that are none of Kouan's."""
    composite = text.split(ELEMENT, 2)[1] if ELEMENT in text else ""
    qualifier, _, rest = composite.partition(COMPONENT)
    return qualifier, subject(_KINDS.get(qualifier, ""), rest.partition(COMPONENT)[0])


def subject(kind: str, named: str) -> str:
    """kind:number; "" where either is missing. A transport document of any mode is an air waybill by its shape only."""
    if kind == "document":
        kind = "awb" if identifiers.kind_of(named)[0] == "awb" else "bl"
    if kind == "container":
        return edifact.container(named)[0]
    number = identifiers.awb(named)[0] if kind == "awb" else identifiers.normalise(named)
    if kind == "declaration":
        number = number.replace(" ", "").replace("-", "")
    return f"{kind}:{number}" if kind and 0 < len(number) <= edifact.NAME_CHARS_MAX else ""


def when(message: Message, times: dict[str, str], qualifiers: Iterable[str], place: str, warnings: list[str]) -> Moment:
    """The first of these times that can be read, else that of the interchange, with a warning. Raises Broken."""
    for composite in filter(None, map(times.get, qualifiers)):
        try:
            return edifact.moment(composite, place)
        except Broken as fault:
            warnings.append(fault.detail)
    if not message.interchange.sent:
        raise Broken("edifact.missing", edifact.say("missing", "DTM+137"), path=f"{message.path}/DTM")
    warnings.append(edifact.say("interchange time"))
    return edifact.moment(COMPONENT.join(("137", message.interchange.sent)), place)


def spot(places: dict[str, str], qualifiers: Iterable[str], mode: Mode) -> tuple[str, str, str]:
    """Place, facility and warning of the first of these LOC; an office of customs is a facility."""
    for loc in filter(None, map(places.get, qualifiers)):
        office = part(loc.split(ELEMENT), 2, 0)
        return edifact.locate(loc, mode) if _PORT.fullmatch(office) else ("", office, "")
    return "", "", ""


def words(text: str) -> str:
    """The free text of an FTX."""
    return " ".join(filter(None, "".join(text.split(ELEMENT)[4:5]).split(COMPONENT)))


def brief(texts: Iterable[str]) -> str:
    """Texts in one, as long as is kept of them."""
    kept = "; ".join(filter(None, texts))
    return kept if len(kept) <= TEXT_CHARS_MAX else kept[: TEXT_CHARS_MAX - 1] + "…"


# --- code tables ---

_PORT = re.compile(r"[A-Z]{2}[A-Z2-9]{3}", re.ASCII)
_KINDS = {
    **dict.fromkeys(("BM", "MB", "BH", "HWB", "XC"), "bl"),  # XC: the cargo control number of a consignment
    **dict.fromkeys(("AWB", "MWB"), "awb"),
    **dict.fromkeys(("AAS", "AAM"), "document"),
    **dict.fromkeys(("EQ", "AAQ"), "container"),
    **dict.fromkeys(("ABT", "AAE"), "declaration"),  # given by customs; by either side
    "AFB": "manifest",
    "BN": "booking",
}  # 1153
