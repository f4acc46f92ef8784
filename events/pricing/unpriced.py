"""What has no price: counted by model, and priced once a price arrives."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from events.price_models import PriceBook
from events.pricing.reprice import Scope, reprice
from events.pricing.tariffs import tariffs

COUNT_SQL = """
SELECT model_id, sum(events), sum(tokens) FROM (
    SELECT model_id, unpriced_events AS events, unpriced_tokens AS tokens
    FROM events_rollup_day_accuracy WHERE unpriced_events > 0
    UNION ALL
    SELECT model_id, 1, input_tokens + output_tokens FROM events_event
    WHERE batch_id = ANY(ARRAY(SELECT id FROM events_pendingbatch)) AND cost IS NULL
) AS unpriced GROUP BY model_id
"""

# Of what is rolled up: the tail is there in a second.
OPEN_SQL = """
SELECT unpriced.account_id, provider, model, sum(unpriced_events), min(bucket), max(bucket)
FROM events_rollup_day_accuracy AS unpriced
JOIN events_llmmodel AS llmmodel ON llmmodel.id = unpriced.model_id
WHERE unpriced_events > 0 GROUP BY unpriced.account_id, provider, model
"""


PAUSE = timedelta(minutes=5)
"""At the same prices: more events of a model that has none for them are no reason to look again
at once."""


class Unpriced(NamedTuple):
    """Events without a cost, and their tokens."""

    events: int
    tokens: int


def unpriced_by_model() -> dict[int, Unpriced]:
    """Of every model (by its id) that has any."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SQL)
        return {model_id: Unpriced(*map(int, counts)) for model_id, *counts in cursor.fetchall()}


class Clerk:
    """Prices the unpriced, and remembers what it could not: until prices or events are others."""

    def __init__(self) -> None:
        self._tried: dict[tuple[int, str, str], tuple[int, int, datetime]] = {}

    def run(self, now: datetime) -> None:
        """Price the unpriced events of every model that has a price by now."""
        version = PriceBook.objects.get().version
        with connection.cursor() as cursor:
            cursor.execute(OPEN_SQL)
            found = cursor.fetchall()
        tried, self._tried = self._tried, {}
        for account_id, provider, model, events, first, last in found:
            key = (account_id, provider, model)
            before = tried.get(key)
            if before and before[0] == version and (before[1] == events or now < before[2] + PAUSE):
                self._tried[key] = before
                continue
            self._price(key, first, last + timedelta(days=1), now)
            self._tried[key] = (version, int(events), now)

    def _price(self, key: tuple[int, str, str], since: Any, until: Any, now: datetime) -> None:
        account_id, *name = key
        (tariff,) = tariffs(account_id, [(name[0], name[1])]).values()
        if not tariff.versions:
            return
        scope = Scope(
            account_id=account_id,
            provider=name[0],
            model=name[1],
            since=since,
            until=until,
            only_unpriced=True,
        )
        reprice(scope, now=now, made_by="worker", apply=True)


clerk = Clerk()
"""The one of this process."""
