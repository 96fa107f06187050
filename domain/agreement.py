"""A sharing agreement (共享协议) between two agencies: each gives datasets of its own to the other, for a purpose.

Its stream is `agreement:ID` in the commerce journal. One side proposes it, the other accepts, either ends it. While it
is in force each sees in whole what the other gives, for as long as that one owns it. Times are UTC; validity is
half-open, [from, to).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from domain import fact, register
from domain.disclosure import Dataset
from domain.errors import Refused
from domain.fact import Fact

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class AgreementFact(Fact, frozen=True, kw_only=True):
    """What every fact about an agreement says."""

    agreement: str  # its ID
    by: str  # account
    by_party: str


class AgreementProposed(AgreementFact, frozen=True, kw_only=True, tag="agreement.proposed"):
    """`by_party` proposes it to `other`."""

    other: str  # party
    gives: tuple[str, ...]  # datasets of by_party that the other sees
    takes: tuple[str, ...]  # datasets of the other that by_party sees
    purpose: str
    document_no: str
    valid_from: datetime
    valid_to: datetime


class AgreementAccepted(AgreementFact, frozen=True, kw_only=True, tag="agreement.accepted"):
    pass


class AgreementEnded(AgreementFact, frozen=True, kw_only=True, tag="agreement.ended"):
    reason: str


# --- state: the least that the decisions need ---

State = Literal["", "proposed", "accepted", "ended"]
STATES: dict[str, tuple[str, str]] = {
    "": ("不存在", "unknown"),
    "proposed": ("待对方同意", "proposed"),
    "accepted": ("有效", "in force"),
    "ended": ("已终止", "ended"),
    "expired": ("已到期", "expired"),
}


class Agreement(msgspec.Struct, frozen=True):
    """An agreement as it stands."""

    id: str
    proposed: AgreementProposed | None = None
    state: State = ""

    def status(self, at: datetime) -> str:
        """One of STATES, as of this moment; `accepted` may lie before the time from which it is valid."""
        over = self.proposed is not None and at >= self.proposed.valid_to
        return "expired" if over and self.state != "ended" else self.state


def stream(agreement: str) -> str:
    """Where the facts of an agreement are."""
    return f"agreement:{agreement}"


def evolve(agreement: Agreement, happened: Fact) -> Agreement:
    """The agreement after one more fact."""
    match happened:
        case AgreementProposed():
            return Agreement(agreement.id, happened, "proposed")
        case AgreementAccepted():
            return msgspec.structs.replace(agreement, state="accepted")
        case AgreementEnded():
            return msgspec.structs.replace(agreement, state="ended")
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def propose(
    agreement: Agreement,
    *,
    other: str,
    gives: Iterable[str],
    takes: Iterable[str],
    purpose: str,
    document_no: str,
    valid_from: datetime,
    valid_to: datetime,
    kinds: Mapping[str, str],
    datasets: Mapping[str, Dataset],
    by: str,
    by_party: str,
    at: datetime,
) -> tuple[Fact, ...]:
    """Propose it to another agency. `kinds`: of both parties as registered; `datasets`: those named, as they stand.

    Raises Refused if a side is no agency, gives what it does not own or what may not be shared, or nothing is given.
    """
    start, end = register.window(valid_from, valid_to, at)
    proposed = AgreementProposed(
        **_about(agreement, by, by_party, at),
        other=register.code("对方部门", "other", other),
        gives=register.datasets(gives),
        takes=register.datasets(takes),
        purpose=register.said("用途", "purpose", purpose),
        document_no=register.said("文号", "document_no", document_no),
        valid_from=start,
        valid_to=end,
    )
    if agreement.proposed is not None:
        if _same(agreement.proposed, proposed):
            return ()
        raise Refused(f"编号 {agreement.id} 已使用 / {agreement.id} is taken", agreement=agreement.id)
    _sides(proposed, kinds)
    _given(proposed, datasets)
    return (proposed,)


def accept(
    agreement: Agreement, *, datasets: Mapping[str, Dataset], by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Agree to what the other side proposed. Raises Refused for the proposer itself, and for strangers."""
    proposed = _side(agreement, by_party)
    if by_party == proposed.by_party:
        raise Refused(f"须由对方 {proposed.other} 同意 / {proposed.other} has to accept it", other=proposed.other)
    if (status := agreement.status(at)) == "accepted":
        return ()
    if status != "proposed":
        raise Refused(f"协议{STATES[status][0]} / the agreement is {STATES[status][1]}", state=status)
    _given(proposed, datasets)
    return (AgreementAccepted(**_about(agreement, by, by_party, at)),)


def end(agreement: Agreement, *, reason: str, by: str, by_party: str, at: datetime) -> tuple[Fact, ...]:
    """End it, or withdraw or turn down the proposal; either side may. Raises Refused for strangers."""
    _side(agreement, by_party)
    if agreement.state == "ended":
        return ()
    return (AgreementEnded(**_about(agreement, by, by_party, at), reason=register.said("理由", "reason", reason)),)


def _same(one: AgreementProposed, other: AgreementProposed) -> bool:
    """Whether the same side proposes the same again, whenever and by whomever."""
    return one == msgspec.structs.replace(other, happened_at=one.happened_at, recorded_at=one.recorded_at, by=one.by)


def _sides(proposed: AgreementProposed, kinds: Mapping[str, str]) -> None:
    register.code("协议编号", "agreement", proposed.agreement)
    if proposed.other == proposed.by_party:
        raise Refused("协议须有两方 / an agreement needs two sides", other=proposed.other)
    for party in (proposed.by_party, proposed.other):
        if kinds.get(party) != "agency":
            raise Refused(f"{party} 不是政府部门 / {party} is no agency", party=party)
    if not proposed.gives and not proposed.takes:
        raise Refused("协议未列数据集 / the agreement names no dataset", agreement=proposed.agreement)


def _given(proposed: AgreementProposed, datasets: Mapping[str, Dataset]) -> None:
    for side, names in ((proposed.by_party, proposed.gives), (proposed.other, proposed.takes)):
        for name in names:
            dataset = datasets.get(name, Dataset(name))
            if dataset.owner != side:
                raise Refused(f"{name} 不归 {side} 所有 / {side} does not own {name}", dataset=name, owner=side)
            if dataset.share_type == "none":
                raise Refused(f"{name} 不予共享 / {name} is not shared", dataset=name)


def _side(agreement: Agreement, by_party: str) -> AgreementProposed:
    proposed = agreement.proposed
    if proposed is None:
        raise Refused(f"没有协议 {agreement.id} / there is no agreement {agreement.id}", agreement=agreement.id)
    if by_party not in {proposed.by_party, proposed.other}:
        raise Refused(f"{by_party} 不是协议一方 / {by_party} is no side of this agreement", agreement=agreement.id)
    return proposed


def _about(agreement: Agreement, by: str, by_party: str, at: datetime) -> dict[str, Any]:
    return {"happened_at": at, "recorded_at": at, "agreement": agreement.id, "by": by, "by_party": by_party}


FACTS: tuple[type[Fact], ...] = tuple(AgreementFact.__subclasses__())
fact.register(*FACTS)
