"""The bank and the fapiao desk in a terminal: the same as by API, and on the trail."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.main import kouan
from tests.bank_world import FIRST, SECOND, asked, billed, file, row
from tests.fixtures_node import Node

NUMBER, RED, CONFIRMATION = "26322000000000000001", "26322000000000000002", "32000026110000000001"


def run(node: Node, *words: str) -> Result:
    environment = {"KOUAN_DATABASE_URL": node.conninfo, "COLUMNS": "250"}
    result = CliRunner().invoke(kouan, list(words), env=environment, catch_exceptions=True)
    node.catch_up()
    return result


def done(node: Node, *words: str) -> str:
    result = run(node, *words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def actions(node: Node) -> list[str]:
    rows = node.rows(
        "SELECT convert_from(state, 'UTF8')::json->>'action' FROM commerce_events WHERE topic = 'access.told'"
        " ORDER BY notification_id"
    )
    return [action for (action,) in rows]


@pytest.mark.slow
def test_a_bank_s_file_is_imported_matched_by_hand_undone_and_settled(node: Node, tmp_path: Path) -> None:
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    path = tmp_path / "bank.csv"
    path.write_bytes(file(row("T1"), row("T2", "1.00", "货款"), row("T3", "x")))
    output = done(node, "bank", "import", str(path), "--by", "clerk")
    assert "新增 new 2" in output
    assert "第 4 行 row 4" in output
    assert "x" in done(node, "bank", "list", "--state", "unread")
    listed = done(node, "bank", "list")
    receipt = listed.split()[0]
    assert "货款" in listed
    said = ("--reason", "电话确认", "--by", "clerk")
    assert f"{receipt}-1" in done(node, "bank", "match", receipt, SECOND, "--amount", "0.08", *said)
    assert "0.92" in done(node, "bank", "list")
    assert receipt in done(node, "bank", "undo", receipt, f"{receipt}-1", *said)
    assert receipt in done(node, "bank", "return", receipt, *said)
    assert "无变化" in done(node, "bank", "set-aside", receipt, *said)
    assert done(node, "bank", "list") == ""
    assert "matched 0" in done(node, "bank", "match", "--by", "clerk")
    assert done(node, "bank", "refunds") == ""
    assert isinstance(run(node, "bank", "match", receipt, SECOND, "--amount", "1,2", *said).exception, Exception)
    expected = ["bank.imported", "bank.matched", "bank.unmatched", "bank.returned", "bank.matched"]
    assert [each for each in actions(node) if each.startswith("bank.")] == expected


@pytest.mark.slow
def test_a_fapiao_is_asked_for_exported_recorded_and_taken_back(node: Node, tmp_path: Path) -> None:
    billed(node)
    by = ("--by", "clerk")
    done(node, "fapiao", "request", FIRST, "--name", "外贸企业", "--tax-id", "91320000MA0000277B", *by)
    path = tmp_path / "rows.csv"
    output = done(node, "fapiao", "export", "2026-09", str(path))
    assert "feed.pull" in output  # its tax classification is not told
    assert f"FP-{FIRST}-1" in path.read_text("utf-8-sig")
    done(node, "fapiao", "classify", "feed.pull", "3040203000000000000", "信息技术服务", *by)
    assert "feed.pull" not in done(node, "fapiao", "export", "2026-09", str(tmp_path / "rows.xlsx"))
    done(node, "fapiao", "record", FIRST, NUMBER, "--on", "2026-11-01", "--net", "1.00", "--tax", "0.06", *by)
    red = ("--red-of", NUMBER, "--confirmation", CONFIRMATION, "--reason", "折让")
    done(node, "fapiao", "record", FIRST, RED, "--on", "2026-11-02", "--net", "-1.00", "--tax", "-0.06", *red, *by)
    listed = done(node, "fapiao", "list", "2026-09")
    assert f"{NUMBER} 红 {RED}" in listed
    assert "缺 missing" in listed  # the other statement
    expected = ["fapiao.requested", "fapiao.classified", "fapiao.recorded", "fapiao.reddened"]
    assert [each for each in actions(node) if each.startswith("fapiao.")] == expected
