"""A permission: the department that owns a dataset lets a recipient see it, for a purpose and a time.

Its stream is `permission:ID` in the commerce journal. It rests on the department that granted it: when the dataset goes
to another owner, it stands still until that owner grants it anew. Nobody else grants, suspends, resumes or revokes, and
the operator never. Times are UTC; validity is half-open, [from, to).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from domain import fact, register
from domain.errors import Refused
from domain.fact import Fact
from domain.terms import CHANNELS, FIELDS, Channel, Terms, check

__all__ = ["CHANNELS", "FIELDS", "Channel", "Terms", "check"]  # the terms belong to its story

Stance = Literal["for", "against", "conditions"]
STANCES: dict[Stance, tuple[str, str]] = {
    "for": ("同意", "for it"),
    "against": ("不同意", "against it"),
    "conditions": ("附条件同意", "for it on conditions"),
}


# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class PermissionFact(Fact, frozen=True, kw_only=True):
    """What every fact about a permission says."""

    permission: str  # its ID
    by: str  # account
    by_party: str


class PermissionRequested(PermissionFact, frozen=True, kw_only=True, tag="permission.requested"):
    terms: Terms


class PermissionOpinionAsked(PermissionFact, frozen=True, kw_only=True, tag="permission.opinion_asked"):
    departments: tuple[str, ...]  # parties


class PermissionOpinionGiven(PermissionFact, frozen=True, kw_only=True, tag="permission.opinion_given"):
    """The department is `by_party`; said again, the later counts."""

    stance: Stance
    text: str = ""  # the conditions, or why


class PermissionGranted(PermissionFact, frozen=True, kw_only=True, tag="permission.granted"):
    terms: Terms
    owner: str  # 数源部门, on which it rests
    approver: str  # 审批人
    document_no: str
    competent_department: str = ""  # 主管部门
    reason: str = ""  # for granting it against an opinion


class PermissionDeclined(PermissionFact, frozen=True, kw_only=True, tag="permission.declined"):
    reason: str


class PermissionSuspended(PermissionFact, frozen=True, kw_only=True, tag="permission.suspended"):
    reason: str


class PermissionResumed(PermissionFact, frozen=True, kw_only=True, tag="permission.resumed"):
    reason: str


class PermissionRevoked(PermissionFact, frozen=True, kw_only=True, tag="permission.revoked"):
    reason: str


# --- state: the least that the decisions need ---

State = Literal["", "requested", "declined", "granted", "suspended", "revoked"]
STATES: dict[str, tuple[str, str]] = {
    "": ("不存在", "unknown"),
    "requested": ("待批", "requested"),
    "declined": ("未批准", "declined"),
    "granted": ("有效", "granted"),
    "suspended": ("暂停", "suspended"),
    "revoked": ("已撤销", "revoked"),
    "expired": ("已到期", "expired"),
}


class Opinion(msgspec.Struct, frozen=True):
    stance: Stance | Literal[""] = ""  # "": asked, not answered yet
    text: str = ""


class Permission(msgspec.Struct, frozen=True):
    """A permission as it stands."""

    id: str
    state: State = ""
    terms: Terms | None = None  # asked for, then granted
    owner: str = ""  # that granted it
    requested_by: str = ""  # party
    opinions: dict[str, Opinion] = {}  # of the departments asked

    def status(self, at: datetime) -> str:
        """One of STATES, as of this moment."""
        over = self.terms is not None and at >= self.terms.valid_to
        return "expired" if over and self.state in {"granted", "suspended"} else self.state


def stream(permission: str) -> str:
    """Where the facts of a permission are."""
    return f"permission:{permission}"


def evolve(permission: Permission, happened: Fact) -> Permission:  # noqa: PLR0911  one for each kind of fact
    """The permission after one more fact."""
    change = msgspec.structs.replace
    match happened:
        case PermissionRequested():
            return change(permission, state="requested", terms=happened.terms, requested_by=happened.by_party)
        case PermissionOpinionAsked():
            asked = {each: permission.opinions.get(each, Opinion()) for each in happened.departments}
            return change(permission, opinions={**permission.opinions, **asked})
        case PermissionOpinionGiven():
            said = Opinion(happened.stance, happened.text)
            return change(permission, opinions={**permission.opinions, happened.by_party: said})
        case PermissionGranted():
            return change(permission, state="granted", terms=happened.terms, owner=happened.owner)
        case PermissionDeclined():
            return change(permission, state="declined")
        case PermissionSuspended():
            return change(permission, state="suspended")
        case PermissionResumed():
            return change(permission, state="granted")
        case PermissionRevoked():
            return change(permission, state="revoked")
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new, so a repeat is harmless; `owner`: the dataset's, as it is now ---


def request(permission: Permission, *, terms: Terms, by: str, by_party: str, at: datetime) -> tuple[Fact, ...]:
    """Ask for it. Raises Refused for terms that cannot be granted, or under an ID that is taken."""
    wanted = check(terms, at)
    if permission.terms is not None:
        if (permission.terms, permission.requested_by) == (wanted, by_party):
            return ()
        raise Refused(f"编号 {permission.id} 已使用 / {permission.id} is taken", permission=permission.id)
    register.code("许可编号", "permission", permission.id)
    return (PermissionRequested(**_about(permission, by, by_party, at), terms=wanted),)


def ask_opinions(
    permission: Permission, *, departments: Iterable[str], owner: str, by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Ask other departments what they think, before it is granted or declined."""
    _owners(permission, owner, by_party)
    _in(permission, at, "requested")
    new = sorted({register.code("部门", "department", each) for each in departments} - permission.opinions.keys())
    if owner in new:
        raise Refused("数源部门自行决定，不必征求自己的意见 / the owner decides, and asks others", department=owner)
    about = _about(permission, by, by_party, at)
    return (PermissionOpinionAsked(**about, departments=tuple(new)),) if new else ()


