"""CUSCAR: the cargo report or manifest that a carrier gives to customs.

What it says is that the manifest was submitted (MAN_SUBMITTED); whether customs accepts it, CUSRES or a national answer
tells. One movement for each consignment, with its goods, packages, weight and containers, and one for each container
with its bills, seals and weight; one for the manifest itself. Function 3 of BGM takes back the consignments that it
names and no others. Times are wall times of the place, in its zone. Weights are kg.
Source: UN/EDIFACT D.95B, D.00A and D.16A CUSCAR; BGM 1001 is 85 customs manifest, 785 cargo manifest, 833 and 933 cargo
declaration at departure and on arrival.

>>> [reading] = read(
...     b"UNB+UNOA:2+COSCO+CUSTOMS+240501:0830+93'UNH+1+CUSCAR:D:95B:UN'BGM+785+MN24050001+9'DTM+137:202405010815:203'"
...     b"TDT+20+032E+1+13+COS:172:20+++3ERX3:103::COSCO AFRICA'LOC+60+CNSHG:139:6'EQD+CN+CSQU3054383+45G1+++5'CNI+1'"
...     b"RFF+BM:COSU6123456780'LOC+9+GRPIR:139:6'LOC+11+CNSHG:139:6'GID+1+40:CT'FTX+AAA+++OLIVE OIL'"
...     b"MEA+AAE+AAB+KGM:8200'SGP+CSQU3054383+40'UNT+15+1'UNZ+1+93'"
... )
>>> bill, box, manifest = reading.reports
>>> bill.subject, bill.code, bill.raw_code, bill.pieces, bill.weight_kg, bill.text
('bl:COSU6123456780', 'MAN_SUBMITTED', '785', 40, 8200.0, 'POL GRPIR POD CNSHG; OLIVE OIL')
>>> bill.refs, box.refs, manifest.subject
(('container:CSQU3054383', 'manifest:MN24050001'), ('bl:COSU6123456780', 'manifest:MN24050001'), 'manifest:MN24050001')
"""

from msgspec.structs import replace

from api.formats import edifact, edifact_customs
from api.formats.edifact import ELEMENT, Broken, Group, Message, part
from domain import identifiers
from domain.report import Mode, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "CUSCAR", _translate, lenient=lenient)


class _Consignment(Group):
    """What stands under one transport document, or under a CNI that names none; `eqd` of the group holds the CNI."""

    __slots__ = ("boxes", "goods", "pieces", "subject", "weights")

    def __init__(self, index: int, cni: list[str]) -> None:
        super().__init__(index, cni)
        self.subject = ""
        self.boxes: list[str] = []
        self.goods: list[str] = []
        self.pieces: list[int] = []  # of each goods item, -1 where it does not say
        self.weights: list[str] = []  # of each goods item a MEA, or ""


class _Manifest:
    """A message sorted: what stands before the first consignment, the equipment, the consignments."""

    def __init__(self) -> None:
        self.header = Group(0, [])
        self.equipment: list[Group] = []
        self.consignments: list[_Consignment] = []

    def boxes(self) -> dict[str, Group]:
        """Containers of the equipment list by subject."""
        listed = [box for box in self.equipment if part(box.eqd, 1, 0) in _CONTAINERS]
        return {subject: box for box in listed if (subject := edifact.container(part(box.eqd, 2, 0))[0])}

    def others(self) -> set[str]:
        """Trailers, pallets and the like: no containers, though goods may be stowed in them."""
        listed = (box for box in self.equipment if part(box.eqd, 1, 0) not in _CONTAINERS)
        return {edifact.container(part(box.eqd, 2, 0))[0] for box in listed}


def _translate(message: Message, bgm: list[str]) -> list[Movement]:
    told = _gather(message)
    said = _said(message, bgm, told.header)
    manifest = (said.subject,) if said.subject else ()
    boxes, others = told.boxes(), told.others()
    bills: dict[str, list[str]] = {box: [] for box in boxes}
    moves = []
    for one in _merged(message, told.consignments):
        one.boxes = [box for box in dict.fromkeys(one.boxes) if box and box not in others]
        for box in one.boxes:
            bills.setdefault(box, []).append(one.subject)
        moves.append(_consigned(one, said, manifest))
    if edifact.deletes(message, bgm):
        return moves  # the manifest stands, and its containers may hold other consignments of it
    moves += [_boxed(box, boxes.get(box), said, (*named, *manifest)) for box, named in bills.items()]
    return [*moves, said] if manifest else moves


def _said(message: Message, bgm: list[str], header: Group) -> Movement:
    """What is said of the manifest, and so of all that is in it; without subject if it has no number."""
    by = next(iter(header.transports), None)
    mode: Mode = (by.mode if by else "") or "VESSEL"
    place, facility, odd = edifact_customs.spot(header.places, _PLACES, mode)
    warnings = [odd] if odd else []
    when = edifact_customs.when(message, header.times, ("137", "9"), place, warnings)
    named = next((ref for ref in header.refs if ref.startswith("manifest:")), "")
    return Movement(
        subject=named or edifact_customs.subject("manifest", part(bgm, 2, 0)),
        code="MAN_SUBMITTED_REVERSED" if edifact.deletes(message, bgm) else "MAN_SUBMITTED",
        raw_code=part(bgm, 1, 0), when=when, place=place, facility=facility, mode=mode,
        transport=by.said if by else "", warnings=tuple(warnings),
    )  # fmt: skip


