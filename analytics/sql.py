"""The read path's SQL: a Query in, measures by group out. Nothing else reads facts for analytics.

The statement always has the same shape. Each part of the plan gives facts with the same columns:
rollups, the log where no rollup fits, and the tail (the events of pending batches, wherever a
rollup was read). They are added up by the ids of their dimensions, all at once; then the ids get
their names, and are added up again only where several may share one (one tag of many tag sets).
Fragments come from the tables below; values are only ever parameters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from analytics.conditions import Bind, run, stream
from analytics.facts import columns_used, id_column, parts_sql
from analytics.periods import INTERVALS, Buckets, buckets, hours
from analytics.planner import Part, plan
from analytics.query import TAG_PREFIX, Query
from events.days import DAY, day_start
from events.measures import MEASURES

NAMES = {
    "entity": {"entity_type": "entity.entity_type", "entity_id": "entity.entity_id"},
    "entity_name": {"entity_name": "nullif(entity.name, '')"},
    "entity_type": {"entity_type": "nullif(grouped.entity_type, '')"},
    "provider": {"provider": "model.provider"},
    "model": {"model": "model.model", "provider": "model.provider"},
    "entity_row": {"entity_row": "grouped.entity_id::text"},
    "tag_set": {"tags": "tag_set.tags::text"},
    "session": {"session_id": "grouped.session_id"},
}
"""The keys that a dimension gives to a row, each with its SQL over the dimension tables."""

JOINS = {
    "entity_id": "LEFT JOIN events_entity AS entity ON entity.id = grouped.entity_id",
    "model_id": "LEFT JOIN events_llmmodel AS model ON model.id = grouped.model_id",
    "tag_set_id": "LEFT JOIN events_tagset AS tag_set ON tag_set.id = grouped.tag_set_id",
}

ORDERS = {
    "cost": ("cost",),
    "tokens": ("input_tokens", "output_tokens"),
    "events": ("events",),
}
"""What groups are ordered by: the sum of these measures, which must be among those wanted."""


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
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens

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


def totals(query: Query) -> Measures:
    """The measures of everything that the query matches, whatever its dimensions and limit."""
    bind = Bind()
    edges = [query.period.since, query.period.until]
    sql = f"""
        {_with_grouped(query, plan(columns_used(query, ()), edges), [], None, bind)}
        SELECT {_outer(query, "{}")} FROM grouped
    """
    return _measures(run(sql, bind)[0])


def groups(query: Query) -> list[Group]:
    """One Group per combination of names that has events.

    Ordered by time, then the query's measure, then the names bytewise with null last.
    """
    if not query.dimensions:
        end = None if query.limit is None else query.offset + query.limit
        return [Group({}, totals(query))][query.offset : end]
    bind = Bind()
    time = _buckets(query)
    if time and not time.edges:
        return []
    edges = [*(time.edges if time else [query.period.since]), query.period.until]
    parts = plan(columns_used(query, query.dimensions), edges)
    names = _names(query, bind)
    rows = run(_grouped(query, parts, names, time, bind), bind)
    keys, interval = tuple(names), query.interval
    return [_group(row, keys, interval, time) for row in rows]


def count_entities(query: Query) -> int:
    """How many entities have events that the query matches."""
    bind = Bind()
    query = replace(query, attributed=True, measures=())
    parts = plan(columns_used(query, ["entity"]), [query.period.since, query.period.until])
    entities = _with_grouped(query, parts, ["entity_id"], None, bind)
    count: int = run(f"{entities} SELECT count(*) FROM grouped", bind)[0][0]
    return count


def entity_days(query: Query) -> Iterator[tuple[Any, ...]]:
    """Per entity: its row id, the numbers of its days with events from 1, and a list per measure.

    In floats, which are read in a fifth of the time. A day comes several times where part of it is
    in the tail: nothing is added up here, for nearly every row is a day of an entity already, and
    for a hundred thousand of them that would take a minute. Streamed: they do not fit in memory.
    """
    bind = Bind()
    time = buckets(query.period, "day")
    parts = plan(columns_used(query, ("entity", "day")), [*time.edges, query.period.until])
    lists = ", ".join(f"array_agg(coalesce({name}, 0)::float8)" for name in query.measures)
    sql = f"""
        SELECT entity_id, array_agg(bucket), {lists} FROM (
            SELECT * FROM ({parts_sql(query, parts, ["entity_id", "bucket"], time, bind)}) AS fact
            ORDER BY entity_id, bucket
        ) AS day
        GROUP BY entity_id
    """
    yield from stream(sql, bind)


def names_of(query: Query) -> list[str]:
    """The keys that the query's dimensions give to a row, in order."""
    return list(_names(query, Bind()))


