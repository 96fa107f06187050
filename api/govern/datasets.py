"""Datasets by API: everybody reads who owns them and to whom they are disclosed; the owner's steward decides on that.

The security administrator sets the first owner; from then on the owner alone hands a dataset over.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import msgspec
from litestar import Response, get, patch, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, admitted, answered
from api.govern.book import Book, Happened, history
from api.govern.words import of_dataset
from api.identity import Account, needs
from domain import disclosure
from domain.datasets import DATASETS
from domain.deciding import folded
from domain.disclosure import DataClass, Dataset, Disclosure, ShareType
from domain.errors import Malformed, Unknown
from domain.fact import Fact

SEES_HISTORY = frozenset({"auditor", "security-admin"})
OWNER = [needs("security-admin", "steward")]
STEWARD = [needs("steward")]


class Owning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str  # party
    document_no: str


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is named is set."""

    document_no: str
    disclosure: Disclosure | None = None
    data_class: DataClass | None = None
    share_type: ShareType | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as it stands. `history` is told to its owner, the security administrator and auditors."""

    name: str
    version: int
    zh: str
    en: str
    owner: str
    owner_zh: str
    owner_en: str
    disclosure: str
    disclosure_zh: str
    disclosure_en: str
    data_class: str
    data_class_zh: str
    data_class_en: str
    share_type: str
    share_type_zh: str
    share_type_en: str
    history: list[Happened] = []


def shown(book: Book, name: str) -> Shown:
    found, listed = book.datasets[name], DATASETS[name]
    owner = book.names(found.owner) if found.owner else of_dataset("")
    told: dict[str, Any] = {
        "disclosure": found.disclosure,
        "data_class": found.data_class,
        "share_type": found.share_type,
    }
    named: dict[str, Any] = {
        f"{field}_{lang}": of_dataset(word)[at] for field, word in told.items() for at, lang in enumerate(LANGS)
    }
    return Shown(
        name=name,
        version=book.versions.get(disclosure.stream(name), 0),
        zh=listed.zh,
        en=listed.en,
        owner=found.owner,
        owner_zh=owner[0],
        owner_en=owner[1],
        **told,
        **named,
    )


LANGS = ("zh", "en")


# --- routes ---


@get("/v1/datasets", guards=[needs()], tags=["govern"])
async def listing(request: AnyRequest, desk: NamedDependency[Desk]) -> list[Shown]:
    """All of them."""
    await admitted(request, desk)
    return [shown(desk.book, name) for name in DATASETS]


@get("/v1/datasets/{name:str}", guards=[needs()], tags=["govern"])
async def show(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Shown:
    """One of them."""
    account = await admitted(request, desk)
    found = shown(desk.book, known(name))
    if account.role not in SEES_HISTORY and not (account.party and account.party == found.owner):
        return found
    stream = disclosure.stream(name)
    told = await asyncio.to_thread(history, desk.journal, desk.pool, stream, account)
    return msgspec.structs.replace(found, history=told)


@put("/v1/datasets/{name:str}/owner", guards=OWNER, tags=["govern"], status_code=ACCEPTED)
async def own(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Owning], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """The first owner; afterwards the owner's steward gives it to another department."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = owning(desk, account, known(name), data, now)
    return await answered(request, desk, account, lambda _: act)


def owning(desk: Desk, account: Account, name: str, data: Owning, now: datetime) -> Act:
    owner = data.owner.strip()
    given: dict[str, Any] = {"owner": owner, "owner_kind": desk.register.rights.kinds.get(owner, ""), "at": now}
    given |= {"by": account.account, "by_role": account.role, "by_party": account.party}
    given |= {"document_no": data.document_no}
    fold = folded(Dataset(name), disclosure.evolve)
    detail = f"{owner} {data.document_no}"
    decision = lambda state: disclosure.set_owner(state, **given)  # noqa: E731
    return Act("dataset.owner_set", disclosure.stream(name), fold, decision, detail)


@patch("/v1/datasets/{name:str}", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def change(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Setting], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """To whom it is disclosed, its class, its share type; by the owner's steward."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = setting(account, known(name), data, now)
    return await answered(request, desk, account, lambda _: act)


def setting(account: Account, name: str, data: Setting, now: datetime) -> Act:
    """Raises Malformed if nothing is set."""
    wanted: dict[str, tuple[Callable[..., Sequence[Fact]], str | None]] = {
        "disclosure": (disclosure.set_disclosure, data.disclosure),
        "data_class": (disclosure.classify, data.data_class),
        "share_type": (disclosure.set_share_type, data.share_type),
    }
    named = {field: (decide, word) for field, (decide, word) in wanted.items() if word is not None}
    if not named:
        raise Malformed("未说明要变更什么 / say what is to be changed", fields=list(wanted))
    if data.disclosure == "public":  # it may have to be classed as general first
        named["disclosure"] = named.pop("disclosure")
    about: dict[str, Any] = {"by": account.account, "by_party": account.party, "at": now}
    about |= {"document_no": data.document_no}

    def decide(state: Dataset) -> Sequence[Fact]:
        facts: list[Fact] = []
        for field, (decision, word) in named.items():
            facts += decision(reduce(disclosure.evolve, facts, state), **{field: word}, **about)
        return facts

    fold = folded(Dataset(name), disclosure.evolve)
    detail = " ".join([*(f"{field}={word}" for field, (_, word) in named.items()), data.document_no])
    return Act("dataset.changed", disclosure.stream(name), fold, decide, detail)


def known(name: str) -> str:
    """Raises Unknown."""
    if name not in DATASETS:
        raise Unknown(f"没有数据集 {name[:80]!r} / there is no dataset {name[:80]!r}", known=list(DATASETS))
    return name


ROUTES = (listing, show, own, change)
