"""Rolls pending batches up: their facts are added to every rollup, and the batches forgotten.

One transaction does both, so that in every snapshot rollups + tail = events. It works by batch
and not by a time watermark: late and future events are ordinary, and nothing depends on the order
in which ingest transactions commit.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import DataError, connection, transaction

from events.models import PendingBatch
from events.rollups import roll_up_steps
from events.session_rollup import SESSION_STEPS

log = logging.getLogger(__name__)

LOCK = 0x_C057_0002
"""Held for one transaction by whatever changes rollups: session locks stick to the pool."""

MAX_EVENTS = 50_000
"""A roll-up's facts fit in work_mem and its transaction is over in about a second."""

# Oldest first. The span of a batch keeps the log's other partitions out of the statement.
TAKE_SQL = f"""
SELECT id, events, first_timestamp, last_timestamp FROM events_pendingbatch
WHERE %(account_id)s::integer IS NULL OR account_id = %(account_id)s
ORDER BY id LIMIT {MAX_EVENTS}
"""

FACT_SQL = """
SELECT event.account_id, timestamp, event.entity_id, model_id, tag_set_id, success, cost,
       cost_source, computed_cost, input_tokens, output_tokens, cache_read_tokens,
       cache_write_tokens, reasoning_tokens, latency_ms,
       coalesce(entity.entity_type, '') AS entity_type, event.id, session_id
FROM events_event AS event LEFT JOIN events_entity AS entity ON entity.id = event.entity_id
"""

SPEND_SQL = """
SELECT account_id, entity_id, count(*) AS events, coalesce(sum(cost), 0) AS cost,
       min(timestamp) AS first_seen, max(timestamp) AS last_seen
FROM fact WHERE entity_id <> 0 GROUP BY account_id, entity_id
"""

ENTITY_SQL = f"""
INSERT INTO events_entityspend AS kept
    (account_id, entity_id, events, cost, first_seen, last_seen)
{SPEND_SQL} ORDER BY account_id, entity_id
ON CONFLICT (account_id, entity_id) DO UPDATE SET
    events = kept.events + excluded.events,
    cost = kept.cost + excluded.cost,
    first_seen = LEAST(kept.first_seen, excluded.first_seen),
    last_seen = GREATEST(kept.last_seen, excluded.last_seen)
"""


def _roll_up_sql() -> str:
    """One statement, one snapshot: read the batches once, add them everywhere, forget them."""
    return f"""
        WITH fact AS MATERIALIZED (
            {FACT_SQL} WHERE batch_id = ANY(%(batches)s)
              AND timestamp BETWEEN %(first)s AND %(last)s
        ),
        {roll_up_steps()},
        entity_spend AS ({ENTITY_SQL}),
        {SESSION_STEPS}
        DELETE FROM events_pendingbatch WHERE id = ANY(%(batches)s)
    """


ROLL_UP_SQL = _roll_up_sql()


@dataclass(frozen=True, slots=True)
class _Load:
    """Some pending batches and the span of their events."""

    batches: list[int]
    events: int
    first: datetime | None
    last: datetime | None


def roll_up() -> int:
    """Roll up pending batches, about MAX_EVENTS events; returns how many events it took.

    One at a time per database: a second roller finds the lock taken and returns 0. What one
    account's events do to a sum (beyond 2^63, say) is that account's affair alone: it stays in
    the tail, where every answer is still exact, and the others are rolled up without it.
    """
    try:
        return _roll_up(None)
    except DataError:
        accounts = PendingBatch.objects.values_list("account_id", flat=True).distinct()
        return sum(_roll_up_alone(account_id) for account_id in list(accounts))


def _roll_up_alone(account_id: int) -> int:
    try:
        return _roll_up(account_id)
    except DataError:
        log.exception("The events of account %s cannot be rolled up", account_id)
        return 0


def _roll_up(account_id: int | None) -> int:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone() == (False,):
            return 0
        load = _take(cursor, account_id)
        if load.batches:
            cursor.execute(
                ROLL_UP_SQL, {"batches": load.batches, "first": load.first, "last": load.last}
            )
        return load.events


def _take(cursor: object, account_id: int | None) -> _Load:
    cursor.execute(TAKE_SQL, {"account_id": account_id})  # type: ignore[attr-defined]
    batches, events, first, last = [], 0, None, None
    for id_, count, since, until in cursor.fetchall():  # type: ignore[attr-defined]
        if events and events + count > MAX_EVENTS:
            break
        batches.append(id_)
        events += count
        first, last = min(first or since, since), max(last or until, until)
    return _Load(batches, events, first, last)
