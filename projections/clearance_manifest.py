"""The manifest against what terminals, tallies and declarations say: bills, pieces, weight, seal, ship.

Only like is compared with like: pieces and weight of a bill with those of the same bill, of a box with the same box. An
answer of customs on a manifest is a document type and a code (`MT2101/12`): 01 and 11 accept, 03 rejects, 12 forbids
loading, 13 forbids discharge; the latest of a kind counts. Weights are kg, gross. A terminal weighs the box too, so its
word may be heavier by a box's own weight; tallies and arrival reports count the goods alone.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from projections import journeys
from projections.clearance_case import TALLIES, Case
from projections.clearance_words import Reason, named, reason
from projections.declarations import BILLS
from projections.timeline import Line

WEIGHT_SHARE_MAX = 0.05  # of the manifest's weight
TARE_KG_MAX = 5_000.0  # of the heaviest usual box
DOCUMENTS = {"MAN_ORIG_OK": ("1",), "MAN_ADV_OK": ("2", "4")}
"""First digit of the message type: original; pre-load, and loading manifest."""
_ANSWER = re.compile(r"MT([1-8])[0-9]{3}/(\w{1,2})")
_REFUSALS = {"03": "manifest.rejected", "12": "manifest.load_refused", "13": "manifest.discharge_refused"}
_ACCEPTED = frozenset({"01", "11"})
_SEEN = frozenset({"GATE_IN", "STATION_IN", "DISCHARGED", "TS_DISC", "WAGON_LOADED", "SEALED", "RESEALED", *TALLIES})
_OPENED = frozenset({"RESEALED", "SEAL_REMOVED", "INSP_DONE", "INSP_SITE_IN"})
_REPORTS = frozenset({"ARRIVAL_RPT", "AIR_ARRIVAL_RPT", "RAIL_ARRIVAL_RPT"})
_TOKENS = re.compile(r"[^\W_]+")


class Checked(NamedTuple):
    reasons: list[Reason]
    accepted: list[Line]  # the acceptance it rests on


def check(case: Case, wanted: str) -> Checked:
    """`wanted`: the milestone of the manifest that the move needs; "" where only what disagrees is told."""
    told = [*case.own, *case.papers]
    told.sort(key=lambda line: case.order[line.fact_id])
    accepted = [line for line in told if line.code == wanted] if wanted else []
    reasons = list(_refusals(told, wanted))
    if wanted:
        reasons += [reason("manifest.missing", member) for member in _without(case, accepted)]
    manifest = [line for line in told if line.code in {wanted, "MAN_SUBMITTED"}] if wanted else []
    manifest = manifest or [line for line in told if line.code in {"MAN_ORIG_OK", "MAN_ADV_OK"}]
    reasons += [*_bills(case, manifest), *_seals(case, manifest), *_amounts(manifest, told), *_ships(manifest, told)]
    return Checked(reasons, accepted[-1:])


def _without(case: Case, accepted: Sequence[Line]) -> Iterable[str]:
    """A manifest is accepted for a bill with its boxes, or for the box."""
    for member in case.members:
        if not any(line.subject in {member, case.subject} or member in line.refs for line in accepted):
            yield member


def _refusals(told: Sequence[Line], wanted: str) -> Iterable[Reason]:
    documents = DOCUMENTS.get(wanted, ())
    latest: dict[tuple[str, str], tuple[str, Line]] = {}
    told_in = set()  # a message that says it of the bill and of its boxes says it once
    for line in told:
        found = _ANSWER.fullmatch(line.raw_code)
        if found and found[1] in documents and (found[2] in _ACCEPTED or found[2] in _REFUSALS):
            latest[line.subject, found[1]] = (found[2], line)
    for (subject, _), (answer, line) in latest.items():
        if answer in _REFUSALS and line.message_id not in told_in:
            told_in.add(line.message_id)
            zh, en = named(subject)
            yield reason(_REFUSALS[answer], subject, zh, en, [line])


# --- one field after another ---


def _differ(code: str, subject: str, field: tuple[str, str], values: tuple[str, str], lines: Sequence[Line]) -> Reason:
    zh = f"{field[0]} {values[0]} ≠ {values[1]}（{named(subject)[0]}）"
    en = f"{field[1]} {values[0]} ≠ {values[1]} ({named(subject)[1]})"
    return reason(code, subject, zh, en, lines)


def _bills(case: Case, manifest: Sequence[Line]) -> Iterable[Reason]:
    """Of a box: the bills that the manifest has it under, and those it was declared under."""
    declared = {bill for story in case.stories for bill in story.declared.bills}
    for member in case.members:
        lines = [line for line in manifest if line.subject == member or member in line.refs]
        told = lines or [line for line in case.own if line.subject == member]
        named_ = {ref for line in told for ref in (line.subject, *line.refs) if journeys.kind(ref) in BILLS}
        if named_ and declared and not any(a.startswith(b) or b.startswith(a) for a in named_ for b in declared):
            values = (_list(named_), _list(declared))
            yield _differ("manifest.mismatch", member, ("提单", "bill"), values, told[-1:])


def _list(subjects: Iterable[str]) -> str:
    return ", ".join(sorted(subject.partition(":")[2] for subject in subjects))


def _seals(case: Case, manifest: Sequence[Line]) -> Iterable[Reason]:
    """A box that was opened under control carries another seal for good reason."""
    for member in case.members:
        said = next((line for line in reversed(manifest) if line.subject == member and line.seal), None)
        seen = next((ln for ln in reversed(case.own) if ln.subject == member and ln.seal and ln.code in _SEEN), None)
        if said is None or seen is None or _words(said.seal) & _words(seen.seal):
            continue
        opened = case.last(_OPENED, [line for line in case.own if line.subject == member])
        if opened is None or case.after(said, opened):
            values = (said.seal, seen.seal)
            yield _differ("manifest.mismatch", member, ("铅封", "seal"), values, [said, seen])


def _amounts(manifest: Sequence[Line], told: Sequence[Line]) -> Iterable[Reason]:
    """Pieces and weight, of each subject that both sides tell them of."""
    for subject in dict.fromkeys(line.subject for line in manifest):
        own = [line for line in told if line.subject == subject]
        stated = [line for line in manifest if line.subject == subject]
        counted = [line for line in own if line.code in TALLIES]
        reported = [line for line in own if line.code in _REPORTS]
        yield from _pieces(subject, stated, counted, "tally.mismatch")
        yield from _pieces(subject, stated, reported, "manifest.mismatch")
        weighed = [line for line in own if line.code in _SEEN - TALLIES] if subject.startswith("container:") else []
        yield from _weights(subject, stated, counted, "tally.mismatch")
        yield from _weights(subject, stated, reported, "manifest.mismatch")
        yield from _weights(subject, stated, weighed, "manifest.mismatch", tare_kg=TARE_KG_MAX)


def _pieces(subject: str, stated: Sequence[Line], counted: Sequence[Line], code: str) -> Iterable[Reason]:
    """What is counted in parts adds up."""
    said = next((line for line in reversed(stated) if line.pieces is not None and not line.partial), None)
    counts = [line for line in counted if line.pieces is not None]
    if said is None or not counts:
        return
    whole = [line for line in counts if not line.partial]
    found = whole[-1:] or counts
    total = sum(line.pieces or 0 for line in found)
    if total != said.pieces:
        yield _differ(code, subject, ("件数", "pieces"), (str(said.pieces), str(total)), [said, *found])


def _weights(
    subject: str, stated: Sequence[Line], found: Sequence[Line], code: str, tare_kg: float = 0.0
) -> Iterable[Reason]:
    said = next((line for line in reversed(stated) if line.weight_kg is not None and not line.partial), None)
    seen = next((line for line in reversed(found) if line.weight_kg is not None and not line.partial), None)
    if said is None or seen is None or said.weight_kg is None or seen.weight_kg is None:
        return
    margin = said.weight_kg * WEIGHT_SHARE_MAX
    if not said.weight_kg - margin <= seen.weight_kg <= said.weight_kg + margin + tare_kg:
        values = (f"{said.weight_kg:g} kg", f"{seen.weight_kg:g} kg")
        yield _differ(code, subject, ("毛重", "gross weight"), values, [said, seen])


def _ships(manifest: Sequence[Line], told: Sequence[Line]) -> Iterable[Reason]:
    """Name and voyage, as far as both sides tell them: one may say less than the other."""
    said = next((line for line in reversed(manifest) if line.transport and line.mode == "VESSEL"), None)
    if said is None:
        return
    inward = said.code != "MAN_ADV_OK"
    codes = {"DISCHARGED", "TS_DISC"} if inward else {"STOWED", "LOADED"}
    seen = [line for line in told if line.transport and line.code in codes and line.mode in {"VESSEL", ""}]
    words = _words(said.transport)
    if seen and not any(words <= _words(line.transport) or _words(line.transport) <= words for line in seen):
        values = (said.transport, seen[-1].transport)
        yield _differ("manifest.mismatch", said.subject, ("船名航次", "ship and voyage"), values, [said, seen[-1]])


def _words(text: str) -> set[str]:
    return {word.upper() for word in _TOKENS.findall(text)}
