"""From an event to the prices that hold for it: looked up once, then a few comparisons.

A process keeps the versions of the models that it has met until the price book has another
version, which is asked before each batch (0.1 ms). Money is an integer here, of 10^-24 USD: exact,
and four times as fast as Decimal.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Context, Decimal
from typing import NamedTuple, TypeVar

from django.db.models import F, Q

from events.money import LIMIT, PLACES, QUANTUM
from events.price_models import Price, PriceBook, ServiceTier, Unit
from events.pricing.catalogue import Name, listed_name

SCALE = 24
_EXACT = Context(prec=100)  # Python's own stops at 28 digits
CACHE_SIZE = 20_000
"""Models of accounts that a process remembers; clients name them."""

STEP = 10 ** (SCALE - PLACES)
TOO_MUCH = int(LIMIT) * 10**SCALE

WHOLE = {
    Unit.CACHE_READ: Unit.INPUT,
    Unit.CACHE_WRITE: Unit.INPUT,
    Unit.REASONING: Unit.OUTPUT,
    Unit.INPUT_AUDIO: Unit.INPUT,
    Unit.INPUT_IMAGE: Unit.INPUT,
    Unit.INPUT_VIDEO: Unit.INPUT,
    Unit.CACHE_READ_AUDIO: Unit.CACHE_READ,
    Unit.CACHE_READ_IMAGE: Unit.CACHE_READ,
    Unit.CACHE_READ_VIDEO: Unit.CACHE_READ,
    Unit.OUTPUT_AUDIO: Unit.OUTPUT,
    Unit.OUTPUT_IMAGE: Unit.OUTPUT,
    Unit.OUTPUT_VIDEO: Unit.OUTPUT,
}
"""A unit without a price of its own costs what the unit that it is a part of does.

