"""How much is taken at a time: every limit of the intake, in one place (docs/api.md has them as a table).

What a request passes is told to the caller as a problem before anything is recorded; what one message passes is a fault
of that message, which goes to quarantine while its neighbours are recorded. Units stand last in the names; bytes of a
body are counted after decompression.
"""

import re

from domain.errors import Malformed

# --- of a request ---
BODY_BYTES_MAX = 10_000_000
BODY_MESSAGES_MAX = 50_000
BODY_SECONDS_MAX = 60.0  # for a body to arrive
PIECE_SECONDS_MAX = 30.0  # for the next piece of a streamed body to arrive
INFLATION_MAX = 100  # bytes that a compressed byte may become
INFLATION_BYTES_MIN = 1_000_000  # so many bytes may come of anything
KEY_CHARS_MAX = 255  # of an Idempotency-Key

# --- of a streamed body, which has no limit as a whole ---
PART_BYTES_MAX = 1_000_000  # that are written together, unless one message is longer
PART_MESSAGES_MAX = 2_000
PARTS_AHEAD_MAX = 2  # parts that are on their way to the journal while the next one is read
MESSAGE_BYTES_MAX = BODY_BYTES_MAX

# --- of a message ---
DEPTH_MAX = 40  # of JSON and XML, one in another
SEGMENT_CHARS_MAX = 16_384  # of EDIFACT
MESSAGE_SEGMENTS_MAX = 200_000
BODY_SEGMENTS_MAX = 1_000_000
EDIFACT_KEY_CHARS_MAX = 400
REFERENCE_BYTES_MAX = 2_100  # of a subject, a reference or a document, in UTF-8: an index of PostgreSQL holds 2,700


class TooLarge(Malformed):
    slug = "too-large"
    title = "The body is larger than this server takes"


class TooManyMessages(Malformed):
    slug = "too-many-messages"
    title = "The body has more messages than this server takes at a time"


class TooSlow(Malformed):
    slug = "too-slow"
    title = "The body did not arrive in time"


class TooDense(Malformed):
    slug = "too-dense"
    title = "The compressed body becomes too large"


class UnknownEncoding(Malformed):
    slug = "unknown-encoding"
    title = "The content encoding is not known"


class BadEncoding(Malformed):
    slug = "bad-encoding"
    title = "The compressed body is broken"


class BadStream(Malformed):
    slug = "bad-stream"
    title = "The body cannot be taken as a stream"


def body_too_large() -> TooLarge:
    return TooLarge(
        f"正文不得超过 {BODY_BYTES_MAX} 字节，更长的请用 stream=true / "
        f"a body may have {BODY_BYTES_MAX} bytes at most; longer ones go with stream=true",
        limit_bytes=BODY_BYTES_MAX,
    )


def message_too_large(offset: int) -> TooLarge:
    return TooLarge(
        f"第 {offset} 字节起的报文超过 {MESSAGE_BYTES_MAX} 字节 / "
        f"the message from byte {offset} on has more than {MESSAGE_BYTES_MAX} bytes",
        limit_bytes=MESSAGE_BYTES_MAX,
        offset=offset,
    )


def check_messages(there: int) -> None:
    """Raises TooManyMessages. Readers ask while they cut a body, before they look into its messages."""
    if there > BODY_MESSAGES_MAX:
        raise TooManyMessages(
            f"一个正文不得超过 {BODY_MESSAGES_MAX} 份报文，更多的请用 stream=true / "
            f"a body may have {BODY_MESSAGES_MAX} messages at most; more go with stream=true",
            limit_messages=BODY_MESSAGES_MAX,
        )


def too_deep(raw: bytes) -> bool:
    """Whether JSON has more than DEPTH_MAX arrays and objects in one another; it need not be sound."""
    if raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX:
        return False
    depth = 0
    for sign in _BRACKET.finditer(raw):
        depth += _STEP.get(raw[sign.start()], 0)
        if depth > DEPTH_MAX:
            return True
    return False


_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
