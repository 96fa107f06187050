"""The audit trail in a real database: sealed from the journal, signed, anchored, looked through, pruned and resumed."""

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api import audit_desk
from api.audit_heads import Ahead, Anchors, Signer, agree, mark
from api.audit_sealer import Sealer
from api.identity import Account, open_account
from api.settings import Audit, Settings
from domain.access import AccessTold
from domain.delivery import new_id
from domain.errors import Refused
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from projections import audit
from projections.audit_check import Report
from projections.audit_rows import Asked
from tests.fixtures_node import Node

BOX = "/v1/track/CSQU3054383"
Connection = psycopg.Connection[Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", audit=Audit(anchors=str(tmp_path / "elsewhere" / "heads.jsonl")))


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def where(connection: Connection) -> str:
    return make_conninfo(connection.info.dsn, password=connection.info.password)


def tell(connection: Connection, times: int) -> None:
    """So many acts of a trader, and a stranger's refused."""
    with Journal("commerce", where(connection)).opened() as journal:
        writer, trail = Writer(journal), "access:test"
        for number in range(times):
            now = datetime.now(UTC)
            acts = [
                AccessTold(happened_at=now, recorded_at=now, action="login.card", object=str(number), account="trader")
            ]
            acts += [AccessTold(happened_at=now, recorded_at=now, action="access", object="GET", result="denied")]
            writer.write([Intent(facts=[NewFact(trail, new_id(now), act) for act in acts], fresh=True)])
        writer.stop()


def ask(node: Node, times: int) -> None:
    for _ in range(times):
        node.get(BOX, who="")
        node.get(BOX)


def seal(connection: Connection, **more: Any) -> None:
    while audit.seal(connection, **more):
        pass


def headed(connection: Connection, settings: Settings) -> None:
    mark(connection, Signer(settings), Anchors.of(settings), datetime.now(UTC))


def verified(connection: Connection, settings: Settings) -> Report:
    return audit_desk.verified(connection, settings)


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode()).fetchall()


def chained(connection: Connection, settings: Settings) -> int:
    """A chain of 19 entries with three heads; the number of its last entry."""
    for _ in range(3):
        tell(connection, 3)
        seal(connection)
        headed(connection, settings)
    return audit.state(connection).n


# --- sealing ---


def test_the_trail_holds_everything_that_the_commerce_journal_says_in_its_order(
    connection: Connection, settings: Settings
) -> None:
    chained(connection, settings)
    said = rows(connection, "SELECT notification_id FROM commerce_events ORDER BY 1")
    assert rows(connection, "SELECT position FROM audit WHERE position IS NOT NULL ORDER BY n") == said
    report = verified(connection, settings)
    assert (report.bad, report.facts, report.heads, report.anchors) == ("", len(said), 3, 3)


@pytest.mark.parametrize("limit", [1, 7, 2_000])
def test_in_whatever_batches_it_is_sealed_the_chain_is_the_same(connection: Connection, limit: int) -> None:
    tell(connection, 5)
    hashes = "SELECT n, hash FROM audit ORDER BY n"
    seal(connection, limit=limit)
    found = rows(connection, hashes)
    tampering(connection, "DELETE FROM audit", "UPDATE audit_state SET node = '', n = 0, hash = '', position = 0")
    seal(connection)
    assert rows(connection, hashes) == found


def test_the_first_entry_names_the_node(connection: Connection) -> None:
    tell(connection, 1)
    seal(connection, node="重庆 Chongqing")
    [(entry,)] = rows(connection, "SELECT entry FROM audit WHERE n = 1")
    assert msgspec.json.decode(entry)["node"] == "重庆 Chongqing"


def test_a_chain_may_be_hashed_by_sm3(connection: Connection, settings: Settings) -> None:
    tell(connection, 2)
    seal(connection, algorithm="sm3")
    tell(connection, 2)
    seal(connection)
    assert rows(connection, "SELECT DISTINCT algorithm FROM audit ORDER BY 1") == [("sha256",), ("sm3",)]
    assert verified(connection, settings).bad == ""


# --- nobody can rewrite it ---


COLUMN = {"audit": "n", "audit_heads": "n", "audit_keys": "key_id", "audit_cuts": "upto"}


@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET {} = {}"])
def test_a_change_of_the_trail_trips_a_wire(connection: Connection, statement: str) -> None:
    for table, column in COLUMN.items():
        names = [sql.Identifier(each) for each in (table, column, column)]
        with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
            connection.execute(sql.SQL(statement).format(*names[: statement.count("{}")]))


