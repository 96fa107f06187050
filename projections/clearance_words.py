"""Why a container, a waybill or a consignment may not go: every reason by its permanent code, in both languages.

`{}` is filled with what makes the case: a status, a place, two values that disagree.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from projections.timeline import Line


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that stands in the way. `since`: ISO 8601 with offset, "" where something is missing."""

    code: str
    zh: str
    en: str
    subject: str
    fact_ids: tuple[UUID, ...] = ()
    since: str = ""


REASONS: dict[str, tuple[str, str]] = {
    "declaration.missing": ("没有可用的报关单：{}", "no declaration is known: {}"),
    "declaration.not_released": ("报关单未放行：{}", "the declaration is not released: {}"),
    "declaration.re_reviewed": ("报关单放行后重审：{}", "the declaration is under review again: {}"),
    "declaration.suspended": ("报关单挂起：{}", "the declaration is suspended: {}"),
    "declaration.deleted": ("报关单已删除：{}", "the declaration was deleted: {}"),
    "declaration.rejected": ("报关单被退单：{}", "the declaration was rejected: {}"),
    "declaration.returned": ("报关单退回修改：{}", "the declaration was returned for amendment: {}"),
    "declaration.withdrawn": ("报关单已撤回：{}", "the declaration was withdrawn: {}"),
    "declaration.not_withdrawn": ("已申报出口，须先办退关：{}", "declared for export; that must be undone first: {}"),
    "inspection.open": ("查验未结束：{}", "an inspection is open: {}"),
    "duty.unpaid": ("税费未缴：{}", "duty is not paid: {}"),
    "valuation.open": ("验估未结束：{}", "a valuation is open: {}"),
    "documents.requested": ("待补传单证：{}", "customs waits for documents: {}"),
    "hold.placed": ("布控（扣留）：{}", "a hold is in force: {}"),
    "hold.customs": ("海关扣留：{}", "detained by customs: {}"),
    "entry.refused": ("卡口拒绝放行：{}", "refused at the checkpoint: {}"),
    "transit.not_permitted": ("转关尚未核放：{}", "the transit is not permitted yet: {}"),
    "transit.not_arrived": ("转关运抵未报：{}", "the transit has not been reported as arrived: {}"),
    "transit.not_written_off": ("转关未核销：{}", "the transit is not written off: {}"),
    "arrival.missing": ("没有运抵（到场）报告：{}", "no arrival is reported: {}"),
    "arrival.rejected": ("运抵报告被退：{}", "the arrival report was rejected: {}"),
    "arrival.elsewhere": ("运抵地不符：{}", "reported at another place: {}"),
    "arrival.left": ("已离场：{}", "it has left: {}"),
    "manifest.missing": ("没有海关接受的舱单：{}", "no manifest is accepted by customs: {}"),
    "manifest.rejected": ("舱单被退：{}", "the manifest was rejected: {}"),
    "manifest.load_refused": ("海关拒装：{}", "customs forbids loading: {}"),
    "manifest.discharge_refused": ("海关禁卸：{}", "customs forbids discharge: {}"),
    "manifest.mismatch": ("舱单不符：{}", "the manifest disagrees: {}"),
    "tally.mismatch": ("理货不符：{}", "the tally disagrees: {}"),
}

NUMBERS: dict[str, tuple[str, str]] = {
    "container": ("集装箱", "container"),
    "awb": ("运单", "air waybill"),
    "rail": ("铁路运单", "rail consignment"),
    "bl": ("提单", "bill"),
    "declaration": ("报关单", "declaration"),
    "manifest": ("舱单", "manifest"),
}


def named(subject: str) -> tuple[str, str]:
    """A subject as a person reads it.

    >>> named("container:CSQU3054383")
    ('集装箱 CSQU3054383', 'container CSQU3054383')
    """
    kind, _, number = subject.partition(":")
    zh, en = NUMBERS.get(kind, (kind, kind))
    return f"{zh} {number}", f"{en} {number}"


def reason(code: str, subject: str, zh: str = "", en: str = "", lines: Iterable[Line] = ()) -> Reason:
    """A reason with its words; without words of its own it names its subject. It lasts since the last of its lines."""
    shown = (zh, en) if zh or en else named(subject)
    told = list(lines)
    return Reason(
        code=code,
        zh=REASONS[code][0].format(shown[0]),
        en=REASONS[code][1].format(shown[1]),
        subject=subject,
        fact_ids=tuple(line.fact_id for line in told),
        since=told[-1].happened_at if told else "",
    )
