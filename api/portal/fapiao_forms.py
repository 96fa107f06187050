"""The forms about fapiao: what stands in them at first, and what they say as the desk takes it. Amounts are yuan.

What was refused is shown again as it was typed.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg

from api.fapiao_desk import Classified, ToRecord, ToRedden, ToRequest
from api.words import Pair
from billing import fapiao_books
from billing.bank_csv import amount_of
from billing.fapiao import Request
from billing.fapiao_books import Shown
from domain.errors import Malformed
from domain.fapiao import KINDS, Kind, Title
from domain.money import yuan
from domain.period import ZONE
from projections.usage import Whose

Fields = dict[str, str]
BUYER = ("name", "tax_id", "address", "phone", "bank", "bank_account")
REQUEST = ("kind", *BUYER)
RECORD = ("number", "kind", "issued_on", "net", "tax", "total")
REDDEN = ("original", "confirmation", "credit_note", "reason", *RECORD)
CLASSIFY = ("item", "tax_code", "short", "item_name")
FIELDS = {"request": REQUEST, "record": RECORD, "redden": REDDEN, "classify": CLASSIFY}
STATES: dict[str, tuple[str, Pair]] = {
    "different": ("odd", ("不符", "Differs")),
    "requested": ("ACT", ("待开票", "To be issued")),
    "missing": ("PLN", ("未申请", "Not asked for")),
    "issued": ("PLN", ("已开票", "Issued")),
}
"""State -> look, name; what somebody must do something about first."""


class OnStatement(NamedTuple):
    """What a statement's page says of its fapiao. `found`: none needs to be issued."""

    found: Shown | None = None
    asks: bool = False  # the reader is whom it is billed to
    fields: Mapping[str, str] = MappingProxyType({})  # of the form that asks for it
    refused: str = ""


NAMES = tuple(dict.fromkeys(["step", *(name for each in FIELDS.values() for name in each)]))
"""Every field of every form, with the step that is asked for."""

UNTYPED: Fields = dict.fromkeys(NAMES, "")


# --- as they are first shown ---


def asking(shown: Shown, holder_zh: str) -> Fields:
    """For whom it was asked for last, or the party that is billed."""
    last = shown.waiting
    buyer = last.buyer if last else Title(name=holder_zh, tax_id=shown.holder) if shown.is_party else Title(name="")
    return {"kind": last.kind if last else "ordinary", **{name: getattr(buyer, name) for name in BUYER}}


def recording(request: Request | None, now: datetime) -> Fields:
    """As it was asked for: the clerk checks it against what the tax system issued."""
    fields = dict.fromkeys(RECORD, "") | {"kind": "ordinary", "issued_on": today(now)}
    if request is None:
        return fields
    sums = {name: yuan(getattr(request, f"{name}_minor")) for name in ("net", "tax", "total")}
    return fields | sums | {"kind": request.kind}


def reddening(shown: Shown, notes_left: Mapping[str, int], now: datetime) -> Fields:
    """Of the first blue one that has something left: what is too much, on the only credit note; or all of it."""
    fields = dict.fromkeys(REDDEN, "") | {"issued_on": today(now)}
    blue = next((each for each in shown.blue if each.left_minor), None)
    if blue is None:
        return fields
    fields |= {"original": blue.number, "kind": blue.kind, "total": yuan(-blue.left_minor)}
    if shown.difference_minor <= 0:
        return fields
    note, most = next(iter(notes_left.items())) if len(notes_left) == 1 else ("", blue.left_minor)
    much = min(blue.left_minor, shown.difference_minor, most)
    return fields | {"credit_note": note, "total": yuan(-much)}


def today(now: datetime | None = None) -> str:
    return (now or datetime.now(UTC)).astimezone(ZONE).date().isoformat()


# --- as they are sent: each raises Malformed ---


def to_request(fields: Fields) -> ToRequest:
    return ToRequest(kind=_kind(fields), buyer=Title(**{name: fields[name] for name in BUYER}))


def to_record(fields: Fields) -> ToRecord:
    minors = {f"{name}_minor": _amount(fields, name) for name in ("net", "tax", "total")}
    return ToRecord(number=fields["number"], kind=_kind(fields), issued_on=_day(fields), **minors)


def to_redden(fields: Fields) -> ToRedden:
    """Of a red one all amounts are below zero, with or without a sign before them."""
    minors: dict[str, Any] = {f"{name}_minor": -abs(_amount(fields, name)) for name in ("net", "tax", "total")}
    told: dict[str, Any] = {name: fields[name] for name in ("original", "confirmation", "credit_note", "reason")}
    return ToRedden(number=fields["number"], kind=_kind(fields), issued_on=_day(fields), **minors, **told)


def to_classify(fields: Fields) -> Classified:
    return Classified(tax_code=fields["tax_code"], short=fields["short"], name=fields["item_name"])


def _kind(fields: Fields) -> Kind:
    for each in KINDS:
        if each == fields["kind"]:
            return each
    raise Malformed("请选择发票种类 / choose the kind of fapiao", field="kind")


def _day(fields: Fields) -> date:
    said = fields["issued_on"][:20]
    try:
        return date.fromisoformat(said)
    except ValueError as error:
        raise Malformed(
            f"开票日期 {said!r} 不是日期 / {said!r} is not a date: write it as 2026-11-05",
            field="issued_on",
        ) from error


def _amount(fields: Fields, name: str) -> int:
    said = {"net": ("金额", "the amount"), "tax": ("税额", "the tax"), "total": ("价税合计", "the total")}
    if not fields[name]:
        zh, en = said[name]
        raise Malformed(f"须填写{zh} / {en} is missing", field=name)
    return amount_of(fields[name])


# --- on the page of a statement ---


def on_statement(
    connection: psycopg.Connection[Any], number: str, whose: Whose, holder_zh: str, told: OnStatement
) -> OnStatement:
    """`told`: what came of the form, if it was sent just now."""
    found = fapiao_books.listed(connection, number=number, holder=whose.holder, is_party=whose.is_party)
    if not found:
        return told
    fields = asking(found[0], holder_zh) | {name: told.fields[name] for name in REQUEST if name in told.fields}
    return told._replace(found=found[0], asks=whose.holder is not None, fields=fields)
