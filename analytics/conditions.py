"""Conditions of the read path's SQL: whose facts, when, which. Values are only parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from analytics.planner import Span
from analytics.query import Filters, Names

MOST_RANGES = 100
"""So many ranges are looked up in an index one by one; of more, what lies between is read too."""


MOST_KEYS = 100
"""So many rows are looked up by their keys one by one; more are hashed, and the period read."""
ROWS_PER_FETCH = 1000


class Bind(dict[str, Any]):
    """The parameters of a statement under construction."""

    def __call__(self, value: Any) -> str:
        """Keep `value` and give its placeholder."""
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


def instants(moments: Iterable[datetime]) -> str:
    """An array of times as PostgreSQL writes it: the driver takes 1 ms for the hours of a month."""
    return "{" + ",".join(moment.isoformat() for moment in moments) + "}"


def run(sql: str, bind: Bind) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, bind)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def stream(sql: str, bind: Bind) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, a thousand at a time, by a cursor of the server.

    For as long as a transaction is open.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, bind)
        while rows := cursor.fetchmany(ROWS_PER_FETCH):
            yield from rows


def pending(account_id: int, bind: Bind) -> str:
    """The condition on the log for the tail: the events that no rollup holds yet.

    By an array, so that the index on batch_id is used whatever the statistics say.
    """
    batches = f"SELECT id FROM events_pendingbatch WHERE account_id = {bind(account_id)}"
    return f"fact.batch_id = ANY(ARRAY({batches}))"


def within(column: str, spans: Sequence[Span], bind: Bind) -> str:
    """The condition that `column` lies in one of the spans, which are in order."""
    if len(spans) <= MOST_RANGES:
        ranges = (
            f"{column} >= {bind(since)} AND {column} < {bind(until)}" for since, until in spans
        )
        return f"({' OR '.join(ranges)})"
    starts, ends = (instants(span[side] for span in spans) for side in (0, 1))
    found = f"width_bucket({column}, {bind(starts)}::timestamptz[])"
    return (
        f"{column} >= {bind(spans[0][0])} AND {column} < {bind(spans[-1][1])}"
        f" AND {column} < ({bind(ends)}::timestamptz[])[{found}]"
    )


def same(column: str, wanted: Names, bind: Bind) -> str:
    """The condition that `column` has the name, or one of the names."""
    if isinstance(wanted, str):
        return f"{column} = {bind(wanted)}"
    return f"{column} = ANY({bind(list(wanted))})"


def entity_conditions(account_id: int, filters: Filters, bind: Bind) -> list[str]:
    """The conditions on `fact.entity_id`."""
    wanted = {"entity_type": filters.entity_type, "entity_id": filters.entity_id}
    return _among("entity_id", "events_entity", account_id, wanted, bind)


def row_condition(entities: Sequence[int], bind: Bind) -> str:
    """The condition that `fact` is of one of the entities, by their row ids."""
    keys = f"{bind(list(entities))}::integer[]"
    if len(entities) <= MOST_KEYS:
        return f"fact.entity_id = ANY({keys})"
    return f"fact.entity_id IN (SELECT unnest({keys}))"


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


def _among(
    column: str, table: str, account_id: int, wanted: Mapping[str, Names | None], bind: Bind
) -> list[str]:
    named = [same(name, value, bind) for name, value in wanted.items() if value is not None]
    if not named:
        return []
    conditions = " AND ".join([f"account_id = {bind(account_id)}", *named])
    return [f"fact.{column} IN (SELECT id FROM {table} WHERE {conditions})"]
