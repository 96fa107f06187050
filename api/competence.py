"""Who may say what customs says: once customs' dataset has an owner, receipts are taken from that department alone.

A receipt of anybody else is kept in quarantine with its bytes; an operator who is satisfied of it reads it again, and
that is on the books under his name. Without an owner every source is taken at its word.
"""

from collections.abc import Sequence

import msgspec

from api.identity import Account
from api.register import Register
from domain.datasets import CLEARANCE
from domain.intent import Intent
from domain.receipts import Received
from domain.report import Fault

CODE = "source.not-competent"


def judged(wanted: Sequence[Intent], account: Account, register: Register) -> list[Intent]:
    """What the messages of this source may have written. Reads the register on if there is a receipt among them."""
    if not any(map(_is_receipt, wanted)):
        return list(wanted)
    register.refresh()
    owner = register.rights.datasets[CLEARANCE].owner
    if not owner or account.party == owner:
        return list(wanted)
    return [_refused(each, account, owner) if _is_receipt(each) else each for each in wanted]


def _is_receipt(intent: Intent) -> bool:
    return any(isinstance(new.fact, Received) for new in intent.facts)


def _refused(intent: Intent, account: Account, owner: str) -> Intent:
    message = intent.message
    assert message is not None
    whose = account.party or "-"
    detail = (
        f"海关回执只接受数源部门 {owner} 的来源，{account.account} 属于 {whose}；核实后请运营重放"
        f" / receipts of customs are taken from sources of {owner}, which owns {CLEARANCE};"
        f" {account.account} is of {whose}: an operator may read it again"
    )
    fault = Fault(CODE, detail, message.start)
    return msgspec.structs.replace(intent, facts=(), message=msgspec.structs.replace(message, fault=fault))
