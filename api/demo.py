"""The demonstration: accounts with keys, and the sample day posted through the public HTTP API.

The accounts belong to parties of `examples/register.json`. The sample enterprise sees what the sources name it for, the
sample logistics firm what the departments permit, the operator nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import psycopg

from api.identity import Account, open_account
from examples import parties
from examples.day import EXAMPLES, SOURCES, Post, deliveries

PEOPLE = (
    Account("enterprise-demo", "enterprise", "示例进出口企业", "Sample trading enterprise", parties.ENTERPRISE),
    Account("logistics-demo", "logistics", "示例物流企业", "Sample logistics firm", parties.LOGISTICS),
    Account("finance-demo", "finance", "示例财务人员", "Sample finance clerk", parties.OPERATOR),
    Account("operator-demo", "operator", "示例运营人员", "Sample operator", parties.OPERATOR),
)
REGISTER = Path(parties.__file__).with_name("register.json")


class Keys(msgspec.Struct):
    enterprise: str
    logistics: str
    finance: str
    operator: str
    sources: dict[str, str]


class Demo(msgspec.Struct):
    """What `demo.json` holds. `posted`: the whole sample day has been accepted."""

    base_url: str
    keys: Keys
    examples: dict[str, str]
    posted: bool = False


def path(home: Path) -> Path:
    return home / "demo.json"


def open_accounts(connection: psycopg.Connection[Any], home: Path, base_url: str) -> Demo:
    """The demo's accounts; keys of an earlier run are kept if they belong to this database."""
    file = path(home)
    if file.exists():
        demo = msgspec.json.decode(file.read_bytes(), type=Demo)
        if _belongs(connection, demo):
            demo.base_url = base_url
            save(demo, home)
            return demo
    people = {account.role: open_account(connection, account) for account in PEOPLE}
    sources = {name: open_account(connection, _source(name, *names)) for name, names in SOURCES.items()}
    demo = Demo(base_url, Keys(**people, sources=sources), dict(EXAMPLES))
    save(demo, home)
    return demo


def _source(name: str, zh: str, en: str) -> Account:
    return Account(name, "source", zh, en, parties.CUSTOMS if name.startswith("customs-") else "")


def _belongs(connection: psycopg.Connection[Any], demo: Demo) -> bool:
    key_ids = [key.split("_")[1] for key in (demo.keys.enterprise, *demo.keys.sources.values())]
    row = connection.execute("SELECT count(*) FROM api_keys WHERE key_id = ANY(%s)", (key_ids,)).fetchone()
    return row is not None and row[0] == len(key_ids) and set(demo.keys.sources) == set(SOURCES)


def save(demo: Demo, home: Path) -> None:
    """Write demo.json whole or not at all, readable by its owner alone."""
    draft = path(home).with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n")
    os.replace(draft, path(home))  # noqa: PTH105  an atomic rename is meant


def post_day(demo: Demo) -> Iterator[tuple[Post, dict[str, Any]]]:
    """Post the sample day; yields each post and its answer. Raises httpx.HTTPStatusError if one is refused."""
    named: set[str] = set()
    with httpx.Client(base_url=demo.base_url, timeout=30, trust_env=False) as client:
        for post in deliveries():
            bearer = {"Authorization": f"Bearer {demo.keys.sources[post.source]}"}
            answer = client.post(
                "/v1/reports",
                params={"format": post.format, "sent_at": post.sent_at.isoformat()},
                content=post.body,
                headers={**bearer, "Content-Type": post.content_type},
            )
            told: dict[str, Any] = answer.raise_for_status().json()
            papers = {fact["subject"] for receipt in told["receipts"] for fact in receipt["facts"]}
            for paper in sorted(papers & parties.NAMED.keys() - named):
                _name(client, bearer, paper)
                named.add(paper)
            yield post, told


def _name(client: httpx.Client, bearer: dict[str, str], paper: str) -> None:
    """Whose cargo it is, told by the source that was the first to tell of the paper."""
    kind, _, number = paper.partition(":")
    body = {"role": parties.NAMED[paper], "party": parties.ENTERPRISE}
    path = f"/v1/shipments/{kind}/{quote(number, safe='')}/parties"
    client.put(path, json=body, headers=bearer).raise_for_status()
