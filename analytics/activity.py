"""When there was activity: the first and the last event of a question, and who was active last."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from analytics.conditions import Bind, call_conditions, entity_conditions, pending, run, within
from analytics.periods import Period
from analytics.planner import Span
from analytics.query import SPENT, Filters, Query
from analytics.sql import groups
from events.days import DAY
from events.retention import log_from


class Active(NamedTuple):
    """An entity and the time of its last event, ever."""

    entity_type: str
    entity_id: str
    entity_name: str | None
    last_activity: datetime


def first_and_last(query: Query) -> tuple[datetime | None, datetime | None]:
    """The times of the first and the last event that the query matches; None where there is none.

    Also None where retention has dropped the day's events. Rollups say which days those are, so
    that at most two days of the log are read.
    """
    by_day = replace(query, dimensions=("day",), measures=SPENT)
    days = [group.names["day"].start for group in groups(by_day)]
    if not days:
        return None, None
    return _extreme(query, days[0], "min"), _extreme(query, days[-1], "max")


def _extreme(query: Query, day: datetime, aggregate: str) -> datetime | None:
    """The `min` or `max` time of the events on a UTC day; None if they are dropped."""
    begins = log_from()
    if begins is not None and day < begins:
        return None
    bind, account_id = Bind(), query.account_id
    span = max(day, query.period.since), min(day + DAY, query.period.until)
    conditions = [
        f"fact.account_id = {bind(account_id)}",
        within("fact.timestamp", [span], bind),
        *entity_conditions(account_id, query.filters, bind),
        *call_conditions(account_id, query.filters, bind),
    ]
    found: datetime | None = run(
        f"SELECT {aggregate}(fact.timestamp) FROM events_event AS fact"
        f" WHERE {' AND '.join(conditions)}",
        bind,
    )[0][0]
    return found


def last_active(account_id: int, filters: Filters, period: Period, limit: int) -> list[Active]:
    """The entities whose last event lies in the period, the latest first, then by name."""
    bind = Bind()
    who = " AND ".join(["true", *entity_conditions(account_id, filters, bind)])
    span: Span = (period.since, period.until)
    sql = f"""
        SELECT entity.entity_type, entity.entity_id, nullif(entity.name, ''), seen.last_seen
        FROM (
            SELECT entity_id, max(last_seen) AS last_seen FROM (
                SELECT entity_id, last_seen FROM events_entityspend AS fact
                WHERE account_id = {bind(account_id)} AND {who}
                UNION ALL
                SELECT entity_id, timestamp FROM events_event AS fact
                WHERE {pending(account_id, bind)} AND {who}
            ) AS every GROUP BY entity_id
        ) AS seen JOIN events_entity AS entity ON entity.id = seen.entity_id
        WHERE {within("seen.last_seen", [span], bind)}
        ORDER BY seen.last_seen DESC, entity.entity_type, entity.entity_id
        LIMIT {bind(limit)}
    """
    return [Active._make(row) for row in run(sql, bind)]
