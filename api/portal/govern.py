"""The register as pages: permissions, datasets, one's own party with its agents, and the delivery ledger.

The same acts as the API's (api/govern), by the same rules; forms without script. A day in a form is one of
Asia/Shanghai: valid from its beginning, or until its end.
"""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from api.govern import datasets as datasets_api
from api.govern import handovers as ledger_api
from api.govern import parties as parties_api
from api.govern import permissions as permissions_api
from api.govern.acts import Act, Desk, admitted, carry_out
from api.govern.book import Book
from api.identity import Account
from api.login.door import ours
from api.portal.forms import refused
from api.portal.pages import foreign, gate, on_error, page
from api.problems import WrongRole
from api.upload import form_of, line
from domain.datasets import DATASETS
from domain.disclosure import CLASSES, DISCLOSURES, SHARE_TYPES
from domain.errors import KouanError, Malformed
from domain.party import SCOPES
from domain.permission import CHANNELS, STANCES

AnyRequest = Request[Any, Any, Any]
ASKERS = frozenset({"enterprise", "enterprise-admin", "logistics", "officer", "steward"})
READERS = frozenset({"steward", "officer", "auditor"})
GROUPS: tuple[tuple[str, tuple[str, str], frozenset[str]], ...] = (
    ("waiting", ("待批", "Waiting"), frozenset({"requested"})),
    ("live", ("有效与暂停", "Live and suspended"), frozenset({"granted", "suspended"})),
    ("ended", ("已结束", "Ended"), frozenset({"declined", "revoked", "expired"})),
)
SHOWN_MAX = 500
HOURS_DIGITS_MAX = 3
Form = dict[str, list[str]]


# --- forms ---


async def _form(request: AnyRequest) -> Form:
    """What was typed and chosen, each in one line. Raises Malformed."""
    sent = await form_of(request)
    return {name: [line(name[:40], each) for each in sent.getall(name)] for name in set(sent)}


def one(form: Form, name: str) -> str:
    return form.get(name, [""])[0].strip()


def day(form: Form, name: str, *, end: bool = False) -> datetime:
    """Raises Malformed."""
    try:
        found = datetime.strptime(one(form, name), "%Y-%m-%d").replace(tzinfo=ledger_api.SHANGHAI)
        return found + timedelta(days=1) if end else found
    except (ValueError, OverflowError) as error:
        raise Malformed(
            f"日期 {one(form, name)[:40]!r} 须写作 2026-11-01 / {name}: write a day as 2026-11-01", field=name
        ) from error


def wanted(form: Form) -> permissions_api.Requesting:
    """What the form asks for."""
    return msgspec.convert(
        {
            "dataset": one(form, "dataset"),
            "purpose": one(form, "purpose"),
            "channels": form.get("channels", []),
            "commercial": one(form, "commercial") == "yes",
            "valid_from": day(form, "valid_from"),
            "valid_to": day(form, "valid_to", end=True),
        },
        permissions_api.Requesting,
    )


def _account(request: AnyRequest, roles: frozenset[str]) -> Account:
    account: Account = request.user
    if account.role not in roles:
        raise WrongRole(f"{account.account}: {', '.join(sorted(roles))}", role=account.role, needed=sorted(roles))
    return account


# --- permissions ---


