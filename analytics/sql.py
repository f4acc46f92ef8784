"""The read path's SQL: a Query in, measures by group out. Nothing else reads facts for analytics.

The statement always has the same shape: aggregate facts by the ids of their dimensions, then give
the ids their names and aggregate again (several ids may share a name: an entity's type, one tag
of many tag sets). Fragments come from the tables below; values are only ever parameters.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from analytics.periods import INTERVALS, Buckets, buckets, hours
from analytics.query import TAG_PREFIX, Filters, Query
from events.days import day_start
from events.models import NONE

MEASURES = {
    "events": "count(*)",
    "failed_events": "count(*) FILTER (WHERE NOT success)",
    "unpriced_events": "count(*) FILTER (WHERE cost IS NULL)",
    "cost": "sum(cost)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_write_tokens": "sum(cache_write_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "latency_sum": "sum(latency_ms)",
    "latency_count": "count(latency_ms)",
}
"""Additive parts only, as aggregates of the log; averages divide at the end."""

NAMES = {
    "entity": {"entity_type": "entity.entity_type", "entity_id": "entity.entity_id"},
    "entity_type": {"entity_type": "entity.entity_type"},
    "provider": {"provider": "model.provider"},
    "model": {"model": "model.model", "provider": "model.provider"},
}
"""The keys that a dimension gives to a row, each with its SQL over the dimension tables."""

IDS = {
    "entity": "entity_id",
    "entity_type": "entity_id",
    "provider": "model_id",
    "model": "model_id",
}
"""The column of the facts that a dimension is grouped by first."""

JOINS = {
    "entity_id": "LEFT JOIN events_entity AS entity ON entity.id = grouped.entity_id",
    "model_id": "LEFT JOIN events_llmmodel AS model ON model.id = grouped.model_id",
    "tag_set_id": "LEFT JOIN events_tagset AS tag_set ON tag_set.id = grouped.tag_set_id",
    "bucket": "",
}


class Measures(NamedTuple):
    """The additive measures of one group, in the order of MEASURES. Costs are USD."""

    events: int
    failed_events: int
    unpriced_events: int
    cost: Decimal
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    latency_sum: int
    latency_count: int

    @property
    def avg_latency_ms(self) -> int | None:
        """Over the events that have a latency, half up; None where none has."""
        if self.latency_count == 0:
            return None
        return (2 * self.latency_sum + self.latency_count) // (2 * self.latency_count)


NOTHING = Measures(0, 0, 0, Decimal(0), 0, 0, 0, 0, 0, 0, 0)


class Group(NamedTuple):
    """One row of an answer: its names (a Bucket where the dimension is time) and its measures."""

    names: dict[str, Any]
    measures: Measures


class Bind(dict[str, Any]):
    """The parameters of a statement under construction."""

    def __call__(self, value: Any) -> str:
        """Keep `value` and give its placeholder."""
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


def totals(query: Query) -> Measures:
    """The measures of everything that the query matches, whatever its dimensions and limit."""
    bind = Bind()
    sql = (
        f"SELECT {_zeroed(MEASURES.values())} FROM events_event AS fact WHERE {facts(query, bind)}"
    )
    return _measures(run(sql, bind)[0])


def groups(query: Query) -> list[Group]:
    """One Group per combination of names that has events.

    Ordered by time, then cost, then the names bytewise with null last.
    """
    if not query.dimensions:
        return [Group({}, totals(query))]
    bind = Bind()
    found_buckets = _buckets(query)
    names = _names(query, bind)
    rows = run(_grouped(query, names, found_buckets, bind), bind)
    return [_group(query, list(names), found_buckets, row) for row in rows]


def names_of(query: Query) -> list[str]:
    """The keys that the query's dimensions give to a row, in order."""
    return list(_names(query, Bind()))


def facts(query: Query, bind: Bind) -> str:
    """The condition on the log for the facts that the query is about."""
    conditions = [
        f"fact.account_id = {bind(query.account_id)}",
        f"fact.timestamp >= {bind(query.period.since)}",
        f"fact.timestamp < {bind(query.period.until)}",
        *call_conditions(query.account_id, query.filters, bind),
        *entity_conditions(query.account_id, query.filters, bind),
    ]
    if query.attributed:
        conditions.append(f"fact.entity_id <> {NONE}")
    return " AND ".join(conditions)


def entity_conditions(account_id: int, filters: Filters, bind: Bind) -> list[str]:
    """The conditions on `fact.entity_id`."""
    wanted = {"entity_type": filters.entity_type, "entity_id": filters.entity_id}
    return _among("entity_id", "events_entity", account_id, wanted, bind)


def call_conditions(account_id: int, filters: Filters, bind: Bind) -> list[str]:
    """The conditions on `fact.model_id` and `fact.tag_set_id`: what a single call was."""
    wanted = {"model": filters.model, "provider": filters.provider}
    conditions = _among("model_id", "events_llmmodel", account_id, wanted, bind)
    if filters.tags:
        tags = " AND ".join(
            f"tags @> jsonb_build_object({bind(key)}::text, {bind(value)}::text)"
            for key, value in filters.tags
        )
        account = f"account_id = {bind(account_id)}"
        conditions.append(
            f"fact.tag_set_id IN (SELECT id FROM events_tagset WHERE {account} AND {tags})"
        )
    return conditions


