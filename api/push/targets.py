"""Where an endpoint may lie, as far as its URL tells: refused at the desk is what could never be sent to.

The wall itself stands where the socket is made (api/push/ssrf.py), for a name may mean another address tomorrow.
"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import psycopg

from api.facades import callbacks
from api.push import networks, ssrf


def refusal(connection: psycopg.Connection[Any], account: str, url: str) -> str:
    """Why messages of this account cannot be sent there; "" if they can."""
    allowed = networks.of(connection, account)
    fault = callbacks.refusal(url, private=bool(allowed))
    return fault or literal_refusal(url, allowed)


def literal_refusal(url: str, allowed: list[ssrf.Network]) -> str:
    """The same for a host that is an address; "" for names.

    >>> bool(literal_refusal("https://[64:ff9b::a00:1]/", [])), literal_refusal("https://example.com/", [])
    (True, '')
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (ssrf.HTTPS_PORT if secure else 80)
    try:
        ip_address(host)
    except ValueError:
        # Who may use http within a private network may do so for a name of his there; a public one is not dialled.
        return "" if not allowed else callbacks.refusal(url, private=True)
    return ssrf.refusal(host, port, secure=secure, allowed=allowed, ports=(port,))
