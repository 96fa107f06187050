"""IFTSTA: what a carrier says happened to a container or a consignment, on any mode of transport.

One movement for each status (STS) and container. The dates of the legs around it (arrivals and departures, expected and
past) stand in `text`: they are about the journey, not about this status. Times are wall times of the place.
Source: UN/EDIFACT D.00B IFTSTA; UN/ECE Recommendation 24 for numeric codes (9011/4405); ASC X12 element 157 for the
letters, which ocean carriers use here too.

>>> [reading] = read(
...     b"UNB+UNOC:2+ABCD:ZZZ+KOUAN:ZZZ+240501:1021+79'UNH+1+IFTSTA:D:00B:UN'BGM+23+2BOG1+9'RFF+BM:ABCD1234'CNI+1'"
...     b"STS+1+VD:::Vessel departed'DTM+334:202405010710:203'LOC+175+CNSHG:139'TDT+20+031W+1+13++++:::COSCO AFRICA'"
...     b"EQD+CN+CSQU3054383+45G1:102:5+++5'UNT+10+1'UNZ+1+79'"
... )
>>> move = reading.reports[0]
>>> move.subject, move.code, move.raw_code, move.text, move.refs
('container:CSQU3054383', 'VSL_DEP', 'VD', 'Vessel departed', ('bl:ABCD1234',))
"""

from api.formats import edifact
from api.formats.edifact import ELEMENT, Broken, Group, Message, Transport, part
from domain import identifiers, milestones
from domain.report import Classifier, Mode, Moment, Movement, Reading


def read(body: bytes, *, lenient: bool = False) -> list[Reading]:
    """One reading for each message; never raises."""
    return edifact.read(body, "IFTSTA", _translate, local=False, lenient=lenient)


class _Status(Group):
    """What stands under one STS; `eqd` of the group holds the STS itself."""

    __slots__ = ("boxes", "legs")

    def __init__(self, index: int, sts: list[str]) -> None:
        super().__init__(index, sts)
        self.boxes: list[list[str]] = []
        self.legs: list[str] = []


def _translate(message: Message, _bgm: list[str]) -> list[Movement]:
    header, statuses = _gather(message)
    if not statuses:
        raise Broken("edifact.missing", edifact.say("missing", "STS"), path=f"{message.path}/STS")
    return [move for ordinal, status in enumerate(statuses, 1) for move in _moves(message, header, status, ordinal)]


def _gather(message: Message) -> tuple[Group, list[_Status]]:
    header = Group(0, [])
    consignment: list[str] = []
    statuses: list[_Status] = []
    for index, text in enumerate(message.texts):
        tag = text[:3]
        if tag == "CNI":
            named = identifiers.normalise(part(text.split(ELEMENT), 2, 0))
            consignment = [f"bl:{named}"] if 0 < len(named) <= edifact.NAME_CHARS_MAX else []
        elif tag == "STS":
            statuses.append(_Status(index, text.split(ELEMENT)))
            statuses[-1].refs += consignment
        elif not statuses:
            edifact.take(header, text)
        elif tag == "EQD":
            statuses[-1].boxes.append(text.split(ELEMENT))
        else:
            _take(statuses[-1], text)
    return header, statuses


def _take(status: _Status, text: str) -> None:
    """A place and its dates under the TDT of a status are a leg of the journey."""
    if status.transports and text[:3] in {"LOC", "DTM"}:
        elements = text.split(ELEMENT)
        if text[:3] == "LOC":
            status.legs.append(f"{part(elements, 1, 0)} {part(elements, 2, 0) or part(elements, 2, 3)}")
        elif status.legs:
            status.legs[-1] += f" {part(elements, 1, 0)}:{part(elements, 1, 1)}"
        return
    edifact.take(status, text)


def _moves(message: Message, header: Group, status: _Status, ordinal: int) -> list[Movement]:
    path = f"{message.path}/STS[{ordinal}]"
    raw_code, agency, said = part(status.eqd, 2, 0), part(status.eqd, 2, 2), part(status.eqd, 2, 3)
    raw_code = raw_code or said
    if not raw_code:
        raise Broken("edifact.missing", edifact.say("missing", "STS 4405"), status.index, path)
    meaning = _MEANINGS.get(raw_code, "") if not raw_code.isdigit() or agency in _UNITED_NATIONS else ""
    by = next((found for found in status.transports if found.mode), None) or next(iter(status.transports), None)
    mode = _mode(meaning, by)
    place, facility, odd = _spot(status, mode)
    when, classifier = _when(status, place, path)
    moves = []
    for subject, box, wrong in _subjects(header, status, path):
        box_laden = edifact.laden(box)
        code = _code(meaning, mode, box_laden)
        refs = dict.fromkeys((*status.refs, *(ref for ref in header.refs if not ref.startswith("container:"))))
        refs.pop(subject, None)
        warnings = (wrong, odd, "" if code else edifact.say("code", raw_code))
        moves.append(Movement(
            subject=subject, code=code, raw_code=raw_code, when=when, classifier=classifier, place=place,
            facility=facility, mode=mode, transport=by.said if by else "", laden=box_laden,
            seal=" ".join(status.seals), refs=tuple(refs), text="; ".join(filter(None, (said, *status.legs))),
            warnings=tuple([warning for warning in warnings if warning]),
        ))  # fmt: skip
    return moves


