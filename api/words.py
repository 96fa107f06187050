"""How a line, a number and a sum are written for a person, in Chinese or English, on pages and in the terminal alike.

`lang` is "zh" or "en". Times are shown on the clock of their place, with its zone named; money comes in minor units.
"""

from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location, get_timezone_name
from babel.numbers import format_currency, format_decimal, get_currency_precision

from domain import identifiers
from projections.timeline import Line

Pair = tuple[str, str]
LOCALES = {"zh": Locale.parse("zh_CN"), "en": Locale.parse("en")}

CLASSES: dict[str, Pair] = {"ACT": ("实际", "Actual"), "EST": ("预计", "Expected"), "PLN": ("计划", "Planned")}
MODES: dict[str, Pair] = {
    "VESSEL": ("海运", "Sea"),
    "BARGE": ("内河", "Barge"),
    "RAIL": ("铁路", "Rail"),
    "TRUCK": ("公路", "Road"),
    "AIR": ("空运", "Air"),
}
CUSTOMS: Pair = ("海关", "Customs")
ZONE_FROM: dict[str, Pair] = {
    "stated": ("报文给出", "stated in the message"),
    "place": ("由地点得知", "known from the place"),
    "source": ("由来源约定", "agreed with the source"),
    "assumed": ("推定，未经确认", "assumed, not confirmed"),
}
BEIJING: Pair = ("北京时间", "China time")
ITEM_CLASSES: dict[str, Pair] = {"government": ("政务服务", "Government"), "commercial": ("商业服务", "Commercial")}


def pick(pair: Pair, lang: str) -> str:
    """One of two languages; the other one where it is missing."""
    zh, en = pair
    return (zh or en) if lang == "zh" else (en or zh)


def class_name(line: Line, lang: str) -> str:
    """Whether it happened, is expected or is planned."""
    return pick(CLASSES.get(line.classifier, (line.classifier, line.classifier)), lang)


def mode_name(mode: str, subject: str, lang: str) -> str:
    """The mode of transport as a word; "海关" for what customs says; "" if no mode is known."""
    if not mode and subject.startswith("declaration:"):
        return pick(CUSTOMS, lang)
    return pick(MODES.get(mode, (mode, mode)), lang)


def milestone(line: Line, lang: str) -> str:
    """What happened; the source's own word where its code is not known."""
    return pick((line.zh, line.en), lang) or line.raw_code or line.code


def place(line: Line, lang: str) -> str:
    """Where, with its code if the name is known; "" if the source did not say."""
    named = pick((line.place_zh, line.place_en), lang)
    return f"{named} {line.place}" if named and named != line.place else line.place


def number(kind: str, text: str) -> str:
    """A number as it is printed on the paper: air waybills with their dash."""
    return identifiers.show_awb(text) if kind == "awb" else text


def pieces(line: Line, lang: str) -> str:
    """How many pieces the statement is about, of how many: `5 / 12 件`; "" if it does not say."""
    if line.pieces is None:
        return ""
    unit = pick(("件", "pieces" if (line.pieces_total or line.pieces) != 1 else "piece"), lang)
    of = f" / {line.pieces_total}" if line.pieces_total is not None else ""
    return f"{line.pieces}{of} {unit}"


def weight(line: Line, lang: str) -> str:
    """In kilograms, as precise as it came."""
    return "" if line.weight_kg is None else f"{quantity(line.weight_kg, lang)} kg"


# --- time ---


def at(text: str) -> datetime:
    """The instant of a line, still on the clock of its place."""
    return datetime.fromisoformat(text)


def day(instant: datetime, lang: str) -> str:
    """2026年10月12日 星期一, or Monday, 12 October 2026."""
    return format_date(instant, "y年M月d日 EEEE" if lang == "zh" else "EEEE, d MMMM y", locale=LOCALES[lang])


def minute(text: str) -> str:
    """2026-10-12 08:30 +08:00, for tables and one-line mentions."""
    instant = at(text)
    return f"{instant:%Y-%m-%d %H:%M} {offset(instant)}"


def stamp(instant: datetime) -> str:
    """To the second, in UTC: for what machines did."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def offset(instant: datetime) -> str:
    """+08:00."""
    sign_and_digits = instant.strftime("%z")
    return f"{sign_and_digits[:3]}:{sign_and_digits[3:5]}"


def zone_name(zone: str, instant: datetime, lang: str) -> str:
    """The zone as people call it (北京时间, 中欧夏令时间, Amsterdam time), or UTC+8 from a bare offset."""
    if zone == "Asia/Shanghai":
        return pick(BEIJING, lang)
    if "/" in zone and lang == "en":  # the formal names are long: Central European Summer Time
        return f"{get_timezone_location(zone, locale=LOCALES[lang], return_city=True)} time"
    if "/" in zone:
        return get_timezone_name(instant.astimezone(_zone(zone)), locale=LOCALES[lang])
    seconds = int((instant.utcoffset() or UTC.utcoffset(None)).total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    shown = f"{hours}:{rest // 60:02d}" if rest else f"{hours}"
    return f"UTC{'-' if seconds < 0 else '+'}{shown}" if seconds else "UTC"


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)


# --- numbers ---


def quantity(value: float, lang: str) -> str:
    """12,345; the cache of formats is Babel's."""
    return format_decimal(value, locale=LOCALES[lang])


def money(minor: int, currency: str, lang: str) -> str:
    """An amount in minor units, exactly: ¥0.02, CN¥0.02."""
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return format_currency(amount, currency, locale=LOCALES[lang])


def said(warning: str, lang: str) -> str:
    """A warning in the reader's language: they are written `中文 / English`.

    >>> said("时刻未报 / time not stated", "en"), said("as the source wrote it", "zh")
    ('time not stated', 'as the source wrote it')
    """
    zh, _, en = warning.partition(" / ")
    return pick((zh, en or zh), lang)
