"""The text of an API key: `ip-`, 32 random base62 characters, 6 characters of checksum.

The checksum (CRC-32 in base62) lets a mistyped key be refused without asking the database. Only
a keyed hash of the whole is stored: the secret has 190 bits of entropy, so a slow password hash
would buy nothing and cost 100,000 times as much.
"""

import hmac
import secrets
import string
import zlib
from collections.abc import Iterator
from hashlib import sha256

from django.conf import settings

MARK = "ip-"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
PREFIX_LENGTH = len(MARK) + 8
KEY_LENGTH = len(MARK) + SECRET_LENGTH + CHECKSUM_LENGTH


def make_key() -> str:
    """A new random key. It is shown once and never stored."""
    body = MARK + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether `key` has the form of a key and its checksum fits. Asks nobody."""
    if len(key) != KEY_LENGTH or not key.startswith(MARK) or not key.isascii():
        return False
    return hmac.compare_digest(checksum(key[:-CHECKSUM_LENGTH]), key[-CHECKSUM_LENGTH:])


def prefix(key: str) -> str:
    """The part of a key that may be shown and that finds its row."""
    return key[:PREFIX_LENGTH]


def digest(key: str) -> bytes:
    """The 32-byte keyed hash that is stored in place of the key."""
    return _keyed_hash(key, settings.SECRET_KEY)


def matches(key: str, stored: bytes) -> bool:
    """Compare in constant time, also under secrets that are being rotated out."""
    return any(hmac.compare_digest(candidate, stored) for candidate in _candidates(key))


def checksum(body: str) -> str:
    """CRC-32 of `body` as six base62 digits (62^6 > 2^32, so none is lost)."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _candidates(key: str) -> Iterator[bytes]:
    yield digest(key)
    for old_secret in settings.SECRET_KEY_FALLBACKS:
        yield _keyed_hash(key, old_secret)


def _keyed_hash(key: str, secret: str) -> bytes:
    return hmac.new(b"costprism.apikeys:" + secret.encode(), key.encode(), sha256).digest()
