"""How one `KOUAN_…` variable is read: a whole number, one of a list, an address, a secret.

A value that cannot be used stops the start with one line that names the variable; a secret is never shown.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from domain.errors import Malformed


class SettingsError(Malformed):
    """An environment variable cannot be used as it stands."""

    slug = "settings"
    title = "A setting cannot be used"


def whole(environ: Mapping[str, str], variable: str, *, default: int, largest: int) -> int:
    """From 1 on. Raises SettingsError."""
    text = environ.get(variable) or str(default)
    if text.isascii() and text.isdigit() and 1 <= int(text) <= largest:
        return int(text)
    raise SettingsError(
        f"{variable} 须为 1 至 {largest} 的整数，现为 {text!r} / "
        f"{variable} must be a whole number from 1 to {largest}, not {text!r}",
        variable=variable,
    )


def one_of(environ: Mapping[str, str], variable: str, *, default: str, allowed: tuple[str, ...]) -> str:
    """In lower case. Raises SettingsError."""
    text = (environ.get(variable) or default).lower()
    if text in allowed:
        return text
    choices = ", ".join(allowed)
    raise SettingsError(
        f"{variable} 须为下列之一：{choices}；现为 {text!r} / {variable} must be one of {choices}, not {text!r}",
        variable=variable,
    )


def address(environ: Mapping[str, str], variable: str) -> str:
    """Of an HTTP server; "": none. Raises SettingsError."""
    text = environ.get(variable) or ""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if text and not sound:
        raise SettingsError(
            f"{variable} 应为 http(s)://主机[:端口]/路径 / {variable} must be http(s)://host[:port]/path",
            variable=variable,
        )
    return text


def secret(environ: Mapping[str, str], variable: str) -> str:
    """What goes into a header; "": none. Raises SettingsError, which does not show it."""
    text = environ.get(variable) or ""
    if text.isascii() and text.isprintable():
        return text
    raise SettingsError(
        f"{variable} 只能含可打印的 ASCII 字符 / {variable} must be printable ASCII",
        variable=variable,
    )