Not so a cache write for an hour: at the price for 5 minutes it would be too cheap (litellm #29432).
"""

T = TypeVar("T")
Parts = Mapping[Unit, int]
"""How many of each unit; the units are disjoint."""


def scaled(usd: Decimal) -> int:
    """USD as a whole number of the smallest price, exactly."""
    return int(usd.scaleb(SCALE, _EXACT))


def unscaled(number: int) -> Decimal:
    """The USD of a whole number of the smallest price."""
    return Decimal(number).scaleb(-SCALE, _EXACT)


class Version(NamedTuple):
    """A price version; the lower its rank, the nearer it is to the account and to the name."""

    id: int
    rank: tuple[bool, int, bool, int]
    unit: Unit
    service_tier: int
    context_over: int
    daily_from: time
    daily_to: time
    valid_from: datetime | None
    valid_to: datetime | None
    usd: int

    @property
    def is_hourly(self) -> bool:
        """Whether it holds at some hours of the day only."""
        return self.daily_from != self.daily_to

    def is_valid(self, moment: datetime) -> bool:
        """Whether it holds at an instant in UTC."""
        if self.valid_from and moment < self.valid_from:
            return False
        if self.valid_to and moment >= self.valid_to:
            return False
        hour, start, end = moment.time(), self.daily_from, self.daily_to
        if start <= end:
            return start == end or start <= hour < end
        return hour >= start or hour < end


def with_parts(own: Mapping[Unit, T]) -> dict[Unit, T]:
    """What each unit costs, of what some units cost."""
    prices = dict(own)
    for unit, whole in WHOLE.items():
        if unit not in prices and whole in prices:
            prices[unit] = prices[whole]
    return prices


@dataclass
class Rates:
    """What prices an event: price versions, and USD x 10^24 of each unit."""

    prices: tuple[int, ...]
    usd: dict[Unit, int]
    id: int | None = None
    """Of the RateSet, once it is stored."""

    def cost(self, parts: Parts) -> Decimal | None:
        """USD, rounded half up to 10 places after summing; None where a unit has no price."""
        usd, total = self.usd, 0
        try:
            for unit, count in parts.items():
                if count:
                    total += count * usd[unit]
        except KeyError:
            return None
        total += usd.get(Unit.REQUEST, 0)
        if total >= TOO_MUCH:  # what no event can cost, nobody knows
            return None
        return Decimal((2 * total + STEP) // (2 * STEP)) * QUANTUM


@dataclass
class Tariff:
    """All price versions of one model for one account."""

    versions: list[Version]
    _found: dict[tuple[int, int, int, int], Rates | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = {edge for one in self.versions for edge in (one.valid_from, one.valid_to)}
        self._edges = sorted(edge for edge in ends if edge)
        self._contexts = sorted({one.context_over for one in self.versions})
        hourly = [one for one in self.versions if one.is_hourly]
        self._hours = sorted({hour for one in hourly for hour in (one.daily_from, one.daily_to)})

    def rates(self, moment: datetime, service_tier: int, input_tokens: int) -> Rates | None:
        """The rates at an instant in UTC; None where the tier has no price then."""
        key = (
            service_tier,
            bisect_right(self._edges, moment),
            bisect_left(self._contexts, input_tokens),
            bisect_right(self._hours, moment.time()) if self._hours else 0,
        )
        if key not in self._found:
            self._found[key] = self._resolve(moment, service_tier, input_tokens)
        return self._found[key]

    def _resolve(self, moment: datetime, service_tier: int, input_tokens: int) -> Rates | None:
        """For each unit the version of the tier, else the standard one; the nearest; the highest
        context that is passed. A tier without any price has none: it is not the standard one.
        """
        valid = [one for one in self.versions if one.is_valid(moment)]
        if not any(one.service_tier == service_tier for one in valid):
            return None
        own: dict[Unit, Version] = {}
        for one in sorted(valid, key=_by_preference(service_tier)):
            if one.context_over < max(input_tokens, 1):
                own.setdefault(one.unit, one)
        usd = with_parts({unit: one.usd for unit, one in own.items()})
        return Rates(tuple(sorted(one.id for one in own.values())), usd)


def _by_preference(service_tier: int) -> Callable[[Version], tuple[object, ...]]:
    return lambda one: (
        one.service_tier != service_tier,
        one.rank,
        not one.is_hourly,
        -one.context_over,
    )


@dataclass
class _Cache:
    """What this process knows of one version of the price book."""

    version: int
    tariffs: dict[tuple[int, Name], Tariff] = field(default_factory=dict)


_cache = _Cache(-1)


def tariffs(account_id: int, names: Iterable[Name]) -> dict[Name, Tariff]:
    """The tariff of each model (provider, model; as events name them) for an account, as of now."""
    global _cache
    cache, version = _cache, PriceBook.objects.values_list("version", flat=True).get()
    if cache.version != version or len(cache.tariffs) > CACHE_SIZE:
        # A new one, not a cleared one: a thread may be about to add what it has read before.
        cache = _cache = _Cache(version)
    wanted = set(names)
    if missing := [name for name in wanted if (account_id, name) not in cache.tariffs]:
        for name, tariff in _load(account_id, missing).items():
            cache.tariffs[account_id, name] = tariff
    return {name: cache.tariffs[account_id, name] for name in wanted}


def _load(account_id: int, names: list[Name]) -> dict[Name, Tariff]:
    called = {name: _called(name) for name in names}
    providers = {provider for known in called.values() for (provider, _), _ in known}
    models = {model for known in called.values() for (_, model), _ in known}
    found = Price.objects.filter(
        Q(account=None) | Q(account_id=account_id),
        Q(model__in=models) | Q(model__endswith="*"),
        provider__in=providers,
    ).exclude(valid_from=F("valid_to"))
    prices = list(found)
    return {name: Tariff(list(_versions(prices, known))) for name, known in called.items()}


def _called(name: Name) -> list[tuple[Name, bool]]:
    """What a model is called, and whether its own provider serves it: by events, by the catalogue.

    A catalogue may list an event's name as another model's: what was named exactly comes first.
    """
    provider, model = (part.lower() for part in name)
    named = [((provider, model), True)]
    return named if (listed := listed_name(provider, model)) is None else [*named, listed]


def _versions(prices: list[Price], called: list[tuple[Name, bool]]) -> Iterable[Version]:
    for price in prices:
        for position, ((provider, model), is_own) in enumerate(called):
            if price.provider == provider and _matches(price.model, model):
                if is_own or price.service_tier == ServiceTier.STANDARD:
                    yield _version(price, position)
                break


def _matches(pattern: str, model: str) -> bool:
    if pattern.endswith("*"):
        return model.startswith(pattern[:-1])
    return model == pattern


def _version(price: Price, position: int) -> Version:
    is_pattern = price.model.endswith("*")
    return Version(
        price.pk,
        (price.account_id is None, position, is_pattern, -len(price.model)),
        Unit(price.unit),
        price.service_tier,
        price.context_over,
        price.daily_from,
        price.daily_to,
        price.valid_from,
        price.valid_to,
        scaled(price.usd_per_unit),
    )
