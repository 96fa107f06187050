"""The desk: endpoints as their owners make, change, stop and remove them. What they are sent is the engine's work.

An endpoint is unverified until it has proved that it wants messages (api/push/proving.py); another address must prove
it anew. Where it stands in the feed is kept through every state, so a pause loses nothing. An account's endpoints are
seen and managed by those of the same party and role, and by its enterprise's administrator; for others there are none.
Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from api.cursor import cursor, position
from api.delivery import FEED_PUSH
from api.identity import Account
from api.login.people import person
from api.login.vault import Vault
from api.push import keyring, signing, targets
from api.push.keyring import SigningKey
from domain import feed_filter
from domain.errors import Malformed, Refused, Unknown
from domain.feed_filter import FeedFilter

ItemCode = Literal["feed.push", "alerts.push"]
State = Literal["unverified", "active", "paused", "disabled"]
OF_ALERTS = ("subjects", "places")  # conditions that an alert can meet
ENDPOINTS_MAX = 100  # of one account
PAUSED = "由用户暂停 / paused by its owner"
MOVED = "地址已改，请重新验证 / another address: verify it"
NEVER = "尚未验证 / not verified yet"


class BadEndpoint(Malformed):
    slug = "bad-endpoint"
    title = "Such an endpoint cannot be made"


class TooManyEndpoints(Refused):
    slug = "too-many-endpoints"
    title = "This account has as many endpoints as it may have"


class NotVerified(Refused):
    slug = "endpoint-not-verified"
    title = "The endpoint has not proved that it wants messages"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is shown. `cursor`: up to which everything was sent or stands in the queue of retries."""

    id: UUID
    account: str
    item: ItemCode
    dialect: Literal["webhook", "dcsa"]
    url: str
    filter: FeedFilter
    ordered: bool
    state: State
    reason: str
    cursor: str
    made_at: datetime
    changed_at: datetime
    keys: Sequence[SigningKey] = ()


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An endpoint to be made. `after`: a cursor of the feed; none: from now on."""

    url: str
    item: ItemCode = "feed.push"
    filter: msgspec.Raw = msgspec.Raw(b"{}")
    ordered: bool = True
    signing: Literal["v1", "v1a"] = "v1a"
    after: str = ""


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What shall be otherwise; what is not named stays."""

    url: str | None = None
    filter: msgspec.Raw = msgspec.Raw()
    ordered: bool | None = None

    @property
    def named(self) -> list[str]:
        """What changes."""
        said = {"url": self.url is not None, "filter": bool(bytes(self.filter)), "ordered": self.ordered is not None}
        return [name for name, changes in said.items() if changes]


def filter_of(raw: bytes, item: ItemCode) -> FeedFilter:
    """What a body says, in the words of the journal. Raises BadEndpoint, BadFilter.

    A misspelt condition would be none, and none lets everything pass.
    """
    try:
        said = msgspec.json.decode(raw, type=dict[str, Any])
        wanted = msgspec.convert(said, FeedFilter)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadEndpoint(f"过滤条件不合要求 / the filter does not fit: {error}", field="filter") from error
    known = FeedFilter.__struct_fields__ if item == FEED_PUSH.code else OF_ALERTS
    if strange := sorted(set(said).difference(known)):
        raise BadEndpoint(
            f"{item} 没有过滤条件 {strange[0][:40]!r}，有 {', '.join(known)} / "
            f"{item} has no condition {strange[0][:40]!r}, only {', '.join(known)}",
            field="filter",
        )
    return feed_filter.checked(wanted)


# --- reading ---

COLUMNS = """
SELECT e.endpoint_id, e.account, e.item, e.dialect, e.url, e.wanted, e.ordered, e.state, e.reason, e.after, e.epoch,
       e.made_at, e.changed_at
FROM push_endpoints AS e
"""
MINE = f"""
{COLUMNS} JOIN accounts AS a ON a.account = e.account
WHERE e.account = %(account)s OR (%(party)s <> '' AND a.party = %(party)s AND a.role = ANY(%(roles)s))
ORDER BY e.made_at, e.endpoint_id
"""
MANAGED = ["enterprise", "logistics"]