def _grouped(
    query: Query, parts: list[Part], names: dict[str, str], time: Buckets | None, bind: Bind
) -> str:
    columns = list(dict.fromkeys(id_column(name) for name in query.dimensions))
    joins = " ".join(JOINS[column] for column in columns if column in JOINS)
    merge = any(_may_share_a_name(name) for name in query.dimensions)
    total = "sum({})" if merge else "{}"
    order, selected = _order(query, names, total), [*names.values(), _outer(query, total)]
    if query.limit_each is not None:
        place = f"row_number() OVER (PARTITION BY grouped.bucket ORDER BY {order})"
        selected.append(f"{place} AS place")
    found = f"""
        {_with_grouped(query, parts, columns, time, bind)}
        SELECT {", ".join(selected)}
        FROM grouped {joins}
        {f"GROUP BY {_positions(names)}" if merge else ""}
        {_least(query, "HAVING" if merge else "WHERE", total, bind)}
    """
    if query.limit_each is None:
        return f"{found} ORDER BY {order} LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}"
    first = f"SELECT * FROM ({found}) AS ranked WHERE place <= {bind(query.limit_each)}"
    return f"{first} ORDER BY bucket, place"


def _least(query: Query, clause: str, total: str, bind: Bind) -> str:
    if query.least_cost is None:
        return ""
    return f"{clause} {total.format('grouped.cost')} >= {bind(query.least_cost)}"


def _may_share_a_name(dimension: str) -> bool:
    """Whether several ids of the dimension may have one name."""
    return dimension == "provider" or dimension.startswith(TAG_PREFIX)


def _with_grouped(
    query: Query, parts: list[Part], columns: list[str], time: Buckets | None, bind: Bind
) -> str:
    """Step `grouped`: the facts of every part added up by `columns`.

    A sum of bigints is exact however large, a numeric; made once and not for each part, it takes
    8 ms less for the entities of a month.
    """
    sums = [f"coalesce(sum({name}), 0) AS {name}" for name in query.measures]
    return f"""
        WITH grouped AS (
            SELECT {", ".join([*columns, *sums])}
            FROM ({parts_sql(query, parts, columns, time, bind)}) AS fact
            {f"GROUP BY {_positions(columns)}" if columns else ""}
        )
    """


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


def _order(query: Query, names: dict[str, str], total: str) -> str:
    time = ["grouped.bucket"] if query.interval else []
    direction = "ASC" if query.ascending else "DESC"
    most = " + ".join(total.format(f"grouped.{name}") for name in ORDERS[query.by])
    texts = [sql for sql in names.values() if sql != "grouped.bucket"]
    bytewise = (f'({sql}) COLLATE "C" NULLS LAST' for sql in texts)
    return ", ".join([*time, f"{most} {direction}", *bytewise])


def _group(
    row: tuple[Any, ...], names: tuple[str, ...], interval: str | None, time: Buckets | None
) -> Group:
    named = dict(zip(names, row, strict=False))
    if interval and time:
        named[interval] = time.buckets[named[interval] - 1]
    return Group(named, _measures(row[len(names) : len(names) + len(MEASURES)]))


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
    account = f"account_id = {bind(query.account_id)}"
    first, last = run(
        f"""
        SELECT min(first), max(last) FROM (
            SELECT min(bucket) AS first, max(bucket) + interval '1 day' AS last
            FROM events_rollup_day_type_model WHERE {account}
            UNION ALL
            SELECT min(first_timestamp), max(last_timestamp)
            FROM events_pendingbatch WHERE {account}
        ) AS seen
        """,
        bind,
    )[0]
    if first is None:
        return query.period.since, query.period.since
    zone = query.period.zone
    since = day_start(first.astimezone(zone).date(), zone)
    until = day_start(last.astimezone(zone).date() + DAY, zone)
    return max(query.period.since, since), min(query.period.until, until)


def _positions(columns: Iterable[str]) -> str:
    return ", ".join(str(position) for position, _ in enumerate(columns, start=1))


def _outer(query: Query, total: str) -> str:
    """Every measure of `grouped` in order, 0 for those that are not asked; counts are text.

    From text a numeric is an int at once; from the Decimal that it would arrive as, 4 ms a thousand
    rows later.
    """
    found = {name: total.format(f"grouped.{name}") for name in query.measures}
    return ", ".join(
        found.get(name, "0") if name == "cost" else f"({found.get(name, '0')})::text"
        for name in MEASURES
    )


def _measures(row: tuple[Any, ...]) -> Measures:
    events, failed, unpriced, cost, *rest = row
    return Measures(int(events), int(failed), int(unpriced), Decimal(cost), *map(int, rest))
