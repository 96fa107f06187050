"""How a line, a number and a sum are written for a person, in Chinese or English, on pages and in the terminal alike.

`lang` is "zh" or "en". Times are shown on the clock of their place, with its zone named; money comes in minor units.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location, get_timezone_name
from babel.numbers import format_currency, format_decimal, get_currency_precision

from billing.fee_words import in_words
from domain import identifiers
from domain.period import ZONE
from projections.history import Eta, Parts
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
rule = in_words
ITEM_CLASSES: dict[str, Pair] = {"government": ("政务服务", "Government"), "commercial": ("商业服务", "Commercial")}
WAIVERS: dict[str, Pair] = {"": ("", ""), "trial": ("试用", "Trial"), "sandbox": ("沙箱", "Sandbox")}


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
    return "" if line.pieces is None else counted(line.pieces, line.pieces_total, lang)


def counted(count: int, total: int | None, lang: str) -> str:
    """Pieces, of how many.

    >>> counted(5, 12, "zh"), counted(1, None, "en")
    ('5 / 12 件', '1 piece')
    """
    unit = pick(("件", "pieces" if (total or count) != 1 else "piece"), lang)
    return f"{count} / {total} {unit}" if total is not None else f"{count} {unit}"


def weight(line: Line, lang: str) -> str:
    """In kilograms, as precise as it came."""
    return "" if line.weight_kg is None else f"{quantity(line.weight_kg, lang)} kg"


# --- what several lines say together ---


def part(told: Parts, lang: str) -> str:
    """How many pieces have passed a milestone: 航班离港 · 西安咸阳国际机场 · 5 / 12 件."""
    where = pick((told.place_zh, told.place_en), lang) or told.place
    words = (pick((told.zh, told.en), lang), where, counted(told.pieces, told.pieces_total, lang))
    return " · ".join(word for word in words if word)


def eta(told: Eta, lang: str) -> str:
    """When it arrives, who says so, how often that was said otherwise, and when it did arrive."""
    where = pick((told.place_zh, told.place_en), lang) or told.place
    parts = [pick((told.zh, told.en), lang), where]
    if told.expected_at:
        parts += [f"{pick(CLASSES[told.classifier], lang)} {minute(told.expected_at)}", told.source]
    if len(told.history) > 1:
        first = minute(told.history[0].expected_at)
        parts.append(
            pick((f"共报 {len(told.history)} 次，首报 {first}", f"told {len(told.history)} times, first {first}"), lang)
        )
    if told.arrived_at:
        parts.append(f"{pick(CLASSES['ACT'], lang)} {minute(told.arrived_at)}{_late(told.late_hours, lang)}")
    return " · ".join(part for part in parts if part)


MINUTES_MAX = 120  # from there on in hours


def _late(hours: float | None, lang: str) -> str:
    if not hours:
        return ""
    minutes = round(abs(hours) * 60)
    span = pick((f"{minutes} 分钟", f"{minutes} min"), lang)
    if minutes >= MINUTES_MAX:
        span = pick((f"{abs(hours):.1f} 小时", f"{abs(hours):.1f} h"), lang)
    return (
        pick((f"（比预计晚 {span}）", f" ({span} later than expected)"), lang)
        if hours > 0
        else pick((f"（比预计早 {span}）", f" ({span} earlier than expected)"), lang)
    )


OVERTAKEN: dict[str, Pair] = {
    "revised": ("已有新的预计", "revised since"),
    "arrived": ("已抵达", "arrived since"),
}


def overtaken(etas: Iterable[Eta]) -> dict[UUID, str]:
    """The estimates that are history, each with a word of OVERTAKEN."""
    return {
        said.fact_id: "arrived" if told.arrived_at else "revised"
        for told in etas
        for said in told.history
        if told.arrived_at or said.fact_id != told.fact_id
    }


def not_shown(retracted: int, corrected: int, lang: str) -> str:
    """How many lines no longer stand and are left out; "" if none."""
    counts = ((retracted, ("已撤回", "retracted")), (corrected, ("已更正", "corrected")))
    told = [
        f"{count} {pick(word, lang)}" if lang == "en" else f"{pick(word, lang)} {count} 条"
        for count, word in counts
        if count
    ]
    return "" if not told else pick(("未列出：", "not shown: "), lang) + pick(("、", ", "), lang).join(told)


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


def shanghai(instant: datetime) -> str:
    """2026-11-03 10:00, on the clock of the books: for what people of finance did and when it is due."""
    return f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M}"


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
