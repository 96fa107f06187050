"""Who keeps the books: finance of the node sees everybody's, finance of an enterprise its own and closes nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.bookkeepers import LOOKERS, keeps_books
from api.identity import Account, Role
from api.register import Register
from domain.delivery import new_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.party import Kind, PartyRegistered, PartySuspended
from domain.writer import Writer
from tests.bank_world import FIRST, asked, billed, row
from tests.fixtures_node import Node
from tests.test_bank import imported, of

NOW = datetime(2026, 11, 2, tzinfo=UTC)
TRADER = "91320100MA1K2K3L4E"


@pytest.fixture
def firm(node: Node) -> Node:
    """A node where an enterprise has an accountant of its own."""
    told = PartyRegistered(
        happened_at=NOW, recorded_at=NOW, party=TRADER, by="a", kind="enterprise", zh="企业", en="Trader"
    )
    node.decide("commerce", f"party:{TRADER}", told)
    node.open("accountant", Account("accountant", "finance", "会计", "Accountant", party=TRADER))
    node.get("/v1/track/CSQU3054383", who="enterprise")
    node.catch_up()
    return node


def test_finance_of_the_node_sees_everybodys_usage(firm: Node) -> None:
    rows = firm.get("/v1/usage", who="finance").json()["rows"]
    assert "trader" in {row["account"] for row in rows}


def test_finance_of_an_enterprise_sees_its_own(firm: Node) -> None:
    answer = firm.get("/v1/usage", who="accountant", account="trader")
    assert (answer.status_code, answer.json()["rows"]) == (200, [])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/periods"), ("POST", "/v1/periods/2026-01/cut-off"), ("GET", "/v1/fees/cost-recovery")],
)
def test_the_books_of_the_node_are_closed_to_it(firm: Node, method: str, path: str) -> None:
    answer = firm.client.request(method, path, headers=firm.bearer("accountant"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/wrong-role")
    assert firm.client.request(method, path).status_code == 401


# --- whose finance, whose auditors ---

KINDS: dict[str, Kind] = {"PORT": "operator", "AUDIT-OFFICE": "agency", TRADER: "enterprise", "LINES": "provider"}
PAGES = ("/books", "/bank", "/fapiao?month=2026-09", "/dunning", "/reconciliation")


def registered(node: Node, party: str, kind: Kind) -> None:
    told: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "by": "a", "zh": "单位", "en": "Party"}
    node.decide("commerce", f"party:{party}", PartyRegistered(**told, party=party, kind=kind))


def suspended(node: Node, party: str) -> None:
    told = PartySuspended(happened_at=NOW, recorded_at=NOW, party=party, by="a", reason="x")
    with Journal("commerce", node.conninfo).opened() as kept:
        writer = Writer(kept)
        writer.write([Intent(facts=[NewFact(f"party:{party}", new_id(NOW), told)])])
        writer.stop()


def audited(node: Node, party: str) -> str:
    """Somebody with the role auditor, of a party or of none."""
    name = f"auditor-{party.lower()}"
    node.open(name, Account(name, "auditor", "审计", "Auditor", party=party))
    return name


KEEPING: list[tuple[Role, str, bool]] = [
    ("auditor", "", True),
    ("auditor", "PORT", True),
    ("auditor", "AUDIT-OFFICE", True),
    ("auditor", TRADER, False),
    ("auditor", "LINES", False),
    ("auditor", "NOWHERE", False),
    ("finance", "", True),
    ("finance", "PORT", True),
    ("finance", "AUDIT-OFFICE", False),
    ("finance", TRADER, False),
    ("finance", "NOWHERE", False),
    ("operator", "PORT", True),
    ("officer", "PORT", False),
]


def test_the_books_are_kept_by_the_nodes_own_and_audited_by_an_agency_too(node: Node) -> None:
    register: Register = node.client.app.state.register
    for party, kind in KINDS.items():
        registered(node, party, kind)
    unread = Account("x", "finance", "x", "X", party="PORT")
    assert keeps_books(unread, register) is False
    register.refresh()
    for role, party, expected in KEEPING:
        assert keeps_books(Account("x", role, "x", "X", party=party), register, LOOKERS) is expected, (role, party)
    assert keeps_books(unread, register) is True


def test_an_auditor_of_an_enterprise_or_of_nobody_reads_no_page_of_the_books(node: Node) -> None:
    for party, kind in KINDS.items():
        registered(node, party, kind)
    for party, status in (("", 200), ("PORT", 200), ("AUDIT-OFFICE", 200), (TRADER, 403), ("NOWHERE", 403)):
        who = audited(node, party)
        for path in ("/books", "/bank", "/fapiao?month=2026-09", "/v1/bank/receipts", "/v1/periods"):
            assert node.get(path, who).status_code == status, (party, path)


def test_a_page_asks_the_database_for_nobodys_party_while_it_is_drawn(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.open("lost", Account("lost", "finance", "失联", "Lost", party="NOWHERE"))
    read: list[str] = []
    refresh = Register.refresh

    def counted(register: Register) -> None:
        read.append("")
        refresh(register)

    monkeypatch.setattr(Register, "refresh", counted)
    for path in ("/", "/usage", "/statements", "/v1/usage"):
        assert node.get(path, "lost").status_code == 200
    assert read == []


# --- whoever is suspended ---


def test_a_suspended_party_reads_nothing_of_the_books_and_is_shown_nothing_with_the_refusal(node: Node) -> None:
    billed(node)
    asked(node, FIRST)
    imported(node, row("T1", "2.00", "货款"))
    [receipt] = of(node, "waiting")
    registered(node, "PORT", "operator")
    node.open("barred", Account("barred", "finance", "财务", "Clerk", party="PORT"))
    assert [node.get(path, "barred").status_code for path in PAGES] == [200] * len(PAGES)
    suspended(node, "PORT")
    for path in (*PAGES, f"/bank/receipts/{receipt['receipt']}", "/v1/bank/receipts", "/v1/periods", "/v1/dunning"):
        answer = node.get(path, "barred")
        assert (answer.status_code, "已暂停" in answer.text) == (403, True), path
        assert "T1" not in answer.text, path
    path, form = f"/bank/receipts/{receipt['receipt']}", {"step": "set-aside", "reason": "x", "once": "1"}
    answer = node.client.post(path, data=form, headers=node.bearer("barred"))
    assert (answer.status_code, "货款" in answer.text) == (403, False)


def test_a_suspended_enterprise_does_not_read_what_is_overdue(node: Node) -> None:
    registered(node, TRADER, "enterprise")
    node.open("barred", Account("barred", "enterprise", "企业", "Trader", party=TRADER))
    assert node.get("/dunning", "barred").status_code == 200
    suspended(node, TRADER)
    assert [node.get(path, "barred").status_code for path in ("/dunning", "/v1/dunning")] == [403, 403]


# --- pages and API agree ---


def test_bank_and_fapiao_are_for_finance_and_auditors_by_api_and_page(node: Node) -> None:
    billed(node)
    asked(node, FIRST)
    audited(node, "")
    desks = ("/bank", "/v1/bank/receipts", "/fapiao?month=2026-09", f"/fapiao/{FIRST}", "/v1/fapiao?month=2026-09")
    single = (f"/statements/{FIRST}/notice", f"/v1/bank/notices/{FIRST}", f"/v1/fapiao/{FIRST}")
    for who, status in {"finance": 200, "auditor-": 200, "operator": 403}.items():
        assert [node.get(path, who).status_code for path in desks] == [status] * len(desks), who
        assert [node.get(path, who).status_code for path in single] == [200] * len(single), who
    for who, shown in {"finance": True, "auditor-": True, "operator": False}.items():
        for path in ("/books", "/books/2026-09", "/reconciliation", "/dunning", f"/statements/{FIRST}"):
            assert ('href="/fapiao' in node.get(path, who).text) is shown, (who, path)
            assert shown or 'href="/bank' not in node.get(path, who).text, (who, path)


def test_who_looks_at_everybodys_fapiao_asks_for_nobodys(node: Node) -> None:
    billed(node)
    audited(node, "")
    told = {"buyer": {"name": "外贸企业"}}
    for who, status in {"auditor-": 403, "operator": 403, "enterprise": 404, "logistics": 202, "finance": 202}.items():
        answer = node.client.post(f"/v1/fapiao/{FIRST}/request", json=told, headers=node.bearer(who))
        assert answer.status_code == status, who