def _gather(message: Message) -> _Manifest:
    told = _Manifest()
    group = told.header
    for index, text in enumerate(message.texts):
        tag = text[:3]
        if tag == "CNI":
            told.consignments.append(_Consignment(index, text.split(ELEMENT, 5)))
        elif told.consignments:
            _take(told.consignments, index, text)
        elif tag == "EQD":
            group = Group(index, text.split(ELEMENT, 10))
            told.equipment.append(group)
        elif tag == "CNT":
            edifact.check_count(message, index, text, len(told.equipment))
        elif tag == "RFF":
            group.refs.append(edifact_customs.reference(text)[1])
        else:
            edifact.take(group, text)
    return told


def _take(consignments: list[_Consignment], index: int, text: str) -> None:
    one, tag = consignments[-1], text[:3]
    if tag == "RFF":
        _take_rff(consignments, index, text)
    elif tag == "GID":
        one.pieces.append(edifact.number(part(text.split(ELEMENT, 3), 2, 0)))
        one.weights.append("")
    elif tag == "SGP":
        one.boxes.append(edifact.container(part(text.split(ELEMENT, 2), 1, 0))[0])
    elif tag == "MEA" and one.weights and not one.weights[-1]:
        mea = text.split(ELEMENT, 4)
        one.weights[-1] = text if (part(mea, 2, 0) or part(mea, 1, 0)) in _GROSS else ""
    elif tag == "FTX" and part(text.split(ELEMENT, 2), 1, 0) == _GOODS:
        one.goods.append(edifact_customs.words(text))
    elif tag == "LOC":
        edifact.take(one, text)


def _take_rff(consignments: list[_Consignment], index: int, text: str) -> None:
    """A transport document names the consignment; another one under the same CNI begins the next."""
    one = consignments[-1]
    qualifier, named = edifact_customs.reference(text)
    if named and qualifier not in _DOCUMENTS:
        one.refs.append(named)
    elif named:
        if one.subject not in {"", named}:
            one = _Consignment(index, one.eqd)
            consignments.append(one)
        one.subject = named


def _merged(message: Message, consignments: list[_Consignment]) -> list[_Consignment]:
    """Each consignment once. One that no RFF names goes by the document of its CNI, else by its master document."""
    merged: dict[str, _Consignment] = {}
    for one in consignments:
        numbered = edifact_customs.subject("document", part(one.eqd, 2, 0))
        master = next((ref for ref in one.refs if ref.startswith(("bl:", "awb:"))), "")
        one.subject = one.subject or numbered or master
        if not one.subject:
            raise Broken("edifact.missing", edifact.say("missing", "RFF+BM"), one.index, f"{message.path}/CNI")
        one.refs += [numbered] if numbered else []  # the master of a house bill
        known = merged.setdefault(one.subject, one)
        if known is not one:
            known.boxes += one.boxes
            known.goods += one.goods
            known.pieces += one.pieces
            known.weights += one.weights
            known.refs += one.refs
    return list(merged.values())


def _consigned(one: _Consignment, said: Movement, manifest: tuple[str, ...]) -> Movement:
    weighed = [edifact.weight(text) for text in one.weights if text]
    counted = [pieces for pieces in one.pieces if pieces >= 0]
    refs = dict.fromkeys((*one.boxes, *one.refs, *manifest))
    refs.pop(one.subject, None)
    return replace(
        said, subject=one.subject, pieces=sum(counted) if counted else None,
        weight_kg=round(sum(weight or 0.0 for weight, _ in weighed), 3) or None, refs=tuple(refs),
        text=edifact_customs.brief((edifact.ports(one), *one.goods)),
        warnings=(*said.warnings, *dict.fromkeys(unread for _, unread in weighed if unread)),
    )  # fmt: skip


def _boxed(subject: str, box: Group | None, said: Movement, refs: tuple[str, ...]) -> Movement:
    """A container may hold several consignments, or none that is named."""
    weight, unread = edifact.measure(box) if box else (None, "")
    wrong = identifiers.container(subject.removeprefix("container:"))[1]
    return replace(
        said, subject=subject, laden=edifact.laden(box.eqd) if box else None, seal=" ".join(box.seals) if box else "",
        weight_kg=weight, refs=refs, warnings=(*said.warnings, *filter(None, (wrong, unread))),
    )  # fmt: skip


# --- code tables ---

_DOCUMENTS = frozenset({"BM", "BH", "HWB", "AWB", "AAS", "AAM", "XC"})  # 1153; a master document is named beside them
_GOODS = "AAA"  # 4451: goods description
_CONTAINERS = frozenset({"CN", "SW"})  # 8053: container, swap body
_PLACES = ("60", "22", "41", "42", "17", "11", "9")  # 3227: of arrival, offices of customs, the ports of the voyage
_GROSS = frozenset({"G", "AAB", "AAG", "WT", "VGM"})  # 6313 of a goods item
