"""What all forms of the pages share: how they are read, that they are done once, and the page that says why not.

What was refused is shown again as it was typed, with the key that it was sent under: whoever did not hear the answer
sends the same request again, not another one.
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from litestar import Response

from api import trail
from api.portal.pages import AnyRequest, refusal
from api.problems import status_of
from api.upload import form_of, text_of
from domain import fact
from domain.errors import KouanError, Malformed, Refused, Unknown

Fields = dict[str, str]
ONCE = "once"
"""The field that holds the key of a form."""

ONCE_CHARS_MAX = 80
UNTOUCHED = (Malformed, Unknown, Refused)
"""Raised before anything is written; of any other nobody knows, as of a journal that is busy."""

RAISED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Who may not come in is shown nothing of what is there."""


async def fields(request: AnyRequest, names: Iterable[str]) -> Fields:
    """What was typed, each in one line. Raises TooLarge, TooSlow, Malformed."""
    sent = await form_of(request)
    return {name: text_of(sent, name) for name in names}


def fresh() -> str:
    """The key of a form that was not sent yet."""
    return str(uuid4())


def key_of(form: Fields, who: str, thing: str) -> UUID:
    """Of one form as it was shown, by its step: sent again it is the same request. Raises Malformed without one."""
    once = form[ONCE]
    if not once or len(once) > ONCE_CHARS_MAX:
        raise Malformed("表单没有编号，请刷新页面后再填 / the form has no key: reload the page", field=ONCE)
    return fact.digest_id("form", who, thing, form["step"], once)


async def refused(
    request: AnyRequest, error: KouanError, show: Callable[[str, int], Awaitable[Response[Any]]]
) -> Response[Any]:
    """The page that says why its form was refused, told to the trail as by API. `show` gets that and the status.

    Raises the error again for who may not be here at all.
    """
    if status_of(error) in RAISED:
        raise error
    made = await show(said(error), refusal(error))
    await trail.denied(error, request.scope)
    return made


def said(error: KouanError, *, untouched: tuple[type[KouanError], ...] = UNTOUCHED) -> str:
    """Why, and whether to send it again; in both languages. `untouched`: errors that come before anything is done.

    >>> said(Refused("已关账 / it is closed"))
    '已关账。未作任何改动。 / it is closed. Nothing was changed.'
    """
    zh, _, en = error.detail.partition(" / ")
    more = ("未作任何改动。", "Nothing was changed.")
    if not isinstance(error, untouched):
        more = ("请再试一次，已办理的不会重复。", "Try again: what is done is not done twice.")
    return f"{zh.rstrip('。')}。{more[0]} / {(en or zh).rstrip('.')}. {more[1]}"
