"""What an event costs by the price catalogue (the genai-prices package's own data, offline).

A model is looked up once per name and its rates once per price entry; an event then costs a few
multiplications. The package's own `calc_price` takes 125 µs an event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from events import money
from events.schema import NewEvent

Price = Decimal | TieredPrices | None
PER_MILLION = Decimal("0.000001")
PER_THOUSAND = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of each disjoint unit; None where the catalogue has no price."""

    input: Price
    cache_read: Price
    cache_write: Price
    output: Price
    reasoning: Price
    request: Decimal
    """USD for the call itself."""


def price(event: NewEvent) -> Decimal | None:
    """USD by the catalogue at the event's time, rounded half up to 10 places; None if unknown.

    Units are disjoint: cached tokens are taken out of input and reasoning out of output, and a
    unit without a price of its own costs what the whole costs. A context tier applies to all
    tokens once the whole input exceeds its start (the catalogue's convention).
    """
    model = _find_model(event.provider, event.model)
    if model is None:
        return None
    rates = _rates(_Identity(model.get_prices(event.timestamp)))
    cached = event.cache_read_tokens + event.cache_write_tokens
    units = (
        (event.input_tokens - cached, rates.input),
        (event.cache_read_tokens, rates.cache_read),
        (event.cache_write_tokens, rates.cache_write),
        (event.output_tokens - event.reasoning_tokens, rates.output),
        (event.reasoning_tokens, rates.reasoning),
    )
    total = rates.request
    for count, unit_price in units:
        if count == 0:
            continue
        if unit_price is None:
            return None
        total += count * _at_tier(unit_price, event.input_tokens) * PER_MILLION
    return money.round_computed(total)


def _at_tier(unit_price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if isinstance(unit_price, Decimal):
        return unit_price
    passed = [tier.price for tier in unit_price.tiers if input_tokens > tier.start]
    return passed[-1] if passed else unit_price.base


@lru_cache(maxsize=4096)  # bounded: names come from clients; the package's own cache is not
def _find_model(provider_name: str, model_name: str) -> ModelInfo | None:
    providers = get_snapshot().providers
    provider = find_provider_by_id(providers, provider_name)
    return provider.find_model(model_name, all_providers=providers) if provider else None


class _Identity:
    """A catalogue entry as a cache key: entries are unhashable and live as long as the process."""

    def __init__(self, entry: ModelPrice) -> None:
        self.entry = entry

    def __hash__(self) -> int:
        return id(self.entry)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.entry is other.entry


@lru_cache(maxsize=4096)
def _rates(key: _Identity) -> Rates:
    listed: Callable[[str], Price] = key.entry.__dict__.get
    input_price, output_price = listed("input_mtok"), listed("output_mtok")
    per_thousand_calls = listed("requests_kcount")
    assert not isinstance(per_thousand_calls, TieredPrices)
    return Rates(
        input=input_price,
        cache_read=_first(listed("cache_read_mtok"), input_price),
        cache_write=_first(listed("cache_write_mtok"), input_price),
        output=output_price,
        reasoning=_first(listed("output_reasoning_mtok"), output_price),
        request=(per_thousand_calls or Decimal(0)) * PER_THOUSAND,
    )


def _first(own: Price, whole: Price) -> Price:
    return whole if own is None else own
