"""Bearer tokens of several issuers: which are believed, for whom, and every way to cheat that is known of."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from api.identity import Account, open_account
from api.login import issuers, jwks
from api.login.issuers import BadIssuer, Claims, Entry, Link
from api.login.jwks import IssuerUnreachable, KeyMissing, KeySets
from api.login.tokens import TOKEN_BYTES_MAX, Tokens
from api.pool import Pool, open_pool
from api.problems import NoCredential, Suspended
from domain.errors import Refused, Unknown
from tests.fixtures_node import Node

NOW = 1_800_000_000
HERE = "https://north.example"
PARTY = "91120000MA05XXXX0K"
A_KEY, B_KEY, STRANGER = (ECKey.generate_key("P-256", {"kid": "one"}) for _ in range(3))
WIDE = ECKey.generate_key("P-384", {"kid": "one"})
A = Entry(
    issuer="https://a.example",
    name="a",
    jwks_uri="https://a.example/keys",
    audience=HERE,
    parties=(PARTY,),
    roles=("enterprise", "logistics"),
)
B = msgspec.structs.replace(
    A, issuer="https://b.example", name="b", jwks_uri="https://b.example/keys", parties=("P-B",)
)
KEYS = {A.jwks_uri: A_KEY, B.jwks_uri: B_KEY}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "one"}
CLAIMS: dict[str, Any] = {
    "iss": A.issuer,
    "sub": "zhang",
    "aud": HERE,
    "client_id": "app",
    "jti": "1",
    "iat": NOW - 10,
    "exp": NOW + 290,
    "party": PARTY,
    "role": "enterprise",
    "rights": ["enter"],
}
ANY = JWSRegistry(algorithms=list(JWSRegistry.algorithms), strict_check_header=False)


def public(*keys: ECKey) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(header: Any, claims: Any, key: Any = A_KEY) -> str:
    """A signed token, whatever stands in it; `alg` none where there is no key."""
    text = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    ANY.max_header_length = 100_000
    return jws.serialize_compact(header, text, key, registry=ANY)


def token(key: Any = A_KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The good token with changes; None leaves a member out."""
    head = {name: value for name, value in (HEADER | (header or {})).items() if value is not None}
    body = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return raw(head, body, key)


