"""What the environment says: every `KOUAN_…` variable of the processes, read once into one frozen record.

Times are seconds. A value that cannot be used stops the start with one line that names the variable.
"""

import errno
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from api.setting_values import SettingsError as SettingsError  # noqa: PLC0414  everybody takes it from here
from api.setting_values import address, one_of, secret, whole
from domain.dunning import Ladder
from domain.errors import Malformed
from projections import suppression

PORT_MAX = 65535
MQTT_PORT, MQTTS_PORT, MQTT_CLIENT_ID, CLIENT_ID_CHARS_MAX = 1883, 8883, "kouan", 128
CUSTOMS_FORMS = ("xml", "json")
THRESHOLD_MAX = 1_000
RATE_MAX = 10_000_000  # a hundred times as much still fits its column
AUDIT_HASHES = ("sha256", "sm3")
REGIMES = ("market", "cost_recovery")
GATEWAYS = ("bank", "stripe")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class Rate(NamedTuple):
    """So many tokens in any window of so many seconds; 0: no limit."""

    tokens: int
    seconds: int = 60

    @classmethod
    def of(cls, text: str, variable: str) -> "Rate":
        """Of `N/SECONDS`, or `0`. Raises SettingsError.

        >>> str(Rate.of("600/60", "KOUAN_RATE_KEY")), str(Rate.of("0", "KOUAN_RATE_KEY"))
        ('600/60', '0/60')
        """
        found = re.fullmatch(r"([0-9]{1,10})(?:/([0-9]{1,5}))?", text)
        rate = cls(int(found[1]), int(found[2] or 60)) if found else cls(-1)
        if not found or rate.tokens > RATE_MAX or not rate.seconds or (rate.tokens and found[2] is None):
            raise SettingsError(
                f"{variable} 应为“次数/秒数”，如 600/60，或 0（不限），现为 {text!r} / "
                f"{variable} must be N/SECONDS, such as 600/60, or 0 for no limit, not {text!r}",
                variable=variable,
            )
        return rate

    def __str__(self) -> str:
        return f"{self.tokens}/{self.seconds}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """How the audit trail is kept."""

    node: str = "kouan"  # KOUAN_NODE, whose trail it is; named by its first entry
    anchors: str = ""  # KOUAN_AUDIT_ANCHORS, the file of its signed heads, best on another volume; "": under `home`
    hash: str = "sha256"  # KOUAN_AUDIT_HASH, of new entries: sha256, sm3
    days: int = 400  # KOUAN_AUDIT_DAYS, for which entries are kept at least

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Audit":
        """Raises SettingsError."""
        anchors = environ.get("KOUAN_AUDIT_ANCHORS") or ""
        return cls(
            node=environ.get("KOUAN_NODE") or "kouan",
            anchors=str(Path(anchors).expanduser().absolute()) if anchors else "",
            hash=one_of(environ, "KOUAN_AUDIT_HASH", default="sha256", allowed=AUDIT_HASHES),
            days=whole(environ, "KOUAN_AUDIT_DAYS", default=400, largest=36_500),
        )

    def environment(self) -> dict[str, str]:
        """The variables again."""
        named = {"KOUAN_NODE": self.node, "KOUAN_AUDIT_ANCHORS": self.anchors}
        return {**named, "KOUAN_AUDIT_HASH": self.hash, "KOUAN_AUDIT_DAYS": str(self.days)}


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """What this node asks of a price."""

    regime: str = "market"  # KOUAN_REGIME: market, or cost_recovery, where a price states its costs
    notice_days: int = 30  # KOUAN_NOTICE_DAYS, between publication and effect of a first or a higher price

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Fees":
        """Raises SettingsError."""
        return cls(
            regime=one_of(environ, "KOUAN_REGIME", default="market", allowed=REGIMES),
            notice_days=whole(environ, "KOUAN_NOTICE_DAYS", default=30, largest=3650),
        )

    def environment(self) -> dict[str, str]:
        """The variables again."""
        return {"KOUAN_REGIME": self.regime, "KOUAN_NOTICE_DAYS": str(self.notice_days)}


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """How the feed is followed."""

    epoch: int = 1  # KOUAN_FEED_EPOCH, of its cursors: one more after a restore to an earlier point
    streams_max: int = 64  # KOUAN_STREAMS_MAX, open at a time in one API process
    stream_seconds_max: int = 3600  # KOUAN_STREAM_SECONDS_MAX, until one is ended and has to be opened again

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Following":
        """Raises SettingsError."""
        return cls(
            epoch=whole(environ, "KOUAN_FEED_EPOCH", default=1, largest=1_000_000),
            streams_max=whole(environ, "KOUAN_STREAMS_MAX", default=64, largest=100_000),
            stream_seconds_max=whole(environ, "KOUAN_STREAM_SECONDS_MAX", default=3600, largest=86_400),
        )

    def environment(self) -> dict[str, str]:
        """The variables again."""
        named = {"KOUAN_FEED_EPOCH": str(self.epoch), "KOUAN_STREAMS_MAX": str(self.streams_max)}
        return {**named, "KOUAN_STREAM_SECONDS_MAX": str(self.stream_seconds_max)}


class Paying(msgspec.Struct, frozen=True, kw_only=True):
    """Who collects the money."""

    gateway: str = "bank"  # KOUAN_GATEWAY, through which invoices go out: bank (transfer), stripe
    stripe_key: str = ""  # KOUAN_STRIPE_KEY, secret or restricted key; gateway `stripe` needs it
    stripe_webhook_secret: str = ""  # KOUAN_STRIPE_WEBHOOK_SECRET, of its notices; "": they are refused
    stripe_url: str = ""  # KOUAN_STRIPE_URL, in place of Stripe's own addresses: a stand-in's; "": Stripe
    stripe_email: str = ""  # KOUAN_STRIPE_EMAIL, where it sends invoices of customers without an address; "": nowhere
    due_days: int = 30  # KOUAN_DUE_DAYS, from sending an invoice until it is due

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Paying":
        """Raises SettingsError."""
        paying = cls(
            gateway=one_of(environ, "KOUAN_GATEWAY", default="bank", allowed=GATEWAYS),
            stripe_key=secret(environ, "KOUAN_STRIPE_KEY"),
            stripe_webhook_secret=secret(environ, "KOUAN_STRIPE_WEBHOOK_SECRET"),
            stripe_url=address(environ, "KOUAN_STRIPE_URL").rstrip("/"),
            stripe_email=secret(environ, "KOUAN_STRIPE_EMAIL"),
            due_days=whole(environ, "KOUAN_DUE_DAYS", default=30, largest=3650),
        )
        if paying.gateway == "stripe" and not paying.stripe_key:
            raise SettingsError(
                "KOUAN_GATEWAY=stripe 须设 KOUAN_STRIPE_KEY / KOUAN_GATEWAY=stripe needs KOUAN_STRIPE_KEY",
                variable="KOUAN_STRIPE_KEY",
            )
        return paying

    def environment(self) -> dict[str, str]:
        """The variables again."""
        return {
            "KOUAN_GATEWAY": self.gateway,
            "KOUAN_STRIPE_KEY": self.stripe_key,
            "KOUAN_STRIPE_WEBHOOK_SECRET": self.stripe_webhook_secret,
            "KOUAN_STRIPE_URL": self.stripe_url,
            "KOUAN_STRIPE_EMAIL": self.stripe_email,
            "KOUAN_DUE_DAYS": str(self.due_days),
        }


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`Settings.read()` makes one; tests make their own."""

    home: Path  # KOUAN_HOME, absolute: database, logs, secrets
    host: str = "127.0.0.1"  # KOUAN_HOST, where the API listens
    port: int = 8000  # KOUAN_PORT
    database_url: str = ""  # KOUAN_DATABASE_URL, a libpq URI or conninfo; "": the embedded server under `home`
    workers: int = 1  # KOUAN_WORKERS, API processes
    backpressure: int = 256  # KOUAN_BACKPRESSURE, requests that one API process works on at a time
    log_level: str = "info"  # KOUAN_LOG_LEVEL
    start_seconds_max: int = 60  # KOUAN_START_SECONDS_MAX, until GET /health must have answered
    recovery_seconds_max: int = 600  # KOUAN_RECOVERY_SECONDS_MAX, until the embedded server must accept connections
    mqtt_url: str = ""  # KOUAN_MQTT_URL, the broker whose devices are recorded, as of `Broker`; "": none
    mqtt_client_id: str = MQTT_CLIENT_ID  # KOUAN_MQTT_CLIENT_ID, one for each bridge of a broker
    customs_url: str = ""  # KOUAN_CUSTOMS_URL, http(s), where customs takes declarations; "": they wait
    customs_key: str = ""  # KOUAN_CUSTOMS_KEY, sent there as Authorization: Bearer KEY; "": none is sent
    customs_form: str = "xml"  # KOUAN_CUSTOMS_FORM, in which declarations are written: xml, json
    statistics_threshold: int = suppression.THRESHOLD  # KOUAN_STATISTICS_THRESHOLD, the least group that is shown
    origin: str = ""  # KOUAN_ORIGIN, http(s)://host[:port], where others reach this node; "": as `host` and `port` say
    trusted_proxies: tuple[str, ...] = ()  # KOUAN_TRUSTED_PROXIES, networks whose X-Forwarded-For is believed
    password_days: int = 180  # KOUAN_PASSWORD_DAYS, until a password must be changed
    watch_days: int = 30  # KOUAN_WATCH_DAYS, until a watched number of which nothing is known is given up
    rate_key: Rate = Rate(60_000)  # KOUAN_RATE_KEY, requests by one credential
    rate_party: Rate = Rate(120_000)  # KOUAN_RATE_PARTY, requests by one party
    rate_address: Rate = Rate(1_200)  # KOUAN_RATE_ADDRESS, by one address without a credential; with one 100 times that
    rate_login: Rate = Rate(10)  # KOUAN_RATE_LOGIN, attempts to sign in from one address
    commercial_share: int = 50  # KOUAN_COMMERCIAL_SHARE, per cent of `backpressure` that paid requests may take
    audit: Audit = Audit()
    following: Following = Following()
    fees: Fees = Fees()
    paying: Paying = Paying()
    dunning: Ladder = Ladder()  # KOUAN_DUNNING, days after the due day: of reminders, and last of suspension

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Raises SettingsError; a variable that is empty counts as absent."""
        return cls(
            home=_home(environ),
            host=environ.get("KOUAN_HOST") or "127.0.0.1",
            port=whole(environ, "KOUAN_PORT", default=8000, largest=PORT_MAX),
            database_url=_database_url(environ),
            workers=whole(environ, "KOUAN_WORKERS", default=1, largest=256),
            backpressure=whole(environ, "KOUAN_BACKPRESSURE", default=256, largest=100_000),
            log_level=one_of(environ, "KOUAN_LOG_LEVEL", default="info", allowed=LOG_LEVELS),
            start_seconds_max=whole(environ, "KOUAN_START_SECONDS_MAX", default=60, largest=86_400),
            recovery_seconds_max=whole(environ, "KOUAN_RECOVERY_SECONDS_MAX", default=600, largest=86_400),
            mqtt_url=_mqtt_url(environ),
            mqtt_client_id=_mqtt_client_id(environ),
            customs_url=address(environ, "KOUAN_CUSTOMS_URL"),
            customs_key=secret(environ, "KOUAN_CUSTOMS_KEY"),
            customs_form=one_of(environ, "KOUAN_CUSTOMS_FORM", default="xml", allowed=CUSTOMS_FORMS),
            statistics_threshold=whole(
                environ, "KOUAN_STATISTICS_THRESHOLD", default=suppression.THRESHOLD, largest=THRESHOLD_MAX
            ),
            origin=_origin(environ),
            trusted_proxies=_networks(environ, "KOUAN_TRUSTED_PROXIES"),
            password_days=whole(environ, "KOUAN_PASSWORD_DAYS", default=180, largest=3650),
            watch_days=whole(environ, "KOUAN_WATCH_DAYS", default=30, largest=3650),
            rate_key=Rate.of(environ.get("KOUAN_RATE_KEY") or "60000/60", "KOUAN_RATE_KEY"),
            rate_party=Rate.of(environ.get("KOUAN_RATE_PARTY") or "120000/60", "KOUAN_RATE_PARTY"),
            rate_address=Rate.of(environ.get("KOUAN_RATE_ADDRESS") or "1200/60", "KOUAN_RATE_ADDRESS"),
            rate_login=Rate.of(environ.get("KOUAN_RATE_LOGIN") or "10/60", "KOUAN_RATE_LOGIN"),
            commercial_share=whole(environ, "KOUAN_COMMERCIAL_SHARE", default=50, largest=100),
            audit=Audit.read(environ),
            following=Following.read(environ),
            fees=Fees.read(environ),
            paying=Paying.read(environ),
            dunning=_ladder(environ),
        )

    def environment(self) -> dict[str, str]:
        """The variables by which a child process reads the same settings again."""
        return {
            "KOUAN_HOME": str(self.home),
            "KOUAN_HOST": self.host,
            "KOUAN_PORT": str(self.port),
            "KOUAN_DATABASE_URL": self.database_url,
            "KOUAN_WORKERS": str(self.workers),
            "KOUAN_BACKPRESSURE": str(self.backpressure),
            "KOUAN_LOG_LEVEL": self.log_level,
            "KOUAN_START_SECONDS_MAX": str(self.start_seconds_max),
            "KOUAN_RECOVERY_SECONDS_MAX": str(self.recovery_seconds_max),
            "KOUAN_MQTT_URL": self.mqtt_url,
            "KOUAN_MQTT_CLIENT_ID": self.mqtt_client_id,
            "KOUAN_CUSTOMS_URL": self.customs_url,
            "KOUAN_CUSTOMS_KEY": self.customs_key,
            "KOUAN_CUSTOMS_FORM": self.customs_form,
            "KOUAN_STATISTICS_THRESHOLD": str(self.statistics_threshold),
            "KOUAN_ORIGIN": self.origin,
            "KOUAN_TRUSTED_PROXIES": ",".join(self.trusted_proxies),
            "KOUAN_PASSWORD_DAYS": str(self.password_days),
            "KOUAN_WATCH_DAYS": str(self.watch_days),
            "KOUAN_RATE_KEY": str(self.rate_key),
            "KOUAN_RATE_PARTY": str(self.rate_party),
            "KOUAN_RATE_ADDRESS": str(self.rate_address),
            "KOUAN_RATE_LOGIN": str(self.rate_login),
            "KOUAN_COMMERCIAL_SHARE": str(self.commercial_share),
            **self.audit.environment(),
            **self.following.environment(),
            **self.fees.environment(),
            **self.paying.environment(),
            "KOUAN_DUNNING": str(self.dunning),
        }


class Broker(msgspec.Struct, frozen=True):
    """Where the MQTT broker is and how to log in."""

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, url: str) -> "Broker":
        """Of `mqtt://[user:password@]host[:port]` or `mqtts://…`. Raises SettingsError.

        >>> Broker.of("mqtts://bridge:p%40ss@broker.example")
        Broker(host='broker.example', port=8883, tls=True, user='bridge', password='p@ss')
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            text = "mqtt://[user:password@]host[:port]"
            raise SettingsError(
                f"KOUAN_MQTT_URL 应为 {text} / KOUAN_MQTT_URL must be {text}", variable="KOUAN_MQTT_URL"
            )
        tls = parts.scheme == "mqtts"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, port or (MQTTS_PORT if tls else MQTT_PORT), tls, user, password)


