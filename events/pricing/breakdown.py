"""What a cost is made of, and prices as rows of the API."""

from typing import Any

from events.models import CostSource, Event
from events.price_models import Price, RateSet, ServiceTier, Unit
from events.pricing.tariffs import Parts, scaled, unscaled, with_parts
from events.tokens import Tokens, parts

PRICE_COLUMNS = [
    "id",
    "scope",
    "provider",
    "model",
    "unit",
    "service_tier",
    "context_over",
    "daily_from",
    "daily_to",
    "usd_per_unit",
    "valid_from",
    "valid_to",
    "dated",
    "source",
    "source_version",
]
EVERYBODYS, ACCOUNTS = "global", "account"


def price_row(price: Price) -> dict[str, Any]:
    """The keys of PRICE_COLUMNS; hours are null where a price is valid all day."""
    all_day = price.daily_from == price.daily_to
    values = (
        price.pk,
        EVERYBODYS if price.account_id is None else ACCOUNTS,
        price.provider,
        price.model,
        price.unit,
        ServiceTier(price.service_tier).label,
        price.context_over,
        None if all_day else f"{price.daily_from:%H:%M}",
        None if all_day else f"{price.daily_to:%H:%M}",
        price.usd_per_unit,
        price.valid_from,
        price.valid_to,
        price.is_dated,
        price.source,
        price.source_version,
    )
    return dict(zip(PRICE_COLUMNS, values, strict=True))


def breakdown(counts: Parts, rate_set_id: int | None) -> list[dict[str, Any]]:
    """For each unit how many, at which price version, and what they cost: exact, not rounded."""
    if rate_set_id is None:
        return []
    rate_set = RateSet.objects.get(pk=rate_set_id)
    versions = Price.objects.filter(pk__in=rate_set.prices)
    prices = with_parts({Unit(version.unit): version for version in versions})
    counted = {unit: count for unit, count in counts.items() if count}
    if Unit.REQUEST in prices:
        counted[Unit.REQUEST] = 1
    return [_line(unit, count, prices[unit]) for unit, count in counted.items()]


def _line(unit: Unit, count: int, price: Price) -> dict[str, Any]:
    usd = unscaled(count * scaled(price.usd_per_unit))
    return {
        "unit": str(unit),
        "quantity": count,
        "usd_per_unit": price.usd_per_unit,
        "cost_usd": usd,
        "price_id": price.pk,
    }


def cost_detail(event: Event) -> dict[str, Any]:
    """Where an event's cost comes from: what was computed, also beside a reported cost."""
    is_reported = event.cost_source == CostSource.REPORTED
    return {
        "computed_cost_usd": event.computed_cost if is_reported else event.cost,
        "breakdown": breakdown(parts(tokens_of(event)), event.rate_set_id),
    }


def tokens_of(event: Event) -> Tokens:
    """The counts of an event of the log, where a part that is 0 is NULL."""
    return Tokens(
        event.input_tokens,
        event.output_tokens,
        event.cache_read_tokens or 0,
        event.cache_write_tokens or 0,
        event.cache_write_1h_tokens or 0,
        event.reasoning_tokens or 0,
        event.media_tokens or {},
    )
