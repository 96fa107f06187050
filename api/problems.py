"""Every error as RFC 9457 problem details: one table from kind to status, one type URI for each slug.

`type` is `/problems/SLUG` (docs/problems.md has a line for each); `instance` is the path asked for.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
import psycopg
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
    ValidationException,
)

from api.limits import TooDense, TooLarge, TooManyMessages, TooSlow, UnknownEncoding
from billing.gateway import Declined, GatewayError
from domain.errors import KouanError, Malformed, Refused, Stale, Unknown
from domain.writer import Busy
from projections.rights import Barred

log = logging.getLogger("kouan.api")

STATUS: tuple[tuple[type[KouanError], int], ...] = (
    (Busy, 503),
    (Malformed, 422),
    (Unknown, 404),
    (Refused, 409),
    (Stale, 412),
)
RETRY_AFTER_SECONDS = 1
LAST = MappingProxyType({"Connection": "close"})  # the server has a number of connections, not of requests


class NoCredential(KouanError):
    slug = "no-credential"
    title = "This needs a key"


class WrongRole(KouanError):
    slug = "wrong-role"
    title = "This account may not do that"


class Suspended(KouanError):
    slug = "suspended"
    title = "This account is suspended"

    @classmethod
    def of(cls, account: str) -> "Suspended":
        return cls(f"账户 {account} 已停用 / account {account} is suspended", account=account)


class WrongAddress(KouanError):
    slug = "wrong-address"
    title = "This key may not be used from this address"


class MissingScope(KouanError):
    slug = "missing-scope"
    title = "This credential is not for that"


class SetupNeeded(MissingScope):
    slug = "setup-needed"
    title = "The password must be changed, or the second factor enrolled, first"


class MissingRight(KouanError):
    slug = "missing-right"
    title = "This account has not that right"


class NoLeave(KouanError):
    """Asked for what rests on datasets that their owners have not permitted to this caller."""

    slug = "no-leave"
    title = "The data owners have not permitted this"


class PaymentRequired(KouanError):
    """A commercial item is not covered. What is said names the way to it, the price, and what is free beside it."""

    slug = "payment-required"
    title = "This service is paid for"


class NotSubscribed(PaymentRequired):
    slug = "not-subscribed"
    title = "This service needs a subscription"


class InArrears(PaymentRequired):
    slug = "in-arrears"
    title = "The subscription is suspended for arrears"


class QuotaExhausted(PaymentRequired):
    slug = "quota-exhausted"
    title = "What is included or ordered is used up"


class Forged(KouanError):
    slug = "forged"
    title = "The request does not come from a page of this session"


class LockedOut(KouanError):
    """`facts.seconds`: how long; it goes out as Retry-After too."""

    slug = "locked-out"
    title = "Too many failed attempts to sign in"


class TooManyRequests(KouanError):
    """`facts.seconds`: until there may be enough again."""

    slug = "too-many-requests"
    title = "Too much was asked in too short a time"
    headers: Mapping[str, str] = LAST


class CapacityReserved(Busy):
    slug = "capacity-reserved"
    title = "The rest of this server is kept for government services"
    headers: Mapping[str, str] = LAST


class BadHeader(Malformed):
    slug = "bad-header"
    title = "A header cannot be used"


class Nul(Malformed):
    slug = "nul"
    title = "The address holds a NUL character"


class EventStreamOnly(KouanError):
    """Asked for without saying that a stream of events is taken: whoever does not know would wait for its end."""

    slug = "event-stream-only"
    title = "This is a stream of events"


class UnknownFormat(Malformed):
    slug = "unknown-format"
    title = "The message format is not known"


class IdempotencyKey(Malformed):
    slug = "idempotency-key"
    title = "The Idempotency-Key cannot be used"


class IdempotencyMismatch(Malformed):
    slug = "idempotency-mismatch"
    title = "The Idempotency-Key was used for another request"


class IdempotencyInProgress(Refused):
    slug = "idempotency-in-progress"
    title = "The request with this Idempotency-Key is still at work"


EDGE = (
    (NoCredential, 401),
    (PaymentRequired, 402),
    (WrongRole, 403),
    (Barred, 403),
    (Suspended, 403),
    (WrongAddress, 403),
    (MissingScope, 403),
    (MissingRight, 403),
    (NoLeave, 403),
    (Forged, 403),
    (Declined, 409),
    (LockedOut, 429),
    (TooManyRequests, 429),
    (EventStreamOnly, 406),
    (TooSlow, 408),
    (TooLarge, 413),
    (TooManyMessages, 413),
    (TooDense, 413),
    (UnknownFormat, 415),
    (UnknownEncoding, 415),
    (GatewayError, 503),
)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with `facts`: what, where, which value."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    facts: dict[str, Any] = {}


def status_of(error: KouanError) -> int:
    """The HTTP status of a domain or edge error."""
    return next((status for kind, status in (*EDGE, *STATUS) if isinstance(error, kind)), 500)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A problem as an answer."""
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=headers or {},
    )


