"""The start of a declaration, drawn up from what its declarant may see of the shipment, or from one of its own.

A draft is handed over like any answer, also where it goes straight into what is lodged (projections/drafts.py).
"""

from api import declarants
from api.declarants import NUMBER_CHARS_MAX
from api.declared import describe
from api.delivery import Item
from api.identity import Account
from api.pool import Pool
from api.way_out import Looking, WayOut
from billing import tariff
from domain import identifiers
from domain.datasets import DECLARATIONS
from domain.errors import Malformed, Unknown
from domain.journal import Journal
from projections import interests, links, shown
from projections.drafts import Draft, draft

DRAFT = Item(tariff.DECLARATION_DRAFT, "government")
SOURCES = frozenset({"bl", "awb", "rail", "container", "declaration"})
SUBJECTS_MAX = 200  # of a shipment, that a draft looks at


async def drawn_up(way_out: WayOut, pool: Pool, journal: Journal, account: Account, begun: str) -> Draft:
    """A draft, handed over. Raises Unknown, or Malformed for what is no kind:number."""
    kind, _, number = begun.partition(":")
    if kind not in SOURCES or not number.strip() or not number.isprintable() or len(number) > NUMBER_CHARS_MAX:
        raise Malformed(
            f"from 须为 bl:、awb:、rail:、container: 或 declaration: 加编号，而非 {begun[:80]!r} / "
            f"from must be bl:, awb:, rail:, container: or declaration: with a number, not {begun[:80]!r}",
            **{"from": begun[:80]},
        )

    def work(looking: Looking) -> Draft:
        if kind != "declaration":
            return _from_shipment(looking, f"{kind}:{identifiers.stored(number)}", begun)
        with pool.connection() as connection:
            own, others = declarants.found(connection, journal, looking.view, account, number)
        found = describe(own, others, []).as_draft()
        looking.drew_on([DECLARATIONS], len(found.content))
        return found

    return await way_out.hand_over(account, DRAFT, work, subject=begun)


def _from_shipment(looking: Looking, subject: str, begun: str) -> Draft:
    """Of what the caller may see, numbers too."""
    look = looking.look
    subjects = [subject, *links.reached(look, [[subject]])[0]][:SUBJECTS_MAX]
    mine = interests.mine(look.connection, looking.view.parties, subjects)
    lines = shown.lines(look, subjects, mine=mine)
    told = {name for line in lines for name in (line.subject, *line.refs)}.union(mine)
    if not lines or subject not in told:
        raise Unknown(f"没有 {begun} 的记录 / nothing is known under {begun}", number=begun)
    found = draft([each for each in subjects if each in told], lines)
    looking.found([line for line in lines if line.stands], count=len(found.content))
    return found
