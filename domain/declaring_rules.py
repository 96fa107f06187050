"""How a declaration is read and checked: every fault at once, each with its field, in Chinese and English.

`read` takes what a person or a system entered, field by field; `check` looks at what was read by the rules of its kind.
What a person enters as their own is refused when it is wrong; where the national table is longer than ours the value is
taken with a warning. Weights are kg. Source: customs form instructions (报关单填制规范); two-step declaration notice
(概要申报, 完整申报); ISO 6346; GB 32100.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from stdnum import iso6346

from domain import declaring_codes as codes
from domain import identifiers
from domain.customs_districts import CUSTOMS
from domain.declaring import (
    COSTS,
    HEAD,
    INNER,
    LISTS,
    PARTIES,
    BadDeclaration,
    Content,
    Field,
    FieldFault,
    Kind,
    fault,
)

S = TypeVar("S", bound=msgspec.Struct)

# --- reading: faults of form ---


def read(entered: Mapping[str, Any]) -> tuple[Content, list[FieldFault]]:
    """What was entered, and every fault of form; what cannot be read is left out of the content."""
    faults: list[FieldFault] = []
    plain = {name: value for name, value in entered.items() if name not in LISTS and name not in INNER}
    values = dict(_values(Content, HEAD, plain, "", faults))
    for name, (kind, fields) in INNER.items():
        if (value := entered.get(name)) is not None:
            values[name] = _inner(kind, fields, value, name, faults)
    for name in LISTS:
        if (value := entered.get(name)) is not None:
            values[name] = _list(name, value, faults)
    return Content(**values), faults


def _list(name: str, value: object, faults: list[FieldFault]) -> tuple[msgspec.Struct, ...]:
    kind, fields, most = LISTS[name]
    if not isinstance(value, list):
        faults.append(fault(name, "type", "须为数组", "must be an array", value))
        return ()
    if len(value) > most:
        faults.append(fault(name, "too_many", f"最多 {most} 项", f"may have {most} at most", len(value)))
    return tuple(_inner(kind, fields, each, f"{name}[{index}]", faults) for index, each in enumerate(value[:most]))


def _inner(kind: type[S], fields: dict[str, Field], value: object, path: str, faults: list[FieldFault]) -> S:
    if not isinstance(value, dict):
        faults.append(fault(path, "type", "须为对象", "must be an object", value))
        return kind()
    return kind(**dict(_values(kind, fields, value, f"{path}.", faults)))


def _values(
    kind: type[msgspec.Struct],
    fields: dict[str, Field],
    entered: Mapping[str, Any],
    prefix: str,
    faults: list[FieldFault],
) -> Iterator[tuple[str, Any]]:
    types = {each.name: each.type for each in msgspec.structs.fields(kind)}
    for name, value in entered.items():
        path = f"{prefix}{name}"
        if name not in fields:
            faults.append(fault(path, "unknown", "：没有此项", "is no field of a declaration", value))
        elif value is not None:
            try:
                taken = msgspec.convert(_clean(name, value), types[name], strict=False)
            except (msgspec.ValidationError, ValueError, OverflowError):
                faults.append(fault(path, "type", "无法识别", "cannot be read", value))
                continue
            found = _form(fields[name], path, taken)
            if found is None:
                yield name, taken
            else:
                faults.append(found)


def _clean(name: str, value: object) -> object:
    if isinstance(value, str):
        value = value.strip()
        return value.upper() if name in _UPPER else value
    return str(value) if isinstance(value, float) else value  # the decimal that was written, not its neighbour


def _form(field: Field, path: str, taken: object) -> FieldFault | None:
    """Too long, not printable, or a number that cannot be one."""
    if isinstance(taken, str):
        if field.chars and len(taken) > field.chars:
            return fault(path, "length", f"超过 {field.chars} 字", f"has more than {field.chars} characters", taken)
        if not taken.isprintable():
            return fault(path, "form", "含不可见字符", "holds a character that cannot be printed", taken)
    if isinstance(taken, Decimal) and (not taken.is_finite() or taken < 0 or _digits(taken) > field.chars):
        return fault(path, "form", "须为非负数且位数有限", "must be 0 or more, of few digits", taken)
    if isinstance(taken, int) and not isinstance(taken, bool) and not 0 <= taken < 10 ** (field.chars or 1):
        return fault(path, "form", "须为非负整数且位数有限", "must be a whole number of few digits", taken)
    return None


def _digits(value: Decimal) -> int:
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return max(len(digits) + max(exponent, 0), -exponent)


# --- checking: the rules of its kind ---


def check(content: Content, today: date) -> tuple[list[FieldFault], list[str]]:
    """Every fault, and what is odd yet taken."""
    faults = [*_missing(content), *_coded(content), *_parties(content), *_goods(content)]
    faults += [*_totals(content), *_containers(content), *_documents(content), *_kind(content), *_dates(content, today)]
    once = {(each.field, each.code): each for each in faults}
    return list(once.values()), _odd(content)


def checked(entered: Mapping[str, Any], today: date) -> tuple[Content, list[str]]:
    """What was entered, with warnings. Raises BadDeclaration with all faults of form and of rules."""
    content, faults = read(entered)
    told = {each.field for each in faults}
    found, warnings = check(content, today)
    faults += [each for each in found if each.field not in told and each.field.partition("[")[0] not in told]
    refuse(faults)
    return content, warnings


def refuse(faults: list[FieldFault]) -> None:
    """Raises BadDeclaration if there are any."""
    if faults:
        count = len(faults)
        raise BadDeclaration(
            f"报关单有 {count} 处错误，如 {faults[0].field}：{faults[0].zh} / "
            f"the declaration has {count} fault(s), such as {faults[0].field}: {faults[0].en}",
            faults=[msgspec.to_builtins(each) for each in faults],
        )


def _missing(content: Content) -> Iterator[FieldFault]:
    names = [*_MANDATORY[content.kind]]
    if content.transport_mode in codes.WITH_A_BILL:
        names += ["bill", "transport_name"]
    for name in names:
        if _at(content, name) in _NOTHING:
            yield fault(name, "missing", "未填", "is missing")
    wanted = _GOODS_SUMMARY if content.kind == "summary" else _GOODS_FULL
    for index, goods in enumerate(content.goods):
        for name in wanted:
            if getattr(goods, name) in _NOTHING:
                yield fault(f"goods[{index}].{name}", "missing", "未填", "is missing")


def _at(content: Content, path: str) -> object:
    value: object = content
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _coded(content: Content) -> Iterator[FieldFault]:
    for path, pattern, allowed in _CODED:
        value = str(_at(content, path))
        yield from _code(path, value, pattern, allowed)
    for index, goods in enumerate(content.goods):
        for name, pattern, allowed in _CODED_GOODS:
            yield from _code(f"goods[{index}].{name}", str(getattr(goods, name)), pattern, allowed)
    for name in COSTS:
        cost = getattr(content, name)
        yield from _code(f"{name}.mark", cost.mark, r"[123]", None)
        yield from _code(f"{name}.currency", cost.currency, r"[A-Z]{3}|\d{3}", None)
        if (cost.amount is None) != (cost.mark == ""):
            yield fault(f"{name}.mark", "missing", "须与金额同填", "goes together with an amount")
    for path in ("declaring_customs", "border_customs", "transit.destination_customs"):
        value = str(_at(content, path))
        if value and not (re.fullmatch(r"\d{4}", value) and value[:2] in codes.DIRECT_CUSTOMS):
            yield fault(path, "code", "不是关区代码", "is no customs district", value)


def _code(
    path: str, value: str, pattern: str, allowed: Mapping[str, object] | frozenset[str] | None
) -> Iterator[FieldFault]:
    if not value:
        return
    if not re.fullmatch(pattern, value):
        yield fault(path, "form", "格式不对", "does not have the form of its kind", value)
    elif allowed is not None and value not in allowed:
        yield fault(path, "code", "不在代码表中", "is not in its code table", value)


def _parties(content: Content) -> Iterator[FieldFault]:
    for name in PARTIES:
        party = getattr(content, name)
        if party.uscc:
            try:
                identifiers.uscc(party.uscc)
            except identifiers.BadIdentifier:
                yield fault(f"{name}.uscc", "check", "校验不通过", "is not valid", party.uscc)
        yield from _code(f"{name}.customs_code", party.customs_code, r"[0-9A-Z]{9,10}", None)


def _goods(content: Content) -> Iterator[FieldFault]:
    short = content.kind == "summary" and not content.involves_inspection
    for index, goods in enumerate(content.goods):
        path = f"goods[{index}]"
        wanted, digits = (r"\d{6}|\d{10}", "6 或 10") if short else (r"\d{10}", "10")
        if goods.hs_code and not re.fullmatch(wanted, goods.hs_code):
            en = f"must be {digits.replace('或', 'or')} digits"
            yield fault(f"{path}.hs_code", "form", f"须为 {digits} 位数字", en, goods.hs_code)
        if (goods.second_unit == "") != (goods.second_quantity is None):
            yield fault(f"{path}.second_quantity", "missing", "须与单位同填", "goes together with its unit")
        if goods.price is not None and goods.quantity is not None and goods.total is not None:
            right = goods.price * goods.quantity
            if abs(right - goods.total) > goods.quantity * _PRICE_STEP + _MONEY_STEP:
                zh, en = f"与单价×数量 {right:f} 不符", f"is not price times quantity, {right:f}"
                yield fault(f"{path}.total", "total", zh, en, goods.total)


def _totals(content: Content) -> Iterator[FieldFault]:
    """Lines add up to the header, as far as lines say it: all of them, or none."""
    for name, total in (("net_kg", content.net_kg), ("packages", content.packages)):
        said = [getattr(goods, name) for goods in content.goods]
        if all(each is None for each in said):
            continue
        for index, each in enumerate(said):
            if each is None:
                yield fault(f"goods[{index}].{name}", "missing", "各项须同填", "must be told of every line or of none")
        if None not in said and total is not None and sum(said) != total:
            zh, en = f"与各项合计 {sum(said)} 不符", f"is not the sum of the lines, {sum(said)}"
            yield fault(name, "total", zh, en, total)
    if content.net_kg is not None and content.gross_kg is not None and content.net_kg > content.gross_kg:
        zh, en = f"大于毛重 {content.gross_kg}", f"is more than the gross weight {content.gross_kg}"
        yield fault("net_kg", "total", zh, en, content.net_kg)


def _containers(content: Content) -> Iterator[FieldFault]:
    """Boxes against goods: each box holds lines that there are, each line lies in a box."""
    seen: set[str] = set()
    held: set[int] = set()
    for index, box in enumerate(content.containers):
        path = f"containers[{index}]"
        if not box.number:
            yield fault(f"{path}.number", "missing", "未填", "is missing")
        elif not iso6346.is_valid(box.number):
            yield fault(f"{path}.number", "check", "不符合 ISO 6346", "is not valid by ISO 6346", box.number)
        if box.number and box.number in seen:
            yield fault(f"{path}.number", "repeated", "重复", "is given twice", box.number)
        seen.add(box.number)
        yield from _code(f"{path}.size", box.size, r"[1-3][1-3]|[0-9][0-9]", None)
        strange = [line for line in box.lines if not 1 <= line <= len(content.goods)]
        if strange or not box.lines:
            zh, en = f"须为 1 至 {len(content.goods)} 的商品项号", f"must be lines from 1 to {len(content.goods)}"
            yield fault(f"{path}.lines", "reference", zh, en, ",".join(map(str, strange)))
        held.update(box.lines)
    if content.containers:
        for line in sorted(set(range(1, len(content.goods) + 1)) - held):
            yield fault(
                f"goods[{line - 1}]", "reference", f"第 {line} 项不在任何箱内", f"line {line} is in no container"
            )


def _documents(content: Content) -> Iterator[FieldFault]:
    for index, document in enumerate(content.documents):
        yield from _code(f"documents[{index}].code", document.code, r"[0-9A-Za-z]", None)
        for name in ("code", "number"):
            if not getattr(document, name):
                yield fault(f"documents[{index}].{name}", "missing", "未填", "is missing")


def _kind(content: Content) -> Iterator[FieldFault]:
    """What goes with one kind only."""
    own = {"import": "I", "summary": "I", "complete": "I", "export": "E", "transit": content.direction}[content.kind]
    if content.direction and content.direction != own:
        yield fault("direction", "code", "与报关单类别不符", "does not go with its kind", content.direction)
    if content.kind == "summary" and content.involves_licence and not (content.documents or content.licence):
        yield fault("documents", "missing", "涉证须填许可证或随附单证", "must name the licence or certificate")
    if content.kind != "transit" and content.transit.form:
        yield fault("transit", "code", "仅用于转关申报", "is for a transit declaration only", content.transit.form)


def _dates(content: Content, today: date) -> Iterator[FieldFault]:
    for path, value in (("carried_on", content.carried_on), ("transit.arrives_on", content.transit.arrives_on)):
        if value is not None and not today - _PAST <= value <= today + _AHEAD:
            yield fault(path, "date", "不在合理范围内", "is not a likely date", value)


def _odd(content: Content) -> list[str]:
    """Open code tables, and weights in statutory units that do not agree with the header."""
    warnings = []
    for name in ("declaring_customs", "border_customs"):
        code = getattr(content, name)
        if code and code not in CUSTOMS:
            warnings.append(f"关区代码 {code} 不在本地表中 / customs district {code} is not in our table")
    if re.fullmatch(r"\d{4}", content.regime) and content.regime not in codes.REGIMES:
        warnings.append(f"监管方式 {content.regime} 不在本地表中 / regime {content.regime} is not in our table")
    weighed = [goods.first_quantity or Decimal(0) for goods in content.goods if goods.first_unit == _KG]
    if content.net_kg is not None and sum(weighed) > content.net_kg:
        warnings.append(
            f"各项法定重量合计 {sum(weighed)} 大于净重 {content.net_kg} / "
            f"the statutory weights add up to {sum(weighed)}, more than the net weight {content.net_kg}"
        )
    return warnings + [
        warning for box in content.containers if (warning := identifiers.container(box.number)[1]) and box.number
    ]


_KG = "035"
_PRICE_STEP, _MONEY_STEP = Decimal("0.00005"), Decimal("0.005")  # a price has four decimals, a total two
_PAST, _AHEAD = timedelta(days=3 * 366), timedelta(days=366)
_NOTHING: tuple[object, ...] = ("", None, ())
_SAID = ["declaring_customs", "border_customs", "transport_mode", "regime", "trader.name", "trader.uscc", "agent.name"]
_SAID += ["agent.uscc", "goods"]
_FULL = [*_SAID, "owner.name", "terms", "country", "trading_country", "via_port", "packages", "packaging", "gross_kg"]
_FULL += ["net_kg", "entry_type", "entry_port"]
_MANDATORY: dict[Kind, list[str]] = {
    "import": [*_FULL, "departure_port"],
    "export": _FULL,
    "summary": [*_SAID, "involves_licence", "involves_inspection", "involves_duty"],
    "complete": [*_FULL, "departure_port"],
    "transit": [*_FULL, "direction", "transit.form", "transit.destination_customs", "transit.mode", "transit.vehicle"],
}
_GOODS_SUMMARY = ("hs_code", "name", "quantity", "unit", "total", "currency", "origin")
_GOODS_FULL = (*_GOODS_SUMMARY, "price", "first_quantity", "first_unit", "destination", "district", "duty_mode")
_COUNTRY = r"[A-Z]{3}|\d{3}"
_CODED: tuple[tuple[str, str, Mapping[str, object] | frozenset[str] | None], ...] = (
    ("transport_mode", r".", codes.TRANSPORT_MODES),
    ("transit.mode", r".", codes.TRANSPORT_MODES),
    ("regime", r"\d{4}", None),
    ("duty_nature", r"\d{3}", None),
    ("terms", r".", codes.TERMS),
    ("country", _COUNTRY, None),
    ("trading_country", _COUNTRY, None),
    ("via_port", r"[A-Z0-9]{3,6}", None),
    ("departure_port", r"[A-Z0-9]{3,8}", None),
    ("entry_port", r"[A-Z0-9]{3,8}", None),
    ("packaging", r"[0-9A-Z]{1,2}", None),
    ("entry_type", r".", codes.ENTRY_TYPES),
    ("document_type", r"..", codes.DOCUMENT_TYPES),
)
_CODED_GOODS: tuple[tuple[str, str, Mapping[str, object] | frozenset[str] | None], ...] = (
    ("ciq_code", r"\d{3}", None),
    ("unit", r"\d{3}", None),
    ("first_unit", r"\d{3}", None),
    ("second_unit", r"\d{3}", None),
    ("currency", _COUNTRY, None),
    ("origin", _COUNTRY, None),
    ("destination", _COUNTRY, None),
    ("district", r"\d{5}", None),
    ("duty_mode", r".", codes.DUTY_MODES),
)
_UPPER = frozenset({*(path for path, *_ in _CODED), *(path for path, *_ in _CODED_GOODS), "hs_code", "uscc"})
_UPPER |= {"customs_code", "bill", "direction", "number", "code"}
