"""Sessions: the calls that share a session id, as one row each.

A session belongs to the period that its first event lies in; its totals are of the whole session.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from django.db import connection

from analytics.query import Query
from analytics.sql import Bind, call_conditions, entity_conditions, run


class Session(NamedTuple):
    """One session; its entity is that of its first event, by (timestamp, id)."""

    session_id: str
    entity_type: str | None
    entity_id: str | None
    started_at: datetime
    ended_at: datetime
    turn_count: int
    total_cost: Decimal
    total_tokens: int


@dataclass(frozen=True)
class Summary:
    """Over every session that matched."""

    sessions: int
    turns: int
    cost: Decimal
    unpriced_events: int

    @property
    def avg_turns(self) -> float | None:
        """One decimal, half up; None over no sessions."""
        return float(self._average(self.turns, "0.1")) if self.sessions else None

    @property
    def avg_cost(self) -> Decimal | None:
        """USD, four decimals, half up; None over no sessions."""
        return self._average(self.cost, "0.0001") if self.sessions else None

    def _average(self, total: int | Decimal, quantum: str) -> Decimal:
        return (Decimal(total) / self.sessions).quantize(Decimal(quantum), ROUND_HALF_UP)


def sessions(query: Query) -> Iterator[Session]:
    """The sessions that match, newest first, read as they are asked for."""
    bind = Bind()
    sql = f"""
        {_matching(query, bind)}
        SELECT session_id, entity.entity_type, entity.entity_id, started_at, ended_at,
               turn_count, total_cost, total_tokens
        FROM matching LEFT JOIN events_entity AS entity ON entity.id = matching.entity_id
        ORDER BY started_at DESC, session_id
        LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, bind)
        for row in cursor:
            yield Session._make(row)


def summary(query: Query) -> Summary:
    """What holds over all matching sessions, whatever the query's limit."""
    bind = Bind()
    sql = f"""
        {_matching(query, bind)}
        SELECT count(*), coalesce(sum(turn_count), 0), coalesce(sum(total_cost), 0),
               coalesce(sum(unpriced_events), 0)
        FROM matching
    """
    ((found, turns, cost, unpriced),) = run(sql, bind)
    return Summary(found, int(turns), cost, int(unpriced))


def _matching(query: Query, bind: Bind) -> str:
    """`WITH matching`: whole sessions that begin in the period.

    Only a session with an event in the period can begin there; filters on calls match if any
    call of the session does.
    """
    account = f"fact.account_id = {bind(query.account_id)}"
    since, until = bind(query.period.since), bind(query.period.until)
    calls = call_conditions(query.account_id, query.filters, bind)
    entities = entity_conditions(query.account_id, query.filters, bind)
    return f"""
        WITH met AS (
            SELECT DISTINCT session_id FROM events_event AS fact
            WHERE {account} AND fact.timestamp >= {since} AND fact.timestamp < {until}
              AND session_id IS NOT NULL
        ), whole AS (
            SELECT session_id,
                   (array_agg(fact.entity_id ORDER BY fact.timestamp, fact.id))[1] AS entity_id,
                   min(fact.timestamp) AS started_at,
                   max(fact.timestamp) AS ended_at,
                   count(*) AS turn_count,
                   coalesce(sum(fact.cost), 0) AS total_cost,
                   count(*) FILTER (WHERE fact.cost IS NULL) AS unpriced_events,
                   sum(fact.input_tokens + fact.output_tokens)::bigint AS total_tokens,
                   bool_or({_all(calls)}) AS has_call
            FROM events_event AS fact JOIN met USING (session_id)
            WHERE {account}
            GROUP BY session_id
        ), matching AS (
            SELECT * FROM whole AS fact
            WHERE started_at >= {since} AND started_at < {until} AND has_call
              AND {_all(entities)}
        )
    """


def _all(conditions: list[Any]) -> str:
    return " AND ".join(conditions) or "true"
