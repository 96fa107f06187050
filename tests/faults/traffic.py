"""What the fault tests write: facts that carry a label, so that each one can be found again and counted.

A label is `batch/number`, stored in the fact's `text`. A batch that is built again for a repetition has the same fact
ids, as it has in the product, where ids are derived from the meaning.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from domain import container, schema
from domain.fact import Stated, digest_id
from domain.intent import Intent, Message, NewFact, Transmission
from domain.journal import Entry, Journal
from domain.report import Fault, Function, Moment, Movement
from tests.fixtures_postgres import drop

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = 2_000
STREAMS = 20
_MOVED = container.observe(
    Movement(subject="container:X", code="GATE_IN", raw_code="34", when=Moment(NOW), place="CNNKG", mode="TRUCK"),
    source="fault",
    message_id=digest_id("fault"),
    sent_at=None,
    now=NOW,
)


def labelled(stream: str, label: str, message: Message | None = None) -> NewFact:
    """A fact with that label; the same label is the same fact, whoever states it."""
    told = msgspec.structs.replace(_MOVED, text=label)
    if message is not None:
        told = msgspec.structs.replace(told, source=message.transmission.source, message_id=message.message_id)
    return NewFact(stream, digest_id("label", label), told)


def message(
    source: str,
    key: str,
    *,
    content: str = "",
    document: str = "",
    function: Function = "original",
    fault: Fault | None = None,
    format: str = "native",  # noqa: A002  the field's own name
) -> Message:
    """One message, alone in its transmission."""
    body = f"{source} {key} {content}".encode()
    return Message(
        message_id=digest_id(source, key),
        transmission=Transmission(uuid4(), source, format, NOW, body[:32], body),
        start=0,
        end=len(body),
        digest=digest_id(content).bytes,
        document=document,
        function=function,
        fault=fault,
    )


def batch(name: str, size: int, *, shared: bool = True) -> list[Intent]:
    """One message with `size` facts, labelled `name/0`, `name/1`, …; on streams of all writers or its own."""
    sent = message(name.split("/", 1)[0], name)
    prefix = "container:shared" if shared else f"container:{name.split('/', 1)[0]}"
    facts = [labelled(f"{prefix}-{number % STREAMS}", f"{name}/{number}", sent) for number in range(size)]
    return [Intent(message=sent, facts=facts)]


def aborted(name: str, size: int, *, shared: bool = True) -> list[Intent]:
    """A batch that fails on the client when its facts have been copied: no text of PostgreSQL holds a NUL."""
    [good] = batch(name, size, shared=shared)
    assert good.message is not None
    broken = msgspec.structs.replace(good.message.transmission, format="\x00")
    return [msgspec.structs.replace(good, message=msgspec.structs.replace(good.message, transmission=broken))]


def stored(conninfo: str) -> Iterator[Entry]:
    """Every fact in the cargo journal, in order."""
    after = 0
    with Journal("cargo", conninfo).opened() as journal, journal.connect(autocommit=True) as connection:
        while page := journal.read(connection, after=after, limit=PAGE):
            yield from page
            after = page[-1].position


def label(entry: Entry) -> str:
    """The label of a fact, empty for a fact about facts."""
    return entry.fact.text if isinstance(entry.fact, Stated) else ""


def found(conninfo: str) -> Counter[str]:
    """How often each label is in the journal."""
    return Counter(told for entry in stored(conninfo) if (told := label(entry)))


def labels(batches: Sequence[tuple[str, int]]) -> Iterator[str]:
    """The labels of (name, size) batches."""
    return (f"{name}/{number}" for name, size in batches for number in range(size))


@contextmanager
def fresh(server: str) -> Iterator[str]:
    """The conninfo of a new database with the journals' tables alone; dropped at the end."""
    name = f"kouan_faults_{uuid4().hex[:12]}"
    _execute(server, "CREATE DATABASE {}", name)
    try:
        conninfo = make_conninfo(server, dbname=name)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            schema.migrate(connection)
        yield conninfo
    finally:
        drop(server, name)


def _execute(conninfo: str, statement: str, *names: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
