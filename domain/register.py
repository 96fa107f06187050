"""What the four books of the register share: parties, datasets, permissions, agreements.

The register stands in the commerce journal. Windows of time are half-open, [from, to). Times are UTC. Whatever a person
enters is checked here on its way in, and trusted when it is read again.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from domain.datasets import DATASETS
from domain.errors import Refused

KINDS: dict[str, tuple[str, str]] = {
    "enterprise": ("企业", "enterprise"),
    "agency": ("政府部门", "agency"),
    "operator": ("运营单位", "operator"),
    "provider": ("数据提供单位", "provider of data"),
    "node": ("电子口岸节点", "node"),
}
ROLES_OF: dict[str, tuple[str, ...]] = {
    "enterprise": ("enterprise", "enterprise-admin", "logistics", "finance", "source"),
    "agency": ("officer", "steward", "auditor", "source", "enterprise-admin"),
    "operator": ("operator", "finance", "source", "auditor", "call-centre", "system-admin", "security-admin"),
    "provider": ("source", "enterprise", "enterprise-admin", "logistics", "finance"),
    "node": ("source", "officer", "system-admin", "security-admin", "auditor"),
}
"""Which roles the users of a party of each kind may have."""
ROLES = tuple(sorted({role for roles in ROLES_OF.values() for role in roles}))
TEXT_CHARS_MAX = 500
YEARS = range(2000, 2201)
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}")
"""Of a party, a permission, an agreement: no colon, so that it is never taken for `role:…` or `kind:…`."""
RESERVED = ("owner", "public")
"""Leaves of a view that are no permission; no permission may be called so."""


def said(zh: str, en: str, text: str) -> str:
    """What a person has to say, in one line. Raises Refused if it is empty, too long, or cannot be printed."""
    line = " ".join(text.split())
    if not line:
        raise Refused(f"须填写{zh} / {en} is missing", field=en)
    return remark(zh, en, line)


def remark(zh: str, en: str, text: str) -> str:
    """The same for what may be left out."""
    line = " ".join(text.split())
    if len(line) > TEXT_CHARS_MAX:
        raise Refused(f"{zh}超过 {TEXT_CHARS_MAX} 字 / {en} is longer than {TEXT_CHARS_MAX} characters", field=en)
    if not line.isprintable():
        raise Refused(f"{zh}含不可显示的字符 / {en} has characters that cannot be shown", field=en)
    return line


def code(zh: str, en: str, text: str) -> str:
    """A code as it was written. Raises Refused for anything but 2 to 64 letters, digits, dots, dashes, underscores."""
    if not CODE.fullmatch(text) or text in RESERVED:
        raise Refused(f"{zh} {text[:80]!r} 不是代码 / {en} {text[:80]!r} is not a code", field=en, value=text[:80])
    return text


def chosen(zh: str, en: str, values: Iterable[str], of: Sequence[str]) -> tuple[str, ...]:
    """Values of a closed list, each once, in the list's order. Raises Refused for any other."""
    wanted = set(values)
    strange = sorted(wanted - set(of))
    if strange:
        value = strange[0][:80]
        raise Refused(
            f"{zh} {value!r} 不在 {'、'.join(of)} 之中 / {en} {value!r} is none of {', '.join(of)}",
            field=en,
            value=value,
            known=list(of),
        )
    return tuple(each for each in of if each in wanted)


def datasets(names: Iterable[str]) -> tuple[str, ...]:
    """Names of datasets, each once. Raises Refused for one that is not in the vocabulary."""
    return chosen("数据集", "dataset", names, tuple(DATASETS))


def window(valid_from: datetime, valid_to: datetime, at: datetime) -> tuple[datetime, datetime]:
    """A validity in UTC. Raises Refused if it is empty, over already, or not a time with offset of this age."""
    for instant in (valid_from, valid_to):
        if instant.tzinfo is None or instant.year not in YEARS:
            raise Refused(
                f"时间 {instant.isoformat()} 须带时区，在 {YEARS[0]}–{YEARS[-1]} 年内"
                f" / {instant.isoformat()} needs an offset and a year from {YEARS[0]} to {YEARS[-1]}",
                value=instant.isoformat(),
            )
    start, end = valid_from.astimezone(UTC), valid_to.astimezone(UTC)
    if end <= start:
        raise Refused(
            f"失效时间 {end.isoformat()} 不晚于生效时间 / it would end at {end.isoformat()}, before it begins",
            valid_to=end.isoformat(),
        )
    if end <= at:
        raise Refused(
            f"失效时间 {end.isoformat()} 已过 / it would have ended already, at {end.isoformat()}",
            valid_to=end.isoformat(),
        )
    return start, end


def inside(start: datetime, end: datetime, at: datetime) -> bool:
    """Whether a moment lies in a window."""
    return start <= at < end
