"""`Authorization: Bearer ip-…` → a Credential: who asks, and what the key may do."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apikeys import keys
from apikeys.addresses import Failures, client_address
from apikeys.limits import Rate
from apikeys.models import Account, APIKey

# Revocation must bite within a second on every process; half of that leaves room for the request.
CACHE_SECONDS = 0.5
CACHE_SIZE = 4096
# `last_used_at` is for people: once a minute is enough, and spares a write per request.
LAST_USED_GRAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Credential:
    """An authenticated request's facts, the only source of the account in any query."""

    account: Account
    key: APIKey

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.key.scopes)


class TooManyBadKeys(Throttled):
    """An address has sent too many keys that are none; `headers` say when it may go on."""

    def __init__(self, rate: Rate, now: datetime) -> None:
        super().__init__(wait=max(1, rate.reset - now.timestamp()), detail="Too many bad API keys.")
        self.headers = rate.headers


class BearerKey(BaseAuthentication):
    """Authenticate by API key; every failure is a 401 that says no more than it must."""

    def authenticate(self, request: Request) -> tuple[Account, Credential]:
        """Raises AuthenticationFailed for a missing, malformed, unknown, revoked or expired key.

        Raises TooManyBadKeys when the address has sent too many of them in this minute.
        """
        sent = get_authorization_header(request).split()
        if not sent:
            raise AuthenticationFailed("Send your API key: `Authorization: Bearer ip-…`.")
        now, address = timezone.now(), client_address(request._request)
        try:
            token = _bearer_token(sent)
            credential = _find(token, now, look_up=not bad_keys.exhausted(address, now))
        except AuthenticationFailed as error:
            rate = bad_keys.add(address, now)
            raise error if rate.allowed else TooManyBadKeys(rate, now) from error
        return credential.account, credential

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key must have the view's scope for this method (`scopes = {"GET": "read"}`)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        needed = view.scopes.get(request.method, "read")
        self.message = f"This key lacks the scope `{needed}`."
        return isinstance(request.auth, Credential) and needed in request.auth.scopes


bad_keys = Failures()


def _bearer_token(parts: list[bytes]) -> str:
    if len(parts) != 2 or parts[0].lower() != b"bearer":
        raise AuthenticationFailed("The Authorization header must be `Bearer ip-…`.")
    token = parts[1].decode("latin-1")
    if not keys.is_well_formed(token):
        raise AuthenticationFailed("This is not an API key: check that it was copied whole.")
    return token


def _find(token: str, now: datetime, *, look_up: bool) -> Credential:
    key = _cached(token, look_up=look_up)
    if key is None or not keys.matches(token, bytes(key.digest)) or not key.is_live(now):
        raise AuthenticationFailed("This API key is unknown, revoked or expired.")
    _note_use(key, now)
    return Credential(key.account, key)


_cache: dict[str, tuple[float, APIKey]] = {}


def _cached(token: str, *, look_up: bool) -> APIKey | None:
    """The key row by prefix, at most CACHE_SECONDS old. Unknown prefixes are not cached.

    Without `look_up` only those that were known before are looked up: bad keys then cost no query,
    and shut out nobody else who is at work behind the same address.
    """
    prefix = keys.prefix(token)
    found = _cache.get(prefix)
    if found and time.monotonic() - found[0] < CACHE_SECONDS:
        return found[1]
    if not found and not look_up:
        return None
    key = APIKey.objects.select_related("account").filter(prefix=prefix).first()
    if len(_cache) >= CACHE_SIZE:
        _cache.clear()
    if key:
        _cache[prefix] = (time.monotonic(), key)
    else:
        _cache.pop(prefix, None)
    return key


def _note_use(key: APIKey, now: datetime) -> None:
    if key.last_used_at and now - key.last_used_at < LAST_USED_GRAIN:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_GRAIN)
    APIKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    key.last_used_at = now
