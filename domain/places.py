"""Places: ports, airports, railway and border stations under one canonical code, with names, coordinates, time zones.

The canonical code is the UN/LOCODE where it is known, else the IATA code of an airport. A code that is not known stays
as it was reported; nothing is ever refused for its place. Sources, each read once when first asked:

* `places.csv` beside this file: Jiangsu, Shaanxi, the great ports, airports and railway borders, in both languages.
  Coordinates are degrees; a zone stands there only where the country has several.
* searoute's ports outside China (inside, its codes are partly not those of UN/LOCODE) and airportsdata's airports.
* babel's zones of countries, for those that have no airport.

Local times that come without an offset are told in the zone of the place, else of the source, else UTC; a `Moment` says
which. An hour that a clock shows twice in autumn is taken for the first, one that it skips in spring for as long after
midnight as stated: the result is always the same, and `doubt` tells of it.
"""

import csv
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from math import cos, radians
from pathlib import Path
from zoneinfo import ZoneInfo

import airportsdata
import msgspec
from babel.core import get_global

from domain.errors import Malformed
from domain.report import Moment, ZoneFrom


class BadTime(Malformed):
    """A time that cannot be read."""

    slug = "bad-time"
    title = "The time cannot be understood"


class Place(msgspec.Struct, frozen=True):
    code: str  # canonical
    zh: str  # "" if there is no Chinese name
    en: str
    country: str  # ISO 3166-1 alpha-2
    zone: str  # IANA name; "" if it is not known
    lat: float | None = None
    lon: float | None = None
    kind: str = ""  # port, airport, rail, border, city: what it is best known for


# --- aliases ---

# Codes of earlier editions of UN/LOCODE, or of other lists, and the code of today.
_RENAMED = {
    "CNNJP": "CNNJG", "CNTSI": "CNJIJ", "CNCGU": "CNCGS", "CNDFE": "CNDFG",
    "CNSQI": "CNSUQ", "CNYHZ": "CNYNZ", "CNYAN": "CNYSA", "CNERC": "CNRLC",
}  # fmt: skip

# Airport, city and port of one place. The trade writes the airport's code for the port: CNSHA is Hongqiao airport.
_SAME_PLACE = """
CNSHA CNSGH CNSHG, CNTAO CNQIN CNQDG, CNXMN CNXAM CNXMG, CNNGB CNNBO CNNBG, CNTSN CNTNJ CNTXG, CNNKG CNNJI CNNJG,
CNDLC CNDAL CNDAG, CNCAN CNGGZ CNGZG, CNSZX CNSNZ CNSZP, CNFOC CNFZH CNFZG, CNWUH CNNHN CNWHG, CNCKG CNCQI CNCHQ,
CNYNT CNYAT CNYTG, CNHAK CNHKO CNHIG, CNWUX CNWXS CNWXS, CNXUZ CNXZH CNXZH,
CNSIA CNXIA, CNCTU CNCDU, CNCGO CNZGZ, CNURC CNURM, CNPEK CNBJS, CNHGH CNHAZ
"""
_TRIPLES = tuple(row.split() for row in _SAME_PLACE.split(","))
_SEVERAL_AIRPORTS = frozenset({"CNSGH", "CNBJS", "CNCDU"})
_AIRPORT_TO_PORT = {airport: port[0] for airport, _, *port in _TRIPLES if port}
_BY_SEA = _AIRPORT_TO_PORT | {city: port[0] for _, city, *port in _TRIPLES if port}
_BY_RAIL = {airport: city for airport, city, *_ in _TRIPLES}
_BY_AIR = {city: airport for airport, city, *_ in _TRIPLES if city not in _SEVERAL_AIRPORTS}

_ALIASES = {"VESSEL": _BY_SEA, "BARGE": _BY_SEA, "RAIL": _BY_RAIL, "AIR": _BY_AIR}
_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_IATA = re.compile(r"[A-Z]{3}")


def _plain(code: str) -> str:
    plain = code.strip().upper()
    if len(plain) == len("CN SHA") and plain[2] in " -":
        return plain[:2] + plain[3:]
    return plain


