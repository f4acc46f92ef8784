"""Strict reading of the environment: a malformed value is an error that names its variable.

Values are read as they are: django-environ would take SECRET_KEY=$x for a reference to the
variable x, and DEBUG=maybe for a no. Its part here is to parse DATABASE_URL.
"""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import environ  # type: ignore[import-untyped]
from django.core.exceptions import ImproperlyConfigured

SECRET_LENGTH = 50
_FLAGS = {"true": True, "yes": True, "on": True, "1": True}
_FLAGS |= {"false": False, "no": False, "off": False, "0": False}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def unset(name: str) -> bool:
    """Whether a variable is absent. Set to nothing, it may be a mistake with consequences."""
    if os.environ.get(name) == "":
        raise ImproperlyConfigured(f"{name} is empty: give it a value or unset it")
    return name not in os.environ


def flag(name: str) -> bool:
    """A yes or a no, no when unset."""
    value = os.environ.get(name, "no")
    if value.lower() not in _FLAGS:
        raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false")
    return _FLAGS[value.lower()]


def seconds(name: str, default: int) -> int:
    """A whole number of seconds, from 1 to a day."""
    value = os.environ.get(name, str(default))
    if not re.fullmatch("[0-9]{1,5}", value) or not 1 <= int(value) <= 24 * 3600:
        raise ImproperlyConfigured(f"{name}={value!r} is not a number of seconds, 1 to 86400")
    return int(value)


def log_level(name: str) -> str:
    """One of Python's log levels, INFO when unset."""
    level = os.environ.get(name, "INFO").upper()
    if level not in _LEVELS:
        raise ImproperlyConfigured(f"{name}={level!r} is none of {', '.join(_LEVELS)}")
    return level


def folder(name: str, default: Path) -> Path:
    """An absolute folder, which need not exist yet."""
    value = os.environ.get(name, str(default))
    path = Path(value).expanduser().resolve()
    if not value or (path.exists() and not path.is_dir()):
        raise ImproperlyConfigured(f"{name}={value!r} is not a folder")
    return path


def amount(name: str, default: str) -> Decimal:
    """Money in USD, above 0 and below a billion."""
    value = os.environ.get(name, default)
    if not re.fullmatch(r"\d{1,9}(\.\d{1,10})?", value, re.ASCII) or not Decimal(value):
        raise ImproperlyConfigured(f"{name}={value!r} is not an amount above 0 such as 5 or 0.50")
    return Decimal(value)


def hosts(name: str, default: list[str]) -> list[str]:
    """Host names, comma-separated, without scheme, port or path."""

    def is_host(item: str) -> bool:
        return bool(item) and (item.startswith("[") or not set(item) & set("/ :@"))

    return _items(name, default, is_host, "a host name (no scheme, no port)")


def origins(name: str) -> list[str]:
    """Origins such as https://costs.example.com, comma-separated."""

    def is_origin(item: str) -> bool:
        scheme, _, host = item.partition("://")
        return scheme in ("http", "https") and bool(host) and "/" not in host

    return _items(name, [], is_origin, "an origin such as https://costs.example.com")


def secrets(name: str) -> list[str]:
    """Earlier secret keys, comma-separated, still accepted for what they have signed."""
    return _items(name, [], _is_secret, _LONG_SECRET, hide=True)


def secret(name: str) -> str:
    """A secret key from the environment; empty when unset."""
    value = os.environ.get(name, "")
    if name in os.environ and not _is_secret(value):
        raise ImproperlyConfigured(f"{name} is not {_LONG_SECRET}")
    return value


def kept_secret(path: Path) -> str:
    """The secret kept at `path`, made on first use and readable by its owner only."""
    try:
        if not path.exists():
            _keep(path, token_urlsafe(SECRET_LENGTH))
        value = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"COSTPRISM_DATA_DIR: the secret key: {error}") from error
    if not _is_secret(value):
        raise ImproperlyConfigured(f"COSTPRISM_DATA_DIR: {path} does not hold {_LONG_SECRET}")
    return value


def database(name: str) -> dict[str, Any]:
    """Django's description of a PostgreSQL database, from its URL."""
    url = os.environ[name]
    try:
        if url.partition("://")[0] not in ("postgres", "postgresql"):
            raise ValueError("the scheme is neither postgres nor postgresql")
        settings = environ.Env.db_url_config(url)
        if not settings["NAME"]:
            raise ValueError("it names no database")
    except ValueError as error:  # the URL itself stays out of the message: it holds a password
        raise ImproperlyConfigured(f"{name} is not a PostgreSQL URL: {error}") from error
    return dict(settings)


_LONG_SECRET = f"a random secret of at least {SECRET_LENGTH} characters"


def _is_secret(value: str) -> bool:
    """As Django's `check --deploy` has it: long, and not the same letter all along."""
    return len(value) >= SECRET_LENGTH and len(set(value)) >= 5


def _items(
    name: str, default: list[str], valid: Callable[[str], bool], kind: str, *, hide: bool = False
) -> list[str]:
    text = os.environ.get(name, "").strip()
    items = [item.strip() for item in text.split(",")] if text else default
    for item in items:
        if not valid(item):
            shown = "an item" if hide else repr(item)
            raise ImproperlyConfigured(f"{name}: {shown} is not {kind}")
    return items


def _keep(path: Path, value: str) -> None:
    """Write a file as a whole, once: of two processes starting together the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # link, unlike rename, fails when the name is taken: a key in use is never replaced.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
