"""A form of a page, read within the limits of any other body: what cannot be a text is refused, whatever it says it is.

A route that takes a file (multipart/form-data) has `opt={"upload": True}`: then the door finds the token of the session
in it (api/login/door.py). Source of the format: RFC 7578.
"""

import asyncio
import re
from typing import Any

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException

from api.limits import BODY_BYTES_MAX, BODY_SECONDS_MAX, TooLarge, TooSlow
from domain.errors import Malformed

OPT = {"upload": True}
_TOO_LARGE, _FAULT = 413, 500
HEAD_BYTES_MAX = 64 * 1024  # of one part
PARTS_MAX = 1_000
FOLDED = re.compile(rb"\r\n[ \t]+")
CHARSET = re.compile(rb"^content-type[ \t]*:.*charset", re.IGNORECASE | re.MULTILINE)
UTF_8 = re.compile(rb"^content-type[ \t]*:[^;]*;[ \t]*charset=\"?utf-?8\"?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


async def form_of(request: Request[Any, Any, Any]) -> FormMultiDict:
    """The fields and files; asked for again, the same. Raises TooLarge, TooSlow, Malformed."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            await _only_utf_8(request)
            form = await request.form()
            for value in form.values():
                str(value).encode()  # half a character is none
            return form
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


async def _only_utf_8(request: Request[Any, Any, Any]) -> None:
    """Of parts that name another encoding nothing is decoded: some decoders take a minute, some make no text of it."""
    kind, options = request.content_type
    if kind != RequestEncodingType.MULTI_PART or "boundary" not in options:
        return
    body, mark, at = await request.body(), b"--" + options["boundary"].encode() + b"\r\n", 0
    for _ in range(PARTS_MAX):
        at = body.find(mark, at)
        if at < 0:
            return
        at += len(mark)
        end = body.find(b"\r\n\r\n", at, at + HEAD_BYTES_MAX)
        head = FOLDED.sub(b" ", body[at : end if end >= 0 else at + HEAD_BYTES_MAX])
        if len(CHARSET.findall(head)) != len(UTF_8.findall(head)):
            raise _unreadable()
    raise _unreadable()


def _unreadable() -> Malformed:
    return Malformed("表单无法读取 / the form cannot be read")


def text_of(form: FormMultiDict, name: str) -> str:
    """What was typed into a field, in one line; "" if nothing was. Raises Malformed for what no text may hold."""
    return line(name, form.get(name, ""))


def line(name: str, given: object) -> str:
    """The same of one value; a file is none."""
    told = " ".join(given.split()) if isinstance(given, str) else ""
    if not told.isprintable():
        raise Malformed(f"{name} 含不可显示的字符 / {name} has characters that cannot be shown", field=name)
    return told


async def file_of(form: FormMultiDict, name: str) -> bytes:
    """The bytes of a file. Raises Malformed where none was chosen."""
    given = form.get(name)
    if not isinstance(given, UploadFile):
        raise Malformed("请选择文件 / choose a file", field=name)
    return await given.read()
