"""The quarantine desk in a terminal: the place is marked, nothing a source wrote is obeyed, the exit code tells."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from api import desk
from api.intake import MessageReceipt
from api.main import kouan
from api.quarantine import Replayed
from domain.intent import Told
from domain.report import Fault
from tests import sample_desk
from tests.fixtures_node import Node
from tests.test_portal_browser import served
from tests.test_quarantine_api import ACCEPTED, MISCOUNTED, TRUNCATED, WHOLE, quarantined
from tests.test_terminal import printed


def test_a_message_is_printed_with_the_place_of_its_fault_marked() -> None:
    text = printed(desk.one(sample_desk.shown()), 120)
    for part in (
        "CNT+16:1'␍",
        "▶UNT+10+1'",
        "edifact.count @",
        "UNT 声明 '10' 段",
        "terminal-cnnkg · codeco",
        "苏A12345",
    ):
        assert part in text, part


def test_control_characters_of_a_message_are_drawn_not_obeyed() -> None:
    text = printed(desk.one(sample_desk.shown("a\x1b[2Jb\u202e[red]箱\u3000x".encode(), offset=3)), 120)
    assert "\\x1b[▶2J" in text or "␛[▶2J" in text
    assert "[red]" in text
    assert not {"\x1b", "\u202e"} & set(text)
    binary = printed(desk.one(sample_desk.shown(b"\x1f\x8b\x08\x00", offset=2)), 120)
    assert "\\x1f\\x8b▶\\x08\\x00" in binary


def test_a_long_message_is_printed_around_its_fault() -> None:
    raw = b"a" * 50_000 + b"HERE" + b"b" * 50_000
    text = printed(desk.one(sample_desk.shown(raw, offset=50_000)), 120)
    assert "▶HERE" in text
    assert len(text) < 2 * desk.BYTES_SHOWN


def test_the_list_names_every_message_and_counts_by_state() -> None:
    text = printed(desk.table(sample_desk.listing()), 160)
    for part in (str(sample_desk.item().message_id), "time.future", "待处理 Open 2", "已修复 Mended 1204"):
        assert part in text, part


def run(node: Node, address: str, *words: str, **options: Any) -> Result:
    key = node.keys[options.pop("who", "operator")]
    return CliRunner().invoke(kouan, ["quarantine", *words, "--url", address, "--key", key], **options)


@pytest.mark.slow
def test_an_operator_lists_shows_mends_and_dismisses_from_a_terminal(node: Node, tmp_path: Path) -> None:
    cut, miscounted = (
        quarantined(node, "codeco", TRUNCATED),
        quarantined(node, "codeco", MISCOUNTED.replace(b"+78", b"+79")),
    )
    label, odd = quarantined(node, "native", WHOLE.replace(b"+78", b"+80")), quarantined(node, "native", b"[")
    whole = tmp_path / "whole.edi"
    whole.write_bytes(WHOLE)
    with served("api.app:create", "--factory", KOUAN_CONNINFO=node.conninfo) as address:
        assert all(each in run(node, address, "list").output for each in (cut, miscounted, label, odd))
        assert "▶" in run(node, address, "show", cut).output
        assert run(node, address, "show", cut, "--raw").stdout_bytes in TRUNCATED
        again = run(node, address, "replay", cut)
        assert (again.exit_code, "edifact.truncated" in again.output) == (desk.STILL_FAULTY, True)
        assert run(node, address, "replay", cut, "--file", str(whole)).exit_code == 0
        accepted = run(node, address, "replay", miscounted, "--override", "count")
        assert (accepted.exit_code, ACCEPTED in accepted.output) == (0, True)
        assert run(node, address, "replay", label, "--format", "codeco").exit_code == 0
        assert run(node, address, "dismiss", odd).exit_code == 2
        assert run(node, address, "dismiss", odd, "--reason", "测试").exit_code == 0
        refused = run(node, address, "dismiss", odd, "--reason", "测试")
        assert (refused.exit_code, "已处理" in refused.output) == (1, True)
        assert run(node, address, "list", who="enterprise").exit_code == 1
        told = json.loads(run(node, address, "list", "--state", "all", "--json").output)
        assert {item["state"] for item in told["items"]} == {"mended", "dismissed"}


def test_what_a_replay_did_is_told_with_facts_warnings_and_faults() -> None:
    fault = Fault("edifact.time", sample_desk.ODD, 17, "UNH[1]/DTM")
    faulty = MessageReceipt(index=0, status="quarantined", message_id=UUID(int=1), facts=[], warnings=[], problem=fault)
    fact = Told(UUID(int=3), "container:CSQU3054383", "recorded")
    sound = MessageReceipt(index=1, status="recorded", message_id=UUID(int=2), facts=[fact], warnings=[ACCEPTED])
    text = printed(desk.replayed(Replayed(position=1, state="open", attempts=2, receipts=[faulty, sound])), 200)
    for part in ("第 2 次 attempt 2", "edifact.time @ 17 UNH[1]/DTM", "recorded  container:CSQU3054383", ACCEPTED):
        assert part in text, part