def _subjects(header: Group, status: _Status, path: str) -> list[tuple[str, list[str], str]]:
    """Containers of the status by EQD, else by RFF+EQ; where none is named, its bill of lading or booking."""
    named = [(box, *edifact.container(part(box, 2, 0))) for box in status.boxes]
    if found := [(subject, box, wrong) for box, subject, wrong in named if subject]:
        return found
    for kind in ("container:", "bl:", "booking:", "awb:"):
        for refs in (status.refs, header.refs):
            if subjects := [ref for ref in dict.fromkeys(refs) if ref.startswith(kind)]:
                if kind == "container:":
                    return [(ref, [], identifiers.container(ref.removeprefix(kind))[1]) for ref in subjects]
                return [(subjects[0], [], "")]
    raise Broken("edifact.missing", edifact.say("missing", "EQD / RFF+EQ / RFF+BM / RFF+BN"), status.index, path)


def _mode(meaning: str, by: Transport | None) -> Mode:
    """The code's own mode (VD is of a vessel), else that of the transport."""
    return _FORCED.get(meaning.partition(" ")[2], by.mode if by else "")


def _code(meaning: str, mode: Mode, laden: bool | None) -> str:
    verb = meaning.partition(" ")[0]
    if verb.startswith("="):
        return verb.removeprefix("=")
    if verb in {"ARRI", "DEPA"}:
        return milestones.from_dcsa_transport(verb, mode=mode) if mode else ""
    return milestones.from_dcsa_equipment(verb, mode=mode, empty=None if laden is None else not laden) if verb else ""


def _spot(status: _Status, mode: Mode) -> tuple[str, str, str]:
    """The place of activity (175, 165), else the first place of the status."""
    loc = status.places.get("175") or status.places.get("165") or next(iter(status.places.values()), "")
    return edifact.locate(loc, mode) if loc else ("", "", edifact.say("missing", "LOC+175"))


def _when(status: _Status, place: str, path: str) -> tuple[Moment, Classifier]:
    for qualifier, classifier in _TIMES:
        if composite := status.times.get(qualifier):
            try:
                return edifact.moment(composite, place), classifier
            except Broken as fault:
                raise Broken(fault.code, fault.detail, status.index, f"{path}/DTM") from fault
    raise Broken("edifact.missing", edifact.say("missing", "DTM+334"), status.index, f"{path}/DTM")


# --- code tables ---

_TIMES: tuple[tuple[str, Classifier], ...] = (
    ("334", "ACT"), ("203", "ACT"), ("7", "ACT"), ("178", "ACT"), ("186", "ACT"), ("132", "EST"), ("133", "EST"),
)  # 2005: change of status, execution, effective, actual arrival and departure, expected ones  # fmt: skip
_UNITED_NATIONS = frozenset({"", "6"})  # 3055: numbers of another agency are its own
_FORCED: dict[str, Mode] = {"VESSEL": "VESSEL", "BARGE": "BARGE", "RAIL": "RAIL", "TRUCK": "TRUCK"}
_MEANINGS = {
    # Recommendation 24
    "1": "ARRI", "6": "=BKG_CONF", "7": "=BKG_CANC", "16": "=BORDER_CROSSED", "18": "=DAMAGED", "21": "=POD",
    "22": "=POD", "24": "DEPA", "26": "DISC RAIL", "28": "STRP", "29": "DISC", "40": "ARRI VESSEL", "45": "=ARN_SENT",
    "48": "LOAD", "59": "DISC", "70": "LOAD RAIL", "83": "=SEALED", "93": "STUF", "94": "STUF",
    # X12 157
    "A": "ARRI", "AE": "LOAD VESSEL", "AL": "LOAD RAIL", "AM": "LOAD TRUCK", "AO": "LOAD BARGE", "AP": "LOAD VESSEL",
    "AR": "ARRI RAIL", "AV": "=AVAILABLE", "BF": "=BKG_CONF", "CS": "=SEALED", "D": "=POD", "EE": "=EMPTY_OUT",
    "I": "GTIN", "OA": "GTOT", "P": "DEPA", "RD": "=EMPTY_IN", "RL": "DEPA RAIL", "UR": "DISC RAIL",
    "UV": "DISC VESSEL", "VA": "ARRI VESSEL", "VD": "DEPA VESSEL",
}  # status -> DCSA verb and mode, or the milestone itself; what customs did is for customs to say  # fmt: skip
