"""What events cost: the cost that counts, the one beside it, and what they are made of."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from events.models import CostSource
from events.pricing.tariffs import Rates, tariffs
from events.tokens import Priceable, parts

# Sorted: two batches that store the same sets in another order would wait for each other.
STORE_SQL = """
INSERT INTO events_rateset (prices)
SELECT prices::integer[] FROM unnest(%(sets)s::text[]) AS sent (prices) ORDER BY prices
ON CONFLICT DO NOTHING
"""

FIND_SQL = """
SELECT sent.position, kept.id
FROM unnest(%(sets)s::text[]) WITH ORDINALITY AS sent (prices, position)
JOIN events_rateset AS kept ON kept.prices = sent.prices::integer[]
"""


class Cost(NamedTuple):
    """An event's cost in USD, where it comes from, and what the catalogue says beside it."""

    usd: Decimal | None
    source: int
    rate_set_id: int | None
    computed: Decimal | None
    """Only beside a reported cost."""


UNPRICED = Cost(None, CostSource.UNPRICED.value, None, None)
REPORTED, COMPUTED = CostSource.REPORTED.value, CostSource.COMPUTED.value


def costs(account_id: int, events: Sequence[Priceable]) -> list[Cost]:
    """The cost of each event at its instant. Call it outside a transaction: it may store rates."""
    known = tariffs(account_id, {(event.provider, event.model) for event in events})
    found = [
        known[event.provider, event.model].rates(
            event.timestamp, event.service_tier, event.input_tokens
        )
        for event in events
    ]
    store(rates for rates in found if rates)
    return [_cost(event, rates) for event, rates in zip(events, found, strict=True)]


def _cost(event: Priceable, rates: Rates | None) -> Cost:
    computed = rates.cost(parts(event)) if rates else None
    rate_set_id = rates.id if rates and computed is not None else None
    if event.reported_cost is not None:
        return Cost(event.reported_cost, REPORTED, rate_set_id, computed)
    if computed is None:
        return UNPRICED
    return Cost(computed, COMPUTED, rate_set_id, None)


def store(rates: Iterable[Rates]) -> None:
    """Give every set of rates the id of its row, made if it is new."""
    new: dict[tuple[int, ...], list[Rates]] = {}
    for one in rates:
        if one.id is None:
            new.setdefault(one.prices, []).append(one)
    if not new:
        return
    sets = {"sets": [f"{{{','.join(map(str, prices))}}}" for prices in new]}
    with connection.cursor() as cursor:
        cursor.execute(STORE_SQL, sets)
        cursor.execute(FIND_SQL, sets)
        found = dict(cursor.fetchall())
    for position, alike in enumerate(new.values(), start=1):
        for one in alike:
            one.id = found[position]
