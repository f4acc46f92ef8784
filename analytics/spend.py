"""What an entity has spent in all."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from analytics.conditions import Bind, pending, run


class Spend(NamedTuple):
    """What an entity has spent in all."""

    first_seen: datetime | None
    last_seen: datetime | None
    cost: Decimal
    events: int


def entity_spend(account_id: int, entity_ids: list[int]) -> dict[int, Spend]:
    """The spend to date of each entity, rolled up and tail; also of one that has no events."""
    bind = Bind()
    sql = f"""
        SELECT entity_id, min(first_seen), max(last_seen), sum(cost), sum(events) FROM (
            SELECT entity_id, first_seen, last_seen, cost, events FROM events_entityspend
            WHERE account_id = {bind(account_id)}
            UNION ALL
            SELECT entity_id, timestamp, timestamp, coalesce(cost, 0), 1 FROM events_event AS fact
            WHERE {pending(account_id, bind)}
        ) AS seen
        WHERE entity_id = ANY({bind(entity_ids)})
        GROUP BY entity_id
    """
    spent = dict.fromkeys(entity_ids, Spend(None, None, Decimal(0), 0))
    return spent | {row[0]: Spend(row[1], row[2], row[3], int(row[4])) for row in run(sql, bind)}