def test_the_reader_of_cargo_sees_nothing_of_the_trail(connection: Connection) -> None:
    connection.execute("SET ROLE kouan_reader")
    for table in ("audit", "audit_state", "audit_heads", "audit_keys", "audit_cuts"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table)))


def tampering(connection: Connection, *statements: str) -> None:
    """As the owner of the database can do it."""
    for table in ("audit", "audit_heads"):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    for statement in statements:
        connection.execute(statement.encode())
    for table in ("audit", "audit_heads"):
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


ONE, AT = "DELETE FROM audit WHERE n = {}", "SELECT at FROM audit WHERE n = {}"
TAIL = "DELETE FROM audit WHERE n >= {}"
ENTRY = "UPDATE audit SET entry = set_byte(entry, 20, get_byte(entry, 20) # 1) WHERE n = {}"
TAMPERINGS = [
    (ENTRY, "entry {}"),
    ("UPDATE audit SET hash = set_byte(hash, 31, get_byte(hash, 31) # 128) WHERE n = {}", "entry {}"),
    ("UPDATE audit SET who = 'nobody' WHERE n = {}", "entry {}"),
    ("UPDATE audit SET at = at + interval '1 us' WHERE n = {}", "entry {}"),
    ("UPDATE audit SET algorithm = 'md5' WHERE n = {}", "entry {}"),
    ("DELETE FROM audit WHERE n = {}", "entry {}"),
    (TAIL, "entry {}"),
    ("UPDATE audit SET n = -n WHERE n = {}", "entry -{}"),
]


@contextmanager
def tampered(connection: Connection, statement: str) -> Iterator[None]:
    """Put right again at the end."""
    connection.execute("CREATE TEMP TABLE rows AS TABLE audit")
    connection.execute("CREATE TEMP TABLE heads AS TABLE audit_heads")
    tampering(connection, statement)
    yield
    tampering(connection, "DELETE FROM audit", "INSERT INTO audit TABLE rows", "DROP TABLE rows")
    tampering(connection, "DELETE FROM audit_heads", "INSERT INTO audit_heads TABLE heads", "DROP TABLE heads")


