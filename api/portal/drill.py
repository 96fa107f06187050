"""Drilling down as pages: a statement line, a delivery, a message; the same as by API (api/drill.py, api/messages.py).

Each page leads on to the next: from the line to its deliveries, from a delivery to its facts, from a fact to the bytes
that said so, and from a delivery back to the line that billed it.
"""

from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api.drill import Driller
from api.drilled import Delivery, DeliveryDrill, LineDrill
from api.evidence import FactProof, FactsPage
from api.identity import Account
from api.messages import Messages, RawMessage
from api.papers import paper as papers
from api.portal.pages import AnyRequest, gate, local, on_error, page
from api.words import Pair
from domain.errors import KouanError
from domain.milestones import MILESTONES
from domain.statement import KINDS, REASONS

TEXT_CHARS_MAX = 20_000  # of a message, on its page
ABOUT_FACTS: dict[str, Pair] = {
    "delivery.made": ("交付", "delivery"),
    "delivery.accepted": ("推送已被接收", "push accepted"),
    "charge.fell_due": ("固定月费到期", "standing charge"),
    "adjustment.proposed": ("提出", "proposed"),
    "adjustment.approved": ("批准", "approved"),
    "adjustment.declined": ("驳回", "declined"),
}


class FactLine(msgspec.Struct, frozen=True):
    """A fact as a row: what of it is put in words."""

    proof: FactProof
    words: Pair
    happened_at: str
    place: str


@get("/statements/{number:str}/lines/{line:int}")
async def line_(
    request: AnyRequest, number: FromPath[str], line: FromPath[int], driller: NamedDependency[Driller]
) -> Response[str]:
    """A line with its deliveries and their first facts; `?after=` the rest."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"/statements/{number}/lines/{line}"))
    found = await driller.line(account, number, line, after=request.query_params.get("after", ""))
    return page(request, "books_line.html", **of_line(found))


def of_line(found: LineDrill) -> dict[str, Any]:
    """What the page is made of."""
    return {
        "found": found,
        "line": found.line,
        "kind": KINDS[found.line.kind],
        "reason": REASONS[found.line.reason],
        "reckoned": papers.reckoned(found.line),
        "about": ABOUT_FACTS,
        "rows": [(each, rows(each.handed), page_of(each.delivery)) for each in found.entries],
        "following": urlencode({"after": found.next}) if found.next else "",
    }


@get("/deliveries/{stream:str}/{version:int}")
async def delivery(
    request: AnyRequest, stream: FromPath[str], version: FromPath[int], driller: NamedDependency[Driller]
) -> Response[str]:
    """A delivery, its bill, and its facts; `?after=` a position the rest."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"/deliveries/{stream}/{version}"))
    after = request.query_params.get("after", "0")
    behind = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0  # noqa: PLR2004  a bigint
    found = await driller.delivery(account, stream, version, after=behind)
    return page(request, "books_delivery.html", **of_delivery(found))


def of_delivery(found: DeliveryDrill) -> dict[str, Any]:
    """What the page is made of."""
    return {
        "found": found,
        "delivery": found.delivery,
        "about": ABOUT_FACTS,
        "facts": rows(found.handed),
        "following": urlencode({"after": found.handed.next}) if found.handed.next else "",
    }


@get("/messages/{message_id:uuid}")
async def message(
    request: AnyRequest, message_id: FromPath[UUID], messages: NamedDependency[Messages]
) -> Response[str]:
    """The bytes of a message, and what proves them."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"/messages/{message_id}"))
    return page(request, "books_message.html", **of_message(await messages.read(account, message_id)))


def of_message(found: RawMessage) -> dict[str, Any]:
    """What the page is made of."""
    text = found.text if found.text is not None else found.base64.hex(" ")
    return {"found": found, "text": text[:TEXT_CHARS_MAX], "cut": len(text) > TEXT_CHARS_MAX}


def page_of(delivery: Delivery) -> str:
    return f"/deliveries/{quote(delivery.stream)}/{delivery.version}"


def rows(handed: FactsPage) -> list[FactLine]:
    """The facts, each in words as far as it is shown."""
    return [_row(each) for each in handed.facts]


def _row(proof: FactProof) -> FactLine:
    told: dict[str, Any] = msgspec.json.decode(proof.fact) if proof.fact else {}
    code, tag = told.get("code", ""), str(told.get("fact", ""))
    milestone = MILESTONES.get(code)
    named = (milestone.zh, milestone.en) if milestone else (told.get("text") or code or tag,) * 2
    return FactLine(proof, named, str(told.get("wall") or told.get("happened_at", "")), str(told.get("place", "")))


ROUTES = [
    Router(
        path="/",
        route_handlers=[line_, delivery, message],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
