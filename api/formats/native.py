"""Kouan's own JSON: one statement about one container or consignment, all fields of every other format.

A body is one object, an array of objects, or NDJSON (an object on each line). Times are ISO 8601, with an offset or in
the local time of `place`; weights are kilograms. An unknown field is a fault, for it would be lost in silence.
Source: this file, edition 1; codes are those of domain/milestones.py.

>>> body = b'{"subject": "container:CSQU3054383", "code": "GATE_IN", "happened_at": "2024-11-21T10:30+08:00"}'
>>> [reading] = read(body)
>>> reading.reports[0].subject, reading.reports[0].when.at.isoformat()
('container:CSQU3054383', '2024-11-21T02:30:00+00:00')
"""

from hashlib import sha256
from typing import Annotated

import msgspec

from api.formats.jsonslices import Slice, load, records
from domain import identifiers, places
from domain.errors import Malformed
from domain.milestones import MILESTONES
from domain.report import KINDS, Classifier, Fault, Function, Mode, Moment, Movement, Reading, Receipt

SLUG = "native"
Name = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    id: Name = ""  # the source's own reference; without it the bytes are their own
    subject: Name = ""  # kind:number
    code: Name = ""  # canonical milestone
    raw_code: Name = ""  # the source's own code; at least one of the two
    happened_at: Name = ""
    classifier: Classifier = "ACT"
    place: Name = ""
    facility: Name = ""
    mode: Mode = ""
    transport: Name = ""
    laden: bool | None = None
    pieces: Count | None = None
    pieces_total: Count | None = None
    partial: bool = False  # about a part of the consignment only; fewer pieces than the total say so too
    weight_kg: Annotated[float, msgspec.Meta(ge=0)] | None = None
    seal: Name = ""
    refs: tuple[Name, ...] = ()
    text: str = ""
    sent_at: Name = ""
    document: Name = ""
    function: Function = "original"


class _Bad(Exception):
    """A field that reads well as JSON and yet makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, f"$.{field}")


def read(body: bytes) -> list[Reading]:
    """One Reading for each object; blank lines and an empty array hold none."""
    return [_reading(body, where) for where in records(body)]


def _reading(body: bytes, where: Slice) -> Reading:
    item = load(body, where, _decode, SLUG)
    if isinstance(item, Fault):
        return Reading(key=_digest(body, where), start=where[0], end=where[1], fault=item)
    reading = Reading(
        key=item.id or _digest(body, where),
        start=where[0],
        end=where[1],
        document=item.document,
        function=item.function,
    )
    try:
        reading.sent_at = _moment(item.sent_at, item.place, "sent_at").at if item.sent_at else None
        reading.reports = _reports(item)
    except _Bad as bad:
        reading.reports = []
        reading.fault = msgspec.structs.replace(bad.fault, offset=where[0])
    return reading


def _digest(body: bytes, where: Slice) -> str:
    return sha256(body[where[0] : where[1]]).hexdigest()


def _reports(item: Item) -> list[Movement | Receipt]:
    if item.function != "original" and not item.document:
        raise _Bad("document", "document", f"{item.function}：未说明单证号 / {item.function} of no document")
    if item.function == "cancel" and not item.subject:
        return []
    return [_movement(item)]


def _movement(item: Item) -> Movement:
    warnings: list[str] = []
    subject = _subject(item.subject, "subject", warnings)
    refs = tuple([_subject(ref, f"refs[{at}]", warnings) for at, ref in enumerate(item.refs)])
    place = places.canonical(item.place, item.mode) if item.place else ""
    if not (item.code or item.raw_code):
        raise _Bad("code", "code", "没有状态代码 / neither code nor raw_code")
    known = item.code.removesuffix("_REVERSED") in MILESTONES
    if not known:
        warnings.append(f"状态代码未知，按原样保存 / unknown code, kept as sent: {item.code or item.raw_code}")
    moved = Movement(
        subject=subject,
        code=item.code if known else "",
        raw_code=item.raw_code or item.code,
        when=_moment(item.happened_at, place, "happened_at"),
        classifier=item.classifier,
        place=place,
        facility=item.facility,
        mode=item.mode,
        transport=item.transport,
        laden=item.laden,
        weight_kg=item.weight_kg,
        seal=item.seal,
        refs=refs,
        text=item.text,
        warnings=tuple(warnings),
    )
    return moved if item.pieces is None and item.pieces_total is None and not item.partial else _counted(moved, item)


def _counted(moved: Movement, item: Item) -> Movement:
    """With its pieces, which few have: a call with more than fifteen keywords is a slow one (domain/fact.py)."""
    partial = item.partial or (item.pieces is not None and item.pieces < (item.pieces_total or 0))
    return msgspec.structs.replace(moved, pieces=item.pieces, pieces_total=item.pieces_total, partial=partial)


def _subject(text: str, field: str, warnings: list[str]) -> str:
    kind, _, number = text.partition(":")
    if kind not in KINDS:
        raise _Bad("subject", field, f"主体种类未知 / unknown kind of subject: {text!r}")
    if kind in _CHECKED:
        number, warning = _CHECKED[kind](number)
        if warning:
            warnings.append(warning)
    elif kind != "object":  # a URI says what it says
        number = identifiers.normalise(number)
    if not number:
        raise _Bad("subject", field, f"缺少号码 / the number is missing: {text!r}")
    return f"{kind}:{number}"


def _moment(text: str, place: str, field: str) -> Moment:
    try:
        return places.moment(text, place)
    except Malformed as error:
        raise _Bad("time", field, f"时间无法理解 / the time cannot be understood: {text!r}") from error


_CHECKED = {"container": identifiers.container, "awb": identifiers.awb}
_decode = msgspec.json.Decoder(Item).decode