@get("/permissions")
async def permissions(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[str]:
    """Those that wait, those that count, those that are over."""
    return gate(request, "/permissions") if request.user is None else await _permissions(request, desk)


async def _permissions(request: AnyRequest, desk: Desk, *, refused: str = "", status: int = 200) -> Response[str]:
    account, now = await admitted(request, desk), datetime.now(UTC)
    context = overview(desk.book, account, now)
    return page(request, "govern_permissions.html", status=status, refused=refused, **context)


def overview(book: Book, account: Account, now: datetime) -> dict[str, Any]:
    """What the page of the permissions is made of."""
    seen = permissions_api.seen(book, account, now)[:SHOWN_MAX]
    today = now.astimezone(ledger_api.SHANGHAI).date()
    return {
        "groups": [(name, title, [each for each in seen if each.state in states]) for name, title, states in GROUPS],
        "me": account,
        "asks": account.role in ASKERS and account.party in book.parties,
        "datasets": DATASETS,
        "channels": CHANNELS,
        "stances": STANCES,
        "today": today.isoformat(),
        "next_year": (today + timedelta(days=365)).isoformat(),
    }


@post("/permissions")
async def ask(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Ask for one."""
    return await _act(request, desk, "/permissions", ASKERS, lambda account, form: _asking(desk, account, form))


def _asking(desk: Desk, account: Account, form: Form) -> Act:
    return permissions_api.requesting(desk, account, wanted(form), uuid4(), datetime.now(UTC))


@post("/permissions/{name:str}")
async def decide(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """Grant, decline, suspend, resume, revoke, ask others, or say what one's department thinks; field `step`."""

    def act(account: Account, form: Form) -> Act:
        step, now = one(form, "step"), datetime.now(UTC)
        found = permissions_api.known(desk.book, account, name)
        if step == "opinion":
            opinion = msgspec.convert(
                {"stance": one(form, "stance"), "text": one(form, "text")}, permissions_api.Opining
            )
            return permissions_api.opining(account, found, opinion, now)
        _account(request, frozenset({"steward"}))
        if step == "ask":
            return permissions_api.asking(desk, account, found, one(form, "departments").split(), now)
        if step == "grant":
            fields = ("approver", "document_no", "competent_department", "reason")
            granting = msgspec.convert({field: one(form, field) for field in fields}, permissions_api.Granting)
            return permissions_api.granting(desk, account, found, granting, now)
        return permissions_api.stepping(desk, account, found, (step, one(form, "reason")), now)

    return await _act(request, desk, "/permissions", frozenset({"steward", "officer"}), act)


# --- datasets ---


@get("/datasets")
async def datasets(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[str]:
    """Who owns which, to whom it is disclosed; the owner's steward changes that here."""
    return gate(request, "/datasets") if request.user is None else await _datasets(request, desk)


async def _datasets(request: AnyRequest, desk: Desk, *, refused: str = "", status: int = 200) -> Response[str]:
    account = await admitted(request, desk)
    told = [datasets_api.shown(desk.book, name) for name in DATASETS]
    lists = {"disclosure": DISCLOSURES, "data_class": CLASSES, "share_type": SHARE_TYPES}
    context: dict[str, Any] = {"listed": told, "me": account, "lists": lists, "refused": refused}
    return page(request, "govern_datasets.html", status=status, **context)


@post("/datasets/{name:str}")
async def change(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """Disclosure, class and share type."""

    def act(account: Account, form: Form) -> Act:
        fields = ("document_no", "disclosure", "data_class", "share_type")
        said = {field: one(form, field) for field in fields if one(form, field) or field == "document_no"}
        return datasets_api.setting(
            account, datasets_api.known(name), msgspec.convert(said, datasets_api.Setting), datetime.now(UTC)
        )

    return await _act(request, desk, "/datasets", frozenset({"steward"}), act)


# --- one's own party ---


@get("/party")
async def party(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[str]:
    """Agents, principals and support of one's own party."""
    return gate(request, "/party") if request.user is None else await _party(request, desk)


async def _party(request: AnyRequest, desk: Desk, *, refused: str = "", status: int = 200) -> Response[str]:
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = parties_api.shown(desk.book, parties_api.known(desk.book, account, account.party), now)
    today = now.astimezone(ledger_api.SHANGHAI).date()
    context: dict[str, Any] = {
        "found": found,
        "me": account,
        "scopes": SCOPES,
        "refused": refused,
        "today": today.isoformat(),
    }
    next_year = (today + timedelta(days=365)).isoformat()
    return page(request, "govern_party.html", status=status, next_year=next_year, **context)


@post("/party")
async def govern_party(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Appoint or dismiss an agent, allow or end support; field `step`."""

    def act(account: Account, form: Form) -> Act:
        now, name = datetime.now(UTC), account.party
        match one(form, "step"):
            case "appoint":
                said: dict[str, Any] = {
                    "agent": one(form, "agent"),
                    "document": one(form, "document"),
                    "scopes": form.get("scopes", []),
                }
                span: dict[str, Any] = {
                    "valid_from": day(form, "valid_from"),
                    "valid_to": day(form, "valid_to", end=True),
                }
                return parties_api.appointing(desk, account, name, parties_api.AppointingAgent(**said, **span), now)
            case "dismiss":
                fields = ("agent", "reason", "document")
                dismissing = parties_api.DismissingAgent(**{field: one(form, field) for field in fields})
                return parties_api.dismissing(account, name, dismissing, now)
            case "allow":
                hours = one(form, "hours")
                until = now + timedelta(hours=int(hours) if hours.isdecimal() and len(hours) <= HOURS_DIGITS_MAX else 0)
                allowing = parties_api.AllowingSupport(one(form, "ticket"), until)
                return parties_api.allowing(account, name, allowing, now)
            case "end":
                return parties_api.ending_support(account, name, one(form, "ticket"), now)
            case _:
                raise Malformed("没有这一步 / there is no such step", field="step")

    return await _act(request, desk, "/party", frozenset({"enterprise-admin"}), act)


# --- the ledger ---


@get("/handovers")
async def handovers(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[str]:
    """To whom how much of one's datasets was handed over."""
    if request.user is None:
        return gate(request, "/handovers")
    _account(request, READERS)
    account, now = await admitted(request, desk), datetime.now(UTC)
    query = request.query_params
    asked: dict[str, Any] = {name: query.get(name, "") for name in ("dataset", "party", "permission")}
    first, last = (_date(query.get(name, ""), name) for name in ("from", "to"))
    wanted_ = ledger_api.wanted(desk, account, {**asked, "first": first, "last": last}, now)
    told = await ledger_api.looked_up(desk, account, wanted_, 0, SHOWN_MAX)
    shown = {"first": wanted_.first.isoformat(), "last": wanted_.last.isoformat(), **asked}
    listed = [each for each in DATASETS.values() if account.role == "auditor" or _owns(desk, account, each.name)]
    return page(request, "govern_handovers.html", ledger=told, asked=shown, datasets=listed, leaves=ledger_api.LEAVES)


def _owns(desk: Desk, account: Account, name: str) -> bool:
    return bool(account.party) and desk.book.datasets[name].owner == account.party


def _date(text: str, name: str) -> Any:
    return day({name: [text]}, name).date() if text else None


# --- every form ---

PAGES = {"/permissions": _permissions, "/datasets": _datasets, "/party": _party}


async def _act(request: AnyRequest, desk: Desk, path: str, roles: frozenset[str], act: Any) -> Response[Any]:
    """Do what the form asks for and show the page again; what is refused is told on it."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, path)
    account = _account(request, roles)
    await admitted(request, desk)
    try:
        await carry_out(desk, account, act(account, await _form(request)))
    except msgspec.ValidationError as error:
        said = f"填写有误：{error} / that does not fit: {error}"
        return await PAGES[path](request, desk, refused=said, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    except KouanError as error:
        return await refused(request, error, lambda why, status: PAGES[path](request, desk, refused=why, status=status))
    return Redirect(path, status_code=303)


ROUTES = [
    Router(
        path="/",
        route_handlers=[permissions, ask, decide, datasets, change, party, govern_party, handovers],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
