"""EPC URIs and GS1 Digital Links as subjects, and what an EPCIS document says by them of places and steps.

An SSCC or SGTIN is stored under its Digital Link, whichever of the two spellings a source uses; a company's own domain
is exchanged for GS1's. Everything else stays as it was sent.
Source: EPC Tag Data Standard 2.0 (URIs; BIC for containers, IMOVN for ships), GS1 Digital Link 1.2, CBV 2.0 8.5.

>>> thing("urn:epc:id:sscc:0614141.1234567890").subject
'object:https://id.gs1.org/00/106141412345678908'
>>> thing("https://shop.example/01/09521141123454/21/A1?x=1").subject
'object:https://id.gs1.org/01/09521141123454/21/A1'
>>> thing("urn:epc:id:bic:CSQU3054383").subject, locode("https://example.org/unlocode#CNLYG")
('container:CSQU3054383', 'CNLYG')
"""

import re
from typing import Literal

import msgspec
from stdnum import ean

from domain import identifiers, places


class Named(msgspec.Struct, frozen=True):
    """Something that an event names."""

    uri: str  # as sent
    kind: Literal["container", "ship", "object", "paper"]
    number: str
    subject: str  # kind:number of domain.report.KINDS; "" for a ship, which is no subject
    warning: str = ""


def thing(uri: str) -> Named:
    """A physical or digital object by its EPC."""
    uri = uri.strip()
    if box := _BIC.fullmatch(uri):
        number, warning = identifiers.container(box[1])
        return Named(uri, "container", number, f"container:{number}", warning)
    if ship := _SHIP.fullmatch(uri):
        number, warning = identifiers.imo(ship[1])
        return Named(uri, "ship", number, "", warning)
    link = _link(uri)
    return Named(uri, "object", link, f"object:{link}")


def paper(uri: str, kind: str) -> Named | None:
    """A business transaction: a bill of lading, a container, or another document by its URI. None if it has no id."""
    uri = uri.strip()
    if not uri:
        return None
    if _BIC.fullmatch(uri):
        return thing(uri)
    last = identifiers.normalise(_tail(uri))
    if _bare(kind, "btt") == "bol" and last and not uri.startswith("urn:epc:id:"):
        return Named(uri, "paper", last, f"bl:{last}")
    number, warning = identifiers.container(last)
    if not warning:
        return Named(uri, "container", number, f"container:{number}")
    return Named(uri, "paper", uri, f"object:{uri}")


def step(biz_step: str) -> str:
    """The bare word of a business step, in whichever of the spellings of CBV 1 and 2 it comes."""
    return _bare(biz_step, "bizstep")


def locode(uri: str) -> str:
    """The UN/LOCODE at the end of a location's URI; "" if there is none that is known or is called one."""
    found = _LOCODE.search(uri.strip())
    if found is None:
        return ""
    known = places.find(found[1]) is not None or "locode" in uri.lower()
    return found[1] if known else ""


def _bare(text: str, vocabulary: str) -> str:
    plain = text.strip()
    found = re.fullmatch(rf"(?:urn:epcglobal:cbv:|https?://\S*/|cbv:){vocabulary}[:-](\w+)", plain, re.IGNORECASE)
    return (found[1] if found else plain).lower()


def _tail(uri: str) -> str:
    """What a document is called at home: the last part of a transaction's URI."""
    return re.split(r"[/:#=]", uri.rstrip("/"))[-1] if ":" in uri else uri


def _link(uri: str) -> str:
    if sscc := _SSCC.fullmatch(uri):
        prefix, reference = sscc[1], sscc[2]
        digits = f"{reference[0]}{prefix}{reference[1:]}"
        return f"{GS1}/00/{digits}{ean.calc_check_digit(digits)}" if len(digits) == SSCC_DIGITS else uri
    if sgtin := _SGTIN.fullmatch(uri):
        prefix, item, serial = sgtin[1], sgtin[2], sgtin[3]
        digits = f"{item[0]}{prefix}{item[1:]}"
        return f"{GS1}/01/{digits}{ean.calc_check_digit(digits)}/21/{serial}" if len(digits) == GTIN_DIGITS else uri
    link = _DIGITAL_LINK.fullmatch(uri)
    return f"{GS1}/{link[1] or link[2]}{link[3] or ''}" if link else uri


GS1 = "https://id.gs1.org"
SSCC_DIGITS, GTIN_DIGITS = 17, 13  # without the check digit
_BIC = re.compile(r"urn:epc:id:bic:([A-Za-z]{3}[UJZRujzr][0-9]{7})")
_SHIP = re.compile(r"urn:epc:id:imovn:([0-9]{7})")
_SSCC = re.compile(r"urn:epc:id:sscc:([0-9]{6,12})\.([0-9]{5,11})")
_SGTIN = re.compile(r"urn:epc:id:sgtin:([0-9]{6,12})\.([0-9]{1,7})\.([^/?#\s]+)")
_DIGITAL_LINK = re.compile(
    r"https?://[^/?#]+(?:/[^?#]*)?/(?:(00/[0-9]{18})|(01/[0-9]{14})(?:/(?:22|10)/[^/?#]+)*(/21/[^/?#]+))[^/]*"
)
_LOCODE = re.compile(r"(?:^|[/#:=.])([A-Z]{2}[A-Z2-9]{3})/?$")
