"""Where a request comes from, and how often that address has failed lately."""

from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from django.conf import settings
from django.http import HttpRequest

from apikeys.limits import WINDOW_SECONDS, Rate

MOST_ADDRESSES = 10_000


def client_address(request: HttpRequest) -> str:
    """The address that asks; behind a proxy the one that it has added, not what a client says."""
    said: str = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_TLS_PROXY:
        said = request.META.get("HTTP_X_FORWARDED_FOR", said).rpartition(",")[2].strip()
    try:
        address = ip_address(said)
    except ValueError:
        return said[:100]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))  # one customer has 2^64 addresses
    return str(address)


class Failures:
    """Failures by address in the current minute, in this process alone.

    In memory, for an attack must not become writes to the database, and a mistyped key asks
    nothing of it. `serve` divides the limit among its processes.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._window = 0
        self._counts: dict[str, int] = {}

    def add(self, address: str, now: datetime) -> Rate:
        """Count one more; what is left of the minute. `allowed` says whether this one was."""
        window = int(now.timestamp()) // WINDOW_SECONDS
        with self._lock:
            if window != self._window or len(self._counts) >= MOST_ADDRESSES:
                self._window, self._counts = window, {}
            used = self._counts[address] = self._counts.get(address, 0) + 1
        return Rate(settings.BAD_KEYS_PER_MINUTE, used, (window + 1) * WINDOW_SECONDS)

    def exhausted(self, address: str, now: datetime) -> bool:
        """Whether the address has failed as often as it may in this minute."""
        current = int(now.timestamp()) // WINDOW_SECONDS == self._window
        return current and self._counts.get(address, 0) >= settings.BAD_KEYS_PER_MINUTE

    def forget(self) -> None:
        """Begin anew."""
        self._counts = {}
