"""Where events may be sent: callback addresses, checked when they are told to us.

An address is public and speaks TLS. It is not called and its name is not looked up here: whoever sends must look the
name up himself, refuse private addresses then, and follow no redirect, for a name may mean another address tomorrow.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

URL_CHARS_MAX = 2_000
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PRIVATE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "test", "invalid", "onion")
"""Last labels that no public name has."""


def refusal(url: str, *, private: bool = False) -> str:
    """Why an address cannot be a callback; "" if it can. `private`: who has leave for a private network may use http.

    >>> refusal("https://events.example.com/kouan?shipper=7"), bool(refusal("https://10.0.0.1/"))
    ('', True)
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "不是网址 / it is no URL"
    if len(url) > URL_CHARS_MAX or re.search(r"[\s\x00-\x20\x7f<>\"\\^`{|}]", url):
        return "网址过长或含有不允许的字符 / it is too long, or holds characters that no URL has"
    if parts.scheme not in ({"https", "http"} if private else {"https"}) or not parts.hostname:
        return "须为 https 网址 / it must be an https URL"
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        return "不得含有用户名、密码或片段 / it must have no user name, password or fragment"
    return "" if private or _public(parts.hostname) else "须为公网主机名 / its host must be a public name or address"


def _public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        pass
    try:
        labels = host.removesuffix(".").encode("idna").decode().lower().split(".")
    except UnicodeError:
        return False
    last = labels[-1]
    numeric = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None  # 127.1 and 0x7f000001 are addresses, too
    return len(labels) > 1 and not numeric and last not in _PRIVATE and all(map(_LABEL.fullmatch, labels))