def give_opinion(
    permission: Permission, *, stance: Stance, by: str, by_party: str, at: datetime, text: str = ""
) -> tuple[Fact, ...]:
    """Say what one's department thinks. Raises Refused if it was not asked, or gives no conditions or reason."""
    if by_party not in permission.opinions:
        raise Refused(
            f"未征求 {by_party} 的意见 / the opinion of {by_party} was not asked for", permission=permission.id
        )
    _in(permission, at, "requested")
    register.chosen("意见", "opinion", [stance], tuple(STANCES))
    words = register.remark("意见内容", "text", text)
    if stance != "for":
        register.said("条件或理由", "conditions or reason", words)
    if permission.opinions[by_party] == Opinion(stance, words):
        return ()
    return (PermissionOpinionGiven(**_about(permission, by, by_party, at), stance=stance, text=words),)


def grant(
    permission: Permission,
    *,
    owner: str,
    by: str,
    by_party: str,
    approver: str,
    document_no: str,
    at: datetime,
    terms: Terms | None = None,
    competent_department: str = "",
    reason: str = "",
) -> tuple[Fact, ...]:
    """Grant what was requested, or what `terms` say instead; without a request both facts are made in one step.

    An owner that was given the dataset grants anew what its predecessor had. Raises Refused for anybody but the owner,
    and against the opinion of a department that was asked, unless a reason is given.
    """
    agreed = _agreed(permission, terms or permission.terms, owner, by_party, at)
    if _stands(permission, agreed, owner, at):
        return ()
    why = _weighed(permission, reason)
    granted = PermissionGranted(
        **_about(permission, by, by_party, at),
        terms=agreed,
        owner=owner,
        approver=register.said("审批人", "approver", approver),
        document_no=register.said("文号", "document_no", document_no),
        competent_department=register.remark("主管部门", "competent_department", competent_department),
        reason=why,
    )
    asked = () if permission.terms else request(permission, terms=agreed, by=by, by_party=by_party, at=at)
    return (*asked, granted)