def test_what_the_owner_changes_is_named(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    for statement, named in TAMPERINGS:
        for place in (2, 11):
            with tampered(connection, statement.format(place)):
                assert verified(connection, settings).bad == named.format(place), statement
    assert verified(connection, settings).bad == ""


SECOND = "SELECT n FROM audit_heads ORDER BY n OFFSET 1 LIMIT 1"
HEADS = [
    "DELETE FROM audit_heads WHERE n = {}",
    "DELETE FROM audit_heads WHERE n >= {}",
    "UPDATE audit_heads SET signature = set_byte(signature, 0, get_byte(signature, 0) # 1) WHERE n = {}",
    "UPDATE audit_heads SET at = at + interval '1 us' WHERE n = {}",
]


def test_what_the_owner_changes_of_the_heads_is_named(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    [(second,)] = rows(connection, SECOND)
    for statement in HEADS:
        with tampered(connection, statement.format(second)):
            assert verified(connection, settings).bad == f"head {second}", statement


def test_a_fact_changed_in_the_journal_is_named(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    connection.execute(
        "UPDATE commerce_events SET state = replace(convert_from(state, 'UTF8'), 'trader', 'someone')::bytea"
        " WHERE notification_id = (SELECT position FROM audit WHERE who = 'trader' ORDER BY n LIMIT 1)"
    )
    [(first,)] = rows(connection, "SELECT min(n) FROM audit WHERE who = 'trader'")
    report = verified(connection, settings)
    assert (report.bad, report.why.partition(" / ")[2]) == (f"entry {first}", "the journal says otherwise")


def test_a_key_that_only_the_database_names_signs_nothing(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    """Who owns the database cannot make a chain of his own with a key of his own."""
    chained(connection, settings)
    other = Settings(home=tmp_path / "thief", audit=Audit(anchors=str(tmp_path / "thief" / "heads.jsonl")))
    [(last,)] = rows(connection, "SELECT max(n) FROM audit_heads")
    tampering(connection, HEADS[0].format(last))
    headed(connection, other)
    assert verified(connection, settings).bad == f"head {last}"


# --- heads and anchors ---


def test_a_head_is_signed_only_when_the_chain_has_moved(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    assert mark(connection, Signer(settings), Anchors.of(settings), datetime.now(UTC)) is None


def test_an_anchor_that_a_crash_prevented_is_made_up_for(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    file = Anchors.of(settings).file
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    assert verified(connection, settings).bad == ""
    headed(connection, settings)
    assert file.read_bytes() == whole


def test_an_anchor_that_cannot_be_read_is_named(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    file = Anchors.of(settings).file
    file.write_bytes(file.read_bytes().replace(b'"n":', b'"n";', 1))
    assert verified(connection, settings).bad == "anchors line 2"


def test_the_signing_key_is_nobody_elses_to_read(settings: Settings) -> None:
    first, second = Signer(settings), Signer(settings)
    assert first.public == second.public
    assert (settings.home / "audit.key").stat().st_mode & 0o777 == 0o600


def test_the_sealer_seals_what_comes_and_signs_when_it_stops(connection: Connection, settings: Settings) -> None:
    with Journal("commerce", where(connection)).opened() as journal:
        sealer = Sealer(journal, settings).start()
        tell(connection, 2)
        last = journal.last(connection)
        deadline = time.monotonic() + 20
        while audit.state(connection).position < last and time.monotonic() < deadline:
            time.sleep(0.05)
        sealer.stop()
    report = verified(connection, settings)
    assert (report.bad, report.heads, report.last) == ("", 1, audit.state(connection).n)


# --- after a restore, and after many days ---


def restored(connection: Connection, n: int) -> None:
    """The database as it was at an earlier moment."""
    tampering(connection, TAIL.format(n + 1), HEADS[1].format(n + 1))
    connection.execute("DELETE FROM commerce_events WHERE notification_id > (SELECT max(position) FROM audit)")
    connection.execute(
        "UPDATE audit_state SET n = a.n, hash = a.hash, position = a.position FROM audit a WHERE a.n = %s", (n,)
    )


def test_after_a_restore_nothing_is_sealed_until_the_loss_is_named(connection: Connection, settings: Settings) -> None:
    last = chained(connection, settings)
    restored(connection, last - 4)
    with pytest.raises(Ahead):
        agree(connection, Anchors.of(settings))
    assert verified(connection, settings).bad == f"entry {last - 3}"
    lost = audit_desk.resumed(connection, settings, datetime.now(UTC), "auditor", "drill")
    assert (lost.lost_from, lost.lost_to) == (last - 3, last)
    agree(connection, Anchors.of(settings))
    tell(connection, 2)
    seal(connection)
    headed(connection, settings)
    report = verified(connection, settings)
    assert (report.bad, report.lost) == ("", [lost])


def test_nothing_is_resumed_where_nothing_is_lost(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    with pytest.raises(Refused):
        audit_desk.resumed(connection, settings, datetime.now(UTC), "auditor", "")


def test_only_what_is_old_enough_and_anchored_is_cut_and_the_chain_goes_on(
    connection: Connection, settings: Settings
) -> None:
    chained(connection, settings)
    [(second,)] = rows(connection, SECOND)
    [(between,)] = rows(connection, AT.format(second + 1))
    now = datetime.now(UTC)
    assert audit_desk.pruned(connection, settings, now - timedelta(days=400), now, "auditor") == 0
    assert audit_desk.pruned(connection, settings, between, now, "auditor") == second
    tell(connection, 1)
    seal(connection)
    report = verified(connection, settings)
    assert (report.bad, report.first, len(report.cuts)) == ("", second + 1, 1)
    tampering(connection, ONE.format(second + 1))
    assert verified(connection, settings).bad == f"entry {second + 1}"


def test_a_chain_that_is_not_whole_is_not_cut(connection: Connection, settings: Settings) -> None:
    chained(connection, settings)
    tampering(connection, ENTRY.format(5))
    with pytest.raises(Refused, match="entry 5"):
        audit_desk.pruned(connection, settings, datetime.now(UTC), datetime.now(UTC), "auditor")


# --- looking ---


@pytest.fixture
def auditor(node: Node) -> Node:
    people = [
        Account("auditor", "auditor", "审计", "Auditor"),
        Account("chief", "enterprise-admin", "管理员", "Chief", party="91500000000000000X"),
        Account("nobody", "enterprise-admin", "管理员", "Chief"),
        Account("buyer", "enterprise", "企业", "Buyer", party="91500000000000000X"),
    ]
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        node.keys |= {each.account: open_account(connection, each) for each in people}
    return node


def test_an_auditor_finds_who_did_what(auditor: Node, connection: Connection) -> None:
    ask(auditor, 2)
    seal(connection)
    page = auditor.get("/v1/audit", who="auditor", action="access", result="denied").json()
    assert {line["object"] for line in page["lines"]} == {f"GET /v1/track/{{number}} {BOX}"}
    assert [line["n"] for line in page["lines"]] == sorted((line["n"] for line in page["lines"]), reverse=True)


def test_an_auditor_pages_both_ways(auditor: Node, connection: Connection) -> None:
    ask(auditor, 3)
    seal(connection)
    newest = auditor.get("/v1/audit", who="auditor", limit=2).json()
    assert newest["more"]
    older = auditor.get("/v1/audit", who="auditor", limit=2, before=newest["lines"][-1]["n"]).json()
    assert older["lines"][0]["n"] == newest["lines"][-1]["n"] - 1
    oldest = auditor.get("/v1/audit", who="auditor", limit=2, after=0).json()
    assert [line["n"] for line in oldest["lines"]] == [1, 2]


def test_a_look_at_the_trail_is_in_the_trail(auditor: Node, connection: Connection) -> None:
    assert auditor.get("/v1/audit", who="auditor").json()["lines"] == []
    seal(connection)
    lines = auditor.get("/v1/audit", who="auditor", action="audit").json()["lines"]
    assert [(line["who"], line["action"]) for line in lines] == [("auditor", "audit.read")]


def test_an_administrator_sees_what_was_done_for_its_own_party_alone(auditor: Node, connection: Connection) -> None:
    ask(auditor, 1)
    auditor.get("/v1/feed", who="buyer")
    seal(connection)
    lines = auditor.get("/v1/audit", who="chief").json()["lines"]
    assert {line["who"] for line in lines} - {"any"} == {"buyer"}  # `any` has ordered what its party subscribes to
    assert auditor.get("/v1/audit", who="chief", party="91500000000000001X").status_code == 404
    assert auditor.get("/v1/audit", who="nobody").status_code == 404


def test_nobody_else_sees_the_trail(node: Node) -> None:
    for who in ("enterprise", "operator", "finance", "source", "logistics"):
        assert node.get("/v1/audit", who=who).status_code == 403


def test_a_question_that_cannot_be_understood_is_told_so(auditor: Node) -> None:
    moment = {"from": "2026-11-01T00:00:00"}
    for wrong in ({"limit": 0}, {"after": -1}, {"before": 2**63}, moment, {"to": "tomorrow"}, {"action": "a\x00"}):
        assert auditor.get("/v1/audit", who="auditor", **wrong).status_code == 422, wrong


def test_anybody_may_keep_the_head_and_check_it(node: Node, connection: Connection, settings: Settings) -> None:
    assert node.get("/v1/audit/head", who="").status_code == 404
    last = chained(connection, settings)
    head = node.get("/v1/audit/head", who="").json()
    [key] = node.get("/v1/audit/keys", who="").json()
    assert (head["n"], head["key"]) == (last, key["key"])


# --- commands ---


def test_the_command_says_whole_or_names_the_first_bad_record(
    node: Node, connection: Connection, settings: Settings
) -> None:
    chained(connection, settings)
    assert list(audit_desk.told(verified(connection, settings)))[-1] == "完整 / whole"
    tampering(connection, ENTRY.format(7))
    assert list(audit_desk.told(verified(connection, settings)))[-1].startswith("有误 / BAD entry 7: ")


def test_an_export_holds_every_entry_and_no_formula(auditor: Node, connection: Connection, tmp_path: Path) -> None:
    auditor.client.get("/v1/track/CSQU3054383", headers={**auditor.bearer("enterprise"), "Purpose": "=1+1"})
    seal(connection)
    asked = Asked(after=0)
    files = tmp_path / "a.jsonl", tmp_path / "a.csv"
    count = audit_desk.write(audit_desk.between(connection, asked), *files)
    assert count == len(files[0].read_text().splitlines()) == audit.state(connection).n
    titles, *table = csv.reader(files[1].read_text(encoding="utf-8-sig").splitlines())
    assert titles[:3] == ["序号 No.", "时间 At", "何人 Who"]
    assert not [cell for row in table for cell in row if cell.startswith("=")]
    assert "'=1+1" in {row[titles.index("用途 Purpose")] for row in table}
