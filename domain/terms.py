"""The terms of a permission: what may be asked for, and granted by the department that owns the data.

Validity is half-open, [from, to), in UTC. Fields are those of a line of the timeline.
"""

from datetime import datetime
from typing import Literal

import msgspec

from domain import register
from domain.errors import Refused

Channel = Literal["query", "api", "push", "export", "analytics"]
CHANNELS: dict[Channel, tuple[str, str]] = {
    "query": ("查询", "query"),
    "api": ("接口", "API"),
    "push": ("推送", "push"),
    "export": ("导出", "export"),
    "analytics": ("统计分析", "analytics"),
}
FIELDS = (
    "place",
    "place_zh",
    "place_en",
    "border",
    "facility",
    "transport",
    "laden",
    "pieces",
    "pieces_total",
    "weight_kg",
    "seal",
    "source",
    "raw_code",
    "text",
    "message_id",
    "refs",
)
"""What can be kept back of a line (projections/timeline.py); the rest of it says that something happened, and when."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for, or granted. Stored inside facts: add fields with defaults, never rename or retype."""

    dataset: str
    recipient: str  # party, role:ROLE or kind:KIND
    purpose: str
    channels: tuple[Channel, ...]
    valid_from: datetime
    valid_to: datetime
    fields: tuple[str, ...] = ()  # of FIELDS; none named: all
    masking: tuple[str, ...] = ()  # of FIELDS, hidden
    commercial: bool = False  # may be put to commercial use


def check(terms: Terms, at: datetime) -> Terms:
    """The terms as they are stored. Raises Refused for what nobody can grant."""
    start, end = register.window(terms.valid_from, terms.valid_to, at)
    channels = register.chosen("渠道", "channel", terms.channels, tuple(CHANNELS))
    if not channels:
        raise Refused("须说明渠道 / name at least one channel", known=list(CHANNELS))
    return Terms(
        dataset="".join(register.datasets([terms.dataset])),
        recipient=_recipient(terms.recipient),
        purpose=register.said("用途", "purpose", terms.purpose),
        channels=channels,  # type: ignore[arg-type]  # chosen from CHANNELS
        valid_from=start,
        valid_to=end,
        fields=register.chosen("字段", "field", terms.fields, FIELDS),
        masking=register.chosen("屏蔽字段", "masked field", terms.masking, FIELDS),
        commercial=terms.commercial,
    )


def _recipient(recipient: str) -> str:
    """A party, `role:ROLE` or `kind:KIND`."""
    group, colon, name = recipient.partition(":")
    if not colon:
        return register.code("接收单位", "recipient", recipient)
    if group == "role":
        return f"role:{register.chosen('角色', 'role', [name], register.ROLES)[0]}"
    if group == "kind":
        return f"kind:{register.chosen('单位类别', 'kind', [name], tuple(register.KINDS))[0]}"
    raise Refused(
        f"接收方 {recipient[:80]!r} 须为单位、role: 或 kind: / {recipient[:80]!r} is no party, role: or kind:",
        recipient=recipient[:80],
    )