class Bench:
    """Tokens on a real database, with issuers that answer as the test says, and a clock that stands."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.now, self.down = pool, float(NOW), False
        self.sets = {uri: public(key) for uri, key in KEYS.items()}
        self.tokens = Tokens(pool, KeySets(self.fetch, lambda: self.now), lambda: self.now)
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.down:
            raise IssuerUnreachable("down")
        return self.sets[url]

    def save(self, entry: Entry) -> None:
        with self.pool.connection() as connection:
            issuers.save(connection, entry, "test")

    def ask(self, text: str) -> Account:
        return asyncio.run(self.tokens.by_token(text))


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    with open_pool(database) as pool:
        made = Bench(pool)
        made.save(A)
        made.save(B)
        yield made


# --- what is believed ---


def test_a_good_token_is_an_account_of_the_party_that_its_issuer_may_speak_for(bench: Bench) -> None:
    account = bench.ask(token())
    assert (account.role, account.party, account.rights) == ("enterprise", PARTY, ("enter",))
    assert account.credential == "token:https://a.example#zhang"
    assert bench.ask(token(jti="2")).account == account.account


def test_the_same_subject_of_two_issuers_is_two_accounts(bench: Bench) -> None:
    mine = bench.ask(token())
    theirs = bench.ask(token(B_KEY, iss=B.issuer, party="P-B"))
    assert mine.account != theirs.account
    assert theirs.party == "P-B"


def test_a_token_may_say_less_than_its_account_and_never_more(bench: Bench) -> None:
    bench.ask(token())
    assert bench.ask(token(rights=["enter", "declare"])).rights == ("enter",)
    assert bench.ask(token(rights=[])).rights == ()
    assert bench.ask(token(scope="track verify")).scopes == ("track", "verify")


def test_several_audiences_and_the_media_type_written_in_full_are_fine(bench: Bench) -> None:
    assert bench.ask(token(aud=["https://south.example", HERE], header={"typ": "application/at+JWT"}))


def test_one_key_needs_no_key_id(bench: Bench) -> None:
    assert bench.ask(token(header={"kid": None}))


def test_a_key_that_the_token_brings_along_is_not_looked_at(bench: Bench) -> None:
    lure = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/x", "jwk": STRANGER.as_dict(private=False)}
    assert bench.ask(token(header=lure))
    with pytest.raises(NoCredential, match="signature"):
        bench.ask(token(STRANGER, header=lure))
    assert set(bench.fetched) == {A.jwks_uri}


# --- what is not ---

PEM = A_KEY.public_key
assert isinstance(PEM, EllipticCurvePublicKey)
SECRETS = (PEM.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), public(A_KEY))


def swapped(part: int, text: str) -> str:
    parts = token().split(".")
    parts[part] = text
    return ".".join(parts)


def other_bits() -> str:
    """The same signature written in another way: the last character holds four bits that belong to no byte."""
    whole = token()
    return whole[:-1] + LETTERS[LETTERS.index(whole[-1]) + 1]


def by_secret(secret: bytes) -> str:
    """A token with a symmetric signature, made by hand: no library lends itself to it."""
    whole = ".".join(b64(json.dumps(each).encode()) for each in (HEADER | {"alg": "HS256"}, CLAIMS))
    return f"{whole}.{b64(hmac.digest(secret, whole.encode(), 'sha256'))}"


def twice(member: str) -> bytes:
    """Claims in which one member comes twice: readers that differ would differ about it."""
    return json.dumps(CLAIMS).replace("{", '{"' + member + '": "https://evil.example", ', 1).encode()


ATTACKS: dict[str, Callable[[], str]] = {
    "an issuer that nobody trusts": lambda: token(iss="https://evil.example"),
    "an issuer with a slash too many": lambda: token(iss=A.issuer + "/"),
    "an issuer that is a list": lambda: token(iss=[A.issuer]),
    "no issuer": lambda: token(iss=None),
    "a key of issuer B for a token of A, with the same key id": lambda: token(B_KEY),
    "a key of A for a token of B": lambda: token(A_KEY, iss=B.issuer, party="P-B"),
    "a user of a party that the issuer may not speak for": lambda: token(party="P-B"),
    "another audience": lambda: token(aud="https://south.example"),
    "an audience of which ours is a part": lambda: token(aud=HERE + ".evil.example"),
    "no audience": lambda: token(aud=None),
    "audiences that are not all texts": lambda: token(aud=[HERE, 1]),
    "an audience in an object": lambda: token(aud={HERE: HERE}),
    "alg none": lambda: swapped(0, b64(json.dumps(HEADER | {"alg": "none"}).encode())),
    "alg none and no signature": lambda: swapped(2, ""),
    "alg nOnE": lambda: swapped(0, b64(json.dumps(HEADER | {"alg": "nOnE"}).encode())),
    "HS256 with the public key in PEM as its secret": lambda: by_secret(SECRETS[0]),
    "HS256 with the key set as its secret": lambda: by_secret(SECRETS[1]),
    "an algorithm that is not allowed": lambda: token(RSAKey.generate_key(2048), {"alg": "RS384"}),
    "an algorithm that does not fit the key": lambda: token(RSAKey.generate_key(2048), {"alg": "RS256"}),
    "an algorithm of another curve": lambda: token(WIDE, {"alg": "ES384"}),
    "no algorithm": lambda: swapped(0, b64(json.dumps({"typ": "at+jwt", "kid": "one"}).encode())),
    "an algorithm that is a list": lambda: swapped(0, b64(json.dumps(HEADER | {"alg": ["ES256"]}).encode())),
    "a key id that is not known": lambda: token(header={"kid": "two"}),
    "a key id that is a path": lambda: token(header={"kid": "../../dev/null"}),
    "a key id that is no text": lambda: swapped(0, b64(json.dumps(HEADER | {"kid": 1}).encode())),
    "a key that it brings along itself": lambda: token(STRANGER, {"jwk": STRANGER.as_dict(private=False)}),
    "keys at an address that it names": lambda: token(STRANGER, {"jku": "https://evil.example/keys"}),
    "expired by more than the leeway": lambda: token(iat=NOW - 400, exp=NOW - 60),
    "no expiry": lambda: token(exp=None),
    "an expiry that is a text": lambda: token(exp=str(NOW + 100)),
    "an expiry that is true": lambda: token(exp=True),
    "an expiry without end": lambda: raw(HEADER, json.dumps(CLAIMS).replace(str(NOW + 290), "1e999").encode()),
    "an expiry that is not a number": lambda: raw(HEADER, json.dumps(CLAIMS).replace(str(NOW + 290), "NaN").encode()),
    "not valid yet": lambda: token(nbf=NOW + 61),
    "issued in the future": lambda: token(iat=NOW + 61),
    "no time of issue": lambda: token(iat=None),
    "a life of more than an hour": lambda: token(exp=NOW + 3600),
    "an ID token for an access token": lambda: token(header={"typ": "JWT"}, nonce="n"),
    "no typ": lambda: token(header={"typ": None}),
    "a logout token": lambda: token(header={"typ": "logout+jwt"}),
    "no client of RFC 9068": lambda: token(client_id=None),
    "no id of RFC 9068": lambda: token(jti=None),
    "an extension that must be understood": lambda: swapped(0, b64(json.dumps(HEADER | {"crit": ["exp"]}).encode())),
    "a payload that is not encoded": lambda: swapped(0, b64(json.dumps(HEADER | {"b64": False}).encode())),
    "no subject": lambda: token(sub=None),
    "an empty subject": lambda: token(sub=""),
    "a subject with a NUL": lambda: token(sub="zhang\0"),
    "a subject of half a character": lambda: token(sub="\ud800"),
    "a subject that is a number": lambda: token(sub=1),
    "a subject that is too long": lambda: token(sub="z" * 256),
    "an administrator's role": lambda: token(sub="new", role="security-admin"),
    "a role that the entry does not give": lambda: token(sub="new", role="finance"),
    "two roles": lambda: token(sub="new", role=["enterprise", "logistics"]),
    "no role": lambda: token(sub="new", role=None),
    "a scope of nothing": lambda: token(scope=""),
    "claims that were changed": lambda: swapped(1, b64(json.dumps(CLAIMS | {"sub": "li"}).encode())),
    "a signature of another token": lambda: swapped(2, token(sub="li").split(".")[2]),
    "a signature cut short": lambda: token()[:-4],
    "a signature of nothing but zeros": lambda: swapped(2, b64(bytes(64))),
    "a signature written in another way": other_bits,
    "an issuer that comes twice": lambda: raw(HEADER, twice("iss")),
    "a subject that comes twice": lambda: raw(HEADER, twice("sub")),
    "claims that are a list": lambda: raw(HEADER, [CLAIMS]),
    "claims nested without end": lambda: raw(HEADER, b"[" * 3000),
    "a header that is a list": lambda: swapped(0, b64(json.dumps([HEADER]).encode())),
    "five segments, encrypted": lambda: token() + ".a.b",
    "more than 8 KiB": lambda: token(pad="x" * TOKEN_BYTES_MAX),
    "blanks inside": lambda: token().replace(".", " ."),
    "padding": lambda: token() + "=",
}


@pytest.mark.parametrize("rule", ATTACKS)
def test_a_token_is_turned_away_with(rule: str, bench: Bench) -> None:
    with pytest.raises(NoCredential) as told:
        bench.ask(ATTACKS[rule]())
    signature = token().split(".")[2]
    assert signature not in told.value.detail
    with bench.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM account_links").fetchone() == (0,)


def test_the_leeway_is_a_minute(bench: Bench) -> None:
    assert bench.ask(token(exp=NOW - 59))
    assert bench.ask(token(iat=NOW + 59, exp=NOW + 200))


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_is_more_than_refused(bench: Bench, text: str) -> None:
    with pytest.raises(NoCredential):
        bench.ask(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(HEADER)), JSON, st.sampled_from([*sorted(CLAIMS), "nbf", "scope", "amr", "nonce"]), JSON)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_in_a_member_is_taken_or_refused(
    bench: Bench, head: str, header: object, member: str, value: object
) -> None:
    for changed in (
        raw(HEADER, CLAIMS | {member: value}),
        swapped(0, b64(json.dumps(HEADER | {head: header}).encode())),
    ):
        try:
            assert bench.ask(changed).role == "enterprise"
        except NoCredential:
            continue


@pytest.mark.parametrize("value", ["a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "é.b.c", "a" * 9000 + ".b.c"])
def test_the_door_answers_401_to_any_token(node: Node, value: str) -> None:
    answer = node.client.get("/v1/usage", headers={b"Authorization": f"Bearer {value}".encode("latin-1")})
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/no-credential"


# --- whom a token stands for ---


def test_who_was_linked_by_hand_has_the_role_of_the_account(bench: Bench) -> None:
    with bench.pool.connection() as connection:
        open_account(connection, Account("mover", "operator", "运营", "Operator"))
        issuers.link(connection, "a", Link("zhang", "mover"), "security")
    assert bench.ask(token(party=None, role=None)).account == "mover"


def test_an_administrator_needs_a_link_by_hand_and_a_second_factor_that_counts(bench: Bench) -> None:
    with bench.pool.connection() as connection:
        open_account(connection, Account("guard", "security-admin", "安全", "Security"))
        issuers.link(connection, "a", Link("zhang", "guard"), "other")
    strong = token(party=None, role=None, amr=["pwd", "otp"])
    with pytest.raises(NoCredential, match="second factor"):
        bench.ask(strong)
    bench.save(msgspec.structs.replace(A, second_factor=True))
    assert bench.ask(strong).role == "security-admin"
    with pytest.raises(NoCredential, match="second factor"):
        bench.ask(token(party=None, role=None, amr=["pwd"]))


def test_a_link_does_not_let_an_issuer_speak_for_another_party(bench: Bench) -> None:
    with bench.pool.connection() as connection:
        open_account(connection, Account("theirs", "enterprise", "他", "Theirs", party="P-B"))
        issuers.link(connection, "a", Link("zhang", "theirs"), "security")
    with pytest.raises(NoCredential, match="party"):
        bench.ask(token(party="P-B"))


def test_nobody_links_an_account_of_his_own(bench: Bench) -> None:
    with bench.pool.connection() as connection, pytest.raises(Refused):
        issuers.link(connection, "a", Link("zhang", "guard"), "guard")


def test_an_issuer_without_roles_makes_no_accounts(bench: Bench) -> None:
    bench.save(msgspec.structs.replace(A, roles=()))
    with pytest.raises(NoCredential, match="not linked"):
        bench.ask(token())


def test_a_role_that_changed_at_home_does_not_change_here_by_itself(bench: Bench) -> None:
    bench.ask(token())
    with pytest.raises(NoCredential, match="another role"):
        bench.ask(token(role="logistics"))


def test_a_suspended_account_or_issuer_counts_at_the_next_token(bench: Bench) -> None:
    account = bench.ask(token()).account
    with bench.pool.connection() as connection:
        connection.execute("UPDATE accounts SET state = 'suspended' WHERE account = %s", (account,))
    with pytest.raises(Suspended):
        bench.ask(token())
    bench.save(msgspec.structs.replace(A, state="suspended"))
    with pytest.raises(NoCredential, match="suspended"):
        bench.ask(token())


def test_an_issuer_may_have_its_own_words(bench: Bench) -> None:
    words = Claims(party="org", role="groups", roles={"trade-users": "enterprise"}, scope="")
    bench.save(msgspec.structs.replace(A, claims=words))
    account = bench.ask(
        token(party=None, role=None, org=PARTY, groups=["staff", "trade-users"], scope="openid profile")
    )
    assert (account.role, account.scopes) == ("enterprise", ())


# --- keys ---


def test_ten_thousand_unknown_keys_make_one_fetch_in_thirty_seconds(bench: Bench) -> None:
    bench.ask(token())

    async def storm() -> None:
        keys = bench.tokens.keys
        asked = (keys.key(A.issuer, A.jwks_uri, f"unknown-{number}", "ES256") for number in range(10_000))
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, KeyMissing) for each in found)

    assert len(bench.fetched) == 1
    asyncio.run(storm())
    assert len(bench.fetched) == 1  # the first fetch was less than thirty seconds ago
    bench.now += 30
    asyncio.run(storm())
    assert len(bench.fetched) == 2
    bench.now += 29
    asyncio.run(storm())
    assert len(bench.fetched) == 2


def test_a_new_key_is_found_and_an_old_one_is_forgotten(bench: Bench) -> None:
    bench.ask(token())
    fresh = ECKey.generate_key("P-256", {"kid": "two"})
    bench.sets[A.jwks_uri] = public(fresh)
    bench.now += 30
    assert bench.ask(token(fresh, {"kid": "two"}, exp=NOW + 400))
    with pytest.raises(NoCredential, match="no such key"):
        bench.ask(token(exp=NOW + 400))


def test_keys_are_never_older_than_ten_minutes_while_their_issuer_answers(bench: Bench) -> None:
    bench.ask(token())
    bench.sets[A.jwks_uri] = public(ECKey.generate_key("P-256", {"kid": "one"}))
    bench.now += 601
    with pytest.raises(NoCredential, match="signature"):
        bench.ask(token(iat=NOW + 600, exp=NOW + 700))


def test_keys_serve_for_a_day_while_their_issuer_is_away(bench: Bench) -> None:
    bench.ask(token())
    bench.down = True
    bench.now += 86_000
    assert bench.ask(token(iat=NOW + 86_000, exp=NOW + 86_100))
    bench.now += 800
    with pytest.raises(NoCredential, match="cannot be fetched"):
        bench.ask(token(iat=NOW + 86_800, exp=NOW + 86_900))


def test_an_issuer_that_is_away_is_asked_once_in_thirty_seconds(bench: Bench) -> None:
    bench.down = True
    for _ in range(20):
        with pytest.raises(NoCredential, match="cannot be fetched"):
            bench.ask(token())
    assert len(bench.fetched) == 1


def test_several_keys_need_a_key_id(bench: Bench) -> None:
    bench.sets[A.jwks_uri] = public(A_KEY, ECKey.generate_key("P-256", {"kid": "two"}))
    with pytest.raises(NoCredential, match="names no key"):
        bench.ask(token(header={"kid": None}))


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
        A_KEY.as_dict(private=True),
        A_KEY.as_dict(private=False) | {"use": "enc"},
        A_KEY.as_dict(private=False) | {"x": "AAAA"},
        A_KEY.as_dict(private=False) | {"crv": "secp256k1"},
        A_KEY.as_dict(private=False) | {"kid": 1},
        {"kty": "RSA", "n": "AAAA" * 100, "e": "AQAB"},
        "one",
    ],
)
def test_what_is_no_public_key_for_signatures_is_passed_over(key: object) -> None:
    assert jwks.read(json.dumps({"keys": [key]}).encode()) == ()


# --- entries ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://a.example"},
        {"issuer": "https://a.example?x=1"},
        {"issuer": "https://user:secret@a.example"},
        {"name": "callback"},
        {"name": "A/B"},
        {"jwks_uri": ""},
        {"jwks_uri": "http://a.example/keys"},
        {"keys": (A_KEY.as_dict(private=False),)},
        {"jwks_uri": "", "keys": (A_KEY.as_dict(private=True),)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ()},
        {"types": ("logout+jwt",)},
        {"audience": ""},
        {"client_id": HERE, "authorization_endpoint": "https://a.example/a", "token_endpoint": "https://a.example/t"},
        {"client_id": "x", "authorization_endpoint": "javascript:alert(1)"},
        {"seconds_max": 0},
        {"leeway_seconds": 3600},
        {"roles": ("security-admin",)},
        {"roles": ("operator",)},
        {"parties": ()},
    ],
)
def test_an_entry_that_would_open_the_door_too_far_is_not_taken(bench: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadIssuer):
        bench.save(msgspec.structs.replace(A, **wrong))


def test_the_name_of_an_issuer_is_not_given_to_another_one(bench: Bench) -> None:
    with pytest.raises(Refused):
        bench.save(msgspec.structs.replace(A, issuer="https://evil.example"))
    with pytest.raises(Refused):
        bench.save(msgspec.structs.replace(A, name="c"))


def test_with_an_issuer_its_links_and_sessions_go(bench: Bench) -> None:
    account = bench.ask(token()).account
    with bench.pool.connection() as connection:
        connection.execute(
            "INSERT INTO sessions (digest, account, expires_at, session_id, credential)"
            " VALUES ('x', %s, now() + interval '1 hour', '00000000', 'token:https://a.example#zhang')",
            (account,),
        )
        issuers.remove(connection, "a")
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
        with pytest.raises(Unknown):
            issuers.by_name(connection, "a")
    with pytest.raises(NoCredential, match="not trusted"):
        bench.ask(token())


def test_inline_keys_need_no_fetch(bench: Bench, database: str) -> None:
    bench.save(msgspec.structs.replace(A, jwks_uri="", keys=(A_KEY.as_dict(private=False),)))
    assert bench.ask(token())
    assert bench.fetched == []
    with psycopg.connect(database) as connection:
        assert [each.name for each in issuers.listed(connection)] == ["a", "b"]