def mine(connection: psycopg.Connection[Any], account: Account, now: datetime) -> list[Kept]:
    """All that this account sees, oldest first."""
    roles = [account.role, *(MANAGED if account.role == "enterprise-admin" else [])]
    values = {"account": account.account, "party": account.party, "roles": roles}
    return [_kept(connection, row, now) for row in connection.execute(MINE.encode(), values).fetchall()]


def one(connection: psycopg.Connection[Any], account: Account, endpoint_id: UUID, now: datetime) -> Kept:
    """Raises Unknown, also for who may not know of it."""
    found = named(connection, endpoint_id, now)
    if found is None or not _manages(connection, account, found.account):
        raise unknown(str(endpoint_id))
    return found


def named(connection: psycopg.Connection[Any], endpoint_id: UUID, now: datetime) -> Kept | None:
    """Whosever it is; None if there is none."""
    row = connection.execute(f"{COLUMNS} WHERE endpoint_id = %s".encode(), (endpoint_id,)).fetchone()
    return _kept(connection, row, now) if row else None


def unknown(text: str) -> Unknown:
    """To be raised for what is not there, and for what is another's."""
    return Unknown(f"没有接收端 {text[:40]!r} / there is no endpoint {text[:40]!r}", endpoint=text[:40])


def id_of(text: str) -> UUID:
    """Raises Unknown."""
    try:
        return UUID(text)
    except ValueError:
        raise unknown(text) from None


def _manages(connection: psycopg.Connection[Any], account: Account, owner: str) -> bool:
    if account.account == owner:
        return True
    found = person(connection, owner)
    if found is None or not account.party or found.party != account.party:
        return False
    return found.role == account.role or found.under(account)


def _kept(connection: psycopg.Connection[Any], row: tuple[Any, ...], now: datetime) -> Kept:
    endpoint_id, account, item, dialect, url, wanted, ordered, state, reason, after, epoch, *times = row
    return Kept(
        id=endpoint_id,
        account=account,
        item=item,
        dialect=dialect,
        url=url,
        filter=msgspec.convert(wanted, FeedFilter),
        ordered=ordered,
        state=state,
        reason=reason,
        cursor=cursor(after, epoch),
        made_at=times[0],
        changed_at=times[1],
        keys=keyring.listed(connection, endpoint_id, now),
    )


# --- making ---

COUNT = "SELECT count(*) FROM push_endpoints WHERE account = %s AND dialect = 'webhook'"
ADD = """
INSERT INTO push_endpoints
    (endpoint_id, account, item, dialect, url, wanted, ordered, state, reason, made_at, changed_at, epoch, after,
     next_at)
VALUES (%(endpoint_id)s, %(account)s, %(item)s, %(dialect)s, %(url)s, %(wanted)s, %(ordered)s, 'unverified',
    %(reason)s, %(now)s, %(now)s, %(epoch)s, %(after)s, %(now)s)
"""


def make(
    connection: psycopg.Connection[Any],
    vault: Vault,
    account: Account,
    wanted: Wanted,
    *,
    now: datetime,
    begins: "Begin",
) -> tuple[UUID, str]:
    """(its id, the secret `whsec_…` to be shown once, or the public key). `begins`: if its owner does not say where.

    Raises BadEndpoint, TooManyEndpoints, BadCursor.
    """
    _checked_url(connection, account.account, wanted.url)
    told = filter_of(wanted.filter, wanted.item)
    begins = begins._replace(after=position(wanted.after, begins.epoch)) if wanted.after else begins
    key = signing.new_key(wanted.signing)
    endpoint_id = uuid4()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 19281))", (account.account,))
        row = connection.execute(COUNT, (account.account,)).fetchone()
        if row and row[0] >= ENDPOINTS_MAX:
            raise TooManyEndpoints(
                f"已有 {row[0]} 个接收端，请先删除一个 / there are {row[0]} endpoints; remove one first", count=row[0]
            )
        row = New(endpoint_id, account.account, wanted.item, "webhook", wanted.url, told, wanted.ordered, *begins)
        put(connection, row, now)
        keyring.add(connection, vault, endpoint_id, key, now)
    return endpoint_id, key.shown