def _home(environ: Mapping[str, str]) -> Path:
    text = environ.get("KOUAN_HOME") or "var"
    home = Path(text).expanduser().absolute()
    if "\n" in text:
        raise SettingsError(
            f"KOUAN_HOME 的路径中不能有换行：{text!r} / KOUAN_HOME must not contain a line break: {text!r}",
            variable="KOUAN_HOME",
        )
    return home


def make_home(home: Path) -> None:
    """The home and its `log` folder, made if missing. Raises SettingsError if they cannot be written."""
    log = home / "log"
    try:
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=log) as probe:
            probe.write(b"x")
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise SettingsError(
            f"无法写入 KOUAN_HOME {home}：{reason} / KOUAN_HOME {home} cannot be written: {reason}",
            variable="KOUAN_HOME",
        ) from error


def _ladder(environ: Mapping[str, str]) -> Ladder:
    try:
        return Ladder.of(environ.get("KOUAN_DUNNING") or str(Ladder()))
    except Malformed as error:
        raise SettingsError(f"KOUAN_DUNNING：{error.detail}", variable="KOUAN_DUNNING") from error


def _networks(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    texts = [text.strip() for text in (environ.get(variable) or "").split(",") if text.strip()]
    try:
        return tuple(str(ip_network(text)) for text in texts)
    except ValueError as error:
        raise SettingsError(
            f"{variable} 须为以逗号分隔的网段：{error} / {variable} must be networks, comma between them: {error}",
            variable=variable,
        ) from error


def _origin(environ: Mapping[str, str]) -> str:
    text = (environ.get("KOUAN_ORIGIN") or "").removesuffix("/")
    if text and not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", text):
        raise SettingsError(
            "KOUAN_ORIGIN 应为 http(s)://主机[:端口]，小写，不含路径 / "
            "KOUAN_ORIGIN must be http(s)://host[:port] in lower case, without a path",
            variable="KOUAN_ORIGIN",
        )
    return text


def _database_url(environ: Mapping[str, str]) -> str:
    text = environ.get("KOUAN_DATABASE_URL") or ""
    try:
        conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        # The value holds a password: neither it nor libpq's message, which quotes it, may be shown.
        raise SettingsError(
            "KOUAN_DATABASE_URL 不是有效的 PostgreSQL 连接串 / "
            "KOUAN_DATABASE_URL is not a PostgreSQL connection string",
            variable="KOUAN_DATABASE_URL",
        ) from None
    return text


def _mqtt_url(environ: Mapping[str, str]) -> str:
    text = environ.get("KOUAN_MQTT_URL") or ""
    if text:
        Broker.of(text)
    return text


def _mqtt_client_id(environ: Mapping[str, str]) -> str:
    text = environ.get("KOUAN_MQTT_CLIENT_ID") or MQTT_CLIENT_ID
    if text.isprintable() and len(text) <= CLIENT_ID_CHARS_MAX:
        return text
    raise SettingsError(
        f"KOUAN_MQTT_CLIENT_ID 须为至多 {CLIENT_ID_CHARS_MAX} 个可打印字符，现为 {text!r} / "
        f"KOUAN_MQTT_CLIENT_ID must have at most {CLIENT_ID_CHARS_MAX} printable characters, not {text!r}",
        variable="KOUAN_MQTT_CLIENT_ID",
    )
