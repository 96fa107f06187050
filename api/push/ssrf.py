"""Which addresses may be dialled: nothing of ours, nothing private, unless the account was given leave by name.

What is judged is the address about to be dialled, not the one in the URL and not the one that a name server named a
moment ago: numbers in odd notations, redirects and names that change their mind all end here. Sources: IANA special
registries (RFC 6890), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4), RFC 6598, metadata services of cloud providers.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTPS_PORT = 443
METADATA = tuple(
    ip_network(each)
    for each in (
        "169.254.169.254/32",  # AWS, Azure, GCP and others
        "169.254.170.2/32",  # AWS, of containers
        "168.63.129.16/32",  # Azure's wire server, a public address
        "100.100.100.200/32",  # Alibaba
        "fd00:ec2::254/128",  # AWS
        "fd20:ce::254/128",  # GCP
    )
)
"""Never, whoever gives leave: they hand out the keys of the machine."""
DENIED = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, overlay networks
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b::/96",  # NAT64: an IPv4 address inside
        "64:ff9b:1::/48",
        "2002::/16",  # 6to4: likewise
        "2001::/32",  # Teredo: likewise
        "::/96",  # IPv4-compatible: likewise
        "fec0::/10",
        "ff00::/8",
    )
)


class Blocked(OSError):
    """This address is not dialled; the text says why, and names no more than the receiver's owner wrote himself."""


def unwrapped(address: str) -> Address:
    """An IPv4 address inside an IPv6 one counts as what it is.

    >>> unwrapped("::ffff:127.0.0.1"), unwrapped("fe80::1%eth0")
    (IPv4Address('127.0.0.1'), IPv6Address('fe80::1'))
    """
    found = ip_address(address.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def is_metadata(address: Address) -> bool:
    return any(address in network for network in METADATA)


def is_public(address: Address) -> bool:
    """Whether it may be dialled without anybody's leave.

    >>> [is_public(unwrapped(each)) for each in ("10.0.0.1", "64:ff9b::a9fe:a9fe", "8.8.8.8", "2606:4700::1111")]
    [False, False, True, True]
    """
    return address.is_global and not any(address in network for network in (*DENIED, *METADATA))


def refusal(
    address: str, port: int, *, secure: bool, allowed: Sequence[Network] = (), ports: Sequence[int] = (HTTPS_PORT,)
) -> str:
    """Why this is not dialled; "" if it is. `allowed`: the account's private networks, where any port and http will do.

    >>> leave = [ip_network("10.1.0.0/16")]
    >>> refusal("8.8.8.8", 443, secure=True), refusal("10.1.2.3", 8080, secure=False, allowed=leave)
    ('', '')
    """
    try:
        found = unwrapped(address)
    except ValueError:
        return "不是 IP 地址 / it is no IP address"
    if is_metadata(found):
        return "云平台元数据地址 / the address of a metadata service"
    if any(found in network for network in allowed):
        return ""
    if not is_public(found):
        return "非公网地址，未经许可 / an address that is not public, and no leave to send there"
    if not secure:
        return "须用 https / it must be https"
    return "" if port in ports else f"端口 {port} 不在允许之列 / port {port} is not among those allowed"