def run(sql: str, bind: Bind) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, bind)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _among(
    column: str, table: str, account_id: int, wanted: dict[str, str | None], bind: Bind
) -> list[str]:
    same = [f"{name} = {bind(value)}" for name, value in wanted.items() if value is not None]
    if not same:
        return []
    conditions = " AND ".join([f"account_id = {bind(account_id)}", *same])
    return [f"fact.{column} IN (SELECT id FROM {table} WHERE {conditions})"]


def _grouped(query: Query, names: dict[str, str], time: Buckets | None, bind: Bind) -> str:
    ids = {_id_column(name): "" for name in query.dimensions}
    selected = ", ".join(f"{_id_sql(column, time, bind)} AS {column}" for column in ids)
    measures = ", ".join(f"{sql} AS {name}" for name, sql in MEASURES.items())
    return f"""
        WITH grouped AS (
            SELECT {selected}, {measures}
            FROM events_event AS fact
            WHERE {facts(query, bind)}
            GROUP BY {_positions(ids)}
        )
        SELECT {", ".join(names.values())}, {_zeroed(f"sum(grouped.{name})" for name in MEASURES)}
        FROM grouped {" ".join(JOINS[column] for column in ids)}
        GROUP BY {_positions(names)}
        ORDER BY {_order(query, names)}
        LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}
    """


def _id_column(dimension: str) -> str:
    if dimension in INTERVALS:
        return "bucket"
    return "tag_set_id" if dimension.startswith(TAG_PREFIX) else IDS[dimension]


def _id_sql(column: str, time: Buckets | None, bind: Bind) -> str:
    if column != "bucket":
        return f"fact.{column}"
    assert time is not None
    return f"width_bucket(fact.timestamp, {bind(time.edges)}::timestamptz[])"


def _names(query: Query, bind: Bind) -> dict[str, str]:
    names: dict[str, str] = {}
    for dimension in query.dimensions:
        if dimension in INTERVALS:
            names[dimension] = "grouped.bucket"
        elif dimension.startswith(TAG_PREFIX):
            key = bind(dimension.removeprefix(TAG_PREFIX))
            names[dimension] = f"tag_set.tags ->> {key}::text"
        else:
            names |= NAMES[dimension]
    return names


def _order(query: Query, names: dict[str, str]) -> str:
    time = ["grouped.bucket"] if query.interval else []
    direction = "ASC" if query.ascending else "DESC"
    cost = f"coalesce(sum(grouped.cost), 0) {direction}"
    texts = [sql for sql in names.values() if sql != "grouped.bucket"]
    return ", ".join([*time, cost, *(f'({sql}) COLLATE "C" NULLS LAST' for sql in texts)])


def _group(query: Query, names: list[str], time: Buckets | None, row: tuple[Any, ...]) -> Group:
    named = dict(zip(names, row, strict=False))
    if query.interval and time:
        named[query.interval] = time.buckets[named[query.interval] - 1]
    return Group(named, _measures(row[len(names) :]))


def _buckets(query: Query) -> Buckets | None:
    if query.interval is None:
        return None
    if query.interval != "hour":
        return buckets(query.period, query.interval)
    since, until = _extent(query)
    return hours(since, until, query.period.zone)


def _extent(query: Query) -> tuple[datetime, datetime]:
    """The days of the period that have events, so that a century is not cut into 876,000 hours."""
    bind = Bind()
    where = facts(query, bind)
    sql = f"SELECT min(timestamp), max(timestamp) FROM events_event AS fact WHERE {where}"
    first, last = run(sql, bind)[0]
    if first is None:
        return query.period.since, query.period.since
    zone = query.period.zone
    since = max(query.period.since, day_start(first.astimezone(zone).date(), zone))
    return since, last + timedelta(microseconds=1)


def _positions(columns: Iterable[str]) -> str:
    return ", ".join(str(position) for position, _ in enumerate(columns, start=1))


def _zeroed(sums: Iterable[str]) -> str:
    return ", ".join(f"coalesce({sql}, 0)" for sql in sums)


def _measures(row: Iterable[Any]) -> Measures:
    # PostgreSQL sums bigint as numeric, which arrives as a Decimal.
    return Measures._make(
        value if name == "cost" else int(value) for name, value in zip(MEASURES, row, strict=True)
    )


class Spend(NamedTuple):
    """What an entity has spent in all."""

    first_seen: datetime | None
    last_seen: datetime | None
    cost: Decimal
    events: int


def entity_spend(account_id: int, entity_ids: list[int]) -> dict[int, Spend]:
    """The spend to date of each entity; also of one that has no events."""
    bind = Bind()
    sql = f"""
        SELECT entity_id, min(timestamp), max(timestamp), coalesce(sum(cost), 0), count(*)
        FROM events_event
        WHERE account_id = {bind(account_id)} AND entity_id = ANY({bind(entity_ids)})
        GROUP BY entity_id
    """
    spent = dict.fromkeys(entity_ids, Spend(None, None, Decimal(0), 0))
    return spent | {row[0]: Spend(*row[1:]) for row in run(sql, bind)}