@lru_cache(maxsize=1 << 16)
def canonical(code: str, mode: str) -> str:
    """The code under which everybody's statements on a place meet; what is no known code comes back as it was.

    Only the air means an airport by an airport's code; everyone else means the port, and the railway the city.

    >>> canonical("CNSHA", "VESSEL"), canonical("CNSHA", "AIR"), canonical("XIY", "AIR"), canonical("Berth 7", "")
    ('CNSHG', 'CNSHA', 'CNSIA', 'Berth 7')
    """
    plain = _plain(code)
    if _IATA.fullmatch(plain) and mode not in {"VESSEL", "BARGE", "RAIL"}:
        return _locodes_by_iata().get(plain, plain)
    if not _LOCODE.fullmatch(plain):
        return code.strip()
    current = _RENAMED.get(plain, plain)
    current = _ALIASES.get(mode, _AIRPORT_TO_PORT).get(current, current)
    if mode == "AIR" and current not in _own() and _airport_of(current) is not None:
        return current[2:]
    return current


# --- look-up ---


@lru_cache(maxsize=1 << 16)
def find(code: str) -> Place | None:
    """The place of a UN/LOCODE or of an airport's IATA code, whatever the mode; None if it is not known.

    >>> find("XIY").zh, find("CNLYG").zone, find("FRLEH").en, find("ZZZZZ")
    ('西安咸阳国际机场', 'Asia/Shanghai', 'Le Havre', None)
    """
    plain = _plain(code)
    plain = _RENAMED.get(plain, plain)
    if _IATA.fullmatch(plain):
        locode = _locodes_by_iata().get(plain)
        return _own()[locode] if locode else _airports().get(plain)
    if plain in _own():
        return _own()[plain]
    port = _ports().get(plain)
    return port and msgspec.structs.replace(port, zone=_zone_at(port.country, port.lat, port.lon))


@lru_cache(maxsize=1 << 14)
def name(code: str, lang: str) -> str:
    """The name in Chinese if `lang` begins with zh and there is one, else in English; the code if it is not known.

    >>> name("NLRTM", "zh"), name("NLRTM", "en"), name("USXYZ", "zh")
    ('鹿特丹', 'Rotterdam', 'USXYZ')
    """
    place = find(code)
    if place is None:
        return code
    return (place.zh if lang.startswith("zh") else "") or place.en or code


@lru_cache(maxsize=1 << 16)
def zone_of(code: str) -> tuple[str, ZoneFrom]:
    """The place's IANA zone, and whether it is known from the place or assumed.

    Where a country has several zones, a UN/LOCODE that ends in the IATA code of one of its airports takes that one's;
    of a place that nothing else is known of, the zone of most of the country's airports is assumed.

    >>> zone_of("CNSHG"), zone_of("USMEM"), zone_of("gate 4")
    (('Asia/Shanghai', 'place'), ('America/Chicago', 'place'), ('UTC', 'assumed'))
    """
    place = find(code)
    if place is not None and place.zone:
        return place.zone, "place"
    plain = _plain(code)
    if _LOCODE.fullmatch(plain):
        airport = _airport_of(plain)
        zone = _country_zone(plain[:2]) or (airport.zone if airport else "")
        if zone:
            return zone, "place"
        return _usual_zone(plain[:2]), "assumed"
    return "UTC", "assumed"


# --- the sources ---


