"""A dataset of the register: which department owns it, to whom it is disclosed, how it is classified and shared.

Its stream is `dataset:NAME` in the commerce journal, NAME of domain/datasets.py. Nothing is set at first: no owner,
so nobody can permit anything of it, and disclosure to the parties of the cargo. Classes are those of GB/T 43697, share
types those of 国发〔2016〕51号. Times are UTC.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from domain import fact, register
from domain.errors import Refused
from domain.fact import Fact

Disclosure = Literal["public", "parties", "grant", "agency"]
DISCLOSURES: dict[Disclosure, tuple[str, str]] = {
    "public": ("公开", "everybody"),
    "parties": ("货物当事方", "the parties of the cargo"),
    "grant": ("须经授权", "those permitted only"),
    "agency": ("政府部门（共享协议）", "agencies by agreement only"),
}
DataClass = Literal["general", "important", "core"]
CLASSES: dict[DataClass, tuple[str, str]] = {
    "general": ("一般数据", "general data"),
    "important": ("重要数据", "important data"),
    "core": ("核心数据", "core data"),
}
ShareType = Literal["unconditional", "conditional", "none"]
SHARE_TYPES: dict[ShareType, tuple[str, str]] = {
    "unconditional": ("无条件共享", "shared without condition"),
    "conditional": ("有条件共享", "shared on conditions"),
    "none": ("不予共享", "not shared"),
}

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class DatasetFact(Fact, frozen=True, kw_only=True):
    """What every fact about a dataset says."""

    dataset: str
    document_no: str  # by which it was decided
    by: str  # account
    by_party: str


class DatasetOwnerSet(DatasetFact, frozen=True, kw_only=True, tag="dataset.owner_set"):
    owner: str  # party, a department
    previous: str = ""  # that approved; "": nobody owned it


class DatasetDisclosureSet(DatasetFact, frozen=True, kw_only=True, tag="dataset.disclosure_set"):
    disclosure: Disclosure


class DatasetClassified(DatasetFact, frozen=True, kw_only=True, tag="dataset.classified"):
    data_class: DataClass


class DatasetShareTypeSet(DatasetFact, frozen=True, kw_only=True, tag="dataset.share_type_set"):
    share_type: ShareType


# --- state: the least that the decisions need ---


class Dataset(msgspec.Struct, frozen=True):
    """A dataset as it stands."""

    name: str
    owner: str = ""
    disclosure: Disclosure = "parties"
    data_class: DataClass | Literal[""] = ""  # "": not classified yet
    share_type: ShareType | Literal[""] = ""


def stream(name: str) -> str:
    """Where the facts of a dataset are."""
    return f"dataset:{name}"


def evolve(dataset: Dataset, happened: Fact) -> Dataset:
    """The dataset after one more fact."""
    change = msgspec.structs.replace
    match happened:
        case DatasetOwnerSet():
            return change(dataset, owner=happened.owner)
        case DatasetDisclosureSet():
            return change(dataset, disclosure=happened.disclosure)
        case DatasetClassified():
            return change(dataset, data_class=happened.data_class)
        case DatasetShareTypeSet():
            return change(dataset, share_type=happened.share_type)
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def set_owner(
    dataset: Dataset,
    *,
    owner: str,
    owner_kind: str,
    by: str,
    by_role: str,
    by_party: str,
    document_no: str,
    at: datetime,
) -> tuple[Fact, ...]:
    """Say which department owns it: the security-admin the first time, afterwards a steward of the present owner.

    `owner_kind`: as the owner is registered. Raises Refused for any other, and for an owner that is no agency.
    """
    if owner_kind != "agency":
        raise Refused(
            f"数据集只能归政府部门所有，{owner[:80]} 不是 / a dataset is owned by an agency, and {owner[:80]} is none",
            owner=owner[:80],
        )
    if not dataset.owner and by_role != "security-admin":
        raise Refused("首次确定数源部门须由安全管理员办理 / the first owner is set by the security-admin", role=by_role)
    if dataset.owner and (by_party, by_role) != (dataset.owner, "steward"):
        raise Refused(
            f"变更数源部门须经现数源部门 {dataset.owner} 同意"
            f" / only the present owner {dataset.owner}, by its steward, gives it to another",
            owner=dataset.owner,
        )
    about = _about(dataset, document_no, by, by_party, at)
    if owner == dataset.owner:
        return ()
    named = register.code("数源部门", "owner", owner)
    return (DatasetOwnerSet(**about, owner=named, previous=dataset.owner),)


def set_disclosure(
    dataset: Dataset, *, disclosure: Disclosure, by: str, by_party: str, document_no: str, at: datetime
) -> tuple[Fact, ...]:
    """Say to whom it is disclosed. Raises Refused for anybody but the owner, and for publishing important data."""
    _owned(dataset, by_party)
    about = _about(dataset, document_no, by, by_party, at)
    register.chosen("公开范围", "disclosure", [disclosure], tuple(DISCLOSURES))
    if disclosure == "public" and dataset.data_class in {"important", "core"}:
        raise Refused("重要数据、核心数据不得公开 / important and core data are not made public", dataset=dataset.name)
    return () if disclosure == dataset.disclosure else (DatasetDisclosureSet(**about, disclosure=disclosure),)


def classify(
    dataset: Dataset, *, data_class: DataClass, by: str, by_party: str, document_no: str, at: datetime
) -> tuple[Fact, ...]:
    """Give it its class. Raises Refused for anybody but the owner, and for important data that is public."""
    _owned(dataset, by_party)
    about = _about(dataset, document_no, by, by_party, at)
    register.chosen("数据级别", "data_class", [data_class], tuple(CLASSES))
    if data_class != "general" and dataset.disclosure == "public":
        raise Refused("该数据集已公开，请先收回公开 / it is public: set its disclosure first", dataset=dataset.name)
    return () if data_class == dataset.data_class else (DatasetClassified(**about, data_class=data_class),)


def set_share_type(
    dataset: Dataset, *, share_type: ShareType, by: str, by_party: str, document_no: str, at: datetime
) -> tuple[Fact, ...]:
    """Say whether agencies may have it by agreement; `none` ends what is shared. Raises Refused but for the owner."""
    _owned(dataset, by_party)
    about = _about(dataset, document_no, by, by_party, at)
    register.chosen("共享类型", "share_type", [share_type], tuple(SHARE_TYPES))
    return () if share_type == dataset.share_type else (DatasetShareTypeSet(**about, share_type=share_type),)


def _about(dataset: Dataset, document_no: str, by: str, by_party: str, at: datetime) -> dict[str, Any]:
    register.datasets([dataset.name])
    number = register.said("文号", "document_no", document_no)
    return {
        "happened_at": at,
        "recorded_at": at,
        "dataset": dataset.name,
        "document_no": number,
        "by": by,
        "by_party": by_party,
    }


def _owned(dataset: Dataset, by_party: str) -> None:
    if not dataset.owner:
        raise Refused(f"{dataset.name} 尚未确定数源部门 / {dataset.name} has no owner yet", dataset=dataset.name)
    if by_party != dataset.owner:
        raise Refused(
            f"{dataset.name} 只能由数源部门 {dataset.owner} 决定 / {dataset.owner} alone decides on {dataset.name}",
            dataset=dataset.name,
            owner=dataset.owner,
        )


FACTS: tuple[type[Fact], ...] = tuple(DatasetFact.__subclasses__())
fact.register(*FACTS)
