"""Contents of declarations as they would be entered, sound ones, for tests to spoil."""

from copy import deepcopy
from typing import Any

GOODS = {
    "hs_code": "8471300000",
    "name": "便携式计算机",
    "model": "0|0|14英寸",
    "quantity": "100",
    "unit": "001",
    "first_quantity": "100",
    "first_unit": "001",
    "second_quantity": "180.5",
    "second_unit": "035",
    "price": "500.25",
    "total": "50025.00",
    "currency": "USD",
    "origin": "KOR",
    "destination": "CHN",
    "district": "32019",
    "duty_mode": "1",
}
IMPORT: dict[str, Any] = {
    "kind": "import",
    "declaring_customs": "2308",
    "border_customs": "2248",
    "transport_mode": "2",
    "transport_name": "KOUAN STAR",
    "voyage": "021W",
    "bill": "KOUA0000001",
    "contract": "HT-2026-001",
    "regime": "0110",
    "duty_nature": "101",
    "terms": "1",
    "country": "KOR",
    "trading_country": "KOR",
    "via_port": "KOR003",
    "departure_port": "KOR003",
    "entry_port": "310001",
    "packages": 10,
    "packaging": "22",
    "gross_kg": "200",
    "net_kg": "180.5",
    "goods_place": "洋山三期",
    "trader": {"name": "江苏示例贸易有限公司", "uscc": "91320000MA0000015K", "customs_code": "3201960001"},
    "owner": {"name": "江苏示例制造有限公司", "uscc": "91320500MA00000313"},
    "agent": {"name": "南京示例报关有限公司", "uscc": "91610100MA0000023K"},
    "goods": [GOODS],
    "containers": [{"number": "CSQU3054383", "size": "21", "lines": [1]}],
    "documents": [{"code": "Y", "number": "<E>12345"}],
}


def content(**changes: Any) -> dict[str, Any]:
    """An import declaration with these fields otherwise; None leaves one out."""
    made = {**deepcopy(IMPORT), **changes}
    return {name: value for name, value in made.items() if value is not None}


def export(**changes: Any) -> dict[str, Any]:
    return content(**{"kind": "export", "departure_port": None, **changes})


def summary(**changes: Any) -> dict[str, Any]:
    """The first step of a two-step declaration: few fields, HS codes of six digits."""
    goods = {name: GOODS[name] for name in ("name", "quantity", "unit", "total", "currency", "origin")}
    names = ("declaring_customs", "border_customs", "transport_mode", "transport_name", "bill", "regime")
    made = {name: IMPORT[name] for name in (*names, "trader", "agent")}
    said = {f"involves_{what}": False for what in ("licence", "inspection", "duty")}
    return {"kind": "summary", **deepcopy(made), **said, "goods": [{**goods, "hs_code": "847130"}], **changes}


def transit(**changes: Any) -> dict[str, Any]:
    leg = {"form": "advance", "destination_customs": "9009", "mode": "3", "vehicle": "X8412"}
    return content(**{"kind": "transit", "direction": "I", "transit": leg, **changes})


def goods(**changes: Any) -> list[dict[str, Any]]:
    return [{**GOODS, **changes}]
