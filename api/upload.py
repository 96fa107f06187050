"""A form of a page that brings a file (multipart/form-data), read within the limits of any other body.

A route takes one with `opt={"upload": True}`: then the door finds the token of the session in it (api/login/door.py).
Source of the format: RFC 7578.
"""

import asyncio
from typing import Any

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.exceptions import HTTPException

from api.limits import BODY_BYTES_MAX, BODY_SECONDS_MAX, TooLarge, TooSlow
from domain.errors import Malformed

OPT = {"upload": True}
_TOO_LARGE, _FAULT = 413, 500


async def form_of(request: Request[Any, Any, Any]) -> FormMultiDict:
    """The fields and files; asked for again, the same. Raises TooLarge, TooSlow, Malformed."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await request.form()
    except TimeoutError as error:
        raise TooSlow(
            f"文件未在 {BODY_SECONDS_MAX:g} 秒内到达 / the file did not arrive within {BODY_SECONDS_MAX:g} seconds",
            limit_seconds=BODY_SECONDS_MAX,
        ) from error
    except HTTPException as error:
        if error.status_code == _TOO_LARGE:
            raise TooLarge(
                f"文件不得超过 {BODY_BYTES_MAX // 1_000_000} MB，请分成几份 / "
                f"a file may have {BODY_BYTES_MAX // 1_000_000} MB at most: cut it into several",
                limit_bytes=BODY_BYTES_MAX,
            ) from error
        if error.status_code >= _FAULT:  # the sender has gone
            raise
        raise _unreadable() from error
    except (UnicodeError, LookupError) as error:  # of a part that says it is text
        raise _unreadable() from error


def _unreadable() -> Malformed:
    return Malformed("表单无法读取 / the form cannot be read")


def text_of(form: FormMultiDict, name: str) -> str:
    """What was typed into a field, in one line; "" if nothing was. Raises Malformed for what no text may hold."""
    given = form.get(name, "")
    line = " ".join(given.split()) if isinstance(given, str) else ""
    if not line.isprintable():
        raise Malformed(f"{name} 含不可显示的字符 / {name} has characters that cannot be shown", field=name)
    return line


async def file_of(form: FormMultiDict, name: str) -> bytes:
    """The bytes of a file. Raises Malformed where none was chosen."""
    given = form.get(name)
    if not isinstance(given, UploadFile):
        raise Malformed("请选择文件 / choose a file", field=name)
    return await given.read()
