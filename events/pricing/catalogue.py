"""The genai-prices package's own data, offline: what it lists, and how it names models.

Prices are only ever taken from here by `sync`; an event is priced from the table.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from events.price_models import WHOLE_DAY, ServiceTier, Unit

VERSION = version("genai-prices")
BEGINNING = datetime.min.replace(tzinfo=UTC)

UNITS = {
    "input_mtok": Unit.INPUT,
    "cache_read_mtok": Unit.CACHE_READ,
    "cache_write_mtok": Unit.CACHE_WRITE,
    "cache_write_1h_mtok": Unit.CACHE_WRITE_1H,
    "output_mtok": Unit.OUTPUT,
    "output_reasoning_mtok": Unit.REASONING,
    "input_audio_mtok": Unit.INPUT_AUDIO,
    "input_image_mtok": Unit.INPUT_IMAGE,
    "input_video_mtok": Unit.INPUT_VIDEO,
    "cache_audio_read_mtok": Unit.CACHE_READ_AUDIO,
    "cache_image_read_mtok": Unit.CACHE_READ_IMAGE,
    "cache_video_read_mtok": Unit.CACHE_READ_VIDEO,
    "output_audio_mtok": Unit.OUTPUT_AUDIO,
    "output_image_mtok": Unit.OUTPUT_IMAGE,
    "output_video_mtok": Unit.OUTPUT_VIDEO,
    "requests_kcount": Unit.REQUEST,
}
PER = {"mtok": -6, "kcount": -3}
"""Powers of ten: a price is listed per million tokens, or per thousand calls."""

SERVICE_TIERS = {
    ("processing", "batch"): ServiceTier.BATCH,
    ("service_tier", "flex"): ServiceTier.FLEX,
    ("service_tier", "priority"): ServiceTier.PRIORITY,
}

Name = tuple[str, str]
"""A provider and a model, in lower case."""


class Key(NamedTuple):
    """What a price is a price of. Its versions follow one another."""

    provider: str
    model: str
    unit: Unit
    service_tier: ServiceTier
    context_over: int
    daily_from: time
    daily_to: time


class Segment(NamedTuple):
    """USD per unit from an instant on (None: from the beginning); no price where `usd` is None."""

    start: datetime | None
    usd: Decimal | None


Timelines = dict[Key, list[Segment]]


@lru_cache(maxsize=4096)  # bounded: names come from clients; the package's own cache is not
def listed_name(provider: str, model: str) -> tuple[Name, bool] | None:
    """What the catalogue calls a model, and whether it is the provider's own; None if unknown.

    Of another provider's model (Azure serves OpenAI's) only the standard prices are known to hold.
    """
    providers = get_snapshot().providers
    found = find_provider_by_id(providers, provider)
    entry = found and found.find_model(model, all_providers=providers)
    if found is None or entry is None:
        return None
    owner = next(one for one in providers if any(entry is its for its in one.models))
    return (owner.id, entry.id.lower()), owner is found


def listed() -> Timelines:
    """Everything that the catalogue has a price for."""
    found: Timelines = {}
    for provider in get_snapshot().providers:
        for model in provider.models:
            for tier, hours, schedule in _schedules(model):
                for unit, context_over in {part for _, prices in schedule for part in prices}:
                    key = Key(provider.id, model.id.lower(), unit, tier, context_over, *hours)
                    found[key] = _timeline(schedule, (unit, context_over))
    return found


Hours = tuple[time, time]
Prices = dict[tuple[Unit, int], Decimal]
"""USD per unit by unit and by the input tokens above which it holds."""
Schedule = list[tuple[datetime | None, Prices]]
Dated = ConditionalPrice | PriceVariant

ALL_DAY = (WHOLE_DAY, WHOLE_DAY)


def _schedules(model: ModelInfo) -> Iterator[tuple[ServiceTier, Hours, Schedule]]:
    """What a model costs by tier and time of day, each from instant to instant."""
    prices = model.prices
    entries = prices if isinstance(prices, list) else [ConditionalPrice(prices=prices)]
    hourly = [one for one in entries if isinstance(one.constraint, TimeOfDateConstraint)]
    # Of the entries that are valid the last one counts, of the variants the first.
    dated = [one for one in reversed(entries) if one not in hourly]
    yield ServiceTier.STANDARD, ALL_DAY, _schedule(dated, whole=True)
    for one in hourly:
        assert isinstance(one.constraint, TimeOfDateConstraint)
        hours = (_utc(one.constraint.start_time), _utc(one.constraint.end_time))
        yield ServiceTier.STANDARD, hours, [(None, _flat(one.prices))]
    for condition, tier in SERVICE_TIERS.items():
        variants = [one for one in model.price_variants or () if one.when == dict([condition])]
        yield tier, ALL_DAY, _schedule(variants, whole=False)


def _schedule(found: Sequence[Dated], *, whole: bool) -> Schedule:
    """Of the valid ones the first counts: as a `whole`, or for each price by itself."""
    starts = {_start(one) for one in found}
    schedule: Schedule = []
    for start in sorted(starts, key=lambda start: start or BEGINNING):
        valid = [one for one in found if (_start(one) or BEGINNING) <= (start or BEGINNING)]
        prices: dict[str, Decimal | TieredPrices] = {}
        for one in valid[:1] if whole else valid:
            prices = one.prices.__dict__ | prices
        schedule.append((start, _flat(ModelPrice(**prices))))
    return schedule


def _start(one: Dated) -> datetime | None:
    if one.constraint is None:
        return None
    assert isinstance(one.constraint, StartDateConstraint)
    return datetime.combine(one.constraint.start_date, time(), UTC)


def _utc(moment: time) -> time:
    assert moment.utcoffset() in (None, timedelta(0))
    return moment.replace(tzinfo=None)


def _flat(prices: ModelPrice) -> Prices:
    flat: Prices = {}
    for listed_as, price in prices.__dict__.items():
        unit, power = UNITS.get(listed_as), PER.get(listed_as.rpartition("_")[2], 0)
        if unit is None or price is None:
            continue
        tiers = price.tiers if isinstance(price, TieredPrices) else []
        base = price.base if isinstance(price, TieredPrices) else price
        flat |= {(unit, tier.start): tier.price.scaleb(power) for tier in tiers}
        flat[unit, 0] = base.scaleb(power)
    return flat


def _timeline(schedule: Schedule, part: tuple[Unit, int]) -> list[Segment]:
    """One price from instant to instant, without the instants at which it did not change."""
    segments: list[Segment] = []
    known = None
    for start, prices in schedule:
        if (usd := prices.get(part)) != known:
            segments.append(Segment(start, usd))
        known = usd
    return segments
