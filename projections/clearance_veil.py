"""A verdict as it is told to somebody who may not see all that it rests on: right, and no more open than his view.

Pure. The verdict is worked out on everything, and once more on the lines that are shown. What both come to is told in
full, for it follows from what is shown; of what only the first comes to no more is told than its kind: that other cargo
stands in the way, without its number and its source.
"""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import msgspec

from projections import clearance
from projections.clearance import Leg, Legs, Verdict
from projections.clearance_words import REASONS, Reason
from projections.timeline import Line

OTHERS: dict[str, tuple[str, str]] = {
    "container": ("同箱其他货物", "other cargo in the same container"),
    "awb": ("同运单其他货物", "other cargo under the same air waybill"),
    "rail": ("同批其他货物", "other cargo of the same consignment"),
}
UNSEEN = ("无权查看的记录", "a record that you may not see")


def veiled(whole: Verdict, shown: Sequence[Line], mine: Collection[str]) -> Verdict:
    """`shown`: the lines as the view shows them; `mine`: the subjects that are its parties' cargo."""
    subject = f"{whole.kind}:{whole.number}"
    seen = clearance.verdict(subject, whole.action, whole.place, shown)
    known = {subject, *mine, *(line.subject for line in shown)}
    reasons = [_reason(each, seen, subject, known) for each in whole.reasons]
    legs = {name: _leg(name, whole, seen, reasons) for name in Legs.__struct_fields__}
    rests = {ground.fact_id for ground in whole.facts}
    seen_ids = {line.fact_id for line in shown}
    return msgspec.structs.replace(
        whole,
        reasons=_once(reasons),
        legs=Legs(**{name: _with_seen_facts(leg, seen_ids) for name, leg in legs.items()}),
        declarations=seen.declarations,
        facts=[clearance.ground(line) for line in shown if line.fact_id in rests],
    )


def _reason(found: Reason, seen: Verdict, subject: str, known: Collection[str]) -> Reason:
    """As it is if what is shown says so too; else of what kind it is."""
    if found in seen.reasons:
        return found
    kind = subject.partition(":")[0]
    zh, en = UNSEEN if found.subject in known else OTHERS.get(kind, UNSEEN)
    said_zh, said_en = REASONS[found.code]
    return Reason(code=found.code, zh=said_zh.format(zh), en=said_en.format(en), subject=subject)


def _leg(name: str, whole: Verdict, seen: Verdict, told: Sequence[Reason]) -> Leg:
    """`told`: the verdict's reasons in its order, as they are told."""
    leg: Leg = getattr(whole.legs, name)
    if leg == getattr(seen.legs, name):
        return leg
    against = _once(
        shown for found, shown in zip(whole.reasons, told, strict=True) if set(found.fact_ids) <= set(leg.fact_ids)
        and found.zh in leg.detail_zh
    )  # fmt: skip
    return msgspec.structs.replace(
        leg,
        detail_zh="；".join(each.zh for each in against) or UNSEEN[0],
        detail_en="; ".join(each.en for each in against) or UNSEEN[1],
    )


def _with_seen_facts(leg: Leg, seen: Collection[UUID]) -> Leg:
    return msgspec.structs.replace(leg, fact_ids=tuple(each for each in leg.fact_ids if each in seen))


def _once(reasons: Iterable[Reason]) -> list[Reason]:
    return list({(each.code, each.subject, each.en): each for each in reasons}.values())
