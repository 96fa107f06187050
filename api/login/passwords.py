"""Passwords: what they must be like, and how they are kept: argon2id, in threads of their own.

Each hash takes 64 MiB for a moment, so only a few are made at once. An account that does not exist is checked against
a hash that no password fits, so that it takes as long as a wrong password does.
"""

import asyncio
import secrets
import string
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from api.settings import Settings
from domain.errors import Malformed

LONG, SHORT, CLASSES, DISTINCT, LENGTH_MAX = 12, 8, 3, 5, 128
"""Long enough by itself; the least, of so many classes; so many different characters; the most."""
NAME_CHARS = 3  # a shorter account name may occur by chance
ONCE_GROUPS = 4
_COMMON = """
12345678 123456789 1234567890 123456789012 password password1 password12 password123 password1234 passw0rd
p@ssw0rd p@ssword p@ssword1 pa$$w0rd qwerty123 qwertyuiop qwerty123456 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz@wsx
1qaz2wsx3edc qazwsxedc zaq12wsx admin123 admin1234 admin12345 admin@123 administrator root1234 root@123 test1234
letmein1 letmein123 welcome1 welcome123 welcome@123 changeme changeme123 iloveyou iloveyou1 sunshine1 football1
baseball1 superman1 monkey123 dragon123 abc12345 abc123456 abcd1234 abcd1234! a1234567 a12345678 aa123456
aa12345678 woaini1314 woaini520 5201314520 qq123456 asdf1234 asdfghjkl zxcvbnm123 huawei@123 kouan123 kouan@123
kouan12345 kouan123456 china123 shanghai123 beijing2008 port1234 customs123 qwertyuiop123 passwordpassword
"""
COMMONEST = frozenset(_COMMON.split())
_HASHER = PasswordHasher()
_THREADS = ThreadPoolExecutor(2, "argon2")


class BadPassword(Malformed):
    slug = "bad-password"
    title = "The password is too weak"


def check(password: str, account: str) -> None:
    """Raises BadPassword with the first thing that is wrong; never with the password."""
    zh, en = _fault(normal(password), account)
    if zh:
        raise BadPassword(f"口令{zh} / the password {en}", field="password")


def _fault(password: str, account: str) -> tuple[str, str]:
    plain = password.casefold()
    if not password.isprintable():
        return "含不可打印的字符", "holds characters that cannot be printed"
    if len(password) > LENGTH_MAX:
        return f"至多 {LENGTH_MAX} 个字符", f"may have at most {LENGTH_MAX} characters"
    if len(password) < LONG and not (len(password) >= SHORT and _classes(password) >= CLASSES):
        return (
            f"须至少 {LONG} 个字符，或至少 {SHORT} 个字符并含大写、小写、数字、符号中的 {CLASSES} 类",
            f"must have {LONG} characters, or {SHORT} of {CLASSES} kinds (capitals, small letters, digits, others)",
        )
    if len(account) >= NAME_CHARS and account.casefold() in plain:
        return "不得含账户名", "must not hold the name of the account"
    if plain in COMMONEST or len(set(plain)) < DISTINCT:
        return "过于常见或单调", "is too common or too monotonous"
    return "", ""


def _classes(password: str) -> int:
    kinds = (str.islower, str.isupper, str.isdigit, lambda each: not each.isalnum())
    return sum(any(map(kind, password)) for kind in kinds)


def normal(password: str) -> str:
    """One form for what keyboards write in several."""
    return unicodedata.normalize("NFC", password)


def days(settings: Settings) -> timedelta:
    """How long a password may be used."""
    return timedelta(days=settings.password_days)


def once() -> str:
    """A password by chance, to be used once: 20 letters and digits, without those that are mistaken for others."""
    letters = "".join(set(string.ascii_letters + string.digits) - set("0O1lI"))
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(ONCE_GROUPS))


# --- hashes ---


def hashed(password: str) -> str:
    """Takes some 50 ms and 64 MiB."""
    return _HASHER.hash(normal(password))


def fits(stored: str | None, password: str) -> bool:
    """Whether a password is the one that was hashed; None takes as long, and never is."""
    try:
        _HASHER.verify(stored or _nobody(), normal(password)[:LENGTH_MAX])
    except (Argon2Error, InvalidHashError, UnicodeError):
        return False
    return stored is not None


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


async def made(password: str) -> str:
    """`hashed`, in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, hashed, password)


async def right(stored: str | None, password: str) -> bool:
    """`fits`, in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, fits, stored, password)