def on_kouan_error(request: Request[Any, Any, Any], error: KouanError) -> Response[bytes]:
    status = status_of(error)
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, IdempotencyInProgress):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, LockedOut | TooManyRequests):
        headers["Retry-After"] = str(error.facts["seconds"])
    if isinstance(error, TooManyRequests | CapacityReserved):
        headers.update(error.headers)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="kouan"'
    if isinstance(error, UnknownEncoding):
        headers["Accept-Encoding"] = "gzip"
    return respond(problem(error, request.url.path), headers)


def problem(error: KouanError, path: str) -> Problem:
    """What is told of an error, on the path that was asked for."""
    facts = msgspec.to_builtins(error.facts, str_keys=True)
    return Problem(f"/problems/{error.slug}", error.title, status_of(error), error.detail, path, facts)


_FRAMEWORK: dict[type[HTTPException], tuple[str, str]] = {
    NotFoundException: ("no-such-path", "There is nothing at this path"),
    MethodNotAllowedException: ("no-such-method", "This path does not know that method"),
    ValidationException: ("malformed", Malformed.title),
    NotAuthorizedException: (NoCredential.slug, NoCredential.title),
    PermissionDeniedException: (WrongRole.slug, WrongRole.title),
}


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework found wrong, in our words where it has a kind of its own."""
    slug, title = next(
        (named for kind, named in _FRAMEWORK.items() if isinstance(error, kind)),
        ("http", HTTPStatus(error.status_code).phrase),
    )
    facts: dict[str, Any] = {"faults": error.extra} if isinstance(error, ValidationException) and error.extra else {}
    status = MALFORMED_STATUS if isinstance(error, ValidationException) else error.status_code
    problem = Problem(f"/problems/{slug}", title, status, str(error.detail), request.url.path, facts)
    return respond(problem, dict(error.headers or {}))


MALFORMED_STATUS = 422


def on_data_error(request: Request[Any, Any, Any], error: psycopg.DataError) -> Response[bytes]:
    """A value that no column can hold: a NUL in a text, a number without end."""
    log.warning("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    said = str(error).partition("\n")[0]
    detail = f"有一个值无法存取 / a value cannot be kept or compared: {said}"
    return respond(Problem("/problems/malformed", Malformed.title, MALFORMED_STATUS, detail, request.url.path))


def on_integrity_error(request: Request[Any, Any, Any], error: psycopg.IntegrityError) -> Response[bytes]:
    """Somebody was faster, and the database holds the rule."""
    log.warning("%s %s: %s", request.method, request.url.path, error)
    said = str(error).partition("\n")[0]
    return on_kouan_error(request, Refused(f"与已有记录冲突 / it conflicts with what is recorded: {said}"))


def on_database_away(request: Request[Any, Any, Any], error: psycopg.OperationalError) -> Response[bytes]:
    """The database cannot be reached, or takes too long: nothing was handed over, and asking again may help."""
    log.warning("%s %s: %s", request.method, request.url.path, error)
    return on_kouan_error(request, Busy("数据库暂不可用 / the database cannot be reached; try again"))


def without_nul(request: Request[Any, Any, Any]) -> None:
    """Nothing here is called by a NUL, and no text of the database holds one. Raises Nul."""
    if b"%00" in request.scope["query_string"] or "\x00" in request.scope["path"]:
        raise Nul("地址含空字符 %00 / the address holds a NUL character, %00; leave it out")


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours: logged whole, told briefly."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return respond(
        Problem("/problems/internal", "A fault of this server", 500, "The fault is logged.", request.url.path)
    )


HANDLERS: dict[type[Exception] | int, Any] = {
    KouanError: on_kouan_error,
    HTTPException: on_http_exception,
    psycopg.DataError: on_data_error,
    psycopg.IntegrityError: on_integrity_error,
    psycopg.OperationalError: on_database_away,
    Exception: on_exception,
}
