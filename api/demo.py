"""The demonstration: accounts with keys, and the sample day posted through the public HTTP API."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from api.identity import Account, open_account
from examples.day import EXAMPLES, SOURCES, Post, deliveries

PEOPLE = (
    Account("enterprise-demo", "enterprise", "示例进出口企业", "Sample trading enterprise"),
    Account("logistics-demo", "logistics", "示例物流企业", "Sample logistics firm"),
    Account("finance-demo", "finance", "示例财务人员", "Sample finance clerk"),
    Account("operator-demo", "operator", "示例运营人员", "Sample operator"),
)


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
    sources = {name: open_account(connection, Account(name, "source", *names)) for name, names in SOURCES.items()}
    demo = Demo(base_url, Keys(**people, sources=sources), dict(EXAMPLES))
    save(demo, home)
    return demo


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
    with httpx.Client(base_url=demo.base_url, timeout=30, trust_env=False) as client:
        for post in deliveries():
            answer = client.post(
                "/v1/reports",
                params={"format": post.format, "sent_at": post.sent_at.isoformat()},
                content=post.body,
                headers={
                    "Authorization": f"Bearer {demo.keys.sources[post.source]}",
                    "Content-Type": post.content_type,
                },
            )
            answer.raise_for_status()
            yield post, answer.json()
