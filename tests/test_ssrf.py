"""Nothing of ours is dialled: whatever form an address comes in, it is stopped before a socket is made."""

import asyncio
import socket
import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from api.push.http import Answer, Client, Limits
from api.push.ssrf import is_public, refusal, unwrapped
from tests.receivers import Receiver

LOOPBACK = (ip_network("127.0.0.0/8"),)
INNER = {
    "inner.example": "10.0.0.8",
    "metadata.example": "169.254.169.254",
    "six.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
}


class Names(AbstractResolver):
    """A name server of ours: what a name means, and what it means the next time."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.names = names
        self.asked = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self.names.get(host, [])
        if not addresses:
            raise OSError("no such name")
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None: ...


FORMS = [
    "https://127.0.0.1:{port}/",
    "https://127.1:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://0.0.0.0:{port}/",
    "https://[::1]:{port}/",
    "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://someone@127.0.0.1:{port}/",
    "https://１２７.０.０.１:{port}/",
    "https://①②⑦.0.0.1:{port}/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://[fd00:ec2::254]/",
    "https://10.1.2.3/",
    "https://100.64.0.1/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://localhost:{port}/",
    "https://inner.example/",
    "https://metadata.example/",
    "https://six.example/",
    "https://mapped.example/",
    "http://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "https:///x",
    "not a url",
]


async def posted(client: Client, url: str, **more: Any) -> Answer:
    try:
        return await client.post(url, b"{}", {"webhook-id": "msg_1"}, **more)
    finally:
        await client.close()


@pytest.mark.parametrize("form", FORMS)
def test_no_socket_is_made_for_an_address_of_ours_in_any_form(form: str) -> None:
    async def scenario() -> None:
        receiver = await Receiver("ok").start()
        names = {name: [address] for name, address in INNER.items()} | {"localhost": ["127.0.0.1"]}
        every = Limits(total_seconds=2, ports=(443, receiver.port))
        client = Client(every, resolver=lambda: Names(names))
        answer = await posted(client, form.format(port=receiver.port))
        await receiver.stop()
        assert answer.status is None
        assert answer.error
        assert (client.sockets, receiver.asked) == (0, [])

    asyncio.run(scenario())


def test_a_name_that_changes_its_mind_is_judged_by_what_is_dialled() -> None:
    async def scenario() -> None:
        receiver = await Receiver("ok").start()
        names = Names({"rebinding.example": ["93.184.216.34", "127.0.0.1"]})
        await names.resolve("rebinding.example")  # the desk looked, and it was public
        client = Client(Limits(ports=(443, receiver.port)), resolver=lambda: names)
        answer = await posted(client, f"https://rebinding.example:{receiver.port}/")
        await receiver.stop()
        assert answer.error.startswith("blocked: ")
        assert (client.sockets, client.blocked > 0, receiver.asked) == (0, True, [])

    asyncio.run(scenario())


def test_a_redirect_is_not_followed_and_is_no_yes() -> None:
    async def scenario() -> None:
        receiver = await Receiver("redirect").start()
        client = Client()
        answer = await posted(client, receiver.url, allowed=LOOPBACK)
        await receiver.stop()
        assert (answer.status, answer.taken, client.sockets) == (307, False, 1)

    asyncio.run(scenario())


def test_a_private_network_is_dialled_with_leave_and_by_nobody_elses_connection() -> None:
    async def scenario() -> None:
        receiver = await Receiver("ok").start()
        client = Client()
        assert (await client.post(receiver.url, b"{}", {}, LOOPBACK)).taken
        denied = await client.post(receiver.url, b"{}", {})
        await client.close()
        await receiver.stop()
        assert denied.error.startswith("blocked: ")
        assert (client.sockets, len(receiver.asked)) == (1, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_an_attempt_ends_in_time(behaviour: str) -> None:
    async def scenario() -> None:
        receiver = await Receiver(behaviour).start()
        answer = await posted(Client(Limits(total_seconds=0.3)), receiver.url, allowed=LOOPBACK)
        await receiver.stop()
        assert (answer.status, answer.error) == (None, "timeout")
        assert answer.seconds < 2

    asyncio.run(scenario())


def test_of_a_gigabyte_eight_kilobytes_are_read() -> None:
    async def scenario() -> None:
        receiver = await Receiver("flood").start()
        answer = await posted(Client(), receiver.url, allowed=LOOPBACK)
        await receiver.stop()
        assert (answer.status, len(answer.body)) == (200, 8_192)
        assert answer.seconds < 5

    asyncio.run(scenario())


def test_a_certificate_nobody_vouches_for_is_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(tmp_path))
        receiver = await Receiver("ok", tls=context).start()
        answer = await posted(Client(), receiver.url, allowed=LOOPBACK)
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        believed = await posted(Client(tls=trusting), receiver.url, allowed=LOOPBACK)
        await receiver.stop()
        assert (answer.status, answer.error, believed.taken) == (None, "certificate", True)

    asyncio.run(scenario())


def _certificate(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return folder / "cert.pem", folder / "key.pem"


def test_metadata_is_never_allowed_and_a_public_address_has_its_port() -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    for address in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"):
        assert refusal(address, 443, secure=True, allowed=everything)
    assert refusal("93.184.216.34", 443, secure=True) == ""
    assert refusal("93.184.216.34", 22, secure=True)
    assert refusal("93.184.216.34", 80, secure=False)
    assert is_public(unwrapped("2606:2800:220:1::1"))
