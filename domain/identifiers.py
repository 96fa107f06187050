"""The numbers that cargo, carriers and enterprises go by: how they are written, and what their check digits say.

A number that a source reports is kept, however odd: those functions answer the number as it is stored, and a warning
("" if there is nothing to say). What a person enters as their own (a declaration, an enterprise) is refused when it is
wrong. Sources: ISO 6346 (containers), IATA Resolution 600a (air waybills), IMO Resolution A.1117(30) (ships), the CIM
consignment note manual (rail), GB 32100 and GB 11714 (enterprises in China), customs form instructions (declarations).
The arithmetic of ISO 6346, IMO, Luhn and GB 32100 is python-stdnum's.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal

import msgspec
from stdnum import imo as _imo
from stdnum import iso6346, luhn
from stdnum.cn import uscc as _uscc

from domain.errors import Malformed

Checked = tuple[str, str]
"""The number as it is stored, and a warning."""


class BadIdentifier(Malformed):
    """A number that cannot be one of its kind."""

    slug = "bad-identifier"
    title = "The number does not have the form of its kind"


_EDGES = " \t\r\n-/\u3000\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"  # what NFKC makes no space of, too
_SEPARATORS = str.maketrans("", "", " \t\r\n-–/.·\u3000")


def normalise(text: str) -> str:
    """Upper case, full-width letters made plain, without spaces, dashes and slashes at the edges; those inside stay.

    >>> normalise(" -cosu 6123/45- "), normalise("ＣＳＱＵ３０５４３８３")
    ('COSU 6123/45', 'CSQU3054383')
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.strip(_EDGES).upper()


def _compact(text: str) -> str:
    return normalise(text).translate(_SEPARATORS)


def _ends(zh: str, en: str, number: str, right: str) -> str:
    return f"{zh} {number} 末位应为 {right} / {en} {number} should end in {right}"


# --- container: ISO 6346, four letters, six digits and a check digit ---

_CONTAINER = re.compile(r"[A-Z]{3}[UJZR][0-9]{7}")
_LETTERS = {letter: value for value, letter in enumerate("0123456789A BCDEFGHIJK LMNOPQRSTU VWXYZ")}


@lru_cache(maxsize=1 << 16)
def container(text: str) -> Checked:
    """Warns of a wrong check digit, and of the remainder 10, which the standard advises not to use.

    >>> container("csqu 305438-3")
    ('CSQU3054383', '')
    >>> container("MSKU1234567")
    ('MSKU1234567', '箱号 MSKU1234567 末位应为 5 / Container number MSKU1234567 should end in 5')
    """
    if not _CONTAINER.fullmatch(number := text) and not _CONTAINER.fullmatch(number := _compact(text)):
        return number, f"箱号 {number} 不是 ISO 6346 箱号 / {number} is not a container number of ISO 6346"
    right = iso6346.calc_check_digit(number[:10])
    if right != number[10]:
        return number, _ends("箱号", "Container number", number, right)
    if right == "0" and sum(_LETTERS[letter] << place for place, letter in enumerate(number[:10])) % 11:
        zh = f"箱号 {number} 校验余数为 10（记作 0），ISO 6346 不建议使用"
        return number, f"{zh} / Container number {number} has the check remainder 10, which ISO 6346 advises against"
    return number, ""


# --- air waybill: the airline's prefix of three digits, a serial of seven, and that serial modulo 7 ---

_AWB = re.compile(r"[0-9]{11}")


@lru_cache(maxsize=1 << 16)
def awb(text: str) -> Checked:
    """Warns of a wrong check digit.

    >>> awb("112-00000011"), awb("999 12345676")[1]
    (('11200000011', ''), '运单号 999-12345676 末位应为 5 / Air waybill 999-12345676 should end in 5')
    """
    number = _compact(text)
    if not _AWB.fullmatch(number):
        return number, f"运单号 {number} 不是 11 位数字 / Air waybill {number} is not eleven digits"
    right = str(int(number[3:10]) % 7)
    if right != number[10]:
        return number, _ends("运单号", "Air waybill", show_awb(number), right)
    return number, ""


def show_awb(number: str) -> str:
    """As printed on the paper; any other length as it is.

    >>> show_awb("11200000011")
    '112-00000011'
    """
    return f"{number[:3]}-{number[3:]}" if len(number) == len("11200000011") else number


# --- ship: IMO number, seven digits, the last a check digit ---

_IMO = re.compile(r"[0-9]{7}")


def imo(text: str) -> Checked:
    """Warns of a wrong check digit; the letters IMO before it are dropped.

    >>> imo("IMO 9074729"), imo("8814274")[1]
    (('9074729', ''), 'IMO 编号 8814274 末位应为 5 / IMO number 8814274 should end in 5')
    """
    number = _compact(text).removeprefix("IMO")
    if not _IMO.fullmatch(number):
        return number, f"IMO 编号 {number} 不是 7 位数字 / IMO number {number} is not seven digits"
    right = _imo.calc_check_digit(number[:6])
    if right != number[6]:
        return number, _ends("IMO 编号", "IMO number", number, right)
    return number, ""


# --- rail consignment note CIM: country, station, carrier, then five digits and their Luhn digit ---

_CIM = re.compile(r"[0-9]*?([0-9]{5})([0-9])")