class Begin(NamedTuple):
    """Where an endpoint begins: behind a position, in an epoch of cursors."""

    after: int
    epoch: int


class New(NamedTuple):
    """A row to be put there."""

    endpoint_id: UUID
    account: str
    item: str
    dialect: str
    url: str
    wanted: FeedFilter
    ordered: bool
    after: int
    epoch: int


def put(connection: psycopg.Connection[Any], new: New, now: datetime) -> None:
    """Unverified."""
    wanted = Jsonb(msgspec.to_builtins(new.wanted))
    connection.execute(ADD, {**new._asdict(), "wanted": wanted, "now": now, "reason": NEVER})


def _checked_url(connection: psycopg.Connection[Any], account: str, url: str) -> None:
    if fault := targets.refusal(connection, account, url):
        raise BadEndpoint(f"url：{fault}", field="url")


# --- changing ---

CHANGE = """
UPDATE push_endpoints
SET url = coalesce(%(url)s, url),
    wanted = coalesce(%(wanted)s, wanted),
    ordered = coalesce(%(ordered)s, ordered),
    state = CASE WHEN %(moved)s THEN 'unverified' ELSE state END,
    reason = CASE WHEN %(moved)s THEN %(reason)s ELSE reason END,
    changed_at = %(now)s
WHERE endpoint_id = %(id)s
"""
SET = """
UPDATE push_endpoints
SET state = %(state)s, reason = %(reason)s, changed_at = %(now)s, next_at = %(now)s,
    failures = CASE WHEN %(state)s = 'active' THEN 0 ELSE failures END,
    failing_since = CASE WHEN %(state)s = 'active' THEN NULL ELSE failing_since END
WHERE endpoint_id = %(id)s AND state = ANY(%(before)s)
"""
REMOVE = "DELETE FROM push_endpoints WHERE endpoint_id = %s"


def change(connection: psycopg.Connection[Any], kept: Kept, changes: Changes, now: datetime) -> None:
    """Raises BadEndpoint."""
    moved = changes.url is not None and changes.url != kept.url
    if changes.url is not None:
        _checked_url(connection, kept.account, changes.url)
    wanted = filter_of(changes.filter, kept.item) if "filter" in changes.named else None
    values = {
        "id": kept.id,
        "url": changes.url,
        "wanted": Jsonb(msgspec.to_builtins(wanted)) if wanted is not None else None,
        "ordered": changes.ordered,
        "moved": moved,
        "reason": MOVED,
        "now": now,
    }
    connection.execute(CHANGE, values)


def set_state(connection: psycopg.Connection[Any], kept: Kept, state: State, reason: str, now: datetime) -> None:
    """Doing it twice changes nothing. Raises NotVerified for what has not proved itself."""
    before: dict[State, list[str]] = {
        "active": ["paused", "disabled"],
        "paused": ["active", "disabled"],
        "disabled": ["active", "paused", "unverified"],
        "unverified": list(get_args(State)),
    }
    values = {"id": kept.id, "state": state, "reason": reason, "now": now, "before": before[state]}
    if connection.execute(SET, values).rowcount == 0 and kept.state == "unverified":
        raise NotVerified(
            f"接收端 {kept.id} 尚未验证，请先 POST …/verify / endpoint {kept.id} is not verified: POST …/verify first",
            endpoint=str(kept.id),
        )


PROVED = """
UPDATE push_endpoints
SET state = 'active', reason = '', changed_at = %(now)s, next_at = %(now)s, failures = 0, failing_since = NULL
WHERE endpoint_id = %(id)s AND url = %(url)s AND state = 'unverified'
"""


def proved(connection: psycopg.Connection[Any], kept: Kept, now: datetime) -> None:
    """The address that was asked wants messages; where it was changed in the meantime, nothing is proved."""
    connection.execute(PROVED, {"id": kept.id, "url": kept.url, "now": now})


def remove(connection: psycopg.Connection[Any], kept: Kept) -> None:
    """With its keys and its queue; of a DCSA subscription, which it is too, nothing is left either."""
    with connection.transaction():
        connection.execute(REMOVE, (kept.id,))
        connection.execute("DELETE FROM dcsa_subscriptions WHERE subscription_id = %s", (kept.id,))