@lru_cache(maxsize=1)
def _own_rows() -> tuple[dict[str, str], ...]:
    with Path(__file__).with_name("places.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@lru_cache(maxsize=1)
def _locodes_by_iata() -> dict[str, str]:
    return {row["iata"]: row["code"] for row in _own_rows() if row["iata"]}


@lru_cache(maxsize=1)
def _own() -> dict[str, Place]:
    found = {}
    for row in _own_rows():
        airport = _airports().get(row["iata"])
        lat, lon = (float(row["lat"]), float(row["lon"])) if row["lat"] else (None, None)
        if lat is None and airport is not None:
            lat, lon = airport.lat, airport.lon
        country = airport.country if airport else row["code"][:2]
        zone = row["zone"] or _zone_at(country, lat, lon) or (airport.zone if airport else "")
        found[row["code"]] = Place(row["code"], row["zh"], row["en"], country, zone, lat, lon, row["kind"])
    return found


@lru_cache(maxsize=1)
def _ports() -> dict[str, Place]:
    """By UN/LOCODE, still without zone. From the file itself: importing searoute would load its routing too."""
    package = find_spec("searoute")
    assert package is not None
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "data" / "ports_dict.py"
    spec = spec_from_file_location("searoute_ports", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Place] = {}
    for node in module.node_list.values():
        code, lat, lon = node["port"] or "", node["y"], node["x"]
        if _LOCODE.fullmatch(code) and not code.startswith("CN") and code not in found:
            found[code] = Place(code, "", node["name"], code[:2], "", lat, lon, "port")
    return found


@lru_cache(maxsize=1)
def _airports() -> dict[str, Place]:
    """By IATA code; a code of a whole city stands for the first of its airports."""
    found = {}
    for code, row in airportsdata.load("IATA").items():
        country = row["country"]
        zone = _beijing(country) or row["tz"]
        found[code] = Place(code, "", row["name"], country, zone, row["lat"], row["lon"], "airport")
    for code, city in airportsdata.load_iata_macs().items():
        for member in city["airports"]:
            if code not in found and member in found:
                found[code] = msgspec.structs.replace(found[member], code=code, en=city["name"], kind="city")
    return found


def _airport_of(locode: str) -> Place | None:
    airport = _airports().get(locode[2:])
    return airport if airport is not None and airport.country == locode[:2] else None


# --- zones ---


def _beijing(country: str) -> str:
    """China's clocks show Beijing time everywhere, ports and railways in Xinjiang included."""
    return "Asia/Shanghai" if country == "CN" else ""


@lru_cache(maxsize=1)
def _airports_by_country() -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in _airports().values():
        if place.zone:
            found.setdefault(place.country, []).append(place)
    return found


@lru_cache(maxsize=512)
def _country_zone(country: str) -> str:
    """The zone of a country that has but one, else ""."""
    if zone := _beijing(country):
        return zone
    zones = {place.zone for place in _airports_by_country().get(country, ())}
    zones = zones or set(get_global("territory_zones").get(country, ()))
    return zones.pop() if len(zones) == 1 else ""


def _usual_zone(country: str) -> str:
    """The zone in which most of a country's airports lie; UTC if it has none."""
    zones = Counter(place.zone for place in _airports_by_country().get(country, ()))
    return zones.most_common(1)[0][0] if zones else "UTC"


def _zone_at(country: str, lat: float | None, lon: float | None) -> str:
    """The country's zone, or that of its nearest airport; "" if neither is known."""
    zone = _country_zone(country)
    if zone or lat is None or lon is None:
        return zone
    narrow = cos(radians(lat))
    near = min(
        _airports_by_country().get(country, ()),
        key=lambda place: ((place.lat or 0.0) - lat) ** 2 + (((place.lon or 0.0) - lon) * narrow) ** 2,
        default=None,
    )
    return near.zone if near else ""


@lru_cache(maxsize=1024)
def _clock(zone: str) -> tzinfo:
    """Of an IANA name or ±HH:MM; raises ValueError or OSError if it is neither."""
    if zone[:1] not in {"+", "-"}:
        try:
            return ZoneInfo(zone)
        except KeyError as fault:
            raise ValueError(zone) from fault
    digits = zone[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-ahead if zone[0] == "-" else ahead)


# --- times ---

_TIME = re.compile(
    r"([0-9]{4})[-/]?([0-9]{2})[-/]?([0-9]{2})"
    r"(?:[T ]?([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,9})|([0-9]{3}))?)?)?"
    r" ?(Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SINCE_MIDNIGHT = {f"{at // 60:02}{at % 60:02}": timedelta(minutes=at) for at in range(24 * 60)}
_AHEAD = {f"{s}{at // 60:02}:{at % 60:02}": timedelta(minutes=int(f"{s}{at}")) for s in "+-" for at in range(1440)}


def moment(text: str, place: str, source_zone: str = "") -> Moment:
    """Reads CCYYMMDD[HHMM[SS[mmm]]] (EDIFACT 102, 203, 204) and ISO 8601, with or without an offset. Raises BadTime.

    `place` and `source_zone` count only where the text has no offset; a day without an hour is its midnight.

    >>> moment("202603011200", "CNLYG")
    Moment(at=datetime.datetime(2026, 3, 1, 4, 0, tzinfo=datetime.timezone.utc), \
wall='2026-03-01T12:00', zone='Asia/Shanghai', zone_from='place')
    >>> moment("2026-03-01T12:00:00-05:00", "CNLYG").zone
    '-05:00'
    """
    try:
        if len(text) == len("202603011200"):
            day, since = _day(text[:8], place, source_zone), _SINCE_MIDNIGHT.get(text[8:])
            if day is not None and since is not None:
                midnight, wall, zone, known = day
                return Moment(midnight + since, f"{wall}T{text[8:10]}:{text[10:]}", zone, known)
        elif (ahead := _AHEAD.get(text[19:])) is not None and text[10] == "T":
            wall = text[:19]
            return Moment(datetime.fromisoformat(f"{wall}Z") - ahead, wall, text[19:], "stated")
        elif text[4::3] == "--T::Z":
            return Moment(datetime.fromisoformat(text), text[:19], "+00:00", "stated")
    except (ValueError, OverflowError):
        pass
    return _read(text, place, source_zone)


@lru_cache(maxsize=1 << 14)
def _day(digits: str, place: str, source_zone: str) -> tuple[datetime, str, str, ZoneFrom] | None:
    """Midnight, date and zone of a day CCYYMMDD; None if it is none, or its clocks are moved on it."""
    try:
        zone, known = _zone_for(None, place, source_zone)
        midnight = datetime.fromisoformat(digits).replace(tzinfo=_clock(zone))
        turned = midnight.utcoffset() != (midnight + timedelta(days=1)).utcoffset()  # none ever turned twice in a day
        if turned or not digits.isdigit():  # 2026-W01 would be a date, too
            return None
        return midnight.astimezone(UTC), midnight.date().isoformat(), zone, known
    except (ValueError, OverflowError, OSError):
        return None


def _read(text: str, place: str, source_zone: str) -> Moment:
    """The same for every form; `moment` takes a short way for those that make up the bulk."""
    parts = _TIME.fullmatch(text.strip())
    if parts is None:
        raise BadTime(f"{text!r} is not a time: neither digits CCYYMMDDHHMM nor ISO 8601", text=text)
    year, month, day, hour, minute, second, fraction, millis, offset = parts.groups()
    try:
        local = datetime(int(year), int(month), int(day))  # noqa: DTZ001  the zone comes below
        if hour is None:
            wall = local.date().isoformat()
        else:
            local = _at_hour(local, hour, minute, second or "0")
            wall = local.isoformat(timespec="seconds" if second else "minutes")
        if digits := fraction or millis:
            local = local.replace(microsecond=int(digits[:6].ljust(6, "0")))
            wall = f"{wall}.{digits}"
        zone, known = _zone_for(offset, place, source_zone)
        return Moment(local.replace(tzinfo=_clock(zone)).astimezone(UTC), wall, zone, known)
    except (ValueError, OverflowError, OSError) as fault:
        raise BadTime(f"{text!r} is not a time: {fault}", text=text) from fault


def _at_hour(day: datetime, hour: str, minute: str, second: str) -> datetime:
    if hour == "24" and int(minute) == int(second) == 0:
        return day + timedelta(days=1)
    return day.replace(hour=int(hour), minute=int(minute), second=int(second))


def _zone_for(offset: str | None, place: str, source_zone: str) -> tuple[str, ZoneFrom]:
    if offset is not None:
        if offset in {"Z", "UTC", "GMT"}:
            return "+00:00", "stated"
        return f"{offset[:3]}:{offset[-2:] if len(offset) > len('+08') else '00'}", "stated"
    zone, known = zone_of(place)
    if known == "assumed" and source_zone:
        return source_zone, "source"
    return zone, known


def doubt(when: Moment) -> str:
    """A warning if the clock of the zone showed this wall time twice, or never; "" if it is plain.

    >>> doubt(moment("202610250230", "DEHAM")).partition(" / ")[2]
    '2026-10-25T02:30 occurs twice in Europe/Berlin; the first is taken'
    """
    if when.zone_from == "stated" or not when.wall:
        return ""
    clock = _clock(when.zone)
    early = datetime.fromisoformat(when.wall).replace(tzinfo=clock)
    late = early.replace(fold=1)
    if early.utcoffset() == late.utcoffset():
        return ""
    where = f"{when.zone} {when.wall}："
    if early.astimezone(UTC).astimezone(clock).replace(tzinfo=None) == early.replace(tzinfo=None):
        return f"{where}该时刻出现两次，取第一次 / {when.wall} occurs twice in {when.zone}; the first is taken"
    forward = f"{when.wall} does not occur in {when.zone}, where clocks were put forward"
    return f"{where}时钟拨快，没有该时刻，按拨快前的时差计 / {forward}; the offset before that is taken"