def cim(text: str) -> Checked:
    """Warns of a wrong check digit. SMGS and domestic notes have no known form; do not pass them here.

    >>> cim("80 12345 2185 70268 8")
    ('80123452185702688', '')
    """
    number = _compact(text)
    parts = _CIM.fullmatch(number)
    if parts is None:
        zh = f"CIM 运单 {number} 末尾不是五位数字加校验位"
        return number, f"{zh} / CIM consignment note {number} does not end in five digits and a check digit"
    right = luhn.calc_check_digit(parts[1])
    if right != parts[2]:
        return number, _ends("CIM 运单", "CIM consignment note", number, right)
    return number, ""


# --- enterprise in China: unified social credit code 统一社会信用代码, 18 characters without I O S V Z ---

_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def uscc(text: str) -> Checked:
    """Raises BadIdentifier if the form or the check character (GB 32100) is wrong; warns of the inner one (GB 11714).

    The authority and the category may be letters, which python-stdnum's own validation does not allow.

    >>> uscc("91320000ma0000015k")
    ('91320000MA0000015K', '')
    """
    number = _compact(text)
    if not _USCC.fullmatch(number):
        raise BadIdentifier(f"{number!r} is not a unified social credit code", kind="uscc", value=number)
    right = _uscc.calc_check_digit(number[:17])
    if right != number[17]:
        detail = f"Unified social credit code {number} ends in {number[17]}; its check character should be {right}"
        raise BadIdentifier(detail, kind="uscc", value=number)
    inner = _organisation_check(number[8:16])
    if inner != number[16]:
        return number, _ends("组织机构代码", "Organisation code", number[8:17], inner)
    return number, ""


def _organisation_check(body: str) -> str:
    remainder = sum(int(letter, 36) * weight for letter, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True)) % 11
    return "0X987654321"[remainder]


# --- customs declaration 报关单号: customs district, year, import or export, serial; it has no check digit ---

_ENTRY = re.compile(r"([0-9]{4})((?:19|20)[0-9]{2})([01])([0-9]{9})")


class EntryId(msgspec.Struct, frozen=True):
    number: str
    customs: str  # accepting customs, domain/customs_districts.py
    year: int
    direction: Literal["import", "export"]
    serial: str


def entry_id(text: str) -> EntryId:
    """Raises BadIdentifier. The serial's inner make-up differs by customs office and is not looked at.

    >>> entry_id("370820200000136038").direction
    'export'
    """
    number = _compact(text)
    parts = _ENTRY.fullmatch(number)
    if parts is None:
        raise BadIdentifier(
            f"{number!r} is not a declaration number: customs (4), year (4), 1 import or 0 export, serial (9)",
            kind="declaration",
            value=number,
        )
    return EntryId(number, parts[1], int(parts[2]), "import" if parts[3] == "1" else "export", parts[4])


# --- any number ---

_SHAPES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"HTTPS?://.+"), ("object",)),
    (re.compile(r"[\u4e00-\u9fff][A-Z][0-9A-Z\u4e00-\u9fff]{5,6}"), ("truck",)),  # 苏A12345, 陕AD12345
    (_CONTAINER, ("container", "bl", "booking")),
    (_AWB, ("awb", "rail", "bl", "booking", "manifest")),
    (_ENTRY, ("declaration", "rail", "bl")),
    (re.compile(r"[IE](?:19|20)[0-9]{11,15}"), ("declaration", "bl", "booking")),  # SeqNo 数据中心统一编号
    (re.compile(r"[0-9]{18}|Z[0-9]{17}"), ("declaration", "rail")),
    (re.compile(r"[A-Z]{4}[0-9A-Z]{6,}"), ("bl", "booking", "manifest", "rail")),  # a carrier's code and its number
    (re.compile(r"[0-9]{13}"), ("manifest", "bl", "booking", "rail")),  # road manifest batch 货物运输批次号
    (re.compile(r"[0-9]+"), ("rail", "booking", "bl", "manifest", "declaration")),
)


def kind_of(number: str) -> tuple[str, ...]:
    """Which kinds of domain.report.KINDS a bare number may be, most likely first; never empty.

    >>> kind_of("CSQU3054383")[0], kind_of("112-00000011")[0], kind_of("370820200000136038")[0]
    ('container', 'awb', 'declaration')
    """
    plain = normalise(number)
    if not plain.startswith("HTTP"):
        plain = plain.translate(_SEPARATORS)
    for shape, kinds in _SHAPES:
        if shape.fullmatch(plain):
            return kinds
    return ("bl", "booking", "rail", "manifest", "truck")


_ONE_SLASH = re.compile(r"\A(https?):/+", re.IGNORECASE)


def stored(typed: str) -> str:
    """A number as it is stored, however a person wrote it, or a router of URLs left it.

    >>> stored("csqu 305438-3"), stored("112-0000 0011"), stored("https:/1r.example.com/a"), stored(" ab/1-2 ")
    ('CSQU3054383', '11200000011', 'https://1r.example.com/a', 'AB/1-2')
    """
    typed = _ONE_SLASH.sub(r"\1://", typed.strip())
    kind = kind_of(typed)[0]
    if kind == "object":
        return typed
    if kind in {"container", "awb"}:
        return (container if kind == "container" else awb)(typed)[0]
    plain = normalise(typed)
    return plain.replace(" ", "").replace("-", "") if kind == "declaration" else plain