def decline(
    permission: Permission, *, owner: str, reason: str, by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Do not grant what was requested."""
    return _step(
        PermissionDeclined,
        "declined",
        ("requested",),
        permission,
        owner=owner,
        reason=reason,
        by=by,
        by_party=by_party,
        at=at,
    )


def suspend(
    permission: Permission, *, owner: str, reason: str, by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Nothing is seen under it until it is resumed."""
    return _step(
        PermissionSuspended,
        "suspended",
        ("granted",),
        permission,
        owner=owner,
        reason=reason,
        by=by,
        by_party=by_party,
        at=at,
    )


def resume(
    permission: Permission, *, owner: str, reason: str, by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Let it stand again. Raises Refused for an owner that did not grant it: let it grant it anew."""
    _owners(permission, owner, by_party)
    if permission.owner not in {"", owner}:
        raise Refused(
            "许可由原数源部门发出，请重新发出 / a former owner granted it: grant it anew", owner=permission.owner
        )
    return _step(
        PermissionResumed,
        "granted",
        ("suspended",),
        permission,
        owner=owner,
        reason=reason,
        by=by,
        by_party=by_party,
        at=at,
    )


def revoke(
    permission: Permission, *, owner: str, reason: str, by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """End it for good; nothing is seen under it from the next read on."""
    from_ = ("granted", "suspended", "expired")
    return _step(
        PermissionRevoked, "revoked", from_, permission, owner=owner, reason=reason, by=by, by_party=by_party, at=at
    )


def _agreed(permission: Permission, terms: Terms | None, owner: str, by_party: str, at: datetime) -> Terms:
    """The terms of a grant: the owner's, about what was requested, for whom."""
    if terms is None:
        raise Refused("须说明许可内容 / say what is to be granted", permission=permission.id)
    _owners(permission, owner, by_party)
    agreed, asked = check(terms, at), permission.terms
    if asked is not None and (asked.dataset, asked.recipient) != (agreed.dataset, agreed.recipient):
        raise Refused(
            f"申请的是向 {asked.recipient} 提供 {asked.dataset}"
            f" / it was asked for {asked.dataset}, by {asked.recipient}: grant that, or another permission",
            permission=permission.id,
        )
    if agreed.recipient == owner:
        raise Refused("数源部门无须许可 / the owner needs no permission", recipient=owner)
    return agreed


def _stands(permission: Permission, agreed: Terms, owner: str, at: datetime) -> bool:
    """Whether this owner has granted just that already. Raises Refused where it cannot be granted any more."""
    _in(permission, at, "", "requested", "granted", "suspended")
    if permission.owner != owner or permission.state == "requested":
        return False
    if permission.state == "suspended":
        raise Refused("许可已暂停，请恢复 / it is suspended: resume it", state="suspended")
    if permission.terms != agreed:
        raise Refused("许可已发出，变更须撤销后另发 / it is granted; revoke it and grant another", state="granted")
    return True


def _weighed(permission: Permission, reason: str) -> str:
    """The reason for granting it, which must be there if somebody who was asked is against it."""
    why = register.remark("理由", "reason", reason)
    against = sorted(each for each, opinion in permission.opinions.items() if opinion.stance == "against")
    if against and not why:
        raise Refused(
            f"{'、'.join(against)} 不同意，须说明理由 / {', '.join(against)} is against it: give a reason",
            against=against,
        )
    return why


def _about(permission: Permission, by: str, by_party: str, at: datetime) -> dict[str, Any]:
    return {"happened_at": at, "recorded_at": at, "permission": permission.id, "by": by, "by_party": by_party}


def _owners(permission: Permission, owner: str, by_party: str) -> None:
    if not owner:
        raise Refused("数据集尚未确定数源部门 / the dataset has no owner yet", permission=permission.id)
    if by_party != owner:
        raise Refused(
            f"只有数源部门 {owner} 可决定 / {owner} alone decides, for it owns the dataset",
            permission=permission.id,
            owner=owner,
        )


def _in(permission: Permission, at: datetime, *states: str) -> None:
    status = permission.status(at)
    if status not in states:
        zh, en = STATES[status]
        raise Refused(f"许可 {permission.id} {zh} / permission {permission.id} is {en}", state=status)


def _step(
    kind: type[PermissionDeclined | PermissionSuspended | PermissionResumed | PermissionRevoked],
    to: State,
    from_: tuple[str, ...],
    permission: Permission,
    *,
    owner: str,
    reason: str,
    by: str,
    by_party: str,
    at: datetime,
) -> tuple[Fact, ...]:
    """One step of the owner's, with its reason; none if that is where it stands already."""
    _owners(permission, owner, by_party)
    if permission.status(at) == to:
        return ()
    _in(permission, at, *from_)
    return (kind(**_about(permission, by, by_party, at), reason=register.said("理由", "reason", reason)),)


FACTS: tuple[type[Fact], ...] = tuple(PermissionFact.__subclasses__())
fact.register(*FACTS)
